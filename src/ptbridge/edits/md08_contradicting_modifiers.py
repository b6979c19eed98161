"""MD08: modifiers on a line contradict each other.

What it checks
    GA with GZ (a notice was signed, and was not), KX with GA or GZ (necessary, and expected to be denied), GX without
    GY, and 59 together with XE, XP, XS or XU.
Why it matters
    Medicare denies or returns such a line; KX beside GA or GZ attests to two opposite things.
Fix
    Keep the one that is true.
Source
    NGS, therapy modifiers and notices (KX never with GA; GX goes with GY); CMS, "Proper use of modifiers 59, XE, XP, XS and XU"
Cases (medicare_part_b)
    97110-GP-KX x1 @15                                     -> ok
    97110-GP-KX-GA x1 @15                                  -> 97110-GP-KX-GA x1: KX contradicts GA
    97110-GP-KX-GZ x1 @15                                  -> warning: 97110-GP-KX-GZ x1: KX contradicts GZ
    97110-GP-GA-GZ x1 @15                                  -> 97110-GP-GA-GZ x1: GA contradicts GZ
    97110-GP-GX x1 @15                                     -> warning: 97110-GP-GX x1: GX without GY
    97110-GP-GX-GY x1 @15                                  -> ok
    97140-GP-59-XE x1 @15                                  -> warning: 97140-GP-59-XE x1: 59 and XE
"""

from __future__ import annotations

from collections.abc import Iterator

from ptbridge.edits.modifiers import SEPARATE
from ptbridge.edits.report import on_line
from ptbridge.model import Finding, PricedDay, Severity
from ptbridge.policy.facts import Facts
from ptbridge.ports import edit

FIX = "Keep the one that is true."
_CONTRADICTIONS = (
    ("GA", "GZ", Severity.ERROR),
    ("KX", "GA", Severity.ERROR),
    ("KX", "GZ", Severity.WARNING),  # follows from what the two say; no source read states it
)
_SPOKEN_OF = SEPARATE | {"GA", "GX", "GZ"}


@edit()
def check(priced: PricedDay, facts: Facts) -> Iterator[Finding]:
    """Yield a finding for each contradiction on each line."""
    for charge in priced.charges:
        modifiers = charge.line.modifiers
        if _SPOKEN_OF.isdisjoint(modifiers):
            continue
        for one, other, severity in _CONTRADICTIONS:
            if one in modifiers and other in modifiers:
                yield on_line("MD08", charge.line, f"{one} contradicts {other}", FIX, severity)
        if "GX" in modifiers and "GY" not in modifiers:
            yield on_line("MD08", charge.line, "GX without GY", FIX, Severity.WARNING)
        separate = [modifier for modifier in modifiers if modifier in SEPARATE]
        if "59" in separate and len(separate) > 1:
            yield on_line("MD08", charge.line, f"{' and '.join(separate)} on one line", FIX, Severity.WARNING)
