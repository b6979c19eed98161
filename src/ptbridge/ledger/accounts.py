"""What the ledger says when asked: fates of a run, what is held, what waits, what is live. Reads only."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Collection, Iterator

import apsw

from ptbridge.ledger.database import unpack
from ptbridge.model import Fate

# `+` keeps the planner to the index by day: through the one by run, which all of a first run's answers share, the counts of
# 10,000 days took 47 s instead of 14 ms.
_FATES = """
SELECT CASE
         WHEN v.state = 'quarantined' THEN 'quarantined'
         WHEN v.state = 'gone' OR v.excluded_rule IS NOT NULL THEN 'excluded'
         WHEN d.state IN ('held', 'excluded') THEN d.state
         WHEN d.state = 'sent' THEN iif(EXISTS (SELECT 1 FROM submission s WHERE s.day_id = d.id AND +s.accepted_run = ?1),
                                        'sent', 'unchanged')
         WHEN d.state = 'voided' THEN 'excluded'
         ELSE 'queued'
       END AS fate,
       count(*), sum(v.lines), sum(v.excluded_lines)
FROM visit v LEFT JOIN treatment_day d ON d.id = v.day_id
WHERE v.clinic = ?2 AND {scope}
GROUP BY fate
"""


# The planner would take an index over everything that was ever sent.
_OPEN = "INDEXED BY submission_open"

# A null reason is none of them.
_HELD_FIRST = """
SELECT d.reference, d.reason, d.held_since, d.version_id FROM treatment_day d
WHERE d.clinic = ? AND d.state = 'held' AND coalesce(d.reason, '') NOT IN (SELECT value FROM json_each(?))
ORDER BY d.held_since >= ? DESC, d.service_date, d.id LIMIT ?
"""


class Accounts:
    """Read-only questions to the ledger."""

    def __init__(self, connection: apsw.Connection) -> None:
        self._connection = connection

    def fates(self, clinic: str, run_id: int, *, everything: bool = False) -> tuple[Counter[Fate], Counter[Fate]]:
        """Visits and documented lines by fate: those seen in this run, or all. Each adds up to its whole.

        A quarantined record counts as one visit; its lines are unknown and count as none.
        """
        visits: Counter[Fate] = Counter()
        lines: Counter[Fate] = Counter()
        scope = "1" if everything else "v.seen_run = ?1"
        for fate, count, line_count, excluded in self._connection.execute(_FATES.format(scope=scope), (run_id, clinic)):
            visits[Fate(fate)] += count
            if fate == "quarantined":
                continue
            partly = excluded if fate in ("sent", "unchanged", "queued") else 0
            lines[Fate(fate)] += line_count - partly
            if partly:
                lines[Fate.EXCLUDED] += partly
        return visits, lines

    def sent_in(self, run_id: int) -> dict[str, int]:
        """What the biller accepted in this run: submissions, units, cents (voids take away what was live)."""
        row = self._connection.execute(
            "SELECT count(*), coalesce(sum(iif(frequency = '8', 0, units)), 0),"
            " coalesce(sum(iif(frequency = '8', 0, amount_cents)), 0) FROM submission WHERE accepted_run = ?",
            (run_id,),
        ).fetchone()
        assert row is not None
        return {"submissions": int(row[0]), "units": int(row[1]), "amount_cents": int(row[2])}

    def live(self, clinic: str, dates: tuple[str, str] = ("", "9999")) -> Iterator[tuple[str, tuple[int, int]]]:
        """What should be live at the biller for these service dates (both included): reference, (units, cents); lazily."""
        rows = self._connection.execute(
            "SELECT coalesce(live_reference, reference), live_units, live_cents FROM treatment_day"
            " WHERE clinic = ? AND service_date BETWEEN ? AND ? AND live_sha256 IS NOT NULL",
            (clinic, *dates),
        )
        return ((str(reference), (units, amount)) for reference, units, amount in rows)

    def live_dates(self, clinic: str, accepted_run: int | None = None) -> tuple[str, str] | None:
        """First and last service date that has anything live (or that this run's answers were about); None when nothing has."""
        if accepted_run is None:
            row = self._connection.execute(
                "SELECT min(service_date), max(service_date) FROM treatment_day WHERE clinic = ? AND live_sha256 IS NOT NULL",
                (clinic,),
            ).fetchone()
        else:
            row = self._connection.execute(
                "SELECT min(service_date), max(service_date) FROM submission WHERE accepted_run = ?", (accepted_run,)
            ).fetchone()
        return (str(row[0]), str(row[1])) if row and row[0] is not None else None

    def held(self, clinic: str) -> Iterator[tuple[int, str, str | None, str | None, bytes]]:
        """Held days: row id, reference, reason, held since, judgement JSON; oldest service date first."""
        rows = self._connection.execute(
            "SELECT id, reference, reason, held_since, version_id FROM treatment_day INDEXED BY treatment_day_held"
            " WHERE clinic = ? AND state = 'held' AND version_id IS NOT NULL ORDER BY service_date, id",
            (clinic,),
        )
        for day_id, reference, reason, since, version_id in rows:
            yield day_id, reference, reason, since, self._judgement(version_id)

    def held_days(self, clinic: str) -> dict[str, int]:
        """How many treatment days are held for each reason: a reason is finding codes in order, or a word of the delivery's."""
        rows = self._connection.execute(
            "SELECT coalesce(reason, ''), count(*) FROM treatment_day INDEXED BY treatment_day_held"
            " WHERE clinic = ? AND state = 'held' GROUP BY 1",
            (clinic,),
        )
        return {str(reason): int(days) for reason, days in rows}

    def held_first(
        self, clinic: str, since: str, limit: int, but: Collection[str] = ()
    ) -> Iterator[tuple[str, str, str, bytes]]:
        """At most `limit` held days, but none for these reasons: those held since that time first, then by service date.

        Reference, reason, held since, judgement JSON.
        """
        rows = self._connection.execute(_HELD_FIRST, (clinic, json.dumps(list(but)), since, limit)).fetchall()
        for reference, reason, held_since, version_id in rows:
            yield str(reference), str(reason or ""), str(held_since or ""), self._judgement(version_id)

    def judged_in(self, clinic: str, run_id: int) -> Iterator[tuple[str, str, str | None, bytes]]:
        """Days with a visit seen in this run: reference, state, reason, judgement JSON; by service date."""
        rows = self._connection.execute(
            # the run's visits lead (CROSS JOIN keeps the order): not one look at each day that there ever was
            "SELECT d.reference, d.state, d.reason, d.version_id FROM (SELECT DISTINCT day_id FROM visit WHERE seen_run = ?) v"
            " CROSS JOIN treatment_day d ON d.id = v.day_id WHERE d.clinic = ? AND d.version_id IS NOT NULL"
            " ORDER BY d.service_date, d.id",
            (run_id, clinic),
        )
        for reference, state, reason, version_id in rows:
            yield reference, state, reason, self._judgement(version_id)

    def _judgement(self, version_id: apsw.SQLiteValue) -> bytes:
        """One by one, and not with the days: to put these in order SQLite would hold every judgement at once."""
        ((body,),) = self._connection.execute("SELECT body FROM day_version WHERE id = ?", (version_id,))
        return unpack(body)

    def quarantined(self, clinic: str) -> list[dict[str, str]]:
        """Records that cannot be read: visit id, reason, first seen."""
        rows = self._connection.execute(
            "SELECT visit_id, coalesce(reason, ''), first_seen_at FROM visit"
            " WHERE clinic = ? AND state = 'quarantined' ORDER BY id",
            (clinic,),
        )
        return [{"visit_id": str(v), "reason": str(r), "first_seen_at": str(t)} for v, r, t in rows]

    def days_by_state(self, clinic: str) -> dict[str, dict[str, int | str | None]]:
        """Per state of treatment days: count, units, cents, oldest service date."""
        rows = self._connection.execute(
            "SELECT state, count(*), sum(units), sum(amount_cents), min(service_date) FROM treatment_day"
            " WHERE clinic = ? GROUP BY state",
            (clinic,),
        )
        return {
            str(state): {"days": days, "units": units, "amount_cents": amount, "oldest_service_date": oldest}
            for state, days, units, amount, oldest in rows
        }

    def waiting(self, clinic: str) -> list[dict[str, str | int | float | None]]:
        """Submissions that have no final answer, in the order in which they were made.

        Our reference, state, attempts, since when, next try (Unix seconds), date, frequency; units and cents as it has them,
        which of a void are those that it takes back.
        """
        names = ("reference", "state", "attempts", "queued_at", "next_at", "service_date", "frequency", "units", "amount_cents")
        rows = self._connection.execute(
            f"SELECT {', '.join(names)} FROM submission {_OPEN} WHERE clinic = ? AND open = 1 ORDER BY id",  # noqa: S608
            (clinic,),
        )
        return [dict(zip(names, row, strict=True)) for row in rows]

    def turned_away(self, clinic: str) -> set[str]:
        """References of days with nothing live whose last original was turned away at a door: receipts may still list it."""
        rows = self._connection.execute(
            "SELECT d.reference FROM treatment_day d JOIN submission s ON s.id ="
            " (SELECT max(id) FROM submission WHERE day_id = d.id AND state = 'accepted')"
            " WHERE d.clinic = ? AND d.live_sha256 IS NULL AND s.frequency = '1'"
            " AND EXISTS (SELECT 1 FROM answer a WHERE a.submission_id = s.id AND a.standing = 'rejected')",
            (clinic,),
        )
        return {str(reference) for (reference,) in rows}

    def rejected(self, clinic: str) -> set[str]:
        """Live references of days whose original was rejected, not yet corrected: some platforms have nothing left of them."""
        rows = self._connection.execute(
            "SELECT live_reference FROM treatment_day WHERE clinic = ? AND standing = 'rejected'"
            " AND live_sha256 IS NOT NULL AND live_frequency = '1'",
            (clinic,),
        )
        return {str(reference) for (reference,) in rows}

    def submissions_of(self, day_id: int) -> list[dict[str, str | int | None]]:
        """Every submission made for a day, oldest first, each with its last answer."""
        rows = self._connection.execute(
            "SELECT s.revision, s.frequency, s.key, s.state, s.attempts, s.units, s.amount_cents, s.destination,"
            " s.destination_id, s.hold_reason,"
            " (SELECT a.disposition || ' ' || a.native_code || ' ' || a.native_text FROM acknowledgement a"
            " WHERE a.submission_id = s.id ORDER BY a.id DESC LIMIT 1) FROM submission s WHERE s.day_id = ? ORDER BY s.id",
            (day_id,),
        )
        names = ["revision", "frequency", "key", "state", "attempts", "units", "amount_cents", "destination"]
        names += ["destination_id", "hold_reason", "last_answer"]
        return [dict(zip(names, row, strict=True)) for row in rows]

    def decisions_of(self, day_id: int) -> list[dict[str, str]]:
        """Every decision of a person about a day, oldest first: when, what, about which findings, why, who."""
        rows = self._connection.execute(
            "SELECT at, kind, codes, reason, actor FROM decision WHERE day_id = ? ORDER BY id", (day_id,)
        )
        return [dict(zip(("at", "kind", "codes", "reason", "actor"), row, strict=True)) for row in rows]

    def last_received(self, clinic: str, source: str) -> str | None:
        """When the newest record of a source arrived (ISO 8601 UTC); None before the first."""
        row = self._connection.execute(
            "SELECT received_at FROM source_record WHERE clinic = ? AND source = ? ORDER BY id DESC LIMIT 1", (clinic, source)
        ).fetchone()
        return str(row[0]) if row else None

    def first_started(self, clinic: str) -> str | None:
        """When the first run of a clinic started (ISO 8601 UTC); None before it."""
        row = self._connection.execute("SELECT started_at FROM run WHERE clinic = ? ORDER BY id LIMIT 1", (clinic,)).fetchone()
        return str(row[0]) if row else None

    def last_success(self, clinic: str) -> str | None:
        """When the newest run ended in which neither the source nor the biller was in trouble; None when none did."""
        row = self._connection.execute(
            "SELECT finished_at FROM run WHERE clinic = ? AND json_array_length(summary, '$.errors') = 0"
            " ORDER BY id DESC LIMIT 1",
            (clinic,),
        ).fetchone()
        return str(row[0]) if row else None

    def oldest(self, clinic: str, now: float) -> dict[str, str | float | None]:
        """Since when the oldest held day is held (ISO 8601 UTC) and the oldest open submission waits (Unix seconds).

        What is in the clinic's hold window at `now` (Unix seconds) does not wait yet, and later waits since the window's end.
        """
        held = self._connection.execute(
            "SELECT min(held_since) FROM treatment_day WHERE clinic = ? AND state = 'held'", (clinic,)
        ).get
        waiting = self._connection.execute(
            f"SELECT min(coalesce(window_until, queued_at)) FROM submission {_OPEN}"  # noqa: S608
            " WHERE clinic = ? AND open = 1 AND (window_until IS NULL OR window_until <= ?)",
            (clinic, now),
        ).get
        return {"held_since": held, "waiting_since": waiting}

    def last_run(self, clinic: str) -> dict[str, str | int | None] | None:
        """The newest finished run of a clinic."""
        row = self._connection.execute(
            "SELECT id, started_at, finished_at, summary FROM run WHERE clinic = ? AND finished_at IS NOT NULL"
            " ORDER BY id DESC LIMIT 1",
            (clinic,),
        ).fetchone()
        return dict(zip(("run_id", "started_at", "finished_at", "summary"), row, strict=True)) if row else None
