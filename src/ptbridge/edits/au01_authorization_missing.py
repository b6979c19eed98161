"""AU01: the authorization number is missing.

What it checks
    Where the payer requires one: every visit with billed lines names an authorization. If one is on file for that date, the
    finding says so; it is never filled in by itself.
Why it matters
    The claim is denied (adjustment reason 197), and the patient may not be billed for it.
Fix
    Enter the authorization number in the visit, or ask the payer for one.
Source
    X12 005010X222A1 (837P), loop 2300, REF*G1; the payer policy decides
Cases (commercial_midpoint)
    97110-GP x1 @15                                        -> ok
    97110-GP x1 @15 | terms=authorization=required         -> the authorization number is missing
    97110-GP x1 @15 | terms=authorization=required | authorization=A1 -> ok
    97110-GP x1 @15 | terms=authorization=required | authorizations=A1 visits=12 payer=medicaid
        -> the authorization number is missing
    97110-GP x1 @15 | terms=authorization=required | authorizations=A1 visits=12 to=2026-06-30
        -> the authorization number is missing; one on file covers 2026-03-02
    97110-GP x1 @15 | terms=authorization=required | authorizations=A1 visits=12 to=2026-02-28
        -> the authorization number is missing
Cases (none)
    97110-GP x1 @15                                        -> ok
"""

from __future__ import annotations

from collections.abc import Iterator

from ptbridge.edits.authorized import fits, in_force
from ptbridge.edits.report import on_day
from ptbridge.edits.visits import billable_visits
from ptbridge.model import (
    Finding,
    PricedDay,
)
from ptbridge.policy.facts import Facts
from ptbridge.policy.history import Authorization
from ptbridge.ports import edit

FIX = "Enter the authorization number in the visit, or ask the payer for one."


@edit()
def check(priced: PricedDay, facts: Facts) -> Iterator[Finding]:
    """Yield a finding for each visit with lines and without a number, where the payer requires one."""
    on = priced.day.service_date
    terms = facts.terms(on)
    if terms is None or on is None or terms.authorization != "required" or not priced.charges:
        return
    on_file = any(in_force(found, on) and fits(found, priced) for found in _known(facts))
    for visit in billable_visits(priced):
        if not visit.authorization_number:
            hint = f"; one on file covers {on}" if on_file else ""
            yield on_day("AU01", f"the authorization number is missing{hint}", FIX, visit_id=visit.visit_id)


def _known(facts: Facts) -> tuple[Authorization, ...]:
    return facts.history.authorizations if facts.history is not None else ()
