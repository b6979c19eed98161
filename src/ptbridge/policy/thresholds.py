"""Who shares Medicare's therapy thresholds. The amounts are data: `reference.Reference.threshold`."""

from __future__ import annotations

KX_GROUPS = {"PT": "PT_SLP", "SLP": "PT_SLP", "OT": "OT"}
"""PT with SLP, OT alone: SSA 1833(g)(1) and (3)."""


def kx_group(discipline: str | None) -> str | None:
    """`PT_SLP` or `OT`; None when the discipline is not known."""
    return KX_GROUPS.get(discipline or "")
