"""UN02: the note's minutes totals are missing or do not agree with its lines.

What it checks
    Each visit with timed services: the timed minutes total against the sum of its timed lines, and the treatment minutes
    total against the timed one. Lines that claim more than the totals are an error. A total above its lines only means
    that fewer units are billed than may be due, and is a warning. So is a missing total under the 8-minute rule.
Why it matters
    The treatment note must state both totals, and the billed units must agree with them; a reviewer adds them up.
Fix
    Correct the minutes in the note, or have the EMR send both totals.
Source
    CMS Pub. 100-02, ch. 15, section 220.3.E (totals in the note); CMS Pub. 100-04, ch. 5, section 20.2
Cases (medicare_part_b)
    97110-GP x2 @24                                        -> ok
    97110-GP x2 @24 | timed_total=23                       -> timed lines add up to 24 minutes; the note's total is 23
    97110-GP x2 @24 | timed_total=30 | treatment_total=30  -> warning: timed lines add up to 24 minutes; the note's total is 30
    97110-GP x2 @24 | treatment_total=20                   -> treatment minutes total is 20; timed minutes total is 24
    97110-GP x2 @24 | timed_total=none                     -> warning: the timed minutes total is missing
    97110-GP x2 @24 | treatment_total=none                 -> warning: the treatment minutes total is missing
    97161-GP x1 @40 | timed_total=none                     -> ok
Cases (commercial_midpoint)
    97110-GP x2 @24 | timed_total=none                     -> ok
    97110-GP x2 @24 | timed_total=23                       -> timed lines add up to 24 minutes; the note's total is 23
"""

from __future__ import annotations

from collections.abc import Iterator

from ptbridge.edits.minutes import EIGHT_MINUTE
from ptbridge.edits.report import on_day
from ptbridge.edits.visits import billable_visits, line_minutes
from ptbridge.model import Finding, PricedDay, Severity, Visit
from ptbridge.policy.codes import CodeTable
from ptbridge.policy.facts import Facts
from ptbridge.ports import edit

FIX = "Correct the minutes in the note."
MISSING = "Have the EMR send it, or check that the note states it: it must be there on review."


@edit()
def check(priced: PricedDay, facts: Facts) -> Iterator[Finding]:
    """Yield a finding for each disagreement of each visit that has timed lines."""
    terms = facts.terms(priced.day.service_date)
    both_required = terms is not None and terms.counting_rule == EIGHT_MINUTE
    for visit in billable_visits(priced):
        has_timed, minutes = _timed_minutes(visit, facts.codes)
        if not has_timed:
            continue
        timed, treatment = visit.timed_minutes_total, visit.treatment_minutes_total
        if timed is None and both_required:
            yield _warning("the timed minutes total is missing", visit)
        if treatment is None and both_required:
            yield _warning("the treatment minutes total is missing", visit)
        if timed is not None and minutes is not None and timed != minutes:
            message = f"timed lines add up to {minutes} minutes; the note's total is {timed}"
            severity = Severity.ERROR if minutes > timed else Severity.WARNING
            yield on_day("UN02", message, FIX, severity, visit_id=visit.visit_id)
        if timed is not None and treatment is not None and treatment < timed:
            message = f"treatment minutes total is {treatment}; timed minutes total is {timed}"
            yield on_day("UN02", message, FIX, visit_id=visit.visit_id)


def _warning(message: str, visit: Visit) -> Finding:
    return on_day("UN02", message, MISSING, Severity.WARNING, visit_id=visit.visit_id)


def _timed_minutes(visit: Visit, codes: CodeTable) -> tuple[bool, int | None]:
    """Whether the visit has timed lines, and their minutes together: None when a line lacks them or its code is unknown."""
    has_timed = False
    minutes: int | None = 0
    for done in visit.interventions:
        if done.not_done:
            continue
        row = codes.get(done.code) if done.code else None
        if row is None:
            minutes = None
        elif row.timed:
            has_timed = True
            here = line_minutes(done)
            minutes = None if minutes is None or here is None else minutes + here
    return has_timed, minutes
