"""The rows of one visit as resources: each row by its columns, and the visit itself, which is what the rows agree about."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from collections.abc import Mapping as Table
from dataclasses import replace
from zoneinfo import ZoneInfo

from ptbridge.errors import RecordError
from ptbridge.intake.extract_paths import NUMBERS, ROW, VISIT, is_date
from ptbridge.intake.findings import finding
from ptbridge.intake.normalize import FhirMapping, read_visit
from ptbridge.intake.record_index import Resource
from ptbridge.model import SourceRecord, Visit
from ptbridge.specs.extract import EXISTS, columns_of, fields_of, profile_of
from ptbridge.specs.mapping import Mapping, texts
from ptbridge.wire.extract_file import header_of, reading_of
from ptbridge.wire.extract_merge import lines_of
from ptbridge.wire.extract_rows import BrokenFile, Row, mangled, rows

Disagreement = tuple[str, str]  # column, message

_MEDIA_TYPES = {"text/csv": "payload.csv", "text/tab-separated-values": "payload.tsv"}
_SHOWN = frozenset({"code", "modifiers"})  # the only words that a message may quote


def compile_mapping(mapping: Mapping) -> ExtractMapping:
    """Compile every path of an extract's mapping. Raises ConfigError with file and line."""
    return ExtractMapping(mapping)


class ExtractMapping(FhirMapping):
    """A mapping whose paths are columns; the rest is read as FHIR's resources are."""

    def __init__(self, mapping: Mapping) -> None:
        super().__init__(mapping)
        self._rows = ExtractRows(mapping)

    def normalize(self, record: SourceRecord, time_zone: ZoneInfo) -> Visit:
        """The rows of one visit as a Visit. Raises RecordError, with file and line, for a row that cannot be trusted."""
        resources, disagreements = self._rows.read(record)
        visit = read_visit(record, self, resources, time_zone)
        found = [finding("MP22", message, visit_id=visit.visit_id, where=column) for column, message in disagreements]
        return replace(visit, findings=(*visit.findings, *found)) if found else visit

    def resources(self, record: SourceRecord) -> list[Resource]:
        """The visit, then its rows."""
        return self._rows.read(record)[0]


class ExtractRows:
    """Reads payloads of an extract: the heading line and the lines of one visit."""

    def __init__(self, mapping: Mapping) -> None:
        self._profile = profile_of(mapping) if mapping.spec.extract else None
        self._file = mapping.file
        self._words: dict[str, bool] = {}  # column -> may be shown
        self._of_visit: set[str] = set()
        self._exists: set[str] = set()
        self._single = {column for section, name in _ONE_FOR_ALL for column in _columns(mapping, section, name)}
        self._patient = _columns(mapping, "patient", "id")
        for section, name, written in fields_of(mapping):
            for path in texts(written.take):
                self._learn(section, name, path)

    def _learn(self, section: str, name: str, path: str) -> None:
        columns = columns_of(path)
        if path.endswith(EXISTS):
            self._exists |= set(columns)
            return
        if name not in NUMBERS and not is_date(name):
            self._words |= dict.fromkeys(columns, name in _SHOWN)
        if section != "interventions":
            self._of_visit |= set(columns)

    def read(self, record: SourceRecord) -> tuple[list[Resource], tuple[Disagreement, ...]]:
        """The visit, then its rows; and what the rows disagree about. Raises RecordError with file and line."""
        if record.media_type == "text/plain":  # a file that was refused whole; its payload is the reason
            raise RecordError(record.payload.decode("utf-8", "replace"))
        header, body = self._table(record)
        found = [
            {
                name: row.cells[place]
                for name, place in header.items()
                if place < len(row.cells) and self._filled(row.cells[place])
            }
            for row in body
        ]
        # A database gives rows in any order, and an order that changes by itself is no change.
        found.sort(key=lambda cells: _natural(cells.get(self._charge_column, "")))
        visit, disagreements = self._agreed(found, record)
        if not any(visit.get(column) for column in self._patient):
            raise RecordError("the rows name no patient.", where=" or ".join(self._patient), fix="Export the patient's id.")
        return [{**visit, "resourceType": VISIT}, *({**cells, "resourceType": ROW} for cells in found)], tuple(disagreements)

    @property
    def _charge_column(self) -> str:
        return self._profile.charge_column if self._profile else ""

    def _filled(self, cell: str) -> bool:
        return bool(cell) and (self._profile is None or cell not in self._profile.empty)

    def _table(self, record: SourceRecord) -> tuple[dict[str, int], list[Row]]:
        kind, _, charset = record.media_type.partition("; charset=")
        if self._profile is None or kind not in _MEDIA_TYPES:
            raise RecordError(
                f"{self._file} reads the rows of an extract; this record is {record.media_type}.", where="payload"
            )
        _, delimiter, _ = reading_of(_MEDIA_TYPES[kind], self._profile)
        try:
            heading, *body = rows(record.payload, delimiter=delimiter, charset=charset or self._profile.charset)
            header = header_of(heading, self._profile)
        except (BrokenFile, ValueError, LookupError) as error:
            raise RecordError(str(error) or "the payload holds no rows", where="payload") from None
        if not body:
            raise RecordError("there is a heading line and no row.", where="payload")
        places = lines_of(record.version)
        for place, row in enumerate(body):
            self._check(row, header, places[place] if place < len(places) else f"line {row.line}")
        return header, body

    def _check(self, row: Row, header: Table[str, int], where: str) -> None:
        """Raise RecordError for a row that cannot be trusted: damaged, of another width, rewritten by a spreadsheet."""
        width = max(header.values()) + 1
        if row.problem:
            raise RecordError(f"the row cannot be read: {row.problem}.", where=where, fix=_FIX)
        if len(row.cells) < width or any(row.cells[width:]):
            raise RecordError(f"the row has {len(row.cells)} cells, the heading {width}.", where=where, fix=_FIX)
        for column, shown in self._words.items():
            cell = row.cells[header[column]] if column in header else ""
            if mangled(cell):
                value = f" {cell!r}" if shown else ""
                raise RecordError(
                    f"{column}:{value} is a number as a spreadsheet spells it, not what was exported.", where=where, fix=_FIX
                )

    def _agreed(self, found: Sequence[Resource], record: SourceRecord) -> tuple[Resource, list[Disagreement]]:
        visit: Resource = {}
        disagreements = []
        for column in sorted(self._of_visit):
            values = {cells[column] for cells in found if column in cells}
            if len(values) == 1:
                visit[column] = values.pop()
            elif values and column in self._single:
                raise RecordError(
                    f"{column} has {len(values)} values on the rows of one visit.",
                    where=record.version.partition(";")[0],
                    fix=_FIX,
                )
            elif values:
                disagreements.append((column, f"{column} has {len(values)} values on the rows of one visit"))
        for column in self._exists:
            visit[column + EXISTS] = "true" if all(column in cells for cells in found) else "false"
        return visit, disagreements


_ONE_FOR_ALL = (("visit", "visit_id"), ("visit", "service_date"), ("patient", "id"))
_FIX = "Correct the row at its source and export the visit again."


def _columns(mapping: Mapping, section: str, name: str) -> tuple[str, ...]:
    written = getattr(getattr(mapping.spec, section), name)
    return tuple(_each_column(texts(written.take))) if written else ()


def _each_column(paths: Iterable[str]) -> Iterator[str]:
    for path in paths:
        yield from columns_of(path)


def _natural(charge: str) -> tuple[int, str]:
    """Charge ids in the order in which they were given out: 99 before 100."""
    return len(charge), charge
