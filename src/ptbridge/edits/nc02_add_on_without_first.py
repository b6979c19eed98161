"""NC02: an add-on code is billed without the code that it adds to.

What it checks
    97130 with 97129, 97546 with 97545, 97551 with 97550, 97598 with 97597, 92608 with 92607, 90913 with 90912, 92627 with
    92626, 92618 with 92605 and G0542 with G0541 on the same day. Codes that count a month (98981) are not checked: their
    first code may be on another day.
Why it matters
    An add-on is never paid alone; the first code's money is lost with it.
Fix
    Bill the first code for the first part of the service, and the add-on for the rest.
Source
    CMS NCCI add-on code edits (type 1); CMS physician fee schedule file RVU26C (global ZZZ)
Cases (medicare_part_b)
    97129-GN x1, 97130-GN x1 | discipline=SLP              -> ok
    97130-GN x1 | discipline=SLP                           -> 97130-GN x1: 97130 adds to 97129, which is not billed
    97598-GP x2                                            -> 97598-GP x2: 97598 adds to 97597, which is not billed
    98981-GP x1                                            -> ok
"""

from __future__ import annotations

from collections.abc import Iterator

from ptbridge.edits.report import on_line
from ptbridge.model import Finding, PricedDay
from ptbridge.policy.facts import Facts
from ptbridge.ports import edit

FIX = "Bill the first code for the first part of the service, and the add-on for the rest."
MONTHLY = frozenset({"98981"})


@edit()
def check(priced: PricedDay, facts: Facts) -> Iterator[Finding]:
    """Yield a finding for each add-on whose first code is not on the day."""
    for charge in priced.charges:
        code = charge.line.procedure
        row = facts.codes.get(code)
        first = row.add_on_of if row is not None else None
        if first is None or code in MONTHLY:
            continue
        if all(other.line.procedure != first for other in priced.charges):
            yield on_line("NC02", charge.line, f"{code} adds to {first}, which is not billed", FIX)
