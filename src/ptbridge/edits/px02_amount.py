"""PX02: a line's amount is zero, below zero, or not its units times its price.

What it checks
    Every priced line. A line without a price is another finding (PX01).
Why it matters
    A charge of nothing is rejected or paid as nothing; an amount that does not follow from the fee schedule is a wrong bill.
Fix
    Correct the fee schedule of the clinic.
Source
    X12 005010X222A1 (837P), loop 2400 SV102 and loop 2300 CLM02 (the sum of its lines)
Cases (medicare_part_b)
    97110-GP x2 @30                                        -> ok
    97110-GP x2 @30 | unit_price_cents=0                   -> 97110-GP x2: the amount is $0.00
    97110-GP x2 @30 | amount_cents=5000                    -> 97110-GP x2: the amount is $50.00; 2 units at $50.00 are $100.00
    97110-GP x2 @30 | unit_price_cents=none                -> ok
"""

from __future__ import annotations

from collections.abc import Iterator

from ptbridge.edits.report import on_line
from ptbridge.model import Charge, Finding, PricedDay, dollars
from ptbridge.policy.facts import Facts
from ptbridge.ports import edit

FIX = "Correct the fee schedule of the clinic."


@edit()
def check(priced: PricedDay, facts: Facts) -> Iterator[Finding]:
    """Yield a finding for each line whose amount cannot be right."""
    for charge in priced.charges:
        if charge.amount_cents is not None and (problem := _problem(charge, charge.amount_cents)) is not None:
            yield on_line("PX02", charge.line, problem, FIX)


def _problem(charge: Charge, amount_cents: int) -> str | None:
    price, units = charge.unit_price_cents, charge.line.units
    if price is not None and amount_cents != price * units:
        return f"the amount is {dollars(amount_cents)}; {units} units at {dollars(price)} are {dollars(price * units)}"
    return f"the amount is {dollars(amount_cents)}" if amount_cents <= 0 else None
