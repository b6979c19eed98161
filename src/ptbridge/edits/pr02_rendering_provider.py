"""PR02: the rendering provider is missing, or is an assistant.

What it checks
    Every visit with billed lines names a rendering provider with an NPI, who is a therapist and not an assistant.
Why it matters
    Assistants do not enrol; their services are billed under the supervising therapist, with CQ or CO.
Fix
    Name the therapist as rendering provider and the assistant as assistant; add the NPI to the therapist's record.
Source
    CMS Pub. 100-02, ch. 15, section 230; CMS, "11 Part B billing scenarios for PTs and OTs"; X12 005010X222A1, loop 2310B
Cases (medicare_part_b)
    97110-GP x1 @15                                        -> ok
    97110-GP x1 @15 | rendering=none                       -> the rendering provider is missing
    97110-GP x1 @15 | rendering=? PT                       -> the rendering provider has no NPI
    97110-GP-CQ x1 @15 | rendering=1245319599 PTA          -> the rendering provider is an assistant (PTA)
"""

from __future__ import annotations

from collections.abc import Iterator

from ptbridge.edits.report import on_day
from ptbridge.edits.visits import billable_visits
from ptbridge.model import Finding, PricedDay, Visit
from ptbridge.policy.facts import Facts
from ptbridge.ports import edit

FIX = "Name the therapist as rendering provider and the assistant as assistant; add the NPI to the therapist's record."


@edit()
def check(priced: PricedDay, facts: Facts) -> Iterator[Finding]:
    """Yield a finding for each visit with lines whose rendering provider cannot be billed."""
    for visit in billable_visits(priced):
        if (problem := _problem(visit)) is not None:
            yield on_day("PR02", problem, FIX, visit_id=visit.visit_id)


def _problem(visit: Visit) -> str | None:
    rendering = visit.rendering
    if rendering is None:
        return "the rendering provider is missing"
    if rendering.is_assistant:
        return f"the rendering provider is an assistant ({rendering.credential})"
    return None if rendering.npi else "the rendering provider has no NPI"
