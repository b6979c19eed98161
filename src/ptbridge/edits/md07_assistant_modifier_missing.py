"""MD07: an assistant did the service, and the line says the therapist did.

What it checks
    Where the payer takes CQ and CO: a service whose every documented line was done by an assistant, with no therapist's
    minutes, has the modifier on its lines. Services shared with a therapist are decided unit by unit before this.
Why it matters
    Medicare pays 85 percent for these units since 2022-01-01; without the modifier the full rate is drawn, which is a false
    claim. With it and without an assistant, money is lost.
Fix
    Correct who did the service in the note, or add CQ (PT) or CO (OT).
Source
    SSA 1834(v); 42 CFR 410.59, 410.60; CMS Pub. 100-04, ch. 5, section 20.1
Cases (medicare_part_b)
    97110-GP-CQ x1 @15                                     -> ok
    97110-GP x1 @15 | by_assistant=yes                     -> 97110-GP x1: done by an assistant; CQ is missing
    97110-GO x1 @15 | discipline=OT | by_assistant=yes     -> 97110-GO x1: done by an assistant; CO is missing
    97110-GP-CQ x1 @15 | by_assistant=no                   -> warning: 97110-GP-CQ x1: CQ, and no assistant is documented
    97161-GP x1 | by_assistant=yes                         -> ok
Cases (none)
    97110-GP x1 @15 | by_assistant=yes                     -> ok
"""

from __future__ import annotations

from collections.abc import Iterator

from ptbridge.edits.modifiers import ASSISTANT_PAIR
from ptbridge.edits.report import on_line
from ptbridge.model import Discipline, Finding, Intervention, PricedDay, ServiceLine, Severity
from ptbridge.policy.facts import Facts
from ptbridge.ports import edit

FIX = "Correct who did the service in the note, or add CQ (PT) or CO (OT)."
_MODIFIER = {Discipline.PT: "CQ", Discipline.OT: "CO"}


@edit()
def check(priced: PricedDay, facts: Facts) -> Iterator[Finding]:
    """Yield a finding for each line whose modifier and documented performer disagree."""
    terms = facts.terms(priced.day.service_date)
    modifier = _MODIFIER.get(priced.day.discipline) if priced.day.discipline else None
    if terms is None or terms.assistant_modifier != "cq_co" or modifier is None:
        return
    alone: dict[str, bool] = {}
    shared: dict[str, bool] = {}
    for _, done in priced.day.interventions():
        if done.code is not None:
            alone[done.code] = alone.get(done.code, True) and _assistant_alone(done)
            shared[done.code] = shared.get(done.code, False) or _assistant_took_part(done)
    for charge in priced.charges:
        row = facts.codes.get(charge.line.procedure)
        if row is None or (row.assistant and not row.evaluation):
            yield from _line(charge.line, modifier, alone, shared)


def _line(line: ServiceLine, modifier: str, alone: dict[str, bool], shared: dict[str, bool]) -> Iterator[Finding]:
    marked = not ASSISTANT_PAIR.keys().isdisjoint(line.modifiers)
    if not marked and alone.get(line.procedure):
        yield on_line("MD07", line, f"done by an assistant; {modifier} is missing", FIX)
    if marked and line.procedure in shared and not shared[line.procedure]:
        yield on_line("MD07", line, f"{modifier}, and no assistant is documented", FIX, Severity.WARNING)


def _assistant_alone(done: Intervention) -> bool:
    return bool(done.by_assistant or done.assistant_minutes) and not done.therapist_minutes


def _assistant_took_part(done: Intervention) -> bool:
    return bool(done.by_assistant or done.assistant_minutes) or done.by_assistant is None
