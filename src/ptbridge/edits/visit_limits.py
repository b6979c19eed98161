"""The pools of visits that a day takes from, with the number of its visit in each."""

from __future__ import annotations

from collections.abc import Iterator

from ptbridge.model import PricedDay
from ptbridge.policy.facts import Facts
from ptbridge.policy.visit_pools import VisitPool


def pools_of(priced: PricedDay, facts: Facts) -> Iterator[tuple[VisitPool, int]]:
    """Each pool of the payer's that the day's discipline belongs to and whose use is known, with this visit's number in it."""
    terms = facts.terms(priced.day.service_date)
    discipline = priced.day.discipline
    if terms is None or not terms.visit_limits or facts.history is None or discipline is None or not priced.charges:
        return
    for pool in terms.visit_limits:
        used = facts.history.visits_in_plan_year.get(pool.name)
        if used is not None and discipline in pool.disciplines:
            yield pool, used + 1
