"""MD03: an evaluation or re-evaluation by an assistant.

What it checks
    Evaluation codes with CQ or CO, or documented as done by an assistant.
Why it matters
    Assistants may not evaluate; such an evaluation is not payable, and no plan of care can rest on it.
Fix
    If the therapist did the evaluation, correct the performer in the note. Otherwise it cannot be billed: exclude it.
Source
    CMS Pub. 100-02, ch. 15, sections 220.3 and 230; 42 CFR 410.59, 410.60 (CQ and CO do not go on evaluations)
Cases (medicare_part_b)
    97161-GP x1                                            -> ok
    97161-GP-CQ x1                                         -> 97161-GP-CQ x1: an assistant may not evaluate
    97164-GP x1 | by_assistant=yes                         -> 97164-GP x1: an assistant may not evaluate
    97110-GP-CQ x1 @15                                     -> ok
Cases (none)
    97165-GO-CO x1 | discipline=OT                         -> 97165-GO-CO x1: an assistant may not evaluate
"""

from __future__ import annotations

from collections.abc import Iterator

from ptbridge.edits.modifiers import ASSISTANT_PAIR
from ptbridge.edits.report import on_line
from ptbridge.model import Finding, PricedDay
from ptbridge.policy.facts import Facts
from ptbridge.ports import edit

FIX = "If the therapist did the evaluation, correct the performer in the note. Otherwise it cannot be billed: exclude it."


@edit()
def check(priced: PricedDay, facts: Facts) -> Iterator[Finding]:
    """Yield a finding for each evaluation line with an assistant behind it."""
    for charge in priced.charges:
        line = charge.line
        row = facts.codes.get(line.procedure)
        if row is None or not row.evaluation:
            continue
        if not ASSISTANT_PAIR.keys().isdisjoint(line.modifiers) or _by_assistant(priced, line.procedure):
            yield on_line("MD03", line, "an assistant may not evaluate", FIX)


def _by_assistant(priced: PricedDay, code: str) -> bool:
    return any(done.by_assistant and done.code == code for _, done in priced.day.interventions())
