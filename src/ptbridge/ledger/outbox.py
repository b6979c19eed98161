"""The outbox: submissions of one clinic to one destination, from queued to answered (ports.Outbox on SQLite)."""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Collection
from dataclasses import replace
from typing import Any

import apsw

from ptbridge.errors import LedgerFull
from ptbridge.ledger.answers import Answers
from ptbridge.ledger.database import transaction, unpack, write_many
from ptbridge.ledger.history import History
from ptbridge.ledger.live import make_live
from ptbridge.model import Disposition, Frequency, Submission
from ptbridge.ports import OutboxItem, Outcome

_ITEM = """
SELECT s.id, s.key, s.reference, s.order_key, s.revision, s.frequency, b.body, s.media_type, s.service_date, s.lines, s.units,
 s.amount_cents, s.state, s.attempts, s.unanswered, s.first_attempt_at, s.queued_at, s.last_attempt_at
FROM submission s CROSS JOIN submission_body b ON b.submission_id = s.id
"""
# An order key is a treatment day's: what was made of the day before must have been answered.
_DUE = f"""{_ITEM}
WHERE s.clinic = ? AND s.destination = ? AND s.open = 1 AND s.state <> 'sending' AND s.next_at <= ?
  AND NOT EXISTS (SELECT 1 FROM submission e WHERE e.day_id = s.day_id AND e.id < s.id AND e.open = 1)
ORDER BY s.next_at, s.id LIMIT ?
"""  # noqa: S608
# Nobody waits for what is in the hold window, nor for what an earlier one of its day goes before.
_NEXT_DUE = """
SELECT s.next_at FROM submission s
WHERE s.clinic = ? AND s.destination = ? AND s.open = 1 AND s.state <> 'sending'
  AND (s.window_until IS NULL OR s.first_attempt_at IS NOT NULL)
  AND s.id NOT IN (SELECT value FROM json_each(?))
  AND NOT EXISTS (SELECT 1 FROM submission e WHERE e.day_id = s.day_id AND e.id < s.id AND e.open = 1)
ORDER BY s.next_at LIMIT 1
"""
# What the platform takes says that it works: attempts in vain before that are nobody's, and nobody need ask first.
_SERVED = """
UPDATE submission SET attempts = attempts - unanswered, unanswered = 0
WHERE clinic = ? AND destination = ? AND open = 1 AND unanswered > 0
"""
_TURNED_AWAY = "SELECT 1 FROM submission WHERE clinic = ? AND destination = ? AND open = 1 AND unanswered > 0 LIMIT 1"
_DOUBTED = f"""{_ITEM}
WHERE s.id IN (SELECT id FROM submission WHERE clinic = ?1 AND destination = ?2 AND open = 1 AND state = 'in-doubt' UNION ALL
               SELECT id FROM submission WHERE clinic = ?1 AND destination = ?2 AND state = 'held' AND hold_reason = 'in-doubt')
  AND NOT EXISTS (SELECT 1 FROM submission l WHERE l.day_id = s.day_id AND l.id > s.id AND l.state <> 'replaced')
ORDER BY s.id
"""  # noqa: S608
_STARTED = """
UPDATE submission SET state = 'sending', attempts = attempts + 1, first_attempt_at = coalesce(first_attempt_at, ?1),
 last_attempt_at = ?1 WHERE id IN (SELECT value FROM json_each(?2))
"""
_LONGEST_WAIT_SECONDS = 2 * 3600.0  # no retry is put off by more than an hour (RetryPolicy.max_retry_after_seconds)
_PUT_OFF = """
UPDATE submission SET next_at = 0 WHERE clinic = ? AND destination = ? AND open = 1 AND state <> 'sending' AND next_at > ?
  AND (window_until IS NULL OR first_attempt_at IS NOT NULL)
"""
_FREQUENCY = {one.value: one for one in Frequency}
_ANSWER = """
INSERT INTO acknowledgement (submission_id, attempt, at, disposition, native_code, native_text, destination_id)
VALUES {rows}
"""
_ACCEPTED = """
WITH accepted (id, named, run) AS (VALUES {rows})
UPDATE submission SET state = 'accepted', open = 0, destination_id = accepted.named, accepted_run = accepted.run
FROM accepted WHERE submission.id = accepted.id
"""


class LedgerOutbox:
    """Each call is one durable transaction; a crash between `start` and `finish` leaves `sending`, which `recover` doubts."""

    def __init__(
        self, connection: apsw.Connection, history: History, clinic: str, destination: str, make_room: Callable[[], bool]
    ) -> None:
        self._connection = connection
        self._make_room = make_room
        self._history = history
        self._clinic = clinic
        self._destination = destination

    def recover(self, now: float = math.inf) -> int:
        """After a crash: what was being sent is in doubt. Returns how many. Call before `due`, once a run.

        What waits longer than anything may, seen from `now` (Unix seconds), was put off by a clock that was ahead, and is due
        (contract D26). The clinic's hold window stays.
        """
        with transaction(self._connection):
            self._connection.execute(_PUT_OFF, (self._clinic, self._destination, now + _LONGEST_WAIT_SECONDS))
            rows = self._connection.execute(
                "SELECT id FROM submission WHERE clinic = ? AND open = 1 AND state = 'sending'", (self._clinic,)
            )
            ids = [int(row[0]) for row in rows]
            self._connection.executemany(
                "UPDATE submission SET state = 'in-doubt', next_at = 0 WHERE id = ?", [(i,) for i in ids]
            )
            self._history.add_many(self._clinic, "submission", [(i, "in-doubt", "found after a crash") for i in ids])
        return len(ids)

    def due(self, *, now: float, limit: int) -> list[OutboxItem]:
        """The oldest waiting item of each order key whose time has come, oldest first; never one that is being sent."""
        return [self._item(row) for row in self._connection.execute(_DUE, (self._clinic, self._destination, now, limit))]

    def item(self, id_: int) -> OutboxItem:
        """One submission of this outbox by row id."""
        (row,) = self._connection.execute(f"{_ITEM} WHERE s.id = ? AND s.clinic = ?", (id_, self._clinic))
        return self._item(row)

    def doubted(self) -> list[OutboxItem]:
        """What is in doubt and the newest of its day, oldest first: it waits for an answer, or a person was asked for it."""
        rows = self._connection.execute(_DOUBTED, (self._clinic, self._destination))
        return [replace(self._item(row), in_doubt=True) for row in rows]

    def _item(self, row: tuple[Any, ...]) -> OutboxItem:
        (id_, key, reference, order_key, revision, frequency, body, media_type, service_date, lines, units, cents, *more) = row
        state, attempts, unanswered, first_attempt_at, queued_at, last_attempt_at = more
        submission = Submission(
            clinic=self._clinic,
            destination=self._destination,
            key=key,
            reference=reference,
            order_key=order_key,
            revision=revision,
            frequency=_FREQUENCY[frequency],
            body=unpack(body),
            media_type=media_type,
            service_date=service_date,
            lines=lines,
            units=units,
            amount_cents=cents,
        )
        return OutboxItem(
            id=id_,
            submission=submission,
            attempts=attempts,
            unanswered=unanswered,
            in_doubt=state == "in-doubt",
            first_attempt_at=first_attempt_at,
            last_attempt_at=last_attempt_at,
            queued_at=queued_at,
        )

    def next_due_at(self, *, without: Collection[int] = ()) -> float | None:
        """When the next item can be due, those `without` left out (Unix seconds); None when nothing waits.

        Nobody waits for what is in the clinic's hold window: the next run takes it.
        """
        values = (self._clinic, self._destination, json.dumps(list(without)))
        row = self._connection.execute(_NEXT_DUE, values).fetchone()
        return float(str(row[0])) if row else None

    def was_turned_away(self) -> bool:
        """Whether something waits of which an attempt was not answered since the platform last took one: it may be away yet."""
        return self._connection.execute(_TURNED_AWAY, (self._clinic, self._destination)).fetchone() is not None

    def start(self, items: tuple[OutboxItem, ...], *, now: float) -> None:
        """Record that these are about to be sent, durably, before their first byte leaves."""
        with transaction(self._connection):
            self._start(items, now)

    def finish(self, outcomes: tuple[Outcome, ...], *, now: float) -> None:
        """Record the answers of several items in one commit; on a full disk, in the room that was kept for them (D23)."""
        try:
            self._recorded(outcomes)
        except LedgerFull:
            if not self._make_room():
                raise
            self._recorded(outcomes)

    def turn(self, outcomes: tuple[Outcome, ...], items: tuple[OutboxItem, ...], *, now: float) -> None:
        """`finish` and `start` in one commit: all of it or nothing."""
        with transaction(self._connection):
            self._finish(outcomes)
            self._start(items, now)

    def _recorded(self, outcomes: tuple[Outcome, ...]) -> None:
        with transaction(self._connection):
            self._finish(outcomes)

    def _start(self, items: tuple[OutboxItem, ...], now: float) -> None:
        self._connection.execute(_STARTED, (now, json.dumps([item.id for item in items])))
        self._history.add_many(
            self._clinic, "submission", [(item.id, "sending", f"attempt {item.attempts + 1}") for item in items]
        )

    def _finish(self, outcomes: tuple[Outcome, ...]) -> None:
        at, _ = self._history.moment()
        write_many(self._connection, _ANSWER, [_answer(outcome, at) for outcome in outcomes])
        accepted = [
            (outcome.item.id, outcome.acknowledgement.destination_id)
            for outcome in outcomes
            if outcome.acknowledgement.disposition is Disposition.ACCEPTED
        ]
        if accepted:
            self._accepted(accepted)
        if len(accepted) < len(outcomes):
            for outcome in outcomes:
                if outcome.acknowledgement.disposition is not Disposition.ACCEPTED:
                    self._not_accepted(outcome)

    def _accepted(self, accepted: list[tuple[int, str | None]]) -> None:
        run = self._history.run_id
        write_many(self._connection, _ACCEPTED, [(id_, named, run) for id_, named in accepted])
        self._connection.execute(_SERVED, (self._clinic, self._destination))
        make_live(self._connection, accepted)
        Answers(self._connection, self._history).became_live([id_ for id_, _ in accepted])
        self._history.add_many(self._clinic, "submission", [(id_, "accepted", named or "") for id_, named in accepted])

    def _not_accepted(self, outcome: Outcome) -> None:
        answer, item = outcome.acknowledgement, outcome.item
        if outcome.hold_reason is not None:
            self._held(item, outcome.hold_reason)
            return
        state = "in-doubt" if answer.disposition is Disposition.IN_DOUBT else "queued"
        self._connection.execute(
            "UPDATE submission SET state = ?, open = 1, next_at = coalesce(?, next_at), unanswered = unanswered + ?"
            " WHERE id = ?",
            (state, outcome.next_at, outcome.unanswered, item.id),
        )
        self._history.add(self._clinic, "submission", item.id, state, answer.native_code)

    def _held(self, item: OutboxItem, reason: str) -> None:
        self._connection.execute(
            "UPDATE submission SET state = 'held', open = 0, hold_reason = ? WHERE id = ?", (reason, item.id)
        )
        self._connection.execute(
            "UPDATE treatment_day SET state = 'held', reason = ?, held_since = coalesce(held_since, ?)"
            " WHERE id = (SELECT day_id FROM submission WHERE id = ?)",
            (reason, self._history.now(), item.id),
        )
        self._history.add(self._clinic, "submission", item.id, "held", reason)


def _answer(outcome: Outcome, at: str) -> tuple[apsw.SQLiteValue, ...]:
    answer, item = outcome.acknowledgement, outcome.item
    said = (answer.disposition.value, answer.native_code, answer.native_text, answer.destination_id)
    return (item.id, item.attempts + 1, at, *said)
