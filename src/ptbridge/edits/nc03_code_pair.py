"""NC03: two codes of the day stand in the quarter's code pair file.

What it checks
    Every two codes of the day's lines against the pair edits of the payer: its own table where its policy has one (setting
    own_pairs), and the loaded NCCI practitioner file of the quarter of the service date. Only rows that are in force on that
    date count. Indicator 0: the pair is never paid together, whatever the modifier. Indicator 1: every line of one of the two
    codes, whichever, needs 59, XE, XP, XS or XU. Levels of one evaluation are NC01's and not repeated here. For a payer whose
    policy does not say whose pairs it applies (setting code_pairs), a pair of Medicare's file is a warning. Where the
    quarter's file is not loaded nothing is checked: ptbridge reference check says so.
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
Cases (commercial_midpoint)
    97150-GP x1, 97110-GP x2 @30 | pairs=97150/97110 1                 -> warning: 97150 and 97110 are a pair
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import date
from itertools import combinations

from ptbridge.edits.report import on_day
from ptbridge.model import Finding, PricedDay, ServiceLine, Severity
from ptbridge.policy.facts import Facts
from ptbridge.policy.pairs import PAIR_MODIFIERS
from ptbridge.policy.reference import PairEdit
from ptbridge.ports import edit

NEVER_TOGETHER = "Bill the column 1 code alone; no modifier lifts this pair."
SEPARATE = (
    "If the note shows separate minutes, add 59 or XE, XP, XS, XU to one of the two; if not, bill the column 1 code alone."
)
LIFTING = frozenset(PAIR_MODIFIERS)
_LEVELS = (frozenset({"97161", "97162", "97163"}), frozenset({"97165", "97166", "97167"}))  # NC01's


@edit()
def check(priced: PricedDay, facts: Facts) -> Iterator[Finding]:
    """Yield a finding for each pair of the day that is in force and not lifted."""
    on = priced.day.service_date
    if on is None:
        return
    lines: dict[str, list[ServiceLine]] = {}
    for charge in priced.charges:
        lines.setdefault(charge.line.procedure, []).append(charge.line)
    for one, other in combinations(lines, 2):
        if any(one in levels and other in levels for levels in _LEVELS):
            continue
        for pair, severity in _pairs(facts, one, other, on):
            if pair.indicator == 0 or not (_lifted(lines[one]) or _lifted(lines[other])):
                yield _finding(pair, severity)
                break


def _pairs(facts: Facts, one: str, other: str, on: date) -> Iterator[tuple[PairEdit, Severity]]:
    """The payer's own pair first, then the quarter's file."""
    terms = facts.terms(on)
    for own in terms.own_pairs if terms else ():
        if {own.column1, own.column2} == {one, other}:
            yield _own(own.column1, own.column2, own.indicator, own.source), Severity.ERROR
    whose = terms.code_pairs if terms else None
    program = "medicaid" if whose == "medicaid" else "medicare"
    kind = "ptp_medicaid" if whose == "medicaid" else "ptp"
    if whose == "none" or facts.reference is None or not facts.reference.covers(kind, on):
        return
    pair = facts.reference.pair_between(one, other, on, program=program)
    if pair is not None:
        yield pair, Severity.ERROR if whose else Severity.WARNING


def _own(column1: str, column2: str, indicator: int, source: str) -> PairEdit:
    return PairEdit(
        column1=column1,
        column2=column2,
        indicator=indicator,
        effective=None,
        deletion=None,
        period="payer",
        source=f"the payer's own table: {source}",
    )


def _lifted(lines: list[ServiceLine]) -> bool:
    """Whether every line of the code carries a modifier that lifts a pair: a line without one is denied by itself."""
    return all(not LIFTING.isdisjoint(line.modifiers) for line in lines)


def _finding(pair: PairEdit, severity: Severity) -> Finding:
    what = "a pair that no modifier lifts" if pair.indicator == 0 else "a pair and neither carries 59 or XE, XP, XS, XU"
    since = f", in force since {pair.effective}" if pair.effective else ""
    message = f"{pair.column1} and {pair.column2} are {what}; column 1 is {pair.column1} ({pair.source}{since})"
    return on_day("NC03", message, SEPARATE if pair.indicator else NEVER_TOGETHER, severity)
