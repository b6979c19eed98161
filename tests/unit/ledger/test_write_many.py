"""Rows are written many at a time: each once, in their order, whatever their number."""

from __future__ import annotations

import apsw
import pytest

from ptbridge.ledger.database import write_many


@pytest.fixture
def table() -> apsw.Connection:
    connection = apsw.Connection(":memory:")
    connection.execute("CREATE TABLE row (id INTEGER PRIMARY KEY, name TEXT, body BLOB)")
    return connection


@pytest.mark.parametrize("count", [0, 1, 9, 10, 11, 49, 50, 51, 60, 99, 100, 171])
def test_each_row_is_written_once_and_their_numbers_follow_each_other(table: apsw.Connection, count: int) -> None:
    rows = [(f"name {number}", bytes([number])) for number in range(count)]
    write_many(table, "INSERT INTO row (name, body) VALUES {rows}", rows)
    assert table.execute("SELECT name, body FROM row ORDER BY id").fetchall() == rows
    assert table.last_insert_rowid() == count, "Judging counts back from it"


def test_rows_are_taken_fifty_at_a_time(table: apsw.Connection) -> None:
    said: list[str] = []
    table.trace_v2(apsw.SQLITE_TRACE_STMT, lambda event: said.append(event["sql"]))
    write_many(table, "INSERT INTO row (name, body) VALUES {rows}", [("name", b"")] * 123)
    assert [statement.count("(?, ?)") for statement in said] == [50, 50, 10, 10, 1, 1, 1]


def test_a_row_that_is_known_is_changed_and_no_other(table: apsw.Connection) -> None:
    write_many(table, "INSERT INTO row (name, body) VALUES {rows}", [(f"name {number}", b"") for number in range(1, 71)])
    change = "WITH new (id, name) AS (VALUES {rows}) UPDATE row SET name = new.name FROM new WHERE row.id = new.id"
    write_many(table, change, [(number, None if number == 7 else f"new {number}") for number in range(2, 70)])
    names = [name for (name,) in table.execute("SELECT name FROM row ORDER BY id")]
    assert names == ["name 1", *(None if number == 7 else f"new {number}" for number in range(2, 70)), "name 70"]
