"""MU01: units are above Medicare's unlikely-edit value for one day.

What it checks
    The units of a code over all lines of the day (with and without CQ or CO) against the daily value of the code table.
    Where the value is an absolute one (adjudication indicator 2) that is an error, otherwise a warning: a day above a
    clinical value can be right and is then paid on appeal. Codes without a known value are not checked; absent does not
    mean unlimited. A value of zero (not payable by Medicare) is a payer's matter and not checked here.
Why it matters
    Above the value Medicare denies all units of the code for the day, not only those above.
Fix
    Check the units against the note. If they are right, send them and be ready to appeal with the note.
Source
    CMS NCCI Policy Manual, ch. I (medically unlikely edits); practitioner table 2026, Q2 to Q4
Cases (medicare_part_b)
    97112-GP x4 @60                                        -> ok
    97112-GP x5 @75                                        -> warning: 97112: 5 units on the day; Medicare's value is 4
    97112-GP-CQ x3 @45, 97112-GP x2 @30                    -> warning: 97112: 5 units on the day; Medicare's value is 4
    97161-GP x2 @60                                        -> 97161: 2 units on the day; Medicare's value is 1
    97014-GP x1 @15                                        -> ok
"""

from __future__ import annotations

from collections.abc import Iterator

from ptbridge.edits.report import on_day
from ptbridge.model import Finding, PricedDay, Severity
from ptbridge.policy.facts import Facts
from ptbridge.ports import edit

FIX = "Check the units against the note. If they are right, send them and be ready to appeal with the note."


@edit()
def check(priced: PricedDay, facts: Facts) -> Iterator[Finding]:
    """Yield a finding for each code above its daily value."""
    units: dict[str, int] = {}
    for charge in priced.charges:
        units[charge.line.procedure] = units.get(charge.line.procedure, 0) + charge.line.units
    for code, total in units.items():
        row = facts.codes.get(code)
        if row is not None and row.daily_max and total > row.daily_max:
            severity = Severity.ERROR if row.mai == 2 else Severity.WARNING
            yield on_day("MU01", f"{code}: {total} units on the day; Medicare's value is {row.daily_max}", FIX, severity)
