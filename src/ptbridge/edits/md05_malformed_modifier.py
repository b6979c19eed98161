"""MD05: a modifier is malformed or stands twice on a line.

What it checks
    Every modifier is two characters, capital letters or digits, and stands once on its line.
Why it matters
    A malformed modifier makes the whole claim fail at the clearinghouse.
Fix
    Correct the modifier in the EMR or in the mapping.
Source
    X12 005010X222A1 (837P), loop 2400, SV101-3 to SV101-6 (two characters each)
Cases (medicare_part_b)
    97110-GP-59 x1 @15                                     -> ok
    97110-GP-GP x1 @15                                     -> 97110-GP-GP x1: GP stands twice
"""

from __future__ import annotations

from collections.abc import Iterator

from ptbridge.edits.report import on_line
from ptbridge.model import Finding, PricedDay
from ptbridge.policy.facts import Facts
from ptbridge.ports import edit

FIX = "Correct the modifier in the EMR or in the mapping."


@edit()
def check(priced: PricedDay, facts: Facts) -> Iterator[Finding]:
    """Yield a finding for each modifier that no claim can carry."""
    for charge in priced.charges:
        modifiers = charge.line.modifiers
        for modifier in modifiers:
            if not well_formed(modifier):
                yield on_line("MD05", charge.line, f"{modifier!r} is not two capital letters or digits", FIX)
        if len(set(modifiers)) < len(modifiers):
            twice = ", ".join(sorted({modifier for modifier in modifiers if modifiers.count(modifier) > 1}))
            yield on_line("MD05", charge.line, f"{twice} stands twice", FIX)


def well_formed(modifier: str) -> bool:
    """Two characters, each a capital letter A to Z or a digit."""
    return len(modifier) == 2 and modifier.isascii() and modifier.isalnum() and modifier == modifier.upper()
