"""The look through the whole file before a writer starts (contract D22), and the note that spares it most days.

A writer that ends in order leaves the file's size and time of change in the lock file. The next one looks through the file
unless it finds it so, and once a day in any case: a disk may change bytes that nobody wrote.
"""

from __future__ import annotations

import time
from pathlib import Path

import apsw

from ptbridge.errors import LedgerError
from ptbridge.ledger.database import WriterLock, damaged

EVERY_SECONDS = 24 * 3600


def check(connection: apsw.Connection, path: Path, lock: WriterLock, found_as: str) -> float:
    """When the file was last looked through (Unix seconds), which may be now. Raises LedgerError when it is damaged.

    `found_as` is its `state_of` from before it was opened.
    """
    state, _, checked_at = lock.note().rpartition(" ")
    lock.leave("")
    if state and state == found_as and 0 <= time.time() - float(checked_at) < EVERY_SECONDS:
        return float(checked_at)
    try:
        found = connection.execute("PRAGMA quick_check(1)").fetchall()
    except apsw.Error as error:
        raise damaged(error, path) from None
    if found != [("ok",)]:
        raise LedgerError(f"{path}: damaged. Nothing was done. Restore the last backup (`ptbridge restore FILE --replace`).")
    return time.time()


def leave_note(path: Path, lock: WriterLock, checked_at: float) -> None:
    """Call after the file was closed in order. A full disk takes no note: then the next start looks through the file."""
    try:
        lock.leave(f"{state_of(path)} {int(checked_at)}")  # rounded up it would lie in the future
    except OSError:
        return


def state_of(path: Path) -> str:
    """Size and time of change; empty when there is no file, or a WAL beside it: somebody has it open, or was killed."""
    if not path.exists() or path.with_name(f"{path.name}-wal").exists():
        return ""
    known = path.stat()
    return f"{known.st_size} {known.st_mtime_ns}"
