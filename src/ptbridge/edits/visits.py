"""Which visits of a day an edit speaks of, and the minutes of their lines."""

from __future__ import annotations

from ptbridge.model import Accident, Intervention, PricedDay, Visit, VisitStatus

NOT_BILLABLE = frozenset({VisitStatus.CANCELLED, VisitStatus.NO_SHOW, VisitStatus.ENTERED_IN_ERROR})


def billable_visits(priced: PricedDay) -> list[Visit]:
    """Visits that took place, or may yet have, with something documented. Others bill nothing, so they need nothing."""
    return [visit for visit in priced.coded.day.visits if visit.interventions and visit.status not in NOT_BILLABLE]


def line_minutes(done: Intervention) -> int | None:
    """The line's minutes; where only the therapist's and the assistant's parts are documented, both together."""
    if done.minutes is None and done.therapist_minutes is not None and done.assistant_minutes is not None:
        return done.therapist_minutes + done.assistant_minutes
    return done.minutes


def assistant_treated(visit: Visit) -> bool:
    """True when an assistant furnished some of the visit's lines."""
    return any((done.by_assistant or done.assistant_minutes) and not done.not_done for done in visit.interventions)


def accident_of(priced: PricedDay) -> Accident | None:
    """The accident that the day's first visit with one is about."""
    return next((visit.accident for visit in billable_visits(priced) if visit.accident is not None), None)
