"""CV03: which coverage is primary cannot be told.

What it checks
    The day's visits have coverages, and not exactly one of them can be the primary: two with order 1, or several without
    an order.
Why it matters
    Billing the wrong payer first is denied (adjustment reason 22), and the right one may be out of time by then.
Fix
    Set the order of the patient's coverages in the EMR, and end the one that is over.
Source
    X12 005010X222A1 (837P), loop 2000B, SBR01; HL7 FHIR R4, Coverage.order
Cases (medicare_part_b)
    97110-GP x1 @15                                        -> ok
    97110-GP x1 @15 | coverages=1 2                        -> ok
    97110-GP x1 @15 | coverages=1 1                        -> 2 coverages are both primary
    97110-GP x1 @15 | coverages=? ?                        -> 2 coverages, and none says that it is primary
    97110-GP x1 @15 | coverages=2 3                        -> 2 coverages, and none says that it is primary
    97110-GP x1 @15 | coverages=?                          -> ok
"""

from __future__ import annotations

from collections.abc import Iterator

from ptbridge.edits.coverage import bills_a_payer
from ptbridge.edits.report import on_day
from ptbridge.model import Finding, PricedDay
from ptbridge.policy.facts import Facts
from ptbridge.ports import edit

FIX = "Set the order of the patient's coverages in the EMR, and end the one that is over."


@edit()
def check(priced: PricedDay, facts: Facts) -> Iterator[Finding]:
    """Yield one finding when there are coverages and no single primary one."""
    day = priced.day
    if day.primary_coverage is not None or not bills_a_payer(facts):
        return
    distinct = {coverage.id: coverage for visit in day.visits for coverage in visit.coverages}
    if len(distinct) < 2:
        return
    first = sum(coverage.order == 1 for coverage in distinct.values())
    if first > 1:
        yield on_day("CV03", f"{first} coverages are {'both' if first == 2 else 'all'} primary", FIX)
    else:
        yield on_day("CV03", f"{len(distinct)} coverages, and none says that it is primary", FIX)
