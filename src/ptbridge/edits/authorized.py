"""Which known authorizations a day's lines use, and how much of each."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date

from ptbridge.edits.visits import billable_visits
from ptbridge.model import Charge, PricedDay, dollars
from ptbridge.policy.facts import Facts
from ptbridge.policy.history import Authorization


@dataclass(frozen=True, slots=True)
class Use:
    """One authorization number of the day: what is known under it, what fits payer and discipline, and the day's lines."""

    visit_id: str
    visits: int
    known: tuple[Authorization, ...]
    fitting: tuple[Authorization, ...]
    charges: tuple[Charge, ...]

    def covered(self, authorization: Authorization) -> list[Charge]:
        """The lines that this authorization is for; one without codes is for any."""
        return [charge for charge in self.charges if covers(authorization, charge)]

    def needed(self, authorization: Authorization) -> int:
        """How much of it the day takes: visits, units, days or cents, as it counts."""
        covered = self.covered(authorization)
        if not covered:
            return 0
        if authorization.counts == "units":
            return sum(charge.line.units for charge in covered)
        if authorization.counts == "cents":
            return sum(charge.amount_cents or 0 for charge in covered)
        return self.visits if authorization.counts == "visits" else 1


def uses(priced: PricedDay, facts: Facts) -> Iterator[Use]:
    """Each authorization number that the day's visits name, where the patient's authorizations are known at all."""
    if facts.history is None or not facts.history.authorizations:
        return
    visits = billable_visits(priced)
    for number in dict.fromkeys(visit.authorization_number for visit in visits if visit.authorization_number):
        named = [visit.visit_id for visit in visits if visit.authorization_number == number]
        known = tuple(found for found in facts.history.authorizations if found.number == number)
        yield Use(
            visit_id=named[0],
            visits=len(named),
            known=known,
            fitting=tuple(found for found in known if fits(found, priced)),
            charges=tuple(charge for charge in priced.charges if _of_visits(charge, named)),
        )


def fits(authorization: Authorization, priced: PricedDay) -> bool:
    """True when neither its payer nor its discipline is another than the day's; what it leaves out fits."""
    coverage = priced.day.primary_coverage
    payers = {priced.coded.payer, *((coverage.payer_id, coverage.payer_name) if coverage else ())}
    discipline = priced.day.discipline
    return (authorization.payer is None or authorization.payer in payers) and (
        authorization.discipline is None or discipline is None or authorization.discipline == discipline
    )


def covers(authorization: Authorization, charge: Charge) -> bool:
    """True when the authorization is for the line's code."""
    return not authorization.codes or charge.line.procedure in authorization.codes


def _of_visits(charge: Charge, visit_ids: list[str]) -> bool:
    keys = charge.line.line_keys
    return not keys or any(key.partition("/")[0] in visit_ids for key in keys)


def in_force(authorization: Authorization, on: date) -> bool:
    """True when the service date is one of its dates, both ends included."""
    return (authorization.valid_from is None or authorization.valid_from <= on) and (
        authorization.valid_to is None or on <= authorization.valid_to
    )


def amount(count: int, authorization: Authorization) -> str:
    """`3 visits`, `1 unit`, `$50.00`: so much of what it counts."""
    if authorization.counts == "cents":
        return dollars(count)
    return f"{count} {authorization.counts.removesuffix('s') if count == 1 else authorization.counts}"


def short(count: int, authorization: Authorization) -> str:
    """The same without the word."""
    return dollars(count) if authorization.counts == "cents" else str(count)
