"""Places where a small wrong change of treatment days, judgements or the history once passed every other test."""

from __future__ import annotations

import json

import pytest

from ptbridge.ledger import BilledLine, Ledger
from ptbridge.ledger.judging import side_by_side
from ptbridge.model import Disposition, Frequency

CLINIC, SOURCE, PLATFORM = "riverside", "fhir_r4", "charge_api"
LINE = BilledLine(procedure="97110", modifiers=("GP",), units=2, amount_cents=9000)


def dirty(book):
    return [day.id for day in book.ledger.days.dirty(CLINIC)]


def events(book, entity, id_):
    return [(row["event"], row["detail"], row["actor"]) for row in book.ledger.history.of(entity, id_)]


def billed(book, day):
    rows = book.connection.execute("SELECT procedure, modifiers, units, amount_cents FROM billed_line WHERE day_id = ?", (day,))
    return rows.fetchall()


# ---------------------------------------------------------------- days


def test_what_delivery_holds_is_told_under_these_names(book):
    day = book.visit("e1", on=3)
    book.send(day)
    book.answer(Disposition.REJECTED, hold="rejected:201")
    (made,) = book.ledger.accounts.submissions_of(day)
    assert book.ledger.days.given_up(CLINIC) == [
        {
            "id": book.row(day).reference,
            "service_date": "2026-11-03",
            "frequency": "1",
            "key": made["key"],
            "reason": "rejected:201",
            "attempts": 1,
            "first_attempt_at": 2e9,
            "last_attempt_at": 2e9,
            "units": 2,
            "amount_cents": 9000,
            "held_since": book.ledger.history.now(),
            "native_code": "201",
        }
    ]


def judgement_not_kept(book):
    """A ledger of before the fourth schema does not always know from which judgement a submission was made."""
    book.connection.execute("UPDATE submission SET version_id = NULL")


def test_what_is_live_without_the_judgement_it_was_made_from_is_its_bytes_alone(book):
    day = book.sent("e1", body=b"exact", page={"payer_as_given": "MCR-B"})
    judgement_not_kept(book)
    live = book.ledger.days.live(book.row(day))
    assert (live.body, live.lines, live.payer) == (b"exact", (), None)
    assert book.ledger.days.live_judgement(book.row(day)) is None


def test_after_a_void_no_judgement_is_live(book):
    day = book.sent("e1")
    book.send(day, b"void", Frequency.VOID)
    book.answer()
    assert book.ledger.days.live(book.row(day)) is None and book.ledger.days.live_judgement(book.row(day)) is None


def moved(book, page=None):
    """A visit that left a day which the biller has and which is held: the rows of the old day and of the new."""
    old = book.sent("e1", day="old", page=page)
    new = book.visit("e1", day="new", payload=b"2")
    book.judge(old, "held", "SB01")
    return old, new


def test_without_the_live_judgement_every_visit_that_left_counts_as_billed(book):
    old, new = moved(book)
    judgement_not_kept(book)
    assert book.ledger.days.still_billed(book.row(new)) == [book.row(old).reference]


def test_one_visit_among_several_of_the_live_judgement_is_billed_under_its_live_name(book):
    _, new = moved(book, {"visits": [{"visit_id": "e7"}, {"visit_id": "e1"}]})
    book.connection.execute("UPDATE treatment_day SET live_reference = 'pt-after-a-void' WHERE live_reference IS NOT NULL")
    assert book.ledger.days.still_billed(book.row(new)) == ["pt-after-a-void"]


def test_what_a_person_does_outside_a_run_carries_the_number_of_none(book):
    book.judge(book.visit("e1"), "held", "DC01")
    book.ledger.close()
    with Ledger.open(book.folder) as ledger, ledger.transaction():
        (day,) = ledger.days.named("e1")
        ledger.days.decide(day, "release", "DC01", "checked", "someone")
        ledger.history.flush()
        (row,) = ledger._connection.execute("SELECT run_id FROM history WHERE event = 'release'")
        assert row == (0,)


def test_the_history_tells_of_what_its_own_transaction_has_not_written_yet(book):
    day = book.visit("e1")
    with book.ledger.transaction():
        book.ledger.history.add(CLINIC, "day", day, "noted")
        assert events(book, "day", day) == [("noted", "", "ptbridge")]


def test_what_is_sent_is_the_programs_own_doing(book):
    book.sent("e1")
    (made,) = book.ledger.accounts.submissions_of(1)
    assert events(book, "submission", 1) == [
        ("queued", made["key"], "ptbridge"),
        ("sending", "attempt 1", "ptbridge"),
        ("accepted", "B-7", "ptbridge"),
    ]


# ---------------------------------------------------------------- judgements


def test_what_a_day_bills_is_what_its_last_judgement_bills(book):
    day = book.visit("e1")
    book.judge(day, "held", "DC01", billed=(LINE, LINE))
    assert billed(book, day) == [("97110", "GP", 2, 9000)] * 2
    book.judge(day, "held", "DC01", billed=())
    assert billed(book, day) == []


def two_days(book):
    """The earlier and the later day of a patient, of which the later is held and was judged."""
    earlier, later = book.visit("e1", on=3), book.visit("e2", on=5)
    book.judge(earlier, "held", "DC01", billed=(LINE,))
    book.judge(later, "held", "AU04", billed=(LINE,))
    assert dirty(book) == []
    return earlier, later


def test_a_judgement_that_bills_the_same_asks_nobody_again(book):
    earlier, _ = two_days(book)
    book.judge(earlier, "held", "DC02", billed=(LINE,))
    assert dirty(book) == []


def test_a_day_that_is_excluded_or_no_longer_is_has_later_held_days_judged_again(book):
    """What it bills is the same: an excluded day with lines counts for nobody."""
    earlier, later = two_days(book)
    book.judge(earlier, "excluded", "no-show", billed=(LINE,))
    assert dirty(book) == [later]
    book.judge(later, "held", "AU04", billed=(LINE,))
    book.judge(earlier, "excluded", "by-person", billed=(LINE,))
    assert dirty(book) == []
    book.judge(earlier, "held", "DC01", billed=(LINE,))
    assert dirty(book) == [later]


def test_only_held_days_of_the_patient_that_come_after_are_judged_again(book):
    """Of one date, the day that is newer in the ledger comes after."""
    before, one = book.visit("e1", on=3), book.visit("e2", on=5)
    same_date, after, sent = book.visit("e3", on=5), book.visit("e4", on=9), book.visit("e5", on=10)
    other = book.visit("e6", on=11)
    book.connection.execute("UPDATE treatment_day SET patient_key = 'somebody else' WHERE id = ?", (other,))
    for day in (before, one, same_date, after, other):
        book.judge(day, "held", "DC01")
    book.send(sent)
    book.judge(one, "held", "DC01", billed=(LINE,))
    assert dirty(book) == [same_date, after]


def test_a_submission_that_another_replaces_says_so(book):
    day = book.visit("e1")
    book.send(day)
    book.send(day, b"2")
    first, second = book.ledger.accounts.submissions_of(day)
    assert events(book, "submission", 1) == [("queued", first["key"], "ptbridge"), ("replaced", "", "ptbridge")]
    assert events(book, "submission", 2) == [("queued", second["key"], "ptbridge")]


@pytest.mark.parametrize(
    ("frequency", "by_hand", "event"),
    [
        (Frequency.REPLACEMENT, False, "queued-replacement"),
        (Frequency.VOID, False, "queued-void"),
        (Frequency.VOID, True, "by-hand"),
    ],
)
def test_the_history_says_how_a_submission_came_about(book, frequency, by_hand, event):
    day = book.sent("e1")
    book.send(day, b"2", frequency, by_hand=by_hand)
    _, made = book.ledger.accounts.submissions_of(day)
    assert events(book, "submission", 2) == [(event, made["key"], "ptbridge")]


def test_never_more_than_two_hundred_days_are_judged_at_a_time(book):
    """What a run holds in memory is bounded; what is left comes with the next question."""
    for number in range(201):
        with book.ledger.transaction():
            book.ledger.days.ensure(CLINIC, f"d{number}", f"pt-{number}", "2026-11-03")
    assert len(book.ledger.days.dirty(CLINIC)) == 200


def test_what_a_person_took_back_is_held_under_this_word(book):
    day = book.visit("e1")
    book.send(day)
    with book.ledger.transaction():
        book.ledger.days.take_back(book.row(day), "someone")
    assert book.row(day).reason == "undone-by-person"


def test_days_go_side_by_side_unless_something_is_said_to_go_alone(book):
    rows = [book.row(book.visit(name)) for name in ("e1", "e2", "e3")]
    book.connection.execute("UPDATE treatment_day SET patient_key = NULL")
    rows = [book.row(row.id) for row in rows]
    assert list(side_by_side(rows, lambda row: row)) == [rows]


def test_a_day_that_lost_its_visits_is_known_by_what_the_biller_has_of_it_or_by_its_newest_judgement_with_one(book):
    def page(name: str) -> dict[str, object]:
        return {"visits": [{"visit_id": name}], "lines": []}

    def known(day: int) -> list[str] | None:
        body = book.ledger.days.before_it_was_empty(book.row(day))
        return body and [visit["visit_id"] for visit in json.loads(body)["visits"]]

    never = book.visit("e0")
    assert known(never) is None, "never judged"
    book.judge(never, "held")
    assert known(never) is None, "and never with a visit"
    held = book.visit("e1")
    for visit in ("first", "second"):
        book.judge(held, "held", page=page(visit))
    book.judge(held, "held")
    assert known(held) == ["second"]
    sent = book.sent("e2", page=page("charged"))
    book.judge(sent, "held", page=page("edited"))
    book.judge(sent, "held")
    assert known(sent) == ["charged"]
