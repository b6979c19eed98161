"""AU06: the authorization was not in force on the service date.

What it checks
    Where the visit's authorization is on file with dates: the service date is one of them, both ends included.
Why it matters
    A visit outside the dates counts as one without authorization (adjustment reason 197).
Fix
    Ask the payer to extend it, or name the authorization that was in force.
Source
    X12 adjustment reason 197; the payer's letter of authorization
Cases (commercial_midpoint)
    97110-GP x1 @15 | authorization=A1 | authorizations=A1 visits=12 from=2026-03-02 to=2026-03-02 -> ok
    97110-GP x1 @15 | authorization=A1 | authorizations=A1 visits=12 to=2026-03-01
        -> the authorization ended on 2026-03-01
    97110-GP x1 @15 | authorization=A1 | authorizations=A1 visits=12 from=2026-03-03
        -> the authorization begins on 2026-03-03
    97110-GP x1 @15 | authorization=A1 | authorizations=A1 visits=12 to=2026-03-01; A1 visits=6 from=2026-03-02 -> ok
"""

from __future__ import annotations

from collections.abc import Iterator

from ptbridge.edits.authorized import in_force, uses
from ptbridge.edits.report import on_day
from ptbridge.model import (
    Finding,
    PricedDay,
)
from ptbridge.policy.facts import Facts
from ptbridge.ports import edit

FIX = "Ask the payer to extend it, or name the authorization that was in force."


@edit()
def check(priced: PricedDay, facts: Facts) -> Iterator[Finding]:
    """Yield a finding for each number of which nothing was in force on the service date."""
    on = priced.day.service_date
    for use in uses(priced, facts):
        if on is None or not use.fitting or any(in_force(found, on) for found in use.fitting):
            continue
        ends = [found.valid_to for found in use.fitting if found.valid_to is not None and found.valid_to < on]
        begins = [found.valid_from for found in use.fitting if found.valid_from is not None and found.valid_from > on]
        when = f"ended on {max(ends)}" if ends else f"begins on {min(begins)}"
        yield on_day("AU06", f"the authorization {when}; the service date is {on}", FIX, visit_id=use.visit_id)
