"""PR05: the place of service is missing, or is not in the payer's list.

What it checks
    Where the payer's policy lists places of service: every visit has one (an error), and it is in the list (a warning:
    the shipped lists are not verified).
Why it matters
    A claim without a place of service fails; a place that does not fit the provider is denied (adjustment reason 58).
Fix
    Correct the location of the visit, or the place of service in the location's record.
Source
    X12 005010X222A1 (837P), CLM05-1; CMS place of service code set; the payer policy lists what it takes
Cases (medicare_part_b)
    97110-GP x1 @15                                        -> ok
    97110-GP x1 @15 | place=none                           -> the place of service is missing
    97110-GP x1 @15 | place=99                             -> warning: place of service 99 is not in the list of medicare_part_b
"""

from __future__ import annotations

from collections.abc import Iterator

from ptbridge.edits.report import on_day
from ptbridge.edits.visits import billable_visits
from ptbridge.model import Finding, PricedDay, Severity
from ptbridge.policy.facts import Facts
from ptbridge.ports import edit

FIX = "Correct the location of the visit, or the place of service in the location's record."


@edit()
def check(priced: PricedDay, facts: Facts) -> Iterator[Finding]:
    """Yield a finding for each visit with lines whose place of service the payer does not take."""
    terms = facts.terms(priced.day.service_date)
    if terms is None or terms.place_of_service is None:
        return
    for visit in billable_visits(priced):
        place = visit.place_of_service
        if place in terms.place_of_service:
            continue
        if not place:
            yield on_day("PR05", "the place of service is missing", FIX, visit_id=visit.visit_id)
            continue
        shown = place if len(place) == 2 else f"of {len(place)} characters"
        message = f"place of service {shown} is not in the list of {terms.payer}"
        yield on_day("PR05", message, FIX, Severity.WARNING, visit_id=visit.visit_id)
