"""Asking a FHIR server for all that belongs to a batch of encounters, in as few requests as it allows."""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from collections.abc import Coroutine, Iterable, Iterator, Sequence
from datetime import date, timedelta
from typing import Any, Generic, TypeVar

from ptbridge.errors import PeerRefused
from ptbridge.model import SourceRecord
from ptbridge.wire.fhir import Entry
from ptbridge.wire.fhir_bundle import parse_resource
from ptbridge.wire.fhir_care_plan import plans_of_visit
from ptbridge.wire.fhir_join import (
    LEADING_TYPES,
    Span,
    Visits,
    key_of,
    readable,
    source_record,
    subscribers,
    travelling,
    unreadable_record,
)
from ptbridge.wire.fhir_plan import CARE_PLAN, COVERAGE, OPT_IN, Child, Owned, Plan, Server, Settings
from ptbridge.wire.fhir_references import Key, follow, identifier_keys, reference_key
from ptbridge.wire.source_client import SourceClient

Params = list[tuple[str, str]]
K = TypeVar("K")
V = TypeVar("V")
T = TypeVar("T")

# One run keeps at most this many Patients, Practitioners, Locations …, and as many patients' coverages: tens of megabytes.
SHELF_SIZE = 4096
# Requests in flight at once for one batch; the client's own rate limit still holds.
IN_FLIGHT = 4
# A server compares dates in its own zone, or in UTC: a day on each side makes the clinic's day safe in every zone.
ONE_DAY = timedelta(days=1)


class Shelf(Generic[K, V]):
    """What was read, kept for the run; the least recently used goes first."""

    def __init__(self, size: int = SHELF_SIZE) -> None:
        self.size = size
        self.kept: OrderedDict[K, V] = OrderedDict()

    def find(self, keys: Iterable[K]) -> dict[K, V]:
        """Those of these keys that are here."""
        found = {}
        for key in keys:
            if key in self.kept:
                self.kept.move_to_end(key)
                found[key] = self.kept[key]
        return found

    def keep(self, values: dict[K, V]) -> None:
        """Put these here; make room when there is too much."""
        self.kept.update(values)
        while len(self.kept) > self.size:
            self.kept.popitem(last=False)


def chunks(values: Sequence[T], size: int) -> Iterator[Sequence[T]]:
    """Slices of at most `size`."""
    for start in range(0, len(values), size):
        yield values[start : start + size]


async def together(work: Iterable[Coroutine[Any, Any, T]]) -> list[T]:
    """All answers in order; the first failure ends the others and is raised as it is."""
    tasks = [asyncio.ensure_future(one) for one in work]
    try:
        return await asyncio.gather(*tasks)
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


class Gatherer:
    """Fetches and joins, batch by batch. `unreadable` fills with what could not be used; each such resource once a run."""

    def __init__(self, client: SourceClient, server: Server, settings: Settings, plan: Plan) -> None:
        self.client, self.server, self.settings = client, server, settings
        self.children = [child for child in plan.children if settings.joins(child.type) and server.has(child.type)]
        self.base_url: str = getattr(client.fhir, "base_url", "")
        self.unreadable: list[tuple[SourceRecord, str]] = []
        self._refused: set[int] = set()
        # Bytes, not parsed resources: thousands of kept dicts doubled the time of a long walk, all of it in the collector.
        self._shelf: Shelf[Key, bytes] = Shelf()
        self._owned: dict[str, Shelf[str, tuple[bytes, ...]]] = {owned.type: Shelf() for owned in (COVERAGE, CARE_PLAN)}
        self._without_related = False  # True once the server has refused RelatedPerson
        self._gate = asyncio.Semaphore(IN_FLIGHT)

    # ------------------------------------------------------------ one batch

    async def gather(self, encounters: Iterable[Entry], lines: Iterable[tuple[Child, Entry]] = ()) -> Visits:
        """These encounters with everything that belongs to them. `lines` are offered to the join besides what is fetched."""
        visits = Visits.of(encounters, self.client.time_zone, self.base_url)
        visits.admit(await self._resolve({key for key in visits.patients.values() if key is not None}))
        asked = [(child, params) for child in self.children for params in self._questions(child, visits)]
        ids = {key[1] for key in visits.patients.values() if key is not None and not key[1].startswith("?")}
        work: list[Coroutine[Any, Any, Any]] = [
            self._of_patients(COVERAGE, ids),
            self._of_patients(CARE_PLAN, ids),
            *(self.ask(child.type, params) for child, params in asked),
        ]
        results = await together(work)
        coverages, plans = results[:2]
        answers: list[list[Entry]] = results[2:]
        fetched = ((child, entry) for (child, _), entries in zip(asked, answers, strict=True) for entry in entries)
        for child, entry in (*fetched, *lines):
            visits.join(child, entry)
        for identity, key in visits.patients.items():
            for entry in coverages.get(key[1], ()) if key is not None else ():
                visits.members[identity][key_of(entry)] = entry
        await self._add_travelling(visits)
        await self._add_subscribers(visits)
        self._add_plans(visits, plans)
        return visits

    def records(self, visits: Visits, only: set[str] | None = None) -> tuple[SourceRecord, ...]:
        """A source record for each of these visits of a gathered batch (all of them), in the order of the encounters."""
        received_at = self.client.now()
        wanted = visits.encounters if only is None else [identity for identity in visits.encounters if identity in only]
        return tuple(source_record(self.client, identity, visits.entries(identity), received_at) for identity in wanted)

    async def _add_travelling(self, visits: Visits) -> None:
        """Practitioners, locations, conditions and so on that the visits refer to; roles and orders lead on."""
        opted = OPT_IN & frozenset(self.settings.resources)
        frontier = {identity: [entry, *visits.members[identity].values()] for identity, entry in visits.encounters.items()}
        while frontier:
            wanted = {identity: travelling(entries, self.base_url, opted) for identity, entries in frontier.items()}
            missing = {key for identity, keys in wanted.items() for key in keys if key not in visits.members[identity]}
            found = await self._resolve(missing)
            frontier = {}
            for identity, keys in wanted.items():
                members = visits.members[identity]
                arrived = [entry for key in keys if key not in members and (entry := found.get(key)) is not None]
                members.update((key_of(entry), entry) for entry in arrived)
                if leading := [entry for entry in arrived if entry.resource["resourceType"] in LEADING_TYPES]:
                    frontier[identity] = leading

    async def _add_subscribers(self, visits: Visits) -> None:
        """Whose coverages these are, where that is not the patient; absent where the server does not let us read them."""
        wanted = {
            identity: keys
            for identity, key in visits.patients.items()
            if (keys := subscribers(visits.members[identity].values(), self.base_url, key))
        }
        found = await self._resolve({key for keys in wanted.values() for key in keys if key[0] == "Patient"})
        found |= await self._related({key for keys in wanted.values() for key in keys if key[0] == "RelatedPerson"})
        for identity, keys in wanted.items():
            people = [entry for key in keys if (entry := found.get(key)) is not None]
            visits.members[identity].update((key_of(entry), entry) for entry in people)

    async def _related(self, keys: set[Key]) -> dict[Key, Entry | None]:
        """These RelatedPersons. A token that lacks their scope must not end the run: only a claim needs them, and says so."""
        if not keys or self._without_related or not self.settings.joins("RelatedPerson"):
            return {}
        try:
            return await self._resolve(keys)
        except PeerRefused:
            self._without_related = True
            return {}

    def _add_plans(self, visits: Visits, plans: dict[str, tuple[Entry, ...]]) -> None:
        """The CarePlans of each visit's patient that belong to it."""
        for identity, key in visits.patients.items():
            offered = plans.get(key[1], ()) if key is not None else ()
            if offered:
                members = visits.members[identity]
                joined = [visits.encounters[identity], *members.values()]
                chosen = plans_of_visit(joined, offered, visits.spans[identity], visits.time_zone, self.base_url)
                members.update((key_of(entry), entry) for entry in chosen)

    # ------------------------------------------------------------ children

    def _questions(self, child: Child, visits: Visits) -> Iterator[Params]:
        """The searches that find this child for these visits: by encounter where the server can, else by patient and date.

        Lines are asked for both ways: by encounter alone, one that names none would never be seen.
        """
        by_encounter = self.server.first(child.type, child.encounter_params)
        by_patient = self.server.first(child.type, child.patient_params)
        dated = child.date_param is not None and self.server.can(child.type, child.date_param)
        if by_encounter:
            for some in chunks(list(visits.encounters), self.settings.encounters_per_request):
                yield [(by_encounter, ",".join(f"Encounter/{identity}" for identity in some))]
        if by_patient and (not by_encounter or (dated and child.is_line and self.settings.unlinked_lines)):
            for patients, window in self._windows(visits, dated):
                if window is not None or not by_encounter:
                    yield [(by_patient, patient_list(by_patient, patients)), *self._dates(child, window)]

    def _windows(self, visits: Visits, dated: bool) -> Iterator[tuple[Sequence[str], Span | None]]:
        """Patients in lists, neighbours in time together so that each list's window stays narrow; None: no window."""
        spans: dict[str, list[Span | None]] = {}
        for identity, key in visits.patients.items():
            if key is not None and not key[1].startswith("?"):
                spans.setdefault(key[1], []).append(visits.spans[identity] if dated else None)
        undated = sorted(patient for patient, some in spans.items() if None in some)
        for patients in chunks(undated, self.settings.patients_per_request):
            yield patients, None
        known = {patient: [span for span in some if span] for patient, some in spans.items() if None not in some}
        ordered = sorted(known, key=lambda patient: (min(known[patient]), patient))
        for patients in chunks(ordered, self.settings.patients_per_request):
            every = [span for patient in patients for span in known[patient]]
            yield patients, (min(first for first, _ in every) - ONE_DAY, max(last for _, last in every) + ONE_DAY)

    def _dates(self, child: Child, window: Span | None) -> Params:
        if window is None or child.date_param is None:
            return []
        params = [(child.date_param, self.bound("ge", window[0]))]
        return params if child.open_ended else [*params, (child.date_param, self.bound("le", window[1]))]

    def bound(self, prefix: str, day: date) -> str:
        """A date bound as this server wants it: `ge2026-11-20`, or as an instant."""
        if self.settings.date_form == "day":
            return f"{prefix}{day.isoformat()}"
        return f"{prefix}{day.isoformat()}T{'00:00:00' if prefix == 'ge' else '23:59:59'}Z"

    async def _of_patients(self, owned: Owned, patients: set[str]) -> dict[str, tuple[Entry, ...]]:
        """What these patients have of that type, by patient; asked for once a run."""
        shelf = self._owned[owned.type]
        kept = shelf.find(patients)
        found = {patient: tuple(map(parse_resource, bodies)) for patient, bodies in kept.items()}
        by = self.server.first(owned.type, owned.patient_params)
        missing = sorted(patients - found.keys())
        if by is None or not missing or not self.settings.joins(owned.type):
            return found
        category = self.settings.care_plan_category if owned is CARE_PLAN else ""
        more = [("category", category)] if category else []
        lists = list(chunks(missing, self.settings.patients_per_request))
        answers = await together(self.ask(owned.type, [(by, patient_list(by, some)), *more]) for some in lists)
        fresh: dict[str, list[Entry]] = {patient: [] for patient in missing}
        for entry in (entry for entries in answers for entry in entries):
            for owner in follow(entry.resource, owned.owner_path):
                key = reference_key(owner, "Patient", self.base_url)
                if key is not None and key[1] in fresh:
                    fresh[key[1]].append(entry)
        shelf.keep({patient: tuple(entry.raw for entry in entries) for patient, entries in fresh.items()})
        return found | {patient: tuple(entries) for patient, entries in fresh.items()}

    # ------------------------------------------------------------ asking

    async def ask(self, resource_type: str, params: Params) -> list[Entry]:
        """Every readable resource that this search gives; the others are set aside as unreadable."""
        entries: list[Entry] = []
        async with self._gate:
            async for page in self.client.fhir.search(resource_type, params):
                entries.extend(self.sift(page.entries, resource_type))
        return entries

    def sift(self, entries: Iterable[Entry], resource_type: str) -> Iterator[Entry]:
        """The readable ones; the others go to `unreadable`, each once a run."""
        for entry in entries:
            reason = readable(entry, resource_type)
            if reason is None:
                yield entry
            else:
                self.refuse(entry, resource_type, f"{reason}; correct it in the EMR")

    def refuse(self, entry: Entry, resource_type: str, reason: str) -> None:
        """Report this resource as unreadable, once a run."""
        mark = hash(entry.raw)
        if mark not in self._refused:
            self._refused.add(mark)
            self.unreadable.append(unreadable_record(self.client, entry, resource_type, reason))

    async def _resolve(self, keys: set[Key]) -> dict[Key, Entry | None]:
        """The resources behind these keys, from the shelf or else the server; None for those that it does not have."""
        kept = self._shelf.find(keys)
        fetched = await self.fetch(keys - kept.keys())
        self._shelf.keep({key: entry.raw if entry is not None else b"" for key, entry in fetched.items()})
        return {key: parse_resource(body) if body else None for key, body in kept.items()} | fetched

    async def fetch(self, keys: set[Key]) -> dict[Key, Entry | None]:
        """The resources behind these keys, from the server; None for those that it does not have."""
        ordered = sorted(keys)
        found: dict[Key, Entry | None] = dict.fromkeys(ordered)
        for answer in await together(one for kind in sorted({key[0] for key in keys}) for one in self._fetches(kind, ordered)):
            found.update(answer)
        return found

    def _fetches(self, kind: str, keys: list[Key]) -> Iterator[Coroutine[Any, Any, dict[Key, Entry | None]]]:
        """The requests that find these resources of one type: id lists where the server can, else one read each."""
        if not self.server.has(kind):
            return
        ids = [key for key in keys if key[0] == kind and not key[1].startswith("?")]
        logical = [key for key in keys if key[0] == kind and key[1].startswith("?")]
        if self.server.can(kind, "_id"):
            for some in chunks(ids, self.settings.encounters_per_request):
                yield self._by_ids(kind, some)
        else:
            yield from (self._by_read(key) for key in ids)
        if self.server.can(kind, "identifier"):
            yield from (self._by_identifier(key) for key in logical)

    async def _by_ids(self, kind: str, keys: Sequence[Key]) -> dict[Key, Entry | None]:
        entries = await self.ask(kind, [("_id", ",".join(key[1] for key in keys))])
        found = {key_of(entry): entry for entry in entries}
        return {key: found.get(key) for key in keys}

    async def _by_read(self, key: Key) -> dict[Key, Entry | None]:
        async with self._gate:
            answer = await self.client.fhir.read(*key)
        return {key: next(self.sift([answer], key[0]), None) if isinstance(answer, Entry) else None}

    async def _by_identifier(self, key: Key) -> dict[Key, Entry | None]:
        entries = await self.ask(key[0], [("identifier", key[1][1:])])
        # Two answers to one identifier are no answer: which of them was meant cannot be told.
        matching = [entry for entry in entries if key in set(identifier_keys(entry.resource))]
        return {key: matching[0] if len(matching) == 1 else None}


def patient_list(param: str, patients: Iterable[str]) -> str:
    """A comma list for a patient parameter; `subject` may point at other types, so there the type is said."""
    return ",".join(patients if param == "patient" else (f"Patient/{patient}" for patient in patients))
