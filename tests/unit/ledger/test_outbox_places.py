"""The place of what waits: nothing that an outage makes of an attempt moves it, and nobody waits for what cannot go."""

from __future__ import annotations

import apsw
import pytest

from ptbridge.ledger.outbox import _NEXT_DUE, _SERVED, _TURNED_AWAY
from ptbridge.model import Acknowledgement, Disposition, Frequency
from ptbridge.ports import Outcome

CLINIC, PLATFORM = "riverside", "charge_api"
NOBODY = Acknowledgement(disposition=Disposition.RETRY, native_code="no-connection")
BUSY = Acknowledgement(disposition=Disposition.RETRY, native_code="503")
LOST = Acknowledgement(disposition=Disposition.IN_DOUBT, native_code="lost-answer")
TAKEN = Acknowledgement(disposition=Disposition.ACCEPTED, destination_id="B-1")


@pytest.fixture
def outbox(book):
    return book.ledger.outbox(CLINIC, PLATFORM)


def try_next(outbox, now, answer, **more):
    """Send the one that is first in the queue; its row id."""
    item = outbox.due(now=now, limit=9)[0]
    outbox.start((item,), now=now)
    outbox.finish((Outcome(item=item, acknowledgement=answer, **more),), now=now)
    return item.id


def order(outbox, now):
    return [item.id for item in outbox.due(now=now, limit=9)]


def queue(book, *names):
    for name in names:
        book.send(book.visit(name))
        book.now = book.now.replace(minute=book.now.minute + 1)


def test_an_attempt_that_nobody_answered_moves_nothing(book, outbox):
    queue(book, "e1", "e2", "e3")
    now = book.now.timestamp()
    before = order(outbox, now)
    for _ in range(3):
        assert try_next(outbox, now, NOBODY, unanswered=True) == before[0]
    assert order(outbox, now) == before
    item = outbox.item(before[0])
    assert (item.attempts, item.unanswered) == (3, 3)
    assert try_next(outbox, now, BUSY, next_at=now + 60) == before[0]
    assert (order(outbox, now), order(outbox, now + 60)) == (before[1:], [*before[1:], before[0]]), "its own retry"
    assert (outbox.item(before[0]).attempts, outbox.item(before[0]).unanswered) == (4, 3)


def test_whom_an_outage_turned_away_is_known_until_the_platform_takes_anything(book, outbox):
    queue(book, "e1", "e2")
    now = book.now.timestamp()
    assert not outbox.was_turned_away()
    assert try_next(outbox, now, BUSY, next_at=now) == 1
    assert not outbox.was_turned_away(), "an answer about one"
    assert try_next(outbox, now, BUSY, next_at=now - 1) == 2
    assert try_next(outbox, now, NOBODY, unanswered=True) == 2
    assert try_next(outbox, now, BUSY, unanswered=True, next_at=now + 60) == 2
    assert outbox.was_turned_away()
    assert not book.ledger.outbox(CLINIC, "another").was_turned_away()
    assert not book.ledger.outbox("harbor", PLATFORM).was_turned_away()
    assert try_next(outbox, now, TAKEN) == 1
    assert not outbox.was_turned_away()
    assert (outbox.item(2).attempts, outbox.item(2).unanswered) == (1, 0), "those in vain are taken off"


def test_another_outbox_is_not_served_with_this_one(book, outbox):
    queue(book, "e1", "e2")
    now = book.now.timestamp()
    try_next(outbox, now, NOBODY, unanswered=True)
    for column, other in (("clinic", "harbor"), ("destination", "another")):
        mine = book.connection.execute(f"SELECT {column} FROM submission WHERE id = 1").fetchone()[0]
        book.connection.execute(f"UPDATE submission SET {column} = ? WHERE id = 1", (other,))
        book.connection.execute(_SERVED, (CLINIC, PLATFORM))
        assert book.connection.execute("SELECT unanswered FROM submission WHERE id = 1").fetchone()[0] == 1
        book.connection.execute(f"UPDATE submission SET {column} = ? WHERE id = 1", (mine,))


def test_what_is_tried_again_by_a_person_begins_anew(book, outbox):
    queue(book, "e1")
    now = book.now.timestamp()
    try_next(outbox, now, NOBODY, unanswered=True)
    try_next(outbox, now, LOST, hold_reason="in-doubt")
    with book.ledger.transaction():
        book.ledger.days.reopen_submissions(book.row(1))
    item = outbox.item(1)
    assert (item.in_doubt, item.attempts, item.unanswered) == (True, 0, 0)
    assert not outbox.was_turned_away()


def test_nobody_waits_for_what_an_earlier_one_of_its_day_goes_before(book, outbox):
    day = book.visit("e1")
    book.send(day)
    now = book.now.timestamp()
    try_next(outbox, now, LOST, next_at=now + 900)
    book.send(day, b"corrected", frequency=Frequency.REPLACEMENT)
    assert order(outbox, now) == [], "it waits for the answer about the first"
    assert outbox.next_due_at() == now + 900
    item = outbox.due(now=now + 900, limit=9)[0]
    outbox.start((item,), now=now + 900)
    assert outbox.next_due_at() is None, "while that one is being sent, nothing can go"
    outbox.finish((Outcome(item=item, acknowledgement=TAKEN),), now=now + 900)
    assert outbox.next_due_at() == now


def test_those_left_out_are_not_waited_for(book, outbox):
    queue(book, "e1", "e2", "e3")
    first, second, third = order(outbox, book.now.timestamp())
    times = [outbox.item(one).queued_at for one in (first, second, third)]
    assert outbox.next_due_at() == times[0]
    assert outbox.next_due_at(without={first}) == times[1]
    assert outbox.next_due_at(without=[second, first]) == times[2]
    assert outbox.next_due_at(without=(first, second, third)) is None


def test_what_was_tried_is_waited_for_whatever_its_hold_window(book, outbox):
    book.send(book.visit("e1"), window_seconds=3600.0)
    assert outbox.next_due_at() is None
    now = book.now.timestamp() + 3600
    try_next(outbox, now, NOBODY, unanswered=True)
    assert outbox.next_due_at() == now
    book.connection.execute(_SERVED, (CLINIC, PLATFORM))
    assert outbox.item(1).attempts == 0 and outbox.next_due_at() == now, "tried, though in vain"


def test_D26_a_wait_of_a_clock_ahead_ends_for_what_was_tried_in_vain_too(book, outbox):
    book.send(book.visit("e1"), window_seconds=3600.0)
    now = book.now.timestamp() + 3600
    try_next(outbox, now, BUSY, next_at=now + 72 * 3600, unanswered=True)
    book.connection.execute(_SERVED, (CLINIC, PLATFORM))
    outbox.recover(now)
    assert order(outbox, now) == [1]


@pytest.mark.parametrize(
    ("sql", "values", "index"),
    [
        (_NEXT_DUE, (CLINIC, PLATFORM, "[]"), "submission_open"),
        (_TURNED_AWAY, (CLINIC, PLATFORM), "submission_unanswered"),
        (_SERVED, (CLINIC, PLATFORM), "submission_unanswered"),
    ],
)
def test_what_delivery_asks_reads_no_history_and_sorts_nothing(book, sql, values, index):
    with apsw.Connection(str(book.folder / "ledger.sqlite")) as connection:
        shown = " / ".join(str(row[3]) for row in connection.execute(f"EXPLAIN QUERY PLAN {sql}", values))
    assert f"INDEX {index} (clinic=? AND destination=?" in shown and "TEMP B-TREE" not in shown, shown
