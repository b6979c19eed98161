"""NC04: a re-evaluation needs its reason in the note.

What it checks
    97164 and 97168. Where the source gives a reason with the service (interventions.reason of the mapping; in FHIR a
    Procedure.reasonCode in words) nothing is said: whether it is a good one is for a person. Without one the finding asks for
    a look; with the patient's history it also says when nothing was evaluated before, and how long ago it was.
Why it matters
    A re-evaluation is paid only for new findings, a significant change, or no response to the treatment; routine ones are
    part of the treatment and are taken back.
Fix
    Check that the note says what was new. If it was the routine review, it belongs in the progress report and is not billed.
Source
    CMS Pub. 100-02, ch. 15, section 220.3.C; CMS, "11 Part B billing scenarios for PTs and OTs"
Cases (medicare_part_b)
    97161-GP x1 @40                                        -> ok
    97164-GP x1 @20 -> warning: 97164-GP x1: a re-evaluation; ptbridge cannot see its reason
    97168-GO x1 @20 | discipline=OT | evaluations=2026-02-16 97165
        -> warning: 97168-GO x1: a re-evaluation 14 days after 97165
    97164-GP x1 @20 | reason=new -> ok
    97164-GP x1 @20 | evaluations=none -> warning: 97164-GP x1: a re-evaluation, and no earlier evaluation is known
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import date

from ptbridge.edits.plan_dates import RE_EVALUATIONS
from ptbridge.edits.report import on_line
from ptbridge.edits.visits import billable_visits
from ptbridge.model import (
    Finding,
    PricedDay,
    Severity,
)
from ptbridge.policy.facts import Facts
from ptbridge.ports import edit

FIX = (
    "Check that the note says what was new. If it was the routine review, it belongs in the progress report and is not billed."
)


@edit(severity=Severity.WARNING)
def check(priced: PricedDay, facts: Facts) -> Iterator[Finding]:
    """Yield a warning for each re-evaluation."""
    for charge in priced.charges:
        if charge.line.procedure in RE_EVALUATIONS and not _reasoned(priced, charge.line.procedure):
            yield on_line("NC04", charge.line, _message(facts, priced.day.service_date), FIX, Severity.WARNING)


def _reasoned(priced: PricedDay, code: str) -> bool:
    """Whether the source gives a reason with every line of the code that was done."""
    done = [
        line for visit in billable_visits(priced) for line in visit.interventions if line.code == code and not line.not_done
    ]
    return bool(done) and all(line.reason for line in done)


def _message(facts: Facts, on: date | None) -> str:
    if facts.history is None or on is None:
        return "a re-evaluation; ptbridge cannot see its reason"
    earlier = [(day, code) for day, code in facts.history.evaluations if day < on]
    if not earlier:
        return "a re-evaluation, and no earlier evaluation is known here"
    day, code = max(earlier)
    return f"a re-evaluation {(on - day).days} days after {code}; ptbridge cannot see its reason"
