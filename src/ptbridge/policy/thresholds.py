"""Medicare's therapy thresholds: which discipline counts to which, and the amount of a year as far as it is known."""

from __future__ import annotations

import csv
from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache
from importlib import resources

KX_GROUPS = {"PT": "PT_SLP", "SLP": "PT_SLP", "OT": "OT"}
"""PT with SLP, OT alone: SSA 1833(g)(1) and (3)."""


@dataclass(frozen=True, slots=True)
class Threshold:
    """The amount of one calendar year and group, in cents of allowed charges, above which a line needs KX."""

    cents: int
    source: str


ThresholdLookUp = Callable[[str, int], Threshold | None]  # group, calendar year


def kx_group(discipline: str | None) -> str | None:
    """`PT_SLP` or `OT`; None when the discipline is not known."""
    return KX_GROUPS.get(discipline or "")


def threshold(group: str, year: int) -> Threshold | None:
    """The KX threshold, None for a year that the shipped table does not have: it is never carried over from another year."""
    return _shipped().get((group, year))


@lru_cache(maxsize=1)
def _shipped() -> dict[tuple[str, int], Threshold]:
    text = (resources.files("ptbridge_mappings") / "codes" / "therapy_thresholds.csv").read_text(encoding="utf-8")
    return {
        (row["group"], int(row["year"])): Threshold(int(row["kx_cents"]), row["source"])
        for row in csv.DictReader(text.splitlines())
    }
