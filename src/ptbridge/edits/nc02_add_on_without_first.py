"""NC02: an add-on code is billed without the code that it adds to.

What it checks
    The quarter's add-on file where it is loaded and lists the code; otherwise the code table that ptbridge ships: 97130 with
    97129, 97546 with 97545, 97551 with 97550, 97598 with 97597, 92608 with 92607, 90913 with 90912, 92627 with 92626, 92618
    with 92605 and G0542 with G0541 on the same day. The finding says which was used. Where the file leaves it to the contractor
    what the code may add to (edit types 2 and 3), that is a warning. Codes that count a month (98981) are not checked: their
    first code may be on another day.
Why it matters
    An add-on is never paid alone; the first code's money is lost with it.
Fix
    Bill the first code for the first part of the service, and the add-on for the rest.
Source
    CMS NCCI add-on code edits (type 1); CMS physician fee schedule file RVU26C (global ZZZ)
Cases (medicare_part_b)
    97129-GN x1, 97130-GN x1 | discipline=SLP              -> ok
    97130-GN x1 | discipline=SLP
        -> 97130-GN x1: 97130 adds to 97129, which is not billed (shipped table, not the quarter's file)
    97598-GP x2                                            -> 97598-GP x2: 97598 adds to 97597, which is not billed
    97598-GP x2 | add_ons=97598/97596+97597 1
        -> 97598-GP x2: 97598 adds to 97596 or 97597, which is not billed (Medicare NCCI
    97597-GP x1, 97598-GP x2 | add_ons=97598/97596+97597 1 -> ok
    97598-GP x2 | add_ons=97546/97545 1
        -> 97598-GP x2: 97598 adds to 97597, which is not billed (shipped table, not the quarter's file)
    97598-GP x2 | add_ons=97598/97597 3
        -> warning: 97598-GP x2: 97598 adds to 97597 or to what the contractor allows, which is not billed
    97598-GP x2 | add_ons=97598/- 2
        -> warning: 97598-GP x2: 97598 adds to what the contractor allows, and that cannot be looked up
    97110-GP x1 | add_ons=97598/97597 1                    -> ok
    98981-GP x1                                            -> ok
Cases (none)
    97598-GP x2 | on=none -> 97598-GP x2: 97598 adds to 97597, which is not billed
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import date

from ptbridge.edits.report import on_line
from ptbridge.model import Finding, PricedDay, Severity
from ptbridge.policy.facts import Facts
from ptbridge.policy.reference import SHIPPED, AddOn
from ptbridge.ports import edit

FIX = "Bill the first code for the first part of the service, and the add-on for the rest."
MONTHLY = frozenset({"98981"})


@edit()
def check(priced: PricedDay, facts: Facts) -> Iterator[Finding]:
    """Yield a finding for each add-on none of whose first codes is on the day."""
    on = priced.day.service_date
    for charge in priced.charges:
        known = _known(facts, charge.line.procedure, on)
        if known is None or any(other.line.procedure in known.primaries for other in priced.charges):
            continue
        severity = Severity.WARNING if known.by_contractor else Severity.ERROR
        yield on_line("NC02", charge.line, _message(known), FIX, severity)


def _known(facts: Facts, code: str, on: date | None) -> AddOn | None:
    """What the loaded file says of the code, else the code table; None when it is no add-on of the same day."""
    if code in MONTHLY:
        return None
    if facts.reference is not None and on is not None and facts.reference.covers("add_on", on):
        listed = facts.reference.add_on(code, on)
        if listed is not None:
            return listed
    row = facts.codes.get(code)
    if row is None or row.add_on_of is None:
        return None
    return AddOn(code=code, primaries=frozenset({row.add_on_of}), by_contractor=False, source=SHIPPED)


def _message(known: AddOn) -> str:
    if not known.primaries:
        return f"{known.code} adds to what the contractor allows, and that cannot be looked up ({known.source})"
    first = " or ".join(sorted(known.primaries))
    more = " or to what the contractor allows" if known.by_contractor else ""
    return f"{known.code} adds to {first}{more}, which is not billed ({known.source})"
