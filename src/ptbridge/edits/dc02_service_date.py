"""DC02: the service date is missing or in the future.

What it checks
    The day has a civil date at the clinic, and it is not after today.
Why it matters
    A service that has not happened cannot be billed; a future date is mostly a slip of the year or a booked visit.
Fix
    Correct the date of the visit in the EMR. A visit that is still to come goes by itself once it has taken place.
Source
    X12 005010X222A1 (837P), loop 2400, DTP*472; CMS Pub. 100-04, ch. 26, section 10.4, item 24A: a
    date for each service (the section's contents and the item's wording were read in reprints)
Cases (medicare_part_b)
    97110-GP x1 @15                                        -> ok
    97110-GP x1 @15 | today=2026-03-02                     -> ok
    97110-GP x1 @15 | today=2026-03-01                     -> the service date 2026-03-02 is after today, 2026-03-01
    97110-GP x1 @15 | on=none                              -> the service date is missing
"""

from __future__ import annotations

from collections.abc import Iterator

from ptbridge.edits.report import on_day
from ptbridge.model import Finding, PricedDay
from ptbridge.policy.facts import Facts
from ptbridge.ports import edit

FIX = "Correct the date of the visit in the EMR. A visit that is still to come goes by itself once it has taken place."


@edit()
def check(priced: PricedDay, facts: Facts) -> Iterator[Finding]:
    """Yield one finding for a day without a date or with a later one than today."""
    on = priced.day.service_date
    if on is None:
        yield on_day("DC02", "the service date is missing", FIX)
    elif on > facts.today:
        yield on_day("DC02", f"the service date {on} is after today, {facts.today}", FIX)
