"""PR06: the referral is missing, or later than the service.

What it checks
    Where the payer's policy asks for one: every visit with billed lines has the date of its referral or order, not after
    the service date. The referring provider's NPI is PR03. A state's direct access law may ask for more or for less.
Why it matters
    The claim is denied (adjustment reason 288), or paid back on review.
Fix
    Get the referral and record its date, or map it as visit.referral_on.
Source
    The payer policy decides; Medicare asks for a certified plan, not for an order: CMS Pub. 100-02, ch. 15, section 220.1.1
Cases (commercial_midpoint)
    97110-GP x1 @15                                        -> ok
    97110-GP x1 @15 | terms=referral=required              -> no referral is on file
    97110-GP x1 @15 | terms=referral=required | referral_on=2026-03-02 -> ok
    97110-GP x1 @15 | terms=referral=required | referral_on=2026-03-03
        -> the referral is dated 2026-03-03, after the service
"""

from __future__ import annotations

from collections.abc import Iterator

from ptbridge.edits.report import on_day
from ptbridge.edits.visits import billable_visits
from ptbridge.model import (
    Finding,
    PricedDay,
)
from ptbridge.policy.facts import Facts
from ptbridge.ports import edit

FIX = "Get the referral and record its date, or map it as visit.referral_on."


@edit()
def check(priced: PricedDay, facts: Facts) -> Iterator[Finding]:
    """Yield a finding for each visit whose referral is absent or too late, where the payer requires it."""
    on = priced.day.service_date
    terms = facts.terms(on)
    if terms is None or terms.referral != "required":
        return
    for visit in billable_visits(priced):
        if visit.referral_on is None:
            yield on_day("PR06", "no referral is on file", FIX, visit_id=visit.visit_id)
        elif on is not None and visit.referral_on > on:
            message = f"the referral is dated {visit.referral_on}, after the service on {on}"
            yield on_day("PR06", message, FIX, visit_id=visit.visit_id)
