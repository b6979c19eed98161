"""The history: every change of state, append-only, in words a machine can read; ids only, no patient data."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from datetime import datetime

import apsw


class History:
    """Appends to the `history` table. `run_id` is set by the run that is going on."""

    def __init__(self, connection: apsw.Connection, now: Callable[[], datetime]) -> None:
        self._connection = connection
        self._now = now
        self.run_id: int = 0

    def now(self) -> str:
        """The time that goes into a row: ISO 8601 UTC, milliseconds."""
        return self._now().isoformat(timespec="milliseconds")

    def add(self, clinic: str, entity: str, entity_id: int, event: str, detail: str = "", actor: str = "ptbridge") -> None:
        """Append one change of one entity (visit, day, submission)."""
        self._connection.execute(
            "INSERT INTO history (at, run_id, clinic, entity, entity_id, event, detail, actor) VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
            (self.now(), self.run_id, clinic, entity, entity_id, event, detail, actor),
        )

    def add_many(self, clinic: str, entity: str, rows: Iterable[tuple[int, str, str]]) -> None:
        """Append (entity id, event, detail) rows."""
        at = self.now()
        self._connection.executemany(
            "INSERT INTO history (at, run_id, clinic, entity, entity_id, event, detail) VALUES (?, ?, ?, ?, ?, ?, ?)",
            [(at, self.run_id, clinic, entity, entity_id, event, detail) for entity_id, event, detail in rows],
        )

    def of(self, entity: str, entity_id: int) -> list[dict[str, str]]:
        """All that happened to one entity, oldest first."""
        rows = self._connection.execute(
            "SELECT at, event, detail, actor FROM history WHERE entity = ? AND entity_id = ? ORDER BY seq", (entity, entity_id)
        )
        return [
            {"at": str(at), "event": str(event), "detail": str(detail), "actor": str(actor)}
            for at, event, detail, actor in rows
        ]
