"""UN03: an untimed code is billed with more than one unit a day.

What it checks
    All lines of one untimed code together. Codes that count an area, a supply or a month are not untimed.
Why it matters
    An untimed code is one unit a day whatever the minutes; more is the commonest unit error and is repaid.
Fix
    Bill one unit. If the service was in truth a timed one, correct the code in the note.
Source
    CMS Pub. 100-04, ch. 5, section 20.2.B
Cases (medicare_part_b)
    G0283-GP x1 @15                                        -> ok
    G0283-GP x2 @30                                        -> G0283: 2 units billed; an untimed code is 1 unit a day
    97150-GP-CQ x1, 97150-GP x1                            -> 97150: 2 units billed
    97598-GP x3                                            -> ok
    97110-GP x3 @45                                        -> ok
"""

from __future__ import annotations

from collections.abc import Iterator

from ptbridge.edits.report import on_day
from ptbridge.model import Finding, PricedDay
from ptbridge.policy.facts import Facts
from ptbridge.ports import edit

FIX = "Bill one unit. If the service was a timed one, correct the code in the note."


@edit()
def check(priced: PricedDay, facts: Facts) -> Iterator[Finding]:
    """Yield a finding for each untimed code with two units or more."""
    units: dict[str, int] = {}
    for charge in priced.charges:
        code = charge.line.procedure
        row = facts.codes.get(code)
        if row is not None and row.counts == "session":
            units[code] = units.get(code, 0) + charge.line.units
    for code, total in units.items():
        if total > 1:
            yield on_day("UN03", f"{code}: {total} units billed; an untimed code is 1 unit a day", FIX)
