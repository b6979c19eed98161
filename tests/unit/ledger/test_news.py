"""Single answers, and the references that a platform cut short."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from ptbridge.ledger.answers import range_of
from ptbridge.ledger.news import News, newest_of, worst_of
from ptbridge.model import Stage, Standing

WHOLE = "pt-0123456789abcdef01234567"


@pytest.mark.parametrize(
    ("reference", "first", "last"),
    [
        (None, "", ""),
        ("", "", ""),
        (WHOLE, WHOLE, WHOLE + "\x00"),
        (WHOLE.upper(), WHOLE.upper(), WHOLE.upper() + "\x00"),
        (WHOLE[:26], WHOLE[:26], WHOLE[:26] + "g"),
        (WHOLE[3:].upper(), WHOLE, WHOLE + "g"),
        (WHOLE[:10], WHOLE[:10], WHOLE[:10] + "g"),
        (WHOLE[:9], "", ""),
        (WHOLE[3:10], WHOLE[:10], WHOLE[:10] + "g"),
    ],
)
def test_a_whole_reference_is_itself_and_a_cut_one_is_a_range_of_its_beginning(reference, first, last):
    assert range_of(reference) == (first, last)


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
