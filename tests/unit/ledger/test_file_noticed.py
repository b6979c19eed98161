"""Places where a small wrong change of the ledger's file, its lock or its transactions once passed every other test."""

from __future__ import annotations

import os
import resource
import threading
import time
from pathlib import Path

import apsw
import pytest

from ptbridge.errors import LedgerBusy, LedgerError
from ptbridge.ledger import Ledger
from ptbridge.ledger.database import FILE_NAME, SAFE_SQLITE, WriterLock, damaged, open_file, prepare_folder
from ptbridge.ledger.reserve import BYTES, Reserve

CLINIC = "riverside"


def open_files() -> int:
    return len(os.listdir("/proc/self/fd"))


def test_one_who_is_refused_the_lock_leaves_no_file_open(tmp_path):
    holder = WriterLock(tmp_path)
    before = open_files()
    with pytest.raises(LedgerBusy):
        WriterLock(tmp_path)
    assert open_files() == before
    holder.release()
    assert open_files() == before - 1


def test_a_note_that_nobody_wrote_is_read_as_one_that_fits_nothing(tmp_path):
    """A lock file with other bytes in it: what is read is no note, and the next holder looks through the file."""
    Ledger.open(tmp_path).close()
    (tmp_path / "lock").write_bytes(b"\xff\xfe not ours")
    lock = WriterLock(tmp_path)
    assert lock.note().endswith(" not ours") and "\ufffd" in lock.note()
    lock.release()
    Ledger.open(tmp_path).close()


def test_a_state_folder_that_others_could_look_into_is_closed_to_them(tmp_path):
    """Also one that was there, and one whose parents were not."""
    open_to_all = tmp_path / "there"
    open_to_all.mkdir(mode=0o755)
    open_to_all.chmod(0o755)
    deep = tmp_path / "not" / "there" / "yet"
    for folder in (open_to_all, deep):
        prepare_folder(folder)
        assert folder.stat().st_mode & 0o777 == 0o700


def test_a_file_that_may_need_a_key_is_told_apart_from_a_damaged_one(tmp_path: Path):
    Ledger.open(tmp_path).close()
    (tmp_path / "ledger.sqlite").write_bytes(b"encrypted, or something else " * 200)
    with pytest.raises(LedgerError, match="not a ptbridge ledger, or its first page is damaged, or it is encrypted"):
        Ledger.open(tmp_path)


@pytest.mark.parametrize("write", [True, False])
def test_a_file_that_cannot_be_opened_is_let_go_at_once(tmp_path, write):
    """Also while somebody looks at the error."""
    Ledger.open(tmp_path).close()
    (tmp_path / FILE_NAME).write_bytes(b"SQLite format 3\x00" + b"\xff" * 4080)
    before = open_files()
    with pytest.raises(LedgerError) as of_the_ledger:
        Ledger.open(tmp_path, write=write)
    with pytest.raises(LedgerError) as of_the_file:
        open_file(tmp_path / FILE_NAME, None, write=write)
    assert of_the_ledger.value and of_the_file.value and open_files() == before


def unsound(ledger: Ledger) -> None:
    """A row that breaks a rule of its table: every statement still works, and SQLite's own check finds it."""
    ledger._connection.execute("PRAGMA ignore_check_constraints = ON; UPDATE history_head SET id = 2").fetchall()
    ledger._connection.execute("PRAGMA ignore_check_constraints = OFF")


def test_a_file_that_is_found_damaged_only_by_the_look_through_it_is_let_go(tmp_path):
    with Ledger.open(tmp_path) as ledger:
        unsound(ledger)
    os.utime(tmp_path / FILE_NAME, (0, 0))  # not as it was left: it is looked through
    before = open_files()
    with pytest.raises(LedgerError, match="damaged") as caught:
        Ledger.open(tmp_path)
    assert caught.value and open_files() == before


def test_a_connection_is_as_the_ledger_needs_it(tmp_path):
    """Sorting in memory, nothing of what a purge took out in a page, a log that is brought in every 32 MB, plans made once."""
    with Ledger.open(tmp_path) as ledger:
        names = ("temp_store", "cache_size", "wal_autocheckpoint", "trusted_schema", "secure_delete", "foreign_keys")
        assert [ledger._connection.pragma(name) for name in names] == [2, -16_000, 8000, 0, 1, 1]
        assert ledger._connection.config(apsw.SQLITE_DBCONFIG_ENABLE_QPSG, -1) == 1


def test_a_writer_waits_for_somebody_who_has_the_file_for_a_moment(tmp_path):
    with Ledger.open(tmp_path) as ledger:
        other = apsw.Connection(str(tmp_path / FILE_NAME))
        other.execute("BEGIN IMMEDIATE")

        def soon() -> None:
            time.sleep(0.2)
            other.execute("COMMIT")

        leaves = threading.Thread(target=soon)
        leaves.start()
        assert ledger.begin_run(CLINIC) == 1
        leaves.join()
        other.close()


@pytest.mark.parametrize(
    ("error", "advice"),
    [
        (apsw.CorruptError, "The file is damaged. Restore the last backup"),
        (apsw.NotADBError, "not a ptbridge ledger of this key"),
        (apsw.FullError, "The disk is full. Make room"),
        (apsw.BusyError, "Another program holds the database. Close it"),
        (apsw.ReadOnlyError, "The state folder cannot be written"),
        (apsw.IOError, "Check the disk, then run again"),
    ],
)
def test_each_trouble_of_the_file_says_what_to_do(error, advice):
    assert advice in str(damaged(error("Jane Roe"))) and "Jane" not in str(damaged(error("Jane Roe")))
    assert str(damaged(error())).startswith("ledger: SQLite ") and str(damaged(error(), Path("x"))).startswith("x: SQLite ")


def test_what_was_kept_back_is_written_when_the_ledger_is_closed(tmp_path):
    ledger = Ledger.open(tmp_path)
    ledger.history.add(CLINIC, "day", 1, "held")
    ledger.close()
    with Ledger.open(tmp_path, write=False) as ledger:
        assert [row["event"] for row in ledger.history.of("day", 1)] == ["held"]


def test_after_a_rehearsal_the_history_goes_on_where_it_was(tmp_path):
    """What was rehearsed has no number, and the next row follows what is stored."""
    with Ledger.open(tmp_path) as ledger:
        with ledger.transaction():
            ledger.history.add(CLINIC, "day", 1, "held")
        with ledger.rehearsal():
            with ledger.transaction():
                ledger.history.add(CLINIC, "day", 2, "rehearsed")
            ledger.history.add(CLINIC, "day", 3, "kept back")
        with ledger.transaction():
            ledger.history.add(CLINIC, "day", 4, "sent")
        rows = ledger._connection.execute("SELECT seq, entity_id FROM history").fetchall()
        assert rows == [(1, 1), (2, 4)] and ledger.history.head()[0] == 2


def test_room_that_cannot_be_had_whole_is_not_kept_in_part(tmp_path):
    """The file is there before its room is: where that ends early, it goes again."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (BYTES // 2, hard))
    try:
        Reserve(tmp_path).keep()
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert list(tmp_path.iterdir()) == []


def test_what_is_not_sound_names_the_table(tmp_path):
    with Ledger.open(tmp_path) as ledger:
        assert ledger.integrity() == []
        ledger._connection.execute("PRAGMA foreign_keys = OFF")
        ledger._connection.execute("INSERT INTO decision VALUES (7, 99, 'retry', NULL, '', '', '', '')")
        assert ledger.integrity() == ["dangling reference in decision"]


def test_the_first_sqlite_without_the_wal_reset_defect_is_the_oldest_that_is_taken():
    """3.7.0 to 3.51.2 have it (sqlite.org/wal.html, docs/decisions/0003)."""
    assert SAFE_SQLITE == (3, 51, 3)


def test_what_the_check_of_the_file_finds_is_told_in_its_words(tmp_path):
    with Ledger.open(tmp_path) as ledger:
        unsound(ledger)
        assert ledger.integrity() == ["CHECK constraint failed in history_head"]
