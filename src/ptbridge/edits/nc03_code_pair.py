"""NC03: two codes of the day stand in the quarter's code pair file.

What it checks
    Every two codes of the day's lines against the pair edits of the payer: its own table where its policy has one (setting
    own_pairs), and the loaded NCCI practitioner file of the quarter of the service date. Only rows that are in force on that
    date count. Indicator 0: the pair is never paid together, whatever the modifier. Indicator 1: every line of one of the two
    codes, whichever, needs 59, XE, XP, XS or XU. Levels of one evaluation are NC01's and not repeated here. For a payer whose
    policy does not say whose pairs it applies (setting code_pairs), a pair of Medicare's file is a warning. Where the
    quarter's file is not loaded nothing is checked: ptbridge reference check says so.
    A pair applies to all that one billing provider furnished to a patient on a date, whatever the discipline: each code of
    the day is also held against the lines of the patient's other days of that date that this clinic sends to the same payer.
    Whether a payer applies its own table across disciplines is not known: there it is a warning.
Why it matters
    Medicare pays the column 1 code and denies the other, for the same patient and day, whichever therapist furnished it. A
    59 without an active pair behind it is itself a reason for an audit, so lists of pairs from the web are not enough.
Fix
    Indicator 0: bill the column 1 code alone. Indicator 1: if the note shows separate minutes, add the modifier; if not, bill
    the column 1 code alone.
Source
    CMS NCCI Policy Manual, ch. I; CMS NCCI procedure-to-procedure edits, practitioner, the quarter of the service date;
    either code may carry the modifier since 2019-07-01 (CR 11168)
Cases (medicare_part_b)
    97150-GP x1, 97110-GP x2 @30                                       -> ok
    97150-GP x1, 97110-GP x2 @30 | pairs=97150/97110 1                 -> 97150 and 97110 are a pair
    97150-GP-59 x1, 97110-GP x2 @30 | pairs=97150/97110 1              -> ok
    97150-GP x1, 97110-GP-XU x2 @30 | pairs=97150/97110 1              -> ok
    97150-GP x1, 97110-GP-59 x2 @30 | pairs=97150/97110 0              -> 97150 and 97110 are a pair that no modifier lifts
    97110-GP x1 @15, 97110-GP-CQ-59 x1 @15, 97150-GP x1 | pairs=97150/97110 1 -> 97150 and 97110 are a pair
    97140-GP x1 @15, 97530-GP x1 @15 | pairs=97140/97530 1 2000-07-01 2019-12-31 -> ok
    97140-GP x1 @15, 97530-GP x1 @15 | on=2019-12-31 | pairs=97140/97530 1 2000-07-01 2019-12-31 -> 97140 and 97530 are a pair
    97162-GP x1, 97161-GP x1 | pairs=97162/97161 0                     -> ok
    97530-GP x1 @15 | pairs=97530/97110 1 | other_lines=OT 97110-GO x1
        -> 97530 and 97110 (OT, the same date) are a pair
    97530-GP x1 @15 | pairs=97530/97110 1 | other_lines=OT 97110-GO-59 x1 -> ok
    97530-GP-59 x1 @15 | pairs=97530/97110 1 | other_lines=OT 97110-GO x1 -> ok
    97530-GP x1 @15 | pairs=97530/97110 1 | other_lines=OT 97110-GO x1; OT 97110-GO-CO-59 x1
        -> 97530 and 97110 (OT, the same date) are a pair
    97110-GP x1 @15 | pairs=97530/97110 0 | other_lines=OT 97530-GO-59 x1
        -> 97530 (OT, the same date) and 97110 are a pair that no modifier lifts
    97530-GP x1 @15 | pairs=97530/97110 1 | other_lines=OT 97110-GO x1 payer=workers_comp -> ok
    97530-GP x1 @15, 97110-GP-59 x1 @15 | pairs=97530/97110 1 | other_lines=OT 97110-GO x1
        -> 97530 and 97110 (this day and OT, the same date) are a pair
    97530-GP x1 @15 | pairs=97535/97110 1 | other_lines=OT 97110-GO x1; OT 97535-GO x1 -> ok
    97530-GP x1 @15 | terms=own_pairs=97530 97110 0 | other_lines=OT 97110-GO x1
        -> warning: 97530 and 97110 (OT, the same date) are a pair that no modifier lifts
Cases (commercial_midpoint)
    97150-GP x1, 97110-GP x2 @30 | pairs=97150/97110 1                 -> warning: 97150 and 97110 are a pair
Cases (self_pay)
    97150 x1, 97110 x2 @30 | pairs=97150/97110 1                       -> ok
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import date

from ptbridge.edits.report import on_day
from ptbridge.model import Finding, PricedDay, Severity
from ptbridge.policy.facts import Facts
from ptbridge.policy.pairs import PAIR_MODIFIERS
from ptbridge.policy.reference import PairEdit
from ptbridge.ports import edit

NEVER_TOGETHER = "Bill the column 1 code alone; no modifier lifts this pair."
SEPARATE = (
    "If the note shows separate minutes, add 59 or XE, XP, XS, XU to one of the two; if not, bill the column 1 code alone."
)
UNSET = "Whether {} applies Medicare's pairs is not known: ask, then set code_pairs"
OWN = "payer"  # the period of a payer's own pair
LIFTING = frozenset(PAIR_MODIFIERS)
_LEVELS = (frozenset({"97161", "97162", "97163"}), frozenset({"97165", "97166", "97167"}))  # NC01's


@dataclass(slots=True)
class _Day:
    """The modifiers of every line by code: of this day, and of what the same payer gets from the patient's other days."""

    mine: dict[str, list[tuple[str, ...]]]
    others: dict[str, list[tuple[str, ...]]]
    disciplines: Mapping[str, str | None]  # of the other days' codes

    def across(self, one: str, other: str) -> bool:
        """Whether one of the two is on another day of the date only."""
        return one not in self.mine or other not in self.mine

    def lifted(self, code: str) -> bool:
        """Whether every line of the code carries a modifier that lifts a pair: a line without one is denied by itself."""
        lines = (*self.mine.get(code, ()), *self.others.get(code, ()))
        return all(not LIFTING.isdisjoint(modifiers) for modifiers in lines)

    def named(self, code: str) -> str:
        """The code, and whose it is when it is not of this day."""
        if code not in self.others:
            return code
        here = "this day and " if code in self.mine else ""
        return f"{code} ({here}{self.disciplines[code] or 'another visit'}, the same date)"


@edit()
def check(priced: PricedDay, facts: Facts) -> Iterator[Finding]:
    """Yield a finding for each pair of the date that is in force and not lifted."""
    on = priced.day.service_date
    if on is None or not priced.charges:
        return
    day = _day(priced, facts)
    told: set[frozenset[str]] = set()
    terms = facts.terms(on)
    for pair, severity in _pairs(facts, day, on):
        both = frozenset((pair.column1, pair.column2))
        if both in told or (pair.indicator and (day.lifted(pair.column1) or day.lifted(pair.column2))):
            continue
        told.add(both)
        yield _finding(day, pair, severity, "" if terms is None or terms.code_pairs else f". {UNSET.format(terms.payer)}")


def _day(priced: PricedDay, facts: Facts) -> _Day:
    mine: dict[str, list[tuple[str, ...]]] = {}
    for charge in priced.charges:
        mine.setdefault(charge.line.procedure, []).append(charge.line.modifiers)
    if facts.history is None or not facts.history.other_lines:
        return _Day(mine, {}, {})
    others: dict[str, list[tuple[str, ...]]] = {}
    seen = facts.history.lines_seen_by(priced.coded.payer)
    for line in seen:
        others.setdefault(line.procedure, []).append(line.modifiers)
    return _Day(mine, others, {line.procedure: line.discipline for line in seen})


def _pairs(facts: Facts, day: _Day, on: date) -> Iterator[tuple[PairEdit, Severity]]:
    """The payer's own pairs first, then the quarter's file. Pairs between two codes of other days are not this day's."""
    terms = facts.terms(on)
    for own in terms.own_pairs if terms else ():
        if _meets(day, own.column1, own.column2):
            across = day.across(own.column1, own.column2)
            yield (
                _own(own.column1, own.column2, own.indicator, own.source),
                Severity.WARNING if across else Severity.ERROR,
            )
    whose = terms.code_pairs if terms else None
    program = "medicaid" if whose == "medicaid" else "medicare"
    kind = "ptp_medicaid" if whose == "medicaid" else "ptp"
    if whose == "none" or facts.reference is None or not facts.reference.covers(kind, on):
        return
    severity = Severity.ERROR if whose else Severity.WARNING
    for pair in facts.reference.pairs_among(frozenset((*day.mine, *day.others)), on, program=program):
        if _meets(day, pair.column1, pair.column2) and not _same_evaluation(day, pair):
            yield pair, severity


def _meets(day: _Day, one: str, other: str) -> bool:
    """Whether both codes are billed on the date, and at least one of them on this day."""
    if one in day.mine:
        return other in day.mine or other in day.others
    return other in day.mine and one in day.others


def _same_evaluation(day: _Day, pair: PairEdit) -> bool:
    both = {pair.column1, pair.column2}
    return not day.across(pair.column1, pair.column2) and any(both <= levels for levels in _LEVELS)


def _own(column1: str, column2: str, indicator: int, source: str) -> PairEdit:
    return PairEdit(
        column1=column1,
        column2=column2,
        indicator=indicator,
        effective=None,
        deletion=None,
        period=OWN,
        source=f"the payer's own table: {source}",
    )


def _finding(day: _Day, pair: PairEdit, severity: Severity, unset: str) -> Finding:
    what = "a pair that no modifier lifts" if pair.indicator == 0 else "a pair and neither carries 59 or XE, XP, XS, XU"
    since = f", in force since {pair.effective}" if pair.effective else ""
    both = f"{day.named(pair.column1)} and {day.named(pair.column2)}"
    message = f"{both} are {what}; column 1 is {pair.column1} ({pair.source}{since}){unset if pair.period != OWN else ''}"
    return on_day("NC03", message, SEPARATE if pair.indicator else NEVER_TOGETHER, severity)
