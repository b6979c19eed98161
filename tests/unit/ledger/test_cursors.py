"""A cursor belongs to the server that it came from."""

from __future__ import annotations

import pytest

from ptbridge.ports import AnswerPage

CLINIC, SOURCE, PLATFORM = "riverside", "fhir_r4", "charge_api"
HERE, THERE = "https://emr.example/fhir", "https://new.example/fhir"


def test_a_place_at_another_address_is_no_place_until_the_reading_moved_there(book):
    ledger = book.ledger
    assert ledger.cursor(CLINIC, SOURCE, HERE) == {} and not ledger.cursors.is_elsewhere(CLINIC, SOURCE, HERE)
    with ledger.transaction():
        ledger.move_cursor(CLINIC, SOURCE, {"Encounter": "1", "Procedure": "1"}, HERE)
        ledger.move_cursor(CLINIC, "another", {"Encounter": "9"}, HERE)
        ledger.move_cursor("lakeside", SOURCE, {"Encounter": "8"}, HERE)
    assert ledger.cursor(CLINIC, SOURCE, HERE) == {"Encounter": "1", "Procedure": "1"} == ledger.cursor(CLINIC, SOURCE)
    assert not ledger.cursors.is_elsewhere(CLINIC, SOURCE, HERE)
    assert ledger.cursor(CLINIC, SOURCE, THERE) == {} and ledger.cursors.is_elsewhere(CLINIC, SOURCE, THERE)
    assert not ledger.cursors.is_elsewhere(CLINIC, "third", THERE)
    assert not ledger.cursors.is_elsewhere("oak", SOURCE, THERE)
    with ledger.transaction():
        ledger.move_cursor(CLINIC, SOURCE, {"Encounter": "2"}, HERE)
    assert ledger.cursor(CLINIC, SOURCE, HERE) == {"Encounter": "2", "Procedure": "1"}, "only what moved"
    with ledger.transaction():
        ledger.move_cursor(CLINIC, SOURCE, {"Encounter": "3"}, THERE)
    assert ledger.cursor(CLINIC, SOURCE, THERE) == {"Encounter": "3"} == ledger.cursor(CLINIC, SOURCE)
    assert ledger.cursor(CLINIC, SOURCE, HERE) == {} and ledger.cursors.is_elsewhere(CLINIC, SOURCE, HERE)
    assert ledger.cursor(CLINIC, "another", HERE) == {"Encounter": "9"}
    assert ledger.cursor("lakeside", SOURCE, HERE) == {"Encounter": "8"}


def test_a_cursor_of_an_older_ledger_is_that_of_the_address_that_it_moves_at_next(book):
    ledger = book.ledger
    rows = [(CLINIC, SOURCE, "Encounter"), (CLINIC, SOURCE, "Procedure"), (CLINIC, "other", "Encounter")]
    book.connection.executemany("INSERT INTO cursor (clinic, source, name, value) VALUES (?, ?, ?, '1')", rows)
    book.connection.execute(
        "INSERT INTO cursor (clinic, source, name, value) VALUES ('lakeside', ?, 'Encounter', '1')", (SOURCE,)
    )
    assert len(ledger.cursor(CLINIC, SOURCE, HERE)) == len(ledger.cursor(CLINIC, SOURCE, THERE)) == 2
    assert not ledger.cursors.is_elsewhere(CLINIC, SOURCE, HERE)
    with ledger.transaction():
        ledger.move_cursor(CLINIC, SOURCE, {"Encounter": "2"}, HERE)
    assert ledger.cursor(CLINIC, SOURCE, HERE) == {"Encounter": "2", "Procedure": "1"}
    assert ledger.cursor(CLINIC, SOURCE, THERE) == {}, "also what did not move is known to be of there"
    stored = book.connection.execute("SELECT clinic, source, address FROM cursor ORDER BY 1, 2, address").fetchall()
    assert stored == [("lakeside", SOURCE, None), (CLINIC, SOURCE, HERE), (CLINIC, SOURCE, HERE), (CLINIC, "other", None)]


def test_a_feed_of_news_is_read_from_its_beginning_at_another_address(book):
    answers = book.ledger.answers
    answers.record(CLINIC, PLATFORM, AnswerPage(cursor={"after": "7", "word": "x"}), HERE)
    assert answers.cursor(CLINIC, PLATFORM, HERE) == {"after": "7", "word": "x"} == answers.cursor(CLINIC, PLATFORM)
    assert answers.cursor(CLINIC, PLATFORM, THERE) == {}
    answers.record(CLINIC, PLATFORM, AnswerPage(), THERE)
    assert answers.cursor(CLINIC, PLATFORM, HERE)["after"] == "7", "a page without a place moves nothing"
    answers.record(CLINIC, PLATFORM, AnswerPage(cursor={"after": "1"}), THERE)
    assert answers.cursor(CLINIC, PLATFORM, THERE) == {"after": "1"} and answers.cursor(CLINIC, PLATFORM, HERE) == {}


@pytest.mark.parametrize("address", ["", HERE])
def test_what_is_said_without_an_address_is_of_no_server(book, address):
    with book.ledger.transaction():
        book.ledger.move_cursor(CLINIC, SOURCE, {"message": "4"})
    assert book.ledger.cursors.is_elsewhere(CLINIC, SOURCE, address) == (address != "")
