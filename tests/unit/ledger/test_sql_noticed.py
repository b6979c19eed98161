"""Parts of statements that, left out or changed by hand, once passed every other test: `tests/mutate.py` changes no SQL.

Each has its counterpart here that must not be taken: another clinic, another day, a state or a moment beside the right one.
"""

from __future__ import annotations

from dataclasses import replace

import pytest

from ptbridge.ledger import BilledLine, Verdict
from ptbridge.model import Acknowledgement, Disposition, Frequency, Stage, Standing, Submission
from ptbridge.ports import Outcome

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
    there = book.sent("e1", day="there", page={"visits": [{"visit_id": "e1"}]})
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


# ---------------------------------------------------------------- judgements


def lines(*codes):
    return tuple(BilledLine(procedure=code, modifiers=("GP",), units=1, amount_cents=4500) for code in codes)


def test_two_lines_that_stay_as_they_were_ask_nobody_again(book):
    earlier, later = book.visit("e1", on=3), book.visit("e2", on=5)
    book.judge(later, "held", "AU04")
    book.judge(earlier, "held", "DC01", billed=lines("97140", "97110"))
    assert dirty(book) == [later]
    book.judge(later, "held", "AU04")
    book.judge(earlier, "held", "DC01", billed=lines("97140", "97110"))
    assert dirty(book) == []
    book.judge(earlier, "held", "DC01", billed=lines("97110", "97140"))
    assert dirty(book) == [later], "in another order they are others"


def test_what_a_day_bills_asks_nobody_of_another_clinic_and_takes_no_other_days_lines(book):
    theirs = of_other(book, billed=lines("97110"))
    book.judge(book.visit("e1", on=3), "held", "DC01", billed=lines("97140"))
    assert book.ledger.days.dirty(OTHER) == []
    assert book.connection.execute("SELECT procedure FROM billed_line WHERE day_id = ?", (theirs,)).get == "97110"


def test_nothing_is_left_of_what_was_turned_away(book):
    day = book.sent("e1")
    book.hear("a1", Stage.PAYER, Standing.REJECTED, destination_id="B-7", payer_claim_number="ICN-1")
    assert book.row(day).payer_claim_number == "ICN-1"
    book.judge(day, "voided", gone=True)
    row = book.row(day)
    assert (row.live_reference, row.live_frequency, row.payer_claim_number, row.live_id) == (None, None, None, "B-7")


def test_the_newest_that_a_person_had_the_biller_do_is_what_it_has(book):
    day = book.sent("e1")
    for number, units in ((b"2", 3), (b"3", 4)):
        book.send(day, number, Frequency.REPLACEMENT, units=units, by_hand=True)
    assert book.row(day).live_units == 4


# ---------------------------------------------------------------- visits


def store(book, clinic=CLINIC, source=SOURCE, payload=b"theirs"):
    """The visit `e1` of another clinic or source, which cannot be read."""
    record = replace(book.record("e1", payload), clinic=clinic, source=source)
    with book.ledger.transaction():
        record_id = book.ledger.visits.store(record, b"d")
        book.ledger.visits.quarantine(record, b"d", record_id, "not JSON", None)


@pytest.mark.parametrize("other", [{"clinic": OTHER}, {"source": "csv_drop"}])
def test_a_visit_is_one_of_its_clinic_and_its_source(book, other):
    store(book, **other)
    visits = book.ledger.visits
    assert visits.find(CLINIC, SOURCE, "e1") is None and visits.latest(CLINIC, SOURCE, "e1") is None
    assert visits.keys_never_read(CLINIC, SOURCE) == ()
    place = {"clinic": CLINIC, "source": SOURCE} | other
    assert visits.find(place["clinic"], place["source"], "e1").state == "quarantined"
    assert visits.keys_never_read(place["clinic"], place["source"]) == ("e1",)


def test_only_this_clinics_visits_are_read_again(book):
    store(book, clinic=OTHER)
    assert [record.clinic for _, record, _ in book.ledger.visits.to_read_again(OTHER)] == [OTHER]
    held, sent = book.visit("e1"), book.sent("e2")
    book.judge(held, "held", "DC01")
    book.visit("e3", day="e1")
    with book.ledger.transaction():
        book.ledger.visits.gone(CLINIC, SOURCE, "e3")
    assert [record.record_key for _, record, _ in book.ledger.visits.to_read_again(CLINIC)] == ["e1"]
    assert book.row(sent).state == "sent"
    book.connection.execute("UPDATE visit SET clinic = 'elsewhere' WHERE clinic = 'riverside' AND visit_id = 'e1'")
    book.connection.execute("UPDATE treatment_day SET clinic = 'elsewhere' WHERE id = ?", (held,))
    assert [record.record_key for _, record, _ in book.ledger.visits.to_read_again(CLINIC)] == []


def fates(book, run):
    return book.ledger.accounts.fates(CLINIC, run)[0].total()


def test_a_visit_that_comes_again_in_whatever_way_is_counted_by_the_run_that_saw_it(book):
    book.visit("e1")
    for again in (
        lambda: book.visit("e1", payload=b"the same in new bytes"),
        lambda: book.visit("e1", lines=2, payload=b"changed"),
        lambda: book.unreadable("e1"),
        lambda: gone(book, "e1"),
    ):
        run = book.ledger.begin_run(CLINIC)
        assert fates(book, run) == 0
        again()
        assert fates(book, run) == 1


def gone(book, visit_id):
    with book.ledger.transaction():
        return book.ledger.visits.gone(CLINIC, SOURCE, visit_id)


def test_new_content_is_excluded_by_no_rule_and_in_no_line_until_it_is_judged(book):
    day = book.visit("e1", lines=3)
    book.judge(day, "excluded", "no-show", excluded={1: (3, "no-show")})
    assert book.ledger.columns.never_billed(CLINIC) == {"no-show": 1}
    book.visit("e1", lines=2, payload=b"2")
    assert book.ledger.columns.never_billed(CLINIC) == {}
    assert book.connection.execute("SELECT lines, excluded_lines FROM visit").get == (2, 0)


def test_what_a_day_is_judged_by_is_the_newest_readable_content_of_what_is_in_it(book):
    day = book.visit("e2")
    for name in ("e1", "e3", "e4"):
        book.visit(name, day="e2")
    book.visit("e2", lines=2, payload=b"2")
    book.unreadable("e3")
    gone(book, "e4")
    stored = book.ledger.visits.of_day(day)
    assert [(one.visit.visit_id, len(one.visit.interventions)) for one in stored] == [("e2", 2), ("e1", 1)], "as they came"
    book.tamper("UPDATE visit_version SET purged_at = '2026-11-22' WHERE visit = 1")
    assert [one.visit.visit_id for one in book.ledger.visits.of_day(day)] == ["e1"]


def test_what_touched_a_day_comes_in_the_order_in_which_it_was_first_seen(book):
    day = book.visit("e2")
    book.visit("e1", day="e2")
    book.visit("e9", day="elsewhere")
    book.visit("e2", day="elsewhere", payload=b"2")
    assert [name for name, *_ in book.ledger.visits.touching(day)] == ["e2", "e1"]


def test_the_word_of_a_days_history_is_no_visits(book):
    """Day and visit have the same row id here, and the same word."""
    day, at = book.visit("e1"), book.ledger.history.now()
    book.now = book.now.replace(hour=9)
    with book.ledger.transaction():
        book.ledger.history.add(CLINIC, "day", day, "read")
    assert book.ledger.visits.touching(day) == [("e1", "read", True, at)]


def recent(book, visit_id, days_ago):
    """A visit whose day lies so many days back, by SQLite's own clock."""
    day = book.visit(visit_id)
    book.connection.execute("UPDATE treatment_day SET service_date = date('now', ?) WHERE id = ?", (f"-{days_ago} days", day))


def test_recent_visits_are_those_of_the_last_days_that_still_stand(book):
    for name, days_ago in (("e0", 0), ("e29", 29), ("e30", 30), ("e31", 31), ("unreadable", 3), ("gone", 3)):
        recent(book, name, days_ago)
    book.unreadable("unreadable")
    gone(book, "gone")
    visits = book.ledger.visits
    assert sorted(visits.keys_of_recent_days(CLINIC, SOURCE)) == ["e0", "e29", "e30"]
    assert visits.keys_of_recent_days(OTHER, SOURCE) == visits.keys_of_recent_days(CLINIC, "csv_drop") == ()


def test_visits_between_two_dates_are_those_of_the_source_that_it_did_not_delete(book):
    for name, on in (("e2", 2), ("e3", 3), ("e5", 5), ("e6", 6), ("gone", 4)):
        book.visit(name, on=on)
    gone(book, "gone")
    visits = book.ledger.visits
    assert sorted(visits.keys_between(CLINIC, SOURCE, "2026-11-03", "2026-11-05")) == ["e3", "e5"]
    everything = ("2026-01-01", "2026-12-31")
    assert visits.keys_between(OTHER, SOURCE, *everything) == visits.keys_between(CLINIC, "csv_drop", *everything) == ()


def test_never_read_is_what_no_version_of_could_be_read(book):
    book.unreadable("e1")
    book.visit("e2")
    book.unreadable("e2")
    book.unreadable("e3")
    gone(book, "e3")
    assert book.ledger.visits.keys_never_read(CLINIC, SOURCE) == ("e1",)


def test_the_newest_record_of_what_was_deleted_or_purged_is_none(book):
    book.visit("e1")
    book.visit("e2")
    gone(book, "e1")
    book.tamper("UPDATE source_record SET purged_at = '2026-11-22' WHERE record_key = 'e2'")
    assert book.ledger.visits.latest(CLINIC, SOURCE, "e1") is None
    assert book.ledger.visits.latest(CLINIC, SOURCE, "e2") is None


def test_first_sent_is_the_first_submission_of_its_day_or_of_the_day_that_it_left(book):
    visits, first = book.ledger.visits, book.now
    book.sent("e1", day="old")
    book.now = book.now.replace(hour=5)
    new = book.visit("e1", day="new", payload=b"2")
    assert visits.first_sent(CLINIC, SOURCE, "e1") == first, "with the day that it left"
    book.send(new, b"2")
    book.answer()
    assert visits.first_sent(CLINIC, SOURCE, "e1") == first
    book.sent("e2")
    assert visits.first_sent(CLINIC, SOURCE, "e2") == book.now, "with its own day"
    assert visits.first_sent(OTHER, SOURCE, "e1") is None and visits.first_sent(CLINIC, "csv_drop", "e1") is None


def test_what_of_a_day_cannot_be_read_or_was_purged(book):
    day, purged = book.visit("e1"), book.visit("e3")
    book.visit("e2", day="e1")
    book.unreadable("e2", "no code")
    book.connection.execute("UPDATE treatment_day SET purged_at = '2026-11-22T01:02:03' WHERE id = ?", (purged,))
    assert book.ledger.visits.unreadable_of_day(day) == ["no code"]
    assert book.ledger.visits.unreadable_of_day(purged) == ["what it said before was purged on 2026-11-22"]


# ---------------------------------------------------------------- what is live


def named(book, day):
    row = book.row(day)
    return (row.live_id, row.stage, row.standing, row.payer_claim_number)


def test_an_answer_without_an_id_keeps_the_billers_and_starts_the_news_anew(book):
    day = book.sent("e1")
    book.hear("a1", Stage.PAYER, Standing.DENIED, destination_id="B-7", payer_claim_number="ICN-1")
    assert named(book, day) == ("B-7", "payer", "denied", "ICN-1")
    book.judge(day, "held", "RJ02")
    book.send(day, b"2", Frequency.REPLACEMENT)
    book.answer(destination_id=None)
    assert named(book, day) == ("B-7", "received", "accepted", None)
    row = book.row(day)
    assert (row.state, row.reason, row.held_since) == ("sent", None, None)


@pytest.mark.parametrize(("frequency", "state"), [(Frequency.ORIGINAL, "sent"), (Frequency.VOID, "voided")])
def test_an_answer_that_comes_after_all_ends_the_hold(book, frequency, state):
    """A doubt was a person's; then the biller answers by itself."""
    day = book.sent("e1") if frequency is Frequency.VOID else book.visit("e1")
    book.send(day, b"2", frequency)
    book.answer(Disposition.IN_DOUBT, hold="in-doubt")
    assert (book.row(day).reason, book.row(day).held_since) == ("in-doubt", book.ledger.history.now())
    outbox = book.ledger.outbox(CLINIC, PLATFORM)
    (item,) = outbox.doubted()
    said = Acknowledgement(disposition=Disposition.ACCEPTED, destination_id="B-8", native_code="201")
    outbox.finish((Outcome(item=item, acknowledgement=said),), now=2e9)
    row = book.row(day)
    assert (row.state, row.reason, row.held_since) == (state, None, None)


def test_a_void_leaves_nothing_but_the_billers_id(book):
    day = book.sent("e1")
    book.hear("a1", Stage.PAYER, Standing.DENIED, destination_id="B-7", payer_claim_number="ICN-1")
    book.connection.execute("UPDATE treatment_day SET held_since = 'then'")
    book.send(day, b"2", Frequency.VOID, reason="why")
    book.connection.execute("UPDATE treatment_day SET held_since = 'then', dirty = 1")
    book.answer(destination_id=None)
    assert named(book, day) == ("B-7", None, None, None)
    row = book.row(day)
    assert (row.state, row.reason, row.held_since, row.live_cents, row.live_reference, row.live_frequency) == (
        *("voided", None, None, 0, None, None),
    )
    assert dirty(book) == [day], "what asked for a judgement still does"


def test_a_visit_that_moved_has_its_held_day_judged_again_and_no_other(book):
    old, beside = book.sent("e1", day="old"), book.sent("e2", day="beside")
    book.visit("e1", day="new", payload=b"2")
    moved_to_sent = book.visit("e3", day="old", on=3)
    (new,) = (row.id for row in book.ledger.days.named("e1"))
    book.judge(new, "held", "SB06")
    book.judge(moved_to_sent, "held", "SB06")
    book.judge(beside, "held", "DC01")
    book.send(old, b"2", Frequency.REPLACEMENT)
    book.answer()
    assert dirty(book) == [new]


def test_a_day_that_is_sent_already_is_not_judged_again_because_a_visit_of_it_was_billed_elsewhere(book):
    old = book.sent("e1", day="old")
    book.visit("e1", day="new", payload=b"2")
    (new,) = (row.id for row in book.ledger.days.named("e1"))
    book.judge(new, "excluded", "no-show")
    for frequency in (Frequency.REPLACEMENT, Frequency.VOID):
        book.send(old, b"2", frequency)
        book.answer()
        assert dirty(book) == []


def test_what_a_void_frees_is_its_patients_in_its_clinic_and_of_the_visits_that_left(book):
    day, patients, somebodys, theirs = book.sent("e1", day="old"), book.visit("e2"), book.visit("e3"), of_other(book)
    book.visit("e1", day="new", payload=b"2")
    (new,) = (row.id for row in book.ledger.days.named("e1"))
    book.connection.execute("UPDATE treatment_day SET patient_key = 'somebody' WHERE id IN (?, ?)", (somebodys, new))
    for one in (patients, somebodys, new):
        book.judge(one, "held", "AU04")
    book.send(day, b"2", Frequency.VOID)
    book.answer()
    assert dirty(book) == [patients, new] and book.ledger.days.dirty(OTHER) == []
    assert theirs not in dirty(book)
