"""DC03: a line is billed from a visit that is not finished.

What it checks
    Every visit behind a billed line has the status finished.
Why it matters
    A cancelled visit, a no-show and one that was entered in error have no service to bill; one in progress may change.
Fix
    Close the visit in the EMR; it goes by itself at the next run. If it did not take place, remove its charges there.
Source
    HL7 FHIR R4, Encounter.status; CMS Pub. 100-04, ch. 1, section 30.3.13: what is charged for a missed
    appointment is no service and is not billed to Medicare (read as pt-management.com quotes it, not in the manual itself)
Cases (medicare_part_b)
    97110-GP x1 @15                                        -> ok
    97110-GP x1 @15 | status=in-progress                   -> the visit is in-progress; only a finished visit is billed
    97110-GP x1 @15 | status=cancelled                     -> the visit is cancelled
    97110-GP x1 @15 | status=no-show                       -> the visit is no-show
    97110-GP x1 @15 | status=entered-in-error              -> the visit is entered-in-error
    97110-GP x1 @15 | status=unknown                       -> the visit is unknown
    97110-GP x0 @15 | status=planned                       -> ok
"""

from __future__ import annotations

from collections.abc import Iterator

from ptbridge.edits.report import on_day
from ptbridge.model import Finding, PricedDay, VisitStatus
from ptbridge.policy.facts import Facts
from ptbridge.ports import edit

FIX = "Close the visit in the EMR; it goes by itself at the next run. If it did not take place, remove its charges there."


@edit()
def check(priced: PricedDay, facts: Facts) -> Iterator[Finding]:
    """Yield a finding for each unfinished visit that lines are billed from."""
    unfinished = [visit for visit in priced.day.visits if visit.status is not VisitStatus.FINISHED]
    if not unfinished:
        return
    billed = {key.partition("/")[0] for charge in priced.charges for key in charge.line.line_keys}
    for visit in unfinished:
        if visit.visit_id in billed:
            message = f"the visit is {visit.status.value}; only a finished visit is billed"
            yield on_day("DC03", message, FIX, visit_id=visit.visit_id)
