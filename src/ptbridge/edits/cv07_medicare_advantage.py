"""CV07: a Medicare Advantage plan is billed as original Medicare.

What it checks
    A day that falls under medicare_part_b, and whose primary coverage names a plan or payer with a word that original
    Medicare never has: Advantage, Part C, HMO, PPO, PFFS, SNP. A plan that does not say so cannot be told apart.
Why it matters
    Medicare denies it (adjustment reasons 24 and 109); the plan has its own rules, authorization and time limit.
Fix
    Check the patient's eligibility. If it is a plan, correct the coverage and give its payer id a policy in the clinic file.
Source
    42 CFR 422 (Medicare Advantage); X12 adjustment reasons 24 and 109
Cases (medicare_part_b)
    97110-GP x1 @15                                        -> ok
    97110-GP x1 @15 | plan_name=Medicare Part B            -> ok
    97110-GP x1 @15 | plan_name=Acme Medicare Advantage
        -> the primary coverage reads as Medicare Advantage ('advantage')
    97110-GP x1 @15 | plan_name=Gold (HMO-POS)             -> the primary coverage reads as Medicare Advantage ('hmo')
    97110-GP x1 @15 | plan_name=Snpeak                     -> ok
Cases (commercial_midpoint)
    97110-GP x1 @15 | plan_name=Acme Medicare Advantage    -> ok
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from ptbridge.edits.report import on_day
from ptbridge.model import (
    Finding,
    PricedDay,
)
from ptbridge.policy.facts import Facts
from ptbridge.ports import edit

FIX = (
    "Check the patient's eligibility. If it is a plan, correct the coverage and give its payer id a policy in the clinic file."
)
ORIGINAL_MEDICARE = "medicare_part_b"
_ADVANTAGE = re.compile(r"\b(advantage|part c|hmo|ppo|pffs|d?snp)\b", re.IGNORECASE)


@edit()
def check(priced: PricedDay, facts: Facts) -> Iterator[Finding]:
    """Yield one finding when the coverage's own words speak against original Medicare. Only the word is shown."""
    if facts.policy is None or facts.policy.name != ORIGINAL_MEDICARE:
        return
    coverage = priced.day.primary_coverage
    names = (coverage.plan_name, coverage.payer_name) if coverage is not None else ()
    for name in names:
        if name and (found := _ADVANTAGE.search(name)):
            yield on_day("CV07", f"the primary coverage reads as Medicare Advantage ({found[0].lower()!r})", FIX)
            return
