"""The ledger's file: one SQLite database in WAL with `synchronous=FULL`, one writer, numbered migrations.

SQLite comes with `apsw`, whose library has no WAL-reset defect (3.7.0 to 3.51.2 have it; docs/decisions/0003). FULL because
NORMAL lost acknowledged rows in power cuts and FULL none. Where the config folder names a key, every page is encrypted.
"""

from __future__ import annotations

import fcntl
import hashlib
import os
import zlib
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import lru_cache
from itertools import chain
from pathlib import Path
from typing import Protocol

import apsw

from ptbridge.errors import LedgerBusy, LedgerError, LedgerFull
from ptbridge.ledger.chain import Chain, Row
from ptbridge.specs import at_rest

SAFE_SQLITE = (3, 51, 3)
FILE_NAME = "ledger.sqlite"
_LONGEST_NOTE = 200
PLAIN_BYTES = 2048  # judgements and submissions up to this length: packing takes 20 microseconds, writing what it saves 3
_PLAIN = b"\0"  # no zlib stream starts so
_ROWS_AT_ONCE = (50, 10, 1)  # in one run of a statement: see `write_many`
_LEVEL, _WINDOW_BITS, _MEMORY_LEVEL = 1, 13, 6  # see `pack`
_MIGRATIONS = Path(__file__).parent


def pack(data: bytes, *, plain_to: int = 0) -> bytes:
    """Bytes as stored: those up to `plain_to` bytes as they are behind a zero byte, longer ones by zlib level 1.

    With little memory: zlib's defaults ask the system for 256 KB for each body, which takes three times as long as packing 1 KB
    of JSON in a window of 8 KB. What comes out is as short, and any zlib reads it.
    """
    if len(data) <= plain_to:
        return _PLAIN + data
    packer = zlib.compressobj(_LEVEL, zlib.DEFLATED, _WINDOW_BITS, _MEMORY_LEVEL)
    return packer.compress(data) + packer.flush()


def unpack(data: bytes) -> bytes:
    """The bytes that `pack` was given."""
    return data[1:] if data[:1] == _PLAIN else zlib.decompress(data)


def _bytes(value: apsw.SQLiteValue) -> bytes:
    assert isinstance(value, bytes)
    return value


def patient_key_of(clinic: str, day_key: str) -> str | None:
    """The patient key in a day key (`date|discipline|npi|patient id`); None for a visit that is a day of its own."""
    parts = day_key.split("|", 3)
    return patient_key(clinic, parts[3]) if len(parts) == 4 else None


def patient_key(clinic: str, patient_id: str) -> str:
    """The name of a patient in tables that need no more: hex SHA-256 of clinic and the source's patient id."""
    return hashlib.sha256(f"{clinic}\n{patient_id}".encode()).hexdigest()


class WriterLock:
    """The right to write in one state folder. The kernel drops it when the process ends, however it ends."""

    def __init__(self, folder: Path) -> None:
        self._descriptor = os.open(folder / "lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(self._descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            os.close(self._descriptor)
            raise LedgerBusy(
                f"{folder}: another ptbridge is running on this state folder. Wait for it to end; nothing was started here."
            ) from None

    def note(self) -> str:
        """What the last holder that ended in order left behind; empty after one that did not."""
        return os.pread(self._descriptor, _LONGEST_NOTE, 0).decode("ascii", "replace")

    def leave(self, note: str) -> None:
        """Leave a note for the next holder; an empty one while the file is in use."""
        os.ftruncate(self._descriptor, 0)
        os.pwrite(self._descriptor, note.encode("ascii"), 0)

    def release(self) -> None:
        """Give the right up."""
        os.close(self._descriptor)


def prepare_folder(folder: Path) -> None:
    """Make the state folder, readable by its owner only, under any umask."""
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        folder.chmod(0o700)
    except OSError as error:
        raise LedgerError(f"{folder}: {error.strerror}. The state folder must belong to the user who runs ptbridge.") from None


class Journal(Protocol):
    """What keeps rows back until the end of a transaction (`history.History`)."""

    def flush(self) -> None:
        """Write what was kept back."""

    def forget(self) -> None:
        """The transaction was taken back: drop what was kept back, believe nothing that was read before."""


class LedgerConnection(apsw.Connection):
    """A connection that knows what must be written before a transaction ends."""

    journal: Journal | None = None


def connect(folder: Path, *, write: bool) -> LedgerConnection:
    """Open the ledger in `folder`; a missing one is made when `write`.

    Raises LedgerError for a damaged file, a newer schema, a SQLite with the WAL-reset defect, an unfinished restore, or no
    ledger to read; ConfigError when its key cannot be had.
    """
    version = tuple(int(part) for part in apsw.sqlite_lib_version().split("."))
    if version < SAFE_SQLITE:
        raise LedgerError(
            f"SQLite {apsw.sqlite_lib_version()} can lose committed data (WAL reset). Install apsw-sqlite3mc 3.54 or newer."
        )
    if (folder / at_rest.UNFINISHED_RESTORE).exists():
        raise LedgerError(f"{folder}: a restore or an encryption was interrupted. Run `ptbridge restore --finish`.")
    path = folder / FILE_NAME
    if not path.exists() and not write:
        raise LedgerError(f"{path}: no ledger yet. Run `ptbridge sync` first.")
    key = at_rest.data_key(folder, make=write)
    at_rest.check_header(path, key, "ledger")
    if not path.exists():
        os.close(os.open(path, os.O_CREAT | os.O_CLOEXEC, 0o600))
    return open_file(path, key, write=write)


def open_file(path: Path, key: bytes | None, *, write: bool) -> LedgerConnection:
    """Open a ledger's file under its key and bring its schema up. Raises LedgerError."""
    connection = None
    try:
        connection = LedgerConnection(str(path), flags=apsw.SQLITE_OPEN_READWRITE)
        connection.set_busy_timeout(5_000)
        if key is not None:
            connection.execute(at_rest.pragmas(key)).fetchall()
        _settings(connection)
        _migrate(connection, write=write)
    except BaseException as error:
        if connection is not None:
            connection.close()
        if isinstance(error, apsw.Error):
            raise damaged(error, path) from None
        raise
    return connection


def _settings(connection: apsw.Connection) -> None:
    # Plans do not depend on the values given: without this SQLite parses and plans a statement anew for each new value
    # wherever a value might matter to the plan, which took half of a submission's time.
    connection.config(apsw.SQLITE_DBCONFIG_ENABLE_QPSG, 1)
    # fetchall: apsw stops at a statement's first row, and those after it would never run
    connection.execute("PRAGMA journal_mode=WAL; PRAGMA synchronous=FULL; PRAGMA foreign_keys=ON").fetchall()
    connection.execute("PRAGMA temp_store=MEMORY; PRAGMA cache_size=-16000").fetchall()
    # 32 MB of log before it is brought in: a burst of 5,000 submissions does not wait for it
    connection.execute("PRAGMA wal_autocheckpoint=8000; PRAGMA trusted_schema=OFF").fetchall()
    connection.execute("PRAGMA secure_delete=ON").fetchall()  # what a purge takes out must not stand in a page's unused part
    connection.create_scalar_function("unpacked", lambda *row: unpack(_bytes(row[0])).decode(), 1, deterministic=True)
    connection.create_scalar_function(
        "patient_key_of", lambda *row: patient_key_of(str(row[0]), str(row[1])), 2, deterministic=True
    )
    connection.create_scalar_function("chained", Chain().next_digest)


def write_many(connection: apsw.Connection, statement: str, rows: Sequence[Row]) -> None:
    """Run a statement for rows of one length, in their order: `{rows}` in it stands behind VALUES.

    Fifty rows at each run of it, where `executemany` runs it for each row: a batch takes 6 to 8 % less time.
    """
    done = 0
    for size in _ROWS_AT_ONCE:
        while len(rows) - done >= size:
            some = rows[done : done + size]
            connection.execute(_with_rows(statement, size, len(some[0])), tuple(chain.from_iterable(some)))
            done += size


@lru_cache(maxsize=128)
def _with_rows(statement: str, rows: int, columns: int) -> str:
    row = f"({', '.join('?' * columns)})"
    return statement.replace("{rows}", ", ".join([row] * rows))


def damaged(error: apsw.Error, path: Path | None = None) -> LedgerError:
    """An apsw error as a LedgerError; the text names the kind of trouble, never a value."""
    where = f"{path}: " if path else "ledger: "
    advice = {
        "CorruptError": "The file is damaged. Restore the last backup; nothing was sent from it.",
        "NotADBError": "This is not a ptbridge ledger of this key, or its first page is damaged. Restore the last backup.",
        "FullError": "The disk is full. Make room and run again; nothing was acknowledged that is not stored.",
        "BusyError": "Another program holds the database. Close it and run again.",
        "ReadOnlyError": "The state folder cannot be written. Check its owner and the file system.",
    }.get(type(error).__name__, "Nothing further was sent. Check the disk, then run again.")
    kind = LedgerFull if isinstance(error, apsw.FullError) else LedgerError
    return kind(f"{where}SQLite {type(error).__name__.removesuffix('Error')}. {advice}")


def fresh() -> apsw.Connection:
    """An empty ledger in memory, for what its schema should look like."""
    connection = apsw.Connection(":memory:")
    _settings(connection)
    _migrate(connection, write=True)
    return connection


def _migrate(connection: apsw.Connection, *, write: bool) -> None:
    steps = sorted(_MIGRATIONS.glob("[0-9][0-9][0-9][0-9]_*.sql"))
    have = int(str(connection.pragma("user_version")))
    newest = int(steps[-1].name[:4])
    if have > newest:
        raise LedgerError(f"The ledger has schema {have}; this ptbridge knows up to {newest}. Use the newer ptbridge again.")
    if have == newest:
        return
    if not write:
        raise LedgerError(
            f"The ledger has schema {have}, this ptbridge wants {newest}. Run `ptbridge sync` once to bring it up."
        )
    connection.execute("PRAGMA foreign_keys=OFF").fetchall()  # a table that others refer to may have to be made anew
    for step in steps:
        number = int(step.name[:4])
        if number > have:
            with connection:
                connection.execute(step.read_text(encoding="utf-8"))
                connection.pragma("user_version", number)
    connection.execute("PRAGMA foreign_keys=ON").fetchall()


def integrity(connection: apsw.Connection) -> list[str]:
    """What `PRAGMA quick_check` and `foreign_key_check` find; empty when the file is sound."""
    found = [str(row[0]) for row in connection.execute("PRAGMA quick_check") if row[0] != "ok"]
    return found + [f"dangling reference in {row[0]}" for row in connection.execute("PRAGMA foreign_key_check")]


@contextmanager
def transaction(connection: apsw.Connection) -> Iterator[None]:
    """All or nothing, durable on exit (nested: with the outermost). SQLite's errors become LedgerError."""
    journal = connection.journal if isinstance(connection, LedgerConnection) else None
    try:
        if journal is None:
            with connection:
                yield
            return
        journal.flush()  # what the outer transaction kept back must outlive this one's rollback
        with connection:
            yield
            journal.flush()
    except BaseException as error:
        if journal is not None:
            journal.forget()
        if isinstance(error, apsw.Error):
            raise damaged(_first(error)) from error
        raise


def _first(error: apsw.Error) -> apsw.Error:
    """What went wrong first: a full disk makes SQLite take the transaction back by itself, and the rollback then finds none."""
    while isinstance(error.__context__, apsw.Error):
        error = error.__context__
    return error
