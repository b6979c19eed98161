"""UN06: a line is billed with less than one unit, or with more than the claim can carry.

What it checks
    Units of every line: a whole number from 1 to 999.
Why it matters
    A line of zero units bills nothing and is rejected; a negative one would take money back without a void.
Fix
    Correct the units in the EMR. To take a charge back, void it.
Source
    X12 005010X222A1 (837P), loop 2400, SV104
Cases (medicare_part_b)
    97110-GP x1 @15                                        -> ok
    97110-GP x-1 @15                                       -> 97110-GP x-1: units must be from 1 to 999
    97110-GP x1000 @15                                     -> 97110-GP x1000: units must be from 1 to 999
"""

from __future__ import annotations

from collections.abc import Iterator

from ptbridge.edits.report import on_line
from ptbridge.model import Finding, PricedDay
from ptbridge.policy.facts import Facts
from ptbridge.ports import edit


@edit()
def check(priced: PricedDay, facts: Facts) -> Iterator[Finding]:
    """Yield a finding for each line whose units no claim can carry."""
    for charge in priced.charges:
        if not 1 <= charge.line.units <= 999:
            fix = "Correct the units in the EMR. To take a charge back, void it."
            yield on_line("UN06", charge.line, "units must be from 1 to 999", fix)
