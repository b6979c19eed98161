"""AU02: the authorization number is not known, or is another payer's.

What it checks
    Where authorizations of the patient are on file: the visit's number is one of them, for this payer and discipline. A
    number that is not on file is a warning, one of another payer or discipline an error. With none on file nothing is said.
Why it matters
    A wrong number denies the claim (adjustment reason 15), and its visits are counted nowhere.
Fix
    Correct the number in the visit, or import the authorization.
Source
    X12 005010X222A1 (837P), loop 2300, REF*G1; X12 adjustment reason 15
Cases (commercial_midpoint)
    97110-GP x1 @15 | authorization=A1                     -> ok
    97110-GP x1 @15 | authorization=A1 | authorizations=A1 visits=12 -> ok
    97110-GP x1 @15 | authorization=A2 | authorizations=A1 visits=12
        -> warning: the authorization number is not among the 1 on file
    97110-GP x1 @15 | authorization=A1 | authorizations=A1 visits=12 payer=medicaid
        -> the authorization is of another payer
    97110-GP x1 @15 | authorization=A1 | authorizations=A1 visits=12 payer=commercial_midpoint -> ok
    97110-GP x1 @15 | authorization=A1 | authorizations=A1 visits=12 discipline=OT -> the authorization is for OT
    97110-GP x1 @15 | authorization=A1 | authorizations=A1 visits=12 discipline=OT; A1 visits=6 discipline=PT -> ok
"""

from __future__ import annotations

from collections.abc import Iterator

from ptbridge.edits.authorized import uses
from ptbridge.edits.report import on_day
from ptbridge.model import (
    Finding,
    PricedDay,
    Severity,
)
from ptbridge.policy.facts import Facts
from ptbridge.ports import edit

FIX = "Correct the number in the visit, or import the authorization."


@edit()
def check(priced: PricedDay, facts: Facts) -> Iterator[Finding]:
    """Yield a finding for each number that is not on file, or not for this payer and discipline."""
    for use in uses(priced, facts):
        if not use.known and facts.history is not None:
            message = f"the authorization number is not among the {len(facts.history.authorizations)} on file"
            yield on_day("AU02", message, FIX, Severity.WARNING, visit_id=use.visit_id)
        elif not use.fitting:
            disciplines = sorted({found.discipline for found in use.known if found.discipline})
            other = priced.day.discipline is not None and disciplines and priced.day.discipline not in disciplines
            whose = f"for {' and '.join(disciplines)}" if other else "of another payer"
            yield on_day("AU02", f"the authorization is {whose}", FIX, visit_id=use.visit_id)
