"""MD06: the discipline modifier is not the day's, or a line has two.

What it checks
    GP on PT days, GO on OT days, GN on SLP days, and one of them at most on a line.
Why it matters
    Medicare returns the claim; the amount would count to the wrong threshold.
Fix
    Correct the modifier in the EMR, or the discipline of the visit.
Source
    CMS Pub. 100-04, ch. 5, section 20.1; CR 10176, Transmittal 3814 (evaluations, since 2018-01-01)
Cases (medicare_part_b)
    97110-GP x1 @15                                        -> ok
    97110-GO x1 @15                                        -> 97110-GO x1: GO on a PT day; GP is right
    97110-GP-GO x1 @15                                     -> 97110-GP-GO x1: GP and GO on one line
    92507-GN x1 | discipline=SLP                           -> ok
    97110-GO x1 @15 | discipline=none                      -> ok
"""

from __future__ import annotations

from collections.abc import Iterator

from ptbridge.edits.modifiers import DISCIPLINE_OF, MODIFIER_OF
from ptbridge.edits.report import on_line
from ptbridge.model import Finding, PricedDay
from ptbridge.policy.facts import Facts
from ptbridge.ports import edit

FIX = "Correct the modifier in the EMR, or the discipline of the visit."


@edit()
def check(priced: PricedDay, facts: Facts) -> Iterator[Finding]:
    """Yield a finding for each line with another discipline's modifier, or with two."""
    discipline = priced.day.discipline
    for charge in priced.charges:
        found = [modifier for modifier in charge.line.modifiers if modifier in DISCIPLINE_OF]
        if len(set(found)) > 1:
            yield on_line("MD06", charge.line, f"{' and '.join(found)} on one line", FIX)
        elif found and discipline is not None and DISCIPLINE_OF[found[0]] is not discipline:
            message = f"{found[0]} on a {discipline} day; {MODIFIER_OF[discipline]} is right"
            yield on_line("MD06", charge.line, message, FIX)
