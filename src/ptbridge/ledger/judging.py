"""Writing down what a treatment day was judged to be, and putting what follows from it into the outbox."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import replace
from typing import TypeVar

import apsw

from ptbridge.ledger.chain import Row
from ptbridge.ledger.database import PLAIN_BYTES, pack, unpack, write_many
from ptbridge.ledger.day_rows import DayRow, Verdict
from ptbridge.ledger.history import History
from ptbridge.ledger.live import free, make_live
from ptbridge.model import Frequency, Submission

_VERSION = "INSERT INTO day_version (day_id, run_id, judged_at, content_sha256, body) VALUES {rows}"
_JUDGED = """
WITH judged (state, reason, held_since, version_id, payer, discipline, lines, units, amount_cents, revision, visit_types,
 authorization_number, day_id) AS (VALUES {rows})
UPDATE treatment_day SET state = judged.state, dirty = 0, reason = judged.reason, held_since = judged.held_since,
 version_id = judged.version_id, payer = judged.payer, discipline = judged.discipline, lines = judged.lines,
 units = judged.units, amount_cents = judged.amount_cents, revision = judged.revision, visit_types = judged.visit_types,
 authorization_number = judged.authorization_number
FROM judged WHERE treatment_day.id = judged.day_id
"""
_QUEUE = """
INSERT INTO submission (clinic, destination, day_id, key, reference, order_key, revision, frequency, content_sha256, media_type,
 service_date, lines, units, amount_cents, run_id, state, open, queued_at, next_at, version_id, closes_reference, judge_after,
 window_until, by_hand) VALUES {rows}
"""
_BODY = "INSERT INTO submission_body (submission_id, body) VALUES {rows}"
_WAITS = """
SELECT s.id, s.frequency, s.reference, b.body FROM submission s JOIN submission_body b ON b.submission_id = s.id
WHERE s.day_id = ? AND s.state = 'queued'
"""
# The newest that was made of a day, where delivery gave it up and no person let the day go since, by the order of the history.
_GIVEN_UP = """
SELECT s.hold_reason, s.frequency, s.reference, b.body FROM submission s JOIN submission_body b ON b.submission_id = s.id
WHERE s.id = (SELECT max(id) FROM submission WHERE day_id = ?1 AND state <> 'replaced') AND s.state = 'held'
AND NOT EXISTS (SELECT 1 FROM history r WHERE r.entity = 'day' AND r.entity_id = ?1 AND r.event IN ('release', 'exclude')
 AND r.seq > (SELECT max(h.seq) FROM history h WHERE h.entity = 'submission' AND h.entity_id = s.id AND h.event = 'held'))
"""
_BILLED = """
SELECT procedure, modifiers, units, amount_cents, allowed_cents, started_at, ended_at FROM billed_line
WHERE day_id = ? ORDER BY place
"""
_QUEUED_AS = {
    Frequency.ORIGINAL: "queued",
    Frequency.REPLACEMENT: "queued-replacement",
    Frequency.VOID: "queued-void",
}
IN_DOUBT = "in-doubt"  # delivery gave up, and the biller may have it
T = TypeVar("T")
Judged = tuple[DayRow, Verdict]
_Queued = tuple[DayRow, Verdict, Submission, int]  # the last: row id of the judgement


def set_aside(
    connection: apsw.Connection, history: History, day: DayRow, submission_id: int, event: str, actor: str = "ptbridge"
) -> None:
    """Replace a submission that surely had no effect: it stays in the table with its bytes and is not sent."""
    connection.execute("UPDATE submission SET state = 'replaced', open = 0 WHERE id = ?", (submission_id,))
    history.add(day.clinic, "submission", submission_id, event, actor=actor)


class Judging:
    """Writes `day_version`, `submission`, `billed_line` and where the day stands. Call inside a transaction."""

    def __init__(self, connection: apsw.Connection, history: History) -> None:
        self._connection = connection
        self._history = history

    def record(self, judged: Sequence[Judged]) -> None:
        """Write judgements, the submissions that follow from them and the changes of state, as if one after the other."""
        for some in side_by_side(judged, lambda one: one[0], _changes_what_is_live):
            self._record(some)

    def _record(self, judged: Sequence[Judged]) -> None:
        judged = [(day, self._unless_given_up(day, verdict)) for day, verdict in judged]
        at, now = self._history.moment()
        run = self._history.run_id
        write_many(
            self._connection,
            _VERSION,
            [(day.id, run, at, verdict.visits_sha256, pack(verdict.body, plain_to=PLAIN_BYTES)) for day, verdict in judged],
        )
        first = self._first_of(len(judged))
        queued = [
            (day, verdict, verdict.submission, version_id)
            for version_id, (day, verdict) in enumerate(judged, first)
            if not self._replace_unsent(day, verdict.submission) and verdict.submission is not None
        ]
        self._queue(queued, now)
        revisions = {day.id: submission.revision for day, _, submission, _ in queued}
        write_many(
            self._connection,
            _JUDGED,
            [
                _standing(day, verdict, version_id, at, revisions.get(day.id, day.revision))
                for version_id, (day, verdict) in enumerate(judged, first)
            ],
        )
        for day, verdict in judged:
            self._follow(day, verdict)

    def _first_of(self, rows: int) -> int:
        """The row id of the first of so many rows that were just inserted: they follow each other."""
        return self._connection.last_insert_rowid() - rows + 1

    def _follow(self, day: DayRow, verdict: Verdict) -> None:
        """What else a judgement changes: what is live, what later days of the patient count, its visits, the history."""
        if verdict.gone:
            self._forget_live(day)
        if verdict.by_hand:
            self._made_by_hand(day)
        self._bill(day, verdict)
        if verdict.excluded:
            self._connection.executemany(
                "UPDATE visit SET excluded_lines = ?, excluded_rule = ? WHERE id = ?",
                [(lines, rule, visit_row) for visit_row, (lines, rule) in verdict.excluded.items()],
            )
        if verdict.state != day.state or verdict.reason != day.reason:
            self._history.add(day.clinic, "day", day.id, verdict.state, verdict.reason or "")

    # ------------------------------------------------------------ what it bills

    def _bill(self, day: DayRow, verdict: Verdict) -> None:
        """Replace the day's lines in the patient's history. While a void is on its way the biller still has the old ones."""
        if verdict.submission is not None and verdict.submission.frequency is Frequency.VOID:
            return
        before = [] if day.version_id is None else self._connection.execute(_BILLED, (day.id,)).fetchall()
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

    # ------------------------------------------------------------ what is sent

    def _replace_unsent(self, day: DayRow, now: Submission | None) -> bool:
        """What surely had no effect is replaced in place (contract D17); it stays in the table with its bytes.

        True when just this submission waits already: it stays, with its key and its hold window.
        """
        if day.version_id is None:  # never judged before: nothing was made of it
            return False
        for submission_id, frequency, reference, body in self._connection.execute(_WAITS, (day.id,)).fetchall():
            same = now is not None and (frequency, reference) == (now.frequency.value, now.reference)
            if same and now is not None and unpack(_bytes(body)) == now.body:
                return True
            set_aside(self._connection, self._history, day, int(str(submission_id)), "replaced")
        return False

    def _unless_given_up(self, day: DayRow, verdict: Verdict) -> Verdict:
        """The verdict; or the hold goes on, for what delivery gave up is nothing that the next day's judgement sends again.

        In doubt: whatever the day bills now, until a person has found out what the biller has (contract D11). Rejected: as long
        as the very same bytes would go (D13). `retry` opens the submission itself (`Days.reopen_submissions`).
        """
        if day.version_id is None:  # never judged before: nothing was made of it
            return verdict
        row = self._connection.execute(_GIVEN_UP, (day.id,)).fetchone()
        if row is None:
            return verdict
        reason, frequency, reference, body = row
        now = verdict.submission
        same = now is not None and (frequency, reference) == (now.frequency.value, now.reference)
        if reason == IN_DOUBT or (same and now is not None and unpack(_bytes(body)) == now.body and _rejected(reason)):
            return replace(verdict, state="held", reason=str(reason), submission=None, by_hand=False, gone=False)
        return verdict

    def _queue(self, queued: Sequence[_Queued], now: float) -> None:
        if not queued:
            return
        run = self._history.run_id
        write_many(self._connection, _QUEUE, [_row(*one, run, now) for one in queued])
        first = self._first_of(len(queued))
        bodies = [(id_, pack(submission.body, plain_to=PLAIN_BYTES)) for id_, (_, _, submission, _) in enumerate(queued, first)]
        write_many(self._connection, _BODY, bodies)
        for id_, (day, verdict, submission, _) in enumerate(queued, first):
            event = "by-hand" if verdict.by_hand else _QUEUED_AS[submission.frequency]
            self._history.add(day.clinic, "submission", id_, event, submission.key)

    # ------------------------------------------------------------ what is live

    def _forget_live(self, day: DayRow) -> None:
        """What was live was rejected before anybody had it, and nothing is left to bill."""
        self._connection.execute(
            "UPDATE treatment_day SET live_sha256 = NULL, live_units = 0, live_cents = 0, live_reference = NULL,"
            " live_frequency = NULL, stage = NULL, standing = NULL, payer_claim_number = NULL WHERE id = ?",
            (day.id,),
        )
        free(self._connection, day.id)

    def _made_by_hand(self, day: DayRow) -> None:
        """What a person had the biller do is what it has now."""
        row = self._connection.execute("SELECT max(id) FROM submission WHERE day_id = ? AND by_hand", (day.id,)).fetchone()
        assert row is not None
        make_live(self._connection, [(int(str(row[0])), None)])


def side_by_side(
    entries: Iterable[T], day_of: Callable[[T], DayRow], alone: Callable[[T], bool] = lambda _: False
) -> Iterator[list[T]]:
    """In order, as many at a time as cannot touch each other: one day of each patient, and by itself what is `alone`."""
    some: list[T] = []
    patients: set[str | None] = set()
    after_alone = False
    for entry in entries:
        patient, by_itself = day_of(entry).patient_key, alone(entry)
        if some and (after_alone or by_itself or (patient is not None and patient in patients)):
            yield some
            some, patients = [], set()
        some.append(entry)
        patients.add(patient)
        after_alone = by_itself
    if some:
        yield some


def _changes_what_is_live(judged: Judged) -> bool:
    _, verdict = judged
    return verdict.gone or verdict.by_hand


def _standing(day: DayRow, verdict: Verdict, version_id: int, at: str, revision: int) -> Row:
    """Where a day stands now."""
    return (
        verdict.state,
        verdict.reason,
        (day.held_since or at) if verdict.state == "held" else None,
        version_id,
        verdict.payer,
        verdict.discipline,
        verdict.lines,
        verdict.units,
        verdict.amount_cents,
        revision,
        ",".join(verdict.visit_types),
        verdict.authorization_number,
        day.id,
    )


def _row(day: DayRow, verdict: Verdict, submission: Submission, version_id: int, run: int, now: float) -> Row:
    """A submission as it is stored."""
    assert verdict.content_sha256 is not None
    window_until = now + verdict.window_seconds if verdict.window_seconds else None
    return (
        submission.clinic,
        submission.destination,
        day.id,
        submission.key,
        submission.reference,
        submission.order_key,
        submission.revision,
        submission.frequency.value,
        verdict.content_sha256,
        submission.media_type,
        submission.service_date,
        submission.lines,
        submission.units,
        submission.amount_cents,
        run,
        "accepted" if verdict.by_hand else "queued",
        not verdict.by_hand,
        now,
        window_until or now,
        version_id,
        verdict.closes_reference,
        verdict.judge_after,
        window_until,
        verdict.by_hand,
    )


def _rejected(reason: object) -> bool:
    return str(reason).startswith("rejected:")


def _bytes(value: apsw.SQLiteValue) -> bytes:
    assert isinstance(value, bytes)
    return value
