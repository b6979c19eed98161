"""PL03: the plan's certification was over on the service date.

What it checks
    Where the payer's policy asks for it: the service date is not after the plan's end, nor more than 90 calendar days after
    the plan began, whichever is earlier. A recertification shows as a plan with new dates. Whether the first day counts
    among the 90 is not settled in what was read; here it does not. A significant change of the plan cannot be seen here.
Why it matters
    What is treated after the period is not certified and is repaid on review.
Fix
    Have the plan recertified, and record the new dates.
Source
    42 CFR 424.24(c)(4); CMS Pub. 100-02, ch. 15, section 220.1.3
Cases (medicare_part_b)
    97110-GP x1 @15 | plan=2026-02-16..2026-03-02          -> ok
    97110-GP x1 @15 | plan=2026-02-02..2026-03-01
        -> warning: the certification of the plan that began on 2026-02-02 ended on 2026-03-01
    97110-GP x1 @15 | plan=2025-12-02.. | certified=2025-12-05 -> ok
    97110-GP x1 @15 | plan=2025-12-01..2026-04-30 | certified=2025-12-05
        -> warning: the certification of the plan that began on 2025-12-01 ended on 2026-03-01
    97110-GP x1 @15 | plan=2026-02-02..2026-03-01 | terms=certification=hold -> the certification of the plan
    97110-GP x1 @15 | plan=..2026-03-01                    -> warning: the plan of care ended on 2026-03-01
Cases (commercial_midpoint)
    97110-GP x1 @15 | plan=2026-02-02..2026-03-01          -> ok
"""

from __future__ import annotations

from collections.abc import Iterator

from ptbridge.edits.plan_dates import certification_ends, plan_began, weighed_plan
from ptbridge.edits.report import on_day
from ptbridge.model import (
    Finding,
    PricedDay,
    Severity,
)
from ptbridge.policy.facts import Facts
from ptbridge.ports import edit

FIX = "Have the plan recertified, and record the new dates."


@edit(severity=Severity.WARNING)
def check(priced: PricedDay, facts: Facts) -> Iterator[Finding]:
    """Yield one finding for a service date after the certified period."""
    weighed = weighed_plan(priced, facts, lambda terms: terms.certification)
    if weighed is None:
        return
    on, plan, weight = weighed
    began = plan_began(plan, facts, on)
    if began is not None and on > (last := certification_ends(plan, began)):
        yield on_day("PL03", f"the certification of the plan that began on {began} ended on {last}", FIX, weight)
    elif began is None and plan.end is not None and on > plan.end:
        yield on_day("PL03", f"the plan of care ended on {plan.end}; the service date is {on}", FIX, weight)
