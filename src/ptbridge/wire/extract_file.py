"""One extract file cut into visits: header and control totals checked first, then the rows of each visit brought together."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import date

from ptbridge.wire.extract_profile import DELIMITERS, ExtractProfile
from ptbridge.wire.extract_rows import BrokenFile, Row, iso_date, mangled, rows
from ptbridge.wire.extract_totals import check, stated_in_sidecar, stated_in_trailer
from ptbridge.wire.xlsx import csv_of_sheet


@dataclass(frozen=True, slots=True)
class Stray:
    """A row that belongs to no visit that can be told: `key` stays the same when the file comes again."""

    key: str
    row: Row
    reason: str


@dataclass(frozen=True, slots=True)
class ExtractFile:
    """A file that was checked. `visits` maps a visit id to its rows, in the order of the file; `header` column to place."""

    name: str
    media_type: str
    heading: bytes
    header: Mapping[str, int] = field(repr=False)
    visits: Mapping[str, list[Row]] = field(repr=False)
    strays: tuple[Stray, ...] = field(repr=False)

    def cell(self, row: Row, column: str) -> str:
        """A row's cell by its column; empty where the row is too short."""
        place = self.header.get(column, len(row.cells))
        return row.cells[place] if place < len(row.cells) else ""

    def days(self, profile: ExtractProfile) -> Iterator[date]:
        """The service dates that can be read."""
        for found in self.visits.values():
            for row in found:
                day = day_of(self.cell(row, profile.date_column), profile)
                if day is not None:
                    yield day


def day_of(cell: str, profile: ExtractProfile) -> date | None:
    """The day of a date cell, None when it cannot be read."""
    try:
        return date.fromisoformat(iso_date(cell, profile.dates)[:10])
    except ValueError:
        return None


def cut(name: str, data: bytes, profile: ExtractProfile, sidecar: bytes | None) -> ExtractFile:
    """Check a file and bring its rows together. Raises BrokenFile when nothing of it may be taken."""
    media_type, delimiter, charset = reading_of(name, profile)
    if name.lower().endswith(".xlsx"):
        data = csv_of_sheet(data, sheet=profile.sheet, delimiter=delimiter)
    found = rows(data, delimiter=delimiter, charset=charset)
    heading = next(found, None)
    if heading is None:
        raise BrokenFile("is empty: it has not even a heading line. An export without visits has its headings.")
    header = header_of(heading, profile)
    body = list(found)
    trailer = _trailer(body, profile)
    visits, strays = _grouped(body, header, profile)
    if profile.totals is not None:
        stated = stated_in_trailer(trailer) if trailer else stated_in_sidecar(sidecar or b"")
        check(profile.totals, stated, header, body, len(visits))
    return ExtractFile(name, media_type, heading.raw, header, visits, strays)


def reading_of(name: str, profile: ExtractProfile) -> tuple[str, str, str]:
    """(media type, delimiter, charset) of a file by its ending: a workbook is told in CSV and UTF-8."""
    ending = name.lower().rpartition(".")[2]
    charset = "utf-8" if ending == "xlsx" else profile.charset
    if ending == "tsv":
        return f"text/tab-separated-values; charset={charset}", "\t", charset
    return f"text/csv; charset={charset}", DELIMITERS[profile.delimiter], charset


def header_of(heading: Row, profile: ExtractProfile) -> dict[str, int]:
    """Column -> place. Raises BrokenFile for a missing or doubled column that the mapping names."""
    if heading.problem:
        raise BrokenFile(f"line {heading.line}: the heading line cannot be read: {heading.problem}.")
    missing = [" or ".join(group) for group in profile.columns if not any(name in heading.cells for name in group)]
    if missing:
        raise BrokenFile(
            f"line {heading.line}: the columns {', '.join(map(repr, missing))} are missing. The mapping names them: export "
            "them, or name others in the clinic's mapping."
        )
    named = {name for group in profile.columns for name in group}
    doubled = sorted(name for name in named if list(heading.cells).count(name) > 1)
    if doubled:
        raise BrokenFile(f"line {heading.line}: the columns {', '.join(map(repr, doubled))} stand twice. Keep one of each.")
    return {name: place for place, name in enumerate(heading.cells) if name}


def _trailer(body: list[Row], profile: ExtractProfile) -> Row | None:
    """Take the trailer off the rows. Raises BrokenFile when the profile wants one and it is not the last row."""
    if profile.totals is None or profile.totals.place != "trailer":
        return None
    places = [place for place, row in enumerate(body) if row.cells[:1] == [profile.totals.mark]]
    if places != [len(body) - 1]:
        raise BrokenFile(
            f"the last row is not its only {profile.totals.mark} row, so it is cut off or joined. Ask for the file again."
        )
    return body.pop()


def _grouped(
    body: list[Row], header: Mapping[str, int], profile: ExtractProfile
) -> tuple[dict[str, list[Row]], tuple[Stray, ...]]:
    """Rows by visit. A damaged row goes to its visit where another row of the file names that visit, else it is a stray."""
    place = header[profile.visit_column]
    visits: dict[str, list[Row]] = {}
    damaged: list[Row] = []
    for row in body:
        if row.problem or len(row.cells) != _width(header, row) or not row.cells[place] or mangled(row.cells[place]):
            damaged.append(row)
        else:
            visits.setdefault(row.cells[place], []).append(row)
    strays = []
    for row in damaged:
        visit_id = row.cells[place] if place < len(row.cells) else ""
        if visit_id in visits:
            visits[visit_id].append(row)
        else:
            strays.append(_stray(row, header, profile))
    for found in visits.values():
        found.sort(key=lambda row: row.line)
    return visits, tuple(strays)


def _width(header: Mapping[str, int], row: Row) -> int:
    """How many cells a row must have; empty ones beyond the last heading do no harm."""
    width = max(header.values()) + 1
    return len(row.cells) if len(row.cells) >= width and not any(row.cells[width:]) else width


def _stray(row: Row, header: Mapping[str, int], profile: ExtractProfile) -> Stray:
    """A row without a visit; known again by its charge id when it has one that can be read."""
    charge = header.get(profile.charge_column, -1)
    whole = not row.problem and len(row.cells) == _width(header, row)
    named = row.cells[charge] if whole and 0 <= charge < len(row.cells) else ""
    if row.problem:
        reason = row.problem
    elif not whole:
        reason = f"it has {len(row.cells)} cells where the heading has {max(header.values()) + 1}"
    else:
        written = row.cells[header[profile.visit_column]]
        reason = f"{profile.visit_column} is {'a number that a spreadsheet rewrote' if written else 'empty'}"
    key = f"row:{named}" if named else f"row:{_fingerprint(row.raw)}"
    return Stray(key, row, f"line {row.line}: {reason}. Correct the row at its source and export it again.")


def _fingerprint(raw: bytes) -> str:
    return hashlib.sha256(raw).hexdigest()[:16]
