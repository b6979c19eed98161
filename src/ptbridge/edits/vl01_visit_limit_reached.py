"""VL01: the plan's limit of visits is reached.

What it checks
    Where the payer's policy states limits: visits of the plan year in each pool that the day's discipline belongs to, this
    day included, against the pool's limit. A soft limit is a warning. Only this clinic's visits are known: others may have
    used some. Without the patient's history nothing is said.
Why it matters
    Visits beyond the plan's limit are denied (adjustment reason 119); the patient pays them, and has to know before.
Fix
    Tell the patient, or ask the payer for an exception. Release the day if the payer has agreed.
Source
    The plan's schedule of benefits, as the payer policy states it; X12 adjustment reason 119
Cases (commercial_midpoint)
    97110-GP x1 @15 | pools=therapy 60                     -> ok
    97110-GP x1 @15 | terms=visit_limits=therapy PT OT 60  -> ok
    97110-GP x1 @15 | terms=visit_limits=therapy PT OT 60 | pools=therapy 59 -> ok
    97110-GP x1 @15 | terms=visit_limits=therapy PT OT 60 | pools=therapy 60
        -> visit 61 of the plan year in the pool therapy; the limit is 60
    97110-GP x1 @15 | terms=visit_limits=therapy PT OT 60 soft | pools=therapy 60 -> warning: visit 61 of the plan year
    97110-GP x1 @15 | terms=visit_limits=speech SLP 30 | pools=speech 30 -> ok
    97110-GP x1 @15 | terms=visit_limits=speech SLP 30, body PT 20 | pools=speech 30, body 25
        -> visit 26 of the plan year in the pool body
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

FIX = "Tell the patient, or ask the payer for an exception. Release the day if the payer has agreed."


@edit()
def check(priced: PricedDay, facts: Facts) -> Iterator[Finding]:
    """Yield a finding for each pool whose limit this day goes beyond."""
    for pool, number in pools_of(priced, facts):
        if number > pool.visits:
            message = f"visit {number} of the plan year in the pool {pool.name}; the limit is {pool.visits}"
            yield on_day("VL01", message, FIX, Severity.WARNING if pool.soft else Severity.ERROR)
