"""Lines with a begin and an end of their own, and the minutes that two of them share."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta

from ptbridge.edits.visits import billable_visits
from ptbridge.model import PricedDay
from ptbridge.policy.codes import CodeTable

GROUP = frozenset({"92508", "97150"})


@dataclass(frozen=True, slots=True)
class Span:
    """When a documented line was done; `group` is group therapy, everything else here is one patient with one therapist."""

    code: str
    start: datetime
    end: datetime
    visit_id: str = ""
    group: bool = False


def spans(priced: PricedDay, codes: CodeTable) -> list[Span]:
    """The day's timed and group lines that say when they were done. Unattended services may run beside others."""
    found = []
    for visit in billable_visits(priced):
        for done in visit.interventions:
            code = done.code
            if code is None or done.start is None or done.end is None or done.not_done:
                continue
            if code in GROUP or is_timed(code, codes):
                found.append(Span(code, done.start, done.end, visit.visit_id, code in GROUP))
    return found


def is_timed(code: str, codes: CodeTable) -> bool:
    """True for a code whose minutes one therapist spends on one patient."""
    row = codes.get(code)
    return row is not None and row.timed


def shared_minutes(one: Span, other: Span) -> int:
    """Whole minutes that both claim; 0 when one ends where the other begins."""
    return max(0, (min(one.end, other.end) - max(one.start, other.start)) // timedelta(minutes=1))
