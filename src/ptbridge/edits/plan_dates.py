"""A day's plan of care, and the dates that follow from it (CMS Pub. 100-02, ch. 15, section 220.1.3)."""

from __future__ import annotations

from datetime import date, timedelta

from ptbridge.edits.visits import billable_visits
from ptbridge.model import PlanOfCare, PricedDay
from ptbridge.policy.facts import Facts

CERTIFY_WITHIN = timedelta(days=30)
CERTIFIED_FOR = timedelta(days=90)


def plan_of(priced: PricedDay) -> PlanOfCare | None:
    """The plan of the day's first visit that has one with any date in it."""
    for visit in billable_visits(priced):
        plan = visit.plan_of_care
        if plan is not None and plan != _EMPTY:
            return plan
    return None


def plan_began(plan: PlanOfCare, facts: Facts, on: date) -> date | None:
    """The first day of the plan; without one, the last evaluation up to the service date that the ledger knows."""
    if plan.start is not None:
        return plan.start
    known = facts.history.evaluations if facts.history is not None else ()
    return max((day for day, code in known if day <= on and code not in RE_EVALUATIONS), default=None)


def certification_ends(plan: PlanOfCare, began: date) -> date:
    """The last service date under one certification: the plan's end or the 90th day after its beginning, the earlier."""
    ninetieth = began + CERTIFIED_FOR
    return ninetieth if plan.end is None else min(plan.end, ninetieth)


def only_evaluates(priced: PricedDay, facts: Facts) -> bool:
    """True when every line of the day is an evaluation: the plan of care is made there, and may begin later."""
    rows = [facts.codes.get(charge.line.procedure) for charge in priced.charges]
    return all(row is not None and row.evaluation for row in rows)


RE_EVALUATIONS = frozenset({"97164", "97168"})
_EMPTY = PlanOfCare()
