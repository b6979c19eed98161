"""After a restore, on a real ledger: what the biller has and this ledger forgot is settled before anything leaves."""

from __future__ import annotations

from datetime import UTC, date, datetime

import pytest

from ptbridge.ledger.restored import unknown_content
from ptbridge.model import Frequency
from ptbridge.plan import reference_of

CLINIC, PLATFORM = "riverside", "charge_api"
MADE = datetime(2026, 11, 20, 5, tzinfo=UTC)


@pytest.fixture
def restored(book):
    """A day live before the backup and its correction waiting, and two originals that wait."""
    live = book.sent("e1", on=3)
    book.send(live, b"2", Frequency.REPLACEMENT)
    for name, on in (("e2", 9), ("e3", 20)):
        book.send(book.visit(name, on=on))
    book.ledger.restored.mark(MADE, "someone")
    return book


def reference(book, visit_id):
    return book.ledger.days.named(visit_id)[0].reference


def compare(book, theirs):
    mark = book.ledger.restored.pending(CLINIC)
    book.ledger.restored.compared(CLINIC, mark, theirs)


def test_each_clinic_is_asked_once_after_the_newest_restore(restored):
    told = restored.ledger.restored
    mark = told.pending(CLINIC)
    assert (mark.backup_made_at, mark.restored_at) == (MADE, restored.now)
    compare(restored, {})
    assert told.pending(CLINIC) is None and told.pending("other") is not None
    told.mark(MADE, "someone")
    assert told.pending(CLINIC).id == mark.id + 1
    (row, *_) = restored.ledger.history.of("ledger", mark.id)
    assert (row["event"], row["actor"]) == ("restored", "someone")


def test_the_window_reaches_back_a_year_and_to_what_was_never_sent(restored):
    told = restored.ledger.restored
    mark = told.pending(CLINIC)
    assert told.window(CLINIC, mark, date(2026, 11, 21)) == ("2025-11-19", "2026-11-22")
    assert told.window("other", mark, date(2026, 11, 21)) == ("2025-11-19", "2026-11-22")
    restored.connection.execute("UPDATE treatment_day SET service_date = '2024-01-02' WHERE live_sha256 IS NULL")
    assert told.window(CLINIC, mark, date(2026, 11, 21))[0] == "2024-01-02"


def test_only_an_original_that_the_biller_has_is_suspected(restored):
    told = restored.ledger.restored
    theirs = {reference(restored, "e1"): (2, 9000), reference(restored, "e2"): (3, 13500), "pt-somebody": (1, 1)}
    compare(restored, theirs)
    (suspect,) = told.suspects(CLINIC)
    assert (suspect.reference, suspect.units, suspect.amount_cents) == (reference(restored, "e2"), 3, 13500)
    assert told.suspects("other") == [] and told.unasked(CLINIC) == []
    states = [row["state"] for row in restored.ledger.accounts.submissions_of(restored.ledger.days.named("e1")[0].id)]
    assert states == ["accepted", "in-doubt"], "a correction may have been sent: it is looked up first"
    (*_, told_of) = restored.ledger.history.of("ledger", 1)
    assert (told_of["event"], told_of["detail"]) == ("compared", "biller has 3")


def test_what_it_has_becomes_live_in_unknown_content_and_is_judged_again(restored):
    told = restored.ledger.restored
    compare(restored, {reference(restored, "e2"): (3, 13500)})
    (suspect,) = told.suspects(CLINIC)
    told.adopt(CLINIC, suspect)
    (day,) = restored.ledger.days.named("e2")
    assert (day.state, day.live_units, day.live_cents, day.live_reference) == ("sent", 3, 13500, suspect.reference)
    assert day.live_sha256 == unknown_content(suspect.reference) and day.live_frequency == "1" and day.live_id is None
    assert told.suspects(CLINIC) == [] and [one.id for one in restored.ledger.days.dirty(CLINIC)] == [day.id]
    waiting = [item.submission.reference for item in restored.ledger.outbox(CLINIC, PLATFORM).due(now=2e9, limit=9)]
    assert suspect.reference not in waiting and reference(restored, "e3") in waiting


def test_what_was_taken_over_is_in_the_history_and_settled_for_good(restored):
    told = restored.ledger.restored
    compare(restored, {reference(restored, "e2"): (3, 13500)})
    (suspect,) = told.suspects(CLINIC)
    told.adopt(CLINIC, suspect)
    (event,) = [row for row in restored.ledger.history.of("submission", suspect.submission_id) if row["event"] == "adopted"]
    assert event["detail"] == "the biller had it before the restore"
    restored.connection.execute("UPDATE treatment_day SET dirty = 0")
    assert told.suspects(CLINIC) == [], "however it is judged later"


def kept(book):
    rows = book.connection.execute("SELECT clinic, reference, units, amount_cents, settled FROM biller_had ORDER BY 1, 2")
    return [tuple(row) for row in rows]


@pytest.mark.parametrize("characters", [10, 17, 26, 27])
def test_what_the_biller_had_under_a_cut_name_is_recognized_and_settled(restored, characters):
    """As an older ledger kept it, or of a visit that this ledger did not know then."""
    told, whole = restored.ledger.restored, reference(restored, "e2")
    compare(restored, {whole[:characters]: (3, 13500), "nobodys": (1, 1)})
    told.recognize(CLINIC)
    assert kept(restored) == [(CLINIC, "nobodys", 1, 1, 0), (CLINIC, whole, 3, 13500, 0)]
    (suspect,) = told.suspects(CLINIC)
    assert suspect.reference == whole
    told.settle(CLINIC, suspect)
    assert told.suspects(CLINIC) == [] and kept(restored)[1][-1] == 1


def test_a_cut_name_is_recognized_once_its_visit_turns_up(restored):
    told = restored.ledger.restored
    whole = reference_of(CLINIC, "e9")
    compare(restored, {whole[:17]: (3, 13500)})
    told.recognize(CLINIC)
    assert told.suspects(CLINIC) == [] and kept(restored) == [(CLINIC, whole[:17], 3, 13500, 0)]
    restored.send(restored.visit("e9"))
    told.recognize("other")
    assert told.suspects(CLINIC) == []
    told.recognize(CLINIC)
    assert [one.reference for one in told.suspects(CLINIC)] == [whole]


def test_what_stands_there_under_the_whole_name_is_newer_than_what_stood_under_a_cut_one(restored):
    told, whole = restored.ledger.restored, reference(restored, "e2")
    compare(restored, {whole[:17]: (3, 13500)})
    told.mark(MADE, "someone")
    compare(restored, {whole: (4, 18000)})
    told.recognize(CLINIC)
    assert kept(restored) == [(CLINIC, whole, 4, 18000, 0)]


def test_what_was_settled_under_a_cut_name_is_left_alone(restored):
    told, whole = restored.ledger.restored, reference(restored, "e2")
    compare(restored, {whole[:17]: (3, 13500)})
    restored.connection.execute("UPDATE biller_had SET settled = 1")
    told.recognize(CLINIC)
    assert kept(restored) == [(CLINIC, whole[:17], 3, 13500, 1)] and told.suspects(CLINIC) == []


def test_nothing_is_written_where_every_name_is_whole(restored):
    compare(restored, {reference(restored, "e2"): (3, 13500), "nobodys": (1, 1)})
    before = restored.connection.total_changes()
    restored.ledger.restored.recognize(CLINIC)
    assert restored.connection.total_changes() == before


def test_unknown_content_is_each_days_own():
    assert unknown_content("a") != unknown_content("b") and len(unknown_content("a")) == 32


def test_what_delivery_found_out_is_settled(restored):
    compare(restored, {reference(restored, "e2"): (2, 9000)})
    (suspect,) = restored.ledger.restored.suspects(CLINIC)
    restored.ledger.restored.settle(CLINIC, suspect)
    assert restored.ledger.restored.suspects(CLINIC) == []


@pytest.mark.parametrize("word", ["release", "retry"])
def test_a_held_suspect_stays_one_until_a_person_lets_it_go(restored, word):
    told, days = restored.ledger.restored, restored.ledger.days
    compare(restored, {reference(restored, "e2"): (2, 9000)})
    (suspect,) = told.suspects(CLINIC)
    told.hold(CLINIC, suspect)
    (day,) = days.named("e2")
    assert (day.state, day.reason, day.held_since) == ("held", "restored", restored.ledger.history.now())
    assert told.suspects(CLINIC) == [], "its submission does not wait"
    restored.send(day.id)
    assert told.suspects(CLINIC)[0].day_id == day.id, "whatever is judged anew meanwhile is held again"
    told.hold(CLINIC, told.suspects(CLINIC)[0])
    with restored.ledger.transaction():
        days.decide(restored.row(day.id), word, "", "compared", "someone")
    restored.send(day.id, b"other")
    assert told.suspects(CLINIC) == []


def test_where_the_biller_cannot_be_asked_each_open_charge_of_then_waits_for_a_person(restored):
    told = restored.ledger.restored
    assert told.unasked(CLINIC) == []
    compare(restored, None)
    assert restored.ledger.history.of("ledger", 1)[-1]["detail"] == "cannot be asked"
    late = restored.visit("e4", on=28)
    restored.send(late)
    open_ones = told.unasked(CLINIC)
    assert len(open_ones) == 3, "the correction and both originals; what is of a later date was not there to be sent"
    told.hold_unasked(CLINIC, open_ones)
    assert told.unasked(CLINIC) == []
    assert [restored.ledger.days.named(name)[0].state for name in ("e1", "e2", "e3")] == ["held"] * 3
    assert restored.row(late).state == "queued"


def test_a_live_day_that_the_biller_has_in_other_units_is_taken_over_as_the_biller_has_it(book):
    told = book.ledger.restored
    for name, on in (("e1", 3), ("e2", 9), ("e3", 20)):
        book.sent(name, on=on)
    told.mark(MADE, "someone")
    units, cents = (book.ledger.days.named("e1")[0].live_units, book.ledger.days.named("e1")[0].live_cents)
    theirs = {reference(book, "e1"): (units, cents), reference(book, "e2"): (units + 1, cents)}
    compare(book, {**theirs, reference(book, "e3"): (units, cents)})
    (suspect,) = told.suspects(CLINIC)
    assert (suspect.reference, suspect.units, suspect.waits, suspect.held) == (reference(book, "e2"), units + 1, False, False)
    told.adopt(CLINIC, suspect)
    (day,) = book.ledger.days.named("e2")
    assert (day.live_units, day.live_sha256) == (units + 1, unknown_content(suspect.reference))
    assert told.suspects(CLINIC) == []


def test_a_correction_that_waits_is_looked_up_by_delivery_and_no_suspect(book):
    told = book.ledger.restored
    live = book.sent("e1", on=3)
    book.send(live, b"2", Frequency.REPLACEMENT)
    told.mark(MADE, "someone")
    compare(book, {reference(book, "e1"): (9, 1)})
    assert told.suspects(CLINIC) == []


@pytest.mark.parametrize(("state", "held"), [("held", True), ("excluded", False), ("voided", False)])
def test_a_day_without_a_submission_that_the_biller_has_is_suspected_as_it_is(book, state, held):
    told, day = book.ledger.restored, book.visit("e1", on=3)
    told.mark(MADE, "someone")
    compare(book, {reference(book, "e1"): (2, 9000)})
    assert told.suspects(CLINIC) == [], "it is judged first"
    book.connection.execute("UPDATE treatment_day SET dirty = 0, state = ? WHERE id = ?", (state, day))
    (suspect,) = told.suspects(CLINIC)
    assert (suspect.day_id, suspect.submission_id, suspect.waits, suspect.held) == (day, None, False, held)
    told.hold(CLINIC, suspect)
    with book.ledger.transaction():
        book.ledger.days.decide(book.row(day), "release", "", "compared", "someone")
    book.connection.execute("UPDATE treatment_day SET dirty = 0 WHERE id = ?", (day,))
    assert told.suspects(CLINIC) == []


def test_what_the_biller_had_is_remembered_until_it_is_settled(restored):
    told, whole = restored.ledger.restored, reference(restored, "e2")
    compare(restored, {whole: (3, 13500), reference(restored, "e1"): (2, 9000)})
    assert told.remembers(CLINIC, whole) and not told.remembers("other", whole) and not told.remembers(CLINIC, "pt-nobodys")
    assert not told.remembers(CLINIC, reference(restored, "e1")), "the ledger has exactly this"
    told.settle(CLINIC, told.suspects(CLINIC)[0])
    assert not told.remembers(CLINIC, whole)


def test_what_was_accepted_before_the_newest_restore_may_have_been_taken_back_since_the_backup(book):
    told, before = book.ledger.restored, book.sent("e1", on=3)
    assert not told.is_older(before), "never restored"
    told.mark(MADE, "someone")
    after = book.sent("e2", on=9)
    waits = book.visit("e3", on=20)
    book.send(waits)
    assert [told.is_older(day_id) for day_id in (before, after, waits)] == [True, False, False]
    book.answer()
    book.send(before, b"2", Frequency.REPLACEMENT)
    assert told.is_older(before)
    book.answer()
    assert not told.is_older(before), "it was asked since"
    told.mark(MADE, "someone")
    assert [told.is_older(day_id) for day_id in (before, after, waits)] == [True, True, True]
