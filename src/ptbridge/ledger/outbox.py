"""The outbox: submissions of one clinic to one destination, from queued to answered (ports.Outbox on SQLite)."""

from __future__ import annotations

from dataclasses import replace

import apsw

from ptbridge.ledger.answers import Answers
from ptbridge.ledger.database import transaction, unpack
from ptbridge.ledger.history import History
from ptbridge.ledger.live import make_live
from ptbridge.model import Disposition, Frequency, Submission
from ptbridge.ports import OutboxItem, Outcome

_ITEM = """
SELECT id, key, reference, order_key, revision, frequency, body, media_type, service_date, lines, units, amount_cents,
       state, attempts, first_attempt_at, queued_at, last_attempt_at
FROM submission s
"""
_DUE = f"""{_ITEM}
WHERE clinic = ? AND destination = ? AND state IN ('queued', 'in-doubt') AND next_at <= ?
  AND NOT EXISTS (SELECT 1 FROM submission e WHERE e.clinic = s.clinic AND e.order_key = s.order_key AND e.id < s.id
                  AND e.state IN ('queued', 'sending', 'in-doubt'))
ORDER BY next_at, id LIMIT ?
"""  # noqa: S608
_DOUBTED = f"""{_ITEM}
WHERE clinic = ? AND destination = ? AND (state = 'in-doubt' OR (state = 'held' AND hold_reason = 'in-doubt'))
  AND NOT EXISTS (SELECT 1 FROM submission l WHERE l.day_id = s.day_id AND l.id > s.id AND l.state <> 'replaced')
ORDER BY id
"""  # noqa: S608
_FREQUENCY = {one.value: one for one in Frequency}
_ANSWER = """
INSERT INTO acknowledgement (submission_id, attempt, at, disposition, native_code, native_text, destination_id)
VALUES (?, ?, ?, ?, ?, ?, ?)
"""
_ACCEPTED = "UPDATE submission SET state = 'accepted', destination_id = ?, accepted_run = ? WHERE id = ?"


class LedgerOutbox:
    """Each call is one durable transaction; a crash between `start` and `finish` leaves `sending`, which `recover` doubts."""

    def __init__(self, connection: apsw.Connection, history: History, clinic: str, destination: str) -> None:
        self._connection = connection
        self._history = history
        self._clinic = clinic
        self._destination = destination

    def recover(self) -> int:
        """After a crash: what was being sent is in doubt. Returns how many. Call before `due`, once a run."""
        with transaction(self._connection):
            rows = self._connection.execute("SELECT id FROM submission WHERE clinic = ? AND state = 'sending'", (self._clinic,))
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
        (row,) = self._connection.execute(f"{_ITEM} WHERE id = ? AND clinic = ?", (id_, self._clinic))
        return self._item(row)

    def doubted(self) -> list[OutboxItem]:
        """What is in doubt and the newest of its day, oldest first: it waits for an answer, or a person was asked for it."""
        rows = self._connection.execute(_DOUBTED, (self._clinic, self._destination))
        return [replace(self._item(row), in_doubt=True) for row in rows]

    def _item(self, row: tuple[apsw.SQLiteValue, ...]) -> OutboxItem:
        (id_, key, reference, order_key, revision, frequency, body, media_type, service_date, lines, units, cents) = row[:12]
        state, attempts, first_attempt_at, queued_at, last_attempt_at = row[12:]
        assert isinstance(id_, int) and isinstance(revision, int) and isinstance(body, bytes)
        assert isinstance(lines, int) and isinstance(units, int) and isinstance(cents, int) and isinstance(attempts, int)
        return OutboxItem(
            id=id_,
            submission=Submission(
                clinic=self._clinic,
                destination=self._destination,
                key=str(key),
                reference=str(reference),
                order_key=str(order_key),
                revision=revision,
                frequency=_FREQUENCY[str(frequency)],
                body=unpack(body),
                media_type=str(media_type),
                service_date=str(service_date),
                lines=lines,
                units=units,
                amount_cents=cents,
            ),
            attempts=attempts,
            in_doubt=state == "in-doubt",
            first_attempt_at=first_attempt_at if isinstance(first_attempt_at, float) else None,
            last_attempt_at=last_attempt_at if isinstance(last_attempt_at, float) else None,
            queued_at=queued_at if isinstance(queued_at, float) else 0.0,
        )

    def next_due_at(self) -> float | None:
        """When the earliest waiting item becomes due (Unix seconds); None when nothing waits.

        Nobody waits for what is in the clinic's hold window: the next run takes it.
        """
        row = self._connection.execute(
            "SELECT min(next_at) FROM submission WHERE clinic = ? AND destination = ? AND state IN ('queued', 'in-doubt')"
            " AND (window_until IS NULL OR attempts > 0)",
            (self._clinic, self._destination),
        ).fetchone()
        return float(row[0]) if row and row[0] is not None else None

    def start(self, items: tuple[OutboxItem, ...], *, now: float) -> None:
        """Record that these are about to be sent, durably, before their first byte leaves."""
        with transaction(self._connection):
            self._connection.executemany(
                "UPDATE submission SET state = 'sending', attempts = attempts + 1,"
                " first_attempt_at = coalesce(first_attempt_at, ?1), last_attempt_at = ?1 WHERE id = ?2",
                [(now, item.id) for item in items],
            )
            self._history.add_many(
                self._clinic, "submission", [(item.id, "sending", f"attempt {item.attempts + 1}") for item in items]
            )

    def finish(self, outcomes: tuple[Outcome, ...], *, now: float) -> None:
        """Record the answers of several items in one commit."""
        at = self._history.now()
        with transaction(self._connection):
            self._connection.executemany(_ANSWER, [_answer(outcome, at) for outcome in outcomes])
            accepted = [one for one in outcomes if one.acknowledgement.disposition is Disposition.ACCEPTED]
            if accepted:
                self._accepted([(one.item.id, one.acknowledgement.destination_id) for one in accepted])
            for outcome in outcomes:
                if outcome.acknowledgement.disposition is not Disposition.ACCEPTED:
                    self._not_accepted(outcome, now)

    def _accepted(self, accepted: list[tuple[int, str | None]]) -> None:
        run = self._history.run_id
        self._connection.executemany(_ACCEPTED, [(named, run, id_) for id_, named in accepted])
        make_live(self._connection, accepted)
        Answers(self._connection, self._history).became_live([id_ for id_, _ in accepted])
        self._history.add_many(self._clinic, "submission", [(id_, "accepted", named or "") for id_, named in accepted])

    def _not_accepted(self, outcome: Outcome, now: float) -> None:
        answer, item = outcome.acknowledgement, outcome.item
        if outcome.hold_reason is not None:
            self._held(item, outcome.hold_reason)
            return
        state = "in-doubt" if answer.disposition is Disposition.IN_DOUBT else "queued"
        self._connection.execute(
            "UPDATE submission SET state = ?, next_at = ? WHERE id = ?", (state, outcome.next_at or now, item.id)
        )
        self._history.add(self._clinic, "submission", item.id, state, answer.native_code)

    def _held(self, item: OutboxItem, reason: str) -> None:
        self._connection.execute("UPDATE submission SET state = 'held', hold_reason = ? WHERE id = ?", (reason, item.id))
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
