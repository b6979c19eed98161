"""A visit that moved is billed where it is now only once the biller surely has it nowhere else (contract D2)."""

from __future__ import annotations

import pytest

from ptbridge.ledger.moved import may_have
from ptbridge.model import Disposition, Frequency

CLINIC, PLATFORM = "riverside", "charge_api"
WITH_E1, WITH_E2 = ({"visits": [{"visit_id": name}]} for name in ("e1", "e2"))


def dirty(book):
    return [day.id for day in book.ledger.days.dirty(CLINIC)]


def ask_again(book, *days):
    """As a run does with days that a visit left."""
    with book.ledger.transaction():
        book.ledger.days.mark(days)


def still(book, day):
    return book.ledger.days.still_billed(book.row(day))


def start(book):
    outbox = book.ledger.outbox(CLINIC, PLATFORM)
    outbox.start((book.item(),), now=2e9)


@pytest.mark.parametrize("state", ["sending", "in-doubt"])
def test_a_day_waits_until_it_is_known_whether_the_biller_has_the_visit_with_the_day_it_left(book, state):
    old = book.visit("e1", day="old")
    book.send(old, page=WITH_E1)
    start(book)
    book.connection.execute("UPDATE submission SET state = ?", (state,))
    new = book.visit("e1", day="new", payload=b"2")
    assert dirty(book) == []
    ask_again(book, old)
    assert dirty(book) == []
    book.connection.execute("UPDATE submission SET state = 'in-doubt', next_at = 0")
    book.answer()
    assert dirty(book) == [old], "the biller has it: taken back there first"
    book.send(old, b"void", Frequency.VOID)
    assert dirty(book) == []
    book.answer()
    assert dirty(book) == [new]


def test_a_day_waits_until_what_waits_unsent_with_its_visit_is_replaced(book):
    """The day that it left may itself have to wait, and what was made of it before would leave meanwhile."""
    old = book.visit("e1", day="old", on=9)
    book.send(old, page=WITH_E1)
    new = book.visit("e1", day="new", on=3, payload=b"2")
    ask_again(book, old)
    assert dirty(book) == [old]
    book.judge(old, "excluded", "no-visit")
    assert dirty(book) == [new]


def test_days_that_took_visits_over_need_not_wait_for_what_is_sent_without_them(book):
    old = book.visit("e1", day="old", on=9)
    for name in ("e2", "e3"):
        book.visit(name, day="old", on=9)
    book.send(old)
    new = [book.visit(name, day=f"new-{name}", on=3, payload=b"2") for name in ("e2", "e3")]
    ask_again(book, old)
    assert dirty(book) == [old]
    book.send(old, b"without them")
    assert dirty(book) == new, "both at once"


def test_two_days_that_changed_visits_before_anything_left_go_one_at_a_time(book):
    first, second = book.visit("e1", day="a", on=3), book.visit("e2", day="b", on=9)
    for day in (first, second):
        book.send(day, b"%d" % day)
    book.visit("e1", day="b", on=9, payload=b"2")
    book.visit("e2", day="a", on=3, payload=b"2")
    ask_again(book, first, second)
    assert dirty(book) == [first]
    book.send(first, b"with e2", page=WITH_E2)
    assert dirty(book) == [second]


def test_two_days_that_changed_visits_while_one_is_in_doubt_wait_for_its_answer(book):
    first, second = book.visit("e1", day="a", on=3), book.visit("e2", day="b", on=9)
    book.send(first)
    start(book)
    book.connection.execute("UPDATE submission SET state = 'in-doubt', next_at = 0")
    book.visit("e1", day="b", on=9, payload=b"2")
    book.visit("e2", day="a", on=3, payload=b"2")
    ask_again(book, first, second)
    assert dirty(book) == []
    book.answer()
    assert dirty(book) == [first]


def test_what_is_in_doubt_and_a_persons_may_be_billed_until_that_is_settled(book):
    old = book.visit("e1", day="old")
    book.send(old, page=WITH_E1)
    book.answer(Disposition.IN_DOUBT, hold="in-doubt")
    new = book.visit("e1", day="new", payload=b"2")
    assert still(book, new) == [book.row(old).reference]
    with book.ledger.transaction():
        book.ledger.days.reopen_submissions(book.row(old))
    assert still(book, new) == [] and dirty(book) == [], "it is looked up: the day waits for that"
    book.answer(Disposition.REJECTED, hold="rejected:422")
    assert still(book, new) == []


def test_what_the_biller_has_since_before_a_restore_may_be_billed_until_a_person_settled_it(book):
    old = book.visit("e1", day="old")
    book.send(old, page=WITH_E1)
    with book.ledger.transaction():
        book.connection.execute("UPDATE submission SET state = 'held', open = 0, hold_reason = 'restored'")
        book.connection.execute("UPDATE treatment_day SET state = 'held', reason = 'restored' WHERE id = ?", (old,))
    new = book.visit("e1", day="new", payload=b"2")
    assert still(book, new) == [book.row(old).reference]


def moves_on(book, **second):
    """A visit that the biller has with day A, which is held, moves to B and on to C. B has a charge of its own."""
    first = book.sent("e1", day="A", page=WITH_E1)
    then = book.sent("e2", day="B", page=WITH_E2)
    book.visit("e1", day="B", payload=b"2")
    book.judge(first, "held", "SB01")
    book.judge(then, "held", "SB06")
    return first, then


def test_a_visit_that_moves_twice_is_billed_where_the_biller_has_it(book):
    """Not only the last day that it left may have it: the biller never had it there."""
    first, then = moves_on(book)
    last = book.visit("e1", day="C", payload=b"3")
    book.judge(then, "sent")
    assert still(book, last) == [book.row(first).reference]


def test_an_edit_where_it_is_now_does_not_make_it_forget_where_it_was(book):
    first, then = moves_on(book)
    book.visit("e1", day="B", lines=2, payload=b"3")
    assert still(book, then) == [book.row(first).reference]


def test_a_visit_that_the_biller_has_where_it_moved_to_left_that_day(book):
    first, then = moves_on(book)
    book.send(first, b"without e1", Frequency.REPLACEMENT, page={"visits": []})
    book.answer()
    book.send(then, b"with both", Frequency.REPLACEMENT, page={"visits": [{"visit_id": "e2"}, {"visit_id": "e1"}]})
    book.answer()
    last = book.visit("e1", day="C", payload=b"3")
    ask_again(book, then)
    assert dirty(book) == [then], "its correction first"
    book.judge(then, "held", "SB01")
    assert still(book, last) == [book.row(then).reference]


def test_a_visit_that_came_back_and_goes_again_left_the_day_that_was_billed(book):
    first, _ = moves_on(book)
    book.visit("e1", day="A", payload=b"3")
    assert still(book, first) == []
    last = book.visit("e1", day="C", payload=b"4")
    assert still(book, last) == [book.row(first).reference]


def test_what_the_biller_may_have_of_a_day(book):
    day = book.visit("e1")
    has = lambda name="e1": may_have(book.connection, day, name)  # noqa: E731
    assert not has()
    book.send(day, page=WITH_E1)
    assert not has(), "what waits has not left"
    start(book)
    assert has() and not has("e2")
    book.connection.execute("UPDATE submission SET state = 'in-doubt', next_at = 0")
    assert has()
    book.answer()
    assert has() and not has("e2")
    book.send(day, b"without", Frequency.REPLACEMENT, page=WITH_E2)
    assert has() and not has("e2"), "the newest that was accepted"
    start(book)
    assert has() and has("e2"), "one of them"
    book.connection.execute("UPDATE submission SET state = 'in-doubt', next_at = 0 WHERE state = 'sending'")
    book.answer()
    assert has("e2") and not has()
    book.connection.execute("UPDATE submission SET version_id = NULL")
    assert has(), "nobody knows what it was made from"
    book.send(day, b"void", Frequency.VOID, page=WITH_E1)
    book.answer(Disposition.IN_DOUBT, hold="in-doubt")
    assert has(), "until it is known that the void was taken"
    with book.ledger.transaction():
        book.ledger.days.reopen_submissions(book.row(day))
    book.answer()
    assert not has() and not has("e2"), "the visit is in the day, and billed by nobody"


def test_a_rejected_submission_is_with_nobody(book):
    day = book.visit("e1")
    book.send(day, page=WITH_E1)
    book.answer(Disposition.REJECTED, hold="rejected:422")
    assert not may_have(book.connection, day, "e1")
