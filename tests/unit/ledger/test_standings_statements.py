"""Parts of the statements of `news` and `standings` that, broken by hand, once passed every other test.

Each test puts the counterpart beside it that must not be taken: another clinic, destination, day, submission or run.
"""

from __future__ import annotations

import json
from typing import Any

import pytest

from ptbridge.ledger import RefusedDay
from ptbridge.model import Frequency, NativeCode, Stage, Standing
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

WHERES: list[dict[str, str]] = [{"clinic": OTHER}, {"destination": ELSEWHERE}]
GOOD, BAD = ("payer", "accepted"), ("payer", "rejected")


def refused(book: Any, day: int) -> RefusedDay:
    found = book.ledger.standings.refused(day)
    assert found is not None
    return found


def change(book: Any, day: int, **columns: object) -> None:
    """Write columns of a treatment day, as another day's life would have left them."""
    names = ", ".join(f"{name} = ?" for name in columns)
    book.connection.execute(f"UPDATE treatment_day SET {names} WHERE id = ?", (*columns.values(), day))


# ---------------------------------------------------------------- what counts of a day


def test_what_waits_is_not_what_the_biller_took_last(book) -> None:
    day = sent(book.ledger)
    queue(book.ledger)
    hear(book.ledger, "1", Standing.REJECTED, destination_id="B1")
    assert stands(book.ledger, day) == BAD and refused(book, day).units == 2


def test_the_last_that_was_taken_counts_and_of_its_own_day(book) -> None:
    day, later = sent(book.ledger), sent(book.ledger, LOOKALIKE, "B2")
    hear(book.ledger, "1", destination_id="B1")
    assert (stands(book.ledger, day), stands(book.ledger, later)) == (GOOD, ("received", "accepted"))
    queue(book.ledger)
    take(book.ledger, "B3")
    hear(book.ledger, "2", Standing.REJECTED, destination_id="B1")
    assert stands(book.ledger, day) == ("received", "accepted"), "of what is no longer live"
    hear(book.ledger, "3", Standing.REJECTED, destination_id="B3")
    assert stands(book.ledger, day) == BAD


@pytest.mark.parametrize("where", WHERES)
def test_early_news_of_another_clinic_or_destination_counts_for_nothing(book, where: dict[str, str]) -> None:
    unlinked(book.ledger, "B1", **where)
    day = sent(book.ledger)
    hear(book.ledger, "1", destination_id="B1", said_at="2026-11-22T09:00:00Z")
    assert stands(book.ledger, day) == GOOD and book.ledger.standings.refusal(day) is None


def test_early_news_counts_for_the_submission_that_it_names(book) -> None:
    unlinked(book.ledger, "B8")
    unlinked(book.ledger, "B9")
    day, other = sent(book.ledger), sent(book.ledger, LOOKALIKE, "B2")
    named_late(book.ledger, other)
    hear(book.ledger, "1", destination_id="B1", said_at="2026-11-22T09:00:00Z")
    hear(book.ledger, "2", reference=LOOKALIKE, said_at="2026-11-22T09:00:00Z")
    assert (stands(book.ledger, day), stands(book.ledger, other)) == (GOOD, BAD)


def test_what_was_said_of_a_later_submission_is_not_said_of_an_earlier_one(book) -> None:
    day, other = sent(book.ledger), sent(book.ledger, LOOKALIKE, "B2")
    hear(book.ledger, "1", Standing.DENIED, Stage.REMITTANCE, destination_id="B2")
    hear(book.ledger, "2", destination_id="B1")
    assert (stands(book.ledger, day), stands(book.ledger, other)) == (GOOD, ("remittance", "denied"))


def test_the_number_that_came_last_is_the_payers(book) -> None:
    day = sent(book.ledger)
    for number in ("ICN1", "ICN2"):
        hear(book.ledger, number, destination_id="B1", payer_claim_number=number)
    found = book.ledger.days.get(day)
    assert found is not None and found.payer_claim_number == "ICN2"


# ---------------------------------------------------------------- counts, and what is asked for one by one


def counted(book: Any, since: str = "") -> list[tuple[str, str, int, int, int]]:
    return [tuple(row.values()) for row in book.ledger.standings.counts(CLINIC, since)]


def test_live_days_of_the_clinic_are_counted_from_a_date_on_as_they_are_live(book) -> None:
    day = sent(book.ledger, on="2026-11-20")
    sent(book.ledger, LOOKALIKE, "B2", clinic=OTHER)
    sent(book.ledger, "pt-earlier", "B3", on="2026-11-19")
    queue(book.ledger, "pt-waits")
    change(book, day, units=99, amount_cents=99)  # judged anew, and not sent yet
    assert counted(book) == [("received", "accepted", 2, 4, 18000)]
    assert counted(book, "2026-11-20") == [("received", "accepted", 1, 2, 9000)]
    hear(book.ledger, "1", Standing.PENDING, Stage.RECEIVED, destination_id="B3")
    assert [row[:3] for row in counted(book)] == [("received", "accepted", 1), ("received", "pending", 1)]


def test_a_live_day_of_which_nothing_was_ever_said_stands_at_received(book) -> None:
    change(book, sent(book.ledger), stage=None, standing=None)  # of an older ledger
    assert counted(book) == [("received", "accepted", 1, 2, 9000)]
    assert book.ledger.standings.open_references(CLINIC, PLATFORM) == [REFERENCE]


def test_what_is_live_and_not_paid_is_asked_for_by_the_reference_that_the_biller_has(book) -> None:
    ask = book.ledger.standings.open_references
    day = sent(book.ledger)
    sent(book.ledger, LOOKALIKE, "B2", clinic=OTHER)
    queue(book.ledger, "pt-waits")
    assert ask(CLINIC, PLATFORM) == [REFERENCE]
    change(book, day, live_reference="pt-of-after-a-void")
    assert ask(CLINIC, PLATFORM) == ["pt-of-after-a-void"]
    change(book, day, live_reference=None)  # of an older ledger
    assert ask(CLINIC, PLATFORM) == [REFERENCE]
    change(book, day, live_sha256=None)
    assert ask(CLINIC, PLATFORM) == []


def test_a_destination_is_asked_for_what_it_took_itself(book) -> None:
    ask = book.ledger.standings.open_references
    sent(book.ledger, destination=ELSEWHERE)
    sent(book.ledger, LOOKALIKE, "B2")
    assert (ask(CLINIC, PLATFORM), ask(CLINIC, ELSEWHERE)) == ([LOOKALIKE], [REFERENCE])
    queue(book.ledger)
    assert ask(CLINIC, PLATFORM) == [LOOKALIKE], "what waits for it is not there yet"


def test_the_newest_service_date_is_asked_for_first_and_of_one_date_the_day_that_came_first(book) -> None:
    for name, on in (("pt-b", "2026-11-10"), ("pt-c", "2026-11-12"), ("pt-a", "2026-11-12"), ("pt-d", "2026-11-11")):
        sent(book.ledger, name, name, on=on)
    assert book.ledger.standings.open_references(CLINIC, PLATFORM) == ["pt-c", "pt-a", "pt-d", "pt-b"]


# ---------------------------------------------------------------- the answers of a day, and those of nobody


@pytest.mark.parametrize("where", WHERES)
def test_early_answers_of_another_clinic_or_destination_are_not_a_days(book, where: dict[str, str]) -> None:
    unlinked(book.ledger, "B1", **where)
    unlinked(book.ledger, "B8")
    day = sent(book.ledger)
    assert book.ledger.standings.of_day(day) == []


def test_a_day_is_told_its_own_answers_each_once(book) -> None:
    unlinked(book.ledger, "B1")
    day = sent(book.ledger)
    queue(book.ledger)
    take(book.ledger, "B1")  # the platform's own update keeps its id
    other = sent(book.ledger, LOOKALIKE, "B2")
    hear(book.ledger, "1", Standing.PENDING, submission_key=keys(book.ledger, day)[0], destination_id="B2")
    assert [row["standing"] for row in book.ledger.standings.of_day(day)] == ["rejected", "pending"]
    assert book.ledger.standings.of_day(other) == [], "it names this one's id, and that one's key"
    hear(book.ledger, "2", Standing.ACCEPTED, destination_id="B2")
    assert [row["standing"] for row in book.ledger.standings.of_day(day)] == ["rejected", "pending"]
    assert [row["standing"] for row in book.ledger.standings.of_day(other)] == ["accepted"]


def orphans(book: Any, clinic: str = CLINIC) -> list[str]:
    return [row["destination_id"] or row["reference"] for row in book.ledger.standings.orphans(clinic)]


def test_news_of_nobody_is_the_clinics_in_the_order_in_which_it_came(book) -> None:
    unlinked(book.ledger, "B8", clinic=OTHER)
    unlinked(book.ledger, "B9")
    unlinked(book.ledger, "B3")
    assert (orphans(book), orphans(book, OTHER)) == (["B9", "B3"], ["B8"])


def test_an_answer_that_cannot_be_read_is_named_and_no_other_text_of_the_other_side(book) -> None:
    file = NativeCode(system="x12", code="unreadable")
    book.hear("1", Stage.RECEIVED, Standing.PENDING, codes=(file,), text="half.277: ends before its IEA segment")
    other = NativeCode(system="CARC", code="197", text="Testerly")
    book.hear("2", Stage.PAYER, Standing.DENIED, codes=(other,), text="for Testerly", destination_id="B9")
    first, second = book.ledger.standings.orphans(CLINIC)
    assert (first["codes"], first["unreadable"]) == (["unreadable"], "half.277: ends before its IEA segment")
    assert (second["codes"], second["unreadable"]) == (["197"], None) and "Testerly" not in str(second)


def test_an_answer_that_a_person_has_looked_at_says_so(book) -> None:
    for name in ("1", "2"):
        hear(book.ledger, name, reference=f"pt-of {name}", codes=(NativeCode(system="x12", code="unreadable"),))
    first, second = book.ledger.standings.orphans(CLINIC)
    assert (first["seen"], second["seen"]) == (False, False) and first["id"] < second["id"]
    book.ledger.answers.see(CLINIC, first["id"], "sent again whole", "owner")
    assert [(one["id"], one["seen"]) for one in book.ledger.standings.orphans(CLINIC)] == [
        (first["id"], True),
        (second["id"], False),
    ]
    (row,) = book.ledger.history.of("answer", first["id"])
    assert (row["event"], row["detail"], row["actor"]) == ("seen-by-person", "sent again whole", "owner")
    day = book.visit("e1")
    with book.ledger.transaction():
        book.ledger.history.add(CLINIC, "day", second["id"], "seen-by-person")
        book.ledger.history.add(CLINIC, "answer", second["id"], "another-word")
    assert day and [one["seen"] for one in book.ledger.standings.orphans(CLINIC)] == [True, False]


def test_what_is_somebodys_by_its_key_alone_is_not_news_of_nobody(book) -> None:
    day = sent(book.ledger)
    hear(book.ledger, "1", submission_key=keys(book.ledger, day)[0])
    assert orphans(book) == []


def test_news_of_nobody_is_somebodys_once_a_submission_has_its_id_or_its_reference(book) -> None:
    unlinked(book.ledger, "B1")
    hear(book.ledger, "1", reference=LOOKALIKE)
    assert orphans(book) == ["B1", LOOKALIKE]
    sent(book.ledger, destination=ELSEWHERE)
    assert orphans(book) == ["B1", LOOKALIKE], "the same id at another destination is another charge"
    sent(book.ledger, "pt-another", "B1")
    assert orphans(book) == [LOOKALIKE]
    sent(book.ledger, LOOKALIKE, "B2")
    assert orphans(book) == []


# ---------------------------------------------------------------- refusals


def test_refused_days_are_the_clinics_oldest_first_and_of_one_date_as_they_came(book) -> None:
    days = {}
    for name, on, standing in (
        ("pt-b", "2026-11-12", Standing.DENIED),
        ("pt-a", "2026-11-12", Standing.REJECTED),
        ("pt-c", "2026-11-10", Standing.DENIED),
        ("pt-d", "2026-11-09", Standing.PENDING),
    ):
        days[name] = sent(book.ledger, name, name, on=on)
        hear(book.ledger, name, standing, destination_id=name)
    sent(book.ledger, "pt-e", "pt-e", clinic=OTHER)
    hear(book.ledger, "theirs", Standing.DENIED, destination_id="pt-e", clinic=OTHER)
    assert book.ledger.standings.refused_days(CLINIC) == [days[name] for name in ("pt-c", "pt-b", "pt-a")]


def test_a_refused_day_is_told_as_it_was_sent_beside_days_before_and_after_it(book) -> None:
    sent(book.ledger, "pt-before", "B0", units=1, amount_cents=4500)
    day = sent(book.ledger, on="2026-11-09")
    sent(book.ledger, "pt-after", "B2", units=3, amount_cents=13500)
    hear(book.ledger, "1", Standing.DENIED, destination_id="B1")
    change(book, day, units=99, amount_cents=99)
    found = refused(book, day)
    assert (found.reference, found.service_date, found.units, found.amount_cents) == (REFERENCE, "2026-11-09", 2, 9000)


def tell(book: Any, day: int, event: str, detail: str, entity: str = "day") -> None:
    with book.ledger.transaction():
        book.ledger.history.add(CLINIC, entity, day, event, detail)


@pytest.mark.parametrize("standing", [Standing.REJECTED, Standing.DENIED])
def test_a_refusal_is_settled_by_a_release_of_it_after_the_last_bad_news(book, standing: Standing) -> None:
    day, other = sent(book.ledger), sent(book.ledger, LOOKALIKE, "B2")
    hear(book.ledger, "1", standing, destination_id="B1")
    tell(book, day, "release", "DC01")
    tell(book, day, "release", "RJ01 RJ02", entity="submission")
    tell(book, other, "release", "RJ01 RJ02")
    assert not refused(book, day).settled and book.ledger.standings.refusal(day) is not None
    tell(book, day, "release", "RJ01 RJ02")
    tell(book, day, "exclude", "RJ01")
    assert refused(book, day).settled and book.ledger.standings.refusal(day) is None
    hear(book.ledger, "2", standing, destination_id="B1", said_at="2026-11-22T11:00:00Z")
    assert not refused(book, day).settled, "bad news again"


def test_what_let_a_charge_through_is_of_the_judgement_that_it_was_made_from(book) -> None:
    """Not of an earlier one of the same run, of a later run, of another day, or of a later submission of the day."""
    other = book.visit("e2")
    book.judge(other, "held", page={"findings": [{"code": "ZZ01"}]})
    day = book.visit("e1")
    book.judge(day, "held", page={"findings": [{"code": "AA01"}]})
    book.send(day, page={"findings": [{"code": "MU01"}]})
    book.answer()
    book.judge(other, "held", page={"findings": [{"code": "ZZ02"}]})
    book.ledger.begin_run(CLINIC)
    book.judge(day, "held", "DC01", page={"findings": [{"code": "BB01"}]})
    book.hear("1", Stage.PAYER, Standing.DENIED, reference=book.row(day).reference)
    assert refused(book, day).let_through == ("MU01",)
    book.send(day, b"2", Frequency.REPLACEMENT, page={"findings": [{"code": "CC01"}]})
    book.answer(destination_id="B-8")
    book.hear("2", Stage.PAYER, Standing.DENIED, destination_id="B-8")
    assert refused(book, day).let_through == ("CC01",)
    (first, _) = [row[0] for row in book.connection.execute("SELECT id FROM submission WHERE day_id = ? ORDER BY id", (day,))]
    page = book.ledger.standings.judgement_of(first)
    assert json.dumps(page["findings"]) == '[{"code": "MU01"}]'


def test_an_answer_of_which_a_part_cannot_be_read_is_named(book) -> None:
    codes = (NativeCode(system="x12", code="CLP-1", text=""), NativeCode(system="x12", code="unreadable-835", text=""))
    hear(book.ledger, "1", reference="pt-of nobody", codes=codes, text="era.835 cannot be read")
    (orphan,) = book.ledger.standings.orphans(CLINIC)
    assert (orphan["codes"], orphan["unreadable"]) == (["CLP-1", "unreadable-835"], "era.835 cannot be read")
