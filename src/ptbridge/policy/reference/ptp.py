"""NCCI procedure-to-procedure edits, practitioner: CMS's tab text, about 2.3 million rows a quarter in several parts.

Layout (CMS, "Medicare NCCI PTP edits", files ccipra-v*.txt): copyright lines, a header stacked over up to four rows, then
column 1 code, column 2 code, `*` = in existence before 1996, effective date, deletion date (`*` = none), modifier indicator,
rationale. Medicaid's files lack the third column. The rationale is not kept.

When a row is in force. From its effective date to its deletion date, **the deletion date included**. Sources differ. The
choice rests on the files themselves: deletions fall on last days of quarters (97140/97530: 2019-12-31) and pairs come back
on first days, so an exclusive reading would leave the last day of a quarter without its edit. The other reading would miss
an edit on one day of a pair's life; this one could show one too many. Each load counts, for pairs that come back, whether
they do so on the day after the deletion or on the day itself, and `reference list --json` shows both, so the choice can be
checked against every release. Rows with indicator 9, and rows deleted on or before the day they begin, were never active.
"""

from __future__ import annotations

from array import array
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import date
from itertools import groupby

from ptbridge.errors import ConfigError
from ptbridge.policy.reference.days import NEVER, packed_day, read_day
from ptbridge.policy.reference.headers import find_row
from ptbridge.policy.reference.sources import Text
from ptbridge.policy.reference.tables import CODE, bad_row, no_header

FORMAT = "=I"  # effective day (16 bits), deletion day (15 bits), indicator (1 bit)
_CODES = {"column1": r"COLUMN ?1( CODE)?", "column2": r"COLUMN ?2( CODE)?"}
_WANTED = _CODES | {
    "effective": r"EFFECTIVE( DATE)?.*",
    "deletion": r"DELETION( DATE)?.*",
    "indicator": r"MODIFIER.*",
}
_EXISTENCE = {"existence": r"\* ?= ?IN EXISTENCE.*"}
Positions = tuple[int, int, int, int, int]


@dataclass(frozen=True, slots=True)
class PairRows:
    """All rows of one edition that were ever active, ascending by pair and effective date."""

    keys: array[int]
    records: bytes
    counts: dict[str, int]


def kind_of(head: Sequence[str]) -> str | None:
    """`ptp` or `ptp_medicaid` when these are the first lines of a pair file, else None."""
    rows = [line.rstrip("\r\n").split("\t") for line in head]
    if find_row(rows, _CODES) is None:
        return None
    return "ptp" if find_row(rows, _EXISTENCE) else "ptp_medicaid"


def pair_key(column1: str, column2: str) -> int:
    """A pair of five-character codes, column 1 first, as one number."""
    return int(column1 + column2, 36)


def active(effective: int, deletion: int, on: int) -> bool:
    """The one place that says when a row is in force: packed days, both ends included."""
    return effective <= on and (deletion == NEVER or on <= deletion)


def read_pairs(texts: Sequence[Text]) -> PairRows:
    """Every part of one edition. Raises ConfigError with file:line for a row that cannot be read."""
    values: list[int] = []
    counts = {"rows": 0, "indicator_9": 0, "never_active": 0}
    for text in texts:
        _read(text, values, counts)
    values.sort()
    values = [value for value, _ in groupby(values)]  # parts may overlap
    counts["pairs_kept"] = len(values)
    counts |= _comebacks(values)
    keys = array("Q", (value >> 32 for value in values))
    return PairRows(keys, array("I", (value & 0xFFFFFFFF for value in values)).tobytes(), counts)


def _read(text: Text, values: list[int], counts: dict[str, int]) -> None:
    found = find_row([line.rstrip("\r\n").split("\t") for line in text.head], _WANTED)
    if found is None:
        raise no_header(text, "Column 1, Column 2, Effective, Deletion, Modifier")
    at = found[1]
    positions = (at["column1"], at["column2"], at["effective"], at["deletion"], at["indicator"])
    with text.lines() as lines:
        before = len(values)
        _read_rows(text, _after(lines, found[0]), positions, values, counts)
    if len(values) == before:
        raise ConfigError("no row of this file was ever active; it is not a whole file", where=text.name)


def _after(lines: Iterator[str], header: int) -> Iterator[tuple[int, str]]:
    """Numbered lines below the header's first row, without the rows that the header goes on in."""
    stacking = True
    for number, line in enumerate(lines, 1):
        if number <= header + 1 or (stacking and not line.split("\t", 1)[0].strip()):
            continue
        stacking = False
        yield number, line


def _read_rows(
    text: Text, lines: Iterator[tuple[int, str]], positions: Positions, values: list[int], counts: dict[str, int]
) -> None:
    column1, column2, effective, deletion, indicator = positions
    width = max(positions)
    days: dict[str, int] = {}
    known: set[str] = set()
    for number, line in lines:
        cells = line.rstrip("\r\n").split("\t")
        if len(cells) <= width:
            if line.strip():
                raise bad_row(text, number, f"{len(cells)} columns instead of {width + 1} or more")
            continue
        counts["rows"] += 1
        first, second, word = cells[column1].strip(), cells[column2].strip(), cells[indicator].strip()
        if first not in known or second not in known:
            known |= {_code(text, number, first), _code(text, number, second)}
        if word == "9":
            counts["indicator_9"] += 1
            continue
        if word not in ("0", "1"):
            raise bad_row(text, number, f"modifier indicator {word!r} is not 0, 1 or 9")
        start = _day(text, number, cells[effective], days)
        end = _day(text, number, cells[deletion], days)
        if start == NEVER:
            raise bad_row(text, number, "the effective date is absent")
        if end <= start:
            counts["never_active"] += 1
            continue
        values.append(int(first + second, 36) << 32 | start << 16 | end << 1 | (word == "1"))


def _code(text: Text, number: int, code: str) -> str:
    if not CODE.fullmatch(code):
        raise bad_row(text, number, f"{code!r} is not a code of five letters and digits")
    return code


def _day(text: Text, number: int, written: str, known: dict[str, int]) -> int:
    found = known.get(written)
    if found is None:
        try:
            found = known[written] = packed_day(read_day(written))
        except ValueError:
            raise bad_row(text, number, f"{written!r} is not a date such as 20261001") from None
    return found


def _comebacks(values: Sequence[int]) -> dict[str, int]:
    """How pairs come back after a deletion: on the next day, or on the deletion day itself."""
    next_day = same_day = 0
    last_key = last_end = -1
    for value in values:
        row_key, start, end = value >> 32, value >> 16 & 0xFFFF, value >> 1 & NEVER
        if row_key == last_key:
            next_day += start == last_end + 1
            same_day += start == last_end
        last_key, last_end = row_key, end
    return {"back_next_day": next_day, "back_same_day": same_day}


def windows(records: Sequence[tuple[int, ...]], on: date) -> list[tuple[int, int, int]]:
    """Of a pair's records those in force on a date: (effective, deletion, indicator), the newest first, 0 before 1."""
    day = packed_day(on)
    rows = [(value >> 16, value >> 1 & NEVER, value & 1) for (value,) in records]
    return sorted((row for row in rows if active(row[0], row[1], day)), key=lambda row: (-row[0], row[2]))
