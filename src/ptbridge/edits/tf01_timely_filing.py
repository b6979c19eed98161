"""TF01: the payer's time for filing is over, or nearly.

What it checks
    Days since the service date against the payer's filing limit: over it is an error, fourteen days or fewer left a
    warning. Nothing is said where the limit is unset.
Why it matters
    A late claim is denied (adjustment reason 29), and the patient may not be billed for it.
Fix
    Send it now. If it is over, look for an exception of the payer before writing it off.
Source
    42 CFR 424.44 (Medicare: one calendar year); other payers: the contract
Cases (medicare_part_b)
    97110-GP x1 @15                                        -> ok
    97110-GP x1 @15 | today=2027-03-03                     -> 366 days since the service; medicare_part_b takes 365
    97110-GP x1 @15 | today=2027-03-02                     -> warning: 0 days left to file with medicare_part_b
    97110-GP x1 @15 | today=2027-02-16                     -> warning: 14 days left to file with medicare_part_b
    97110-GP x1 @15 | today=2027-02-15                     -> ok
Cases (none)
    97110-GP x1 @15 | today=2036-03-03                     -> ok
"""

from __future__ import annotations

from collections.abc import Iterator

from ptbridge.edits.report import on_day
from ptbridge.model import Finding, PricedDay, Severity
from ptbridge.policy.facts import Facts
from ptbridge.ports import edit

FIX = "Send it now. If it is over, look for an exception of the payer before writing it off."
WARN_DAYS = 14


@edit()
def check(priced: PricedDay, facts: Facts) -> Iterator[Finding]:
    """Yield one finding when the limit is passed or near."""
    on = priced.day.service_date
    terms = facts.terms(on)
    if on is None or terms is None or terms.timely_filing_days is None:
        return
    passed = (facts.today - on).days
    left = terms.timely_filing_days - passed
    if left < 0:
        yield on_day("TF01", f"{passed} days since the service; {terms.payer} takes {terms.timely_filing_days}", FIX)
    elif left <= WARN_DAYS:
        plural = "day" if left == 1 else "days"
        yield on_day("TF01", f"{left} {plural} left to file with {terms.payer}", FIX, Severity.WARNING)
