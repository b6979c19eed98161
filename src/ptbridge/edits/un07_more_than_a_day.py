"""UN07: more than eight hours of one discipline on one day.

What it checks
    The documented minutes of the day's timed lines together, and the timed units where minutes are missing: above 480
    minutes, or 32 units of 15 minutes.
Why it matters
    Nobody is treated for a whole day in an outpatient clinic; mostly seconds, or units, stand where minutes belong.
Fix
    Correct the minutes in the note, or the unit of the minutes in the mapping.
Source
    No rule of a payer: ptbridge's own check for what cannot be true
Cases (medicare_part_b)
    97110-GP x4 @60                                        -> ok
    97535-GP x32 @480                                      -> ok
    97535-GP x32 @481                                      -> warning: 481 timed minutes on one day
    97535-GP x33 @490                                      -> warning: 490 timed minutes on one day
    97535-GP x20 @300, 97110-GP x14 @210                   -> warning: 510 timed minutes on one day
    97535-GP x33                                           -> warning: 33 timed units on one day
"""

from __future__ import annotations

from collections.abc import Iterator

from ptbridge.edits.report import on_day
from ptbridge.edits.visits import billable_visits, line_minutes
from ptbridge.model import (
    Finding,
    PricedDay,
    Severity,
)
from ptbridge.policy.facts import Facts
from ptbridge.ports import edit

FIX = "Correct the minutes in the note, or the unit of the minutes in the mapping."
MOST_MINUTES = 480


@edit(severity=Severity.WARNING)
def check(priced: PricedDay, facts: Facts) -> Iterator[Finding]:
    """Yield one warning for a day longer than a working day."""
    units = minutes = 0
    get = facts.codes.get
    for charge in priced.charges:
        row = get(charge.line.procedure)
        if row is not None and row.timed:
            units += charge.line.units
    if units <= 8:  # far below any limit, and nearly every day
        return
    for visit in billable_visits(priced):
        for done in visit.interventions:
            if not done.not_done and done.code and (row := get(done.code)) is not None and row.timed:
                minutes += line_minutes(done) or 0
    if minutes > MOST_MINUTES or units > MOST_MINUTES // 15:
        said = f"{minutes} timed minutes" if minutes > MOST_MINUTES else f"{units} timed units"
        yield on_day("UN07", f"{said} on one day; that is more than eight hours", FIX, Severity.WARNING)
