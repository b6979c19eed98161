"""The yearly therapy thresholds: above them Medicare wants KX. Data, by year of the service date; never a constant.

A CSV with `year,group,kx_cents,review_cents,source`; `group` is PT_SLP (counted together) or OT. ptbridge ships 2021 to 2026;
a year that is absent is not known. A loaded file speaks for the years that it holds.
"""

from __future__ import annotations

import csv
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cache
from importlib.resources import files

from ptbridge.errors import ConfigError

COLUMNS = ["year", "group", "kx_cents", "review_cents", "source"]
GROUPS = ("PT_SLP", "OT")
SHIPPED = "therapy_thresholds.csv"


@dataclass(frozen=True, slots=True, kw_only=True)
class Threshold:
    """Of one year and group: above `kx_cents` of allowed amounts KX is needed; above `review_cents` Medicare may review.

    `table` says which table it stands in: the shipped one, or a file that was loaded.
    """

    year: int
    group: str
    kx_cents: int
    review_cents: int
    source: str
    table: str = "the table that ptbridge ships"

    @property
    def cited(self) -> str:
        """What the row says of its source, and which table it stands in."""
        return f"{self.source}; {self.table}"


def kind_of(head: Sequence[str]) -> str | None:
    """`thresholds` when these are the first lines of a threshold table, else None."""
    return "thresholds" if head and head[0].strip().split(",") == COLUMNS else None


def read_thresholds(lines: Iterable[str], name: str) -> dict[tuple[str, int], Threshold]:
    """The table by group and year. Raises ConfigError with file:line; both groups must be there for a year."""
    rows = csv.DictReader(lines)
    if rows.fieldnames is None or list(rows.fieldnames) != COLUMNS:
        raise ConfigError(f"the first line must be {','.join(COLUMNS)}", where=f"{name}:1")
    table: dict[tuple[str, int], Threshold] = {}
    for row in rows:
        threshold = _row(row, f"{name}:{rows.line_num}")
        table[threshold.group, threshold.year] = threshold
    for year in {year for _, year in table}:
        if any((group, year) not in table for group in GROUPS):
            raise ConfigError(f"{year}: needs one row for each of {', '.join(GROUPS)}", where=name)
    if not table:
        raise ConfigError("no year in it; write one row for each year and group", where=name)
    return table


def _row(row: dict[str, str], where: str) -> Threshold:
    try:
        found = Threshold(
            year=int(row["year"]),
            group=row["group"],
            kx_cents=int(row["kx_cents"]),
            review_cents=int(row["review_cents"]),
            source=row["source"],
        )
    except (TypeError, ValueError):
        raise ConfigError("year, kx_cents and review_cents must be whole numbers (cents)", where=where) from None
    if found.group not in GROUPS or not found.source:
        raise ConfigError(
            f"group must be one of {', '.join(GROUPS)}, and source must say where the amount is from", where=where
        )
    return found


@cache
def shipped_thresholds() -> dict[tuple[str, int], Threshold]:
    """The years that ptbridge ships."""
    text = (files("ptbridge_mappings") / "codes" / SHIPPED).read_text(encoding="utf-8")
    return read_thresholds(text.splitlines(), SHIPPED)
