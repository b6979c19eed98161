"""Places where a small wrong change of the ledger's file, its lock or its transactions once passed every other test."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from ptbridge.errors import LedgerBusy, LedgerError
from ptbridge.ledger import Ledger
from ptbridge.ledger.database import WriterLock, prepare_folder

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
