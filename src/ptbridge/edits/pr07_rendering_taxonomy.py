"""PR07: the rendering provider is an assistant, an aide or a student by taxonomy or credential.

What it checks
    The rendering provider's taxonomy is not one of an assistant (2252, 224Z, 2355) or a student (3902), and the credential
    not one of an aide, a student or an athletic trainer. An assistant's credential (PTA, OTA) is PR02.
Why it matters
    None of them enrols with Medicare; the time of an aide or a student alone is not billable at all.
Fix
    Name the therapist who is responsible as rendering provider. If nobody but an aide or a student treated, exclude the day.
Source
    CMS Pub. 100-02, ch. 15, sections 230.A and 230.B; NUCC health care provider taxonomy
Cases (medicare_part_b)
    97110-GP x1 @15 | taxonomy=225100000X                  -> ok
    97110-GP x1 @15 | taxonomy=225200000X -> the rendering provider's taxonomy 225200000X is an assistant's
    97110-GO x1 @15 | discipline=OT | taxonomy=224Z00000X
        -> the rendering provider's taxonomy 224Z00000X is an assistant's
    97110-GP x1 @15 | taxonomy=390200000X -> the rendering provider's taxonomy 390200000X is a student's
    97110-GP x1 @15 | rendering=1245319599 SPT
        -> the rendering provider is an aide, a student or an athletic trainer (SPT)
    97110-GP x1 @15 | rendering=1245319599 DPT             -> ok
    97110-GP-CQ x1 @15 | rendering=1245319599 PTA | taxonomy=225200000X -> ok
"""

from __future__ import annotations

from collections.abc import Iterator

from ptbridge.edits.report import on_day
from ptbridge.edits.visits import billable_visits
from ptbridge.model import (
    Finding,
    PricedDay,
)
from ptbridge.policy.facts import Facts
from ptbridge.ports import edit

FIX = (
    "Name the therapist who is responsible as rendering provider. If nobody but an aide or a student treated, exclude the day."
)
TAXONOMIES = {"2252": "an assistant's", "224Z": "an assistant's", "2355": "an assistant's", "3902": "a student's"}
NEVER_RENDERING = frozenset({"AIDE", "TECH", "STUDENT", "SPT", "SPTA", "SOT", "SOTA", "OTS", "ATC", "LAT"})


@edit()
def check(priced: PricedDay, facts: Facts) -> Iterator[Finding]:
    """Yield a finding for each visit whose rendering provider can never be one."""
    for visit in billable_visits(priced):
        rendering = visit.rendering
        if rendering is None or rendering.is_assistant:
            continue
        whose = TAXONOMIES.get((rendering.taxonomy or "")[:4])
        if whose is not None:
            message = f"the rendering provider's taxonomy {rendering.taxonomy} is {whose}"
            yield on_day("PR07", message, FIX, visit_id=visit.visit_id)
        elif rendering.credential in NEVER_RENDERING:
            message = f"the rendering provider is an aide, a student or an athletic trainer ({rendering.credential})"
            yield on_day("PR07", message, FIX, visit_id=visit.visit_id)
