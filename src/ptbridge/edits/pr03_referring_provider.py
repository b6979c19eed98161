"""PR03: the referring provider's NPI is missing.

What it checks
    Where the payer requires it: every visit names a referring (certifying) provider with an NPI.
Why it matters
    Without the physician who certifies the plan of care the claim is denied (adjustment reason 16 or 183).
Fix
    Add the referring provider with the NPI to the visit or the episode in the EMR.
Source
    X12 005010X222A1 (837P), loop 2310A NM1*DN; CMS Pub. 100-02, ch. 15, section 220.1; the payer policy decides
Cases (medicare_part_b)
    97110-GP x1 @15                                        -> ok
    97110-GP x1 @15 | referring_npi=none                   -> the referring provider's NPI is missing
Cases (none)
    97110-GP x1 @15 | referring_npi=none                   -> ok
"""

from __future__ import annotations

from collections.abc import Iterator

from ptbridge.edits.report import on_day
from ptbridge.edits.visits import billable_visits
from ptbridge.model import Finding, PricedDay
from ptbridge.policy.facts import Facts
from ptbridge.ports import edit

FIX = "Add the referring provider with the NPI to the visit or the episode in the EMR."


@edit()
def check(priced: PricedDay, facts: Facts) -> Iterator[Finding]:
    """Yield a finding for each visit with lines and without a referring NPI, where the payer requires it."""
    terms = facts.terms(priced.day.service_date)
    if terms is None or terms.referring_npi != "required":
        return
    for visit in billable_visits(priced):
        if visit.referring is None or not visit.referring.npi:
            yield on_day("PR03", "the referring provider's NPI is missing", FIX, visit_id=visit.visit_id)
