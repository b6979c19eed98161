"""PC01: the procedure code was not valid on the service date.

What it checks
    Every line's code against the code table and its dates. 97710 is in no table: it is not a CPT code, and nobody can say
    whether 97110 or 97750 was meant; it is never corrected here.
Why it matters
    A code outside its dates is rejected before anybody looks at the service (adjustment reason 181).
Fix
    Use the code that was valid on that date. A code that is new this year goes into the code table first.
Source
    CMS physician fee schedule file RVU26C (codes of 2026); 45 CFR 162.1000(a): code
    sets as valid when the care is furnished (text read)
Cases (medicare_part_b)
    97110-GP x1 @15                                        -> ok
    97710-GP x1 @15                                        -> 97710-GP x1: 97710 is not a known procedure code
    97001-GP x1                                            -> 97001-GP x1: 97001 was valid until 2016-12-31, not on 2026-03-02
    97001-GP x1 | on=2016-12-31                            -> ok
    98985-GP x1 | on=2025-12-31                            -> 98985-GP x1: 98985 was valid from 2026-01-01, not on 2025-12-31
"""

from __future__ import annotations

from collections.abc import Iterator

from ptbridge.edits.report import on_line
from ptbridge.model import Finding, PricedDay
from ptbridge.policy.facts import Facts
from ptbridge.ports import edit

FIX = "Use the code that was valid on that date. A code that is new this year goes into the code table first."


@edit()
def check(priced: PricedDay, facts: Facts) -> Iterator[Finding]:
    """Yield a finding for each line whose code is unknown or outside its dates."""
    on = priced.day.service_date
    for charge in priced.charges:
        code = charge.line.procedure
        row = facts.codes.get(code)
        if row is None:
            yield on_line("PC01", charge.line, f"{code} is not a known procedure code", FIX)
        elif on is not None and not row.valid_on(on):
            late = row.valid_to is not None and on > row.valid_to
            dates = f"until {row.valid_to}" if late else f"from {row.valid_from}"
            yield on_line("PC01", charge.line, f"{code} was valid {dates}, not on {on}", FIX)
