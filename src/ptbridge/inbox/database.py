"""The inbox's file: SQLite in WAL with `synchronous=FULL`, as the ledger is and for the same reasons (docs/decisions/0003).

It is a file of its own, so that a listener stores messages while a sync, the ledger's one writer, runs beside it.
"""

from __future__ import annotations

import fcntl
import os
from pathlib import Path

import apsw

from ptbridge.errors import LedgerBusy, LedgerError
from ptbridge.specs import at_rest

FILE_NAME = "inbox.sqlite"
LISTENER_LOCK = "inbox.lock"
FILES_LOCK = "inbox-files.lock"
_SAFE_SQLITE = (3, 51, 3)  # 3.7.0 to 3.51.2 can lose committed pages when a WAL is reset
_SCHEMA = Path(__file__).with_name("0001_inbox.sql")
_VERSION = 1
_ADVICE = {
    "CorruptError": "The file is damaged. Restore the last backup; senders were answered for stored messages only.",
    "NotADBError": "This is not a ptbridge inbox, or its first page is damaged. Restore the last backup.",
    "FullError": "The disk is full. Make room; nothing was acknowledged that is not stored.",
    "BusyError": "Another program holds the database. Close it and run again.",
    "ReadOnlyError": "The state folder cannot be written. Check its owner and the file system.",
    "IOError": "The disk failed. Check it, then run again; nothing was acknowledged that is not stored.",
}


class StoreLater(LedgerError):
    """Nothing could be stored just now, and the inbox is sound: a full disk, a lock that is held too long."""


class Lock:
    """A right that one process has at a time. The kernel drops it when the process ends, however it ends."""

    def __init__(self, path: Path, what: str) -> None:
        self._descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(self._descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            os.close(self._descriptor)
            raise LedgerBusy(f"{path.parent}: another ptbridge {what} here. Wait for it to end; nothing was started.") from None

    def release(self) -> None:
        """Give the right up."""
        os.close(self._descriptor)


def connect(folder: Path, *, write: bool) -> apsw.Connection:
    """Open the inbox of a state folder; a writer makes a missing one.

    Raises LedgerError for a damaged file, a newer schema, an unsafe SQLite, or no inbox to read.
    """
    if tuple(int(part) for part in apsw.sqlite_lib_version().split(".")) < _SAFE_SQLITE:
        raise LedgerError(f"SQLite {apsw.sqlite_lib_version()} can lose committed data. Install apsw-sqlite3mc 3.54.")
    path = folder / FILE_NAME
    if (folder / at_rest.UNFINISHED_RESTORE).exists():
        raise LedgerError(f"{folder}: a restore or an encryption was interrupted. Run `ptbridge restore --finish`.")
    if not path.exists() and not write:
        raise LedgerError(f"{path}: no inbox yet. Run `ptbridge listen` first.")
    key = at_rest.data_key(folder, make=write)
    at_rest.check_header(path, key, "inbox")
    if write:
        _prepare(folder, path)
    return open_file(path, key, write=write)


def open_file(path: Path, key: bytes | None, *, write: bool) -> apsw.Connection:
    """Open an inbox's file under its key; a writer brings its schema up. Raises LedgerError."""
    connection = None
    try:
        connection = apsw.Connection(str(path), flags=apsw.SQLITE_OPEN_READWRITE)
        connection.set_busy_timeout(3_000)  # other writers only add a file's messages at a time
        if key is not None:
            connection.execute(at_rest.pragmas(key)).fetchall()
        connection.config(apsw.SQLITE_DBCONFIG_ENABLE_QPSG, 1)  # or it plans statements anew for each value
        # fetchall: apsw stops at a statement's first row, and those after it would never run
        connection.execute("PRAGMA journal_mode=WAL; PRAGMA synchronous=FULL; PRAGMA temp_store=MEMORY").fetchall()
        # 1,000 pages, 4 MB: the senders of the commit that passes it wait until they are copied
        connection.execute("PRAGMA wal_autocheckpoint=1000; PRAGMA trusted_schema=OFF").fetchall()
        _bring_up(connection, write=write)
        if not write:
            connection.execute("PRAGMA query_only=ON")
    except BaseException as error:
        if connection is not None:
            connection.close()
        if isinstance(error, apsw.Error):
            raise trouble(error, path) from None
        raise
    return connection


def look_through(connection: apsw.Connection, path: Path) -> None:
    """Read every page of the file. Raises LedgerError when it is damaged."""
    try:
        found = connection.execute("PRAGMA quick_check(1)").fetchall()
    except apsw.Error as error:
        raise trouble(error, path) from None
    if found != [("ok",)]:
        raise LedgerError(f"{path}: damaged. {_ADVICE['CorruptError']}")


def trouble(error: apsw.Error, path: Path | None = None) -> LedgerError:
    """An apsw error as a LedgerError; the text names the kind of trouble, never a value."""
    name = type(error).__name__
    advice = _ADVICE.get(name, "Check the disk, then run again.")
    kind = StoreLater if name in ("FullError", "BusyError", "LockedError") else LedgerError
    return kind(f"{path or 'inbox'}: SQLite {name.removesuffix('Error')}. {advice}")


def _prepare(folder: Path, path: Path) -> None:
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        folder.chmod(0o700)
        os.close(os.open(path, os.O_CREAT | os.O_CLOEXEC, 0o600))
    except OSError as error:
        raise LedgerError(f"{folder}: {error.strerror}. The state folder must belong to the user who runs ptbridge.") from None


def _bring_up(connection: apsw.Connection, *, write: bool) -> None:
    have = int(str(connection.pragma("user_version")))
    if have > _VERSION:
        raise LedgerError(f"The inbox has schema {have}; this ptbridge knows up to {_VERSION}. Use the newer ptbridge again.")
    if have == _VERSION:
        return
    if not write:
        raise LedgerError("The inbox has no schema yet. Run `ptbridge listen` first.")
    connection.execute("BEGIN IMMEDIATE")  # two writers may start at once: the second finds the schema there
    try:
        if int(str(connection.pragma("user_version"))) < _VERSION:
            connection.execute(_SCHEMA.read_text(encoding="utf-8"))
            connection.pragma("user_version", _VERSION)
        connection.execute("COMMIT")
    except BaseException:
        connection.execute("ROLLBACK")
        raise
