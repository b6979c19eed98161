"""CV08: the patient has another coverage than the one that is billed.

What it checks
    Whether the day's visits name a coverage beside the primary one.
Why it matters
    A charge goes to the primary payer. What that one leaves open is billed to the next, by the biller and after the
    remittance; some payers pass it on by themselves (crossover). Without a word of it the patient gets the bill.
Fix
    None is needed here. See that the biller has the other coverage; if it is over, end it in the EMR.
Source
    X12 005010X222A1 (837P), loops 2320 and 2330 (other subscriber); 42 CFR 411.20 to 411.37 (Medicare secondary payer)
Cases (medicare_part_b)
    97110-GP x1 @15                                        -> ok
    97110-GP x1 @15 | coverages=1                          -> ok
    97110-GP x1 @15 | coverages=none                       -> ok
    97110-GP x1 @15 | coverages=1 2                        -> information: 1 coverage beside the primary one
    97110-GP x1 @15 | coverages=1 2 3                      -> information: 2 coverages beside the primary one
    97110-GP x1 @15 | coverages=1 1                        -> ok
Cases (self_pay)
    97110-GP x1 @15 | coverages=1 2                        -> ok
"""

from __future__ import annotations

from collections.abc import Iterator

from ptbridge.edits.coverage import bills_a_payer
from ptbridge.edits.report import on_day
from ptbridge.model import Finding, PricedDay, Severity
from ptbridge.policy.facts import Facts
from ptbridge.ports import edit

FIX = "See that the biller has the other coverage; if it is over, end it in the EMR."


@edit(severity=Severity.INFORMATION)
def check(priced: PricedDay, facts: Facts) -> Iterator[Finding]:
    """Yield one finding when there is another coverage beside a known primary one."""
    day = priced.day
    primary = day.primary_coverage
    if primary is None or not bills_a_payer(facts):
        return
    others = {coverage.id for visit in day.visits for coverage in visit.coverages} - {primary.id}
    if count := len(others):
        noun = "coverage" if count == 1 else "coverages"
        yield on_day("CV08", f"{count} {noun} beside the primary one", FIX, Severity.INFORMATION)
