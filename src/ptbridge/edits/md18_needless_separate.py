"""MD18: 59 or an X modifier, and no pair of the quarter asks for it.

What it checks
    Where the pair file of the service date's quarter is loaded and the payer applies it: a line with 59, XE, XP, XS or XU
    stands in an active pair with indicator 1 together with another line of the day, of any discipline, or in a pair of the
    payer's own table. Lines of other clinics are not seen. Without the file nothing is said.
Why it matters
    The modifier says that something was separate. Where no pair asks for it, it is itself a reason for an audit.
Fix
    Take the modifier off, unless the payer has told you to add it; then put the pair into its policy (own_pairs).
Source
    CMS NCCI Policy Manual, ch. I, section E; CMS, "Proper use of modifiers 59, XE, XP, XS and XU"
Cases (medicare_part_b)
    97140-59-GP x1 @15, 97530-GP x1 @15                    -> ok
    97140-59-GP x1 @15, 97530-GP x1 @15 | pairs=97530/97140 1 -> ok
    97140-59-GP x1 @15, 97530-GP x1 @15 | pairs=97140/97530 1 2000-07-01 2019-12-31
        -> warning: 97140-59-GP x1: 59, and no pair with another line of the day asks for it
    97140-59-GP x1 @15, 97530-GP x1 @15 | pairs=97530/97140 0 -> warning: 97140-59-GP x1: 59, and no pair
    97140-59-GP x1 @15 | pairs=97530/97140 1 | other_lines=OT 97530-GO x1 -> ok
    97140-59-GP x1 @15 | pairs=97530/97140 1 | other_lines=OT 97530-GO x1 payer=workers_comp
        -> warning: 97140-59-GP x1: 59, and no pair with another line of the day asks for it
    97140-59-GP x1 @15, 97530-GP x1 @15 | pairs=97150/97110 1 | terms=own_pairs=97140 97530 1 -> ok
    97140-GP x1 @15, 97530-GP x1 @15 | pairs=97150/97110 1 -> ok
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import date

from ptbridge.edits.modifiers import SEPARATE
from ptbridge.edits.report import on_line
from ptbridge.model import (
    Finding,
    PricedDay,
    ServiceLine,
    Severity,
)
from ptbridge.policy.facts import Facts
from ptbridge.ports import edit

FIX = "Take the modifier off, unless the payer has told you to add it; then put the pair into its policy (own_pairs)."


@edit(severity=Severity.WARNING)
def check(priced: PricedDay, facts: Facts) -> Iterator[Finding]:
    """Yield a warning for each line whose separate-service modifier no pair asks for."""
    on = priced.day.service_date
    for charge in priced.charges:
        carried = next((modifier for modifier in charge.line.modifiers if modifier in SEPARATE), None)
        if carried and on is not None and _checkable(facts, on) and not _asked_for(charge.line, priced, facts, on):
            message = f"{carried}, and no pair with another line of the day asks for it"
            yield on_line("MD18", charge.line, message, FIX, Severity.WARNING)


def _checkable(facts: Facts, on: date) -> bool:
    terms = facts.terms(on)
    applied = {"medicare": "ptp", "medicaid": "ptp_medicaid"}.get(terms.code_pairs or "") if terms is not None else None
    return applied is not None and facts.reference is not None and facts.reference.covers(applied, on)


def _asked_for(line: ServiceLine, priced: PricedDay, facts: Facts, on: date) -> bool:
    terms, reference = facts.terms(on), facts.reference
    if terms is None or reference is None:
        return True
    others = {charge.line.procedure for charge in priced.charges}
    if facts.history is not None:
        others |= {other.procedure for other in facts.history.lines_seen_by(priced.coded.payer)}
    others.discard(line.procedure)
    own = ({pair.column1, pair.column2} for pair in terms.own_pairs if pair.indicator == 1)
    if any({line.procedure, other} in own for other in others):
        return True
    found = (reference.pair_between(line.procedure, other, on, program=terms.code_pairs or "medicare") for other in others)
    return any(pair is not None and pair.indicator == 1 for pair in found)
