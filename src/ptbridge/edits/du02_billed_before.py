"""DU02: the same line stands on another charge of that day.

What it checks
    No other charge of the same patient and service date that this clinic sent or is to send has the same procedure with the
    same modifiers. It happens when a visit moved to another record, another discipline or another billing provider.
Why it matters
    The second one is denied as a duplicate (adjustment reason 18); both paid is an overpayment.
Fix
    Look at both. Exclude the one that is not right, or void it if it was sent.
Source
    X12 adjustment reason 18; CMS Pub. 100-04, ch. 1, section 120 (duplicate claims)
Cases (medicare_part_b)
    97110-GP x1 @15                                        -> ok
    97110-GP x1 @15 | other_lines=OT 97110-GO x1           -> ok
    97110-GP x1 @15 | other_lines=PT 97110-GP x1           -> 97110-GP x1: stands on another charge of 2026-03-02
    97110-GP-CQ x1 @15 | other_lines=PT 97110-CQ-GP x2     -> 97110-GP-CQ x1: stands on another charge of 2026-03-02
    97110-GP x1 @15 | other_lines=PT 97110-GP-CQ x1        -> ok
"""

from __future__ import annotations

from collections.abc import Iterator

from ptbridge.edits.report import on_line
from ptbridge.model import (
    Finding,
    PricedDay,
)
from ptbridge.policy.facts import Facts
from ptbridge.ports import edit

FIX = "Look at both. Exclude the one that is not right, or void it if it was sent."


@edit()
def check(priced: PricedDay, facts: Facts) -> Iterator[Finding]:
    """Yield a finding for each line that another charge of the date has as well."""
    if facts.history is None or not facts.history.other_lines:
        return
    others = {(other.procedure, frozenset(other.modifiers)) for other in facts.history.other_lines}
    for charge in priced.charges:
        if (charge.line.procedure, frozenset(charge.line.modifiers)) in others:
            yield on_line("DU02", charge.line, f"stands on another charge of {priced.day.service_date}", FIX)
