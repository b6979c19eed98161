"""Service lines to charges: the fee schedule's price times the units, in integer cents."""

from __future__ import annotations

from ptbridge.coding import findings as kinds
from ptbridge.model import Charge, CodedDay, Finding, PricedDay, ServiceLine
from ptbridge.policy import FeeSchedule


def price(coded: CodedDay, fees: FeeSchedule | None) -> PricedDay:
    """Price every line of a coded day. A line without a price keeps none and gets a PX01 finding, which holds."""
    on = coded.day.service_date
    charges: list[Charge] = []
    findings: list[Finding] = []
    for line in coded.lines:
        unit = None if fees is None or on is None else fees.price(line.procedure, line.modifiers, on)
        amount = None if unit is None else unit * line.units
        if unit is None:
            findings.append(_missing(line, coded, fees))
        charges.append(Charge(line=line, payer=coded.payer, unit_price_cents=unit, amount_cents=amount))
    return PricedDay(coded=coded, charges=tuple(charges), findings=tuple(findings))


def _missing(line: ServiceLine, coded: CodedDay, fees: FeeSchedule | None) -> Finding:
    visit_id, _, line_key = (line.line_keys[0] if line.line_keys else "").partition("/")
    place = "" if fees is None else fees.name
    what = "no fee schedule is set" if fees is None else f"no price for {line.procedure} on {coded.day.service_date}"
    return kinds.PRICE_MISSING(what, at=(visit_id, line_key), where=place)
