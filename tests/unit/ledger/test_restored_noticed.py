"""After a restore, the parts of each statement: another clinic, an earlier restore or another state changes the answer."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta

import pytest

from ptbridge.model import Frequency

CLINIC, OTHER = "riverside", "elm"
MADE = datetime(2026, 11, 20, 5, tzinfo=UTC)


@pytest.fixture
def told(book):
    """Of a ledger that was just restored."""
    book.ledger.restored.mark(MADE, "someone")
    return book.ledger.restored


def reference(book, day_id):
    return book.row(day_id).reference


def compare(book, theirs, clinic=CLINIC):
    book.ledger.restored.compared(clinic, book.ledger.restored.pending(clinic), theirs)


def decide(book, day_id, kind="release"):
    with book.ledger.transaction():
        book.ledger.days.decide(book.row(day_id), kind, "", "compared", "someone")


def waits(book, name="e1", on=3):
    day_id = book.visit(name, on=on)
    book.send(day_id)
    return day_id


def suspected(told, clinic=CLINIC):
    return [one.day_id for one in told.suspects(clinic)]


def elsewhere(book, day_id, units=9):
    """Another clinic's biller has the same name."""
    book.connection.execute("INSERT INTO biller_had VALUES (?, ?, ?, 9000, 0)", (OTHER, reference(book, day_id), units))


# ---------------------------------------------------------------- what a person let go


def test_a_release_for_another_reason_lets_no_suspect_go(book, told):
    day_id = book.visit("e1", on=3)
    book.judge(day_id, "held", "DC03")
    decide(book, day_id)
    book.send(day_id)
    compare(book, {reference(book, day_id): (3, 1)})
    assert suspected(told) == [day_id]


def test_what_was_let_go_stays_so_and_after_another_restore_it_is_asked_again(book, told):
    day_id = waits(book)
    compare(book, {reference(book, day_id): (3, 1)})
    (suspect,) = told.suspects(CLINIC)
    told.hold(CLINIC, suspect)
    decide(book, day_id)
    told.hold(CLINIC, suspect)
    book.send(day_id)
    assert suspected(told) == []
    told.mark(MADE, "someone")
    compare(book, {reference(book, day_id): (3, 1)})
    assert suspected(told) == [day_id]


def test_what_was_let_go_is_not_asked_about_again_where_the_biller_cannot_tell(book, told):
    day_id = waits(book)
    compare(book, None)
    told.hold_unasked(CLINIC, told.unasked(CLINIC))
    decide(book, day_id)
    book.send(day_id)
    assert told.unasked(CLINIC) == []


# ---------------------------------------------------------------- whose it is, and in which state


def test_another_clinics_biller_says_nothing_of_this_clinics_days(book, told):
    waiting, live = waits(book), book.visit("e2", on=9)
    book.judge(live, "excluded")
    book.connection.execute("UPDATE treatment_day SET dirty = 0")
    elsewhere(book, waiting)
    elsewhere(book, live)
    assert suspected(told, OTHER) == []
    compare(book, None, OTHER)
    assert told.unasked(OTHER) == []


def test_what_one_clinic_has_live_settles_nothing_of_another(book, told):
    day_id = book.sent("e1", on=3)
    elsewhere(book, day_id, units=2)
    compare(book, {reference(book, day_id): (2, 9000)})
    assert told.remembers(OTHER, reference(book, day_id)) and not told.remembers(CLINIC, reference(book, day_id))
    compare(book, {}, OTHER)
    assert told.remembers(OTHER, reference(book, day_id)), "that clinic has no such day"


def test_what_is_settled_for_one_clinic_is_not_for_another(book, told):
    day_id = waits(book)
    elsewhere(book, day_id)
    compare(book, {reference(book, day_id): (3, 1)})
    told.settle(CLINIC, told.suspects(CLINIC)[0])
    assert told.remembers(OTHER, reference(book, day_id))


@pytest.mark.parametrize(("units", "cents", "known"), [(2, 9000, True), (2, 9001, False), (3, 9000, False)])
def test_units_and_cents_must_be_those_of_the_ledger(book, told, units, cents, known):
    day_id = book.sent("e1", on=3)
    compare(book, {reference(book, day_id): (units, cents)})
    assert suspected(told) == [day_id] * (not known)


def test_a_suspect_is_what_was_made_of_the_day_last_whatever_was_replaced_before(book, told):
    day_id = book.sent("e1", on=3)
    book.send(day_id, b"2", Frequency.REPLACEMENT)
    book.send(day_id, b"3", Frequency.REPLACEMENT, units=3)
    book.answer()
    assert [one["state"] for one in book.ledger.accounts.submissions_of(day_id)] == ["accepted", "replaced", "accepted"]
    compare(book, {reference(book, day_id): (9, 1)})
    (suspect,) = told.suspects(CLINIC)
    assert suspect.submission_id == book.connection.execute("SELECT max(id) FROM submission").get


def test_a_day_is_suspected_once_it_is_judged(book, told):
    day_id = book.sent("e1", on=3)
    compare(book, {reference(book, day_id): (9, 1)})
    book.connection.execute("UPDATE treatment_day SET dirty = 1")
    assert suspected(told) == []
    book.connection.execute("UPDATE treatment_day SET dirty = 0")
    assert suspected(told) == [day_id]


def test_what_follows_a_void_goes_under_its_own_name(book, told):
    day_id = book.sent("e1", on=3)
    book.connection.execute("UPDATE treatment_day SET generation = 1, live_reference = 'pt-second'")
    compare(book, {reference(book, day_id): (9, 1), "pt-second": (2, 9000)})
    assert suspected(told) == [], "what the void of then ended is not what the day has now"
    assert not told.remembers(CLINIC, "pt-second"), "that is"


# ---------------------------------------------------------------- asked, and asked again


def test_a_second_comparison_says_anew_what_the_biller_has(book, told):
    day_id = waits(book)
    compare(book, {reference(book, day_id): (3, 1)})
    told.settle(CLINIC, told.suspects(CLINIC)[0])
    told.mark(MADE, "someone")
    compare(book, {reference(book, day_id): (4, 2)})
    ((units, cents),) = [(one.units, one.amount_cents) for one in told.suspects(CLINIC)]
    assert (units, cents) == (4, 2)


def test_only_this_clinics_corrections_are_put_in_doubt(book, told):
    live = book.sent("e1", on=3)
    book.send(live, b"2", Frequency.REPLACEMENT)
    waits(book, "e2", 9)
    compare(book, {}, OTHER)
    states = "SELECT group_concat(frequency || state) FROM (SELECT * FROM submission WHERE open = 1 ORDER BY id)"
    assert book.connection.execute(states).get == "7queued,1queued"
    compare(book, {})
    assert book.connection.execute(states).get == "7in-doubt,1queued"


def test_what_waits_is_asked_about_up_to_the_newest_restore(book, told):
    compare(book, None)
    book.now += timedelta(days=5)
    told.mark(MADE, "someone")
    compare(book, None)
    day_id = waits(book, "e1", on=book.now.day)
    assert len(told.unasked(CLINIC)) == 1
    told.hold_unasked(CLINIC, told.unasked(CLINIC))
    assert book.row(day_id).state == "held"


def test_the_window_is_this_clinics_and_of_what_may_still_be_billed(book, told):
    mark, today = told.pending(CLINIC), date(2026, 11, 21)
    day_id = book.visit("e1", on=3)
    book.connection.execute("UPDATE treatment_day SET service_date = '2024-01-02'")
    assert told.window(OTHER, mark, today)[0] == "2025-11-19"
    assert told.window(CLINIC, mark, today)[0] == "2024-01-02"
    book.judge(day_id, "excluded")
    assert told.window(CLINIC, mark, today)[0] == "2025-11-19"


# ---------------------------------------------------------------- held


def test_what_was_accepted_stays_so_when_its_day_is_held(book, told):
    day_id = book.sent("e1", on=3)
    book.send(day_id, b"2", Frequency.REPLACEMENT)
    compare(book, None)
    told.hold_unasked(CLINIC, told.unasked(CLINIC))
    assert [one["state"] for one in book.ledger.accounts.submissions_of(day_id)] == ["accepted", "held"]


def test_a_day_that_was_held_already_is_held_since_then(book, told):
    day_id = book.visit("e1", on=3)
    book.judge(day_id, "held", "DC03")
    since = book.row(day_id).held_since
    book.now += timedelta(hours=1)
    compare(book, {reference(book, day_id): (3, 1)})
    book.connection.execute("UPDATE treatment_day SET dirty = 0")
    told.hold(CLINIC, told.suspects(CLINIC)[0])
    assert (book.row(day_id).reason, book.row(day_id).held_since) == ("restored", since)


def test_what_was_accepted_after_the_restore_and_before_the_comparison_is_not_older(book, told):
    day_id = book.sent("e1", on=3)
    compare(book, {})
    assert not told.is_older(day_id)
    told.mark(MADE, "someone")
    with book.ledger.transaction():
        book.ledger.history.add(CLINIC, "day", day_id, "accepted", "of something else")
    assert told.is_older(day_id)
