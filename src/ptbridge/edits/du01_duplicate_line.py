"""DU01: the same procedure with the same modifiers stands twice on the day.

What it checks
    No two lines of the day agree in procedure and modifiers (in any order). Units of an assistant on a line of their own
    differ by CQ or CO and are no duplicate.
Why it matters
    Payers deny the second line as an exact duplicate (adjustment reason 18), and Medicare Part B takes a timed code of one
    day on one line only.
Fix
    Put the units on one line, or remove the line that was entered twice.
Source
    First Coast Service Options, timed codes on one line (claims received since 2021-04-19); X12 adjustment reason 18
Cases (medicare_part_b)
    97110-GP x1 @15, 97140-GP x1 @15                       -> ok
    97110-GP x1 @15, 97110-GP x1 @15                       -> 97110-GP x1: stands twice on the day
    97110-GP-CQ x1 @15, 97110-GP x1 @15                    -> ok
    97110-CQ-GP x1 @15, 97110-GP-CQ x2 @30                 -> 97110-GP-CQ x2: stands twice on the day
"""

from __future__ import annotations

from collections.abc import Iterator

from ptbridge.edits.report import on_line
from ptbridge.model import Finding, PricedDay
from ptbridge.policy.facts import Facts
from ptbridge.ports import edit

FIX = "Put the units on one line, or remove the line that was entered twice."


@edit()
def check(priced: PricedDay, facts: Facts) -> Iterator[Finding]:
    """Yield a finding for each line that repeats an earlier one."""
    if len({charge.line.procedure for charge in priced.charges}) == len(priced.charges):
        return
    seen: set[tuple[str, frozenset[str]]] = set()
    for charge in priced.charges:
        key = (charge.line.procedure, frozenset(charge.line.modifiers))
        if key in seen:
            yield on_line("DU01", charge.line, "stands twice on the day with the same modifiers", FIX)
        seen.add(key)
