"""WC01: the claim number or the date of a work injury is missing.

What it checks
    Where the payer's policy says that it pays for work injuries: the visit has the payer's claim number and the date of the
    injury. Employer and adjuster differ by state and are not checked.
Why it matters
    A workers' compensation payer finds the injury by these two; a bill without them comes back.
Fix
    Enter both in the case of the patient in the EMR, or map them under accident.
Source
    X12 005010X222A1 (837P): CLM11-1 EM, DTP*439, loop 2010BA REF*Y4; the state's billing rules
Cases (commercial_midpoint)
    97110-GP x1 @15                                        -> ok
    97110-GP x1 @15 | terms=accident_kind=employment       -> the work injury lacks: claim number, date of injury
    97110-GP x1 @15 | terms=accident_kind=employment | accident=employment on=2026-01-05
        -> the work injury lacks: claim number
    97110-GP x1 @15 | terms=accident_kind=employment | accident=employment number=yes
        -> the work injury lacks: date of injury
    97110-GP x1 @15 | terms=accident_kind=employment | accident=employment on=2026-01-05 number=yes -> ok
"""

from __future__ import annotations

from collections.abc import Iterator

from ptbridge.edits.report import on_day
from ptbridge.edits.visits import accident_of
from ptbridge.model import (
    Finding,
    PricedDay,
)
from ptbridge.policy.facts import Facts
from ptbridge.ports import edit

FIX = "Enter both in the case of the patient in the EMR, or map them under accident."


@edit()
def check(priced: PricedDay, facts: Facts) -> Iterator[Finding]:
    """Yield one finding that names what is absent, for a payer of work injuries."""
    terms = facts.terms(priced.day.service_date)
    if terms is None or terms.accident_kind != "employment" or not priced.charges:
        return
    accident = accident_of(priced)
    claim, on = (accident.claim_number, accident.on) if accident is not None else (None, None)
    lacking = [name for name, value in (("claim number", claim), ("date of injury", on)) if not value]
    if lacking:
        yield on_day("WC01", f"the work injury lacks: {', '.join(lacking)}", FIX, where="accident")
