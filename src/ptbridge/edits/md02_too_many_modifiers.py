"""MD02: a line has more than four modifiers.

What it checks
    The number of modifiers on every line.
Why it matters
    A claim line carries four. Dropping one silently would change what is billed, so a person chooses.
Fix
    Remove the modifier that this payer does not need, in the EMR or in the payer's policy.
Source
    X12 005010X222A1 (837P), loop 2400, SV101-3 to SV101-6
Cases (medicare_part_b)
    97110-GP-CQ-KX-59 x1 @15                               -> ok
    97110-GP-CQ-KX-59-97 x1 @15                            -> 97110-GP-CQ-KX-59-97 x1: 5 modifiers; a claim line carries 4
"""

from __future__ import annotations

from collections.abc import Iterator

from ptbridge.edits.report import on_line
from ptbridge.model import Finding, PricedDay
from ptbridge.policy.facts import Facts
from ptbridge.ports import edit

FIX = "Remove the modifier that this payer does not need, in the EMR or in the payer's policy."


@edit()
def check(priced: PricedDay, facts: Facts) -> Iterator[Finding]:
    """Yield a finding for each line with five modifiers or more."""
    for charge in priced.charges:
        if (count := len(charge.line.modifiers)) > 4:
            yield on_line("MD02", charge.line, f"{count} modifiers; a claim line carries 4", FIX)
