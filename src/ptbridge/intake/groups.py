"""The groups of a mapping (patient, coverages, clinicians, diagnoses, note) compiled to functions that read them."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import date, datetime
from typing import Any

from ptbridge.intake import coverages, values
from ptbridge.intake.converts import as_it_stands, count, day, flag, instant, text
from ptbridge.intake.coverages import coverage_of, in_force
from ptbridge.intake.fhirpath import Path
from ptbridge.intake.fields import Field, Reading, codings, compile_field, compile_take, nodes, words
from ptbridge.intake.record_index import RecordIndex
from ptbridge.intake.section_source import Section, Slot
from ptbridge.model import Coverage, Diagnosis, Patient, Provider, Severity, Subscriber
from ptbridge.specs.mapping import Mapping, texts

Item = tuple[Any, str]  # a node and its resource type ('' inside a resource)


class Group:
    """The items of a section: the first `each` path that gives any, less those that `when` leaves out."""

    def __init__(self, mapping: Mapping, section: str) -> None:
        spec = getattr(mapping.spec, section)
        self.paths = [compile_take(mapping, section, "each", each) for each in texts(spec.each)]
        when = getattr(spec, "when", {})
        self.when = [
            (compile_take(mapping, section, "when", path), frozenset(texts(allowed))) for path, allowed in when.items()
        ]
        self._finders = [(path, _finder(path)) for path in self.paths]

    def items(self, reading: Reading) -> list[Item]:
        """The items with their types."""
        return self.winner(reading)[0]

    def winner(self, reading: Reading) -> tuple[list[Item], Path | None]:
        """The items, and the path that gave them."""
        for path, find in self._finders:
            found = find(reading.index)
            if found and self.when:
                found = [entry for entry in found if self._allowed(entry, reading)]
            if found:
                return found, path
        return _NO_ITEMS, None

    def _allowed(self, entry: Item, reading: Reading) -> bool:
        item, kind = entry
        for path, allowed in self.when:
            for node in nodes(path, item, kind, reading.index):
                first = path.first(node, reading.index)
                if first.__class__ is str and first in allowed:  # the usual shape: one text
                    break
                if any(word in allowed for value in path.every(node, reading.index) for word in words(value)):
                    break
            else:
                return False
        return True


_NO_ITEMS: list[Item] = []


def _finder(path: Path) -> Callable[[RecordIndex], list[Item]]:
    """What gives the items at a path of `each`."""
    root, every = path.root, path.every
    if root is not None and path.text == root:  # a bare resource type
        return lambda index: [(item, root) for item in index.types.get(root, ())]

    def find(index: RecordIndex) -> list[Item]:
        found = []
        for node in index.types.get(root, ()) if root else (None,):
            for item in every(node, index):
                if item.__class__ is dict:
                    found.append((item, item.get("resourceType") or ""))  # noqa: PERF401 - most give none: a loop is faster
        return found

    return find


class Memory:
    """Remembers what was made of a resource that many records share, such as a Practitioner of the same page.

    Keyed by the object itself, which it keeps alive; nothing that was found wrong is remembered, so it is found again.
    Used only where the mapping reads nothing but the resource itself.
    """

    SIZE = 4096

    def __init__(self, section: Section) -> None:
        self._made: dict[int, tuple[Any, Any]] = {}
        paths = [path for slot in section.slots for path in slot.field.paths]
        self._usable = all(path.native and "resolve()" not in path.text and path.root != "Encounter" for path in paths)

    def make(self, item: Any, kind: str, reading: Reading, make: Callable[[Any, str, Reading], Any]) -> Any:
        """What `make` makes of this item, from memory if it was made before without a finding."""
        known = self._made.get(id(item))
        if known is not None and known[0] is item:
            return known[1]
        before = len(reading.findings)
        made = make(item, kind, reading)
        if self._usable and len(reading.findings) == before:
            if len(self._made) >= self.SIZE:
                self._made.clear()
            self._made[id(item)] = (item, made)
        return made


_PATIENT_ITEMS = frozenset({"Patient", "visit"})  # FHIR's resource; the merged row of an extract's visit


def compile_patient(mapping: Mapping) -> Callable[[Reading], Patient | None]:
    """The patient; None when the encounter names none at all."""
    group = Group(mapping, "patient")

    def patient_field(name: str, convert: Any = text) -> Field:
        return compile_field(mapping, "patient", name, convert, grave=False)

    section = Section(
        *(Slot(patient_field(name)) for name in ("id", "mrn", "family", "given", "sex", "phone")),
        Slot(patient_field("birth_date", lambda raw, _reading: values.birth_date(raw))),
        Slot(patient_field("address", lambda raw, _reading: values.address(raw))),
        Slot(patient_field("replaced_by", lambda raw, _reading: values.reference_id(raw) or "another record")),
    )
    memory = Memory(section)

    def one(item: Any, kind: str, reading: Reading) -> Patient:
        id_, mrn, family, given, sex, phone, birth_date, address, replaced_by = section.read(item, kind, reading)
        return Patient(
            id=id_ or "",
            mrn=mrn,
            family=family,
            given=given,
            birth_date=birth_date,
            sex=sex,
            address=address,
            phone=phone,
            replaced_by=replaced_by,
        )

    def read(reading: Reading) -> Patient | None:
        items = group.items(reading)
        if not items:
            return None
        found = follow(items[0], reading)
        if found is not None and found[1] in _PATIENT_ITEMS:
            patient: Patient = memory.make(*found, reading, one)
            return patient if patient.id else None
        identity = values.reference_id(items[0][0])
        if identity is None:
            return None
        where = group.paths[0].text
        reading.report("MP04", "the visit's patient is not in the record", where=where, severity=Severity.ERROR)
        return Patient(id=identity)

    return read


def follow(entry: Item, reading: Reading) -> Item | None:
    """The resource itself, or where a reference leads; None when it leads nowhere in this record."""
    if entry[1]:
        return entry
    resource = reading.index.resolve(entry[0])
    return (resource, resource["resourceType"]) if resource is not None else None


def compile_coverages(mapping: Mapping) -> Callable[[Reading, date | None], tuple[Coverage, ...]]:
    """The coverages in force on the service date, in billing order."""
    group = Group(mapping, "coverages")
    section = Section(
        Slot(compile_field(mapping, "coverages", coverages.ORDER, count)),
        *(Slot(compile_field(mapping, "coverages", name, day)) for name in coverages.PERIOD),
        *(Slot(compile_field(mapping, "coverages", name, text, grave=False)) for name in coverages.TEXTS),
    )
    subscriber = compile_subscriber(mapping)
    memory = Memory(section)

    def one(item: Any, kind: str, reading: Reading) -> Coverage:
        return coverage_of(section.read(item, kind, reading))

    def whole(item: Any, kind: str, reading: Reading) -> Coverage:
        coverage: Coverage = memory.make(item, kind, reading, one)
        if coverage.relationship == "self":
            return coverage
        other = subscriber(item, kind, reading)  # outside of the memory: it is read from another resource
        return coverage if other is None else replace(coverage, subscriber=other)

    def read(reading: Reading, on: date | None) -> tuple[Coverage, ...]:
        return in_force([whole(item, kind, reading) for item, kind in group.items(reading)], on, reading)

    return read


def compile_subscriber(mapping: Mapping) -> Callable[[Any, str, Reading], Subscriber | None]:
    """The other person whose coverage an item is; None when the source says nothing of anybody."""
    names = ("subscriber_family", "subscriber_given", "subscriber_sex")
    section = Section(
        *(Slot(compile_field(mapping, "coverages", name, text, grave=False)) for name in names),
        Slot(_own(mapping, "subscriber_birth_date", values.birth_date)),
        Slot(_own(mapping, "subscriber_address", values.address)),
    )

    def read(item: Any, kind: str, reading: Reading) -> Subscriber | None:
        found = section.read(item, kind, reading)
        if found == _NOBODY:
            return None
        family, given, sex, birth_date, address = found
        return Subscriber(family=family, given=given, birth_date=birth_date, sex=sex, address=address)

    return read


_NOBODY = (None,) * 5


def _own(mapping: Mapping, name: str, convert: Callable[[Any], Any]) -> Field:
    return compile_field(mapping, "coverages", name, lambda raw, _reading: convert(raw), grave=False)


def compile_provider(mapping: Mapping, role: str) -> Callable[[Reading], Provider | None]:
    """The clinician in a role; None when nobody, or several, are named."""
    group = Group(mapping, role)
    section = Section(
        *(Slot(compile_field(mapping, role, name, text, grave=False)) for name in ("id", "npi", "taxonomy")),
        Slot(compile_field(mapping, role, "name", lambda raw, _reading: values.person_name(raw), grave=False)),
        Slot(compile_field(mapping, role, "credential", lambda raw, _reading: values.credential(raw), grave=False)),
    )
    memory = Memory(section)
    severity = Severity.ERROR if role == "rendering" else Severity.WARNING

    def one(item: Any, kind: str, reading: Reading) -> Provider:
        id_, npi, taxonomy, name, credential = section.read(item, kind, reading)
        return Provider(id=id_ or "", npi=npi, name=name, credential=credential, taxonomy=taxonomy)

    def read(reading: Reading) -> Provider | None:
        items = group.items(reading)
        if not items:
            return None
        first = items[0]
        if len(items) > 1 and any(other != first for other in items):
            reading.report("MP16", f"{len(items)} clinicians are named as {role}", where=role, severity=severity)
            return None
        found = follow(first, reading)
        if found is not None:
            provider: Provider = memory.make(*found, reading, one)
            return provider
        reading.report("MP04", f"the {role} clinician that the visit names is not in the record", where=role)
        identity = values.reference_id(first[0])
        return Provider(id=identity) if identity else None

    return read


def compile_diagnoses(mapping: Mapping) -> Callable[[Reading], tuple[Diagnosis, ...]]:
    """The visit's ICD-10-CM diagnoses in billing order, each once."""
    group = Group(mapping, "diagnoses")
    section = Section(
        Slot(compile_field(mapping, "diagnoses", "code", as_it_stands), "every"),
        Slot(compile_field(mapping, "diagnoses", "rank", count, grave=False)),
    )
    find = icd_codes(mapping)

    def read(reading: Reading) -> tuple[Diagnosis, ...]:
        found: list[Diagnosis] = []
        for item, kind in group.items(reading):
            concepts, place = section.read(item, kind, reading)
            if not concepts:
                reading.report("MP04", "a diagnosis of the visit is not in the record", where="diagnoses")
            found += [Diagnosis(code=icd, system=system, rank=place) for system, icd in find(concepts)]
        found.sort(key=lambda diagnosis: (diagnosis.rank is None, diagnosis.rank or 0))
        once: dict[str, Diagnosis] = {}
        for diagnosis in found:
            once.setdefault(diagnosis.code, diagnosis)
        return tuple(once.values())

    return read


def icd_codes(mapping: Mapping) -> Callable[[list[Any]], Iterator[tuple[str, str]]]:
    """A function that gives (system, code) of the ICD-10-CM codings among some concepts."""
    systems = frozenset(mapping.spec.code_systems.diagnosis)

    def find(concepts: list[Any]) -> Iterator[tuple[str, str]]:
        for concept in concepts:
            for system, code in codings(concept):
                if system in systems:
                    yield system, code.upper()

    return find


def compile_note(mapping: Mapping) -> Callable[[Reading], tuple[bool | None, datetime | None]]:
    """(signed, signed at): False when any note is unsigned; None when there is no note, or none says."""
    group = Group(mapping, "note")
    signed = Section(Slot(compile_field(mapping, "note", "signed", flag)))
    signed_at = Section(Slot(compile_field(mapping, "note", "signed_at", instant, grave=False)))

    def read(reading: Reading) -> tuple[bool | None, datetime | None]:
        items = group.items(reading)
        if not items:
            return None, None
        answers = [signed.read(item, kind, reading)[0] for item, kind in items]
        if not all(answers):
            return (False if False in answers else None), None
        moments = [moment for item, kind in items if (moment := signed_at.read(item, kind, reading)[0]) is not None]
        return True, max(moments, default=None)

    return read
