"""MD19: XE, XP, XS or XU for a payer that does not take them.

What it checks
    Where the payer's policy says that it rejects them: no line carries one.
Why it matters
    The line is denied for an invalid modifier, though the service was separate and 59 would have been taken.
Fix
    Use 59 if the note shows a separate service.
Source
    The payer policy decides; Medicare takes both: CMS, "Proper use of modifiers 59, XE, XP, XS and XU"
Cases (medicare_part_b)
    97140-XU-GP x1 @15                                     -> ok
Cases (commercial_midpoint)
    97140-59-GP x1 @15 | terms=x_modifiers=rejected        -> ok
    97140-XU-GP x1 @15                                     -> ok
    97140-XU-GP x1 @15 | terms=x_modifiers=rejected        -> 97140-XU-GP x1: commercial_midpoint does not take XU
"""

from __future__ import annotations

from collections.abc import Iterator

from ptbridge.edits.modifiers import SEPARATE
from ptbridge.edits.report import on_line
from ptbridge.model import (
    Finding,
    PricedDay,
)
from ptbridge.policy.facts import Facts
from ptbridge.ports import edit

FIX = "Use 59 if the note shows a separate service."
X_MODIFIERS = SEPARATE - {"59"}


@edit()
def check(priced: PricedDay, facts: Facts) -> Iterator[Finding]:
    """Yield a finding for each X modifier that the payer rejects."""
    terms = facts.terms(priced.day.service_date)
    if terms is None or terms.x_modifiers != "rejected":
        return
    for charge in priced.charges:
        for modifier in charge.line.modifiers:
            if modifier in X_MODIFIERS:
                yield on_line("MD19", charge.line, f"{terms.payer} does not take {modifier}", FIX)
