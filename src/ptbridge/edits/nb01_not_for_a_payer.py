"""NB01: the source says that the visit is not for a payer.

What it checks
    A visit that the mapping reads as cash, maintenance or no-charge (visit.billing) on a day that a payer would be billed
    for. A self-pay day takes cash. No-shows and cancelled visits never come this far, nor do visits that the payer's policy or
    the clinic's file leaves out (exclude_visits): those are excluded, and the rule is the word.
Why it matters
    What the patient has paid, or what the clinic gives, is not billed a second time. Skilled maintenance can be covered by
    Medicare; then the word in the EMR is wrong.
Fix
    Exclude the visit with the reason, or correct the word in the EMR if the payer is to be billed. Where such visits are always
    left out, say so once: exclude_visits in the payer's policy or in the clinic's file.
Source
    The clinic's own word in the EMR; CMS Pub. 100-02, ch. 15, section 220.2.D (skilled maintenance)
Cases (medicare_part_b)
    97110-GP x1 @15                                        -> ok
    97110-GP x1 @15 | billing=cash                         -> the source says that the visit is cash
    97110-GP x1 @15 | billing=maintenance                  -> the source says that the visit is maintenance
Cases (self_pay)
    97110-GP x1 @15 | billing=cash                         -> ok
    97110-GP x1 @15 | billing=no-charge                    -> the source says that the visit is no-charge
"""

from __future__ import annotations

from collections.abc import Iterator

from ptbridge.edits.coverage import bills_a_payer
from ptbridge.edits.report import on_day
from ptbridge.edits.visits import billable_visits
from ptbridge.model import (
    Finding,
    PricedDay,
    Visit,
)
from ptbridge.policy.facts import Facts
from ptbridge.ports import edit
from ptbridge.specs.payer import KEPT_FROM_PAYERS

FIX = (
    "Exclude the visit with the reason, or correct the word in the EMR if the payer is to be billed. To leave such visits out"
    " always: exclude_visits in the payer's policy or in the clinic's file."
)


@edit()
def check(priced: PricedDay, facts: Facts) -> Iterator[Finding]:
    """Yield a finding for each visit that the source keeps from payers."""
    for visit in billable_visits(priced):
        if visit.billing and _is_billed(visit, priced) and (visit.billing != "cash" or bills_a_payer(facts)):
            message = f"the source says that the visit is {visit.billing}, and a charge would be sent"
            yield on_day("NB01", message, FIX, visit_id=visit.visit_id)


def _is_billed(visit: Visit, priced: PricedDay) -> bool:
    """Whether any line of the visit is not left out."""
    excluded = {exclusion.line_key for exclusion in priced.coded.exclusions if exclusion.rule in KEPT_FROM_PAYERS}
    return any(f"{visit.visit_id}/{line.line_key}" not in excluded for line in visit.interventions)
