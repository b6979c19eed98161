"""PL02: the plan of care was not certified in time.

What it checks
    Where the payer's policy asks for it: 30 days after the plan began a dated signature of the physician or practitioner
    is there. Since 2025-01-01 a signed order and proof that the plan was sent within those 30 days stand in its place, for
    the first plan of an episode only. A late certification is a warning: it counts, with its reason. Counted from the
    plan's first day, else from the last evaluation that the ledger knows; verbal orders are not known here.
Why it matters
    What was treated under a plan that nobody certified is repaid on review.
Fix
    Get the dated signature and record it. If the plan was sent and an order is on file, record both dates.
Source
    42 CFR 424.24(c), 410.61; CMS Pub. 100-02, ch. 15, section 220.1.3; exception: 89 FR 97710 (service dates since 2025-01-01)
Cases (medicare_part_b)
    97110-GP x1 @15                                        -> ok
    97110-GP x1 @15 | plan=2026-01-31.. | certified=none -> warning: the plan that began on 2026-01-31 is not certified
    97110-GP x1 @15 | plan=2026-02-01.. | certified=none   -> ok
    97110-GP x1 @15 | plan=2026-01-31.. | certified=2026-03-02 -> ok
    97110-GP x1 @15 | on=2025-01-02 | today=2025-02-03 | plan=2025-01-01.. | certified=none
        | order_signed=2025-02-03 | plan_sent=2025-01-31
        -> ok
    97110-GP x1 @15 | on=2025-01-02 | today=2025-02-03 | plan=2025-01-01.. | certified=none
        | order_signed=2025-02-04 | plan_sent=2025-01-31
        -> warning: the plan that began on 2025-01-01 is not certified
    97110-GP x1 @15 | certified=none | on=none             -> ok
    97110-GP x1 @15 | plan=2026-01-31.. | certified=none | terms=certification=hold
        -> the plan that began on 2026-01-31 is not
    97110-GP x1 @15 | plan=2026-01-31.. | certified=2026-03-03
        -> warning: the plan that began on 2026-01-31 was certified on 2026-03-03
    97110-GP x1 @15 | plan=2026-01-31.. | certified=none | order_signed=2026-01-20 | plan_sent=2026-03-02 -> ok
    97110-GP x1 @15 | plan=2026-01-31.. | certified=none | order_signed=2026-01-20 | plan_sent=2026-03-03
        -> warning: the plan
    97110-GP x1 @15 | plan=2026-01-31.. | certified=none | plan_sent=2026-02-02 -> warning: the plan
    97110-GP x1 @15 | plan=2026-01-31.. | certified=none | order_signed=2025-10-01 | plan_sent=2026-02-02
        | evaluations=2025-10-20 97161
        -> warning: the plan
    97110-GP x1 @15 | on=2024-12-30 | today=2025-02-03 | plan=2024-12-30.. | certified=none
        | order_signed=2024-12-01 | plan_sent=2025-01-02
        -> warning: the plan
    97110-GP x1 @15 | plan=..2026-05-01 | certified=none | evaluations=2026-01-30 97161
        -> warning: the plan that began on 2026-01-30
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import date

from ptbridge.edits.plan_dates import CERTIFY_WITHIN, plan_began, weighed_plan
from ptbridge.edits.report import on_day
from ptbridge.model import (
    Finding,
    PlanOfCare,
    PricedDay,
    Severity,
)
from ptbridge.policy.facts import Facts
from ptbridge.ports import edit

FIX = "Get the dated signature and record it. If the plan was sent and an order is on file, record both dates."
FIX_LATE = "Keep the reason of the delay with the certification; a reviewer asks for it."
EXCEPTION_SINCE = date(2025, 1, 1)


@edit(severity=Severity.WARNING)
def check(priced: PricedDay, facts: Facts) -> Iterator[Finding]:
    """Yield one finding for a plan whose 30 days are over without a certification, or that was certified after them."""
    weighed = weighed_plan(priced, facts, lambda terms: terms.certification)
    if weighed is None:
        return
    on, plan, weight = weighed
    began = plan_began(plan, facts, on)
    if began is None:
        return
    limit = began + CERTIFY_WITHIN
    if plan.certified_on is not None:
        if plan.certified_on > limit:
            message = f"the plan that began on {began} was certified on {plan.certified_on}; 30 days were over on {limit}"
            yield on_day("PL02", message, FIX_LATE, Severity.WARNING)
    elif facts.today > limit and not _excepted(plan, began, facts):
        yield on_day("PL02", f"the plan that began on {began} is not certified; 30 days were over on {limit}", FIX, weight)


def _excepted(plan: PlanOfCare, began: date, facts: Facts) -> bool:
    """The exception of 2025: an order on file and the plan sent in time, for the plan that follows the evaluation."""
    if began < EXCEPTION_SINCE or plan.order_signed_on is None or plan.sent_on is None:
        return False
    known = facts.history.evaluations if facts.history is not None else ()
    later_plan = any(day < began - CERTIFY_WITHIN for day, _ in known)
    return plan.order_signed_on <= facts.today and plan.sent_on <= began + CERTIFY_WITHIN and not later_plan
