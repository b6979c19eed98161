"""Behind `ptbridge mapping check` and `ptbridge mapping try`: what a mapping would read, and which path gave it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, fields, is_dataclass
from datetime import date, datetime
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

from ptbridge.errors import ConfigError
from ptbridge.intake.compiled import CompiledMapping
from ptbridge.intake.fhirpath import PathEvaluationError
from ptbridge.intake.fields import Reading, compile_field
from ptbridge.intake.groups import Group, Item, follow
from ptbridge.intake.hl7.mapping import Hl7Mapping
from ptbridge.intake.normalize import FhirMapping, compile_mapping, normalize, record_resources
from ptbridge.intake.record_index import RecordIndex
from ptbridge.model import SourceRecord, Visit
from ptbridge.specs.mapping import FieldSpec, Mapping, texts
from ptbridge.specs.mapping_files import load_mapping

MASK = "•••"
_PATIENT_SECTIONS = frozenset({"patient", "coverages", "guarantor"})
_PRIVATE_FIELDS = frozenset({"visit.authorization_number", "interventions.patient"})
_SHOWN_FIELDS = frozenset({"coverages.order", "coverages.status", "coverages.payer_id", "coverages.payer_name"})


@dataclass(frozen=True, slots=True)
class Row:
    """One field of one item: its value as text (masked where it identifies a patient), its path, and what is missing."""

    field: str
    value: str
    path: str
    missing: str = ""


def try_record(
    record: SourceRecord, compiled: CompiledMapping, *, time_zone: ZoneInfo, show_patient: bool = False
) -> list[Row]:
    """Every field of the mapping on one record, then every finding. Raises RecordError if the record is unusable."""
    visit = normalize(record, compiled, time_zone=time_zone)
    findings = [Row(f"finding {finding.code}", str(finding), finding.where) for finding in visit.findings]
    if isinstance(compiled, Hl7Mapping):
        from ptbridge.intake.hl7_trial import visit_rows  # it needs Row

        return [*visit_rows(record, compiled, visit, time_zone, show_patient=show_patient), *findings]
    resources = compiled.resources(record) if isinstance(compiled, FhirMapping) else record_resources(record)
    reading = Reading(RecordIndex(resources), time_zone, compiled.mapping)
    rows = [
        row
        for section in _sections(compiled.mapping)
        for row in _section_rows(compiled.mapping, section, reading, show_patient)
    ]
    return rows + findings


def check_mapping(name: str | Path, *, folder: Path | None = None) -> list[str]:
    """Every problem of a mapping file and those that it extends, as sentences with file and line; empty when it is sound."""
    try:
        mapping = load_mapping(name, folder=folder)
        compile_mapping(mapping)
    except ConfigError as error:
        return str(error).split("\n")
    return [
        f"{mapping.where(section)}: {section} has no `each`, so nothing of it is read. Add it, or remove the section."
        for section in _sections(mapping)
        if section != "visit" and written_fields(mapping, section) and not texts(getattr(mapping.spec, section).each)
    ]


def masked(visit: Visit) -> dict[str, Any]:
    """A visit as plain data with every field masked that the model keeps out of its repr."""
    found: dict[str, Any] = _plain(visit)
    return found


def _plain(value: Any) -> Any:
    if is_dataclass(value) and not isinstance(value, type):
        return {
            entry.name: _plain(inner) if entry.repr or not inner else (MASK if not is_dataclass(inner) else _plain(inner))
            for entry in fields(value)
            for inner in [getattr(value, entry.name)]
        }
    if isinstance(value, tuple):
        return [_plain(inner) for inner in value]
    return value.isoformat() if isinstance(value, date | datetime) else value


def _sections(mapping: Mapping) -> list[str]:
    return [name for name in mapping.spec.__struct_fields__ if name == "visit" or hasattr(getattr(mapping.spec, name), "each")]


def written_fields(mapping: Mapping, section: str) -> dict[str, FieldSpec]:
    """The fields of a section that the mapping says something of."""
    spec = getattr(mapping.spec, section)
    found = {name: getattr(spec, name) for name in spec.__struct_fields__}
    return {name: value for name, value in found.items() if isinstance(value, FieldSpec)}


def _section_rows(mapping: Mapping, section: str, reading: Reading, show_patient: bool) -> Iterator[Row]:
    written = written_fields(mapping, section)
    if section == "visit":
        yield from _item_rows(mapping, section, section, (None, ""), written, reading, show_patient)
        return
    group = Group(mapping, section)
    items = group.items(reading)
    if not items and written:
        tried = ", ".join(path.text for path in group.paths)
        yield Row(section, "", "", f"no item at {tried}" if tried else "")
    for position, item in enumerate(items, start=1):
        name = section if len(items) == 1 else f"{section}[{position}]"
        found = follow(item, reading) if section not in ("diagnoses", "interventions") else item
        if found is None:
            yield Row(name, "", group.paths[0].text, "the reference leads nowhere in this record")
        else:
            yield from _item_rows(mapping, section, name, found, written, reading, show_patient)


def _item_rows(
    mapping: Mapping, section: str, name: str, item: Item, written: dict[str, FieldSpec], reading: Reading, show_patient: bool
) -> Iterator[Row]:
    for key, spec in written.items():
        field = compile_field(mapping, section, key, lambda raw, _reading: raw, own_lookup=True)
        try:
            raw, path = field.raw(*item, reading) if spec.fixed is None else (spec.fixed, "fixed")
        except PathEvaluationError as error:
            yield Row(f"{name}.{key}", "", "", f"{error.args[0]} cannot be evaluated on this record")
            continue
        tried = ", ".join(texts(spec.take))
        missing = "" if raw is not None else f"{'required: ' if spec.required else ''}nothing at {tried}"
        hidden = is_hidden(f"{section}.{key}") and not show_patient and raw is not None
        yield Row(f"{name}.{key}", MASK if hidden else _shown(raw), path, missing)


def is_hidden(where: str) -> bool:
    """Whether a field of the mapping (`patient.family`) may tell who the patient is."""
    return (where.partition(".")[0] in _PATIENT_SECTIONS and where not in _SHOWN_FIELDS) or where in _PRIVATE_FIELDS


def _shown(raw: Any) -> str:
    """A value on one line; a structure by its codes or its keys, so that nothing hidden comes along."""
    if raw is None:
        return ""
    if isinstance(raw, dict):
        concept = raw.get("coding")
        entries = (
            concept if isinstance(concept, list) else [raw] if "code" in raw and "system" in raw and "value" not in raw else []
        )
        codes = [f"{entry.get('system', '')}|{entry.get('code', '')}" for entry in entries if isinstance(entry, dict)]
        simple = {key: raw[key] for key in ("value", "unit", "start", "end", "reference") if key in raw}
        return ", ".join(codes) or ", ".join(f"{key} {value}" for key, value in simple.items()) or f"({', '.join(raw)})"
    return str(raw)[:120]
