"""Joining FHIR resources to encounters, and the one payload that each visit becomes. Pure: asks nobody for anything."""

from __future__ import annotations

import hashlib
from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta, tzinfo
from typing import Any

from ptbridge.model import SourceRecord
from ptbridge.wire.fhir import Entry
from ptbridge.wire.fhir_plan import Child, Path
from ptbridge.wire.fhir_references import Key, follow, identifier_keys, items, reference_key, text_key
from ptbridge.wire.source_client import SourceClient

MEDIA_TYPE = "application/fhir+json"

# Elements whose targets travel with a visit: element, element inside it, and the type that a reference without one means.
REFERENCES: Mapping[str, tuple[tuple[str, str, str], ...]] = {
    "Encounter": (
        ("participant", "individual", "Practitioner"),
        ("location", "location", "Location"),
        ("diagnosis", "condition", "Condition"),
        ("reasonReference", "", "Condition"),
        ("appointment", "", "Appointment"),
        ("basedOn", "", "ServiceRequest"),
        ("account", "", "Account"),
    ),
    "Procedure": (
        ("performer", "actor", "Practitioner"),
        ("reasonReference", "", "Condition"),
        ("location", "", "Location"),
    ),
    "ChargeItem": (("performer", "actor", "Practitioner"),),
    "DocumentReference": (("author", "", "Practitioner"), ("authenticator", "", "Practitioner")),
    "Coverage": (("payor", "", "Organization"),),
    "PractitionerRole": (("practitioner", "", "Practitioner"),),
    "ServiceRequest": (("basedOn", "", "CarePlan"),),
}
TRAVELLING_TYPES = frozenset({"Practitioner", "PractitionerRole", "Location", "Organization", "Condition"})
LEADING_TYPES = frozenset({"PractitionerRole", "ServiceRequest"})  # what these refer to travels too


def civil_day(value: object, time_zone: tzinfo) -> date | None:
    """The civil day of a FHIR date or dateTime in this zone; None when it names no day (year only, nonsense).

    A time without a zone is taken as local there: FHIR forbids it, peers send it.
    """
    if not isinstance(value, str) or len(value) < 10:
        return None
    try:
        if len(value) == 10:
            return date.fromisoformat(value)
        instant = datetime.fromisoformat(value)
        return (instant.astimezone(time_zone) if instant.tzinfo else instant).date()
    except (ValueError, OverflowError):
        return None


def first_day(resource: dict[str, Any], paths: Iterable[Path], time_zone: tzinfo) -> date | None:
    """The first of these paths that names a day."""
    for path in paths:
        for value in follow(resource, path):
            if (day := civil_day(value, time_zone)) is not None:
                return day
    return None


Span = tuple[date, date]
# A recurring account is one Encounter over weeks; beyond this it is looked for on its first and last day only.
LONGEST_SPAN = timedelta(days=62)


def span_of(encounter: dict[str, Any], time_zone: tzinfo) -> Span | None:
    """First and last civil day of an Encounter; None when its period names neither."""
    period = encounter.get("period")
    if not isinstance(period, dict):
        return None
    start, end = civil_day(period.get("start"), time_zone), civil_day(period.get("end"), time_zone)
    first, last = start or end, end or start
    return (min(first, last), max(first, last)) if first is not None and last is not None else None


def days_of(span: Span | None) -> list[date]:
    """Every day of it."""
    if span is None:
        return []
    length = span[1] - span[0]
    if length > LONGEST_SPAN:
        return [*span]
    return [span[0] + timedelta(days=number) for number in range(length.days + 1)]


def readable(entry: Entry, resource_type: str) -> str | None:
    """Why this entry cannot be used as a resource of that type, None when it can."""
    resource: object = entry.resource
    if not isinstance(resource, dict):
        return f"a {resource_type} was asked for and something that is no resource came back"
    if resource.get("resourceType") != resource_type:
        kind = resource.get("resourceType")
        kind = kind if isinstance(kind, str) and kind.isalpha() else "something else"
        return f"a {resource_type} was asked for and {kind} came back"
    identity = resource.get("id")
    if not isinstance(identity, str) or not identity:
        return f"the {resource_type} has no id"
    return None


def key_of(entry: Entry) -> Key:
    """Type and id of a readable entry."""
    return (entry.resource["resourceType"], entry.resource["id"])


def collection_bundle(entries: Iterable[Entry]) -> bytes:
    """A collection Bundle of these resources, each byte for byte as it was received."""
    inner = b'},{"resource":'.join([entry.raw for entry in entries])
    opening = b'{"resourceType":"Bundle","type":"collection","entry":['
    return opening + b'{"resource":' + inner + b"}]}" if inner else opening + b"]}"


def source_record(client: SourceClient, record_key: str, entries: list[Entry], received_at: datetime) -> SourceRecord:
    """One visit as a source record: `entries` in payload order, the Encounter first."""
    meta = entries[0].resource.get("meta") if isinstance(entries[0].resource, dict) else None
    version = meta.get("versionId") or meta.get("lastUpdated") if isinstance(meta, dict) else None
    return SourceRecord(
        clinic=client.clinic,
        source=client.source,
        record_key=record_key,
        media_type=MEDIA_TYPE,
        payload=collection_bundle(entries),
        received_at=received_at,
        version=version if isinstance(version, str) else "",
        document=[entry.resource for entry in entries],
    )


def unreadable_record(client: SourceClient, entry: Entry, resource_type: str, reason: str) -> tuple[SourceRecord, str]:
    """A resource that cannot be joined, as a record that can be quarantined: named by its id, or else by its content."""
    named = readable(entry, resource_type) is None
    name = entry.resource["id"] if named else "sha256-" + hashlib.sha256(entry.raw).hexdigest()[:16]
    return source_record(client, f"{resource_type}/{name}", [entry], client.now()), reason


@dataclass(slots=True, repr=False)
class Visits:
    """A batch of encounters with what has been joined to each; lines that belong to none of them are set aside.

    `elsewhere` are lines that name an encounter outside the batch, as (encounter id, child, line). `strays` are lines that
    name none and fit no visit, or fit several, of that patient, day and performer; `matched` are those that fit one.
    """

    time_zone: tzinfo
    base_url: str
    encounters: dict[str, Entry]
    spans: dict[str, Span | None] = field(default_factory=dict)
    patients: dict[str, Key | None] = field(default_factory=dict)
    people: dict[str, Entry] = field(default_factory=dict)
    members: dict[str, dict[Key, Entry]] = field(default_factory=dict)
    elsewhere: list[tuple[str, Child, Entry]] = field(default_factory=list)
    strays: list[tuple[Child, Entry]] = field(default_factory=list)
    matched: dict[Key, str] = field(default_factory=dict)
    _by_day: dict[tuple[Key, date], list[str]] = field(default_factory=lambda: defaultdict(list))
    _by_identifier: dict[Key, str] | None = None

    @classmethod
    def of(cls, entries: Iterable[Entry], time_zone: tzinfo, base_url: str) -> Visits:
        """A batch of readable Encounters; of the same one twice, the last counts."""
        visits = cls(time_zone, base_url, {entry.resource["id"]: entry for entry in entries})
        for identity, entry in visits.encounters.items():
            visits.members[identity] = {}
            visits.spans[identity] = span_of(entry.resource, time_zone)
            visits.patients[identity] = reference_key(entry.resource.get("subject"), "Patient", base_url)
        return visits

    def admit(self, patients: Mapping[Key, Entry | None]) -> None:
        """Give each visit its Patient; a logical reference to one becomes its key. Index the visits by patient and day."""
        for identity, key in self.patients.items():
            if key is None:
                continue
            if (found := patients.get(key)) is not None:
                self.people[identity] = found
                self.patients[identity] = key = key_of(found)
            for day in days_of(self.spans[identity]):
                self._by_day[key, day].append(identity)

    def entries(self, identity: str) -> list[Entry]:
        """One visit in payload order: the Encounter, its Patient, then the rest by type and id."""
        members = self.members[identity]
        person = [self.people[identity]] if identity in self.people else []
        return [self.encounters[identity], *person, *(members[key] for key in sorted(members))]

    def join(self, child: Child, entry: Entry) -> None:
        """Give this resource to the visits that it names, else (a line or a note) to the one that it fits."""
        named = False
        path = child.encounter_path
        whole = entry.resource.get(path[0]) if len(path) == 1 else None
        # By hand what `follow` does for the usual shape: one reference, at one step.
        for reference in (whole,) if type(whole) is dict else follow(entry.resource, path):
            key = reference_key(reference, "Encounter", self.base_url)
            if key is None and not _leads(reference):
                continue
            named = True
            identity = self._encounter(key) if key is not None and key[0] == "Encounter" else None
            if identity is not None:
                self.members[identity][key_of(entry)] = entry
            elif child.is_line and key is not None and key[0] == "Encounter":
                self.elsewhere.append((key[1], child, entry))
            elif child.is_line:
                self.strays.append((child, entry))
        if not named:
            self._fit(child, entry)

    def _encounter(self, key: Key) -> str | None:
        if not key[1].startswith("?"):
            return key[1] if key[1] in self.encounters else None
        if self._by_identifier is None:
            self._by_identifier = {
                each: identity for identity, entry in self.encounters.items() for each in identifier_keys(entry.resource)
            }
        return self._by_identifier.get(key)

    def _fit(self, child: Child, entry: Entry) -> None:
        if not child.day_paths:
            return
        identity = self._fitting(child, entry)
        if identity is not None:
            self.members[identity][key_of(entry)] = entry
            self.matched[key_of(entry)] = identity
        elif child.is_line:
            self.strays.append((child, entry))

    def _fitting(self, child: Child, entry: Entry) -> str | None:
        """The one visit of the same patient, the same civil day and, where both sides name one, the same performer."""
        day = first_day(entry.resource, child.day_paths, self.time_zone)
        subject = next(iter(follow(entry.resource, child.patient_path)), None)
        patient = reference_key(subject, "Patient", self.base_url)
        if day is None or patient is None:
            return None
        candidates = self._by_day.get((patient, day), ())
        if performers := self._people(entry, child.performer_path):
            seen = {each: self._people(self.encounters[each], ("participant", "individual")) for each in candidates}
            candidates = [each for each in candidates if not seen[each] or performers & seen[each]]
        return candidates[0] if len(candidates) == 1 else None

    def _people(self, entry: Entry, path: Path) -> set[Key]:
        keys = (reference_key(one, "Practitioner", self.base_url) for one in follow(entry.resource, path))
        return {key for key in keys if key is not None}


def _leads(reference: object) -> bool:
    """True when a Reference names something; a display alone names nothing."""
    return isinstance(reference, dict) and ("reference" in reference or "identifier" in reference)


def travelling(resources: Iterable[Entry], base_url: str, opted: frozenset[str] = frozenset()) -> list[Key]:
    """Keys of everything that these resources refer to and that should travel with them, each once, in order.

    `opted` are the types that the clinic asked for besides those that always travel.
    """
    types = TRAVELLING_TYPES | opted
    keys: dict[Key | None, None] = {}
    for entry in resources:
        resource = entry.resource
        for outer, inner, expected in REFERENCES.get(resource["resourceType"], ()):
            # By hand what `follow` does: this is the hottest loop of a walk.
            values = resource.get(outer)
            if values is None:
                continue
            for value in values if type(values) is list else (values,):
                reference = value.get(inner) if inner and type(value) is dict else value
                if type(reference) is dict and type(text := reference.get("reference")) is str:
                    keys[text_key(text, expected, base_url)] = None
                elif reference is not None:
                    keys.update((reference_key(one, expected, base_url), None) for one in items(reference))
    return [key for key in keys if key is not None and key[0] in types]


SUBSCRIBER_TYPES = frozenset({"Patient", "RelatedPerson"})
_PEOPLE = {"Coverage": ("subscriber",), "Account": ("guarantor", "party")}


def subscribers(resources: Iterable[Entry], base_url: str, patient: Key | None) -> list[Key]:
    """Keys of the people, other than this patient, whose coverages stand among these resources, or who guarantee an account."""
    found = []
    for entry in resources:
        path = _PEOPLE.get(entry.resource["resourceType"])
        for reference in follow(entry.resource, path) if path is not None else ():
            key = reference_key(reference, "Patient", base_url)
            if key is not None and key != patient and key[0] in SUBSCRIBER_TYPES:
                found.append(key)
    return found


def not_ready(document: Iterable[object], ready_when: Mapping[str, str | tuple[str, ...]]) -> list[str]:
    """Why a visit is not ready to bill, by a clinic's `ready_when` table; empty when it is.

    `document` is a record's parsed resources. Each row is `Resource.element: allowed values`; it holds when the visit has
    such a resource, and every one of them has an allowed value there (any of its values, where the element repeats).
    """
    resources = [one for one in document if isinstance(one, dict)]
    reasons = []
    for row, values in ready_when.items():
        allowed = {values} if isinstance(values, str) else set(values)
        kind, *path = row.split(".")
        found = [one for one in resources if one.get("resourceType") == kind]
        wanted = f"{row} must be {' or '.join(sorted(allowed))}"
        if not found:
            reasons.append(f"{wanted}, and the visit has no {kind}")
        for one in found:
            given = [str(value) for value in follow(one, tuple(path)) if not isinstance(value, dict)]
            if allowed.isdisjoint(given):
                reasons.append(f"{wanted}, not {', '.join(items(given)) or 'absent'}")
    return reasons
