"""NC01: two evaluations of one discipline on one day.

What it checks
    At most one of 97161, 97162 and 97163, and at most one of 97165, 97166 and 97167 a day. For PT the pairs stand in
    Medicare's code pair file and no modifier lifts them; for OT they were not in the part of the file that was read, so
    that is a warning. An evaluation and a re-evaluation of one discipline on one day is a warning.
Why it matters
    The three codes are levels of one evaluation: Medicare pays one and denies the other.
Fix
    Bill the level that the note supports.
Source
    CMS NCCI procedure-to-procedure edits, practitioner, 2026 Q3 and Q4: 97162/97161, 97163/97161, 97163/97162, indicator 0
Cases (medicare_part_b)
    97161-GP x1, 97110-GP x1 @15                           -> ok
    97161-GP x1, 97163-GP x1                               -> 97161 and 97163 on one day are levels of one evaluation
    97161-GP-59 x1, 97162-GP x1                            -> 97161 and 97162 on one day are levels of one evaluation
    97165-GO x1, 97166-GO x1 | discipline=OT               -> warning: 97165 and 97166 on one day
    97161-GP x1, 97164-GP x1                               -> warning: 97161 and 97164 on one day
"""

from __future__ import annotations

from collections.abc import Iterator

from ptbridge.edits.report import on_day
from ptbridge.model import Finding, PricedDay, Severity
from ptbridge.policy.facts import Facts
from ptbridge.ports import edit

FIX = "Bill the level that the note supports."
_PT = frozenset({"97161", "97162", "97163"})
_OT = frozenset({"97165", "97166", "97167"})
_FAMILIES = (
    (_PT, Severity.ERROR, "are levels of one evaluation"),
    (_OT, Severity.WARNING, "are levels of one evaluation"),
)
_AGAIN = {"97164": _PT, "97168": _OT}
_SPOKEN_OF = _PT | _OT


@edit()
def check(priced: PricedDay, facts: Facts) -> Iterator[Finding]:
    """Yield a finding for two levels, and for an evaluation beside a re-evaluation."""
    billed = {charge.line.procedure for charge in priced.charges}
    if _SPOKEN_OF.isdisjoint(billed):
        return
    for family, severity, what in _FAMILIES:
        if len(both := sorted(billed & family)) > 1:
            yield on_day("NC01", f"{' and '.join(both)} on one day {what}", FIX, severity)
    for again, family in _AGAIN.items():
        if again in billed and (first := sorted(billed & family)):
            yield on_day(
                "NC01", f"{first[0]} and {again} on one day; a re-evaluation needs an earlier one", FIX, Severity.WARNING
            )
