"""WC02: the date or the state of an auto accident is missing.

What it checks
    Where the payer's policy says that it pays for auto accidents, or the visit says that it is for one: date and state of
    the accident; for an auto payer the claim number as well.
Why it matters
    The state is required on every claim for an auto accident; without it the claim fails at the clearinghouse.
Fix
    Enter them in the case of the patient in the EMR, or map them under accident.
Source
    X12 005010X222A1 (837P): CLM11-1 AA with CLM11-4 (state), DTP*439, loop 2010BA REF*Y4
Cases (commercial_midpoint)
    97110-GP x1 @15                                        -> ok
    97110-GP x1 @15 | terms=accident_kind=auto             -> the auto accident lacks: date, state, claim number
    97110-GP x1 @15 | terms=accident_kind=auto | accident=auto on=2026-01-05 state=CA number=yes -> ok
    97110-GP x1 @15 | accident=auto on=2026-01-05          -> the auto accident lacks: state
    97110-GP x1 @15 | accident=auto on=2026-01-05 state=CA -> ok
    97110-GP x1 @15 | accident=other                       -> ok
"""

from __future__ import annotations

from collections.abc import Iterator

from ptbridge.edits.report import on_day
from ptbridge.edits.visits import accident_of
from ptbridge.model import (
    Accident,
    Finding,
    PricedDay,
)
from ptbridge.policy.facts import Facts
from ptbridge.ports import edit

FIX = "Enter them in the case of the patient in the EMR, or map them under accident."


@edit()
def check(priced: PricedDay, facts: Facts) -> Iterator[Finding]:
    """Yield one finding that names what is absent, for an auto accident."""
    terms = facts.terms(priced.day.service_date)
    auto_payer = terms is not None and terms.accident_kind == "auto"
    accident = accident_of(priced)
    if not priced.charges or not (auto_payer or (accident is not None and accident.kind == "auto")):
        return
    facts_of = accident or Accident(kind="auto")
    needed = [("date", facts_of.on), ("state", facts_of.state)]
    needed += [("claim number", facts_of.claim_number)] if auto_payer else []
    lacking = [name for name, value in needed if not value]
    if lacking:
        yield on_day("WC02", f"the auto accident lacks: {', '.join(lacking)}", FIX, where="accident")
