"""Paths of an extract's mapping: column names, compiled to the same `Path` as FHIRPath, so that all else reads both alike."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

from ptbridge.errors import ConfigError
from ptbridge.intake.fhirpath import Path
from ptbridge.intake.record_index import RecordIndex, Resource
from ptbridge.specs.extract import EXISTS, ITEMS, columns_of
from ptbridge.specs.mapping import Mapping
from ptbridge.wire.extract_rows import iso_date

VISIT, ROW = ITEMS
NUMBERS = frozenset(
    {"minutes", "therapist_minutes", "assistant_minutes", "units", "sequence", "rank", "order"}
    | {"timed_minutes_total", "treatment_minutes_total"}
)
_BETWEEN_CODES = re.compile(r"[\s,;~^/]+")

Values = Callable[[Resource], list[Any]]


def is_date(name: str) -> bool:
    """Whether a field of that name holds a date or a moment."""
    return name.endswith(("_date", "_at", "_on", "_start", "_end")) or name in ("start", "end")


def column_path(mapping: Mapping, section: str, name: str, text: str) -> Path:
    """Compile one path of an extract. Raises ConfigError with file and line for what names no column."""
    columns = columns_of(text)
    if not columns or (EXISTS in text and len(columns) > 1):
        raise ConfigError(
            f"{section}.{name}: {text!r} is not readable: write a column, `a | b`, or `a.exists()`.",
            where=mapping.where(section, name),
        )
    if name == "each":
        return Path(text, text, False, _first_of_nothing, _nothing) if text in ITEMS else _path(text, _whole_row(columns))
    if text.endswith(EXISTS):
        return _path(text, lambda row: [row[text]] if text in row else ["true" if row.get(columns[0]) else "false"])
    return _path(text, _values(mapping, section, name, columns))


def _first_of_nothing(_node: Any, _index: RecordIndex) -> None:
    return None


def _nothing(_node: Any, _index: RecordIndex) -> list[Any]:
    return []


def _path(text: str, values: Values) -> Path:
    def every(node: Any, index: RecordIndex) -> list[Any]:
        row = index.types[VISIT][0] if node is None else node
        return values(row) if row.__class__ is dict else []

    def first(node: Any, index: RecordIndex) -> Any:
        found = every(node, index)
        return found[0] if found else None

    return Path(text, None, False, first, every)


def _whole_row(columns: tuple[str, ...]) -> Values:
    """The item itself, where one of the columns holds something: no insurance id, no coverage."""
    return lambda row: [row] if any(row.get(column) for column in columns) else []


def _values(mapping: Mapping, section: str, name: str, columns: tuple[str, ...]) -> Values:
    def cells(row: Resource) -> list[str]:
        return [cell for column in columns if (cell := row.get(column))]

    if (section, name) in (("patient", "address"), ("coverages", "subscriber_address")):
        return lambda row: _address([row.get(column) or "" for column in columns])
    systems = mapping.spec.code_systems
    if (section, name) == ("interventions", "code"):
        system = systems.procedure[0] if systems.procedure else ""
        return lambda row: [{"system": system, "code": cell} for cell in cells(row)]
    if (section, name) in (("diagnoses", "code"), ("interventions", "diagnoses")):
        system = systems.diagnosis[0] if systems.diagnosis else ""
        return lambda row: [
            {"system": system, "code": code} for cell in cells(row) for code in _BETWEEN_CODES.split(cell) if code
        ]
    if is_date(name):
        formats = mapping.spec.extract.dates if mapping.spec.extract else ()
        return lambda row: [iso_date(cell, formats) for cell in cells(row)]
    return cells


def _address(cells: list[str]) -> list[Any]:
    """A FHIR Address: the last three columns are city, state and postal code, those before them the lines."""
    if not any(cells) or len(cells) < 4:
        return []
    *lines, city, state, postal_code = cells
    return [{"line": [line for line in lines if line], "city": city, "state": state, "postalCode": postal_code}]
