"""Numbers of runs: each is used once in a state folder, also after a restore has brought back a ledger that counts lower."""

from __future__ import annotations

from pathlib import Path

import apsw

from ptbridge.errors import PtbridgeError
from ptbridge.ledger.database import FILE_NAME
from ptbridge.specs import at_rest

# What a restore found counts as a run of this ledger.
NEXT = "SELECT max((SELECT coalesce(max(id), 0) FROM run), (SELECT coalesce(max(last_run), 0) FROM restored)) + 1"


def highest_run(folder: Path) -> int:
    """The highest run number in a state folder's ledger, of whatever schema; 0 where there is none or it cannot be read.

    The file is left as it is: whoever restores a backup may want to have what was there looked at.
    """
    path = folder / FILE_NAME
    if not path.exists():
        return 0
    try:
        key = at_rest.data_key(folder)
        connection = apsw.Connection(str(path), flags=apsw.SQLITE_OPEN_READONLY)
        try:
            if key is not None:
                connection.execute(at_rest.pragmas(key)).fetchall()
            return int(str(connection.execute("SELECT coalesce(max(id), 0) FROM run").get))
        finally:
            connection.close()
    except (PtbridgeError, apsw.Error):
        return 0
