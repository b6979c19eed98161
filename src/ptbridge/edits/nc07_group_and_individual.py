"""NC07: minutes of group therapy stand as one-on-one minutes too.

What it checks
    Where the source says when each line was done: group therapy (97150, 92508) and a timed one-on-one service share no
    minute. Without times of their own nothing is said.
Why it matters
    The same minute is paid once: in the group, or alone with the therapist.
Fix
    Correct the times or the minutes in the note.
Source
    CMS, "11 Part B billing scenarios for PTs and OTs" (group and individual therapy on one day)
Cases (medicare_part_b)
    97110-GP x1 @15, 97150-GP x1 @30                       -> ok
    97110-GP x1 @15, 97150-GP x1 @30 | times=09:00-09:15 09:15-09:45 -> ok
    97110-GP x1 @15, 97150-GP x1 @30 | times=09:00-09:15 09:10-09:40
        -> 97110 and 97150 share 5 minutes; 97150 is group therapy
    G0283-GP x1 @15, 97150-GP x1 @30 | times=09:00-09:15 09:10-09:40 -> ok
"""

from __future__ import annotations

from collections.abc import Iterator

from ptbridge.edits.documented_times import shared_minutes, spans
from ptbridge.edits.report import on_day
from ptbridge.model import (
    Finding,
    PricedDay,
)
from ptbridge.policy.facts import Facts
from ptbridge.ports import edit

FIX = "Correct the times or the minutes in the note."


@edit()
def check(priced: PricedDay, facts: Facts) -> Iterator[Finding]:
    """Yield a finding for each one-on-one service that overlaps a group."""
    found = spans(priced, facts.codes)
    groups = [span for span in found if span.group]
    for one in found if groups else ():
        for group in groups:
            if not one.group and (minutes := shared_minutes(one, group)):
                message = f"{one.code} and {group.code} share {minutes} minutes; {group.code} is group therapy"
                yield on_day("NC07", message, FIX, visit_id=one.visit_id)
