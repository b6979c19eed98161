"""What delivery gave up is a person's: no later judgement sends it again by itself (contracts D11 and D13)."""

from __future__ import annotations

import pytest

from ptbridge.model import Disposition, Frequency

CLINIC, PLATFORM = "riverside", "charge_api"


def given_up(book, reason, day=None, **more):
    """A day of which the newest submission is held by delivery for this reason."""
    day = day or book.visit("e1")
    book.send(day, **more)
    book.answer(Disposition.IN_DOUBT if reason == "in-doubt" else Disposition.REJECTED, hold=reason)
    return day


def stands(book, day):
    row = book.row(day)
    return row.state, row.reason, [made["state"] for made in book.ledger.accounts.submissions_of(day)]


def decide(book, day, kind):
    with book.ledger.transaction():
        book.ledger.days.decide(book.row(day), kind, "", "asked", "someone")


def test_in_doubt_stays_so_whatever_is_judged_until_a_person_lets_it_go(book):
    day = given_up(book, "in-doubt")
    since = book.row(day).held_since
    book.now = book.now.replace(hour=9)
    for judged in (
        lambda: book.send(day),
        lambda: book.send(day, b"edited meanwhile"),
        lambda: book.judge(day, "held", "DC01"),
        lambda: book.judge(day, "excluded", "no-show"),
        lambda: book.judge(day, "voided", gone=True),
    ):
        judged()
        assert stands(book, day) == ("held", "in-doubt", ["held"]) and book.row(day).held_since == since
    assert book.ledger.days.dirty(CLINIC) == [] and book.ledger.outbox(CLINIC, PLATFORM).due(now=2e9, limit=9) == []
    decide(book, day, "release")
    book.send(day, b"the biller has it not")
    assert stands(book, day) == ("queued", None, ["held", "queued"])


def test_in_doubt_that_a_person_excludes_is_excluded(book):
    day = given_up(book, "in-doubt")
    decide(book, day, "exclude")
    book.judge(day, "excluded", "by-person")
    assert stands(book, day) == ("excluded", "by-person", ["held"])


def test_a_word_of_before_it_was_in_doubt_lets_nothing_go(book):
    """Nor does a word about something else."""
    day = book.visit("e1")
    book.judge(day, "held", "DC01")
    decide(book, day, "release")
    given_up(book, "in-doubt", day)
    decide(book, day, "retry")
    decide(book, book.visit("e2"), "release")
    book.send(day, b"2")
    assert stands(book, day) == ("held", "in-doubt", ["held"])


def test_a_doubt_that_was_looked_up_in_vain_is_one_again(book):
    day = given_up(book, "in-doubt")
    decide(book, day, "release")
    with book.ledger.transaction():
        book.ledger.days.reopen_submissions(book.row(day))
    book.answer(Disposition.IN_DOUBT, hold="in-doubt")
    book.send(day, b"2")
    assert stands(book, day) == ("held", "in-doubt", ["held"]), "the release was of the hold before"


def test_a_correction_in_doubt_keeps_the_day_from_being_called_sent(book):
    """The EMR goes back to what the biller had first: it may have the correction by now."""
    day = book.sent("e1")
    given_up(book, "in-doubt", day, body=b"2", frequency=Frequency.REPLACEMENT)
    book.judge(day, "sent")
    assert stands(book, day) == ("held", "in-doubt", ["accepted", "held"])
    book.send(day, b"by hand", Frequency.REPLACEMENT, by_hand=True)
    assert stands(book, day) == ("held", "in-doubt", ["accepted", "held"])


def test_what_was_rejected_goes_again_only_as_something_else(book):
    day = given_up(book, "rejected:422", body=b"1")
    book.send(day, b"1")
    assert stands(book, day) == ("held", "rejected:422", ["held"])
    book.judge(day, "held", "DC01")
    assert stands(book, day) == ("held", "DC01", ["held"]), "a finding holds it as well"
    book.send(day, b"1")
    assert stands(book, day) == ("held", "rejected:422", ["held"])
    book.send(day, b"mended")
    assert stands(book, day) == ("queued", None, ["held", "queued"])


@pytest.mark.parametrize("frequency", [Frequency.REPLACEMENT, Frequency.VOID])
def test_a_rejected_original_keeps_nothing_else_of_the_same_bytes_back(book, frequency):
    day = given_up(book, "rejected:422", body=b"1")
    book.send(day, b"1", frequency)
    assert book.row(day).state == "queued"


def test_what_was_rejected_goes_again_when_a_person_says_so(book):
    released, retried = given_up(book, "rejected:422"), given_up(book, "rejected:422", book.visit("e2"))
    decide(book, released, "release")
    with book.ledger.transaction():
        book.ledger.days.reopen_submissions(book.row(retried))
    for day in (released, retried):
        book.send(day)
        assert book.row(day).state == "queued"


def test_what_was_never_taken_in_as_many_attempts_as_are_allowed_may_go_again(book):
    day = given_up(book, "attempts-exhausted")
    book.send(day)
    assert stands(book, day) == ("queued", None, ["held", "queued"])


def test_only_the_newest_that_was_made_counts(book):
    day = given_up(book, "in-doubt")
    decide(book, day, "release")
    book.send(day, b"2")
    book.answer()
    book.tamper("DELETE FROM history WHERE event = 'release'")
    book.send(day, b"3", Frequency.REPLACEMENT)
    assert stands(book, day) == ("queued", None, ["held", "accepted", "queued"])
    book.send(day, b"4", Frequency.REPLACEMENT)
    assert stands(book, day)[2] == ["held", "accepted", "replaced", "queued"]


def test_what_was_set_aside_since_changes_nothing(book):
    day = given_up(book, "rejected:422", body=b"1")
    book.send(day, b"edited")
    with book.ledger.transaction():
        assert book.ledger.days.take_back(book.row(day), "someone")
    book.send(day, b"1")
    assert stands(book, day) == ("held", "rejected:422", ["held", "replaced"])


def test_a_doubt_that_the_look_up_settled_keeps_nothing_back(book):
    day = given_up(book, "in-doubt")
    with book.ledger.transaction():
        book.ledger.days.reopen_submissions(book.row(day))
    book.answer()
    book.send(day, b"2", Frequency.REPLACEMENT)
    assert stands(book, day) == ("queued", None, ["accepted", "queued"])


def test_a_word_about_a_doubt_outlives_a_hold_for_something_else(book):
    """A finding's hold of the same day, and another charge that is given up later."""
    day = given_up(book, "in-doubt")
    decide(book, day, "release")
    book.judge(day, "held", "DC01")
    assert stands(book, day) == ("held", "DC01", ["held"])
    given_up(book, "in-doubt", book.visit("e2"))
    book.send(day, b"2")
    assert stands(book, day) == ("queued", None, ["held", "queued"])
