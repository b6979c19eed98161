"""News about submissions of a ledger that a restore replaced: they are none that this one made, until it makes the same.

What a restored ledger knows under the same reference is older. A rejection of a lost correction, taken for one of the
original, sent that original a second time.
"""

from __future__ import annotations

from typing import Any

import pytest

from ptbridge.ledger import Ledger
from ptbridge.ledger.answers import _EARLY, _TOLD
from ptbridge.ledger.news import _UNLINKED
from ptbridge.ledger.purge import _ANSWERS
from ptbridge.ledger.standings import _OF_DAY
from ptbridge.model import Stage, Standing
from tests.unit.ledger.charges import CLINIC, ELSEWHERE, LOOKALIKE, OTHER, PLATFORM, REFERENCE, hear, queue, sent, stands, take
from tests.unit.ledger.test_plans import plan

LOST = "5eed" * 16
TAKEN = ("received", "accepted")


def refuse(ledger: Ledger, key: str = LOST, reference: str = REFERENCE, **where: Any) -> Any:
    """The payer turns a correction away that another ledger sent."""
    return hear(ledger, f"{key} {where}", Standing.REJECTED, reference=reference, submission_key=key, **where)


def revisions(ledger: Ledger, day_id: int) -> list[int | None]:
    return [row["revision"] for row in ledger.standings.of_day(day_id)]


def adopt(ledger: Ledger, day_id: int) -> None:
    """What a restored ledger does with a day that the biller has in other content."""
    (id_,) = next(ledger._connection.execute("SELECT max(id) FROM submission WHERE day_id = ?", (day_id,)))
    with ledger.transaction():
        ledger.history.add(CLINIC, "submission", int(str(id_)), "adopted", "the biller had it before the restore")


def test_a_lost_submissions_rejection_is_no_rejection_of_the_older_one_that_is_known(book) -> None:
    day = sent(book.ledger)
    hear(book.ledger, "1", reference=REFERENCE, payer_claim_number="ICN1")
    assert refuse(book.ledger).refused_days == 0
    assert stands(book.ledger, day) == ("payer", "accepted")
    assert book.ledger.standings.refusal(day) is None
    assert sorted(revisions(book.ledger, day), key=str) == [1, None], "kept, and about no submission of this ledger"
    assert book.ledger.standings.orphans(CLINIC) == [], "the charge is ours"


@pytest.mark.parametrize("told", [LOST, LOST[:16], LOST[:20]])
def test_it_counts_once_the_same_submission_is_made_again(book, told: str) -> None:
    day = sent(book.ledger)
    refuse(book.ledger, told)
    queue(book.ledger, key=LOST)
    assert stands(book.ledger, day) == TAKEN
    take(book.ledger, "B2")
    assert stands(book.ledger, day) == ("payer", "rejected")
    assert revisions(book.ledger, day) == [2]


def test_another_submission_that_is_made_does_not_take_it(book) -> None:
    day = sent(book.ledger)
    refuse(book.ledger)
    for number, key in enumerate((LOST[:16] + "0" * 48, LOST[:16] + "f" * 48, "0" * 64, "f" * 64), 2):
        queue(book.ledger, key=key)
        take(book.ledger, f"B{number}")
        assert stands(book.ledger, day) == TAKEN, key
    assert revisions(book.ledger, day) == [None]


@pytest.mark.parametrize("where", [{"clinic": OTHER}, {"destination": ELSEWHERE}])
def test_the_same_key_elsewhere_is_another_submission(book, where: dict[str, str]) -> None:
    day, other = sent(book.ledger), sent(book.ledger, LOOKALIKE, "B7", **where)
    refuse(book.ledger, reference=LOOKALIKE, **where)
    queue(book.ledger, key=LOST)
    take(book.ledger, "B2")
    assert stands(book.ledger, day) == TAKEN
    assert (revisions(book.ledger, day), revisions(book.ledger, other)) == ([], [None])


def test_a_key_too_short_to_name_one_is_not_asked(book) -> None:
    day = sent(book.ledger)
    refuse(book.ledger, LOST[:15])
    assert stands(book.ledger, day) == ("payer", "rejected") and revisions(book.ledger, day) == [1]


def test_the_platforms_id_does_not_make_it_another_submissions(book) -> None:
    """A platform that updates in place keeps its id: what is said of the lost update is not said of what it replaced."""
    day = sent(book.ledger)
    refuse(book.ledger, destination_id="B1")
    take_again(book.ledger, day)
    assert stands(book.ledger, day) == TAKEN


def take_again(ledger: Ledger, day_id: int) -> None:
    """Everything that brings a day's news to it."""
    assert ledger.answers.adopt(CLINIC, PLATFORM) == 0
    ledger.answers.became_live([1])


@pytest.mark.parametrize("reference", [REFERENCE, REFERENCE[:25]])
def test_it_counts_where_the_day_was_taken_over_as_the_biller_has_it(book, reference: str) -> None:
    day, lookalike = sent(book.ledger), sent(book.ledger, LOOKALIKE, "B2")
    refuse(book.ledger, reference=reference)
    assert stands(book.ledger, day) == TAKEN
    adopt(book.ledger, day)
    adopt(book.ledger, lookalike)
    assert book.ledger.answers.adopt(CLINIC, PLATFORM) == 1
    assert stands(book.ledger, day) == ("payer", "rejected")
    hear(book.ledger, "2", Standing.ACCEPTED, Stage.RECEIVED, reference=LOOKALIKE)
    assert stands(book.ledger, lookalike) == TAKEN


def test_another_clinics_is_not_counted_where_a_day_was_taken_over(book) -> None:
    day = sent(book.ledger)
    sent(book.ledger, LOOKALIKE, "B7", clinic=OTHER)
    refuse(book.ledger, reference=LOOKALIKE[:20], clinic=OTHER)
    adopt(book.ledger, day)
    assert book.ledger.answers.adopt(CLINIC, PLATFORM) == 0
    hear(book.ledger, "2", stage=Stage.RECEIVED, destination_id="B1")
    assert stands(book.ledger, day) == TAKEN


def test_what_a_clinics_earlier_platform_says_is_not_counted_where_a_day_was_taken_over(book) -> None:
    day = sent(book.ledger, named="A1", destination=ELSEWHERE)
    refuse(book.ledger, destination=ELSEWHERE)
    queue(book.ledger)
    take(book.ledger)
    adopt(book.ledger, day)
    hear(book.ledger, "2", stage=Stage.RECEIVED, destination_id="B1")
    assert stands(book.ledger, day) == TAKEN


def test_a_purge_finds_its_texts(book) -> None:
    day, other = sent(book.ledger), sent(book.ledger, LOOKALIKE, "B2")
    refuse(book.ledger)
    connection = book.ledger._connection
    connection.execute("CREATE TEMP TABLE going (id INTEGER PRIMARY KEY)")
    connection.execute("INSERT INTO going VALUES (?)", (other,))
    assert connection.execute(_ANSWERS).fetchall() == []
    connection.execute("INSERT INTO going VALUES (?)", (day,))
    assert len(connection.execute(_ANSWERS).fetchall()) == 1


def test_nothing_of_it_is_looked_for_among_all_answers(book) -> None:
    for sql, values in ((_UNLINKED, (1,)), (_OF_DAY, (1,)), (_EARLY, (CLINIC, PLATFORM)), (_TOLD, ("[1]",))):
        shown = plan(book.ledger, sql, *values)
        assert "answer_of_lost" in shown and "SCAN a " not in shown + " ", shown
