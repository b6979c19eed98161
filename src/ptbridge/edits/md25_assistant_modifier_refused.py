"""MD25: CQ or CO for a payer that does not take it.

What it checks
    Where the payer's policy says that it takes no assistant modifier on the service date: no line carries CQ or CO. The EMR
    put it there; ptbridge keeps what the EMR wrote. Policies that are starting points assume this, so it is a warning.
Why it matters
    Some plans deny the modifier, others pay less for it without having to.
Fix
    Ask the payer. If it takes the modifier, set assistant_modifier in its policy; if not, take it off in the EMR.
Source
    SSA 1834(v) binds Medicare only; CQ and CO exist for services since 2020-01-01: 84 FR 62702; the payer policy decides
Cases (medicare_part_b)
    97110-CQ-GP x1 @15                                     -> ok
    97110-CQ-GP x1 @15 | on=2019-12-31 -> warning: 97110-CQ-GP x1: medicare_part_b takes no CQ on 2019-12-31
Cases (commercial_midpoint)
    97110-CQ-GP x1 @15                                     -> warning: 97110-CQ-GP x1: commercial_midpoint takes no CQ
    97110-GP x1 @15                                        -> ok
"""

from __future__ import annotations

from collections.abc import Iterator

from ptbridge.edits.modifiers import ASSISTANT_PAIR
from ptbridge.edits.report import on_line
from ptbridge.model import (
    Finding,
    PricedDay,
    Severity,
)
from ptbridge.policy.facts import Facts
from ptbridge.ports import edit

FIX = "Ask the payer. If it takes the modifier, set assistant_modifier in its policy; if not, take it off in the EMR."


@edit(severity=Severity.WARNING)
def check(priced: PricedDay, facts: Facts) -> Iterator[Finding]:
    """Yield a warning for each assistant modifier that the payer does not take."""
    on = priced.day.service_date
    terms = facts.terms(on)
    if terms is None or terms.assistant_modifier != "none":
        return
    for charge in priced.charges:
        for modifier in charge.line.modifiers:
            if modifier in ASSISTANT_PAIR:
                message = f"{terms.payer} takes no {modifier} on {on}"
                yield on_line("MD25", charge.line, message, FIX, Severity.WARNING)
