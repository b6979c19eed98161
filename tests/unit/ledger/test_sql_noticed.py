"""Parts of statements that, left out or changed by hand, once passed every other test: `tests/mutate.py` changes no SQL.

Each has its counterpart here that must not be taken: another clinic, another day, a state or a moment beside the right one.
"""

from __future__ import annotations

from ptbridge.ledger import Verdict
from ptbridge.model import Disposition, Frequency, Submission

CLINIC, SOURCE, PLATFORM = "riverside", "fhir_r4", "charge_api"
OTHER = "lakeside"


def dirty(book):
    return [day.id for day in book.ledger.days.dirty(CLINIC)]


def of_other(book, name="theirs", state="held", **more):
    """A treatment day of another clinic in the same ledger, of the same patient id."""
    days = book.ledger.days
    with book.ledger.transaction():
        day = days.ensure(OTHER, name, f"pt-{name}", "2026-11-20", "pat-key")
        days.record(book.row(day), Verdict(**({"state": state, "body": b"{}", "visits_sha256": b"v"} | more)))
    return day


def queued_of_other(book, name="theirs", destination=PLATFORM, clinic=OTHER, **more):
    """The same with a submission that waits."""
    submission = Submission(
        clinic=clinic,
        destination=destination,
        key=f"key of {name}",
        reference=f"pt-{name}",
        order_key=f"pt-{name}",
        revision=1,
        frequency=Frequency.ORIGINAL,
        body=b"1",
        service_date="2026-11-20",
    )
    facts = {"state": "queued", "content_sha256": b"c", "submission": submission}
    return of_other(book, name, **(facts | more))


# ---------------------------------------------------------------- days that wait for a judgement


def test_a_day_waits_for_no_correction_of_its_own_when_its_visit_comes_back(book):
    there = book.sent("e1", day="there")
    elsewhere = book.visit("e1", day="elsewhere", payload=b"2")
    assert book.visit("e1", day="there", payload=b"3") == there
    assert dirty(book) == [there, elsewhere], "both at once, and neither for the other"


def test_a_day_waits_for_no_correction_where_nothing_is_live(book):
    old, new = book.visit("e1", day="old"), book.visit("e1", day="new", payload=b"2")
    assert dirty(book) == [old, new]


def test_a_day_whose_submission_is_in_doubt_or_on_its_way_is_not_judged(book):
    for name in ("e1", "e2", "e3"):
        book.send(book.visit(name))
    outbox = book.ledger.outbox(CLINIC, PLATFORM)
    outbox.start(tuple(outbox.due(now=2e9, limit=2)), now=2e9)
    book.connection.execute("UPDATE submission SET state = 'in-doubt' WHERE id = 2")
    book.connection.execute("UPDATE treatment_day SET dirty = 1")
    assert dirty(book) == [3]


def test_days_are_judged_by_service_date_and_then_in_the_order_in_which_they_came(book):
    late, early, same = book.visit("e1", on=9), book.visit("e2", on=3), book.visit("e3", on=3)
    assert dirty(book) == [early, same, late]


def test_a_day_that_took_over_a_visit_waits_until_the_correction_is_judged_and_until_it_is_answered(book):
    """The correction's own day: first it waits for its judgement, then its submission is on its way, then nothing is left."""
    old = book.sent("e1", day="old", on=9)
    new = book.visit("e1", day="new", on=3, payload=b"2")
    with book.ledger.transaction():
        book.ledger.days.mark([old])
    assert dirty(book) == [old]
    book.send(old, b"2", Frequency.REPLACEMENT)
    assert dirty(book) == []
    book.answer()
    assert dirty(book) == [new]


def test_each_clinic_has_its_own_days(book):
    mine, theirs = book.visit("e1"), of_other(book, "e1")
    with book.ledger.transaction():
        assert book.ledger.days.ensure(OTHER, "e1", "never stored", None) == theirs != mine
        book.ledger.days.mark_held(CLINIC)
    assert book.ledger.days.dirty(OTHER) == []
    with book.ledger.transaction():
        book.ledger.days.mark_held(OTHER)
    assert [day.id for day in book.ledger.days.dirty(OTHER)] == [theirs] and dirty(book) == [mine]


def test_a_day_belongs_to_its_patient_from_the_start(book):
    assert book.row(book.visit("e1")).patient_key == "pat-key"


# ---------------------------------------------------------------- days that change


def changing(book):
    return [day.id for day in book.ledger.days.changing(CLINIC)]


def test_what_changes_is_live_and_held_or_on_its_way_or_waits_in_the_window(book):
    live_held, live_queued, _ = book.sent("e1", on=9), book.sent("e2", on=3), book.sent("e6", on=1)  # the last stays as it is
    book.judge(live_held, "held", "SB01")
    book.send(live_queued, b"2", Frequency.REPLACEMENT)
    in_window = book.visit("e3", on=3)
    book.send(in_window, window_seconds=60.0)
    book.send(book.visit("e4", on=1))  # waits for delivery alone
    book.judge(book.visit("e5", on=1), "held", "DC01")  # nothing of it is live
    assert changing(book) == [live_queued, in_window, live_held]
    window_gone = book.visit("e7", on=1)
    book.send(window_gone, window_seconds=60.0)
    book.connection.execute("UPDATE submission SET state = 'sending' WHERE day_id = ?", (window_gone,))
    assert changing(book) == [live_queued, in_window, live_held], "it has left"


def test_a_void_on_its_way_is_a_change_and_its_end_is_none(book):
    day = book.sent("e1")
    book.send(day, b"void", Frequency.VOID, judge_after=True)
    book.connection.execute("UPDATE treatment_day SET state = 'open'")
    assert changing(book) == [day]
    book.connection.execute("UPDATE treatment_day SET state = 'sent'")
    assert changing(book) == []


def test_another_clinics_changes_are_its_own(book):
    theirs = [of_other(book, "held"), queued_of_other(book, "queued")]
    book.connection.execute("UPDATE treatment_day SET live_sha256 = x'00'")
    assert changing(book) == [] and [day.id for day in book.ledger.days.changing(OTHER)] == theirs
    assert book.ledger.days.given_up(OTHER) == []


# ---------------------------------------------------------------- what delivery gave up


def test_what_delivery_gave_up_comes_in_the_order_it_was_made_with_its_last_answer(book):
    late, early = book.visit("e1", on=9), book.visit("e2", on=3)
    for day in (late, early):
        book.send(day, b"%d" % day)
        book.answer(Disposition.RETRY, native_code="first")
        book.connection.execute("UPDATE submission SET next_at = 0")
        book.answer(Disposition.REJECTED, hold="rejected:422", native_code="last")
    found = [(one["id"], one["native_code"], one["attempts"]) for one in book.ledger.days.given_up(CLINIC)]
    assert found == [(book.row(late).reference, "last", 2), (book.row(early).reference, "last", 2)]
    assert book.ledger.days.given_up(OTHER) == []
    book.judge(late, "excluded", "by-person")
    assert [one["id"] for one in book.ledger.days.given_up(CLINIC)] == [book.row(early).reference]
    book.send(early, b"again")
    book.judge(early, "held", "DC01")
    assert [one["native_code"] for one in book.ledger.days.given_up(CLINIC)] == ["last"], "what was replaced was not given up"


def test_what_may_leave_when_is_told_of_what_waits(book):
    day = book.sent("e1")
    assert book.ledger.days.goes_at(book.row(day)) is None, "it has left"


# ---------------------------------------------------------------- what is live


def test_the_newest_accepted_submission_is_what_is_live(book):
    day = book.sent("e1", body=b"1", page={"payer_as_given": "first"})
    book.send(day, b"2", Frequency.REPLACEMENT, page={"payer_as_given": "second"})
    book.answer()
    book.send(day, b"3", Frequency.REPLACEMENT, page={"payer_as_given": "third"})
    live = book.ledger.days.live(book.row(day))
    assert (live.body, live.payer) == (b"2", "second")
    assert b"second" in book.ledger.days.live_judgement(book.row(day))


def test_a_visit_is_still_billed_where_a_held_day_that_it_left_is_live(book):
    old = book.sent("e1", day="old", page={"visits": [{"visit_id": "e1"}]})
    new = book.visit("e1", day="new", payload=b"2")
    assert book.ledger.days.still_billed(book.row(new)) == [], "its correction may go"
    book.judge(old, "held", "SB01")
    assert book.ledger.days.still_billed(book.row(new)) == [book.row(old).reference]
    book.visit("e1", day="old", payload=b"3")
    assert book.ledger.days.still_billed(book.row(old)) == [], "of a day that it came back to"
    never_sent, moved = book.visit("e2", day="third"), book.visit("e2", day="fourth", payload=b"2")
    book.judge(never_sent, "held", "DC01")
    assert book.ledger.days.still_billed(book.row(moved)) == []


# ---------------------------------------------------------------- what a person asks for


def test_only_what_delivery_holds_is_opened_again(book):
    day = book.visit("e1")
    book.send(day)
    book.answer(Disposition.IN_DOUBT, hold="in-doubt")
    waiting = book.sent("e2")
    book.send(waiting, b"2", Frequency.REPLACEMENT)
    with book.ledger.transaction():
        book.ledger.days.reopen_submissions(book.row(waiting))
    assert [made["state"] for made in book.ledger.accounts.submissions_of(waiting)] == ["accepted", "queued"]


def test_a_refused_submission_keeps_its_attempts_and_one_in_doubt_starts_anew_at_once(book):
    refused, doubted = book.visit("e1"), book.visit("e2")
    for day, disposition, hold in (
        (refused, Disposition.REJECTED, "rejected:422"),
        (doubted, Disposition.IN_DOUBT, "in-doubt"),
    ):
        book.send(day)
        book.answer(disposition, hold=hold)
        with book.ledger.transaction():
            book.ledger.days.reopen_submissions(book.row(day))
    rows = book.connection.execute("SELECT state, open, attempts, next_at FROM submission ORDER BY id").fetchall()
    assert rows == [("replaced", 0, 1, 0.0), ("in-doubt", 1, 0, 0.0)]


def test_what_has_left_cannot_be_taken_back_and_nothing_else_is_touched(book):
    day, beside = book.sent("e1"), book.visit("e2")
    book.send(day, b"2", Frequency.REPLACEMENT)
    with book.ledger.transaction():
        assert book.ledger.days.take_back(book.row(day), "someone")
    assert [made["state"] for made in book.ledger.accounts.submissions_of(day)] == ["accepted", "replaced"]
    assert book.row(beside).state == "open"
    with book.ledger.transaction():
        assert not book.ledger.days.take_back(book.row(day), "someone"), "nothing waits any longer"


def test_only_what_waits_in_the_window_is_let_go_and_at_once(book):
    day = book.visit("e1")
    book.send(day)
    book.answer(Disposition.RETRY)
    with book.ledger.transaction():
        assert not book.ledger.days.close_window(book.row(day)), "a retry keeps its time"
    windowed = book.visit("e2")
    book.send(windowed, window_seconds=3600.0)
    with book.ledger.transaction():
        assert book.ledger.days.close_window(book.row(windowed))
    (row,) = book.connection.execute("SELECT window_until, next_at, queued_at FROM submission WHERE day_id = ?", (windowed,))
    assert row == (None, book.now.timestamp(), book.now.timestamp())
    gone = book.visit("e3")
    book.send(gone, window_seconds=3600.0)
    book.connection.execute("UPDATE submission SET state = 'sending' WHERE day_id = ?", (gone,))
    with book.ledger.transaction():
        assert not book.ledger.days.close_window(book.row(gone)), "it has left"


def test_the_newest_decision_counts(book):
    day = book.visit("e1")
    book.judge(day, "held", "DC01")
    for kind in ("release", "exclude"):
        with book.ledger.transaction():
            book.ledger.days.decide(book.row(day), kind, "DC01", "so", "someone")
    assert book.ledger.days.decision(day).kind == "exclude"
