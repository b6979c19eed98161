"""WC04: the visit is for an accident that another payer may have to pay for.

What it checks
    The visit says that it is for a work injury or an auto accident, and the payer's policy says that it is not the payer of
    that one. Whether the other payer has refused or is used up is not known here.
Why it matters
    Health plans and Medicare pay after workers' compensation and auto insurance; they deny the claim (adjustment reasons
    19 to 22) or take the payment back.
Fix
    Bill the payer of the accident first, or record why it does not pay.
Source
    42 CFR 411.40 to 411.54 (Medicare secondary payer); X12 adjustment reasons 19, 20, 21, 22
Cases (medicare_part_b)
    97110-GP x1 @15                                        -> ok
    97110-GP x1 @15 | accident=employment on=2026-01-05
        -> warning: a visit for a work injury is billed to medicare_part_b
    97110-GP x1 @15 | accident=auto on=2026-01-05 state=CA
        -> warning: a visit for an auto accident is billed to medicare_part_b
    97110-GP x1 @15 | accident=other on=2026-01-05         -> ok
    97110-GP x1 @15 | accident=auto on=2026-01-05 state=CA | terms=accident_kind=auto -> ok
Cases (commercial_midpoint)
    97110-GP x1 @15 | accident=employment on=2026-01-05    -> ok
"""

from __future__ import annotations

from collections.abc import Iterator

from ptbridge.edits.report import on_day
from ptbridge.edits.visits import accident_of
from ptbridge.model import (
    Finding,
    PricedDay,
    Severity,
)
from ptbridge.policy.facts import Facts
from ptbridge.ports import edit

FIX = "Bill the payer of the accident first, or record why it does not pay."
SAID = {"employment": "a work injury", "auto": "an auto accident"}


@edit(severity=Severity.WARNING)
def check(priced: PricedDay, facts: Facts) -> Iterator[Finding]:
    """Yield one warning for an accident that the payer's policy says is not its own."""
    terms, accident = facts.terms(priced.day.service_date), accident_of(priced)
    if terms is None or terms.accident_kind is None or accident is None:
        return
    said = SAID.get(accident.kind)
    if said and accident.kind != terms.accident_kind:
        yield on_day("WC04", f"a visit for {said} is billed to {terms.payer}", FIX, Severity.WARNING, where="accident")
