"""PL04: treatment before the plan of care began.

What it checks
    Where the payer's policy asks for a plan: no treatment before its first day, and no plan that ends before it begins. A
    day of evaluations alone may come before it. Dates after the plan are PL03.
Why it matters
    The plan must be there before treatment begins; what came before it is not covered.
Fix
    Correct the dates of the plan, or of the visit.
Source
    CMS Pub. 100-02, ch. 15, section 220.1.2
Cases (medicare_part_b)
    97110-GP x1 @15 | plan=2026-03-02..                    -> ok
    97110-GP x1 @15 | plan=2026-03-03.. -> warning: treatment on 2026-03-02; the plan of care begins on 2026-03-03
    97161-GP x1 @40 | plan=2026-03-03..                    -> ok
    97110-GP x1 @15 | plan=2026-03-02..2026-03-02          -> ok
    97110-GP x1 @15 | plan=2026-03-02..2026-03-01 -> warning: the plan of care ends on 2026-03-01, before it begins
    97110-GP x1 @15 | plan=2026-03-03.. | terms=plan_of_care=hold -> treatment on 2026-03-02
"""

from __future__ import annotations

from collections.abc import Iterator

from ptbridge.edits.plan_dates import only_evaluates, weighed_plan
from ptbridge.edits.report import on_day
from ptbridge.model import (
    Finding,
    PricedDay,
    Severity,
)
from ptbridge.policy.facts import Facts
from ptbridge.ports import edit

FIX = "Correct the dates of the plan, or of the visit."


@edit(severity=Severity.WARNING)
def check(priced: PricedDay, facts: Facts) -> Iterator[Finding]:
    """Yield a finding for treatment before the plan, and for a plan whose dates contradict each other."""
    weighed = weighed_plan(priced, facts, lambda terms: terms.plan_of_care)
    if weighed is None:
        return
    on, plan, weight = weighed
    if plan.start is None:
        return
    if plan.end is not None and plan.end < plan.start:
        yield on_day("PL04", f"the plan of care ends on {plan.end}, before it begins on {plan.start}", FIX, weight)
    elif on < plan.start and not only_evaluates(priced, facts):
        yield on_day("PL04", f"treatment on {on}; the plan of care begins on {plan.start}", FIX, weight)
