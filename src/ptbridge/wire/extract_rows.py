"""Rows of a delimited file, one at a time, each with the bytes and the line that it came from.

Nothing is repaired. A row that cannot be read by itself is told as such and the next one goes on; a quote that swallows
lines makes the rest of the file doubtful, so then the whole file is refused.
"""

from __future__ import annotations

import csv
import re
from collections.abc import Iterator, Sequence
from datetime import datetime
from functools import lru_cache
from typing import NamedTuple

MAX_LINES = 50  # of one row: more is a quote that nobody closed
MAX_BYTES = 128 * 1024 * 1024  # of one file, which is held in memory once

# A spreadsheet's own spelling of a number where a word should be: 97110.0, 9.711E4, 1.23457E+11.
_FLOAT = re.compile(r"-?\d+\.0+")
_POWER = re.compile(r"-?(\d+\.\d+[Ee][+-]?\d+|\d+[Ee]\+\d+)")

DATE_FORMATS = {
    "YYYY-MM-DD": "%Y-%m-%d",
    "YYYY-MM-DD hh:mm": "%Y-%m-%d %H:%M",
    "YYYY-MM-DD hh:mm:ss": "%Y-%m-%d %H:%M:%S",
    "YYYYMMDD": "%Y%m%d",
    "MM/DD/YYYY": "%m/%d/%Y",
    "MM/DD/YYYY hh:mm": "%m/%d/%Y %H:%M",
    "MM/DD/YYYY hh:mm:ss": "%m/%d/%Y %H:%M:%S",
    "MM/DD/YYYY hh:mm AM": "%m/%d/%Y %I:%M %p",
    "MM/DD/YYYY hh:mm:ss AM": "%m/%d/%Y %I:%M:%S %p",
    "DD.MM.YYYY": "%d.%m.%Y",
    "DD-MON-YYYY": "%d-%b-%Y",
}
"""How a profile may say that dates are written; ISO 8601 is always read. A two-digit year is nobody's to guess."""


class Row(NamedTuple):
    """One row: the line where it starts, its bytes, its cells trimmed; `problem` says why the cells cannot be trusted."""

    line: int
    raw: bytes
    cells: Sequence[str]
    problem: str = ""


class BrokenFile(ValueError):
    """The file as a whole cannot be taken; the text says where and why, without its content."""


def rows(data: bytes, *, delimiter: str, charset: str) -> Iterator[Row]:
    """Every row that is not blank. Raises BrokenFile for UTF-16, NUL bytes, or a quote that swallows lines."""
    if data[:2] in (b"\xff\xfe", b"\xfe\xff") or b"\0" in data:
        raise BrokenFile("is UTF-16 or binary. Export it as UTF-8 text.")
    lines = _Lines(data, charset)
    reader = csv.reader(lines, delimiter=delimiter, strict=True)
    while True:
        first, problem, cells = lines.number + 1, "", []
        try:
            cells = [cell.strip() for cell in next(reader)]
        except StopIteration:
            return
        except csv.Error:
            problem = "its quotes do not match"
        several = lines.number > first
        if (problem and several) or lines.number - first >= MAX_LINES or (problem and lines.at_end and lines.open_quote(first)):
            raise BrokenFile(f"line {first}: a quote is opened here and not closed as it should be. Export the file again.")
        if problem or any(cells):
            yield Row(first, lines.bytes_from(first), cells, problem or lines.undecodable(first))


class _Lines:
    """Physical lines as text for the csv reader, with a memory of where each began."""

    def __init__(self, data: bytes, charset: str) -> None:
        self._lines = data.removeprefix(b"\xef\xbb\xbf").splitlines(keepends=True) if b"\n" not in data else _split(data)
        self._charset = charset
        self._bad: set[int] = set()
        self.number = 0

    def __iter__(self) -> _Lines:
        return self

    def __next__(self) -> str:
        if self.number >= len(self._lines):
            raise StopIteration
        raw = self._lines[self.number]
        self.number += 1
        try:
            return raw.decode(self._charset)
        except UnicodeDecodeError:
            self._bad.add(self.number)
            return raw.decode(self._charset, "replace")

    @property
    def at_end(self) -> bool:
        return self.number >= len(self._lines)

    def open_quote(self, first: int) -> bool:
        return self.bytes_from(first).count(b'"') % 2 == 1

    def bytes_from(self, first: int) -> bytes:
        """The bytes of the lines from `first` to the one read last."""
        return b"".join(self._lines[first - 1 : self.number])

    def undecodable(self, first: int) -> str:
        bad = [line for line in range(first, self.number + 1) if line in self._bad] if self._bad else []
        return f"it is not readable as {self._charset}" if bad else ""


def _split(data: bytes) -> list[bytes]:
    """Lines by LF, ends kept: `splitlines` would also break at other characters that a cell may hold."""
    pieces = data.removeprefix(b"\xef\xbb\xbf").split(b"\n")
    lines = [piece + b"\n" for piece in pieces[:-1]]
    return [*lines, pieces[-1]] if pieces[-1] else lines


def mangled(cell: str) -> bool:
    """True for a word that a spreadsheet has turned into a number of its own spelling."""
    return cell[:1].isdigit() and (_FLOAT.fullmatch(cell) or _POWER.fullmatch(cell)) is not None


@lru_cache(maxsize=4096)  # one day's date stands on every row of the day
def iso_date(cell: str, formats: tuple[str, ...]) -> str:
    """A date as ISO 8601 text, by the first format that fits; the cell as it stands when none does."""
    for name in formats:
        try:
            moment = datetime.strptime(cell, DATE_FORMATS[name])  # noqa: DTZ007 - the clinic's zone is added by intake
        except ValueError:
            continue
        return moment.isoformat(sep="T") if "hh" in name else moment.date().isoformat()
    return cell
