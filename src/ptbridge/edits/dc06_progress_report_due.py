"""DC06: a progress report is due or overdue.

What it checks
    Where the payer's policy asks for it: treatment days since the last progress report, re-evaluation or evaluation that
    the ledger knows, this day included. Past the policy's number (Medicare: 10) it is overdue; on the last of them it is
    due with this day. Days are counted, not visits. An evaluation's own day is the first of the period unless the policy
    says otherwise. Without the patient's history nothing is said; other clinics' days are not seen.
Why it matters
    A missing progress report is a common reason to take back the payments of the days after the tenth.
Fix
    Have the therapist write the report (an assistant may only write parts of it), and mark the visit as a progress visit.
Source
    CMS Pub. 100-02, ch. 15, section 220.3.D (at least once in every 10 treatment days)
Cases (medicare_part_b)
    97110-GP x1 @15                                        -> ok
    97110-GP x1 @15 | treatment_days=8 | reports=none      -> ok
    97110-GP x1 @15 | treatment_days=10 | reports=2026-03-02 -> warning: treatment day 11 without a progress report
    97110-GP x1 @15 | treatment_days=9 | reports=none -> information: this is treatment day 10 without a progress report
    97110-GP x1 @15 | treatment_days=10 | reports=none     -> warning: treatment day 11 without a progress report
    97110-GP x1 @15 | treatment_days=10 | reports=none | terms=progress_report=hold -> treatment day 11 without
    97110-GP x1 @15 | treatment_days=9 | reports=none | visit_type=progress -> ok
    97110-GP x1 @15 | treatment_days=10 | reports=none | visit_type=progress
        -> warning: the progress report comes on treatment day 11
    97110-GP x1 @15 | treatment_days=20 | reports=2026-02-20 -> information: this is treatment day 10
    97110-GP x1 @15 | treatment_days=20 | reports=2026-02-19
        -> warning: treatment day 11 without a progress report since 2026-02-19
    97110-GP x1 @15 | treatment_days=10 | reports=2026-02-20 | evaluations=2026-02-20 97161 -> warning: treatment day 11
    97110-GP x1 @15 | treatment_days=10 | reports=2026-02-20 | evaluations=2026-02-20 97161
        | terms=progress_report_counts_evaluation=no
        -> information: this is treatment day 10
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import date

from ptbridge.edits.plan_dates import RE_EVALUATIONS
from ptbridge.edits.report import decided, on_day
from ptbridge.edits.visits import billable_visits
from ptbridge.model import (
    Finding,
    PricedDay,
    Severity,
)
from ptbridge.policy.facts import Facts
from ptbridge.policy.history import PatientHistory
from ptbridge.ports import edit

FIX = "Have the therapist write the report (an assistant may only write parts of it), and mark the visit as a progress visit."
REPORTS = frozenset({"progress", "re-evaluation", "evaluation", "discharge"})


@edit(severity=Severity.WARNING)
def check(priced: PricedDay, facts: Facts) -> Iterator[Finding]:
    """Yield one finding on the day a report falls due and on each day after it."""
    on = priced.day.service_date
    terms = facts.terms(on)
    weight = decided(facts, on, lambda terms: terms.progress_report)
    if on is None or terms is None or weight is None or terms.progress_report_days is None:
        return
    if facts.history is None or not priced.charges:
        return
    last = max((day for day in facts.history.progress_reports if day < on), default=None)
    count = _treatment_days(facts.history, last, on, counts_evaluation=terms.progress_report_counts_evaluation != "no")
    reported = any(visit.visit_type in REPORTS for visit in billable_visits(priced))
    since = f" since {last}" if last else ", as far as is known"
    if count > terms.progress_report_days:
        said = f"the progress report comes on treatment day {count}" if reported else f"treatment day {count} without one"
        message = said.replace("without one", "without a progress report") + since
        yield on_day("DC06", message, FIX, weight)
    elif count == terms.progress_report_days and not reported:
        yield on_day("DC06", f"this is treatment day {count} without a progress report{since}", FIX, Severity.INFORMATION)


def _treatment_days(history: PatientHistory, last: date | None, on: date, *, counts_evaluation: bool) -> int:
    """Treatment days of the report period, with this day; the evaluation's own day where it counts."""
    days = {day for day in history.treatment_days if (last is None or day > last) and day < on}
    began = last is not None and any(day == last and code not in RE_EVALUATIONS for day, code in history.evaluations)
    return len(days) + 1 + (began and counts_evaluation)
