"""DU03: two visits of the day document the same services with the same minutes.

What it checks
    Two visits of one patient, discipline and day whose documented lines agree in every code and every minute.
Why it matters
    Two sessions a day are possible; two that agree to the minute are mostly one that was entered twice, and its minutes are
    counted twice.
Fix
    Look at both notes. If it is one session, mark one visit as entered in error in the EMR.
Source
    CMS Pub. 100-04, ch. 1, section 120 (duplicate claims); CMS Pub. 100-04, ch. 5, section 20.2 (minutes of the day)
Cases (medicare_part_b)
    97110-GP x1 @15, 97140-GP x1 @15 | second_visit=11     -> ok
    97110-GP x1 @15, 97110-GP x1 @20 | second_visit=11     -> ok
    97110-GP x1, 97110-GP x1 | second_visit=11             -> warning: two visits of the day document the same 1 line
    97110-GP x1 @15, 97110-GP x1 @15 | second_visit=11     -> warning: two visits of the day document the same 1 line
    97110-GP x1 @15                                        -> ok
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

FIX = "Look at both notes. If it is one session, mark one visit as entered in error in the EMR."


@edit(severity=Severity.WARNING)
def check(priced: PricedDay, facts: Facts) -> Iterator[Finding]:
    """Yield one warning for each visit that repeats an earlier one of the day."""
    if len(priced.coded.day.visits) < 2:
        return
    seen: set[tuple[tuple[str, int], ...]] = set()
    for visit in billable_visits(priced):
        done = [line for line in visit.interventions if not line.not_done]
        lines = tuple(sorted((line.code or line.documented, line_minutes(line) or 0) for line in done))
        if lines and lines in seen:
            what = f"{len(lines)} {'line' if len(lines) == 1 else 'lines'}"
            message = f"two visits of the day document the same {what} with the same minutes"
            yield on_day("DU03", message, FIX, Severity.WARNING, visit_id=visit.visit_id)
        seen.add(lines)
