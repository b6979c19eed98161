"""Visits that moved to another treatment day: whether the biller may have one with a day that it left (contract D2)."""

from __future__ import annotations

import apsw
import msgspec

from ptbridge.ledger.database import unpack

# What the biller has of a day, and what may have reached it: on its way, in doubt, or handed to a person in doubt or
# since a restore.
_WITH_THE_BILLER = """
SELECT w.body FROM treatment_day d JOIN submission s ON s.day_id = d.id LEFT JOIN day_version w ON w.id = s.version_id
WHERE d.id = ?1 AND (s.state IN ('sending', 'in-doubt')
 OR s.state = 'held' AND s.hold_reason IN ('in-doubt', 'restored')
 OR d.live_sha256 IS NOT NULL AND s.id = (SELECT max(a.id) FROM submission a WHERE a.day_id = ?1 AND a.state = 'accepted'))
"""


def may_have(connection: apsw.Connection, day_id: int, visit_id: str) -> bool:
    """Whether the biller may have this visit with this day. It may where the judgement behind a charge was not kept."""
    pages = [body for (body,) in connection.execute(_WITH_THE_BILLER, (day_id,))]
    return any(body is None or _names(body, visit_id) for body in pages)


def left_day(connection: apsw.Connection, visit_row: int, visit_id: str, day_id: int) -> int | None:
    """The day that a visit left, when it is in `day_id` from now on: where the biller may have it, else where it was last.

    None for a visit that never was in another. One that moves on from a day with which the biller never had it may still be
    billed where it was before that.
    """
    was: int | None
    left: int | None
    was, left = connection.execute("SELECT day_id, left_day_id FROM visit WHERE id = ?", (visit_row,)).get
    if was == day_id or was is None:
        return left
    if left is not None and not may_have(connection, was, visit_id) and may_have(connection, left, visit_id):
        return left
    return was


def _names(body: object, visit_id: str) -> bool:
    assert isinstance(body, bytes)
    return any(visit["visit_id"] == visit_id for visit in msgspec.json.decode(unpack(body))["visits"])
