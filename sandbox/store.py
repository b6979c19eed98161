"""What the sandbox EMR holds: every resource once, found by id, by patient, by encounter and by the time of its last change.

A resource is kept as bytes, or as a number that says how to make them when they are asked for (100,000 visits fit so).
Versions and `lastUpdated` are maintained; as on real servers, a change of a Procedure does not touch its Encounter.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from datetime import UTC, datetime, timedelta, tzinfo
from functools import partial

import orjson

from . import charting, late_edits
from .charting import Resource
from .facts import date_of, encounter_ids, patient_id, version_of
from .fhir_time import EARLIEST, LATEST, milliseconds, readable_range
from .maker import Scale
from .shelf import Entry, Shelf

Change = Callable[[Resource], None]


class Store:
    """The EMR's database. `clock` gives the server's time; `time_zone` is that of dates without one."""

    def __init__(
        self,
        resources: Iterable[Resource] = (),
        *,
        clock: Callable[[], datetime] = lambda: datetime.now(UTC),
        time_zone: tzinfo = UTC,
    ) -> None:
        self._clock = clock
        self._last_write = EARLIEST
        self._scale: Scale | None = None
        self.time_zone = time_zone
        self.shelves: dict[str, Shelf] = {}
        self.tombstones: set[tuple[str, str]] = set()
        for resource in resources:
            self.add(resource)

    # ------------------------------------------------------------ reading

    def now(self) -> datetime:
        """The server's time."""
        return self._clock()

    def get(self, type_: str, id_: str) -> Entry | None:
        """The entry that a read would find, or None."""
        entry = self.shelf(type_).by_id.get(id_)
        return None if entry is None or entry.hidden else entry

    def shelf(self, type_: str) -> Shelf:
        """The shelf of a resource type, an empty one when nothing is there."""
        return self.shelves.get(type_) or Shelf()

    def body(self, entry: Entry) -> bytes:
        """The resource's bytes; a lazy one is made on the spot and not kept."""
        if isinstance(entry.body, bytes):
            return entry.body
        assert self._scale is not None, "only add_visits stores lazy entries"
        return orjson.dumps(self._scale.part(*divmod(entry.body, 16)))

    def resource(self, type_: str, id_: str) -> Resource:
        """The resource as a fresh dict. Raises KeyError when it is not there."""
        resource: Resource = orjson.loads(self.body(self.shelf(type_).by_id[id_]))
        return resource

    def __len__(self) -> int:
        return sum(len(shelf.by_id) for shelf in self.shelves.values())

    # ------------------------------------------------------------ filling

    def add(self, resource: Resource) -> Entry:
        """Store a resource; without `meta.lastUpdated` it gets version 1, written now."""
        meta = resource.get("meta")
        if not isinstance(meta, dict) or "lastUpdated" not in meta:
            resource = {**resource, "meta": {**charting.meta(self._write_time()), **(meta or {})}}
        return self.add_as_is(orjson.dumps(resource), resource)

    def add_as_is(self, body: bytes, resource: Resource, *, id_: str | None = None) -> Entry:
        """Store bytes untouched, however odd; `id_` is for the URL where the resource has none."""
        meta = resource.get("meta")
        updated = readable_range(meta.get("lastUpdated") if isinstance(meta, dict) else None, self.time_zone)
        entry = Entry(
            str(resource["resourceType"]),
            id_ or str(resource["id"]),
            body,
            patient=patient_id(resource),
            encounters=encounter_ids(resource),
            status=resource.get("status") if isinstance(resource.get("status"), str) else None,
            dates=date_of(resource, self.time_zone) or (EARLIEST, LATEST),
            updated=updated[0] if updated else milliseconds(self._write_time()),
            version=version_of(meta),
        )
        self._put(entry)
        return entry

    def _put(self, entry: Entry) -> None:
        shelf = self.shelves.setdefault(entry.type, Shelf())
        earlier = shelf.by_id.get(entry.id)
        if earlier is not None:
            shelf.remove(earlier)
            earlier.gone = True
        shelf.add(entry)

    def add_visits(self, scale: Scale) -> None:
        """Store all visits of `scale` (once), each resource as a number until somebody asks for it."""
        assert self._scale is None, "one scale for each store"
        self._scale = scale
        for resource in scale.shared():
            self.add(resource)
        for number in range(scale.count):
            for entry in _lazy_entries(scale, number):
                self.shelves.setdefault(entry.type, Shelf()).add(entry)

    # ------------------------------------------------------------ changing

    def edit(self, type_: str, id_: str, change: Change) -> None:
        """Change one resource in place; its version and lastUpdated move on, no other resource's do."""
        entry = self.shelf(type_).by_id[id_]
        resource = self.resource(type_, id_)
        change(resource)
        moment = self._write_time()
        entry.version += 1
        resource["meta"] = {**resource.get("meta", {}), **charting.meta(moment, entry.version)}
        entry.body = orjson.dumps(resource)
        if isinstance(resource.get("status"), str):
            entry.status = resource["status"]
        entry.start, entry.end = date_of(resource, self.time_zone) or (EARLIEST, LATEST)
        self.shelves[type_].touch(entry, milliseconds(moment))

    def edit_visit(self, encounter_id: str, minutes: Mapping[str, int], *, bump_encounter: bool = True) -> None:
        """A late edit: new minutes for the visit's codes, and new totals.

        The totals live on the Encounter, so it changes too; `bump_encounter=False` keeps its version and lastUpdated as
        they were, as servers do that watch only the Encounter's own form.
        """
        entries = self.shelf("Procedure").by_encounter.get(encounter_id, [])
        for entry in entries:
            code = late_edits.procedure_code(self.resource("Procedure", entry.id))
            if code in minutes:
                self.edit("Procedure", entry.id, partial(late_edits.set_minutes, minutes=minutes[code]))
        procedures = [self.resource("Procedure", entry.id) for entry in entries]
        recount = partial(late_edits.set_totals, procedures=procedures)
        if bump_encounter:
            self.edit("Encounter", encounter_id, recount)
        else:
            encounter = self.resource("Encounter", encounter_id)
            recount(encounter)
            self.shelves["Encounter"].by_id[encounter_id].body = orjson.dumps(encounter)

    def sign_note(self, encounter_id: str) -> None:
        """Sign the visit's note: only the DocumentReference changes."""
        for entry in self.shelf("DocumentReference").by_encounter.get(encounter_id, []):
            self.edit("DocumentReference", entry.id, late_edits.sign)

    def delete(self, type_: str, id_: str) -> None:
        """Delete a resource: a read then answers 410, a search no longer finds it."""
        entry = self.shelf(type_).by_id[id_]
        self.shelves[type_].remove(entry)
        entry.gone = True
        self.tombstones.add((type_, id_))

    def hide(self, type_: str, id_: str) -> None:
        """Keep a resource from being seen, as if its transaction had not committed yet."""
        self.shelf(type_).by_id[id_].hidden = True

    def reveal(self, type_: str, id_: str) -> None:
        """Let a hidden resource be seen, late: with the lastUpdated that it always had."""
        self.shelf(type_).by_id[id_].hidden = False

    def _write_time(self) -> datetime:
        """Now, and always later than the last write."""
        moment = self.now()
        if milliseconds(moment) <= self._last_write:
            moment = datetime.fromtimestamp(self._last_write / 1000, UTC) + timedelta(milliseconds=1)
        self._last_write = milliseconds(moment)
        return moment


def _lazy_entries(scale: Scale, number: int) -> Iterator[Entry]:
    plan = scale.plan(number)
    start, end = milliseconds(plan.start), milliseconds(charting.visit_end(plan))
    written = end + 480_000
    base, dates, of = number * 16, (start, end), (plan.id,)
    patient = plan.patient_id
    yield Entry("Encounter", plan.id, base, patient=patient, status=plan.status, dates=dates, updated=end + 600_000)
    index = 0
    for position in range(len(plan.lines)):
        index += 1
        name = f"{plan.id}-p{position + 1}"
        yield Entry(
            "Procedure", name, base + index, patient=patient, encounters=of, status="completed", dates=dates, updated=written
        )
    for position in range(len(plan.diagnoses)):
        index += 1
        yield Entry("Condition", f"{plan.id}-c{position + 1}", base + index, patient=patient, encounters=of, updated=written)
    signed = end + 1_500_000
    yield Entry(
        "DocumentReference", f"{plan.id}-note", base + index + 1, patient=patient, encounters=of, status="current",
        dates=(signed, signed + 1), updated=signed,
    )  # fmt: skip
    yield Entry(
        "Appointment", f"{plan.id}-apt", base + index + 2, patient=patient, status=plan.appointment, dates=dates, updated=start
    )
