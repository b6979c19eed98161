"""The procedure code table: what a code counts, who may bill it, and when it was valid. Labels are our own, never AMA's."""

from __future__ import annotations

import csv
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import date
from functools import lru_cache
from importlib import resources
from pathlib import Path
from typing import Literal

from ptbridge.errors import ConfigError
from ptbridge.model import Discipline

Counts = Literal["session", "minutes", "quantity"]
Therapy = Literal["always", "sometimes", "no"]

COLUMNS = [
    *("code", "label", "counts", "minutes_per_unit", "pooled", "disciplines", "therapy", "evaluation"),
    *("add_on", "assistant", "daily_max", "mai", "valid_from", "valid_to", "source"),
]
_COUNTS: dict[str, Counts] = {"session": "session", "minutes": "minutes", "quantity": "quantity"}
_THERAPY: dict[str, Therapy] = {"always": "always", "sometimes": "sometimes", "no": "no"}


@dataclass(frozen=True, slots=True, kw_only=True)
class ProcedureCode:
    """One CPT or HCPCS code as therapy billing needs it.

    `counts`: `session` is one unit a day whatever the minutes; `minutes` is a timed code of `minutes_per_unit` each;
    `quantity` counts something that only the EMR can tell (area, supplies, minutes of a month). `pooled` codes share the
    day's 15-minute total. `add_on` is the code that bills the units after this one's first, of `add_on_minutes` each;
    `add_on_of` the reverse.
    `evaluation` codes are never an assistant's. `assistant` is False for codes that take no CQ/CO.
    `daily_max` and `mai` are CMS's MUE and its adjudication indicator; absent means unknown, not unlimited.
    Dates are service dates, both inclusive; `valid_from` None means before the table begins (2016).
    """

    code: str
    label: str
    counts: Counts
    minutes_per_unit: int | None = None
    pooled: bool = False
    disciplines: frozenset[Discipline] = frozenset()
    therapy: Therapy = "sometimes"
    evaluation: bool = False
    add_on: str | None = None
    add_on_minutes: int | None = None
    add_on_of: str | None = None
    assistant: bool = True
    daily_max: int | None = None
    mai: int | None = None
    valid_from: date | None = None
    valid_to: date | None = None
    source: str = ""

    @property
    def timed(self) -> bool:
        """True when units follow from documented minutes."""
        return self.counts == "minutes"

    def valid_on(self, on: date) -> bool:
        """Whether the code could be billed for a service on that date."""
        return (self.valid_from is None or self.valid_from <= on) and (self.valid_to is None or on <= self.valid_to)


class CodeTable:
    """Procedure codes by code. Immutable; look-ups cost a dictionary access."""

    __slots__ = ("_codes",)

    def __init__(self, codes: Mapping[str, ProcedureCode]) -> None:
        self._codes = dict(codes)

    def get(self, code: str) -> ProcedureCode | None:
        """The code's row, or None when the table does not know it (97710 is no CPT code)."""
        return self._codes.get(code)

    def valid_on(self, code: str, on: date) -> bool:
        """True when the table knows the code and it was valid for a service on that date."""
        row = self._codes.get(code)
        return row is not None and row.valid_on(on)

    def __iter__(self) -> Iterator[ProcedureCode]:
        return iter(self._codes.values())

    def __len__(self) -> int:
        return len(self._codes)

    def __contains__(self, code: str) -> bool:
        return code in self._codes


def load_codes(path: Path | None = None) -> CodeTable:
    """Read a code table (CSV); the shipped `codes/therapy_2026.csv` when no path is given.

    Raises ConfigError with file:line when a row cannot be read.
    """
    return _shipped() if path is None else _read(path.read_text(encoding="utf-8"), str(path))


@lru_cache(maxsize=1)
def _shipped() -> CodeTable:
    file = resources.files("ptbridge_mappings") / "codes" / "therapy_2026.csv"
    return _read(file.read_text(encoding="utf-8"), "codes/therapy_2026.csv")


def _read(text: str, name: str) -> CodeTable:
    rows = csv.DictReader(text.splitlines())
    if rows.fieldnames is None or list(rows.fieldnames) != COLUMNS:
        raise ConfigError(f"the first line must be {','.join(COLUMNS)}", where=f"{name}:1")
    add_on_of: dict[str, str] = {}
    raw: dict[str, tuple[int, dict[str, str]]] = {}
    for row in rows:
        code = row["code"]
        if None in row or None in row.values():
            raise ConfigError(f"{code}: not {len(COLUMNS)} columns; write an empty one as ,,", where=f"{name}:{rows.line_num}")
        if code in raw:
            raise ConfigError(f"{code} stands twice, first on line {raw[code][0]}; keep one", where=f"{name}:{rows.line_num}")
        raw[code] = rows.line_num, row
        if row["add_on"]:
            add_on_of[row["add_on"]] = code
    table: dict[str, ProcedureCode] = {}
    for code, (line, row) in raw.items():
        where = f"{name}:{line}"
        if row["add_on"] and row["add_on"] not in raw:
            raise ConfigError(f"{code}: its add_on {row['add_on']} is not in the table; add it", where=where)
        add_on_minutes = raw[row["add_on"]][1]["minutes_per_unit"] if row["add_on"] else ""
        table[code] = _row(row, add_on_of.get(code), add_on_minutes, where)
    return CodeTable(table)


def _row(row: dict[str, str], add_on_of: str | None, add_on_minutes: str, where: str) -> ProcedureCode:
    counts, therapy = _COUNTS.get(row["counts"]), _THERAPY.get(row["therapy"])
    if counts is None:
        raise ConfigError(f"counts: {row['counts']!r} is not one of {', '.join(_COUNTS)}", where=where)
    if therapy is None:
        raise ConfigError(f"therapy: {row['therapy']!r} is not one of {', '.join(_THERAPY)}", where=where)
    try:
        code = ProcedureCode(
            code=row["code"],
            label=row["label"],
            counts=counts,
            minutes_per_unit=_number(row["minutes_per_unit"]),
            pooled=_claim(row["pooled"]),
            disciplines=frozenset(map(Discipline, row["disciplines"].split())),
            therapy=therapy,
            evaluation=_claim(row["evaluation"]),
            add_on=row["add_on"] or None,
            add_on_minutes=_number(add_on_minutes),
            add_on_of=add_on_of,
            assistant=_claim(row["assistant"]),
            daily_max=_number(row["daily_max"]),
            mai=_number(row["mai"]),
            valid_from=_day(row["valid_from"]),
            valid_to=_day(row["valid_to"]),
            source=row["source"],
        )
    except ValueError as problem:
        raise ConfigError(f"{row['code']}: {problem}; correct the row", where=where) from None
    if code.timed != (code.minutes_per_unit is not None):
        raise ConfigError(f"{code.code}: minutes_per_unit goes with counts=minutes and only with it", where=where)
    return code


def _number(text: str) -> int | None:
    return int(text) if text else None


def _day(text: str) -> date | None:
    return date.fromisoformat(text) if text else None


def _claim(text: str) -> bool:
    if text not in ("yes", "no"):
        raise ValueError(f"{text!r} is not yes or no")
    return text == "yes"
