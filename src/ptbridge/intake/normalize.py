"""SourceRecord -> Visit, by a mapping. Raises RecordError only when no visit can be made of the record at all.

Whatever else is wrong (a word that is not mapped, a negative quantity, a reference that leads nowhere) becomes a finding
on the visit, so that a person sees all of it at once.
"""

from __future__ import annotations

from datetime import date
from importlib import import_module
from typing import Any
from zoneinfo import ZoneInfo

import orjson

from ptbridge.errors import ConfigError, RecordError
from ptbridge.intake import values
from ptbridge.intake.compiled import CompiledMapping
from ptbridge.intake.converts import instant, text
from ptbridge.intake.fields import Reading, compile_field
from ptbridge.intake.groups import (
    compile_coverages,
    compile_diagnoses,
    compile_note,
    compile_patient,
    compile_provider,
)
from ptbridge.intake.lines import Lines
from ptbridge.intake.papers import compile_papers
from ptbridge.intake.record_index import RecordIndex, Resource
from ptbridge.intake.section_source import Section, Slot
from ptbridge.model import Discipline, Patient, SourceRecord, Visit, VisitStatus
from ptbridge.specs.mapping import LookupEntry, Mapping

WHEN_FACTS = ("discipline", "visit_type", "place_of_service", "status")
"""Facts of the visit that a look-up entry's `when` may ask for."""

TOTALS = ("timed_minutes_total", "treatment_minutes_total")
ROLES = ("rendering", "assistant", "supervising", "referring")


class FhirMapping:
    """A mapping of FHIR records made ready once per run; reading a record changes nothing but its memory of services."""

    def __init__(self, mapping: Mapping) -> None:
        self.mapping = mapping
        self.visit_id = compile_field(mapping, "visit", "visit_id", text).read
        self.version = compile_field(mapping, "visit", "version", text, grave=False).read
        self.facts = Section(
            Slot(compile_field(mapping, "visit", "service_date", _service_date)),
            *(Slot(compile_field(mapping, "visit", name, instant, grave=False)) for name in ("started_at", "ended_at")),
            Slot(compile_field(mapping, "visit", "discipline", _discipline)),
            *(Slot(compile_field(mapping, "visit", name, text)) for name in ("visit_type", "place_of_service")),
            Slot(compile_field(mapping, "visit", "status", _status)),
            *(Slot(compile_field(mapping, "visit", name, _minutes(mapping, name))) for name in TOTALS),
        )
        self.patient = compile_patient(mapping)
        self.coverages = compile_coverages(mapping)
        self.providers = [compile_provider(mapping, role) for role in ROLES]
        self.diagnoses = compile_diagnoses(mapping)
        self.note = compile_note(mapping)
        self.papers = compile_papers(mapping)
        self.lines = Lines(mapping)

    def normalize(self, record: SourceRecord, time_zone: ZoneInfo) -> Visit:
        """One FHIR record as a Visit.

        Raises RecordError for truncated JSON, a record without an Encounter, an Encounter without id or patient.
        """
        return read_visit(record, self, self.resources(record), time_zone)

    def resources(self, record: SourceRecord) -> list[Resource]:
        """The record taken apart: what the paths start from. Raises RecordError for what cannot be."""
        return record_resources(record)


# The `standard` of a mapping file -> the module that reads its records. What is not listed is FHIR.
_READERS = {"hl7v2": "ptbridge.intake.hl7", "extract": "ptbridge.intake.extract"}


def compile_mapping(mapping: Mapping) -> CompiledMapping:
    """Compile every path of a mapping. Raises ConfigError, with file and line, for a path or a word that cannot work."""
    _check_words(mapping)
    module = _READERS.get(mapping.spec.standard)
    if module is None:
        return FhirMapping(mapping)
    compiled: CompiledMapping = import_module(module).compile_mapping(mapping)  # read only where a clinic needs it
    return compiled


def normalize(record: SourceRecord, compiled: CompiledMapping, *, time_zone: ZoneInfo) -> Visit:
    """Read one record as a Visit. `time_zone` is the clinic's: it decides the service date.

    Raises RecordError when no visit can be made of the record at all.
    """
    return compiled.normalize(record, time_zone)


def read_visit(record: SourceRecord, compiled: FhirMapping, resources: list[Resource], time_zone: ZoneInfo) -> Visit:
    """The visit that the resources of a record tell. Raises RecordError when they name no visit or no patient."""
    reading = Reading(RecordIndex(resources), time_zone, compiled.mapping)
    reading.visit_id = visit_id = compiled.visit_id(None, "", reading)
    if visit_id is None:
        raise RecordError(
            "the Encounter has no id.", where="Encounter.id", fix="Ask the EMR's support: every resource has one."
        )
    patient = compiled.patient(reading)
    if patient is None:
        raise RecordError(
            "the Encounter names no patient.", where="Encounter.subject", fix="Link the visit to a patient in the EMR."
        )
    reading.patient = patient
    return _visit(record, compiled, reading, visit_id, patient)


def _visit(record: SourceRecord, compiled: FhirMapping, reading: Reading, visit_id: str, patient: Patient) -> Visit:
    if patient.replaced_by:
        reading.report("MP06", "the visit's patient record was merged into another", where="patient.replaced_by")
    on, started_at, ended_at, discipline, visit_type, place_of_service, status, timed, treatment = compiled.facts.read_visit(
        reading
    )
    status = status or VisitStatus.UNKNOWN
    facts = {"discipline": discipline, "visit_type": visit_type, "place_of_service": place_of_service, "status": status}
    rendering, assistant, supervising, referring = [read(reading) for read in compiled.providers]
    signed, signed_at = compiled.note(reading)
    slot = (started_at, ended_at) if started_at and ended_at else None
    return Visit(
        clinic=record.clinic,
        source=record.source,
        visit_id=visit_id,
        version=record.version or compiled.version(None, "", reading) or "",
        status=status,
        service_date=on,
        started_at=started_at,
        discipline=discipline,
        visit_type=visit_type,
        patient=patient,
        coverages=compiled.coverages(reading, on),
        rendering=rendering,
        assistant=assistant,
        supervising=supervising,
        referring=referring,
        diagnoses=compiled.diagnoses(reading),
        place_of_service=place_of_service,
        note_signed=signed,
        note_signed_at=signed_at,
        timed_minutes_total=timed,
        treatment_minutes_total=treatment,
        **compiled.papers(reading, on),
        interventions=compiled.lines.read(reading, facts.get, patient.id, slot),
        findings=tuple(reading.findings),
    )


# ---------------------------------------------------------------- the record


def record_resources(record: SourceRecord) -> list[Resource]:
    """The record's resources, with one Encounter: the one that the record is named after, else its first."""
    document = record.document
    if document is None:
        try:
            document = orjson.loads(record.payload)
        except orjson.JSONDecodeError as error:
            raise RecordError(
                f"not readable as JSON at byte {error.pos}.", where="payload", fix="Pull the record again; it may be cut off."
            ) from None
    resources = [resource for resource in _entries(document) if resource.__class__ is dict]
    if [resource.get("resourceType") for resource in resources].count("Encounter") == 1:
        return resources
    encounters = [resource for resource in resources if resource.get("resourceType") == "Encounter"]
    if not encounters:
        kinds = sorted({str(resource.get("resourceType"))[:40] for resource in resources}) or ["nothing"]
        raise RecordError(
            f"the record holds no Encounter but {', '.join(kinds[:5])}.",
            where="entry[0]",
            fix="Check which resources the connector joins.",
        )
    named = [encounter for encounter in encounters if encounter.get("id") == record.record_key]
    chosen = (named or encounters)[0]
    return [resource for resource in resources if resource is chosen or resource.get("resourceType") != "Encounter"]


def _entries(document: Any) -> list[Any]:
    """The resources of a list, of a Bundle, or the one resource itself."""
    if document.__class__ is list:
        return list(document)
    if document.__class__ is not dict:
        return []
    if document.get("resourceType") != "Bundle":
        return [document]
    entries = document.get("entry")
    return [entry.get("resource") for entry in entries if entry.__class__ is dict] if entries.__class__ is list else []


# ---------------------------------------------------------------- values of a visit


_STATUSES = {status.value: status for status in VisitStatus}
_DISCIPLINES = {discipline.value: discipline for discipline in Discipline}


def _status(raw: Any, _reading: Reading) -> VisitStatus:
    status = _STATUSES.get(raw) if raw.__class__ is str else None
    if status is None:
        raise values.Unreadable(f"the status is not one of {', '.join(VisitStatus)}")
    return status


def _discipline(raw: Any, _reading: Reading) -> Discipline:
    discipline = _DISCIPLINES.get(raw) if raw.__class__ is str else None
    if discipline is None:
        raise values.Unreadable("the discipline is not one of PT, OT, SLP")
    return discipline


def _service_date(raw: Any, reading: Reading) -> date:
    return values.service_date(raw, reading.zone)


def _minutes(mapping: Mapping, name: str) -> Any:
    spec = getattr(mapping.spec.visit, name)
    unit = (spec.unit if spec else None) or "auto"

    def read(raw: Any, reading: Reading) -> int:
        found = values.minutes(raw, unit, reading.zone)
        if found.fraction:
            reading.report("MP13", f"{found.fraction} minutes count as {found.whole}", where=f"visit.{name}")
        return found.whole

    return read


def _check_words(mapping: Mapping) -> None:
    """`when` of a look-up entry asks for facts of the visit only."""
    lines = []
    for table, entries in mapping.spec.lookups.items():
        for word, value in entries.items():
            for entry in value if isinstance(value, tuple) else (value,):
                unknown = [name for name in entry.when if name not in WHEN_FACTS] if isinstance(entry, LookupEntry) else []
                lines += [
                    f"{mapping.where('lookups', table, word)}: lookups.{table}.{word}: `when` does not know {name!r}. "
                    f"Known facts: {', '.join(WHEN_FACTS)}."
                    for name in unknown
                ]
    if lines:
        raise ConfigError("\n".join(lines))
