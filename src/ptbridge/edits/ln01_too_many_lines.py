"""LN01: the day has more lines than a claim carries.

What it checks
    The number of billed lines of the day. A warning where the destination sends such a day as several claims, otherwise it
    holds.
Why it matters
    A claim carries fifty lines; so many on one therapy day mean that something was read twice.
Fix
    Look at the visits of the day in the EMR for lines that were entered twice.
Source
    X12 005010X222A1 (837P), loop 2400 (repeats at most 50 times)
Cases (medicare_part_b)
    97110-GP x1 @15 *50                                    -> ok
    97110-GP x1 @15 *51                                    -> 51 lines on the day; a claim carries 50
    97110-GP x1 @15 *51 | splits=yes                       -> warning: 51 lines on the day; they go as several claims of 50
"""

from __future__ import annotations

from collections.abc import Iterator

from ptbridge.edits.report import on_day
from ptbridge.model import Finding, PricedDay, Severity
from ptbridge.policy.facts import Facts
from ptbridge.ports import edit


@edit()
def check(priced: PricedDay, facts: Facts) -> Iterator[Finding]:
    """Yield one finding when there are fifty-one or more."""
    if (count := len(priced.charges)) > 50:
        fix = "Look at the visits of the day in the EMR for lines that were entered twice."
        if facts.splits:
            yield on_day("LN01", f"{count} lines on the day; they go as several claims of 50", fix, Severity.WARNING)
        else:
            yield on_day("LN01", f"{count} lines on the day; a claim carries 50", fix)
