"""A mapping's fields compiled: each becomes one function from (item, its type, the reading) to a value of our own type."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any
from zoneinfo import ZoneInfo

from ptbridge.errors import ConfigError
from ptbridge.intake.extract_paths import column_path
from ptbridge.intake.fhirpath import Path, PathEvaluationError, PathSyntaxError, compile_path
from ptbridge.intake.findings import finding
from ptbridge.intake.record_index import RecordIndex
from ptbridge.intake.values import Unreadable
from ptbridge.model import Finding, Patient, Severity
from ptbridge.specs.extract import is_extract
from ptbridge.specs.mapping import FieldSpec, LookupTable, Mapping, texts

Facts = Callable[[str], str | None]
_NO_FACTS: Facts = dict[str, str]().get


class Reading:
    """One record being read: its index, the clinic's zone, and what was found wrong so far."""

    __slots__ = ("codes", "facts", "findings", "index", "line_key", "mapping", "patient", "visit_id", "zone")

    def __init__(self, index: RecordIndex, zone: ZoneInfo, mapping: Mapping) -> None:
        self.index = index
        self.zone = zone
        self.mapping = mapping
        self.findings: list[Finding] = []
        self.visit_id: str | None = None
        self.line_key: str | None = None
        self.codes: dict[int, tuple[str, ...]] = {}  # diagnosis codes by the identity of a concept of this record
        self.facts: Facts = _NO_FACTS  # facts of the visit, for the `when` of a service's look-up entry
        self.patient: Patient | None = None  # whose names and numbers no finding may repeat

    def report(self, code: str, message: str, *, where: str = "", severity: Severity | None = None, fix: str = "") -> None:
        """Add a finding about the visit, or about the line that is being read."""
        for word in private_words(self.patient) if self.patient is not None else ():
            hidden = re.compile(rf"(?<!\w){re.escape(word)}(?!\w)", re.IGNORECASE)
            message, fix = hidden.sub("[withheld]", message), hidden.sub("[withheld]", fix)
        self.findings.append(
            finding(code, message, visit_id=self.visit_id, line_key=self.line_key, where=where, severity=severity, fix=fix)
        )


def private_words(patient: Patient) -> tuple[str, ...]:
    """What no finding may repeat: names of three letters or more, numbers, the day of birth."""
    born = patient.birth_date.isoformat() if patient.birth_date else None
    known = (patient.id, patient.mrn, patient.family, patient.given, born, patient.phone, patient.replaced_by)
    return tuple(word for word in known if word and len(word) >= 3)


Read = Callable[[Any, str, Reading], Any]
Convert = Callable[[Any, Reading], Any]


@dataclass(frozen=True, slots=True)
class Field:
    """A compiled field. `read` gives the first value found, converted; `raw` that value as it stands, and its path."""

    name: str
    spec: FieldSpec
    paths: tuple[Path, ...]
    grave: bool
    convert: Convert
    find: Read
    read: Read
    ready: dict[str, Any] | None = None  # what the words of its look-up table become, so far, where no record changes it

    def raw(self, item: Any, kind: str, reading: Reading) -> tuple[Any, str]:
        """(value as it stands, path that gave it); (None, '') when no path gives one."""
        if len(self.paths) != 1:
            return _search(self.paths, item, kind, reading)
        value = self.find(item, kind, reading)
        return (None, "") if value is None else (value, self.paths[0].text)

    def every(self, item: Any, kind: str, reading: Reading) -> list[Any]:
        """All values of the first path that gives any."""
        index = reading.index
        for path in self.paths:
            if path.root is None or path.root == kind:
                found = path.every(item, index)
            else:
                found = [value for node in nodes(path, item, kind, index) for value in path.every(node, index)]
            if found:
                return found
        return []

    def refuse(self, reading: Reading, error: Exception) -> None:
        """Report a value that cannot be read."""
        if isinstance(error, PathEvaluationError):
            reading.report(
                "MP19", f"{self.name}: the path {error.args[0]!r} cannot be evaluated on this record", where=self.name
            )
        else:
            severity = Severity.ERROR if self.grave else Severity.WARNING
            reading.report("MP03", f"{self.name}: {error}", where=self.name, severity=severity)

    def missing(self, reading: Reading) -> None:
        """Report an absent value if the mapping requires one."""
        if self.spec.required:
            tried = ", ".join(path.text for path in self.paths) or "nothing: the mapping names no path"
            reading.report("MP02", f"{self.name} is absent (looked in {tried})", where=self.name)


def nodes(path: Path, item: Any, kind: str, index: RecordIndex) -> Sequence[Any]:
    """Where a path starts: at the item itself, at the visit's Encounter, or, outside a group, at any resource of that type.

    Inside a group a path of another type gives nothing: the first Procedure of the record is not this ChargeItem's.
    """
    root = path.root
    if root is None or root == kind:
        return (item,)
    return index.types.get(root, ()) if item is None or root == "Encounter" else ()


def compile_field(
    mapping: Mapping, section: str, name: str, convert: Convert, *, grave: bool = True, own_lookup: bool = False
) -> Field:
    """Compile a field of a section. Raises ConfigError for a bad path.

    `grave`: an unreadable value holds the visit. `own_lookup`: the caller reads the look-up table itself.
    """
    spec = getattr(getattr(mapping.spec, section), name) or FieldSpec()
    where = f"{section}.{name}"
    paths = tuple(compile_take(mapping, section, name, text) for text in texts(spec.take))
    table = mapping.spec.lookups.get(spec.lookup) if spec.lookup and not own_lookup else None
    ready: dict[str, Any] | None = None
    if table is not None:
        ready = {}
        convert = _looked_up(mapping, where, spec.lookup or "", table, convert, ready)
    field = Field(where, spec, paths, grave, convert, _finder(paths), _absent, ready)
    object.__setattr__(field, "read", _reader(field, convert))
    return field


def compile_take(mapping: Mapping, section: str, name: str, text: str) -> Path:
    """Compile one path; a syntax error becomes a ConfigError with the file and line of the field."""
    if is_extract(mapping):
        return column_path(mapping, section, name, text)
    try:
        return compile_path(text)
    except PathSyntaxError as error:
        raise ConfigError(f"{section}.{name}: {text!r}: {error}", where=mapping.where(section, name)) from None


def _absent(_item: Any, _kind: str, _reading: Reading) -> None:
    return None


def _reader(field: Field, convert: Convert) -> Read:
    fixed, paths, required = field.spec.fixed, field.paths, field.spec.required
    if fixed is not None:
        return _converted(field, convert, lambda _item, _kind, _reading: fixed)
    if not paths:
        return _required(field) if required else _absent
    return _converted(field, convert, field.find)


def _finder(paths: tuple[Path, ...]) -> Read:
    """The first value of the first path that gives any, as it stands."""
    if len(paths) != 1:
        return lambda item, kind, reading: _search(paths, item, kind, reading)[0]
    first, root = paths[0].first, paths[0].root

    def find(item: Any, kind: str, reading: Reading) -> Any:  # the common case, without a list of start nodes
        if root is None or root == kind:
            return first(item, reading.index)
        for node in reading.index.types.get(root, ()) if item is None or root == "Encounter" else ():
            value = first(node, reading.index)
            if value is not None:
                return value
        return None

    return find


def _search(paths: tuple[Path, ...], item: Any, kind: str, reading: Reading) -> tuple[Any, str]:
    for path in paths:
        for node in nodes(path, item, kind, reading.index):
            value = path.first(node, reading.index)
            if value is not None and value != "":
                return value, path.text
    return None, ""


def _required(field: Field) -> Read:
    return lambda _item, _kind, reading: field.missing(reading)


def _converted(field: Field, convert: Convert, raw: Read) -> Read:
    required = field.spec.required

    def read(item: Any, kind: str, reading: Reading) -> Any:
        try:
            value = raw(item, kind, reading)
            if value is None:
                return field.missing(reading) if required else None
            value = convert(value, reading)
        except (Unreadable, PathEvaluationError) as error:
            return field.refuse(reading, error)
        return field.missing(reading) if required and value is None and not field.spec.lookup else value

    return read


def _looked_up(mapping: Mapping, where: str, name: str, table: LookupTable, convert: Convert, ready: dict[str, Any]) -> Convert:
    """Give the table's word to `convert`. A word that is not in the table is reported and left absent."""

    def look_up(raw: Any, reading: Reading) -> Any:
        if raw.__class__ is str and (ours := table.get(raw)).__class__ is str:
            value = ready.get(raw)
            if value is None:
                before = len(reading.findings)
                value = convert(ours, reading)
                if isinstance(value, str | int) and len(reading.findings) == before:
                    ready[raw] = value
            return value
        spellings = words(raw)
        for word in spellings:
            ours = table.get(word)
            if ours.__class__ is str:
                return convert(ours, reading)
        if spellings:
            reading.report(
                "MP08",
                f"{where}: {spellings[0]!r} is not in the look-up table {name!r}",
                where=where,
                fix=f"Add it under lookups.{name} in {mapping.place_to_edit}.",
            )
        return None

    return look_up


def words(raw: Any) -> list[str]:
    """How a table may spell a value: a coding as `system|code`, then as bare code; then a concept's own text."""
    if raw.__class__ is str:
        return [raw]
    if raw.__class__ is bool:
        return ["true" if raw else "false"]
    if raw.__class__ is int:
        return [str(raw)]
    if raw.__class__ is not dict:
        return []
    spelled: list[str] = []
    for system, code in codings(raw):
        spelled += [f"{system}|{code}", code] if system else [code]
    if raw.get("text").__class__ is str:
        spelled.append(raw["text"].strip())
    return spelled


def codings(raw: Any) -> list[tuple[str, str]]:
    """(system, code) of each coding of a CodeableConcept, or of a Coding; the system is '' where none is stated."""
    if raw.__class__ is not dict:
        return []
    entries = raw.get("coding")
    if entries.__class__ is not list:
        entries = [raw]
    found = []
    for entry in entries:
        if entry.__class__ is dict:
            code, system = entry.get("code"), entry.get("system")
            if code.__class__ is str and code.strip():
                found.append((system if system.__class__ is str else "", code.strip()))
    return found
