"""DC11: the note was signed too early or too late.

What it checks
    A note that was signed before the visit began, or before the documented minutes could have passed, and one signed more
    days after the service date than the payer's policy allows. Where the source gives no time of signature nothing is said.
Why it matters
    A note signed before the service cannot describe it; a late signature is not accepted in place of a timely one.
Fix
    Check when the note was written. If it is right, keep an attestation with it.
Source
    CMS Pub. 100-02, ch. 15, section 220.3.E; CMS Pub. 100-08, ch. 3, section 3.3.2.4 (no number of days: the policy's choice)
Cases (medicare_part_b)
    97110-GP x1 @15                                        -> ok
    97110-GP x1 @15 | started_at=2026-03-02T09:00 | signed_at=2026-03-02T09:15 -> ok
    97110-GP x1 @15 | started_at=2026-03-02T09:00 | signed_at=2026-03-02T09:00
        -> warning: the note was signed 0 minutes after the visit began
    97110-GP x1 @15 | started_at=2026-03-02T09:00 | signed_at=2026-03-02T08:59
        -> warning: the note was signed before the visit began
    97110-GP x1 @15 | started_at=2026-03-02T09:00 | signed_at=2026-03-02T09:14
        -> warning: the note was signed 14 minutes after the visit began; 15 minutes are documented
    97110-GP x1 @15 | signed_at=2026-03-16T09:00           -> ok
    97110-GP x1 @15 | signed_at=2026-03-17T09:00 -> warning: the note was signed 15 days after the service date
    97110-GP x1 @15 | signed_at=2026-03-17T09:00 | terms=late_signature_days=30 -> ok
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime, timedelta

from ptbridge.edits.report import on_day
from ptbridge.edits.visits import billable_visits
from ptbridge.model import (
    Finding,
    PricedDay,
    Severity,
    Visit,
)
from ptbridge.policy.facts import Facts
from ptbridge.ports import edit

FIX = "Check when the note was written. If it is right, keep an attestation with it."


@edit(severity=Severity.WARNING)
def check(priced: PricedDay, facts: Facts) -> Iterator[Finding]:
    """Yield a warning for each note signed before its service was over, or late."""
    on = priced.day.service_date
    terms = facts.terms(on)
    for visit in billable_visits(priced):
        signed = visit.note_signed_at
        if signed is None:
            continue
        if visit.started_at is not None and (message := _too_early(visit, signed, visit.started_at)) is not None:
            yield on_day("DC11", message, FIX, Severity.WARNING, visit_id=visit.visit_id)
        late = (signed.date() - on).days if on is not None else 0
        if terms is not None and terms.late_signature_days is not None and late > terms.late_signature_days:
            message = f"the note was signed {late} days after the service date"
            yield on_day("DC11", message, FIX, Severity.WARNING, visit_id=visit.visit_id)


def _too_early(visit: Visit, signed: datetime, started: datetime) -> str | None:
    if signed < started:
        return "the note was signed before the visit began"
    documented = visit.treatment_minutes_total or 0
    passed = (signed - started) // timedelta(minutes=1)
    if passed >= documented:
        return None
    return f"the note was signed {passed} minutes after the visit began; {documented} minutes are documented"
