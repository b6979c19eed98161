"""What a restored ledger must learn from the biller before anything leaves (contract D25).

The backup is older than what was sent since. The biller's own list is kept in `biller_had`; a treatment day that it names and
that the ledger believes unsent is settled before the next delivery, in this run or in any later one.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from typing import Any

import apsw

from ptbridge.ledger.database import transaction
from ptbridge.ledger.history import History
from ptbridge.ledger.names import Names

HELD_REASON = "restored"
WINDOW_DAYS = 366  # timely filing (42 CFR 424.44): nothing older is billed for the first time
_OPEN = "('queued', 'in-doubt')"
# A person let the day go after it was held for this; told by the order of the history, so that no clock matters.
_DECIDED = """EXISTS (SELECT 1 FROM history r WHERE r.entity = 'day' AND r.entity_id = {day}
  AND r.event IN ('release', 'retry', 'settle')
  AND r.seq > (SELECT min(h.seq) FROM history h WHERE h.entity = 'day' AND h.entity_id = {day} AND h.event = 'held'
               AND h.detail = 'restored' AND h.seq > (SELECT max(m.seq) FROM history m WHERE m.entity = 'ledger'
                                                      AND m.event = 'restored')))"""
# CROSS JOIN: from what the biller had, which is empty but after a restore, never from all that was ever sent.
# `+d.clinic`: a day is found by its reference, not among all days of the clinic.
_SUSPECTS = f"""
SELECT s.day_id, s.id, s.reference, b.units, b.amount_cents, 1, 0 FROM biller_had b INDEXED BY biller_had_unsettled
CROSS JOIN submission s ON s.clinic = b.clinic AND s.reference = b.reference
WHERE b.clinic = ?1 AND b.settled = 0 AND s.state IN {_OPEN} AND NOT {_DECIDED.format(day="s.day_id")}
UNION ALL
SELECT d.id, (SELECT max(s.id) FROM submission s WHERE s.day_id = d.id), d.reference, b.units, b.amount_cents, 0,
 d.state = 'held' FROM biller_had b INDEXED BY biller_had_unsettled
CROSS JOIN treatment_day d ON d.reference = b.reference AND +d.clinic = b.clinic
WHERE b.clinic = ?1 AND b.settled = 0 AND d.dirty = 0 AND d.generation = 0 AND d.state IN ('sent', 'held', 'excluded', 'voided')
AND NOT EXISTS (SELECT 1 FROM submission s WHERE s.day_id = d.id AND s.state NOT IN ('accepted', 'replaced'))
AND NOT {_DECIDED.format(day="d.id")}
"""  # noqa: S608
_LIVE = f"""
SELECT live_reference AS reference, live_units AS units, live_cents AS cents, EXISTS (SELECT 1 FROM submission s
 WHERE s.day_id = d.id AND s.state IN {_OPEN}) AS waits FROM treatment_day d WHERE clinic = ?1 AND live_sha256 IS NOT NULL
"""  # noqa: S608
# In sets, so that each is made once. A correction that waits is looked up by delivery: no surprise either.
_KNOWN = f"""
WITH live AS ({_LIVE})
UPDATE biller_had SET settled = 1 WHERE clinic = ?1
 AND ((reference, units, amount_cents) IN (SELECT reference, units, cents FROM live)
  OR reference IN (SELECT reference FROM live WHERE waits))
"""  # noqa: S608
_UNASKED = f"""
SELECT s.id FROM submission s INDEXED BY submission_open WHERE s.clinic = ?1 AND s.open = 1 AND s.state IN {_OPEN}
AND s.service_date <= ?2 AND NOT {_DECIDED.format(day="s.day_id")}
"""  # noqa: S608


_IS_OLDER = """
SELECT (SELECT max(h.seq) FROM submission s CROSS JOIN history h ON h.entity = 'submission' AND h.entity_id = s.id
        WHERE s.day_id = ? AND h.event = 'accepted')
 < (SELECT max(seq) FROM history WHERE entity = 'ledger' AND event = 'restored')
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Mark:
    """A restore that a clinic's biller was not asked about yet."""

    id: int
    backup_made_at: datetime
    restored_at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class Suspect:
    """A treatment day that the biller has otherwise than this ledger knows: the units and cents are the biller's.

    `submission_id`: what waits to be sent (`waits`), else the last that was made of it, else None: nothing ever was. `held`: it
    is held for a reason of its own, and nothing waits.
    """

    day_id: int
    submission_id: int | None
    reference: str
    units: int
    amount_cents: int
    waits: bool
    held: bool


class Restored:
    """The tables `restored`, `restored_clinic` and `biller_had`. Each writing call is one durable transaction."""

    def __init__(self, connection: apsw.Connection, history: History, names: Names) -> None:
        self._connection = connection
        self._history = history
        self._names = names

    def mark(self, backup_made_at: datetime, actor: str, last_run: int = 0) -> None:
        """This ledger comes out of a backup made then. Runs are numbered on from `last_run`, where that is beyond its own."""
        with transaction(self._connection):
            self._connection.execute(
                "INSERT INTO restored (backup_made_at, restored_at, last_run) VALUES (?, ?, ?)",
                (backup_made_at.isoformat(), self._history.now(), last_run),
            )
            self._history.add("", "ledger", self._connection.last_insert_rowid(), "restored", backup_made_at.isoformat(), actor)

    def pending(self, clinic: str) -> Mark | None:
        """The newest restore, when this clinic's biller was not asked since; None otherwise."""
        row = self._connection.execute(
            "SELECT id, backup_made_at, restored_at FROM restored WHERE id = (SELECT max(id) FROM restored) AND NOT EXISTS"
            " (SELECT 1 FROM restored_clinic c WHERE c.restored_id = restored.id AND c.clinic = ?)",
            (clinic,),
        ).fetchone()
        if row is None:
            return None
        return Mark(id=row[0], backup_made_at=_time(row[1]), restored_at=_time(row[2]))

    def window(self, clinic: str, mark: Mark, today: date) -> tuple[str, str]:
        """The service dates to ask about (ISO 8601): whatever could have been sent since the backup."""
        first = (mark.backup_made_at.date() - timedelta(days=WINDOW_DAYS)).isoformat()
        row = self._connection.execute(
            "SELECT min(service_date) FROM treatment_day WHERE clinic = ? AND live_sha256 IS NULL AND state <> 'excluded'",
            (clinic,),
        ).fetchone()
        oldest = str(row[0]) if row and row[0] is not None else first
        return min(first, oldest), (today + timedelta(days=1)).isoformat()

    def compared(self, clinic: str, mark: Mark, theirs: Mapping[str, tuple[int, int]] | None) -> None:
        """Keep what the biller has: reference -> units, cents, whole where one is known; None when it cannot be asked.

        What the ledger has live under its reference in as many units and cents is no surprise. Corrections that wait may have
        been sent already: each is in doubt, so that delivery looks it up first.
        """
        with transaction(self._connection):
            self._connection.executemany(
                "INSERT INTO biller_had (clinic, reference, units, amount_cents) VALUES (?, ?, ?, ?)"
                " ON CONFLICT (clinic, reference) DO UPDATE SET units = excluded.units, amount_cents = excluded.amount_cents,"
                " settled = 0",
                [(clinic, reference, units, cents) for reference, (units, cents) in (theirs or {}).items()],
            )
            self._connection.execute(_KNOWN, (clinic,))
            self._connection.execute(
                "UPDATE submission SET state = 'in-doubt'"
                " WHERE clinic = ? AND open = 1 AND state = 'queued' AND frequency <> '1'",
                (clinic,),
            )
            self._connection.execute(
                "INSERT INTO restored_clinic VALUES (?, ?, ?, ?)", (mark.id, clinic, self._history.now(), theirs is not None)
            )
            detail = "cannot be asked" if theirs is None else f"biller has {len(theirs)}"
            self._history.add(clinic, "ledger", mark.id, "compared", detail)

    def recognize(self, clinic: str) -> None:
        """Give what the biller had under the beginning of a reference its whole name, once the ledger knows one that fits.

        That may be long after the comparison, when the visit turns up. What stands there whole already is newer.
        """
        unsettled = self._connection.execute("SELECT reference FROM biller_had WHERE clinic = ? AND settled = 0", (clinic,))
        names = [str(name) for (name,) in unsettled]
        found = [(whole, name) for name in names if (whole := self._names.whole(clinic, name)) != name]
        if not found:
            return
        with transaction(self._connection):
            for whole, name in found:
                self._connection.execute(
                    "UPDATE OR IGNORE biller_had SET reference = ?3 WHERE clinic = ?1 AND reference = ?2", (clinic, name, whole)
                )
                self._connection.execute("DELETE FROM biller_had WHERE clinic = ? AND reference = ?", (clinic, name))

    def suspects(self, clinic: str) -> list[Suspect]:
        """The days that the biller had: an original of it waits, or nothing of it and the ledger does not know what it has.

        None that a person let go since.
        """
        rows: list[tuple[Any, ...]] = self._connection.execute(_SUSPECTS, (clinic,)).fetchall()
        return [
            Suspect(
                day_id=row[0],
                submission_id=row[1],
                reference=row[2],
                units=row[3],
                amount_cents=row[4],
                waits=bool(row[5]),
                held=bool(row[6]),
            )
            for row in rows
        ]

    def remembers(self, clinic: str, reference: str) -> bool:
        """Whether the biller had this when it was asked after a restore, and nothing here was made to agree with it yet."""
        row = self._connection.execute(
            "SELECT 1 FROM biller_had WHERE clinic = ? AND reference = ? AND settled = 0", (clinic, reference)
        ).fetchone()
        return row is not None

    def is_older(self, day_id: int) -> bool:
        """Whether what a day has live was accepted before the newest restore: the biller may have lost it since the backup."""
        ((older,),) = self._connection.execute(_IS_OLDER, (day_id,))
        return bool(older)

    def settle(self, clinic: str, suspect: Suspect) -> None:
        """The ledger knows of it now, by an answer that delivery recorded."""
        with transaction(self._connection):
            self._settled(clinic, suspect)

    def settle_by_word(self, clinic: str, references: Iterable[str]) -> None:
        """A person said what the biller has of a day that goes by these names. Call inside a transaction."""
        self._connection.executemany(
            "UPDATE biller_had SET settled = 1 WHERE clinic = ? AND reference = ?", [(clinic, one) for one in references]
        )

    def adopt(self, clinic: str, suspect: Suspect) -> None:
        """The biller has this day in content that this ledger never saw: it is live, and what was made of it is no original.

        The day is judged again, and its content differs from the unknown one: what follows is the platform's way to correct, or
        a person's decision, never a second original.
        """
        assert suspect.submission_id is not None, "what was made of the day is what a correction starts from"
        with transaction(self._connection):
            self._connection.execute(
                "UPDATE submission SET state = 'accepted', open = 0, accepted_run = 0 WHERE id = ?", (suspect.submission_id,)
            )
            self._connection.execute(
                "UPDATE treatment_day SET state = 'sent', live_sha256 = ?1, live_reference = ?2, live_frequency = '1',"
                " live_id = NULL, live_units = ?3, live_cents = ?4, dirty = 1 WHERE id = ?5",
                (unknown_content(suspect.reference), suspect.reference, suspect.units, suspect.amount_cents, suspect.day_id),
            )
            self._history.add(clinic, "submission", suspect.submission_id, "adopted", "the biller had it before the restore")
            self._settled(clinic, suspect)

    def hold(self, clinic: str, suspect: Suspect) -> None:
        """A person must compare: the biller has this day, and cannot be told to replace it without what it was sent.

        It stays one until a person decides: whatever is judged anew meanwhile is held again.
        """
        with transaction(self._connection):
            self._hold(clinic, suspect.day_id)

    def unasked(self, clinic: str) -> list[int]:
        """Where the biller cannot tell all that it has: the open submissions that may have been sent before the restore.

        That is each of a service date up to the restore, unless a person let its day go since. Row ids.
        """
        row = self._connection.execute(
            "SELECT r.restored_at FROM restored r JOIN restored_clinic c ON c.restored_id = r.id WHERE c.clinic = ?"
            " AND c.asked = 0 ORDER BY r.id DESC LIMIT 1",
            (clinic,),
        ).fetchone()
        if row is None:
            return []
        return [int(str(id_)) for (id_,) in self._connection.execute(_UNASKED, (clinic, str(row[0])[:10]))]

    def hold_unasked(self, clinic: str, submission_ids: Sequence[int]) -> None:
        """Hold the days of these submissions: a person must ask the biller."""
        with transaction(self._connection):
            for id_ in submission_ids:
                self._hold(clinic, int(self._connection.execute("SELECT day_id FROM submission WHERE id = ?", (id_,)).get))

    def _hold(self, clinic: str, day_id: int) -> None:
        self._connection.execute(
            f"UPDATE submission SET state = 'held', open = 0, hold_reason = ? WHERE day_id = ? AND state IN {_OPEN}",  # noqa: S608
            (HELD_REASON, day_id),
        )
        self._connection.execute(
            "UPDATE treatment_day SET state = 'held', reason = ?, held_since = coalesce(held_since, ?) WHERE id = ?",
            (HELD_REASON, self._history.now(), day_id),
        )
        self._history.add(clinic, "day", day_id, "held", HELD_REASON)

    def _settled(self, clinic: str, suspect: Suspect) -> None:
        self._connection.execute(
            "UPDATE biller_had SET settled = 1 WHERE clinic = ? AND reference = ?", (clinic, suspect.reference)
        )


def unknown_content(reference: str) -> bytes:
    """The content hash of what the biller has and this ledger never saw; no content of ours has it."""
    return hashlib.sha256(f"content unknown since a restore\n{reference}".encode()).digest()


def _time(text: object) -> datetime:
    return datetime.fromisoformat(str(text))
