"""PR05: the place of service is missing, or is not one that the payer takes.

What it checks
    Where the payer's policy lists places of service: every visit has one, and it is in the list.
Why it matters
    A claim without a place of service fails; a place that does not fit the provider is denied (adjustment reason 58).
Fix
    Correct the location of the visit, or the place of service in the location's record.
Source
    X12 005010X222A1 (837P), CLM05-1; CMS place of service code set; the payer policy lists what it takes
Cases (medicare_part_b)
    97110-GP x1 @15                                        -> ok
    97110-GP x1 @15 | place=none                           -> the place of service is missing
    97110-GP x1 @15 | place=99                             -> place of service 99 is not one that medicare_part_b takes
"""

from __future__ import annotations

from collections.abc import Iterator

from ptbridge.edits.report import on_day
from ptbridge.model import Finding, PricedDay
from ptbridge.policy.facts import Facts
from ptbridge.ports import edit

FIX = "Correct the location of the visit, or the place of service in the location's record."


@edit()
def check(priced: PricedDay, facts: Facts) -> Iterator[Finding]:
    """Yield a finding for each visit with lines whose place of service the payer does not take."""
    terms = facts.terms(priced.day.service_date)
    if terms is None or terms.place_of_service is None:
        return
    for visit in priced.day.visits:
        place = visit.place_of_service
        if not visit.interventions or place in terms.place_of_service:
            continue
        problem = "the place of service is missing"
        if place:
            shown = place if len(place) == 2 else f"of {len(place)} characters"
            problem = f"place of service {shown} is not one that {terms.payer} takes"
        yield on_day("PR05", problem, FIX, visit_id=visit.visit_id)
