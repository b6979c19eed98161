"""DC04: a line is billed that no documented line stands behind.

What it checks
    Every billed line names documented lines of the day's visits, none of them struck out, and one of them has its code
    (or the first code of its chain).
Why it matters
    Nothing is invented: what is not in the note was not done.
Fix
    Report it with the visit id: ptbridge or a mapping made a line up. Do not release it.
Source
    CMS Pub. 100-02, ch. 15, section 220.3.E (the note supports each billed service)
Cases (medicare_part_b)
    97110-GP x1 @15                                        -> ok
    97110-GP x1 @15, 97140-GP x1 @15 | documented=97110@15 -> 97140-GP x1: no documented line stands behind it
    97129-GN x1, 97130-GN x1 | documented=97129@30, 97130 | discipline=SLP -> ok
    97110-GP-CQ x1 @15, 97110-GP x1 @15 | documented=97110@30 -> ok
"""

from __future__ import annotations

from collections.abc import Iterator

from ptbridge.edits.report import on_line
from ptbridge.model import Finding, PricedDay, ServiceLine
from ptbridge.policy.codes import CodeTable
from ptbridge.policy.facts import Facts
from ptbridge.ports import edit

FIX = "Report it with the visit id: ptbridge or a mapping made a line up. Do not release it."


@edit()
def check(priced: PricedDay, facts: Facts) -> Iterator[Finding]:
    """Yield a finding for each line without a documented line of its code."""
    documented = {
        (visit.visit_id, done.line_key): done.code
        for visit in priced.coded.day.visits
        for done in visit.interventions
        if not done.not_done
    }
    for charge in priced.charges:
        line = charge.line
        codes = [documented.get((key.partition("/")[0], key.partition("/")[2])) for key in line.line_keys]
        if line.procedure not in codes and not _from_chain(line, codes, facts.codes):
            yield on_line("DC04", line, "no documented line stands behind it", FIX)


def _from_chain(line: ServiceLine, documented: list[str | None], codes: CodeTable) -> bool:
    """True for 97130 from a documented 97129, or 97129 from a documented 97130: the EMR often gives one line for both."""
    row = codes.get(line.procedure)
    if row is None:
        return False
    return any(code is not None and code in (row.add_on, row.add_on_of) for code in documented)
