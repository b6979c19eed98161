"""Treatment days and their judgements: what is held, excluded, on its way, or live at the biller."""

from __future__ import annotations

import time
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

import apsw

from ptbridge.ledger.database import pack, unpack
from ptbridge.ledger.history import History
from ptbridge.model import Frequency, Submission


@dataclass(frozen=True, slots=True)
class DayRow:
    """Where a treatment day stands. `live_*` is what the biller holds now; `revision` counts submissions made for it."""

    id: int
    clinic: str
    day_key: str = field(repr=False)
    reference: str
    service_date: str | None
    state: str
    reason: str | None
    held_since: str | None
    revision: int
    live_sha256: bytes | None
    live_id: str | None
    live_units: int
    live_cents: int
    version_id: int | None
    patient_key: str | None = None


@dataclass(frozen=True, slots=True)
class BilledLine:
    """A line as judged, for the history of its patient. `allowed_cents` is set where a therapy threshold counts it.

    `start` and `end` (ISO 8601) are the documented times, where all of the line's documentation has them.
    """

    procedure: str
    modifiers: tuple[str, ...]
    units: int
    amount_cents: int | None = None
    allowed_cents: int | None = None
    start: str | None = None
    end: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Verdict:
    """The outcome of judging a treatment day. `body` is the whole judgement as JSON; `content_sha256` names what is sent."""

    state: str  # held | excluded | queued | sent | voided
    reason: str | None = None
    payer: str | None = None
    discipline: str | None = None
    lines: int = 0
    units: int = 0
    amount_cents: int = 0
    body: bytes = field(repr=False)
    visits_sha256: bytes  # names the content of the visits that were judged: a person's release holds for this content only
    content_sha256: bytes | None = None
    submission: Submission | None = None
    billed: tuple[BilledLine, ...] = ()  # what it bills or would bill: later days of the patient count it
    visit_types: tuple[str, ...] = ()
    authorization_number: str | None = field(default=None, repr=False)
    excluded: Mapping[int, tuple[int, str | None]] = field(default_factory=dict)  # visit row -> (lines, rule of whole visit)


@dataclass(frozen=True, slots=True)
class Decision:
    """What a person decided (`release`, `exclude`, `retry`), about which content and which finding codes."""

    kind: str
    visits_sha256: bytes | None
    codes: frozenset[str]
    reason: str
    actor: str


_COLUMNS = (
    "id, clinic, day_key, reference, service_date, state, reason, held_since, revision, live_sha256, live_id, live_units,"
    " live_cents, version_id, patient_key"
)


class Days:
    """The `treatment_day`, `day_version`, `decision` and (for writing) `submission` tables. Call inside a transaction."""

    def __init__(self, connection: apsw.Connection, history: History) -> None:
        self._connection = connection
        self._history = history

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
        self._connection.execute(
            # the second condition is that of the partial index, word for word: see accounts.WAITING
            "UPDATE treatment_day SET dirty = 1 WHERE clinic = ? AND state = 'held' AND state IN ('held', 'queued', 'open')",
            (clinic,),
        )

    def dirty(self, clinic: str, *, limit: int = 200) -> list[DayRow]:
        """Days that wait for a judgement, by service date, so that a patient's running totals are those of the day.

        None whose last submission is on its way with an unknown outcome; none that took over a visit from an older day
        whose own correction has not been answered yet: the visit would be live twice (contract D2).
        """
        rows = self._connection.execute(
            f"SELECT {_COLUMNS} FROM treatment_day d WHERE clinic = ? AND dirty = 1"  # noqa: S608
            " AND NOT EXISTS (SELECT 1 FROM submission s WHERE s.day_id = d.id AND s.state IN ('sending', 'in-doubt'))"
            " AND NOT EXISTS (SELECT 1 FROM visit v JOIN treatment_day o ON o.id = v.left_day_id WHERE v.day_id = d.id"
            " AND o.id < d.id AND (o.dirty = 1 OR o.state = 'queued') AND o.live_sha256 IS NOT NULL)"
            " ORDER BY service_date, id LIMIT ?",
            (clinic, limit),
        )
        return [DayRow(*row) for row in rows]

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

    def judgement(self, day: DayRow) -> bytes | None:
        """The newest judgement's JSON; None before the first."""
        if day.version_id is None:
            return None
        row = self._connection.execute("SELECT body FROM day_version WHERE id = ?", (day.version_id,)).fetchone()
        return unpack(row[0]) if row else None

    def live_bytes(self, day: DayRow) -> bytes | None:
        """The bytes of the submission that the biller has now; None when it has none."""
        row = self._connection.execute(
            "SELECT body FROM submission WHERE day_id = ? AND state = 'accepted' ORDER BY id DESC LIMIT 1", (day.id,)
        ).fetchone()
        return unpack(row[0]) if row and day.live_sha256 is not None else None

    # ------------------------------------------------------------ judging

    def record(self, day: DayRow, verdict: Verdict) -> None:
        """Write a judgement, the submission that follows from it, and the change of state, together."""
        at, run = self._history.now(), self._history.run_id
        self._connection.execute(
            "INSERT INTO day_version (day_id, run_id, judged_at, content_sha256, body) VALUES (?, ?, ?, ?, ?)",
            (day.id, run, at, verdict.visits_sha256, pack(verdict.body)),
        )
        version_id = self._connection.last_insert_rowid()
        self._replace_unsent(day)
        if verdict.submission is not None:
            assert verdict.content_sha256 is not None
            self._queue(day, verdict.submission, verdict.content_sha256)
        held_since = (day.held_since or at) if verdict.state == "held" else None
        self._connection.execute(
            "UPDATE treatment_day SET state = ?, dirty = 0, reason = ?, held_since = ?, version_id = ?, payer = ?,"
            " discipline = ?, lines = ?, units = ?, amount_cents = ?, revision = ?, visit_types = ?, authorization_number = ?"
            " WHERE id = ?",
            (
                verdict.state,
                verdict.reason,
                held_since,
                version_id,
                verdict.payer,
                verdict.discipline,
                verdict.lines,
                verdict.units,
                verdict.amount_cents,
                verdict.submission.revision if verdict.submission else day.revision,
                ",".join(verdict.visit_types),
                verdict.authorization_number,
                day.id,
            ),
        )
        self._bill(day, verdict)
        for visit_row, (lines, rule) in verdict.excluded.items():
            self._connection.execute(
                "UPDATE visit SET excluded_lines = ?, excluded_rule = ? WHERE id = ?", (lines, rule, visit_row)
            )
        if verdict.state != day.state or verdict.reason != day.reason:
            self._history.add(day.clinic, "day", day.id, verdict.state, verdict.reason or "")

    def _bill(self, day: DayRow, verdict: Verdict) -> None:
        """Replace the day's lines in the patient's history. While a void is on its way the biller still has the old ones."""
        if verdict.submission is not None and verdict.submission.frequency is Frequency.VOID:
            return
        before = self._connection.execute(
            "SELECT procedure, modifiers, units, amount_cents, allowed_cents, started_at, ended_at FROM billed_line"
            " WHERE day_id = ? ORDER BY place",
            (day.id,),
        ).fetchall()
        after = [
            (
                line.procedure,
                " ".join(line.modifiers),
                line.units,
                line.amount_cents,
                line.allowed_cents,
                line.start,
                line.end,
            )
            for line in verdict.billed
        ]
        if before != after:
            self._connection.execute("DELETE FROM billed_line WHERE day_id = ?", (day.id,))
            self._connection.executemany(
                "INSERT INTO billed_line VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)",
                [(day.id, place, *line) for place, line in enumerate(after)],
            )
        if before != after or (verdict.state == "excluded") != (day.state == "excluded"):
            self._judge_held_after(day)

    def _judge_held_after(self, day: DayRow) -> None:
        """Held days that come after this one may have waited for what it uses: only later ones, so that this ends."""
        if day.patient_key is not None and day.service_date is not None:
            self._connection.execute(
                "UPDATE treatment_day SET dirty = 1 WHERE clinic = ?1 AND patient_key = ?2 AND state = 'held'"
                " AND (service_date, id) > (?3, ?4)",
                (day.clinic, day.patient_key, day.service_date, day.id),
            )

    def _replace_unsent(self, day: DayRow) -> None:
        """What surely had no effect is replaced in place (contract D17); it stays in the table with its bytes."""
        rows = self._connection.execute("SELECT id FROM submission WHERE day_id = ? AND state = 'queued'", (day.id,)).fetchall()
        for submission_id in [int(str(row[0])) for row in rows]:
            self._connection.execute("UPDATE submission SET state = 'replaced' WHERE id = ?", (submission_id,))
            self._history.add(day.clinic, "submission", submission_id, "replaced")

    def _queue(self, day: DayRow, submission: Submission, content_sha256: bytes) -> None:
        now = time.time()
        self._connection.execute(
            "INSERT INTO submission (clinic, destination, day_id, key, reference, order_key, revision, frequency,"
            " content_sha256, body, media_type, service_date, lines, units, amount_cents, run_id, queued_at, next_at)"
            " VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
            (
                submission.clinic,
                submission.destination,
                day.id,
                submission.key,
                submission.reference,
                submission.order_key,
                submission.revision,
                submission.frequency.value,
                content_sha256,
                pack(submission.body),
                submission.media_type,
                submission.service_date,
                submission.lines,
                submission.units,
                submission.amount_cents,
                self._history.run_id,
                now,
                now,
            ),
        )
        kind = {Frequency.ORIGINAL: "queued", Frequency.REPLACEMENT: "queued-replacement", Frequency.VOID: "queued-void"}
        self._history.add(
            day.clinic, "submission", self._connection.last_insert_rowid(), kind[submission.frequency], submission.key
        )

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

    def reopen_submissions(self, day: DayRow) -> None:
        """A person asks to try again: what was refused is set aside, what is in doubt is looked up once more."""
        rows = self._connection.execute(
            "SELECT id, hold_reason FROM submission WHERE day_id = ? AND state = 'held'", (day.id,)
        ).fetchall()
        for submission_id, reason in rows:
            state = "in-doubt" if str(reason).startswith("in-doubt") else "replaced"
            self._connection.execute(
                "UPDATE submission SET state = ?1, attempts = iif(?1 = 'in-doubt', 0, attempts), next_at = 0 WHERE id = ?2",
                (state, submission_id),
            )
            if state == "in-doubt":
                self._connection.execute("UPDATE treatment_day SET state = 'queued' WHERE id = ?", (day.id,))

    def decision(self, day_id: int) -> Decision | None:
        """The newest decision about this day."""
        row = self._connection.execute(
            "SELECT kind, content_sha256, codes, reason, actor FROM decision WHERE day_id = ? ORDER BY id DESC LIMIT 1",
            (day_id,),
        ).fetchone()
        return Decision(row[0], row[1], frozenset(row[2].split()), row[3], row[4]) if row else None
