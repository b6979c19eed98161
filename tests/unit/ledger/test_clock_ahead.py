"""A wait that a clock told which was ahead ends with the next run (contract D26)."""

from __future__ import annotations

from ptbridge.ledger.outbox import _LONGEST_WAIT_SECONDS
from ptbridge.model import Acknowledgement, Disposition
from ptbridge.ports import Outcome

CLINIC, PLATFORM = "riverside", "charge_api"
HOUR = 3600.0


def put_off(book, to: float, disposition: Disposition) -> None:
    """The next that is due is answered `come back then`."""
    outbox = book.ledger.outbox(CLINIC, PLATFORM)
    (item, *_) = outbox.due(now=book.now.timestamp(), limit=1)
    outbox.start((item,), now=book.now.timestamp())
    answer = Acknowledgement(disposition=disposition, native_code="busy")
    outbox.finish((Outcome(item=item, acknowledgement=answer, next_at=to),), now=book.now.timestamp())


def due(book) -> int:
    return len(book.ledger.outbox(CLINIC, PLATFORM).due(now=book.now.timestamp(), limit=9))


def test_D26_what_a_clock_three_days_ahead_put_off_is_due_with_the_next_run(book):
    now = book.now.timestamp()
    for name, disposition in (("e1", Disposition.RETRY), ("e2", Disposition.IN_DOUBT)):
        book.send(book.visit(name))
        put_off(book, now + 72 * HOUR, disposition)
    book.send(book.visit("e3"))
    put_off(book, now + _LONGEST_WAIT_SECONDS, Disposition.RETRY)
    outbox = book.ledger.outbox(CLINIC, PLATFORM)
    outbox.recover()
    assert due(book) == 0
    outbox.recover(now)
    assert due(book) == 2, "an hour that the biller asked for is kept"
    other = book.ledger.outbox(CLINIC, "another")
    assert other.due(now=now, limit=9) == []


def test_D26_the_clinics_hold_window_is_no_wait_of_a_wrong_clock(book):
    book.send(book.visit("e1"), window_seconds=72 * HOUR)
    outbox = book.ledger.outbox(CLINIC, PLATFORM)
    outbox.recover(book.now.timestamp())
    assert due(book) == 0
