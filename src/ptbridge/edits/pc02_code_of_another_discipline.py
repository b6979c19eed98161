"""PC02: the code belongs to another discipline than the day's.

What it checks
    Evaluation codes must be of the day's discipline (97161 PT, 97165 OT, 92523 SLP). For other codes the table's
    disciplines are the usual ones; scope of practice and payers differ, so that is a warning.
Why it matters
    Medicare returns an evaluation whose code and discipline modifier disagree.
Fix
    Correct the code, or the discipline of the visit.
Source
    CMS CR 10176, Transmittal 3814 (evaluations, since 2018-01-01); other codes: ptbridge's own table, to be checked
Cases (medicare_part_b)
    97161-GP x1                                            -> ok
    97165-GP x1                                            -> 97165-GP x1: an evaluation of OT on a PT day
    92507-GP x1                                            -> warning: 92507-GP x1: usual for SLP, billed on a PT day
    97110-GO x1 @15 | discipline=OT                        -> ok
    97110-GP x1 @15 | discipline=none                      -> ok
    97169-GP x1                                            -> 97169-GP x1: no therapy evaluation, billed on a PT day
"""

from __future__ import annotations

from collections.abc import Iterator

from ptbridge.edits.report import on_line
from ptbridge.model import Finding, PricedDay, Severity
from ptbridge.policy.facts import Facts
from ptbridge.ports import edit

FIX = "Correct the code, or the discipline of the visit."


@edit()
def check(priced: PricedDay, facts: Facts) -> Iterator[Finding]:
    """Yield a finding for each line whose code is of another discipline."""
    discipline = priced.day.discipline
    if discipline is None:
        return
    for charge in priced.charges:
        row = facts.codes.get(charge.line.procedure)
        if row is None or discipline in row.disciplines:
            continue
        usual = " or ".join(sorted(row.disciplines))
        if not row.evaluation:
            message = f"usual for {usual or 'no therapy discipline'}, billed on a {discipline} day"
            yield on_line("PC02", charge.line, message, FIX, Severity.WARNING)
        else:
            message = f"an evaluation of {usual}" if usual else "no therapy evaluation"
            suffix = f", billed on a {discipline} day" if not usual else f" on a {discipline} day"
            yield on_line("PC02", charge.line, message + suffix, FIX)
