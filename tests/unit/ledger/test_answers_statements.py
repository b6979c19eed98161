"""Parts of the statements about answers that, broken by hand, once passed every other test: `tests/mutate.py` changes no SQL.

Each test puts the counterpart beside it that must not be taken: another clinic, another destination, another submission.
"""

from __future__ import annotations

from typing import Any

import pytest

from ptbridge.ledger import Ledger
from ptbridge.model import Frequency, Stage, Standing
from ptbridge.ports import AnswerPage
from tests.unit.ledger.charges import (
    CLINIC,
    ELSEWHERE,
    LOOKALIKE,
    OTHER,
    PLATFORM,
    REFERENCE,
    hear,
    keys,
    named_late,
    queue,
    sent,
    stands,
    take,
    unlinked,
)

PAYER = Stage.PAYER


def revisions(ledger: Ledger, day_id: int) -> list[int]:
    """Which submission of the day each answer is about, by the time it was said."""
    return [row["revision"] for row in ledger.standings.of_day(day_id)]


# ---------------------------------------------------------------- which submission an answer is about


@pytest.mark.parametrize("name", ["reference", "cut", "destination_id", "submission_key"])
@pytest.mark.parametrize("where", [{"clinic": OTHER}, {"destination": ELSEWHERE}])
def test_an_answer_is_about_nothing_of_another_clinic_or_destination(book, name: str, where: dict[str, str]) -> None:
    day = sent(book.ledger, **where)
    said = {
        "reference": {"reference": REFERENCE},
        "cut": {"reference": REFERENCE[:17]},
        "destination_id": {"destination_id": "B1"},
        "submission_key": {"submission_key": keys(book.ledger, day)[0][:20]},
    }[name]
    assert hear(book.ledger, "1", **said).orphans == 1
    assert stands(book.ledger, day) == ("received", "accepted")
    assert hear(book.ledger, "1", **said, **where).orphans == 0, "and to whom it belongs it is news"


def test_a_cut_reference_is_ours_though_another_clinic_has_one_like_it(book) -> None:
    day = sent(book.ledger)
    sent(book.ledger, LOOKALIKE, "B2", clinic=OTHER)
    assert hear(book.ledger, "1", reference=REFERENCE[:20]).orphans == 0
    assert stands(book.ledger, day) == ("payer", "accepted")


def test_a_key_is_whole_or_its_first_sixteen_characters_and_another_that_sorts_beside_it_is_none_of_it(book) -> None:
    day = sent(book.ledger)
    (key,) = keys(book.ledger, day)
    for place, cut in enumerate((key, key[:16])):
        assert hear(book.ledger, f"k{place}", submission_key=cut).orphans == 0, cut
    for place, cut in enumerate(("0" * 20, "f" * 20)):
        assert hear(book.ledger, f"n{place}", submission_key=cut).orphans == 1, cut


def test_of_several_submissions_the_key_goes_first_then_the_platforms_id_then_what_is_live_then_the_newest(book) -> None:
    day = sent(book.ledger)
    queue(book.ledger)
    take(book.ledger, "B2")
    queue(book.ledger, frequency=Frequency.VOID)
    first, second, _ = keys(book.ledger, day)
    for place, (more, revision) in enumerate(
        (
            ({"submission_key": first, "destination_id": "B2"}, 1),
            ({"submission_key": second, "destination_id": "B1"}, 2),
            ({"destination_id": "B1"}, 1),
            ({"destination_id": "B-unknown"}, 2),
            ({}, 2),
        )
    ):
        hear(book.ledger, f"a{place}", reference=REFERENCE, said_at=f"2026-11-22T10:0{place}:00Z", **more)
        assert revisions(book.ledger, day)[-1] == revision, more


# ---------------------------------------------------------------- the feed's cursor


def test_each_clinic_and_each_destination_has_a_cursor_of_its_own(book) -> None:
    answers = book.ledger.answers
    feeds = {(CLINIC, PLATFORM): "1", (OTHER, PLATFORM): "2", (CLINIC, ELSEWHERE): "3"}
    for (clinic, platform), at in feeds.items():
        answers.record(clinic, platform, AnswerPage(cursor={f"after {at}": at}))
    for (clinic, platform), at in feeds.items():
        assert answers.cursor(clinic, platform) == {f"after {at}": at}


# ---------------------------------------------------------------- answers that came first


def test_only_news_of_this_clinic_and_destination_is_adopted(book) -> None:
    for where in ({"clinic": OTHER}, {"destination": ELSEWHERE}):
        unlinked(book.ledger, **where)
    day = sent(book.ledger)
    named_late(book.ledger, day)
    assert book.ledger.answers.adopt(CLINIC, PLATFORM) == 0 and stands(book.ledger, day) == ("received", "accepted")
    assert book.ledger.standings.of_day(day) == []


def test_news_is_adopted_for_the_clinic_and_destination_that_are_asked_for(book) -> None:
    elsewhere = [{"clinic": OTHER}, {"destination": ELSEWHERE}]
    days = []
    for place, where in enumerate(elsewhere):
        unlinked(book.ledger, **where)
        days.append(sent(book.ledger, f"{REFERENCE[:-1]}{place}", **where))
        named_late(book.ledger, days[-1])
    assert book.ledger.answers.adopt(CLINIC, PLATFORM) == 0
    assert [stands(book.ledger, day) for day in days] == [("received", "accepted")] * 2
    for where, day in zip(elsewhere, days, strict=True):
        assert book.ledger.answers.adopt(where.get("clinic", CLINIC), where.get("destination", PLATFORM)) == 1
        assert stands(book.ledger, day) == ("payer", "rejected")


def test_what_was_linked_is_not_adopted_again_and_another_id_not_at_all(book) -> None:
    day = sent(book.ledger)
    unlinked(book.ledger, "B8")
    hear(book.ledger, "1", Standing.REJECTED, destination_id="B1")
    book.connection.execute("UPDATE treatment_day SET stage = 'received', standing = 'accepted' WHERE id = ?", (day,))
    assert book.ledger.answers.adopt(CLINIC, PLATFORM) == 0 and stands(book.ledger, day) == ("received", "accepted")


def test_two_early_answers_change_a_day_once(book) -> None:
    unlinked(book.ledger)
    hear(book.ledger, "another", Standing.REJECTED, destination_id="B9", said_at="2026-11-22T11:00:00Z")
    day = sent(book.ledger)
    named_late(book.ledger, day)
    assert book.ledger.answers.adopt(CLINIC, PLATFORM) == 1


@pytest.mark.parametrize(
    ("answer", "changed"),
    [
        ({"standing": Standing.ACCEPTED, "stage": Stage.RECEIVED}, 0),
        ({"standing": Standing.ACCEPTED, "stage": PAYER}, 1),
        ({"standing": Standing.PENDING, "stage": Stage.RECEIVED}, 1),
        ({"standing": Standing.ACCEPTED, "stage": Stage.RECEIVED, "payer_claim_number": "ICN1"}, 1),
    ],
)
def test_a_day_counts_as_changed_by_its_stage_its_standing_or_its_number(book, answer: dict[str, Any], changed: int) -> None:
    hear(book.ledger, "early", destination_id="B9", **answer)
    day = sent(book.ledger)
    named_late(book.ledger, day)
    assert book.ledger.answers.adopt(CLINIC, PLATFORM) == changed


def test_early_news_of_what_is_not_accepted_yet_counts_when_it_is(book) -> None:
    unlinked(book.ledger)
    day = queue(book.ledger)
    named_late(book.ledger, day)
    assert book.ledger.answers.adopt(CLINIC, PLATFORM) == 0 and stands(book.ledger, day) == (None, None)
    take(book.ledger, "B9")
    assert book.ledger.answers.adopt(CLINIC, PLATFORM) == 1 and stands(book.ledger, day) == ("payer", "rejected")


def test_what_was_said_before_the_answer_was_known_counts_for_its_own_day_only(book) -> None:
    day = queue(book.ledger)
    hear(book.ledger, "1", Standing.REJECTED, reference=REFERENCE)
    take(book.ledger)
    other = sent(book.ledger, LOOKALIKE, "B2")
    assert stands(book.ledger, day) == ("payer", "rejected") and stands(book.ledger, other) == ("received", "accepted")


# ---------------------------------------------------------------- what a day stands at


def test_a_rejected_correction_takes_the_newest_number_of_its_own_day(book) -> None:
    day = sent(book.ledger)
    for number in ("ICN1", "ICN2"):
        hear(book.ledger, number, reference=REFERENCE, payer_claim_number=number)
    sent(book.ledger, LOOKALIKE, "B2")
    hear(book.ledger, "theirs", reference=LOOKALIKE, payer_claim_number="ICN-OF-ANOTHER")
    queue(book.ledger)
    take(book.ledger, "B3")
    hear(book.ledger, "4", Standing.REJECTED, destination_id="B3")
    found = book.ledger.days.get(day)
    assert found is not None and (found.standing, found.payer_claim_number) == ("rejected", "ICN2")


@pytest.mark.parametrize("state", ["held", "queued", "sent"])
@pytest.mark.parametrize(
    "said",
    [
        {"stage": PAYER, "standing": Standing.ACCEPTED},
        {"stage": Stage.RECEIVED, "standing": Standing.PENDING},
        {"stage": Stage.RECEIVED, "standing": Standing.ACCEPTED, "payer_claim_number": "ICN1"},
    ],
)
def test_what_is_held_or_waits_is_judged_again_by_any_news_and_what_was_sent_only_by_a_refusal(
    book, state: str, said: dict[str, Any]
) -> None:
    day, bystander = sent(book.ledger), sent(book.ledger, LOOKALIKE, "B2")
    book.connection.execute("UPDATE treatment_day SET dirty = 0, state = ?", (state,))
    hear(book.ledger, "1", reference=REFERENCE, **said)
    assert [row.id for row in book.ledger.days.dirty(CLINIC)] == ([] if state == "sent" else [day])
    assert stands(book.ledger, bystander) == ("received", "accepted")


def test_news_without_change_leaves_a_day_that_is_to_be_judged_to_be_judged(book) -> None:
    day = sent(book.ledger)
    book.connection.execute("UPDATE treatment_day SET dirty = 1 WHERE id = ?", (day,))
    hear(book.ledger, "1", reference=REFERENCE)
    assert [row.id for row in book.ledger.days.dirty(CLINIC)] == [day]


@pytest.mark.parametrize("standing", [Standing.REJECTED, Standing.DENIED])
def test_a_refusal_is_bad_news_once_for_each_answer_and_not_for_what_others_were_told(book, standing: Standing) -> None:
    """The history of other days, of submissions with the same number, and good news between are none of it."""
    other, day, third = sent(book.ledger, LOOKALIKE, "B2"), sent(book.ledger), sent(book.ledger, "pt-third", "B3")
    assert hear(book.ledger, "1", standing, reference=REFERENCE).refused_days == 1
    assert hear(book.ledger, "2", standing, reference=LOOKALIKE).refused_days == 1
    with book.ledger.transaction():
        book.ledger.history.add(CLINIC, "submission", day, "rejected", "#99")
        book.ledger.history.add(CLINIC, "day", day, "note", "#99")
        for bystander in (other, third):
            book.ledger.history.add(CLINIC, "day", bystander, "denied", "#99")
    assert hear(book.ledger, "3", standing, reference=REFERENCE, said_at="2026-11-22T11:00:00Z").refused_days == 1
    assert hear(book.ledger, "4", standing, reference=REFERENCE, said_at="2026-11-22T09:00:00Z").refused_days == 0
    told = [row["detail"] for row in book.ledger.history.of("day", day) if row["event"] == standing]
    assert told == ["payer #1", "payer #3"]
