"""Days that a person asks to have judged anew by the configuration of now: which can be, and which wait for the next run."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from datetime import date

import apsw

from ptbridge.ledger.history import History

PURGED, ON_ITS_WAY, EXCLUDED = "purged", "on-its-way", "excluded-by-person"
# The newest word about a day holds where it is about the content that was judged last (`Decision.excludes`).
_IN_THE_WAY = """
SELECT CASE WHEN d.purged_at IS NOT NULL THEN 'purged'
            WHEN EXISTS (SELECT 1 FROM submission s WHERE s.day_id = d.id AND s.state IN ('sending', 'in-doubt'))
            THEN 'on-its-way'
            WHEN (SELECT (n.kind = 'exclude' OR ' ' || n.codes || ' ' LIKE '% excluded %')
                  AND n.content_sha256 = w.content_sha256 FROM decision n
                  JOIN day_version w ON w.id = d.version_id WHERE n.day_id = d.id ORDER BY n.id DESC LIMIT 1)
            THEN 'excluded-by-person' END
FROM treatment_day d WHERE d.id = ?
"""


class Asked:
    """The `asked_anew` table, and what it asks about. Call what writes inside a transaction."""

    def __init__(self, connection: apsw.Connection, history: History) -> None:
        self._connection = connection
        self._history = history

    def between(self, clinic: str, first: date | None, last: date | None) -> list[int]:
        """Judged days with a service date from `first` to `last` (both included, None: no bound), by service date."""
        rows = self._connection.execute(
            "SELECT id FROM treatment_day WHERE clinic = ?1 AND version_id IS NOT NULL"
            " AND service_date BETWEEN ?2 AND ?3 ORDER BY service_date, id",
            (clinic, (first or date.min).isoformat(), (last or date.max).isoformat()),
        )
        return [int(str(id_)) for (id_,) in rows]

    def in_the_way(self, day_id: int) -> str | None:
        """Why a day cannot be judged anew: `purged`, `on-its-way` (no answer yet), `excluded-by-person`; None when it can."""
        ((reason,),) = self._connection.execute(_IN_THE_WAY, (day_id,)).fetchall()
        return None if reason is None else str(reason)

    def visits_of(self, day_ids: Iterable[int]) -> Iterator[tuple[str, str, int]]:
        """Source, visit id and newest record of the visits that these days are made of."""
        for day_id in day_ids:
            rows = self._connection.execute(
                "SELECT source, visit_id, record_id FROM visit WHERE day_id = ? AND state = 'read' ORDER BY id", (day_id,)
            ).fetchall()
            for source, visit_id, record_id in rows:
                yield str(source), str(visit_id), int(str(record_id))

    def ask(self, clinic: str, day_ids: Iterable[int], configuration: str, reason: str, actor: str) -> None:
        """Have the next run of this configuration read and judge these days anew."""
        for day_id in day_ids:
            self._connection.execute("INSERT OR REPLACE INTO asked_anew VALUES (?, ?)", (day_id, configuration))
            self._history.add(clinic, "day", day_id, "asked-anew", reason, actor)

    def waiting(self, clinic: str) -> list[tuple[int, str]]:
        """Days that wait for the next run, by service date, each with its configuration."""
        rows = self._connection.execute(  # CROSS JOIN: from what was asked, never from every day of the clinic
            "SELECT a.day_id, a.configuration FROM asked_anew a CROSS JOIN treatment_day d ON d.id = a.day_id"
            " WHERE d.clinic = ? ORDER BY d.service_date, d.id",
            (clinic,),
        )
        return [(int(str(day_id)), str(configuration)) for day_id, configuration in rows]

    def answered(self, clinic: str, day_id: int, lapsed: str | None) -> None:
        """The question about a day is settled: it was taken up, or it lapsed for this reason."""
        self._connection.execute("DELETE FROM asked_anew WHERE day_id = ?", (day_id,))
        if lapsed:
            self._history.add(clinic, "day", day_id, "asked-anew-lapsed", lapsed)
