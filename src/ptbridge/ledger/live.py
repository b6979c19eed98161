"""What the biller has of a treatment day, brought up when submissions are accepted."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import groupby
from typing import Any

import apsw
import msgspec

from ptbridge.ledger.database import write_many

# What was accepted, in the order given; the last column tells whether a visit has moved away from the day.
_ACCEPTED = """
SELECT s.id, s.day_id, s.frequency, s.content_sha256, s.units, s.amount_cents, s.reference, s.judge_after, s.closes_reference,
       EXISTS (SELECT 1 FROM visit v WHERE v.left_day_id = s.day_id)
FROM json_each(?) accepted CROSS JOIN submission s ON s.id = accepted.value
"""
_LIVE = """
WITH live (sha256, named, units, cents, reference, frequency, judge, day_id) AS (VALUES {rows})
UPDATE treatment_day SET reason = NULL, held_since = NULL, state = 'sent', live_sha256 = live.sha256,
 live_id = coalesce(live.named, live_id), live_units = live.units, live_cents = live.cents, live_reference = live.reference,
 live_frequency = live.frequency, stage = 'received', standing = 'accepted', payer_claim_number = NULL,
 dirty = max(dirty, live.judge)
FROM live WHERE treatment_day.id = live.day_id
"""
_VOIDED = """
UPDATE treatment_day SET reason = NULL, held_since = NULL, state = iif(?1, 'open', 'voided'), dirty = max(dirty, ?1),
 generation = generation + ?2, live_sha256 = NULL, live_id = coalesce(?3, live_id), live_units = 0, live_cents = 0,
 live_reference = NULL, live_frequency = NULL, stage = NULL, standing = NULL, payer_claim_number = NULL WHERE id = ?4
"""
_MOVED = "UPDATE treatment_day SET dirty = 1 WHERE state = 'held' AND id IN (SELECT day_id FROM visit WHERE left_day_id = ?)"
_FREED = """
UPDATE treatment_day SET dirty = 1 WHERE state = 'held' AND ((clinic, patient_key) =
 (SELECT clinic, patient_key FROM treatment_day WHERE id = ?1) OR id IN (SELECT day_id FROM visit WHERE left_day_id = ?1))
"""
_PLAIN, _LEFT, _VOID = range(3)


def make_live(connection: apsw.Connection, accepted: Sequence[tuple[int, str | None]]) -> None:
    """Submissions (row id, the biller's id) were accepted: each is what the biller has now, or after a void nothing is.

    Where something follows (`judge_after`), the day is judged again. So are held days: those that took over a visit from one
    of these, and after a void those of the patient, because what it used of an authorization is free again. Call inside a
    transaction.
    """
    named = dict(accepted)
    ids = msgspec.json.encode([id_ for id_, _ in accepted]).decode()
    rows: list[tuple[Any, ...]] = connection.execute(_ACCEPTED, (ids,)).fetchall()
    for kind, some in groupby(rows, _kind):
        if kind == _VOID:
            for id_, day_id, *_, judge_after, closes_reference, _left in some:
                connection.execute(_VOIDED, (judge_after, closes_reference, named[id_], day_id))
                free(connection, day_id)
            continue
        days = [(s[3], named[s[0]], s[4], s[5], s[6], s[2], s[7], s[1]) for s in some]
        write_many(connection, _LIVE, days)
        if kind == _LEFT:
            connection.executemany(_MOVED, [(day[-1],) for day in days])


def free(connection: apsw.Connection, day_id: int) -> None:
    """Nothing of a day is live any longer: held days of the patient, and those that took over its visits, are judged again."""
    connection.execute(_FREED, (day_id,))


def _kind(row: tuple[Any, ...]) -> int:
    if row[2] == "8":
        return _VOID
    return _LEFT if row[-1] else _PLAIN
