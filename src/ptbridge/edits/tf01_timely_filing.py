"""TF01: the payer's time for filing is over.

What it checks
    Today against the last day on which the payer takes a claim for the service date, in days or in calendar months as its
    policy says (Medicare: 12 months; February 29 ends on February 28). Nothing is said where the limit is unset. That a
    payer takes one day more after a Sunday or a holiday is not known here.
Why it matters
    A late claim is denied (adjustment reason 29), and the patient may not be billed for it.
Fix
    Look for an exception of the payer before writing it off; release the day if there is one.
Source
    42 CFR 424.44 (Medicare: one calendar year); CMS Pub. 100-04, ch. 1, section 70; other payers: the contract
Cases (medicare_part_b)
    97110-GP x1 @15                                        -> ok
    97110-GP x1 @15 | today=2027-03-02                     -> ok
    97110-GP x1 @15 | today=2027-03-03                     -> the last day to file with medicare_part_b was 2027-03-02
    97110-GP x1 @15 | on=2024-02-29 | today=2025-02-28     -> ok
    97110-GP x1 @15 | on=2024-02-29 | today=2025-03-01     -> the last day to file with medicare_part_b was 2025-02-28
    97110-GP x1 @15 | on=2023-03-01 | today=2024-03-01     -> ok
Cases (commercial_midpoint)
    97110-GP x1 @15 | today=2030-03-02                     -> ok
    97110-GP x1 @15 | today=2026-05-31 | terms=timely_filing_days=90 -> ok
    97110-GP x1 @15 | today=2026-06-01 | terms=timely_filing_days=90
        -> the last day to file with commercial_midpoint was 2026-05-31
Cases (none)
    97110-GP x1 @15 | today=2036-03-03                     -> ok
"""

from __future__ import annotations

from collections.abc import Iterator

from ptbridge.edits.filing import last_day_to_file
from ptbridge.edits.report import on_day
from ptbridge.model import (
    Finding,
    PricedDay,
)
from ptbridge.policy.facts import Facts
from ptbridge.ports import edit

FIX = "Look for an exception of the payer before writing it off; release the day if there is one."


@edit()
def check(priced: PricedDay, facts: Facts) -> Iterator[Finding]:
    """Yield one finding when the last day has passed."""
    on = priced.day.service_date
    terms = facts.terms(on)
    last = last_day_to_file(terms, on) if terms is not None and on is not None else None
    if terms is not None and last is not None and facts.today > last:
        yield on_day("TF01", f"the last day to file with {terms.payer} was {last}", FIX)
