"""Who shares Medicare's therapy thresholds, and the year's amount: a loaded table's, else the shipped one's."""

from __future__ import annotations

from functools import lru_cache

from ptbridge.policy.reference import Reference, Threshold

KX_GROUPS = {"PT": "PT_SLP", "SLP": "PT_SLP", "OT": "OT"}
"""PT with SLP, OT alone: SSA 1833(g)(1) and (3)."""


def kx_group(discipline: str | None) -> str | None:
    """`PT_SLP` or `OT`; None when the discipline is not known."""
    return KX_GROUPS.get(discipline or "")


def threshold_of(reference: Reference | None, group: str, year: int) -> Threshold | None:
    """The threshold of `PT_SLP` or `OT` in a year; None when neither a loaded table nor the shipped one has that year."""
    return (_shipped() if reference is None else reference).threshold(group, year)


@lru_cache(maxsize=1)
def _shipped() -> Reference:
    return Reference()
