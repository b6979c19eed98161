"""An older ledger is brought up: every byte and state of its submissions is there again, and nowhere else in the file."""

from __future__ import annotations

import gzip
from pathlib import Path

import apsw

from ptbridge.ledger import Ledger, database
from ptbridge.ledger.database import integrity

V1 = Path(__file__).parents[2] / "contract" / "ledger_v1.sqlite.gz"


def test_submissions_keep_their_bytes_and_states_and_leave_no_copy_behind(tmp_path):
    path = tmp_path / "ledger.sqlite"
    path.write_bytes(gzip.decompress(V1.read_bytes()))
    kept = "id, clinic, destination, day_id, key, reference, revision, frequency, content_sha256, units, state, next_at"
    with apsw.Connection(str(path)) as old:
        rows = old.execute(f"SELECT {kept} FROM submission ORDER BY id").fetchall()
        bodies = old.execute("SELECT id, body FROM submission ORDER BY id").fetchall()
    assert len(rows) == len(bodies) == 13
    with Ledger.open(tmp_path) as ledger:
        connection = ledger._connection
        assert connection.execute(f"SELECT {kept} FROM submission ORDER BY id").fetchall() == rows
        assert connection.execute("SELECT submission_id, body FROM submission_body ORDER BY 1").fetchall() == bodies
        assert connection.execute("SELECT DISTINCT open FROM submission").fetchall() == [(1,)]
        assert integrity(connection) == [] and connection.pragma("foreign_keys") == 1
    file = path.read_bytes()
    assert [file.count(bytes(body)) for _, body in bodies] == [1] * 13
    assert path.with_name("ledger.sqlite-wal").exists() is False


def test_a_first_ledgers_visits_are_there_without_the_column_that_nobody_read(tmp_path):
    path = tmp_path / "ledger.sqlite"
    path.write_bytes(gzip.decompress(V1.read_bytes()))
    with apsw.Connection(str(path)) as old:
        names = [str(row[1]) for row in old.execute("PRAGMA table_info(visit)")]
        kept = ", ".join(name for name in names if name != "changed_run")
        rows = old.execute(f"SELECT {kept} FROM visit ORDER BY id").fetchall()
    assert rows and "changed_run" in names
    with Ledger.open(tmp_path) as ledger:
        connection = ledger._connection
        assert [str(row[1]) for row in connection.execute("PRAGMA table_info(visit)")] == kept.split(", ")
        assert connection.execute(f"SELECT {kept} FROM visit ORDER BY id").fetchall() == rows
        checks = {one.check: one.problems for one in ledger.verify(lambda *_: "")}
        assert checks["schema"] == () == checks["bytes"]


def test_every_step_has_a_number_of_its_own_and_none_is_missing():
    """Two steps of one number would run for a new ledger and one of them never for one that is brought up in between."""
    steps = sorted(path.name[:4] for path in Path(database.__file__).parent.glob("[0-9]*.sql"))
    assert steps == [f"{number:04}" for number in range(1, len(steps) + 1)]
