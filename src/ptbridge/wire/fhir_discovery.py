"""Finding the encounters of a window: by search, by a list of patients, or by the appointments of a place or a person."""

from __future__ import annotations

import hashlib
from collections.abc import AsyncIterator, Iterable, Iterator
from dataclasses import dataclass
from datetime import UTC, date, datetime
from email.utils import parsedate_to_datetime
from pathlib import Path

from ptbridge.errors import ConfigError
from ptbridge.wire.fhir import Entry, Page
from ptbridge.wire.fhir_gather import ONE_DAY, Gatherer, Params, chunks, patient_list
from ptbridge.wire.fhir_join import civil_day, key_of
from ptbridge.wire.fhir_references import follow, reference_key
from ptbridge.wire.source_client import SourceClient

# A batch is what is joined, yielded and made durable together; a server that ignores _count sends more in one page.
BATCH_SIZE = 100


@dataclass(frozen=True, slots=True, kw_only=True)
class Window:
    """Which encounters are asked for: updated since an instant of the server's clock, or with a service date from a day on."""

    updated_from: str | None = None
    date_from: date | None = None


def instant(value: object) -> datetime | None:
    """A FHIR instant or an HTTP date, None when it is neither or has no zone."""
    if not isinstance(value, str) or not value:
        return None
    try:
        found = datetime.fromisoformat(value) if value[0].isdigit() else parsedate_to_datetime(value)
    except (ValueError, TypeError):
        return None
    return found.astimezone(UTC) if found.tzinfo else None


def instant_text(value: datetime) -> str:
    """An instant as a search parameter, cut down to its second."""
    return value.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


class Discovery:
    """Yields readable Encounters in batches, as the server finds them.

    `started` is the server's time when the walk's first page was made: what changes after it is found by the next walk.
    `latest` is the last update seen, for a server that never tells its time.
    """

    def __init__(self, client: SourceClient, gatherer: Gatherer) -> None:
        self.client, self.gatherer = client, gatherer
        self.settings, self.server = gatherer.settings, gatherer.server
        self.started: datetime | None = None
        self.latest: datetime | None = None
        self._patients: list[str] | None = None

    async def pages(self, resource_type: str, params: Params) -> AsyncIterator[Page]:
        """A search's pages; the first of the walk sets its clock."""
        async for page in self.client.fhir.search(resource_type, params):
            if self.started is None:
                self.started = instant(page.server_time)
            yield page

    async def encounters(self, window: Window) -> AsyncIterator[list[Entry]]:
        """The encounters of this window, in batches. The same one may come twice."""
        if self.settings.discovery == "appointments":
            searches = self._by_appointments(window)
        else:
            searches = self._by_search(window)
        async for params in searches:
            async for page in self.pages("Encounter", params):
                entries = list(self.gatherer.sift(page.entries, "Encounter"))
                self._note_latest(entries)
                for batch in chunks(entries, BATCH_SIZE):
                    yield list(batch)

    async def _by_search(self, window: Window) -> AsyncIterator[Params]:
        params = [*self.settings.search, *self._bounds(window), *self.sorting("Encounter")]
        async for scope in self.scopes():
            yield [*scope, *params]

    async def scopes(self) -> AsyncIterator[Params]:
        """What narrows a search to this clinic's patients: one list of them after the other; one empty scope for all."""
        if self.settings.discovery != "patients":
            yield []
            return
        for some in chunks(await self.patients(), self.settings.patients_per_request):
            yield [("patient", patient_list("patient", some))]

    def _bounds(self, window: Window) -> Params:
        if window.updated_from is not None:
            return [("_lastUpdated", f"ge{window.updated_from}")]
        if window.date_from is not None and self.server.can("Encounter", "date"):
            return [("date", self.gatherer.bound("ge", window.date_from - ONE_DAY))]
        return []

    def sorting(self, resource_type: str) -> Params:
        """Pages cut by last update lose nobody when a record changes between two of them; offsets do.

        2026, a full R4 server on PostgreSQL, field note 2: one update between two offset pages and the walk returned 59 of
        60; with `_sort=_lastUpdated` the same server paged by cursor and missed none.
        """
        if self.settings.sort == "auto":
            return [("_sort", "_lastUpdated")] if self.server.can(resource_type, "_lastUpdated") else []
        return [] if self.settings.sort == "no" else [("_sort", self.settings.sort)]

    def _note_latest(self, entries: Iterable[Entry]) -> None:
        for entry in entries:
            for value in follow(entry.resource, ("meta", "lastUpdated")):
                if (at := instant(value)) is not None and (self.latest is None or at > self.latest):
                    self.latest = at

    # ------------------------------------------------------------ appointments

    async def _by_appointments(self, window: Window) -> AsyncIterator[Params]:
        """Encounter searches for the appointments of each place and person: by appointment, else by patient and day."""
        by_appointment = self.server.can("Encounter", "appointment")
        for param, identity in self._places():
            query: Params = [(param, identity)]
            if window.date_from is not None:
                query.append(("date", self.gatherer.bound("ge", window.date_from - ONE_DAY)))
            async for page in self.pages("Appointment", query):
                entries = list(self.gatherer.sift(page.entries, "Appointment"))
                for params in self._of_appointments(entries) if by_appointment else self._of_patients(entries):
                    yield [*self.settings.search, *params]

    def _places(self) -> Iterator[tuple[str, str]]:
        for param, ids in (("location", self.settings.locations), ("practitioner", self.settings.practitioners)):
            yield from ((param, identity.rpartition("/")[2]) for identity in ids)

    def _of_appointments(self, entries: list[Entry]) -> Iterator[Params]:
        ids = [f"Appointment/{key_of(entry)[1]}" for entry in entries]
        for some in chunks(ids, self.settings.encounters_per_request):
            yield [("appointment", ",".join(some))]

    def _of_patients(self, entries: list[Entry]) -> Iterator[Params]:
        """Patient and day of each appointment; a visit starts on its appointment's day, in whatever zone it is told."""
        for day, patients in sorted(self._patients_by_day(entries).items()):
            for some in chunks(sorted(patients), self.settings.patients_per_request):
                bounds = [
                    ("date", self.gatherer.bound("ge", day - ONE_DAY)),
                    ("date", self.gatherer.bound("le", day + ONE_DAY)),
                ]
                yield [("patient", patient_list("patient", some)), *bounds]

    def _patients_by_day(self, entries: list[Entry]) -> dict[date, set[str]]:
        found: dict[date, set[str]] = {}
        for entry in entries:
            day = civil_day(entry.resource.get("start"), self.client.time_zone)
            for actor in follow(entry.resource, ("participant", "actor")):
                key = reference_key(actor, "Patient", self.gatherer.base_url)
                if day is not None and key is not None and key[0] == "Patient":
                    found.setdefault(day, set()).add(key[1])
        return found

    # ------------------------------------------------------------ patients

    async def patients(self) -> list[str]:
        """The ids of the patients in scope, each once: from the options, a file, a Group. Read once a run."""
        if self._patients is None:
            ids = [*self.settings.patients, *self._patients_in_file(), *await self._patients_in_group()]
            self._patients = list(dict.fromkeys(identity.rpartition("/")[2] for identity in ids))
        return self._patients

    async def patients_fingerprint(self) -> str:
        """Changes when a patient joins or leaves the list; says nothing of who they are."""
        ids = "\n".join(sorted(await self.patients())) if self.settings.discovery == "patients" else ""
        return hashlib.sha256(ids.encode()).hexdigest()[:16] if ids else ""

    def _patients_in_file(self) -> list[str]:
        if not self.settings.patients_file:
            return []
        path = (self.client.folder or Path()) / self.settings.patients_file
        try:
            lines = path.read_text("utf-8").splitlines()
        except (OSError, UnicodeDecodeError) as error:
            where = f"{self.client.clinic}: source.options.patients_file"
            raise ConfigError(f"{path} cannot be read ({type(error).__name__})", where=where) from None
        return [line.strip() for line in lines if line.strip() and not line.startswith("#")]

    async def _patients_in_group(self) -> list[str]:
        if not self.settings.group:
            return []
        answer = await self.client.fhir.read("Group", self.settings.group.rpartition("/")[2])
        if not isinstance(answer, Entry):
            where = f"{self.client.clinic}: source.options.group"
            raise ConfigError(f"the server has no Group {self.settings.group!r}", where=where)
        members = (
            one for one in follow(answer.resource, ("member",)) if isinstance(one, dict) and one.get("inactive") is not True
        )
        keys = (reference_key(one.get("entity"), "Patient", self.gatherer.base_url) for one in members)
        return [key[1] for key in keys if key is not None and key[0] == "Patient"]
