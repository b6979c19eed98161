"""MD09: GA without a signed notice on file.

What it checks
    A line with GA: a notice of non-coverage (ABN) was signed, not later than the service date. A source that does not give
    its date counts as none.
Why it matters
    GA says that the patient agreed in writing to pay. Without the notice the clinic may not collect.
Fix
    Record the date on which the notice was signed (map it as visit.abn_signed_on), or take GA off.
Source
    CMS Pub. 100-04, ch. 30, section 50; NGS, therapy modifiers and notices (GA: required notice on file)
Cases (medicare_part_b)
    97110-GP x1 @15                                        -> ok
    97110-GP-GA x1 @15 | abn=2026-03-02                    -> ok
    97110-GP-GA x1 @15                                     -> 97110-GP-GA x1: GA, and no signed notice is on file
    97110-GP-GA x1 @15 | abn=2026-03-03 -> 97110-GP-GA x1: GA, and the notice was signed on 2026-03-03
"""

from __future__ import annotations

from collections.abc import Iterator

from ptbridge.edits.report import on_line
from ptbridge.model import (
    Finding,
    PricedDay,
)
from ptbridge.policy.facts import Facts
from ptbridge.ports import edit

FIX = "Record the date on which the notice was signed (map it as visit.abn_signed_on), or take GA off."


@edit()
def check(priced: PricedDay, facts: Facts) -> Iterator[Finding]:
    """Yield a finding for each line with GA whose notice is missing or too late."""
    for charge in priced.charges:
        if "GA" in charge.line.modifiers:
            on = priced.day.service_date
            signed = min((day for visit in priced.day.visits if (day := visit.abn_signed_on) is not None), default=None)
            if signed is None:
                yield on_line("MD09", charge.line, "GA, and no signed notice is on file", FIX)
            elif on is not None and signed > on:
                yield on_line("MD09", charge.line, f"GA, and the notice was signed on {signed}, after the service", FIX)
