"""Treatment days as the platforms that make claims see them: `a_day` of the rigs with one thing or another about it."""

from __future__ import annotations

from dataclasses import replace
from datetime import date
from typing import Any

from ptbridge.model import Accident, Charge, Diagnosis, PricedDay, Provider, ServiceLine
from tests.rigs import a_day


def of_visit(day: PricedDay, **facts: Any) -> PricedDay:
    """The day with other facts of its one visit."""
    inner = day.coded.day
    visits = (replace(inner.visits[0], **facts),)
    return replace(day, coded=replace(day.coded, day=replace(inner, visits=visits)))


def of_patient(day: PricedDay, **facts: Any) -> PricedDay:
    """The day with other facts of the patient."""
    return of_visit(day, patient=replace(day.day.patient, **facts))


def of_coverage(day: PricedDay, **facts: Any) -> PricedDay:
    """The day with other facts of its one coverage."""
    return of_visit(day, coverages=(replace(day.day.visits[0].coverages[0], **facts),))


def with_lines(day: PricedDay, *lines: str, diagnoses: tuple[str, ...] = ("M54.50",)) -> PricedDay:
    """The day with these lines (`97110-GP x2 >1,2`: pointers after `>`), 30 dollars a unit."""
    made = []
    for number, text in enumerate(lines, start=1):
        notation, _, pointers = text.partition(" >")
        line = replace(
            ServiceLine.parse(notation),
            diagnosis_pointers=tuple(int(one) for one in (pointers or "1").split(",")),
            line_keys=(f"e1/{number}",),
        )
        made.append(Charge(line=line, payer="medicare_part_b", unit_price_cents=3000, amount_cents=3000 * line.units))
    coded = replace(
        day.coded, lines=tuple(charge.line for charge in made), diagnoses=tuple(Diagnosis(code=code) for code in diagnoses)
    )
    return replace(day, coded=coded, charges=tuple(made))


def full_day() -> PricedDay:
    """Everything that a claim can say of a day."""
    day = with_lines(a_day(), "97110-GP-KX x2 >1,2", "97140-GP-59-XU x1 >2", "97161-GP x1", diagnoses=("M54.50", "S83.511A"))
    return of_visit(
        day,
        supervising=Provider(npi="1245319599", name="Super, Visor", credential="PT", taxonomy="225100000X"),
        accident=Accident(kind="auto", on=date(2026, 10, 20), state="OH", claim_number="CLMQXZ5"),
    )


def two_visits(*authorizations: str | None) -> PricedDay:
    """Two visits of one day, each with its own authorization and one line of its own."""
    day = with_lines(a_day(), "97110-GP x2", "97140-GP x1")
    inner = day.coded.day
    visits = tuple(
        replace(inner.visits[0], visit_id=f"e{number}", authorization_number=one)
        for number, one in enumerate(authorizations, start=1)
    )
    charges = tuple(
        replace(charge, line=replace(charge.line, line_keys=(f"e{number}/1",)))
        for number, charge in enumerate(day.charges, start=1)
    )
    coded = replace(day.coded, day=replace(inner, visits=visits), lines=tuple(charge.line for charge in charges))
    return replace(day, coded=coded, charges=charges)
