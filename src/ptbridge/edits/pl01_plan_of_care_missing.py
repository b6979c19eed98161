"""PL01: no plan of care is on file.

What it checks
    Where the payer's policy asks for it: a day with treatment has a plan of care with at least one date. A day of
    evaluations alone needs none: the plan is made there. Whether a source has no plan or only does not send it cannot be
    told, so Medicare's policy says warn; a clinic whose EMR gives its plans sets plan_of_care to hold.
Why it matters
    Therapy without a plan is not covered; on review everything under it is repaid.
Fix
    Write the plan before treatment goes on. If the EMR has it, map its dates under plan_of_care.
Source
    CMS Pub. 100-02, ch. 15, section 220.1.2 (contents, before treatment begins); 42 CFR 410.61
Cases (medicare_part_b)
    97110-GP x1 @15                                        -> ok
    97110-GP x1 @15 | plan=none                            -> warning: no plan of care is on file
    97110-GP x1 @15 | plan=.. | certified=none             -> warning: no plan of care is on file
    97161-GP x1 @40 | plan=none                            -> ok
    97161-GP x1 @40, 97110-GP x1 @15 | plan=none           -> warning: no plan of care is on file
    97110-GP x1 @15 | plan=none | terms=plan_of_care=hold  -> no plan of care is on file for the visit of 2026-03-02
    97110-GP x1 @15 | plan=none | terms=plan_of_care=none  -> ok
Cases (commercial_midpoint)
    97110-GP x1 @15 | plan=none                            -> ok
"""

from __future__ import annotations

from collections.abc import Iterator

from ptbridge.edits.plan_dates import only_evaluates, plan_of
from ptbridge.edits.report import decided, on_day
from ptbridge.model import (
    Finding,
    PricedDay,
    Severity,
)
from ptbridge.policy.facts import Facts
from ptbridge.ports import edit

FIX = "Write the plan before treatment goes on. If the EMR has it, map its dates under plan_of_care."


@edit(severity=Severity.WARNING)
def check(priced: PricedDay, facts: Facts) -> Iterator[Finding]:
    """Yield one finding for a treatment day without a plan, as grave as the policy says."""
    on = priced.day.service_date
    weight = decided(facts, on, lambda terms: terms.plan_of_care)
    if weight is None or not priced.charges or plan_of(priced) is not None or only_evaluates(priced, facts):
        return
    yield on_day("PL01", f"no plan of care is on file for the visit of {on}", FIX, weight, where="plan_of_care")
