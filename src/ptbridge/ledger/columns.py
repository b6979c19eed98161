"""What reconcile reads: each treatment day with what it should bill, what left for the biller, what stands there."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import apsw

_DAYS = """
SELECT d.id, d.reference, d.service_date, d.state, coalesce(d.reason, ''), d.held_since, d.patient_key, d.units, d.amount_cents,
       d.live_sha256 IS NOT NULL, d.live_units, d.live_cents, coalesce(d.stage, 'received'), coalesce(d.standing, 'accepted'),
       (SELECT count(*) FROM visit v WHERE v.day_id = d.id AND v.state <> 'gone'),
       (SELECT count(*) FROM visit v WHERE v.day_id = d.id AND v.state <> 'gone' AND v.excluded_rule IS NULL)
FROM treatment_day d WHERE d.clinic = ? AND coalesce(d.service_date, '') BETWEEN ? AND ? ORDER BY d.service_date, d.id
"""
_VISIT = """
SELECT v.visit_id, v.day_id, d.reference, v.state, v.lines,
       v.state = 'gone' OR v.excluded_rule IS NOT NULL OR coalesce(d.state, '') IN ('excluded', 'voided')
FROM visit v LEFT JOIN treatment_day d ON d.id = v.day_id WHERE
"""
_NEWEST = """
SELECT state, attempts, queued_at, units, amount_cents, frequency FROM submission
WHERE day_id = ? AND state <> 'replaced' ORDER BY id DESC LIMIT 1
"""


@dataclass(frozen=True, slots=True)
class DayFacts:
    """One treatment day. `units` and `amount_cents` are as judged now, `live_*` as the biller has it; `billable` are visits."""

    id: int
    reference: str
    service_date: str | None
    state: str
    reason: str
    held_since: str | None
    patient_key: str | None
    units: int
    amount_cents: int
    live: int  # 1 when the biller has it now
    live_units: int
    live_cents: int
    stage: str
    standing: str
    visits: int
    billable: int


@dataclass(frozen=True, slots=True)
class OnItsWay:
    """The newest submission of a day that was not set aside. `queued_at` is in Unix seconds."""

    state: str
    attempts: int
    queued_at: float
    units: int
    amount_cents: int
    frequency: str


@dataclass(frozen=True, slots=True)
class VisitFacts:
    """One visit and its day, None where it never could be read; `out`: it should not bill (excluded, voided, deleted)."""

    visit_id: str
    day_id: int | None
    reference: str | None
    state: str
    lines: int
    out: bool


class Columns:
    """Read-only questions for reconcile."""

    def __init__(self, connection: apsw.Connection) -> None:
        self._connection = connection

    def days(self, clinic: str, dates: tuple[str, str] = ("", "9999")) -> Iterator[DayFacts]:
        """Every treatment day with a service date in that range (both included; days without one only in the whole range)."""
        for row in self._connection.execute(_DAYS, (clinic, *dates)):
            yield DayFacts(*row)

    def on_its_way(self, day_id: int) -> OnItsWay | None:
        """The newest submission of a day, None when there never was one that counts."""
        row = self._connection.execute(_NEWEST, (day_id,)).fetchone()
        return OnItsWay(*row) if row else None

    def visits_of(self, day_id: int) -> tuple[str, ...]:
        """The visit ids of a day, deleted ones too."""
        rows = self._connection.execute("SELECT visit_id FROM visit WHERE day_id = ? ORDER BY id", (day_id,))
        return tuple(str(row[0]) for row in rows)

    def never_billed(self, clinic: str, dates: tuple[str, str] = ("", "9999")) -> dict[str, int]:
        """Visits that should not bill, by rule: no-shows, cancelled, deleted at the source, excluded by a person or by rule."""
        rows = self._connection.execute(
            "SELECT iif(v.state = 'gone', 'deleted-at-source', v.excluded_rule), count(*) FROM visit v"
            " LEFT JOIN treatment_day d ON d.id = v.day_id WHERE v.clinic = ? AND coalesce(d.service_date, '') BETWEEN ? AND ?"
            " AND (v.state = 'gone' OR v.excluded_rule IS NOT NULL) GROUP BY 1 ORDER BY 1",
            (clinic, *dates),
        )
        return {str(rule): int(count) for rule, count in rows}

    def unread(self, clinic: str) -> list[tuple[str, str, str]]:
        """Records that could never be read and so have no treatment day: visit id, reason, first seen."""
        rows = self._connection.execute(
            "SELECT visit_id, coalesce(reason, ''), first_seen_at FROM visit"
            " WHERE clinic = ? AND state = 'quarantined' AND day_id IS NULL ORDER BY id",
            (clinic,),
        )
        return [(str(visit), str(reason), str(seen)) for visit, reason, seen in rows]

    def visits_on(self, patient_key: str, clinic: str, service_date: str) -> int:
        """How many visits of a patient are known on a day, whatever became of them."""
        ((count,),) = self._connection.execute(
            "SELECT count(*) FROM treatment_day d JOIN visit v ON v.day_id = d.id"
            " WHERE d.clinic = ? AND d.patient_key = ? AND d.service_date = ?",
            (clinic, patient_key, service_date),
        )
        return int(str(count))

    def visit(self, clinic: str, source: str, visit_id: str) -> VisitFacts | None:
        """A visit by its id at its source; None when it was never seen."""
        row = self._connection.execute(
            f"{_VISIT} v.clinic = ? AND v.source = ? AND v.visit_id = ?", (clinic, source, visit_id)
        ).fetchone()
        return _visit(row) if row else None

    def of_patient(self, patient_key: str, clinic: str, service_date: str) -> list[VisitFacts]:
        """The visits of a patient on a day, whatever became of them, oldest first."""
        rows = self._connection.execute(
            f"{_VISIT} d.clinic = ? AND d.patient_key = ? AND d.service_date = ? ORDER BY v.id",
            (clinic, patient_key, service_date),
        )
        return [_visit(row) for row in rows]

    def tells(self, clinic: str, destination: str) -> bool:
        """Whether this biller has ever told what became of a charge: only then is a missing claim a gap."""
        ((told,),) = self._connection.execute(
            "SELECT EXISTS (SELECT 1 FROM cursor WHERE clinic = ?1 AND source = 'answers:' || ?2)"
            " OR EXISTS (SELECT 1 FROM answer WHERE clinic = ?1 AND destination = ?2)",
            (clinic, destination),
        )
        return bool(told)


def _visit(row: tuple[Any, ...]) -> VisitFacts:
    visit_id, day_id, reference, state, lines, out = row
    return VisitFacts(visit_id, day_id, reference, state, lines, bool(out))
