"""Taking old messages out of the inbox: their bytes and what they are about. That they came, when, and their digest stay.

A message stays whole while any visit, account or patient that it names was named by a message since: what belongs together may
still be read together.
"""

from __future__ import annotations

from pathlib import Path

import apsw

from ptbridge.inbox import database

PURGED = "purged"  # the state of such a message
_OLD = """
SELECT m.seq FROM message m WHERE m.clinic = ?1 AND m.received_at < ?2 AND m.seq <= ?3 AND m.state <> 'purged'
AND NOT EXISTS (SELECT 1 FROM about k JOIN about n ON n.clinic = k.clinic AND n.path = k.path AND n.value = k.value
                JOIN message r ON r.seq = n.seq WHERE k.seq = m.seq AND r.received_at >= ?2)
"""


def purge(folder: Path, clinic: str, before: str, upto: int, *, really: bool) -> int:
    """Purge the messages of a clinic that came before (ISO 8601 UTC), up to a number; how many there are (or would be).

    The trigger that refuses changes is taken off and put back inside one transaction. Raises LedgerError.
    """
    connection = database.connect(folder, write=True)
    try:
        connection.execute("PRAGMA secure_delete = ON").fetchall()
        with connection:
            found = connection.execute(_OLD, (clinic, before, upto)).fetchall()
            if really and found:
                _empty(connection, found)
        if really and found:
            connection.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchall()
    except apsw.Error as error:
        raise database.trouble(error) from error
    finally:
        connection.close()
    return len(found)


def _empty(connection: apsw.Connection, found: list[tuple[apsw.SQLiteValue, ...]]) -> None:
    name, trigger = connection.execute(
        "SELECT name, sql FROM sqlite_schema WHERE type = 'trigger' AND name = 'message_is_kept'"
    ).fetchall()[0]
    connection.execute(f'DROP TRIGGER "{name}"')
    connection.executemany("UPDATE message SET raw = X'', state = 'purged' WHERE seq = ?", found)
    connection.executemany("DELETE FROM about WHERE seq = ?", found)
    connection.execute(str(trigger))
