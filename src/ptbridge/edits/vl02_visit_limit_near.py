"""VL02: the plan's limit of visits is near.

What it checks
    After this day two visits or fewer are left in a pool of the payer's policy (VL01 says when it is passed).
Why it matters
    The patient can still plan the last visits, or an exception can be asked for in time.
Fix
    Tell the patient and the therapist; ask the payer for an exception if treatment goes on.
Source
    The plan's schedule of benefits, as the payer policy states it; the number of two is ptbridge's choice
Cases (commercial_midpoint)
    97110-GP x1 @15 | terms=visit_limits=therapy PT OT 60 | pools=therapy 56 -> ok
    97110-GP x1 @15 | terms=visit_limits=therapy PT OT 60 | pools=therapy 57
        -> warning: 2 visits left this plan year in the pool therapy
    97110-GP x1 @15 | terms=visit_limits=therapy PT OT 60 | pools=therapy 59 -> warning: 0 visits left this plan year
    97110-GP x1 @15 | terms=visit_limits=therapy PT OT 60 | pools=therapy 60 -> ok
"""

from __future__ import annotations

from collections.abc import Iterator

from ptbridge.edits.report import on_day
from ptbridge.edits.visit_limits import pools_of
from ptbridge.model import (
    Finding,
    PricedDay,
    Severity,
)
from ptbridge.policy.facts import Facts
from ptbridge.ports import edit

FIX = "Tell the patient and the therapist; ask the payer for an exception if treatment goes on."
NEAR = 2


@edit(severity=Severity.WARNING)
def check(priced: PricedDay, facts: Facts) -> Iterator[Finding]:
    """Yield a warning for each pool that soon has nothing left."""
    for pool, number in pools_of(priced, facts):
        left = pool.visits - number
        if 0 <= left <= NEAR:
            plural = "visit" if left == 1 else "visits"
            message = f"{left} {plural} left this plan year in the pool {pool.name}, of {pool.visits}"
            yield on_day("VL02", message, FIX, Severity.WARNING)
