"""59 and X{EPSU}: only where an active pair with indicator 1 hits and the note documents separate minutes; never for 0.

The pair comes from the quarter's official file, or from the payer's own table, which goes first. A needless 59 is itself an
audit flag: most pairs that web pages name for therapy have been inactive since 2020. Sources: CMS NCCI Policy Manual, ch. 1,
section E; since 2019-07-01 Medicare takes the modifier on either column (First Coast, CO-236).
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import date, datetime
from itertools import combinations, product

from ptbridge.coding import findings as kinds
from ptbridge.coding.draft import Draft
from ptbridge.model import Intervention, Visit
from ptbridge.policy.history import OtherLine
from ptbridge.policy.pairs import PAIR_MODIFIERS, Pair
from ptbridge.policy.reference import PairEdit

GROUP_CODES = frozenset({"97150", "92508"})
_TABLES = {"medicare": "ptp", "medicaid": "ptp_medicaid"}  # by the payer's code_pairs
_WORDS = frozenset(PAIR_MODIFIERS)
_Lines = list[tuple[Visit, Intervention]]


def add_pair_modifiers(draft: Draft) -> None:
    """Offer the payer's pair modifier where a pair of the day allows it; what a payer's own pair forbids is a finding."""
    on = draft.day.service_date
    if on is None or not (draft.terms.own_pairs or (draft.known.reference and _could_be_told_apart(draft))):
        return
    places: dict[str, list[int]] = {}
    for place, line in enumerate(draft.lines):
        places.setdefault(line.procedure, []).append(place)
    for one, other in combinations(places, 2):
        own = next((pair for pair in draft.terms.own_pairs if {pair.column1, pair.column2} == {one, other}), None)
        marked = any(not _WORDS.isdisjoint(draft.lines[place].modifiers) for place in (*places[one], *places[other]))
        if marked and (own is None or own.indicator == 1):
            continue  # the EMR has said so
        evidence = _separate(_documented(draft, places[one]), _documented(draft, places[other]), draft)
        pair = own or (_official(draft, one, other, on) if evidence else None)
        if pair is not None:
            _apply(draft, pair, places, evidence, of_payer=own is not None)
    _across_disciplines(draft, places, on)


def _across_disciplines(draft: Draft, places: dict[str, list[int]], on: date) -> None:
    """Pairs with what the same payer gets from the patient's other days of that date: they apply to all that one billing
    provider furnished then (NCCI Policy Manual, ch. 1). Only documented times tell such services apart.

    The other day may be on its way already, so the modifier is offered on this day's line, whichever column it is; added
    without a person only where the payer looks at that column. What no modifier lifts is NC03's to say.
    """
    others: dict[str, list[OtherLine]] = {}
    if draft.known.history is not None:
        for line in draft.known.history.lines_seen_by(draft.terms.payer):
            others.setdefault(line.procedure, []).append(line)
    for mine, other in product(places, others):
        lines = others[other]
        marked = all(not _WORDS.isdisjoint(line.modifiers) for line in lines)
        if mine == other or marked or any(not _WORDS.isdisjoint(draft.lines[place].modifiers) for place in places[mine]):
            continue
        pair = _official(draft, mine, other, on) if _apart(_documented(draft, places[mine]), lines) else None
        if pair is not None and pair.indicator == 1:
            _offer_across(draft, pair, places[mine], lines[0])


def _apart(mine: _Lines, others: list[OtherLine]) -> bool:
    """Whether all of both have documented times, and none overlaps."""
    first = list(_times(mine))
    second = [(line.start, line.end) for line in others if line.start is not None and line.end is not None]
    whole = bool(first) and len(first) == len(mine) and len(second) == len(others)
    return whole and all(end <= start or until <= begin for begin, end in first for start, until in second)


def _offer_across(draft: Draft, pair: PairEdit, places: list[int], other: OtherLine) -> None:
    terms = draft.terms
    whose = f"{other.procedure} of {other.discipline or 'another visit'} on the same date"
    named = f"pair {pair.column1}/{pair.column2}, indicator 1 ({pair.source}), with {whose}"
    looked_at = pair.column1 if terms.pair_modifier_on == "column_1" else pair.column2
    mode = terms.pair_modifier if looked_at != other.procedure else "propose"
    word = _word(draft, named, places)
    if word is not None and mode is not None:
        because = f"{named}; the documented times of both do not overlap -> {word}"
        draft.offer(mode, kinds.PAIR_MODIFIER, places, word, because)


def _word(draft: Draft, named: str, places: list[int]) -> str | None:
    """The modifier that a person confirmed, else the payer's; without either a finding asks."""
    word = min(draft.known.confirmed & _WORDS, default=draft.terms.pair_modifier_word)
    if word is None:
        message = f"{draft.terms.payer} has no pair_modifier_word: 59 or which X for {named}?"
        draft.findings.append(kinds.MODIFIER_UNSET(message, at=draft.at(draft.lines[places[0]])))
    return word


def _official(draft: Draft, one: str, other: str, on: date) -> PairEdit | None:
    reference, terms = draft.known.reference, draft.terms
    kind = _TABLES.get(terms.code_pairs or "")
    if reference is None or kind is None or terms.pair_modifier in (None, "none") or not reference.covers(kind, on):
        return None
    return reference.pair_between(one, other, on, program=terms.code_pairs or "")


def _apply(draft: Draft, pair: Pair | PairEdit, places: dict[str, list[int]], evidence: str | None, *, of_payer: bool) -> None:
    terms = draft.terms
    named = f"pair {pair.column1}/{pair.column2}, indicator {pair.indicator} ({pair.source})"
    carrier = places[pair.column1 if terms.pair_modifier_on == "column_1" else pair.column2]
    at = draft.at(draft.lines[carrier[0]])
    if pair.indicator != 1 or evidence is None or terms.pair_modifier in (None, "none"):
        if of_payer:
            why = "never paid together" if pair.indicator != 1 else "separate minutes are not documented"
            draft.findings.append(kinds.OWN_PAIR(f"{named}: {why}", at=at))
        return
    word = _word(draft, named, carrier)
    if word is not None:
        draft.offer(terms.pair_modifier, kinds.PAIR_MODIFIER, carrier, word, f"{named}; {evidence} -> {word}")


def _documented(draft: Draft, places: list[int]) -> _Lines:
    return [found for place in places for found in draft.documentation(draft.lines[place])]


def _could_be_told_apart(draft: Draft) -> bool:
    """Whether the note has anything at all that `_separate` could go by; most notes have not."""
    lines = (line for visit in draft.day.visits for line in visit.interventions)
    return any(line.start is not None or line.code in GROUP_CODES for line in lines)


def _separate(one: _Lines, other: _Lines, draft: Draft) -> str | None:
    """Why the minutes of both are separate, as far as the note documents it; None when it does not."""
    first, second = list(_times(one)), list(_times(other))
    if first and second and len(first) == len(one) and len(second) == len(other):
        apart = all(end <= start or until <= begin for begin, end in first for start, until in second)
        return "the documented times of both do not overlap" if apart else None
    codes = {line.code for _, line in (*one, *other)}
    if len(codes & GROUP_CODES) == 1 and all(line.minutes for _, line in (*one, *other)) and _adds_up(draft):
        return "group and individual minutes are documented apart and add up within the treatment minutes total"
    return None


def _times(lines: _Lines) -> Iterator[tuple[datetime, datetime]]:
    for _, line in lines:
        if line.start is not None and line.end is not None and line.start < line.end:
            yield line.start, line.end


def _adds_up(draft: Draft) -> bool:
    """Whether the minutes of all lines fit the notes' totals, so that none of them was counted twice."""
    for visit in draft.day.visits:
        minutes = [line.minutes for line in visit.interventions if not line.not_done]
        if visit.treatment_minutes_total is None or None in minutes:
            return False
        if sum(part or 0 for part in minutes) > visit.treatment_minutes_total:
            return False
    return True
