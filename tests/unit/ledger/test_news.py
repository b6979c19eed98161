"""Single answers."""

from __future__ import annotations

from datetime import UTC, datetime

from ptbridge.ledger.news import News, newest_of, worst_of
from ptbridge.model import Stage, Standing


def news(id_: int, standing: Standing, line: int | None = None, hour: int = 10) -> News:
    said = datetime(2026, 11, 22, hour, tzinfo=UTC)
    return News(
        id=id_, stage=Stage.PAYER, standing=standing, line=line, procedure=None, codes=(), said=said, payer_claim_number=None
    )


def test_the_newest_words_come_in_the_order_in_which_they_arrived() -> None:
    first, second = news(1, Standing.DENIED, line=1, hour=12), news(2, Standing.DENIED, line=2, hour=11)
    assert newest_of([first, second]) == newest_of([second, first]) == [first, second]


def test_what_was_said_of_the_whole_claim_counts_before_the_same_of_a_line() -> None:
    line, claim = news(1, Standing.DENIED, line=1), news(2, Standing.DENIED)
    assert worst_of([line, claim]) is worst_of([claim, line]) is claim
    assert worst_of([news(3, Standing.PAID), line]) is line
