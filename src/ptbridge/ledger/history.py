"""The history: every change of state, append-only, in words a machine can read; ids only, no patient data.

Rows are kept back and written together when their transaction ends, each chained to the one before (ledger/chain.py).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from datetime import datetime

import apsw

from ptbridge.ledger.chain import link
from ptbridge.ledger.database import write_many

_INSERT = "INSERT INTO history (seq, at, run_id, clinic, entity, entity_id, event, detail, actor, digest) VALUES {rows}"
_Kept = tuple[str, int, str, str, int, str, str, str]  # a row without its number


class History:
    """Appends to the `history` table. `run_id` is set by the run that is going on."""

    def __init__(self, connection: apsw.Connection, now: Callable[[], datetime]) -> None:
        self._connection = connection
        self._now = now
        self._kept: list[_Kept] = []
        self._head: tuple[int, bytes] | None = None  # number and digest of the last row, once known
        self._moment: tuple[str, float] | None = None  # of the transaction that is going on
        self.run_id: int = 0

    def now(self) -> str:
        """The time that goes into a row: ISO 8601 UTC, milliseconds."""
        return self._now().isoformat(timespec="milliseconds")

    def moment(self) -> tuple[str, float]:
        """The time as it goes into a row, and as Unix seconds: what a transaction writes happens at one moment."""
        if self._moment is None:
            now = self._now()
            self._moment = now.isoformat(timespec="milliseconds"), now.timestamp()
        return self._moment

    def add(self, clinic: str, entity: str, entity_id: int, event: str, detail: str = "", actor: str = "ptbridge") -> None:
        """Append one change of one entity (visit, day, submission). Call inside `database.transaction`."""
        self._kept.append((self.moment()[0], self.run_id, clinic, entity, entity_id, event, detail, actor))

    def add_many(self, clinic: str, entity: str, rows: Iterable[tuple[int, str, str]]) -> None:
        """Append (entity id, event, detail) rows. Call inside `database.transaction`."""
        at, _ = self.moment()
        self._kept += [(at, self.run_id, clinic, entity, id_, event, detail, "ptbridge") for id_, event, detail in rows]

    def flush(self) -> None:
        """Write the rows that were kept back, chained, and where the chain ends."""
        self._moment = None
        if not self._kept:
            return
        seq, digest = self._head or self.head()
        rows = []
        for kept in self._kept:
            seq += 1
            row = (seq, *kept)
            digest = link(digest, row)
            rows.append((*row, digest))
        with self._connection:
            write_many(self._connection, _INSERT, rows)
            self._connection.execute("UPDATE history_head SET seq = ?, digest = ?", (seq, digest))
        self._head = seq, digest
        self._kept = []

    def forget(self) -> None:
        """The transaction was taken back, and with it what was kept back for it."""
        self._kept, self._head, self._moment = [], None, None

    def head(self) -> tuple[int, bytes]:
        """Number and digest of the last row as stored; 0 and zeros before the first."""
        row = self._connection.execute("SELECT seq, digest FROM history_head").fetchone()
        assert row is not None
        return int(row[0]), bytes(row[1])

    def of(self, entity: str, entity_id: int) -> list[dict[str, str]]:
        """All that happened to one entity, oldest first."""
        self.flush()
        rows = self._connection.execute(
            "SELECT at, event, detail, actor FROM history WHERE entity = ? AND entity_id = ? ORDER BY seq", (entity, entity_id)
        )
        return [
            {"at": str(at), "event": str(event), "detail": str(detail), "actor": str(actor)}
            for at, event, detail, actor in rows
        ]
