"""NC08: two one-on-one services claim the same minutes.

What it checks
    Where the source says when each line was done: no two timed services of the day share a minute, and none shares one
    with a timed service of another discipline on that day that this clinic billed or is to bill. Without times of their
    own nothing is said. Co-treatment may be split, or billed by one discipline.
Why it matters
    The minutes of a team are paid once, not for each of those who took part.
Fix
    Bill the minutes under one service, or divide them; correct the times if they are wrong.
Source
    CMS, "11 Part B billing scenarios for PTs and OTs" (team therapy, therapist with assistant)
Cases (medicare_part_b)
    97110-GP x1 @15, 97140-GP x1 @15                       -> ok
    97110-GP x1 @15, 97140-GP x1 @15 | times=09:00-09:15 09:15-09:30 -> ok
    97110-GP x1 @15, 97140-GP x1 @15 | times=09:00-09:15 09:05-09:20 -> 97110 and 97140 share 10 minutes of one patient
    97110-GP x1 @15 | times=09:00-09:15 | other_lines=OT 97530-GO x2 09:00-09:30
        -> 97110 and 97530 (OT) share 15 minutes
    97110-GP x1 @15 | times=09:00-09:15 | other_lines=OT 97530-GO x2 09:15-09:45 -> ok
    97110-GP x1 @15 | times=09:00-09:15 | other_lines=OT 97530-GO x2 -> ok
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import combinations

from ptbridge.edits.documented_times import Span, is_timed, shared_minutes, spans
from ptbridge.edits.report import on_day
from ptbridge.model import (
    Finding,
    PricedDay,
)
from ptbridge.policy.facts import Facts
from ptbridge.policy.history import OtherLine
from ptbridge.ports import edit

FIX = "Bill the minutes under one service, or divide them; correct the times if they are wrong."


@edit()
def check(priced: PricedDay, facts: Facts) -> Iterator[Finding]:
    """Yield a finding for each pair of one-on-one services that overlap."""
    found = [span for span in spans(priced, facts.codes) if not span.group]
    for one, other in combinations(found, 2):
        if minutes := shared_minutes(one, other):
            message = f"{one.code} and {other.code} share {minutes} minutes of one patient"
            yield on_day("NC08", message, FIX, visit_id=one.visit_id)
    if found and facts.history is not None:
        yield from _other_disciplines(found, facts, facts.history.other_lines)


def _other_disciplines(found: list[Span], facts: Facts, lines: tuple[OtherLine, ...]) -> Iterator[Finding]:
    for line in lines:
        if line.start is None or line.end is None or not is_timed(line.procedure, facts.codes):
            continue
        other = Span(line.procedure, line.start, line.end)
        for one in found:
            if minutes := shared_minutes(one, other):
                whose = f" ({line.discipline})" if line.discipline else ""
                message = f"{one.code} and {other.code}{whose} share {minutes} minutes of one patient"
                yield on_day("NC08", message, FIX, visit_id=one.visit_id)
