"""What a connector must know of an extract's columns and habits to cut a file into visits. Made from the mapping, by jobs."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

DELIMITERS = {"comma": ",", "tab": "\t", "semicolon": ";", "pipe": "|"}


@dataclass(frozen=True, slots=True, kw_only=True)
class ControlTotals:
    """Where the sender says what a file holds, and what it says there.

    `sidecar`: a second file, named as the first with `ending` instead of its own; JSON, or a heading line and one line of
    values. `trailer`: the last row, whose first cell is `mark`. `rows` and `visits` are counts, `sums` maps a column to
    the name (sidecar) or 1-based position (trailer) of its sum.
    """

    place: Literal["sidecar", "trailer"]
    ending: str = ".totals.csv"
    mark: str = "TRAILER"
    rows: str | None = None
    visits: str | None = None
    sums: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class ExtractProfile:
    """An extract's columns and habits. `columns` are groups of alternatives: a file must have one column of each group,
    and it may have those that are `optional`.

    `holds`: `all` (every visit of the clinic, or of the dates that the file spans), `changed-visits` (every row of each
    visit that changed) or `changed-rows` (only rows that changed: they are laid over the visit's earlier rows by
    `charge_column`). `absent`: what a visit that a file of `all` does not hold means: `kept` (nothing), `gone` (deleted),
    `gone-in-range` (deleted, when its service date lies between the file's first and last).
    """

    visit_column: str
    charge_column: str
    date_column: str
    columns: tuple[tuple[str, ...], ...] = ()
    optional: frozenset[str] = frozenset()
    delimiter: str = "comma"
    charset: str = "utf-8"
    sheet: str | None = None
    dates: tuple[str, ...] = ()
    empty: tuple[str, ...] = ()
    holds: Literal["all", "changed-visits", "changed-rows"] = "changed-visits"
    absent: Literal["kept", "gone", "gone-in-range"] = "kept"
    totals: ControlTotals | None = None
