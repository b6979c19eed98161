"""The walk that every FHIR connector makes: find what may have changed, join it, yield it, and only then move the cursor.

```
no cursor       every encounter with a service date from `since` on
cursor          encounters updated since it, less an overlap            (where the server can search by last update)
                encounters whose Procedures, notes, … changed since     (where it can: children bump no Encounter)
once a day      every encounter of the look-back window by service date, and those missing from it one by one
at the end      lines that met no visit: looked for once more, else reported
```

Why the overlap: last updates are stamped before they are committed, so a record can appear after a later one (field note 1,
2026: 6.6 s on a full R4 server). Why the re-scan: `lastUpdated` is missing (Epic), partial (Cerner) or blind to children
(OpenEMR, PR 7066). Re-reads are free: the same resources give the same payload bytes, and the ledger knows their hash.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterable, Mapping
from datetime import UTC, date, timedelta
from typing import Any

from ptbridge.errors import PeerError
from ptbridge.model import SourceRecord
from ptbridge.ports import Pulled
from ptbridge.wire.fhir import Entry, Gone
from ptbridge.wire.fhir_discovery import BATCH_SIZE, Discovery, Window, instant, instant_text
from ptbridge.wire.fhir_gather import ONE_DAY, Gatherer, Params, chunks, patient_list
from ptbridge.wire.fhir_join import Visits, first_day, key_of, span_of
from ptbridge.wire.fhir_plan import CARE_PLAN, COVERAGE, Child, Plan, Server, Settings
from ptbridge.wire.fhir_references import Key, follow, reference_key
from ptbridge.wire.source_client import SourceClient

# Resources of the patient, not of the encounter: when one changes (a member id is filled in, a plan is certified), recent
# visits are read again.
PATIENT_TYPES: tuple[tuple[str, tuple[str, ...]], ...] = (
    *((owned.type, owned.owner_path) for owned in (COVERAGE, CARE_PLAN)),
    ("ServiceRequest", ("subject",)),
    ("Patient", ()),
)
ASKED_OF_A_NEW_ADDRESS = 20  # visits; one that was deleted meanwhile may be among them
NO_VISIT = (
    "it names no Encounter, and it fits no single visit of its patient, day and performer; link it to its visit in the EMR"
)
NO_ENCOUNTER = "it names an Encounter that the server does not have; link it to its visit in the EMR"


async def walk(client: SourceClient, cursor: Mapping[str, str], plan: Plan | None = None) -> AsyncIterator[Pulled]:
    """Yield every batch of this run; the last one, and only that one, carries the new cursor.

    Raises ConfigError before anything is asked for, PeerError when the server fails; then no cursor was yielded and the
    next walk starts where this one did.
    """
    plan = plan or Plan()
    settings = Settings.read(client, plan)
    server = await Server.read(client, settings)
    async for pulled in Walk(client, cursor, Gatherer(client, server, settings, plan)).pulls():
        yield pulled


def window_start(cursor: Mapping[str, str], name: str, overlap: timedelta) -> str | None:
    """Where the next poll of this resource starts: the cursor's instant less the overlap; None without a usable one."""
    at = instant(cursor.get(name))
    return None if at is None else instant_text(at - overlap)


class Walk:
    """One run's state: what was met, what is still looked for."""

    def __init__(self, client: SourceClient, cursor: Mapping[str, str], gatherer: Gatherer) -> None:
        self.client, self.cursor, self.gatherer = client, cursor, gatherer
        self.settings, self.server = gatherer.settings, gatherer.server
        self.discovery = Discovery(client, gatherer)
        self.now = client.now()
        self.today = self.now.astimezone(client.time_zone).date()
        self.seen: dict[str, int] = {}  # encounter id -> hash of its bytes
        self.elsewhere: dict[str, set[Key]] = {}  # encounter id -> lines that name it, until it is met
        self.strays: dict[Key, tuple[Child, Entry]] = {}
        self.matched: set[Key] = set()
        self.gone: list[str] = []

    # ------------------------------------------------------------ the phases

    async def pulls(self) -> AsyncIterator[Pulled]:
        """All phases in order, then the batch that carries the cursor."""
        await self._refuse_another_emr()
        fingerprint = await self.discovery.patients_fingerprint()
        rescan = self._rescan_due(fingerprint)
        async for entries in self._discovered(rescan):
            if pulled := await self._batch(entries):
                yield pulled
        async for pulled in self._settled():
            yield pulled
        if rescan:
            async for pulled in self._rechecked():
                yield pulled
        await self._report_orphans()
        self._report_lost_lines()
        cursor = self._new_cursor(rescan, fingerprint)
        yield Pulled(cursor=cursor, gone=tuple(self.gone), unreadable=self._unreadable())

    async def _refuse_another_emr(self) -> None:
        """Whoever is read from the beginning, and is no stranger to the ledger, must know one of the visits that it has.

        The visits of another EMR have other ids: they would be billed beside those that were sent, and these taken for deleted.
        """
        asked = self.client.recheck[:ASKED_OF_A_NEW_ADDRESS] if self.first_run else ()
        for identity in asked:
            if await self.client.fhir.read("Encounter", identity) is not None:
                return
        if asked:
            raise PeerError(
                f"{self.client.fhir.base_url} knows none of {len(asked)} visits that were read from this clinic's EMR before:"
                " nothing was read. If the address is wrong, correct `source.base_url`. If it is another EMR, bring the old"
                " address back, and give the new one a clinic file of its own, with `--since` its first day there."
            )

    @property
    def first_run(self) -> bool:
        """True when there is no instant to poll from."""
        return instant(self.cursor.get("Encounter")) is None

    @property
    def incremental(self) -> bool:
        """True when encounters can be asked for by last update."""
        return self.settings.discovery != "appointments" and self.server.can("Encounter", "_lastUpdated")

    def _rescan_due(self, fingerprint: str) -> bool:
        """At most once per `rescan_every`; at once when asked, when the list of patients changed, or when clocks disagree."""
        last = instant(self.cursor.get("rescan"))
        if self.client.full_rescan or last is None or self.cursor.get("patients", "") != fingerprint:
            return True
        return not timedelta(0) <= self.now - last < self.settings.rescan_every

    async def _discovered(self, rescan: bool) -> AsyncIterator[list[Entry]]:
        if self.first_run:
            async for entries in self.discovery.encounters(Window(date_from=self._first_day())):
                yield [entry for entry in entries if self._in_scope(entry)]
            return
        if self.incremental:
            start = window_start(self.cursor, "Encounter", self.settings.overlap)
            async for entries in self.discovery.encounters(Window(updated_from=start)):
                yield entries
            async for entries in self._with_changed_children():
                yield entries
        if rescan or not self.incremental:
            back = self.settings.lookback if rescan else self.settings.recent
            async for entries in self.discovery.encounters(Window(date_from=self._rescan_from(back))):
                yield entries

    def _first_day(self) -> date | None:
        """Appointments need a day to start from; encounters without `since` are read from the beginning."""
        if self.client.since is None and self.settings.discovery == "appointments":
            return self.today - self.settings.lookback
        return self.client.since

    def _rescan_from(self, back: timedelta) -> date:
        return self.client.since if self.client.full_rescan and self.client.since else self.today - back

    def _in_scope(self, entry: Entry) -> bool:
        """On a first run, visits dated before `since` are out of scope; one without a date is not."""
        if self.client.since is None:
            return True
        span = span_of(entry.resource, self.client.time_zone)
        if span is None or span[1] >= self.client.since:
            return True
        self.seen[entry.resource["id"]] = 0
        return False

    # ------------------------------------------------------------ one batch

    async def _batch(self, entries: Iterable[Entry]) -> Pulled | None:
        """Join and pack the encounters that this run has not yet yielded as they are now."""
        fresh = [entry for entry in entries if self.seen.get(entry.resource["id"]) != hash(entry.raw)]
        if not fresh:
            return None
        visits = await self.gatherer.gather(fresh)
        self._meet(visits, visits.encounters)
        self._set_aside(visits)
        return Pulled(records=self.gatherer.records(visits), unreadable=self._unreadable())

    def _meet(self, visits: Visits, identities: Iterable[str]) -> None:
        for identity in identities:
            self.seen[identity] = hash(visits.encounters[identity].raw)
            self.elsewhere.pop(identity, None)

    def _set_aside(self, visits: Visits) -> None:
        for identity, _, line in visits.elsewhere:
            if identity not in self.seen:
                self.elsewhere.setdefault(identity, set()).add(key_of(line))
        self.matched.update(visits.matched)
        for child, line in visits.strays:
            self._stray(child, line)
        for key in visits.matched:
            self.strays.pop(key, None)

    def _stray(self, child: Child, line: Entry) -> None:
        if key_of(line) not in self.matched and self._counts(child, line):
            self.strays[key_of(line)] = (child, line)

    def _unreadable(self) -> tuple[tuple[SourceRecord, str], ...]:
        found = tuple(self.gatherer.unreadable)
        self.gatherer.unreadable.clear()
        return found

    # ------------------------------------------------------------ changed children

    def tracks(self, resource_type: str) -> bool:
        """True when changes of this type are asked for by last update."""
        wanted = self.settings.changed_children == "yes" or (
            self.settings.changed_children == "auto" and self.server.can(resource_type, "_lastUpdated")
        )
        return wanted and self.settings.joins(resource_type) and self.server.has(resource_type)

    def _tracked(self) -> list[str]:
        types = [child.type for child in self.gatherer.children] + [kind for kind, _ in PATIENT_TYPES]
        return [kind for kind in types if self.incremental and self.tracks(kind)]

    async def _with_changed_children(self) -> AsyncIterator[list[Entry]]:
        for child in self.gatherer.children:
            if child.type in self._tracked():
                async for entries in self._changed(child.type):
                    yield await self._named_by(child, entries)
        patients: set[str] = set()
        for kind, path in PATIENT_TYPES:
            if kind in self._tracked():
                async for entries in self._changed(kind):
                    patients.update(self._owners(entries, path))
        async for batch in self._recent_visits_of(sorted(patients)):
            yield batch

    async def _changed(self, kind: str) -> AsyncIterator[list[Entry]]:
        start = window_start(self.cursor, kind if kind in self.cursor else "Encounter", self.settings.overlap)
        async for scope in self.discovery.scopes():
            if scope and kind == "Patient":
                scope = [("_id", scope[0][1])]
            params = [*scope, ("_lastUpdated", f"ge{start}"), *self.discovery.sorting(kind)]
            async for page in self.discovery.pages(kind, params):
                yield list(self.gatherer.sift(page.entries, kind))

    async def _named_by(self, child: Child, entries: list[Entry]) -> list[Entry]:
        """The encounters that these changed children name and that this run has not met; lines that name none are kept."""
        keys: dict[Key, set[Key]] = {}
        for entry in entries:
            named = [
                reference_key(one, "Encounter", self.gatherer.base_url) for one in follow(entry.resource, child.encounter_path)
            ]
            for key in named:
                if key is not None and key[0] == "Encounter" and key[1] not in self.seen:
                    keys.setdefault(key, set()).add(key_of(entry))
            if child.is_line and not any(named):
                self._stray(child, entry)
        found = await self.gatherer.fetch(set(keys))
        for key, lines in keys.items():
            if found[key] is None and child.is_line:
                self.elsewhere.setdefault(key[1], set()).update(lines)
        return [entry for entry in found.values() if entry is not None]

    def _owners(self, entries: list[Entry], path: tuple[str, ...]) -> set[str]:
        if not path:
            return {entry.resource["id"] for entry in entries}
        references = (one for entry in entries for one in follow(entry.resource, path))
        keys = (reference_key(one, "Patient", self.gatherer.base_url) for one in references)
        return {key[1] for key in keys if key is not None and key[0] == "Patient"}

    async def _recent_visits_of(self, patients: list[str]) -> AsyncIterator[list[Entry]]:
        async for entries in self._visits_of(patients, self.today - self.settings.lookback, None):
            yield [entry for entry in entries if entry.resource["id"] not in self.seen]

    async def _visits_of(self, patients: list[str], first: date, last: date | None) -> AsyncIterator[list[Entry]]:
        """Encounters of these patients between two days, in batches; nothing where the server cannot search by patient."""
        if not self.server.can("Encounter", "patient"):
            return
        bounds: Params = []
        if self.server.can("Encounter", "date"):
            bounds.append(("date", self.gatherer.bound("ge", first)))
            bounds += [("date", self.gatherer.bound("le", last))] if last is not None else []
        for some in chunks(patients, self.settings.patients_per_request):
            async for page in self.discovery.pages("Encounter", [("patient", patient_list("patient", some)), *bounds]):
                for batch in chunks(list(self.gatherer.sift(page.entries, "Encounter")), BATCH_SIZE):
                    yield list(batch)

    # ------------------------------------------------------------ what is left at the end

    async def _settled(self) -> AsyncIterator[Pulled]:
        """Look once more for the visit of each line that names none: it may be one that did not change in this window."""
        if not self.settings.unlinked_lines:
            return
        wanted: dict[date, set[str]] = {}
        for child, line in self.strays.values():
            day = first_day(line.resource, child.day_paths, self.client.time_zone)
            for patient in self._owners([line], child.patient_path):
                if day is not None:
                    wanted.setdefault(day, set()).add(patient)
        for day, patients in sorted(wanted.items()):
            async for entries in self._visits_of(sorted(patients), day - ONE_DAY, day + ONE_DAY):
                visits = await self.gatherer.gather(entries, list(self.strays.values()))
                if found := {visits.matched[line] for line in self.strays.keys() & visits.matched.keys()}:
                    self._meet(visits, found)
                    self._set_aside(visits)
                    yield Pulled(records=self.gatherer.records(visits, found), unreadable=self._unreadable())

    def _counts(self, child: Child, line: Entry) -> bool:
        """False for history (a surgery of 2002) and for what was not done: neither is a line of a visit."""
        if line.resource.get("status") in ("entered-in-error", "not-done"):
            return False
        floor = self.client.since if self.first_run else self.today - self.settings.lookback
        if floor is None:
            return True
        texts = [value[:10] for path in child.day_paths for value in follow(line.resource, path) if isinstance(value, str)]
        return not texts or any(text >= floor.isoformat()[: len(text)] for text in texts)

    async def _rechecked(self) -> AsyncIterator[Pulled]:
        """Visits that the ledger knows in the window and that the re-scan did not meet: moved, or gone.

        A delete answers 410 on read and vanishes from every search (field note 3). A 404 counts as gone only from a server
        that showed us other visits in this run: a wrong address or a narrowed scope says 404 to everything.
        """
        missing = [identity for identity in self.client.recheck if identity not in self.seen]
        shown = any(self.seen.values())
        for some in chunks(missing, BATCH_SIZE):
            found = await self.gatherer.fetch({("Encounter", identity) for identity in some})
            if pulled := await self._batch([entry for entry in found.values() if entry is not None]):
                yield pulled
            for identity in some:
                if found["Encounter", identity] is None:
                    answer = await self.client.fhir.read("Encounter", identity)
                    if isinstance(answer, Gone) or (answer is None and shown):
                        self.gone.append(identity)

    async def _report_orphans(self) -> None:
        """Lines whose encounter this run did not meet: fine when the server has it, reported when it does not."""
        unmet = {identity: lines for identity, lines in self.elsewhere.items() if identity not in self.seen}
        for some in chunks(sorted(unmet), BATCH_SIZE):
            found = await self.gatherer.fetch({("Encounter", identity) for identity in some})
            lost = {line for identity in some if found["Encounter", identity] is None for line in unmet[identity]}
            for key, entry in (await self.gatherer.fetch(lost)).items():
                if entry is not None and entry.resource.get("status") not in ("entered-in-error", "not-done"):
                    self.gatherer.refuse(entry, key[0], NO_ENCOUNTER)

    def _report_lost_lines(self) -> None:
        for child, line in self.strays.values():
            self.gatherer.refuse(line, child.type, NO_VISIT)

    # ------------------------------------------------------------ the cursor

    def _new_cursor(self, rescan: bool, fingerprint: str) -> dict[str, str]:
        """The server's time when the walk began, for every resource polled; the old one where the server told no time."""
        cursor: dict[str, Any] = {name: value for name, value in self.cursor.items() if name not in ("rescan", "patients")}
        at = self.discovery.started or self.discovery.latest
        if at is not None:
            cursor.update(dict.fromkeys(["Encounter", *self._tracked()], instant_text(at)))
        cursor["rescan"] = instant_text(self.now.astimezone(UTC)) if rescan else self.cursor.get("rescan", "")
        if fingerprint:
            cursor["patients"] = fingerprint
        return cursor
