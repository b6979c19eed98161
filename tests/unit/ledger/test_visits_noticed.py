"""Places where a small wrong change of what is kept of visits once passed every other test."""

from __future__ import annotations

from datetime import timedelta

from ptbridge.ledger.visits import KnownVisit
from ptbridge.model import SourceRecord

CLINIC, SOURCE = "riverside", "fhir_r4"


def events(book, visit_row):
    return [(row["event"], row["detail"]) for row in book.ledger.history.of("visit", visit_row)]


def record(book, **more):
    """A record as `Book` stores it."""
    return SourceRecord(
        **{
            "clinic": CLINIC,
            "source": SOURCE,
            "record_key": "e1",
            "media_type": "application/fhir+json",
            "version": "",
            "received_at": book.now,
            "payload": b"{}",
        }
        | more
    )


def test_the_same_content_in_new_bytes_is_the_newest_record(book):
    book.visit("e1", payload=b"first")
    book.now += timedelta(hours=1)
    book.visit("e1", payload=b"second")
    assert book.ledger.visits.latest(CLINIC, SOURCE, "e1") == record(book, payload=b"second")
    known = book.ledger.visits.find(CLINIC, SOURCE, "e1")
    assert known.record_sha256.hex() == record(book, payload=b"second").sha256
    assert events(book, known.id) == [("read", "")], "and nothing changed"


def test_the_newest_record_comes_back_as_it_was_received(book):
    book.visit("e1", version="7", payload=b"as received")
    found = book.ledger.visits.latest(CLINIC, SOURCE, "e1")
    assert found == record(book, version="7", payload=b"as received")


def test_the_history_of_a_visit_tells_each_change_once(book):
    book.visit("e1")
    book.visit("e1", lines=2, payload=b"2")
    book.unreadable("e1", "entry 1: no code")
    book.visit("e1", lines=2, payload=b"3")
    with book.ledger.transaction():
        book.ledger.visits.gone(CLINIC, SOURCE, "e1")
    told = [("read", ""), ("changed", ""), ("quarantined", "entry 1: no code"), ("changed", ""), ("gone", "")]
    assert events(book, 1) == told


def test_what_became_of_a_visit_is_told_with_the_time_of_its_last_word(book):
    """Read, edited, unreadable, deleted, moved; where the history tells nothing, when its record was received."""
    day, first = book.visit("e1"), book.ledger.history.now()
    for name in ("e2", "e3", "e4", "e5"):
        book.visit(name, day="e1")
    book.visit("e9")
    book.now += timedelta(hours=1)
    second = book.ledger.history.now()
    book.visit("e1", payload=b"the same in new bytes")
    book.visit("e2", day="e1", lines=2, payload=b"2")
    book.unreadable("e3")
    with book.ledger.transaction():
        book.ledger.visits.gone(CLINIC, SOURCE, "e4")
    book.visit("e5", day="elsewhere", payload=b"2")
    assert book.ledger.visits.touching(day) == [
        ("e1", "read", True, first),
        ("e2", "read", True, second),
        ("e3", "quarantined", True, second),
        ("e4", "gone", True, second),
        ("e5", "read", False, second),
    ]
    book.now += timedelta(hours=1)
    book.visit("e3", day="e1", payload=b"3")
    assert book.ledger.visits.touching(day)[2] == ("e3", "read", True, book.ledger.history.now())
    book.tamper("DELETE FROM history")
    received = ["2026-11-21T03:00:00+00:00"] * 2 + [
        book.now.isoformat(),
        "2026-11-21T02:00:00+00:00",
        "2026-11-21T03:00:00+00:00",
    ]
    assert [at for *_, at in book.ledger.visits.touching(day)] == received


def test_what_is_read_again_comes_with_where_it_stood_and_what_was_received(book):
    """A visit of a held day, and one that could never be read: each with its own record."""
    day = book.visit("e1", version="7", payload=b"one")
    book.judge(day, "held", "DC01")
    book.unreadable("e9")
    digests = [record(book, payload=payload).sha256 for payload in (b"one", b"{")]
    (read, first, first_row), (unread, second, second_row) = book.ledger.visits.to_read_again(CLINIC)
    (content,) = book.connection.execute("SELECT content_sha256 FROM visit_version").fetchone()
    assert read == KnownVisit(1, "read", bytes.fromhex(digests[0]), content, day)
    assert unread == KnownVisit(2, "quarantined", bytes.fromhex(digests[1]), None, None)
    assert first == record(book, version="7", payload=b"one") and second == record(book, record_key="e9", payload=b"{")
    assert (first_row, second_row) == (1, 2)
