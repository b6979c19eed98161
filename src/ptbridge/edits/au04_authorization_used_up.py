"""AU04: the authorization is used up.

What it checks
    What is left of the visit's authorization before this day against what the day takes, in visits, units, days or cents as
    it counts. Used is what the biller took; on its way or held counts too; a voided day is credited again. Only what this
    clinic knows of: another clinic may have used some.
Why it matters
    What goes beyond is denied (adjustment reason 198) and cannot be billed to the patient.
Fix
    Ask the payer for more, with the date of this visit; correct the authorization on file when it comes.
Source
    X12 adjustment reason 198; the payer's letter of authorization
Cases (commercial_midpoint)
    97110-GP x1 @15 | authorization=A1 | authorizations=A1 visits=12 used=11 -> ok
    97110-GP x1 @15 | authorization=A1 | authorizations=A1 visits=12 used=12
        -> the authorization has 0 visits left; this day takes 1
    97110-GP x1 @15 | authorization=A1 | authorizations=A1 visits=12 used=10 in_flight=2
        -> the authorization has 0 visits left
    97110-GP x2 @30, 97140-GP x1 @15 | authorization=A1 | authorizations=A1 units=20 used=18
        -> the authorization has 2 units left; this day takes 3
    97110-GP x2 @30, 97140-GP x1 @15 | authorization=A1 | authorizations=A1 units=20 used=18 codes=97110 -> ok
    97110-GP x1 @15 | authorization=A1 | authorizations=A1 days=6 used=6 -> the authorization has 0 days left
    97110-GP x2 @30 | authorization=A1 | authorizations=A1 cents=50000 used=45000
        -> the authorization has $50.00 left; this day takes $100.00
    97110-GP x1 @15 | authorization=A1 | authorizations=A1 visits=12 used=12 payer=medicaid -> ok
"""

from __future__ import annotations

from collections.abc import Iterator

from ptbridge.edits.authorized import amount, in_force, short, uses
from ptbridge.edits.report import on_day
from ptbridge.model import (
    Finding,
    PricedDay,
)
from ptbridge.policy.facts import Facts
from ptbridge.ports import edit

FIX = "Ask the payer for more, with the date of this visit; correct the authorization on file when it comes."


@edit()
def check(priced: PricedDay, facts: Facts) -> Iterator[Finding]:
    """Yield a finding for each authorization of the day that has less left than the day takes."""
    on = priced.day.service_date
    for use in uses(priced, facts):
        for found in use.fitting:
            needed, left = use.needed(found), max(0, found.left)
            if on is not None and in_force(found, on) and needed > left:
                message = f"the authorization has {amount(left, found)} left; this day takes {short(needed, found)}"
                yield on_day("AU04", message, FIX, visit_id=use.visit_id)
