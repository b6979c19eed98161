"""How far each source, and each platform's news, was read. A place belongs to the server that it came from."""

from __future__ import annotations

from collections.abc import Mapping

import apsw

_OF = "clinic = ?1 AND source = ?2"


class Cursors:
    """The `cursor` table. Call what writes inside the transaction of the data that the cursor covers (contract D8).

    `address` names the server; empty for what is no server (a folder, messages), whose cursor names files or messages.
    """

    def __init__(self, connection: apsw.Connection) -> None:
        self._connection = connection

    def read(self, clinic: str, source: str, address: str | None = None) -> dict[str, str]:
        """Where the reading of this source stands at this address (None: wherever it is); empty before the first time there."""
        rows = self._connection.execute(
            f"SELECT name, value FROM cursor WHERE {_OF} AND (?3 IS NULL OR address IS NULL OR address = ?3)",  # noqa: S608
            (clinic, source, address),
        )
        return {str(name): str(value) for name, value in rows}

    def is_elsewhere(self, clinic: str, source: str, address: str) -> bool:
        """Whether this source was read at another address last: at this one its reading begins anew."""
        query = f"SELECT 1 FROM cursor WHERE {_OF} AND address <> ?3 LIMIT 1"  # noqa: S608
        return self._connection.execute(query, (clinic, source, address)).fetchone() is not None

    def move(self, clinic: str, source: str, values: Mapping[str, str], address: str = "") -> None:
        """Move these parts of a cursor; what is left of another address is forgotten."""
        of = (clinic, source, address)
        self._connection.execute(f"DELETE FROM cursor WHERE {_OF} AND address <> ?3", of)  # noqa: S608
        self._connection.executemany(
            "INSERT INTO cursor (clinic, source, name, value) VALUES (?, ?, ?, ?)"
            " ON CONFLICT (clinic, source, name) DO UPDATE SET value = excluded.value",
            [(clinic, source, name, value) for name, value in values.items()],
        )
        self._connection.execute(f"UPDATE cursor SET address = ?3 WHERE {_OF} AND address IS NULL", of)  # noqa: S608

    def put(self, clinic: str, source: str, values: Mapping[str, str], address: str = "") -> None:
        """Put these in the place of the whole cursor."""
        self._connection.execute("DELETE FROM cursor WHERE clinic = ? AND source = ?", (clinic, source))
        self.move(clinic, source, values, address)
