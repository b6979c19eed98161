"""PR04: the rendering therapist is of another discipline than the visit.

What it checks
    A PT renders PT visits, an OT those of OT, an SLP those of SLP. Other credentials (a physician) and absent ones are not
    judged here.
Why it matters
    The discipline modifier must agree with the therapist; Medicare returns the claim, and the amount counts to the wrong
    threshold.
Fix
    Correct the discipline of the visit, or the rendering therapist.
Source
    CMS Pub. 100-04, ch. 5, section 20.1; CR 10176, Transmittal 3814 (since 2018-01-01)
Cases (medicare_part_b)
    97110-GP x1 @15                                        -> ok
    97110-GP x1 @15 | rendering=1245319599 OT              -> an OT renders a PT visit
    97110-GP x1 @15 | rendering=1245319599 MD              -> ok
    97110-GP x1 @15 | rendering=1245319599                 -> ok
"""

from __future__ import annotations

from collections.abc import Iterator

from ptbridge.edits.report import on_day
from ptbridge.edits.visits import billable_visits
from ptbridge.model import Discipline, Finding, PricedDay
from ptbridge.policy.facts import Facts
from ptbridge.ports import edit

FIX = "Correct the discipline of the visit, or the rendering therapist."
_CREDENTIALS = frozenset(Discipline)


@edit()
def check(priced: PricedDay, facts: Facts) -> Iterator[Finding]:
    """Yield a finding for each visit whose therapist and discipline disagree."""
    for visit in billable_visits(priced):
        credential = visit.rendering.credential if visit.rendering else None
        if credential in _CREDENTIALS and visit.discipline is not None and credential != visit.discipline:
            article = "a" if credential == "PT" else "an"
            message = f"{article} {credential} renders {'an' if visit.discipline != 'PT' else 'a'} {visit.discipline} visit"
            yield on_day("PR04", message, FIX, visit_id=visit.visit_id)
