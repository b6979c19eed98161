"""Modifiers of a line: the EMR's own, the discipline's, the assistant's; merged, never overwritten, in the payer's order."""

from __future__ import annotations

from functools import lru_cache

from ptbridge.coding import findings as kinds
from ptbridge.coding.documented import ASSISTANT_MODIFIERS, Procedure, line_minutes
from ptbridge.model import Discipline, Finding, Intervention, Visit
from ptbridge.policy import Terms
from ptbridge.policy.assistants import METHODS, Split, timed_split, whole_split

DISCIPLINE_MODIFIER = {Discipline.PT: "GP", Discipline.OT: "GO", Discipline.SLP: "GN"}
ASSISTANT_MODIFIER = {Discipline.PT: "CQ", Discipline.OT: "CO"}  # none exists for SLP
_DISCIPLINE = frozenset(DISCIPLINE_MODIFIER.values())
# Modifiers that change what is paid or whether a pair is paid; convention, no binding rule.
_PAYMENT = frozenset(
    {"59", "XE", "XP", "XS", "XU", "CQ", "CO", "22", "25", "52", "76", "77", "95", "93", "GT", "GQ", "FQ", "AT", "LT", "RT"}
)


@lru_cache(maxsize=4096)
def ordered(modifiers: tuple[str, ...], order: tuple[str, ...]) -> tuple[str, ...]:
    """Each modifier once, by the payer's order of classes (payment, discipline, information); unset: as they come.

    More than four are left as they are: an edit holds them, nothing is cut off.
    """
    once = tuple(dict.fromkeys(modifiers))
    return tuple(sorted(once, key=lambda modifier: order.index(_class(modifier)))) if order else once


def _class(modifier: str) -> str:
    if modifier in _DISCIPLINE:
        return "discipline"
    return "payment" if modifier in _PAYMENT else "information"


def with_discipline(
    procedure: Procedure, discipline: Discipline | None, terms: Terms | None
) -> tuple[tuple[str, ...], Finding | None]:
    """The EMR's modifiers, and GP, GO or GN where the payer takes it; one that the EMR gives stays alone, for the edits."""
    modifiers = procedure.modifiers
    if terms is None or procedure.row.therapy == "no" or not _DISCIPLINE.isdisjoint(modifiers):
        return modifiers, None
    if terms.discipline_modifier == "none":
        return modifiers, None
    if terms.discipline_modifier is None:
        return modifiers, kinds.MODIFIER_UNSET(f"{terms.payer} has no discipline_modifier: are GP, GO, GN reported?")
    if discipline is None:
        return modifiers, kinds.DISCIPLINE_UNKNOWN("the discipline of the visit is not known", at=procedure.at)
    return (*modifiers, DISCIPLINE_MODIFIER[discipline]), None


def may_be_assisted(procedure: Procedure) -> bool:
    """Whether anything says that an assistant took part in the procedure."""
    for visit, line in procedure.lines:
        if line.by_assistant or line.assistant_minutes or visit.assistant is not None:
            return True
        if line.therapist_minutes is not None and line.therapist_minutes != line_minutes(line):
            return True
        if visit.rendering is not None and visit.rendering.is_assistant:
            return True
    return not ASSISTANT_MODIFIERS.isdisjoint(procedure.modifiers)


def shares(procedures: list[Procedure]) -> tuple[int, int] | None:
    """Therapist's and assistant's minutes of these lines; without minutes 1 stands for a line; None when unknown."""
    therapist = assistant = 0
    timed = any(line_minutes(line) is not None for procedure in procedures for _, line in procedure.lines)
    for procedure in procedures:
        for visit, line in procedure.lines:
            share = _line_shares(visit, line, timed)
            if share is None:
                return None
            therapist += share[0]
            assistant += share[1]
    return therapist, assistant


def _line_shares(visit: Visit, line: Intervention, timed: bool) -> tuple[int, int] | None:
    total = line_minutes(line)
    if total is None:
        if timed:
            return None
        total = 1
    if line.therapist_minutes is not None and line.assistant_minutes is not None:
        both = (line.therapist_minutes, line.assistant_minutes)
        return both if min(both) >= 0 and sum(both) == total else None
    if line.assistant_minutes is not None:
        return (total - line.assistant_minutes, line.assistant_minutes) if 0 <= line.assistant_minutes <= total else None
    if line.therapist_minutes is not None:
        return (line.therapist_minutes, total - line.therapist_minutes) if 0 <= line.therapist_minutes <= total else None
    by_assistant = _alone(visit, line)
    if by_assistant is None:
        return None
    return (0, total) if by_assistant else (total, 0)


def _alone(visit: Visit, line: Intervention) -> bool | None:
    """Who did the whole line: as documented, else the EMR's own CQ or CO, else the only person on the visit."""
    if line.by_assistant is not None:
        return line.by_assistant
    if not ASSISTANT_MODIFIERS.isdisjoint(line.modifiers):
        return True
    if visit.rendering is not None and visit.rendering.is_assistant:
        return True
    return None if visit.assistant is not None else False


def assistant_split(
    procedures: list[Procedure], units: int, therapist: int, assistant: int, method: str | None
) -> Split | None:
    """Units with and without CQ/CO of one code or one chain; None when the two 10 % methods differ and none is chosen."""
    answers = {_split(procedures, units, therapist, assistant, name) for name in ([method] if method else METHODS)}
    return answers.pop() if len(answers) == 1 else None


def _split(procedures: list[Procedure], units: int, therapist: int, assistant: int, method: str) -> Split:
    row = procedures[0].row
    uneven = row.add_on_minutes is not None and row.add_on_minutes != row.minutes_per_unit
    if row.minutes_per_unit is None or uneven or any(procedure.minutes is None for procedure in procedures):
        return whole_split(units, therapist, assistant, method)
    return timed_split(units, therapist, assistant, row.minutes_per_unit, method)
