"""WC03: the accident is dated after the service.

What it checks
    The date of the accident is not after the service date, and not after today.
Why it matters
    The claim contradicts itself and is rejected; mostly the year is wrong.
Fix
    Correct the date of the accident, or of the visit.
Source
    X12 005010X222A1 (837P), loop 2300, DTP*439 (accident)
Cases (medicare_part_b)
    97110-GP x1 @15                                        -> ok
    97110-GP x1 @15 | accident=other on=2026-03-02         -> ok
    97110-GP x1 @15 | accident=other on=2026-03-03 -> the accident is dated 2026-03-03, after the service on 2026-03-02
"""

from __future__ import annotations

from collections.abc import Iterator

from ptbridge.edits.report import on_day
from ptbridge.edits.visits import accident_of
from ptbridge.model import (
    Finding,
    PricedDay,
)
from ptbridge.policy.facts import Facts
from ptbridge.ports import edit

FIX = "Correct the date of the accident, or of the visit."


@edit()
def check(priced: PricedDay, facts: Facts) -> Iterator[Finding]:
    """Yield one finding for an accident that would come after its treatment."""
    on, accident = priced.day.service_date, accident_of(priced)
    if on is not None and accident is not None and accident.on is not None and accident.on > on:
        yield on_day("WC03", f"the accident is dated {accident.on}, after the service on {on}", FIX, where="accident")
