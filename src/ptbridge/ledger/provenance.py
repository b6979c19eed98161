"""Whether made-up patients were ever read into a clinic's part of this ledger. It is never forgotten (contract D20)."""

from __future__ import annotations

import apsw

from ptbridge.ledger.database import transaction
from ptbridge.ledger.history import History

_ENTITY, _EVENT = "source", "sandbox-source"


class Provenance:
    """Kept in the history, which nobody can edit unseen: what waits in the ledger does not show where it came from."""

    def __init__(self, connection: apsw.Connection, history: History) -> None:
        self._connection = connection
        self._history = history

    def from_sandbox(self, clinic: str) -> bool:
        """Whether a run of this clinic read from a source that its file called a sandbox."""
        self._history.flush()
        query = "SELECT 1 FROM history WHERE entity = ? AND entity_id = 0 AND event = ? AND clinic = ?"
        return self._connection.execute(query, (_ENTITY, _EVENT, clinic)).fetchone() is not None

    def note_sandbox(self, clinic: str) -> None:
        """Remember it, once. Raises LedgerError."""
        if not self.from_sandbox(clinic):
            with transaction(self._connection):
                self._history.add(clinic, _ENTITY, 0, _EVENT)
