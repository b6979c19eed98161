"""AU05: the authorization is nearly used up.

What it checks
    After this day two visits or days, or units or money for two such days, or fewer are left of the visit's authorization.
Why it matters
    A new authorization takes days; without it the next visits are not paid.
Fix
    Ask the payer for more visits now, if treatment goes on.
Source
    The payer's letter of authorization; the number of two is ptbridge's choice
Cases (commercial_midpoint)
    97110-GP x1 @15 | authorization=A1 | authorizations=A1 visits=12 used=8 -> ok
    97110-GP x1 @15 | authorization=A1 | authorizations=A1 visits=12 used=9
        -> warning: after this day the authorization has 2 visits left
    97110-GP x1 @15 | authorization=A1 | authorizations=A1 visits=12 used=11
        -> warning: after this day the authorization has 0 visits left
    97110-GP x1 @15 | authorization=A1 | authorizations=A1 visits=12 used=12 -> ok
    97110-GP x2 @30 | authorization=A1 | authorizations=A1 units=20 used=14
        -> warning: after this day the authorization has 4 units left
    97110-GP x2 @30 | authorization=A1 | authorizations=A1 units=20 used=13 -> ok
"""

from __future__ import annotations

from collections.abc import Iterator

from ptbridge.edits.authorized import amount, in_force, uses
from ptbridge.edits.report import on_day
from ptbridge.model import (
    Finding,
    PricedDay,
    Severity,
)
from ptbridge.policy.facts import Facts
from ptbridge.ports import edit

FIX = "Ask the payer for more visits now, if treatment goes on."
NEAR = 2


@edit(severity=Severity.WARNING)
def check(priced: PricedDay, facts: Facts) -> Iterator[Finding]:
    """Yield a warning for each authorization of the day that soon has nothing left."""
    on = priced.day.service_date
    for use in uses(priced, facts):
        for found in use.fitting:
            needed = use.needed(found)
            after = found.left - needed
            each = needed if found.counts in ("units", "cents") else 1
            if on is not None and in_force(found, on) and needed and 0 <= after <= NEAR * each:
                message = f"after this day the authorization has {amount(after, found)} left"
                yield on_day("AU05", message, FIX, Severity.WARNING, visit_id=use.visit_id)
