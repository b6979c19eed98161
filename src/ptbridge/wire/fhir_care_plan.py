"""Which of a patient's plans belong to a visit. R4 links an Encounter to its order at most; the rest is told by the dates."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from datetime import timedelta, tzinfo
from typing import Any

from ptbridge.wire.fhir import Entry
from ptbridge.wire.fhir_join import Span, civil_day
from ptbridge.wire.fhir_references import Key, follow, reference_key

# One that ended is shown for a year and one that begins later for a month, so that a finding can tell the date.
ENDED_BEFORE = timedelta(days=365)
BEGINS_AFTER = timedelta(days=30)


def plans_of_visit(members: Iterable[Entry], plans: Iterable[Entry], span: Span | None, zone: tzinfo, base: str) -> list[Entry]:
    """The plans that the visit's order points to, else all of the patient's that are near its days.

    `members` is what has been joined to the visit, its Encounter among them; `plans` are the CarePlans of its patient. A plan
    that the visit names already (Encounter.basedOn, or by its order's basedOn) stands alone. A plan without dates is near.
    """
    joined = list(members)
    if any(entry.resource["resourceType"] == "CarePlan" for entry in joined):
        return []
    offered = list(plans)
    orders = {key for entry in joined for key in _orders(entry, base)}
    named = [plan for plan in offered if orders and not orders.isdisjoint(_activities(plan, base))]
    return named or [plan for plan in offered if _near(plan.resource.get("period"), span, zone)]


def _orders(entry: Entry, base: str) -> Iterator[Key]:
    if entry.resource["resourceType"] == "Encounter":
        for reference in follow(entry.resource, ("basedOn",)):
            if (key := reference_key(reference, "ServiceRequest", base)) is not None:
                yield key


def _activities(plan: Entry, base: str) -> set[Key]:
    """The orders that the plan carries out."""
    keys = (reference_key(one, "ServiceRequest", base) for one in follow(plan.resource, ("activity", "reference")))
    return {key for key in keys if key is not None}


def _near(period: Any, span: Span | None, zone: tzinfo) -> bool:
    if not isinstance(period, dict) or span is None:
        return True
    begins, ends = civil_day(period.get("start"), zone), civil_day(period.get("end"), zone)
    over = ends is not None and ends < span[0] - ENDED_BEFORE
    far = begins is not None and begins > span[1] + BEGINS_AFTER
    return not (over or far)
