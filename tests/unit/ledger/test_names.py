"""On a real ledger: which of our references a name means that a platform keeps only the beginning of."""

from __future__ import annotations

import apsw
import pytest

from ptbridge.ledger import names
from ptbridge.ledger.names import range_of
from ptbridge.model import Frequency

CLINIC = "riverside"
WHOLE = "pt-0123456789abcdef01234567"


def day(book, reference, clinic=CLINIC):
    """A treatment day of this reference, of which nothing was made yet."""
    with book.ledger.transaction():
        return book.ledger.days.ensure(clinic, f"key of {reference}", reference, "2026-11-20", "pat-key")


@pytest.mark.parametrize(("characters", "known"), [(9, False), (10, True), (11, True), (17, True), (26, True), (27, True)])
def test_a_name_stands_for_the_one_reference_that_begins_so_however_short_it_was_cut(book, characters, known):
    book.visit("e1")
    (one,) = book.ledger.days.named("e1")
    name = one.reference[:characters]
    assert book.ledger.names.whole(CLINIC, name) == (one.reference if known else name)
    assert book.ledger.names.whole("elm", name) == name, "another clinic's"


def test_where_two_begin_so_it_is_nobodys(book):
    one, other = "pt-0123456789abcdef00000000", "pt-0123456789abcdef0fffffff"
    day(book, one)
    assert book.ledger.names.whole(CLINIC, one[:20]) == one
    day(book, other)
    assert book.ledger.names.whole(CLINIC, one[:20]) == one[:20]
    assert book.ledger.names.whole(CLINIC, other[:21]) == other, "the last digit counts, an f too"
    assert book.ledger.names.whole(CLINIC, one) == one


@pytest.mark.parametrize(
    "name", ["", "nobody-sent-this", "0123456789abcdef", "pt-0123456789abcdef00000000/ChargeItem", "pt-012"]
)
def test_a_name_that_is_no_beginning_of_ours_stays_as_it_is(book, name):
    day(book, "pt-0123456789abcdef00000000")
    day(book, "0123456789abcdef00000000")
    assert book.ledger.names.whole(CLINIC, name) == name


def test_what_follows_a_void_has_a_name_of_its_own_that_only_its_submission_tells(book):
    day_id = book.sent("e1")
    book.send(day_id, b"", Frequency.VOID, closes_reference=True)
    book.answer()
    book.send(day_id, b"2")
    book.connection.execute("DROP TRIGGER submission_key_stays")
    second = "pt-fedcba9876543210ffffffff"
    book.connection.execute("UPDATE submission SET reference = ? WHERE id = (SELECT max(id) FROM submission)", (second,))
    assert book.ledger.names.whole(CLINIC, second[:17]) == second
    assert book.ledger.names.whole("elm", second[:17]) == second[:17]


def test_two_names_of_the_biller_for_one_of_ours_are_two_charges_of_it(book):
    book.visit("e1")
    (one,) = book.ledger.days.named("e1")
    theirs = {one.reference[:17]: (2, 9000), one.reference: (3, 100), "other": (1, 1)}
    assert book.ledger.names.all_whole(CLINIC, theirs) == {one.reference: (5, 9100), "other": (1, 1)}
    assert book.ledger.names.all_whole(CLINIC, {one.reference[:17]: (2, 9000)}) == {one.reference: (2, 9000)}
    assert book.ledger.names.all_whole(CLINIC, {}) == {}


def test_a_name_is_looked_up_by_the_reference_and_not_among_all_that_the_clinic_has(book):
    with apsw.Connection(str(book.ledger.folder / "ledger.sqlite")) as connection:
        plan = [str(row[3]) for row in connection.execute(f"EXPLAIN QUERY PLAN {names._BEGIN_SO}", (CLINIC, "pt-0123456"))]
    searches = [step for step in plan if step.startswith(("SEARCH", "SCAN"))]
    assert len(searches) == 2 and all("(reference>? AND reference<?)" in step for step in searches), plan


@pytest.mark.parametrize(
    ("reference", "first", "last"),
    [
        (None, "", ""),
        ("", "", ""),
        (WHOLE, WHOLE, WHOLE + "\x00"),
        (WHOLE.upper(), WHOLE.upper(), WHOLE.upper() + "\x00"),
        (WHOLE[:26], WHOLE[:26], WHOLE[:26] + "g"),
        (WHOLE[3:].upper(), WHOLE, WHOLE + "g"),
        (WHOLE[:10], WHOLE[:10], WHOLE[:10] + "g"),
        (WHOLE[:9], "", ""),
        (WHOLE[3:10], WHOLE[:10], WHOLE[:10] + "g"),
    ],
)
def test_a_whole_reference_is_itself_and_a_cut_one_is_a_range_of_its_beginning(reference, first, last):
    assert range_of(reference) == (first, last)
