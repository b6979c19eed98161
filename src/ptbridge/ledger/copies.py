"""Whole copies of a database file: made while others write to it, and under another key. For the ledger and for the inbox."""

from __future__ import annotations

import os
from pathlib import Path

import apsw

from ptbridge.errors import LedgerError
from ptbridge.ledger.database import damaged
from ptbridge.specs import at_rest


def copy_database(source: Path, target: Path, key: bytes | None) -> None:
    """Copy a database as it stands at one moment, by SQLite's backup call; then read the copy once, as a restore would.

    `target` must not exist; it is readable by its owner only, and under the same key. Raises LedgerError.
    """
    os.close(os.open(target, os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600))
    try:
        with _opened(source, key) as ours, _opened(target, key) as theirs:
            with theirs.connection.backup("main", ours.connection, "main") as backup:
                backup.step(-1)  # in one step: everything is of one moment
            theirs.check(target)
    except apsw.Error as error:
        raise damaged(error, source) from None


def recode_database(path: Path, old: bytes | None, new: bytes) -> None:
    """Encrypt a copy under another key, in place. Nobody else may have it open. Raises LedgerError."""
    try:
        with _opened(path, old) as database:
            connection = database.connection
            connection.execute("PRAGMA journal_mode = DELETE").fetchall()
            for statement in at_rest.pragmas(new, word="rekey").split("; "):
                connection.execute(statement).fetchall()
        with _opened(path, new) as database:
            database.check(path)
    except apsw.Error as error:
        raise damaged(error, path) from None


class _opened:
    """A connection for the length of a `with`, keyed, without any schema of ours brought up."""

    def __init__(self, path: Path, key: bytes | None) -> None:
        self.connection = apsw.Connection(str(path), flags=apsw.SQLITE_OPEN_READWRITE)
        self.connection.set_busy_timeout(5_000)
        if key is not None:
            self.connection.execute(at_rest.pragmas(key)).fetchall()
        self.connection.execute("PRAGMA temp_store = MEMORY").fetchall()

    def __enter__(self) -> _opened:
        return self

    def __exit__(self, *_: object) -> None:
        self.connection.close()

    def check(self, path: Path) -> None:
        """Raise LedgerError when the file is not sound."""
        found = self.connection.execute("PRAGMA quick_check(1)").fetchall()
        if found != [("ok",)]:
            raise LedgerError(f"{path}: the copy is not sound. Check the disk, and `ptbridge verify`.")
