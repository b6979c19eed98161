"""Treatment days: which wait for a judgement, where each stands, what is live of it, and what a person decided."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from itertools import chain
from typing import Any

import apsw
import msgspec

from ptbridge.ledger.database import unpack
from ptbridge.ledger.day_rows import DayRow, Decision, LiveCharge, Verdict, shown_lines
from ptbridge.ledger.history import History
from ptbridge.ledger.judging import Judged, Judging, set_aside
from ptbridge.ledger.moved import may_have

_COLUMNS = (
    "id, clinic, day_key, reference, service_date, state, reason, held_since, revision, live_sha256, live_id, live_units,"
    " live_cents, version_id, patient_key, stage, standing, payer_claim_number, generation, live_reference, live_frequency"
)
# A day that took over a visit waits until the day that it left is corrected, and until it is known whether the biller has what
# is on its way of that one: the visit would be live twice (contract D2).
_LEFT = (
    "EXISTS (SELECT 1 FROM visit v JOIN treatment_day o ON o.id = v.left_day_id WHERE v.day_id = d.id AND o.id <> d.id"
    " AND {waits})"
)
_DIRTY = f"""
SELECT {_COLUMNS} FROM treatment_day d INDEXED BY treatment_day_dirty WHERE clinic = ? AND dirty = 1
 AND NOT EXISTS (SELECT 1 FROM submission s WHERE s.day_id = d.id AND s.state IN ('sending', 'in-doubt'))
 AND NOT {_LEFT}
 ORDER BY service_date, id LIMIT ?
"""  # noqa: S608
_CORRECTION_WAITS = (
    "(o.live_sha256 IS NOT NULL AND (o.dirty = 1 OR o.state = 'queued')"
    " OR EXISTS (SELECT 1 FROM submission i WHERE i.day_id = o.id AND i.open = 1 AND (o.dirty = 1 OR i.state <> 'queued')))"
)
_CORRECTION_IS_SENT = (
    "o.state = 'queued' AND (o.live_sha256 IS NOT NULL"
    " OR EXISTS (SELECT 1 FROM submission i WHERE i.day_id = o.id AND i.state IN ('sending', 'in-doubt')))"
)

UNDONE = "undone-by-person"


class Days:
    """The `treatment_day`, `day_version` and `decision` tables. Call inside a transaction. What writes: ledger/judging.py."""

    def __init__(self, connection: apsw.Connection, history: History) -> None:
        self._connection = connection
        self._history = history
        self._judging = Judging(connection, history)

    # ------------------------------------------------------------ finding days

    def ensure(
        self, clinic: str, day_key: str, reference: str, service_date: str | None, patient_key: str | None = None
    ) -> int:
        """The day's row id, made when new. `patient_key` (patients.patient_key) joins it to the patient's other days."""
        row = self._connection.execute(
            "SELECT id FROM treatment_day WHERE clinic = ? AND day_key = ?", (clinic, day_key)
        ).fetchone()
        if row:
            return int(row[0])
        self._connection.execute(
            "INSERT INTO treatment_day (clinic, day_key, reference, service_date, patient_key) VALUES (?, ?, ?, ?, ?)",
            (clinic, day_key, reference, service_date, patient_key),
        )
        return self._connection.last_insert_rowid()

    def mark(self, day_ids: Iterable[int]) -> None:
        """Ask for a new judgement of these days."""
        self._connection.executemany("UPDATE treatment_day SET dirty = 1 WHERE id = ?", [(day_id,) for day_id in day_ids])

    def mark_held(self, clinic: str) -> None:
        """Ask for a new judgement of every held day: the configuration or the civil day changed."""
        self._connection.execute("UPDATE treatment_day SET dirty = 1 WHERE clinic = ? AND state = 'held'", (clinic,))

    def dirty(self, clinic: str, *, limit: int = 200) -> list[DayRow]:
        """Days that wait for a judgement, by service date, so that a patient's running totals are those of the day.

        None whose last submission is on its way with an unknown outcome; none that took over a visit from a day of which
        something is on its way, or whose own correction has not been answered yet: the visit would be live twice (contract
        D2). Days that only wait for each other (two visits changed places) go one at a time, the oldest first.
        """
        rows = [DayRow(*row) for row in self._connection.execute(_DIRTY.format(waits=_CORRECTION_WAITS), (clinic, limit))]
        if rows:
            return rows
        return [DayRow(*row) for row in self._connection.execute(_DIRTY.format(waits=_CORRECTION_IS_SENT), (clinic, 1))]

    def get(self, day_id: int) -> DayRow | None:
        """One day by row id."""
        row = self._connection.execute(f"SELECT {_COLUMNS} FROM treatment_day WHERE id = ?", (day_id,)).fetchone()  # noqa: S608
        return DayRow(*row) if row else None

    def named(self, name: str) -> list[DayRow]:
        """Days by our reference, or by the id of one of their visits."""
        rows = self._connection.execute(
            f"SELECT {_COLUMNS} FROM treatment_day WHERE reference = ?1"  # noqa: S608
            " OR id IN (SELECT day_id FROM visit WHERE visit_id = ?1)",
            (name,),
        )
        return [DayRow(*row) for row in rows]

    def changing(self, clinic: str) -> list[DayRow]:
        """Days with something live that are held or on their way, and those that wait in the hold window; by service date."""
        rows = self._connection.execute(
            f"SELECT {_COLUMNS} FROM treatment_day d WHERE id IN (SELECT id FROM treatment_day WHERE clinic = ?1"  # noqa: S608
            " AND state = 'held' UNION SELECT day_id FROM submission WHERE clinic = ?1 AND open = 1)"
            " AND state IN ('held', 'queued', 'open')"
            " AND (live_sha256 IS NOT NULL OR EXISTS (SELECT 1 FROM submission s WHERE s.day_id = d.id AND s.state = 'queued'"
            " AND s.window_until IS NOT NULL)) ORDER BY service_date, id",
            (clinic,),
        )
        return [DayRow(*row) for row in rows]

    def given_up(self, clinic: str) -> list[dict[str, Any]]:
        """Submissions that delivery holds, oldest first, each with its last answer's native code; no text of the other side."""
        rows = self._connection.execute(
            "SELECT d.reference, s.service_date, s.frequency, s.key, s.hold_reason, s.attempts, s.first_attempt_at,"
            " s.last_attempt_at, s.units, s.amount_cents, d.held_since, (SELECT a.native_code FROM acknowledgement a"
            " WHERE a.submission_id = s.id ORDER BY a.id DESC LIMIT 1) FROM treatment_day d"
            " JOIN submission s ON s.day_id = d.id AND s.state = 'held'"
            " WHERE d.clinic = ? AND d.state = 'held' ORDER BY s.id",
            (clinic,),
        )
        names = ["id", "service_date", "frequency", "key", "reason", "attempts", "first_attempt_at", "last_attempt_at"]
        names += ["units", "amount_cents", "held_since", "native_code"]
        return [dict(zip(names, row, strict=True)) for row in rows]

    def goes_at(self, day: DayRow) -> float | None:
        """When what waits unsent may leave (Unix seconds); None when nothing waits."""
        row = self._connection.execute(
            "SELECT max(next_at) FROM submission WHERE day_id = ? AND state = 'queued'", (day.id,)
        ).fetchone()
        return float(row[0]) if row and row[0] is not None else None

    def judgement(self, day: DayRow) -> bytes | None:
        """The newest judgement's JSON; None before the first."""
        if day.version_id is None:
            return None
        row = self._connection.execute("SELECT body FROM day_version WHERE id = ?", (day.version_id,)).fetchone()
        return unpack(row[0]) if row else None

    def live(self, day: DayRow) -> LiveCharge | None:
        """What the biller has now; None when it has nothing."""
        if day.live_sha256 is None:
            return None
        row = self._connection.execute(
            "SELECT b.body, w.body FROM submission s JOIN submission_body b ON b.submission_id = s.id"
            " LEFT JOIN day_version w ON w.id = s.version_id"
            " WHERE s.day_id = ? AND s.state = 'accepted' ORDER BY s.id DESC LIMIT 1",
            (day.id,),
        ).fetchone()
        assert row is not None, "what is live was accepted"
        page = {} if row[1] is None else msgspec.json.decode(unpack(row[1]))
        return LiveCharge(body=unpack(row[0]), lines=shown_lines(page), payer=page.get("payer_as_given"))

    def live_judgement(self, day: DayRow) -> bytes | None:
        """The judgement's JSON that the live charge was made from; None when nothing is live, or it was not kept."""
        row = self._connection.execute(
            "SELECT w.body FROM submission s JOIN day_version w ON w.id = s.version_id"
            " WHERE s.day_id = ? AND s.state = 'accepted' ORDER BY s.id DESC LIMIT 1",
            (day.id,),
        ).fetchone()
        return unpack(row[0]) if row and day.live_sha256 is not None else None

    def before_it_was_empty(self, day: DayRow) -> bytes | None:
        """The judgement's JSON of a day while it had a visit: that of its live charge, else the newest; None for neither."""
        versions = self._connection.execute("SELECT body FROM day_version WHERE day_id = ? ORDER BY id DESC", (day.id,))
        pages = chain([self.live_judgement(day)], (unpack(body) for (body,) in versions))
        return next((page for page in pages if page and msgspec.json.decode(page)["visits"]), None)

    def still_billed(self, day: DayRow) -> list[str]:
        """References under which the biller has, or may have, a visit of this day, with a held day that the visit left."""
        rows = self._connection.execute(
            "SELECT v.visit_id, o.id, coalesce(o.live_reference, o.reference) FROM visit v"
            " JOIN treatment_day o ON o.id = v.left_day_id"
            " WHERE v.day_id = ? AND o.id <> v.day_id AND o.state = 'held' ORDER BY v.id",
            (day.id,),
        ).fetchall()
        found = (
            str(reference) for visit_id, left, reference in rows if may_have(self._connection, int(str(left)), str(visit_id))
        )
        return list(dict.fromkeys(found))

    def record(self, day: DayRow, verdict: Verdict) -> None:
        """Write a judgement, the submission that follows from it, and the change of state, together."""
        self._judging.record([(day, verdict)])

    def record_many(self, judged: Sequence[Judged]) -> None:
        """`record` of each in turn, in fewer steps."""
        self._judging.record(judged)

    # ------------------------------------------------------------ decisions of a person

    def decide(self, day: DayRow, kind: str, codes: str, reason: str, actor: str) -> None:
        """Record that a person released, excluded or retried this day as it is now judged, and ask for a new judgement."""
        row = self._connection.execute("SELECT content_sha256 FROM day_version WHERE id = ?", (day.version_id,)).fetchone()
        self._connection.execute(
            "INSERT INTO decision (day_id, kind, content_sha256, codes, reason, actor, at) VALUES (?, ?, ?, ?, ?, ?, ?)",
            (day.id, kind, row[0] if row else None, codes, reason, actor, self._history.now()),
        )
        self._history.add(day.clinic, "day", day.id, kind, codes, actor)
        self.mark([day.id])

    def standing_decision(self, day: DayRow) -> Decision | None:
        """The newest decision, where it is about the content that was judged last; None otherwise."""
        decision = self.decision(day.id)
        row = self._connection.execute("SELECT content_sha256 FROM day_version WHERE id = ?", (day.version_id,)).fetchone()
        return decision if decision and row and decision.visits_sha256 == row[0] else None

    def reopen_submissions(self, day: DayRow) -> None:
        """A person asks to try again: what was refused is set aside, what is in doubt is looked up once more."""
        rows = self._connection.execute(
            "SELECT id, hold_reason FROM submission WHERE day_id = ? AND state = 'held'", (day.id,)
        ).fetchall()
        for submission_id, reason in rows:
            state = "in-doubt" if str(reason).startswith("in-doubt") else "replaced"
            self._connection.execute(
                "UPDATE submission SET state = ?1, open = (?1 = 'in-doubt'), attempts = iif(?1 = 'in-doubt', 0, attempts),"
                " unanswered = iif(?1 = 'in-doubt', 0, unanswered), next_at = 0 WHERE id = ?2",
                (state, submission_id),
            )
            if state == "in-doubt":
                self._connection.execute("UPDATE treatment_day SET state = 'queued' WHERE id = ?", (day.id,))

    def take_back(self, day: DayRow, actor: str) -> bool:
        """Take back what waits unsent; the day is held as `undone-by-person`. False when nothing waits."""
        rows = self._connection.execute("SELECT id FROM submission WHERE day_id = ? AND state = 'queued'", (day.id,)).fetchall()
        for (submission_id,) in rows:
            set_aside(self._connection, self._history, day, int(str(submission_id)), UNDONE, actor)
        self._connection.execute(
            "UPDATE treatment_day SET state = 'held', reason = ?1, held_since = ?2 WHERE id = ?3 AND ?4",
            (UNDONE, self._history.now(), day.id, bool(rows)),
        )
        return bool(rows)

    def close_window(self, day: DayRow) -> bool:
        """Let what waits in the hold window go with the next delivery. False when nothing does.

        It is queued from then on, or since its window was over: before that, it did not wait for the biller.
        """
        before, (_, now) = self._connection.total_changes(), self._history.moment()
        self._connection.execute(
            "UPDATE submission SET window_until = NULL, queued_at = min(window_until, ?1), next_at = min(window_until, ?1)"
            " WHERE day_id = ?2 AND state = 'queued' AND window_until IS NOT NULL",
            (now, day.id),
        )
        return self._connection.total_changes() > before

    def decision(self, day_id: int) -> Decision | None:
        """The newest decision about this day."""
        row = self._connection.execute(
            "SELECT kind, content_sha256, codes, reason, actor FROM decision WHERE day_id = ? ORDER BY id DESC LIMIT 1",
            (day_id,),
        ).fetchone()
        return Decision(row[0], row[1], frozenset(row[2].split()), row[3], row[4]) if row else None
