"""MD04: CQ or CO without the discipline modifier that it belongs to.

What it checks
    CQ goes with GP and CO with GO, never both on one line. There is no assistant's modifier in speech-language pathology.
Why it matters
    Medicare returns the line as unprocessable when the pair does not fit.
Fix
    Correct the modifiers in the EMR, or the discipline of the visit.
Source
    SSA 1834(v); 42 CFR 410.59, 410.60; CMS Pub. 100-04, ch. 5, section 20.1 (reporting since 2020-01-01)
Cases (medicare_part_b)
    97110-GP-CQ x1 @15                                     -> ok
    97110-CQ x1 @15                                        -> 97110-CQ x1: CQ without GP
    97110-GP-CO x1 @15                                     -> 97110-GP-CO x1: CO without GO
    97110-GP-CQ-CO x1 @15                                  -> 97110-GP-CQ-CO x1: CQ and CO on one line
    92507-GN-CQ x1 | discipline=SLP                        -> 92507-GN-CQ x1: CQ without GP
"""

from __future__ import annotations

from collections.abc import Iterator

from ptbridge.edits.modifiers import ASSISTANT_PAIR
from ptbridge.edits.report import on_line
from ptbridge.model import Finding, PricedDay
from ptbridge.policy.facts import Facts
from ptbridge.ports import edit

FIX = "Correct the modifiers in the EMR, or the discipline of the visit."
_ASSISTANTS = frozenset(ASSISTANT_PAIR)


@edit()
def check(priced: PricedDay, facts: Facts) -> Iterator[Finding]:
    """Yield a finding for each line whose assistant's modifier stands alone or with the wrong one."""
    for charge in priced.charges:
        modifiers = charge.line.modifiers
        if _ASSISTANTS.isdisjoint(modifiers):
            continue
        found = [modifier for modifier in modifiers if modifier in ASSISTANT_PAIR]
        if len(found) > 1:
            yield on_line("MD04", charge.line, "CQ and CO on one line", FIX)
        elif (partner := ASSISTANT_PAIR[found[0]]) not in modifiers:
            yield on_line("MD04", charge.line, f"{found[0]} without {partner}", FIX)
