"""Finding a table's columns by the words of its header, which CMS stacks over several rows and moves from year to year."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence

_SPACE = re.compile(r"\s+")
MOST_ROWS = 40  # a header further down is none


def words(cell: str) -> str:
    """A header cell in capitals, underscores and runs of space as one space."""
    return _SPACE.sub(" ", cell.replace("_", " ")).strip().upper()


def stacked(rows: Sequence[Sequence[str]]) -> list[str]:
    """The words of each column, top to bottom."""
    width = max(map(len, rows), default=0)
    return [words(" ".join(row[at] for row in rows if at < len(row))) for at in range(width)]


def columns(header: Sequence[str], wanted: Mapping[str, str]) -> dict[str, int]:
    """The position of each wanted column: the first whose words match its pattern in full. Absent ones are left out."""
    found: dict[str, int] = {}
    for name, pattern in wanted.items():
        match = re.compile(pattern)
        at = next((at for at, text in enumerate(header) if match.fullmatch(text)), None)
        if at is not None:
            found[name] = at
    return found


def find_row(rows: Sequence[Sequence[str]], wanted: Mapping[str, str]) -> tuple[int, dict[str, int]] | None:
    """The first row that has every wanted column, with their positions; None when no row has."""
    for number, row in enumerate(rows[:MOST_ROWS]):
        found = columns([words(cell) for cell in row], wanted)
        if len(found) == len(wanted):
            return number, found
    return None
