"""Parts of the outbox's statements that, left out or changed by hand, once passed every other test."""

from __future__ import annotations

import pytest

from ptbridge.ledger import Verdict
from ptbridge.model import Acknowledgement, Disposition, Frequency, Submission
from ptbridge.ports import Outcome

CLINIC, OTHER, PLATFORM = "riverside", "lakeside", "charge_api"
HOURS = 3600.0


def outbox(book, clinic=CLINIC, destination=PLATFORM):
    return book.ledger.outbox(clinic, destination)


def waits(book, name, clinic=CLINIC, destination=PLATFORM):
    """A submission that waits, of whichever clinic and destination; its row id."""
    days, reference = book.ledger.days, f"pt-{clinic}-{destination}-{name}"
    submission = Submission(
        clinic=clinic,
        destination=destination,
        key=reference,
        reference=reference,
        order_key=reference,
        revision=1,
        frequency=Frequency.ORIGINAL,
        body=b"1",
        service_date="2026-11-20",
    )
    with book.ledger.transaction():
        day = days.ensure(clinic, reference, reference, "2026-11-20")
        verdict = Verdict(state="queued", body=b"{}", visits_sha256=b"v", content_sha256=b"c", submission=submission)
        days.record(book.row(day), verdict)
    return book.connection.execute("SELECT max(id) FROM submission").get


def put(book, id_, **columns):
    for name, value in columns.items():
        book.connection.execute(f"UPDATE submission SET {name} = ? WHERE id = ?", (value, id_))


def told(book, id_):
    return book.connection.execute("SELECT state, open, next_at FROM submission WHERE id = ?", (id_,)).get


def ids(items):
    return [item.id for item in items]


@pytest.mark.parametrize("place", [{"clinic": OTHER}, {"destination": "other"}])
def test_an_outbox_is_that_of_one_clinic_and_one_destination(book, place):
    theirs = waits(book, "theirs", **place)
    mine = waits(book, "mine")
    assert ids(outbox(book).due(now=2e9, limit=9)) == [mine] and ids(outbox(book, **place).due(now=2e9, limit=9)) == [theirs]
    put(book, mine, next_at=7e8)
    put(book, theirs, next_at=5e8)
    assert (outbox(book).next_due_at(), outbox(book, **place).next_due_at()) == (7e8, 5e8)
    put(book, theirs, state="in-doubt", next_at=3e9)
    assert outbox(book).doubted() == [] and ids(outbox(book, **place).doubted()) == [theirs]
    outbox(book).recover(2e9)
    assert told(book, theirs)[2] == 3e9, "its clock is nobody else's"
    book.connection.execute("UPDATE submission SET state = 'held', open = 0, hold_reason = 'in-doubt' WHERE id = ?", (theirs,))
    assert outbox(book).doubted() == [] and ids(outbox(book, **place).doubted()) == [theirs]


def test_what_another_clinic_was_sending_is_left_to_it(book):
    theirs, mine = waits(book, "theirs", OTHER), waits(book, "mine")
    for one in (theirs, mine):
        put(book, one, state="sending")
    assert outbox(book).recover() == 1
    assert told(book, theirs)[0] == "sending" and told(book, mine) == ("in-doubt", 1, 0.0)
    with pytest.raises(ValueError, match="not enough values"):
        outbox(book).item(theirs)


def test_what_is_due_comes_by_its_time_and_then_as_it_was_made_and_no_more_than_asked(book):
    late, first, second = (waits(book, name) for name in ("late", "first", "second"))
    for one, at in ((late, 1000.0), (first, 500.0), (second, 500.0)):
        put(book, one, next_at=at)
    assert ids(outbox(book).due(now=1000.0, limit=9)) == [first, second, late]
    assert ids(outbox(book).due(now=999.9, limit=9)) == [first, second] and ids(outbox(book).due(now=2e9, limit=1)) == [first]
    put(book, first, state="sending")
    assert ids(outbox(book).due(now=500.0, limit=9)) == [second]
    assert outbox(book).next_due_at() == 500.0
    put(book, second, state="sending")
    assert outbox(book).next_due_at() == 1000.0, "what is being sent waits for nobody"


def test_only_what_has_no_answer_yet_keeps_the_next_of_its_day_waiting(book):
    day = book.sent("e1")
    book.send(day, b"2", Frequency.REPLACEMENT)
    (second,) = ids(outbox(book).due(now=2e9, limit=9))
    other = waits(book, "beside")
    put(book, second, state="sending")
    book.send(day, b"3", Frequency.REPLACEMENT)
    assert ids(outbox(book).due(now=2e9, limit=9)) == [other], "one of its day is open, none of the other's"


def test_what_is_in_doubt_is_the_newest_of_its_day_and_comes_as_it_was_made(book):
    queued, in_doubt, held, refused = (waits(book, name) for name in ("queued", "in-doubt", "held", "refused"))
    book.connection.execute(
        "UPDATE submission SET state = 'held', open = 0, hold_reason = 'in-doubt' WHERE id = ?", (in_doubt,)
    )
    put(book, held, state="in-doubt")
    book.connection.execute(
        "UPDATE submission SET state = 'held', open = 0, hold_reason = 'rejected:1' WHERE id = ?", (refused,)
    )
    assert ids(outbox(book).doubted()) == [in_doubt, held] and all(one.in_doubt for one in outbox(book).doubted())
    assert told(book, queued)[0] == "queued"


@pytest.mark.parametrize(("later", "found"), [("queued", 0), ("accepted", 0), ("replaced", 1)])
def test_a_doubt_of_which_something_newer_was_made_is_none_unless_that_was_set_aside(book, later, found):
    day = book.visit("e1")
    book.send(day)
    book.answer(Disposition.IN_DOUBT, hold="in-doubt")
    with book.ledger.transaction():
        book.ledger.days.decide(book.row(day), "release", "", "the biller has it not", "someone")
    book.send(day, b"2")
    book.connection.execute("UPDATE submission SET state = ?1, open = (?1 = 'queued') WHERE id = 2", (later,))
    assert ids(outbox(book).doubted()) == [1] * found


def test_the_first_attempt_is_remembered_and_the_last(book):
    waits(book, "one")
    for now in (1e9, 2e9):
        (item,) = outbox(book).due(now=3e9, limit=1)
        outbox(book).start((item,), now=now)
        outbox(book).recover()
    (item,) = outbox(book).due(now=3e9, limit=1)
    assert (item.first_attempt_at, item.last_attempt_at, item.attempts) == (1e9, 2e9, 2)


def test_what_waits_longer_than_anything_may_was_put_off_by_a_wrong_clock(book):
    """Two hours, seen from now, is the longest; what is being sent keeps its time, and what is in the hold window its own."""
    longest, longer, sending, window, tried = (waits(book, name) for name in ("a", "b", "c", "d", "e"))
    for one in (longest, longer, sending, window, tried):
        put(book, one, next_at=2e9 + 2 * HOURS + (one != longest))
    put(book, sending, state="in-doubt")
    for one in (window, tried):
        put(book, one, window_until=3e9)
    put(book, tried, first_attempt_at=1.0)
    outbox(book).recover(2e9)
    assert [told(book, one)[2] for one in (longest, longer, window, tried)] == [2e9 + 2 * HOURS, 0.0, 2e9 + 2 * HOURS + 1, 0.0]


def test_nobody_waits_for_the_hold_window_but_for_a_retry_out_of_it(book):
    one = waits(book, "one")
    put(book, one, window_until=3e9, next_at=3e9)
    assert outbox(book).next_due_at() is None
    put(book, one, first_attempt_at=1.0)
    assert outbox(book).next_due_at() == 3e9


def test_the_newest_answer_names_what_the_biller_has_by_its_own_id(book):
    day = book.visit("e1")
    book.send(day)
    book.answer(Disposition.IN_DOUBT)
    put(book, 1, next_at=0.0, destination_id="of-before")
    book.answer(destination_id="B-9")
    assert book.ledger.accounts.submissions_of(day)[0]["destination_id"] == "B-9"


def test_what_delivery_gives_up_holds_its_own_day_since_it_was_first_held(book):
    beside, day = book.visit("e1"), book.visit("e2")
    book.send(day)
    book.connection.execute("UPDATE treatment_day SET held_since = 'before' WHERE id = ?", (day,))
    item = book.item()
    outbox(book).start((item,), now=2e9)
    said = Acknowledgement(disposition=Disposition.REJECTED, native_code="422")
    outbox(book).finish((Outcome(item=item, acknowledgement=said, hold_reason="rejected:422"),), now=2e9)
    row = book.row(day)
    assert (row.state, row.reason, row.held_since) == ("held", "rejected:422", "before")
    assert (book.row(beside).state, book.row(beside).reason) == ("open", None)


def test_what_was_answered_before_keeps_the_next_of_its_day_from_no_time(book):
    day = book.sent("e1")
    assert outbox(book).next_due_at() is None
    book.send(day, b"2", Frequency.REPLACEMENT)
    assert outbox(book).next_due_at() == book.now.timestamp()


@pytest.mark.parametrize("place", [{"clinic": OTHER}, {"destination": "other"}])
def test_an_answer_says_that_this_biller_works_for_this_clinic_alone(book, place):
    """Attempts in vain are nobody's once the biller takes something: of this outbox."""
    mine, beside, theirs = waits(book, "mine"), waits(book, "beside"), waits(book, "theirs", **place)
    assert not outbox(book).was_turned_away()
    put(book, theirs, attempts=3, unanswered=2)
    assert not outbox(book).was_turned_away() and outbox(book, **place).was_turned_away()
    put(book, beside, attempts=3, unanswered=2, next_at=2e9 + 1)
    assert outbox(book).was_turned_away()
    (item,) = outbox(book).due(now=2e9, limit=9)
    outbox(book).start((item,), now=2e9)
    said = Acknowledgement(disposition=Disposition.ACCEPTED, destination_id="B-1", native_code="201")
    outbox(book).finish((Outcome(item=item, acknowledgement=said),), now=2e9)
    assert item.id == mine and not outbox(book).was_turned_away() and outbox(book, **place).was_turned_away()
    counted = book.connection.execute(
        "SELECT attempts, unanswered FROM submission WHERE id IN (?, ?) ORDER BY id", (beside, theirs)
    )
    assert counted.fetchall() == [(1, 0), (3, 2)]
