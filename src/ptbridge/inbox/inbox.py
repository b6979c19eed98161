"""Storing messages before anybody is told that they arrived, and reading them back in order.

with Inbox.open(state) as inbox:                 the writer: a listener, or a run that takes a drop folder
    inbox.store([Arrival(...), ...])             one durable transaction for all of them
with ClinicInbox.open(state, "riverside") as inbox:      a reader; runs beside the writer
    inbox.arrived(after=0, upto=inbox.last(), limit=200)
"""

from __future__ import annotations

import hashlib
import json
import zlib
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any, Self

import apsw

from ptbridge.errors import LedgerError
from ptbridge.inbox import database
from ptbridge.inbox.envelope import Envelope
from ptbridge.ports import InboxEntry

REUSED = "control-id-reused"
_PLAIN_BYTES = 4096
_DEFLATED = b"\x78"  # how every deflated text starts, and no message
_KNOWN_ID = "SELECT 1 FROM message WHERE clinic=? AND sender=? AND facility=? AND control_id=? LIMIT 1"
_KNOWN = "SELECT seq, answer FROM message WHERE clinic=? AND sender=? AND facility=? AND control_id=? AND sha256=?"
_INSERT = (
    "INSERT INTO message (clinic, sender, facility, control_id, received_at, origin, sha256, kind, state, reason,"
    " remarks, raw, answer) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)"
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Arrival:
    """A message at the door. `origin` says where it came from (`mllp:10.0.0.4`, `file:day.hl7:12`), `answer` is its ACK."""

    clinic: str
    origin: str
    received_at: datetime
    raw: bytes = field(repr=False)
    envelope: Envelope
    answer: bytes = field(default=b"", repr=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class Stored:
    """What became of an arrival. `repeated`: these bytes were here before, and `answer` is the one they got then."""

    seq: int
    repeated: bool
    reused_id: bool
    answer: bytes = field(repr=False)


class Inbox:
    """The writing side. Several processes may write: SQLite lets one in at a time, and identity is a unique index."""

    def __init__(self, connection: apsw.Connection, lock: database.Lock | None) -> None:
        self._connection = connection
        self._lock = lock

    @classmethod
    def open(cls, folder: Path, *, listener: bool = False) -> Self:
        """Open the inbox of a state folder, made if it is missing.

        `listener` takes the listener's lock, LedgerBusy when another process listens here, and looks through the whole file: on
        a damaged one nothing is acknowledged (contract D22). Raises LedgerError.
        """
        connection, lock = database.connect(folder, write=True), None
        try:
            if listener:
                lock = database.Lock(folder / database.LISTENER_LOCK, "listens")
                database.look_through(connection, folder / database.FILE_NAME)
        except BaseException:
            connection.close()
            if lock:
                lock.release()
            raise
        return cls(connection, lock)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Close the file and give up the lock."""
        self._connection.close()
        if self._lock:
            self._lock.release()
            self._lock = None

    def store(self, arrivals: Sequence[Arrival]) -> list[Stored]:
        """Make all of them durable in one transaction, in order. Raises LedgerError; then none of them is stored."""
        connection = self._connection
        try:
            connection.execute("BEGIN IMMEDIATE")
            try:
                stored = [self._one(arrival) for arrival in arrivals]
                connection.execute("COMMIT")
            except BaseException:
                if not connection.get_autocommit():
                    connection.execute("ROLLBACK")
                raise
        except apsw.Error as error:
            raise database.trouble(error) from error
        return stored

    def _one(self, arrival: Arrival) -> Stored:
        envelope, connection = arrival.envelope, self._connection
        digest = hashlib.sha256(arrival.raw).digest()
        identity = (arrival.clinic, envelope.sender, envelope.facility, envelope.control_id)
        id_is_known = connection.execute(_KNOWN_ID, identity).fetchone() is not None  # seldom: one question for most messages
        if id_is_known and (known := connection.execute(_KNOWN, (*identity, digest)).fetchone()):
            return Stored(seq=known[0], repeated=True, reused_id=False, answer=known[1])
        reused = id_is_known and bool(envelope.control_id)
        remarks = (*envelope.remarks, REUSED) if reused else envelope.remarks
        connection.execute(
            _INSERT,
            (
                *identity,
                arrival.received_at.isoformat(),
                arrival.origin,
                digest,
                envelope.kind,
                envelope.state,
                envelope.reason,
                " ".join(remarks),
                _packed(arrival.raw),
                arrival.answer,
            ),
        )
        seq = connection.last_insert_rowid()
        connection.executemany(
            "INSERT INTO about (clinic, path, value, seq) VALUES (?, ?, ?, ?)",
            [(arrival.clinic, path, value, seq) for path, value in envelope.keys],
        )
        return Stored(seq=seq, repeated=False, reused_id=reused, answer=arrival.answer)


def _packed(raw: bytes) -> bytes:
    """As it is stored: a short message as it came, which a sender waits for; a long one deflated (RFC 1950)."""
    return raw if len(raw) <= _PLAIN_BYTES and raw[:1] != _DEFLATED else zlib.compress(raw, 1)


def _unpacked(stored: bytes) -> bytes:
    return zlib.decompress(stored) if stored[:1] == _DEFLATED else stored


def verify(folder: Path) -> tuple[int, list[str]]:
    """How many messages, and what is wrong: the file, and messages whose bytes are not those that were stored.

    Raises LedgerError when the inbox cannot be opened.
    """
    connection = database.connect(folder, write=False)
    try:
        found = [str(row[0]) for row in connection.execute("PRAGMA integrity_check") if row[0] != "ok"]
        rows = 0
        for seq, sha256, stored in connection.execute(
            "SELECT seq, sha256, raw FROM message WHERE state <> 'purged' OR raw <> X''"
        ):
            rows += 1
            if not _is_whole(stored, sha256):
                found.append(f"message {seq}: its bytes are not those that were stored")
    except apsw.Error as error:
        raise database.trouble(error) from error
    finally:
        connection.close()
    return rows, found


def _is_whole(stored: bytes, sha256: bytes) -> bool:
    try:
        return hashlib.sha256(_unpacked(stored)).digest() == sha256
    except zlib.error:
        return False


class ClinicInbox:
    """One clinic's messages, read only (`ports.Inbox`)."""

    def __init__(self, connection: apsw.Connection, clinic: str) -> None:
        self._connection = connection
        self._clinic = clinic

    @classmethod
    def open(cls, folder: Path, clinic: str) -> Self:
        """Open the inbox of a state folder to read. Raises LedgerError when there is none or it cannot be trusted."""
        return cls(database.connect(folder, write=False), clinic)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Close the file."""
        self._connection.close()

    def last(self) -> int:
        """The number of the newest message; 0 when there is none."""
        rows = self._rows("SELECT max(seq) FROM message WHERE clinic = ?", self._clinic)
        return int(rows[0][0] or 0)

    def last_received(self) -> str | None:
        """When the newest message arrived (ISO 8601 UTC); None when there is none."""
        rows = self._rows("SELECT received_at FROM message WHERE clinic = ? ORDER BY seq DESC LIMIT 1", self._clinic)
        return str(rows[0][0]) if rows else None

    def arrived(self, *, after: int, upto: int, limit: int) -> list[InboxEntry]:
        """Messages numbered above `after` up to `upto`, in order of arrival, at most `limit` of them."""
        rows = self._rows(
            "SELECT * FROM entry WHERE clinic = ? AND seq > ? AND seq <= ? ORDER BY seq LIMIT ?",
            self._clinic,
            after,
            upto,
            limit,
        )
        return [_entry(row) for row in rows]

    def about(self, path: str, value: str) -> list[InboxEntry]:
        """The messages that carry this value there (`PV1-19`, `PID-3` …), in order of arrival."""
        rows = self._rows(
            "SELECT e.* FROM about a JOIN entry e ON e.seq = a.seq"
            " WHERE a.clinic = ? AND a.path = ? AND a.value = ? ORDER BY a.seq",
            self._clinic,
            path,
            value,
        )
        return [_entry(row) for row in rows]

    def raw(self, seq: int) -> bytes:
        """A message's bytes as received. Raises LedgerError when they are not what was stored."""
        rows = self._rows("SELECT sha256, raw FROM message WHERE seq = ? AND clinic = ?", seq, self._clinic)
        found = _unpacked(rows[0][1]) if rows else b""
        if not rows or hashlib.sha256(found).digest() != rows[0][0]:
            raise LedgerError(f"inbox message {seq} is not what was stored. Restore the last backup.")
        return found

    def counts(self) -> dict[str, int]:
        """How many messages of each state, kind and reason: `taken DFT^P03`, `ignored ADT^A20: type`."""
        rows = self._rows("SELECT state, kind, reason, count(*) FROM message WHERE clinic = ? GROUP BY 1, 2, 3", self._clinic)
        counted: Counter[str] = Counter()
        for state, kind, reason, count in rows:
            label = f"{state} {kind or 'unreadable'}" + (f": {reason}" if state == "ignored" else "")
            counted[label] += int(count)
        return dict(sorted(counted.items()))

    def _rows(self, query: str, *values: object) -> list[tuple[Any, ...]]:
        try:
            return list(self._connection.execute(query, values))
        except apsw.Error as error:
            raise database.trouble(error) from error


def _entry(row: tuple[Any, ...]) -> InboxEntry:
    seq, _, received_at, kind, state, reason, keys = row
    return InboxEntry(
        seq=seq,
        received_at=datetime.fromisoformat(received_at),
        kind=kind,
        state=state,
        reason=reason,
        keys=tuple((path, value) for path, value in json.loads(keys)),
    )
