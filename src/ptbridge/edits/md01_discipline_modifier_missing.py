"""MD01: a therapy line has no discipline modifier.

What it checks
    Where the payer requires it: GP, GO or GN on every therapy line.
Why it matters
    Medicare returns or denies a therapy line without it (adjustment reason 4), and cannot count it to the right threshold.
Fix
    Give the visit its discipline in the EMR; ptbridge adds the modifier from it.
Source
    CMS Pub. 100-04, ch. 5, section 20.1; CR 10176, Transmittal 3814 (since 2018-01-01)
Cases (medicare_part_b)
    97110-GP x1 @15                                        -> ok
    97110 x1 @15                                           -> 97110 x1: GP, GO or GN is missing
    97110-CQ x1 @15, 97140-GP x1 @15                       -> 97110-CQ x1: GP, GO or GN is missing
Cases (none)
    97110 x1 @15                                           -> ok
"""

from __future__ import annotations

from collections.abc import Iterator

from ptbridge.edits.modifiers import DISCIPLINE_OF
from ptbridge.edits.report import on_line
from ptbridge.model import Finding, PricedDay
from ptbridge.policy.facts import Facts
from ptbridge.ports import edit

FIX = "Give the visit its discipline in the EMR; ptbridge adds the modifier from it."


@edit()
def check(priced: PricedDay, facts: Facts) -> Iterator[Finding]:
    """Yield a finding for each therapy line without one, where the payer requires it."""
    terms = facts.terms(priced.day.service_date)
    if terms is None or terms.discipline_modifier != "required":
        return
    for charge in priced.charges:
        line = charge.line
        if DISCIPLINE_OF.keys().isdisjoint(line.modifiers):
            row = facts.codes.get(line.procedure)
            if row is None or row.therapy != "no":
                yield on_line("MD01", line, "GP, GO or GN is missing", FIX)
