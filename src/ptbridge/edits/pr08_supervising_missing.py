"""PR08: an assistant treated, and the supervising provider is missing.

What it checks
    Where the payer's policy asks for one: a visit in which an assistant treated names a supervising provider with an NPI.
Why it matters
    Payers that ask for the supervisor deny the line without it.
Fix
    Name the supervising therapist in the visit, with the NPI.
Source
    X12 005010X222A1 (837P), loop 2310D NM1*DQ; the payer policy decides (Medicare: general supervision in private practice
    since 2025-01-01, 42 CFR 410.59, 410.60)
Cases (commercial_midpoint)
    97110-GP x1 @15 | by_assistant=yes                     -> ok
    97110-GP x1 @15 | by_assistant=yes | terms=supervising_npi=required
        -> an assistant treated, and no supervising NPI is given
    97110-GP x1 @15 | by_assistant=yes | terms=supervising_npi=required | supervising_npi=1234567893 -> ok
    97110-GP x1 @15 | terms=supervising_npi=required       -> ok
"""

from __future__ import annotations

from collections.abc import Iterator

from ptbridge.edits.report import on_day
from ptbridge.edits.visits import assistant_treated, billable_visits
from ptbridge.model import (
    Finding,
    PricedDay,
)
from ptbridge.policy.facts import Facts
from ptbridge.ports import edit

FIX = "Name the supervising therapist in the visit, with the NPI."


@edit()
def check(priced: PricedDay, facts: Facts) -> Iterator[Finding]:
    """Yield a finding for each assistant's visit without a supervising NPI, where the payer requires one."""
    terms = facts.terms(priced.day.service_date)
    if terms is None or terms.supervising_npi != "required":
        return
    for visit in billable_visits(priced):
        if assistant_treated(visit) and (visit.supervising is None or not visit.supervising.npi):
            yield on_day("PR08", "an assistant treated, and no supervising NPI is given", FIX, visit_id=visit.visit_id)
