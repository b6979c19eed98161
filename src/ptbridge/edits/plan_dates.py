"""A day's plan of care, and the dates that follow from it (CMS Pub. 100-02, ch. 15, section 220.1.3)."""

from __future__ import annotations

from collections.abc import Callable
from datetime import date, timedelta

from ptbridge.edits.report import decided
from ptbridge.edits.visits import billable_visits
from ptbridge.model import PlanOfCare, PricedDay, Severity
from ptbridge.policy.facts import Facts
from ptbridge.policy.payers import Terms

CERTIFY_WITHIN = timedelta(days=30)
CERTIFIED_FOR = timedelta(days=90)


def plan_of(priced: PricedDay) -> PlanOfCare | None:
    """The plan of the day's first visit that has one with any date in it."""
    for visit in billable_visits(priced):
        plan = visit.plan_of_care
        if plan is not None and plan != _EMPTY:
            return plan
    return None


def weighed_plan(
    priced: PricedDay, facts: Facts, setting: Callable[[Terms], str | None]
) -> tuple[date, PlanOfCare, Severity] | None:
    """The service date, the day's plan, and how grave the policy's setting makes what is wrong with it.

    None where there is no plan to look at, and where the policy says nothing of it.
    """
    on = priced.day.service_date
    weight = decided(facts, on, setting)
    plan = plan_of(priced) if weight is not None else None
    return None if on is None or weight is None or plan is None else (on, plan, weight)


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
