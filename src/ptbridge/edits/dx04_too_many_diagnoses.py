"""DX04: the day has more than twelve diagnoses.

What it checks
    The number of diagnoses that the lines may point to. Information where the destination sends such a day as several claims,
    each with the diagnoses of its lines; otherwise it holds.
Why it matters
    A claim carries twelve; which to leave out is a clinical choice, never made silently.
Fix
    Keep the diagnoses that were treated.
Source
    X12 005010X222A1 (837P), loop 2300, HI (12 codes)
Cases (medicare_part_b)
    97110-GP x1 @15                                        -> ok
    97110-GP x1 @15 | diagnoses=R26.0,R26.1,R26.2,R26.81,R26.89,R27.0,R27.8,R27.9,R29.3,R29.6,R42,R52       -> ok
    97110-GP x1 @15 | diagnoses=R26.0,R26.1,R26.2,R26.81,R26.89,R27.0,R27.8,R27.9,R29.3,R29.6,R42,R52,R53.1 -> 13 diagnoses
    97110-GP x1 @15 | splits=yes | diagnoses=R26.0,R26.1,R26.2,R26.81,R26.89,R27.0,R27.8,R27.9,R29.3,R29.6,R42,R52,R53.1
         -> information: 13 diagnoses; each line goes in a claim with its own
"""

from __future__ import annotations

from collections.abc import Iterator

from ptbridge.edits.report import on_day
from ptbridge.model import Finding, PricedDay, Severity
from ptbridge.policy.facts import Facts
from ptbridge.ports import edit


@edit()
def check(priced: PricedDay, facts: Facts) -> Iterator[Finding]:
    """Yield one finding when there are thirteen or more."""
    if (count := len(priced.coded.diagnoses)) > 12:
        fix = "Keep the diagnoses that were treated."
        if facts.splits:
            yield on_day("DX04", f"{count} diagnoses; each line goes in a claim with its own", fix, Severity.INFORMATION)
        else:
            yield on_day("DX04", f"{count} diagnoses; a claim carries 12", fix)
