"""Source records and visits: what was received, as received, and what it says in our words."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import UTC, datetime

import apsw
import msgspec

from ptbridge.ledger.database import pack, unpack
from ptbridge.ledger.history import History
from ptbridge.ledger.moved import left_day
from ptbridge.model import SourceRecord, Visit

_decode_visit = msgspec.json.Decoder(Visit)
_encode = msgspec.json.Encoder().encode


READ_AGAIN = (
    "SELECT id FROM visit WHERE clinic = ?1 AND state = 'quarantined' UNION SELECT v.id FROM treatment_day d"
    " JOIN visit v ON v.day_id = d.id WHERE d.clinic = ?1 AND d.state = 'held' AND v.state = 'read'"
)


@dataclass(frozen=True, slots=True)
class KnownVisit:
    """Where a visit stood before this record arrived."""

    id: int
    state: str
    record_sha256: bytes
    content_sha256: bytes | None
    day_id: int | None


@dataclass(frozen=True, slots=True)
class StoredVisit:
    """A visit as the ledger has it: row id, hash of its content, the content."""

    id: int
    content_sha256: bytes
    visit: Visit


def content_of(visit: Visit) -> bytes:
    """The visit's own content as canonical JSON: what it says, not which version of the source said it."""
    return _encode(replace(visit, version=""))


class Visits:
    """The `source_record`, `visit` and `visit_version` tables. Call inside a transaction."""

    def __init__(self, connection: apsw.Connection, history: History) -> None:
        self._connection = connection
        self._history = history

    def find(self, clinic: str, source: str, visit_id: str) -> KnownVisit | None:
        """The visit's row, None when it was never seen."""
        row = self._connection.execute(
            "SELECT id, state, record_sha256, content_sha256, day_id FROM visit"
            " WHERE clinic = ? AND source = ? AND visit_id = ?",
            (clinic, source, visit_id),
        ).fetchone()
        return KnownVisit(*row) if row else None

    def seen_again(self, visit: KnownVisit) -> None:
        """The same bytes came again: no new work, but the run counts it."""
        self._connection.execute("UPDATE visit SET seen_run = ? WHERE id = ?", (self._history.run_id, visit.id))

    def stale(self, visit: KnownVisit) -> None:
        """An earlier state came after a later one: it is kept and recorded, and changes nothing (contract D18)."""
        self.seen_again(visit)
        row = self._connection.execute("SELECT clinic FROM visit WHERE id = ?", (visit.id,)).fetchone()
        assert row is not None
        self._history.add(str(row[0]), "visit", visit.id, "stale", "an earlier state than the one that is known")

    def store(self, record: SourceRecord, digest: bytes) -> int:
        """Keep the payload exactly as received; returns its row id."""
        self._connection.execute(
            "INSERT INTO source_record (clinic, source, record_key, sha256, media_type, version, received_at, payload)"
            " VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
            (
                record.clinic,
                record.source,
                record.record_key,
                digest,
                record.media_type,
                record.version,
                record.received_at.isoformat(),
                pack(record.payload),
            ),
        )
        return self._connection.last_insert_rowid()

    def put(
        self, record: SourceRecord, digest: bytes, record_id: int, visit: Visit, day_id: int, known: KnownVisit | None
    ) -> bool:
        """Make this the visit's current content. Returns False when it says what it said before."""
        content = content_of(visit)
        sha256 = hashlib.sha256(content).digest()
        run = self._history.run_id
        if known and known.state == "read" and known.content_sha256 == sha256 and known.day_id == day_id:
            self._connection.execute(
                "UPDATE visit SET record_id = ?, record_sha256 = ?, seen_run = ? WHERE id = ?",
                (record_id, digest, run, known.id),
            )
            return False
        visit_row = self._upsert(record, digest, record_id, known, state="read", reason=None)
        self._connection.execute(
            "INSERT INTO visit_version (visit, record_id, content_sha256, body) VALUES (?, ?, ?, ?)",
            (visit_row, record_id, sha256, pack(content)),
        )
        version = self._connection.last_insert_rowid()
        left = left_day(self._connection, visit_row, record.record_key, day_id)
        self._connection.execute(
            "UPDATE visit SET version_id = ?, content_sha256 = ?, left_day_id = ?, day_id = ?, lines = ?, excluded_lines = 0,"
            " excluded_rule = NULL WHERE id = ?",
            (version, sha256, left, day_id, len(visit.interventions), visit_row),
        )
        self._history.add(record.clinic, "visit", visit_row, "changed" if known else "read")
        return True

    def quarantine(self, record: SourceRecord, digest: bytes, record_id: int, reason: str, known: KnownVisit | None) -> None:
        """The record cannot be read: kept with the reason, which holds no patient data. A day it fed keeps its last content."""
        visit_row = self._upsert(record, digest, record_id, known, state="quarantined", reason=reason)
        self._history.add(record.clinic, "visit", visit_row, "quarantined", reason)

    def gone(self, clinic: str, source: str, visit_id: str) -> int | None:
        """The source says it deleted the visit. Returns the treatment day that must be judged again, if any."""
        known = self.find(clinic, source, visit_id)
        if known is None or known.state == "gone":
            return None
        self._connection.execute(
            "UPDATE visit SET state = 'gone', reason = 'deleted-at-source', seen_run = ? WHERE id = ?",
            (self._history.run_id, known.id),
        )
        self._history.add(clinic, "visit", known.id, "gone")
        return known.day_id

    def _upsert(
        self, record: SourceRecord, digest: bytes, record_id: int, known: KnownVisit | None, *, state: str, reason: str | None
    ) -> int:
        run = self._history.run_id
        if known:
            self._connection.execute(
                "UPDATE visit SET state = ?, reason = ?, record_id = ?, record_sha256 = ?, seen_run = ? WHERE id = ?",
                (state, reason, record_id, digest, run, known.id),
            )
            return known.id
        self._connection.execute(
            "INSERT INTO visit (clinic, source, visit_id, state, reason, record_id, record_sha256, first_seen_at, seen_run)"
            " VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)",
            (
                record.clinic,
                record.source,
                record.record_key,
                state,
                reason,
                record_id,
                digest,
                self._history.now(),
                run,
            ),
        )
        return self._connection.last_insert_rowid()

    def of_day(self, day_id: int) -> list[StoredVisit]:
        """The day's current visits, in the order in which they were first seen; those that were purged are not among them."""
        rows = self._connection.execute(
            "SELECT v.id, w.content_sha256, w.body FROM visit v JOIN visit_version w ON w.id = v.version_id"
            " WHERE v.day_id = ? AND v.state = 'read' AND w.purged_at IS NULL ORDER BY v.id",
            (day_id,),
        )
        return [StoredVisit(id_, sha256, _decode_visit.decode(unpack(body))) for id_, sha256, body in rows]

    def touching(self, day_id: int) -> list[tuple[str, str, bool, str]]:
        """Visits that are in a day or left it: id, state, whether it is there now, when its newest word came (ISO 8601)."""
        rows = self._connection.execute(
            "SELECT v.visit_id, v.state, v.day_id = ?1, coalesce((SELECT h.at FROM history h WHERE h.entity = 'visit'"
            " AND h.entity_id = v.id AND h.event IN (v.state, 'changed') ORDER BY h.seq DESC LIMIT 1), r.received_at)"
            " FROM visit v JOIN source_record r ON r.id = v.record_id WHERE v.day_id = ?1 OR v.left_day_id = ?1 ORDER BY v.id",
            (day_id,),
        )
        return [(str(visit_id), str(state), bool(here), str(at)) for visit_id, state, here, at in rows]

    def keys_of_recent_days(self, clinic: str, source: str, days: int = 30) -> tuple[str, ...]:
        """Visits with a service date in the last `days`: a deleted one vanishes from every search and must be asked for."""
        rows = self._connection.execute(
            "SELECT v.visit_id FROM treatment_day d JOIN visit v ON v.day_id = d.id"
            " WHERE d.clinic = ?1 AND d.service_date >= date('now', ?2) AND v.source = ?3 AND v.state = 'read'",
            (clinic, f"-{days} days", source),
        )
        return tuple(str(row[0]) for row in rows)

    def keys_between(self, clinic: str, source: str, first: str, last: str) -> tuple[str, ...]:
        """Visits that the source has not deleted, with a service date (ISO 8601) from `first` to `last`."""
        rows = self._connection.execute(
            "SELECT v.visit_id FROM treatment_day d JOIN visit v ON v.day_id = d.id WHERE d.clinic = ?1"
            " AND v.source = ?2 AND v.state <> 'gone' AND d.service_date BETWEEN ?3 AND ?4",
            (clinic, source, first, last),
        )
        return tuple(str(row[0]) for row in rows)

    def keys_never_read(self, clinic: str, source: str) -> tuple[str, ...]:
        """Quarantined records of which no version could ever be read."""
        rows = self._connection.execute(
            "SELECT visit_id FROM visit WHERE clinic = ? AND source = ? AND state = 'quarantined' AND day_id IS NULL",
            (clinic, source),
        )
        return tuple(str(row[0]) for row in rows)

    def latest(self, clinic: str, source: str, visit_id: str) -> SourceRecord | None:
        """The newest record of a visit as received; None when it was never seen, was deleted at the source, or is purged."""
        row = self._connection.execute(
            "SELECT r.media_type, r.version, r.received_at, r.payload FROM visit v JOIN source_record r ON r.id = v.record_id"
            " WHERE v.clinic = ? AND v.source = ? AND v.visit_id = ? AND v.state <> 'gone' AND r.purged_at IS NULL",
            (clinic, source, visit_id),
        ).fetchone()
        if row is None:
            return None
        return SourceRecord(
            clinic=clinic,
            source=source,
            record_key=visit_id,
            media_type=row[0],
            version=row[1],
            received_at=datetime.fromisoformat(row[2]),
            payload=unpack(row[3]),
        )

    def first_sent(self, clinic: str, source: str, visit_id: str) -> datetime | None:
        """When the first submission of the visit's day, or of the day that it left, was queued (UTC); None before that."""
        row = self._connection.execute(
            "SELECT min(s.queued_at) FROM visit v JOIN submission s ON s.day_id IN (v.day_id, v.left_day_id)"
            " WHERE v.clinic = ? AND v.source = ? AND v.visit_id = ?",
            (clinic, source, visit_id),
        ).fetchone()
        return datetime.fromtimestamp(row[0], UTC) if row and row[0] is not None else None

    def unreadable_of_day(self, day_id: int) -> list[str]:
        """Reasons of this day's visits whose newest record cannot be read: their last readable content must not bill.

        A day of which anything was purged cannot be judged as a whole again.
        """
        rows = self._connection.execute(
            "SELECT reason FROM visit WHERE day_id = ?1 AND state = 'quarantined' UNION ALL SELECT 'what it said before was"
            " purged on ' || substr(purged_at, 1, 10) FROM treatment_day WHERE id = ?1 AND purged_at IS NOT NULL",
            (day_id,),
        )
        return [str(reason) for (reason,) in rows]

    def to_read_again(self, clinic: str) -> Iterator[tuple[KnownVisit, SourceRecord, int]]:
        """Quarantined visits and those of held days, with their newest payload: read again after a mapping was edited."""
        ids = [int(row[0]) for row in self._connection.execute(READ_AGAIN, (clinic,))]
        for visit_row in ids:
            row = self._connection.execute(
                "SELECT v.state, v.record_sha256, v.content_sha256, v.day_id, r.clinic, r.source, r.record_key, r.media_type,"
                " r.version, r.received_at, r.payload, r.id FROM visit v"
                " JOIN source_record r ON r.id = v.record_id WHERE v.id = ? AND r.purged_at IS NULL",
                (visit_row,),
            ).fetchone()
            if row is None:  # purged: there is nothing to read again
                continue
            record = SourceRecord(
                clinic=row[4],
                source=row[5],
                record_key=row[6],
                media_type=row[7],
                version=row[8],
                received_at=datetime.fromisoformat(row[9]),
                payload=unpack(row[10]),
            )
            yield KnownVisit(visit_row, row[0], row[1], row[2], row[3]), record, row[11]
