"""One shelf for each resource type: entries found by id, by patient, by encounter and in the order of their changes."""

from __future__ import annotations

from collections.abc import Mapping

from .fhir_time import EARLIEST, LATEST, Range


class Entry:
    """One stored resource: what searches ask for, and its bytes (or the number of a lazy one)."""

    __slots__ = (
        "body",
        "encounters",
        "end",
        "gone",
        "hidden",
        "id",
        "patient",
        "start",
        "status",
        "type",
        "updated",
        "version",
    )

    def __init__(
        self,
        type_: str,
        id_: str,
        body: bytes | int,
        *,
        patient: str | None = None,
        encounters: tuple[str, ...] = (),
        status: str | None = None,
        dates: Range = (EARLIEST, LATEST),
        updated: int = 0,
        version: int = 1,
    ) -> None:
        self.type, self.id, self.body = type_, id_, body
        self.patient, self.encounters, self.status = patient, encounters, status
        self.start, self.end = dates
        self.updated, self.version = updated, version
        self.hidden = self.gone = False


class Shelf:
    """All resources of one type."""

    def __init__(self) -> None:
        self.by_id: dict[str, Entry] = {}
        self.by_patient: dict[str, list[Entry]] = {}
        self._by_encounter: dict[str, list[Entry]] | None = None
        self._by_updated: list[Entry] = []
        self._in_order = True

    def add(self, entry: Entry) -> None:
        """Put a new entry on the shelf."""
        self.by_id[entry.id] = entry
        if entry.patient is not None:
            self.by_patient.setdefault(entry.patient, []).append(entry)
        self._by_encounter = None
        self.append_updated(entry)

    def append_updated(self, entry: Entry) -> None:
        """Put the entry where its `updated` belongs; new changes come last, so this rarely means sorting."""
        self._in_order = self._in_order and (not self._by_updated or self._by_updated[-1].updated <= entry.updated)
        self._by_updated.append(entry)

    def remove(self, entry: Entry) -> None:
        """Take the entry off the shelf."""
        del self.by_id[entry.id]
        if entry.patient is not None:
            self.by_patient[entry.patient].remove(entry)
        self._by_encounter = None
        self._by_updated.remove(entry)

    def touch(self, entry: Entry, updated: int) -> None:
        """Move the entry to its new place in the order of changes."""
        self._by_updated.remove(entry)
        entry.updated = updated
        self.append_updated(entry)

    @property
    def by_updated(self) -> list[Entry]:
        """Entries, oldest change first."""
        if not self._in_order:
            self._by_updated.sort(key=lambda entry: entry.updated)
            self._in_order = True
        return self._by_updated

    @property
    def by_encounter(self) -> Mapping[str, list[Entry]]:
        """Entries by the Encounter that they refer to; built when first asked for."""
        if self._by_encounter is None:
            self._by_encounter = {}
            for entry in self.by_id.values():
                for encounter_id in entry.encounters:
                    self._by_encounter.setdefault(encounter_id, []).append(entry)
        return self._by_encounter
