"""One sheet of an .xlsx workbook as CSV lines: what stands in the file, number for number, with nothing computed.

Read with the standard library's zip and expat (why: docs/decisions/0001). A number keeps the digits that the file holds, a
date-styled number becomes ISO 8601, a formula becomes the text `=…` (its remembered result may be stale). Line n is the
sheet's row n. Bounded: parts, inflated bytes, rows, columns; a DOCTYPE is refused, so no entity can grow.
"""

from __future__ import annotations

import csv
import io
import re
import struct
import zipfile
import zlib
from collections.abc import Callable, Mapping
from datetime import datetime, timedelta
from typing import Any
from xml.parsers import expat

from ptbridge.wire.extract_rows import BrokenFile

MAX_PART_BYTES = 256 * 1024 * 1024
MAX_PARTS = 4096
MAX_ROWS = 1_048_576  # what a sheet can hold
MAX_COLUMNS = 1024

_NOT_FORMAT = re.compile(r'"[^"]*"|\\.|_.|\*.|\[[^\]]*\]')
_DATE_STYLES = frozenset({*range(14, 23), *range(27, 37), *range(45, 48), *range(50, 59)})

# All that the standard library raises for a damaged archive, by where the damage is.
_DAMAGE = (
    *(zipfile.BadZipFile, zlib.error, struct.error, EOFError, OSError),
    *(LookupError, ValueError, RuntimeError, OverflowError),
)
Attributes = Mapping[str, str]
Start = Callable[[str, Attributes], None]


def csv_of_sheet(data: bytes, *, sheet: str | None, delimiter: str) -> bytes:
    """The sheet of that name, or the first, as UTF-8 CSV. Raises BrokenFile for what is no readable workbook."""
    try:
        with zipfile.ZipFile(io.BytesIO(data)) as archive:
            return _Workbook(archive).csv(sheet, delimiter)
    except BrokenFile:
        raise
    except expat.ExpatError as error:
        raise BrokenFile(f"holds XML that cannot be read (line {error.lineno}). Save it again, or as CSV.") from None
    except _DAMAGE as error:
        raise BrokenFile(f"is not a readable .xlsx workbook ({type(error).__name__}). Save it again, or as CSV.") from None


class _Workbook:
    def __init__(self, archive: zipfile.ZipFile) -> None:
        if len(archive.infolist()) > MAX_PARTS:
            raise BrokenFile(f"has more than {MAX_PARTS} parts.")
        self._archive = archive
        names = set(archive.namelist())
        self.epoch = datetime(1899, 12, 30)  # noqa: DTZ001 - a sheet knows no zone
        self.strings = _strings(self._part("xl/sharedStrings.xml")) if "xl/sharedStrings.xml" in names else []
        self.dates = _date_styles(self._part("xl/styles.xml")) if "xl/styles.xml" in names else []

    def _part(self, name: str) -> bytes:
        info = self._archive.getinfo(name)
        with self._archive.open(info) as part:
            found = part.read(MAX_PART_BYTES + 1)
        if len(found) > MAX_PART_BYTES:
            raise BrokenFile(f"{name} has more than {MAX_PART_BYTES} bytes.")
        return found

    def csv(self, sheet: str | None, delimiter: str) -> bytes:
        cells = _Cells(self)
        _parse(self._part(self._path(sheet)), cells.start, cells.end, cells.text)
        out = io.StringIO()
        writer = csv.writer(out, delimiter=delimiter, lineterminator="\n")
        for row in cells.rows:
            writer.writerow(row) if any(row) else out.write("\n")
        return out.getvalue().encode()

    def _path(self, wanted: str | None) -> str:
        """Where the sheet's XML lies; also learns from which day the workbook counts."""
        sheets: list[tuple[str, str]] = []
        targets: dict[str, str] = {}

        def start(name: str, attributes: Attributes) -> None:
            if name == "sheet":
                relation = next((value for key, value in attributes.items() if key.endswith(":id")), "")
                sheets.append((attributes.get("name", ""), relation))
            elif name == "workbookPr" and attributes.get("date1904") in ("1", "true"):
                self.epoch = datetime(1904, 1, 1)  # noqa: DTZ001
            elif name == "Relationship":
                targets[attributes.get("Id", "")] = attributes.get("Target", "")

        _parse(self._part("xl/workbook.xml"), start)
        _parse(self._part("xl/_rels/workbook.xml.rels"), start)
        found = [relation for name, relation in sheets if wanted in (None, name)]
        if not found:
            raise BrokenFile(f"has no sheet {wanted!r}.")
        target = targets[found[0]]
        return target.lstrip("/") if target.startswith("/") else f"xl/{target}"


def _parse(
    xml: bytes, start: Start, end: Callable[[str], None] | None = None, text: Callable[[str], None] | None = None
) -> None:
    """Run expat over a part. A prefix is taken off the names of its elements; nearly no writer uses one."""
    parser = expat.ParserCreate()
    parser.buffer_text = True
    parser.StartDoctypeDeclHandler = _refuse_doctype
    prefixed = b":row" in xml or b":sheet" in xml or b":si" in xml or b":xf" in xml or b":Relationship" in xml
    parser.StartElementHandler = (lambda name, attributes: start(name.rpartition(":")[2], attributes)) if prefixed else start
    if end:
        finish = end
        parser.EndElementHandler = (lambda name: finish(name.rpartition(":")[2])) if prefixed else end
    if text:
        parser.CharacterDataHandler = text
    parser.Parse(xml, True)


def _refuse_doctype(*_: Any) -> None:
    raise BrokenFile("holds a DOCTYPE, which no spreadsheet writes.")


def _strings(xml: bytes) -> list[str]:
    """The shared strings; phonetic readings (rPh) are left out."""
    found: list[str] = []
    state = {"text": False, "phonetic": False}

    def start(name: str, _attributes: Attributes) -> None:
        if name == "si":
            found.append("")
        state["text"] = name == "t"
        state["phonetic"] = state["phonetic"] or name == "rPh"

    def end(name: str) -> None:
        state["text"] = False
        if name == "rPh":
            state["phonetic"] = False

    def text(data: str) -> None:
        if state["text"] and not state["phonetic"] and found:
            found[-1] += data

    _parse(xml, start, end, text)
    return found


def _date_styles(xml: bytes) -> list[bool]:
    """For each cell style, whether its number format is one of dates."""
    codes: dict[str, str] = {}
    styles: list[bool] = []
    inside = {"cellXfs": False}

    def start(name: str, attributes: Attributes) -> None:
        if name == "numFmt":
            codes[attributes.get("numFmtId", "")] = attributes.get("formatCode", "")
        elif name == "cellXfs":
            inside["cellXfs"] = True
        elif name == "xf" and inside["cellXfs"]:
            number = attributes.get("numFmtId", "0")
            code = _NOT_FORMAT.sub("", codes.get(number, "")).lower()
            custom = bool(re.search("[ymdhs]", code)) and "general" not in code
            styles.append(custom if number in codes else number.isdigit() and int(number) in _DATE_STYLES)

    def end(name: str) -> None:
        if name == "cellXfs":
            inside["cellXfs"] = False

    _parse(xml, start, end)
    return styles


class _Cells:
    """Collects the cells of a sheet into rows of text."""

    def __init__(self, workbook: _Workbook) -> None:
        self.rows: list[list[str]] = []
        self._workbook = workbook
        self._column = 0
        self._kind = self._value = self._formula = ""
        self._style = "0"
        self._into = ""
        self._places: dict[str, int] = {}

    def start(self, name: str, attributes: Attributes) -> None:
        """A row, a cell, or what stands in one."""
        if name == "c":
            self._column = self._place(attributes.get("r"))
            self._kind, self._style = attributes.get("t", "n"), attributes.get("s", "0")
            self._value = self._formula = ""
        elif name == "v" or name == "t":
            self._into = name
        elif name == "f":
            self._into, self._formula = name, self._formula or "="
        elif name == "row":
            self._row(attributes.get("r"))

    def _row(self, written: str | None) -> None:
        number = int(written) if written and written.isdigit() else len(self.rows) + 1
        if number > MAX_ROWS or number <= len(self.rows):
            raise BrokenFile("has rows out of order, or more than a sheet can hold.")
        self.rows += [[] for _ in range(number - len(self.rows))]
        self._column = 0

    def _place(self, written: str | None) -> int:
        letters = (written or "").rstrip("0123456789")
        place = self._places.get(letters)
        if place is None:
            place = self._places[letters] = _column_number(letters)
        return place or self._column + 1

    def text(self, data: str) -> None:
        """Character data of the value or the formula."""
        if self._into == "f":
            self._formula += data
        elif self._into:
            self._value += data

    def end(self, name: str) -> None:
        """A finished cell goes to its place."""
        self._into = ""
        if name == "c" and self.rows:
            row = self.rows[-1]
            if len(row) < self._column:
                row += [""] * (self._column - len(row))
            row[self._column - 1] = " ".join((self._formula or self._shown()).split())

    def _shown(self) -> str:
        if self._kind == "s":
            place = int(self._value) if self._value.isdigit() else -1
            return self._workbook.strings[place] if 0 <= place < len(self._workbook.strings) else ""
        if self._kind == "b":
            return "true" if self._value == "1" else "false"
        if self._kind != "n" or not self._value:
            return self._value
        style = int(self._style) if self._style.isdigit() else 0
        is_date = style < len(self._workbook.dates) and self._workbook.dates[style]
        return _day(self._value, self._workbook.epoch) if is_date else _number(self._value)


def _column_number(letters: str) -> int:
    """`A` is 1; 0 for what is no column, which then counts on from the cell before."""
    place = 0
    for letter in letters:
        place = place * 26 + ord(letter) - 64 if "A" <= letter <= "Z" else MAX_COLUMNS + 1
    if place > MAX_COLUMNS:
        raise BrokenFile(f"has more than {MAX_COLUMNS} columns.")
    return place


def _number(written: str) -> str:
    """The digits of the file. Binary noise beyond the 15 digits that a spreadsheet shows is left off."""
    digits = sum(character.isdigit() for character in written)
    return written if digits <= 15 or "." not in written else format(float(written), ".15g")


def _day(written: str, epoch: datetime) -> str:
    """A serial day as ISO 8601; as it stands where it cannot be one (before 1900-03-01 spreadsheets disagree)."""
    try:
        serial = float(written)
        moment = epoch + timedelta(seconds=round(serial * 86400))
    except (ValueError, OverflowError):
        return written
    if serial < 61:
        return written
    return moment.date().isoformat() if serial == int(serial) else moment.isoformat(timespec="seconds")
