"""The sections of a mapping compiled for HL7 v2: patient, coverages, clinicians and diagnoses."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import replace
from datetime import date
from operator import itemgetter
from typing import Any

from ptbridge.intake import coverages, values
from ptbridge.intake.coverages import coverage_of, in_force
from ptbridge.intake.fields import Reading
from ptbridge.intake.hl7 import values as hl7
from ptbridge.intake.hl7.converts import count, day, text
from ptbridge.intake.hl7.fields import Field, compile_take, remember
from ptbridge.intake.hl7.record import LENGTH, LineScope, Scope, SegmentScope, VisitRecord
from ptbridge.intake.hl7.section_source import Section
from ptbridge.model import Address, Coverage, Diagnosis, Guarantor, Patient, Provider, Severity, Subscriber
from ptbridge.specs.mapping import Mapping, texts
from ptbridge.wire.hl7_paths import SegmentPath
from ptbridge.wire.hl7v2 import Segment


def _texts(mapping: Mapping, section: str, *names: str) -> list[Field]:
    return [Field(mapping, section, name, text, grave=False) for name in names]


class Memory:
    """What a section said of the same segments before: a clinic's patients share most of its diagnoses.

    Only for sections whose paths stay inside the segments that they name, and only where nothing was reported.
    """

    def __init__(self, *fields: Field, names: Iterable[str] = ()) -> None:
        segments = {path.segment for field in fields for path in field.paths}
        self._names = tuple(dict.fromkeys([*names, *sorted(segments)]))
        self._lasting = not segments & {"FT1", "PR1", "OBX", "NTE"}
        self._known: dict[tuple[Any, ...], Any] = {}

    def of(self, record: VisitRecord, reading: Reading, read: Callable[[VisitRecord, Reading], Any]) -> Any:
        """What `read` gives for this record."""
        if not self._lasting:
            return read(record, reading)
        key = record.texts(self._names)
        value = self._known.get(key)
        if value is None:
            before = len(reading.findings)
            value = read(record, reading)
            if value is not None and len(reading.findings) == before:
                remember(self._known, key, value)
        return value


class PatientReader:
    """Compiled `patient`, with the merges that came since."""

    def __init__(self, mapping: Mapping) -> None:
        self.id = Field(mapping, "patient", "id", text)
        self.mrn, self.family, self.given, self.sex, self.phone = _texts(
            mapping, "patient", "mrn", "family", "given", "sex", "phone"
        )
        self.birth_date = Field(mapping, "patient", "birth_date", day, grave=False)
        self.address = Field(mapping, "patient", "address", text, grave=False)
        self.section = Section(self.id, self.mrn, self.family, self.given, self.birth_date, self.sex, self.phone)

    def read(self, record: VisitRecord, reading: Reading) -> Patient | None:
        """The patient under the record that survives; None when the messages name none."""
        identity, mrn, family, given, birth_date, sex, phone = self._fields(record, reading)
        if identity is None:
            return None
        identity, mrn, replaced_by = self._after_merges(record, identity, mrn)
        return Patient(
            id=identity,
            mrn=mrn,
            family=family,
            given=given,
            birth_date=birth_date,
            sex=sex,
            address=_address(self.address, record),
            phone=phone,
            replaced_by=replaced_by,
        )

    def _fields(self, record: VisitRecord, reading: Reading) -> tuple[Any, ...]:
        found = record.segments("PID")
        if not found:
            return self.section.slowly(record, reading)
        return self.section.read(found[0][0], record, reading, more=len(found) > 1)

    def _after_merges(self, record: VisitRecord, identity: str, mrn: str | None) -> tuple[str, str | None, str | None]:
        """Follow the merges, oldest first. One that came after the charges had left only names who is left (MP06)."""
        replaced_by: str | None = None
        for seen in record.merges():
            gone = {value for segment in seen.message.segments("MRG") for value in _identifiers(segment)}
            if (replaced_by or identity) not in gone:
                continue
            left = _first(self.id.paths, seen.message.segments("PID"))
            if left is None or left == identity:
                continue
            if replaced_by is not None or seen.use == "late-merge":
                replaced_by = left
            else:
                identity, mrn = left, _first(self.mrn.paths, seen.message.segments("PID"))
        return identity, mrn, replaced_by


def _address(field: Field, scope: Scope) -> Address | None:
    """XAD: street, other designation, city, state, postal code (HL7 v2.8.2 ch. 2A.3.88)."""
    for path in field.paths:
        for segments in scope.segments(path.segment):
            for repetition in segments[0].repetitions(path.field)[:1]:
                street, other, city, state, postal = segments[0].leaves(repetition, 5)
                lines = tuple(line for line in (street, other) if line)
                return Address(lines=lines, city=city, state=state, postal_code=postal)
    return None


def _identifiers(segment: Segment) -> list[str]:
    return [value for repetition in segment.repetitions(1) if (value := segment.leaf(repetition)) is not None]


def _first(paths: Iterable[SegmentPath], segments: Sequence[Segment]) -> str | None:
    return next((value for path in paths if (value := path.first(segments)) is not None), None)


class CoverageReader:
    """Compiled `coverages`: the insurances of the newest message that names any; later ones replace the whole list."""

    def __init__(self, mapping: Mapping) -> None:
        self.each = texts(mapping.spec.coverages.each)
        self.section = Section(
            Field(mapping, "coverages", coverages.ORDER, count),
            *(Field(mapping, "coverages", name, day) for name in coverages.PERIOD),
            *(Field(mapping, "coverages", name, text, grave=name != "id") for name in coverages.TEXTS),
        )
        self.subscriber = SubscriberReader(mapping)

    def read(self, record: VisitRecord, reading: Reading, on: date | None) -> tuple[Coverage, ...]:
        """The coverages in force on the service date, in their order."""
        return in_force([self._one(scope, reading) for scope in self._items(record)], on, reading)

    def _items(self, record: VisitRecord) -> list[SegmentScope]:
        for message in record.layers:
            segments = [segment for name in self.each for segment in message.segments(name)]
            if segments:
                kept = [segment for segment in segments if not (segment.is_null(2) or segment.is_null(3))]
                return [SegmentScope(segment, message, record) for segment in kept]
        return []

    def _one(self, scope: SegmentScope, reading: Reading) -> Coverage:
        coverage = coverage_of(self.section.read(scope.segment, scope, reading))
        other = self.subscriber.read(scope, reading) if coverage.relationship != "self" else None
        return coverage if other is None else replace(coverage, subscriber=other)


class SubscriberReader:
    """Compiled `coverages.subscriber_…`: the insured of an IN1, where that is not the patient."""

    def __init__(self, mapping: Mapping) -> None:
        self._texts = _texts(mapping, "coverages", "subscriber_family", "subscriber_given", "subscriber_sex")
        self._birth_date = Field(mapping, "coverages", "subscriber_birth_date", day, grave=False)
        self._address = Field(mapping, "coverages", "subscriber_address", text, grave=False)
        self.section = Section(*self._texts, self._birth_date)

    def read(self, scope: SegmentScope, reading: Reading) -> Subscriber | None:
        """None when the segment says nothing of anybody."""
        family, given, sex, birth_date = self.section.read(scope.segment, scope, reading)
        address = _address(self._address, scope)
        if not any((family, given, sex, birth_date, address)):
            return None
        return Subscriber(family=family, given=given, birth_date=birth_date, sex=sex, address=address)


class GuarantorReader:
    """Compiled `guarantor`: the first of the newest message that names any."""

    def __init__(self, mapping: Mapping) -> None:
        self.each = texts(mapping.spec.guarantor.each)
        names = ("family", "given", "sex", "phone")
        self._texts = {name: Field(mapping, "guarantor", name, text, grave=False) for name in names}
        self._relationship = Field(mapping, "guarantor", "relationship", text, grave=False)
        self._birth_date = Field(mapping, "guarantor", "birth_date", day, grave=False)
        self._address = Field(mapping, "guarantor", "address", text, grave=False)

    def read(self, record: VisitRecord, reading: Reading) -> Guarantor | None:
        """None when no message names a person."""
        for message in record.layers:
            for segment in (one for name in self.each for one in message.segments(name)):
                scope = SegmentScope(segment, message, record)
                said = {name: field.read(scope, reading) for name, field in self._texts.items()}
                if said["family"] is None:
                    return None
                return Guarantor(
                    **said,
                    birth_date=self._birth_date.read(scope, reading),
                    address=_address(self._address, scope),
                    relationship=self._related(scope),
                )
        return None

    def _related(self, scope: Scope) -> str | None:
        """Our word for it; one that the table does not have is left out, because it decides about no charge."""
        written, _ = self._relationship.first(scope)
        return self._relationship.word(written) if written is not None else None


class ProviderReader:
    """A clinician in a role: an XCN field (`each: FT1-20`), its parts where the standard has them, or as the mapping says.

    XCN (HL7 v2.8.2 ch. 2A.3.87): 1 id, 2 family, 3 given, 6 suffix, 7 degree, 13 identifier type.
    """

    def __init__(self, mapping: Mapping, role: str) -> None:
        self.role = role
        self.each = [compile_take(mapping, role, "each", path) for path in texts(getattr(mapping.spec, role).each)]
        self.id, self.npi, self.name, self.credential, self.taxonomy = _texts(
            mapping, role, "id", "npi", "name", "credential", "taxonomy"
        )
        self.severity = Severity.ERROR if role == "rendering" else Severity.WARNING
        own = (self.id, self.npi, self.name, self.credential, self.taxonomy)
        self._own_fields = sorted({path.field for field in own for path in field.paths})
        self._lasting = all(field.own_fields() is not None for field in own)
        self._bare = not any(field.paths or field.spec.fixed for field in own)
        self._known: dict[tuple[str, ...], Provider] = {}

    def read(self, record: VisitRecord, lines: Sequence[LineScope], reading: Reading) -> Provider | None:
        """The one clinician whom the lines, or else the visit's messages, name in this role."""
        for path in self.each:
            if self._lasting and lines and path.segment == "FT1" and not path.which and path.field < LENGTH:
                found = self._of_lines(path, lines, reading)
            else:
                scopes: Sequence[Scope] = lines if path.segment in ("FT1", "PR1") else [record]
                found = dict.fromkeys(one for scope in scopes if (one := self._one(path, scope, reading)) is not None)
            if len(found) > 1:
                reading.report(
                    "MP16", f"{len(found)} clinicians are named as {self.role}", where=self.role, severity=self.severity
                )
                return None
            if found:
                return next(iter(found))
        return None

    def _of_lines(self, path: SegmentPath, lines: Sequence[LineScope], reading: Reading) -> dict[Provider, None]:
        """The different clinicians of the lines; the same text in their fields is the same clinician."""
        texts_of = itemgetter(0, path.field, *self._own_fields)
        texts = [texts_of(scope.row) for scope in lines]
        found: dict[Provider, None] = {}
        for written in texts[:1] if texts.count(texts[0]) == len(texts) else dict.fromkeys(texts):
            one = self._known.get(written)
            if one is None:
                before = len(reading.findings)
                one = self._one(path, lines[texts.index(written)], reading)
                if one is not None and len(reading.findings) == before:
                    remember(self._known, written, one)
            if one is not None:
                found[one] = None
        return found

    def _one(self, path: SegmentPath, scope: Scope, reading: Reading) -> Provider | None:
        for segments in scope.segments(path.segment):
            segment = segments[0]
            key = (segment.delimiters.declared, segment.field(path.field))
            one = self._known.get(key) if self._bare else None
            if one is None:
                written = _xcn(segment, path.field)
                if written is None:
                    continue
                one = self._made(written, scope, reading)
                if self._bare:  # the field alone says who it is
                    remember(self._known, key, one)
            return one
        return None

    def _made(self, written: tuple[str, str | None, str], scope: Scope, reading: Reading) -> Provider:
        identity, name, credential = written
        return Provider(
            id=self._own(self.id, scope, reading) or identity,
            npi=hl7.npi(self._own(self.npi, scope, reading) or identity),
            name=self._own(self.name, scope, reading) or name,
            credential=values.credential(self._own(self.credential, scope, reading) or credential),
            taxonomy=self._own(self.taxonomy, scope, reading),
        )

    @staticmethod
    def _own(field: Field, scope: Scope, reading: Reading) -> str | None:
        value: Any = field.read(scope, reading)
        return value if isinstance(value, str) else None


_people: dict[tuple[str, str], tuple[str, str | None, str] | None] = {}


def _xcn(segment: Segment, position: int) -> tuple[str, str | None, str] | None:
    """(id, name, degree) of the repetition that is an NPI, else of the first; None without id and family name."""
    key = (segment.field(position), segment.delimiters.declared)
    if key not in _people:
        repetitions = segment.repetitions(position)
        chosen = next((one for one in repetitions if segment.leaf(one, 13) == "NPI"), next(iter(repetitions), ""))
        identity = segment.leaf(chosen)
        absent = identity is None and segment.leaf(chosen, 2) is None
        remember(_people, key, None if absent else (identity or "", _name(segment, chosen), segment.leaf(chosen, 7) or ""))
    return _people[key]


def _name(segment: Segment, repetition: str) -> str | None:
    return " ".join(part for part in (segment.leaf(repetition, 3), segment.leaf(repetition, 2)) if part) or None


class DiagnosisReader:
    """Compiled `diagnoses`: those of the newest charge message that has any, else of the newest message; each code once."""

    def __init__(self, mapping: Mapping) -> None:
        self.each = texts(mapping.spec.diagnoses.each)
        self.code = Field(mapping, "diagnoses", "code", text)
        self.rank = Field(mapping, "diagnoses", "rank", count, grave=False)
        self._memory = Memory(self.code, self.rank, names=self.each)

    def read(self, record: VisitRecord, of_lines: Iterable[str], reading: Reading) -> tuple[Diagnosis, ...]:
        """The diagnoses in billing order, then those that only a line names."""
        once: dict[str, Diagnosis] = self._memory.of(record, reading, self._ordered)
        extra = [code for code in dict.fromkeys(of_lines) if code not in once]
        return (*once.values(), *(Diagnosis(code=code) for code in extra))

    def _ordered(self, record: VisitRecord, reading: Reading) -> dict[str, Diagnosis]:
        """Each code once, in billing order."""
        once: dict[str, Diagnosis] = {}
        for one in sorted(self._listed(record, reading), key=lambda one: (one.rank is None, one.rank or 0)):
            once.setdefault(one.code, one)
        return once

    def _listed(self, record: VisitRecord, reading: Reading) -> Iterator[Diagnosis]:
        for message in record.charging_first:
            segments = [segment for name in self.each for segment in message.segments(name)]
            if not segments:
                continue
            for segment in segments:
                scope = SegmentScope(segment, message, record)
                code = self.code.read(scope, reading)
                if code is not None:
                    yield Diagnosis(code=hl7.icd10(code), system=segment.value(3, 3), rank=self.rank.read(scope, reading))
            return
