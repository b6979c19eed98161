"""A run's number is used once, also after a restore has brought back a ledger that counts lower."""

from __future__ import annotations

import gzip
from pathlib import Path

import apsw
import pytest

from ptbridge.ledger import Ledger
from ptbridge.ledger.run_numbers import highest_run
from ptbridge.specs import at_rest

CLINIC = "riverside"
V1 = Path(__file__).parents[2] / "contract" / "ledger_v1.sqlite.gz"


def test_runs_count_on_from_the_highest_number_that_any_restore_found(book):
    assert (book.run, book.ledger.begin_run(CLINIC)) == (1, 2)
    book.ledger.restored.mark(book.now, "someone", 17)
    assert book.ledger.begin_run(CLINIC) == 18 == book.ledger.history.run_id
    book.ledger.restored.mark(book.now, "someone", 9)
    assert book.ledger.begin_run("lakeside") == 19
    book.ledger.restored.mark(book.now, "someone")
    assert book.ledger.begin_run(CLINIC) == 20
    assert book.connection.execute("SELECT last_run FROM restored ORDER BY id").fetchall() == [(17,), (9,), (0,)]


def test_the_highest_number_is_read_beside_a_writer_and_nothing_is_touched(book):
    for _ in range(3):
        book.ledger.begin_run(CLINIC)
    before = {path.name: path.read_bytes() for path in book.folder.iterdir()}
    assert any(name.endswith("-wal") for name in before)
    assert highest_run(book.folder) == 4
    after = {path.name: path.read_bytes() for path in book.folder.iterdir()}
    assert {name for name in before if after[name] != before[name]} <= {"ledger.sqlite-shm"}


def test_what_a_process_that_was_killed_left_in_its_log_counts_and_stays_there(book, tmp_path):
    book.ledger.begin_run(CLINIC)
    left = tmp_path / "left"
    left.mkdir()
    for name in ("ledger.sqlite", "ledger.sqlite-wal"):
        (left / name).write_bytes((book.folder / name).read_bytes())
    before = {path.name: path.read_bytes() for path in left.iterdir()}
    assert highest_run(left) == 2
    assert {name: (left / name).read_bytes() for name in before} == before


def test_a_ledger_of_the_first_schema_is_read_and_left_at_it(tmp_path):
    path = tmp_path / "ledger.sqlite"
    path.write_bytes(gzip.decompress(V1.read_bytes()))
    with apsw.Connection(str(path)) as old:
        old.execute("INSERT INTO run (id, clinic, started_at) VALUES (41, 'oak', '2026-01-01')")
    old.close()
    before = path.read_bytes()
    assert highest_run(tmp_path) == 41 and path.read_bytes() == before


@pytest.mark.parametrize("content", [None, b"", b"not a database at all" * 400, gzip.decompress(V1.read_bytes())[:5000]])
def test_where_there_is_no_ledger_or_none_that_can_be_read_no_number_is_known(tmp_path, content):
    if content is not None:
        (tmp_path / "ledger.sqlite").write_bytes(content)
    assert highest_run(tmp_path) == 0


def test_an_encrypted_ledger_is_read_with_its_key_and_not_without(tmp_path, monkeypatch):
    state = tmp_path / "state"
    monkeypatch.setenv("MASTER", at_rest.new_master_key())
    (tmp_path / "ptbridge.yaml").write_text('encryption:\n  key: "env:MASTER"\n', "utf-8")
    with Ledger.open(state) as ledger:
        ledger.begin_run(CLINIC)
    assert not (state / "ledger.sqlite").read_bytes().startswith(b"SQLite") and highest_run(state) == 1
    monkeypatch.delenv("MASTER")
    assert highest_run(state) == 0
