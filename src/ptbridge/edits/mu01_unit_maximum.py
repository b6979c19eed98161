"""MU01: units are above Medicare's unlikely-edit value for one day.

What it checks
    The units of a code over all lines of the day (with and without CQ or CO) against Medicare's value for the service
    date: the loaded table of that quarter, otherwise the code table that ptbridge ships. Where the value is an absolute one
    (adjudication indicator 2) that is an error, otherwise a warning: a day above a clinical value can be right and is then
    paid on appeal. A value for a claim line (indicator 1) is held against each line. Codes without a known value are not
    checked; absent does not mean unlimited. A value of zero (not payable by Medicare) is a payer's matter and not checked
    here.
Why it matters
    Above the value Medicare denies all units of the code for the day (or line), not only those above.
Fix
    Check the units against the note. If they are right, send them and be ready to appeal with the note.
Source
    CMS NCCI Policy Manual, ch. I (medically unlikely edits); the quarter's practitioner table when it is loaded
    (ptbridge reference load), otherwise the practitioner table 2026, Q2 to Q4, as shipped
Cases (medicare_part_b)
    97112-GP x4 @60                                        -> ok
    97112-GP x5 @75                                        -> warning: 97112: 5 units on the day; Medicare's value is 4
    97112-GP-CQ x3 @45, 97112-GP x2 @30                    -> warning: 97112: 5 units on the day; Medicare's value is 4
    97161-GP x2 @60                                        -> 97161: 2 units on the day; Medicare's value is 1
    97014-GP x1 @15                                        -> ok
    97112-GP x5 @75 | maximums=97112 5 3                   -> ok
    97112-GP x3 @45 | maximums=97112 2 3                   -> warning: 97112: 3 units on the day; Medicare's value is 2
    97597-GP x2, 97597-GP-59 x2 | maximums=97597 2 1       -> ok
    97597-GP x3 | maximums=97597 2 1                       -> warning: 97597: 3 units on a line; Medicare's value is 2
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import date

from ptbridge.edits.report import on_day
from ptbridge.model import Finding, PricedDay, Severity
from ptbridge.policy.facts import Facts
from ptbridge.policy.reference import SHIPPED, Mue
from ptbridge.ports import edit

FIX = "Check the units against the note. If they are right, send them and be ready to appeal with the note."


@edit()
def check(priced: PricedDay, facts: Facts) -> Iterator[Finding]:
    """Yield a finding for each code above its daily value, or its value for a line."""
    on = priced.day.service_date
    units: dict[str, list[int]] = {}
    for charge in priced.charges:
        units.setdefault(charge.line.procedure, []).append(charge.line.units)
    for code, of_lines in units.items():
        known = _known(facts, code, on)
        if known is None or not known.value:
            continue
        by_line = known.mai == 1
        total = max(of_lines) if by_line else sum(of_lines)
        if total > known.value:
            what = f"{code}: {total} units on {'a line' if by_line else 'the day'}; Medicare's value is {known.value}"
            yield on_day("MU01", f"{what} ({known.source})", FIX, Severity.ERROR if known.mai == 2 else Severity.WARNING)


def _known(facts: Facts, code: str, on: date | None) -> Mue | None:
    """The loaded table's value on the service date; where no table is loaded for it, the code table's."""
    if facts.reference is not None and on is not None and facts.reference.covers("mue", on):
        return facts.reference.mue(code, on)
    row = facts.codes.get(code)
    return None if row is None or not row.daily_max else Mue(code=code, value=row.daily_max, mai=row.mai, source=SHIPPED)
