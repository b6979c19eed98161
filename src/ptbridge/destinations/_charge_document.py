"""A priced treatment day as the plain document that our destinations write out.

Fields come in a fixed order and absent facts are left out, never defaulted, so the same day always gives the same bytes
(contract D27). Money is integer cents: `amount_cents` is a whole line's, `unit_price_cents` one unit's.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any

from ptbridge.destinations._document import Document
from ptbridge.model import Address, Charge, Coverage, Patient, PricedDay, Provider, Subscriber, TreatmentDay, Visit
from ptbridge.specs.clinic import BillingProviderSpec


def charge_document(
    priced: PricedDay,
    billing: BillingProviderSpec,
    *,
    reference: str,
    frequency: str,
    original_id: str | None,
    with_others: bool = False,
) -> Document:
    """The whole treatment day. A provider is given once for the day only when all visits name the same one.

    `with_others`: the coverages beside the primary one too.
    """
    day = priced.day
    return present(
        reference=reference,
        frequency=frequency,
        original_id=original_id,
        clinic=day.clinic,
        service_date=day.service_date.isoformat() if day.service_date else None,
        discipline=day.discipline.value if day.discipline else None,
        place_of_service=agreed(day, lambda visit: visit.place_of_service),
        billing_provider=present(npi=day.billing_npi, name=billing.name, tax_id=billing.tax_id, taxonomy=billing.taxonomy),
        rendering_provider=provider(agreed(day, lambda visit: visit.rendering)),
        supervising_provider=provider(agreed(day, lambda visit: visit.supervising)),
        referring_provider=provider(agreed(day, lambda visit: visit.referring)),
        patient=_patient(day.patient),
        coverage=_coverage(day.primary_coverage),
        other_coverages=(insurances(day)[1:] or None) if with_others else None,
        authorization=agreed(day, lambda visit: visit.authorization_number),
        diagnoses=[diagnosis.code for diagnosis in priced.coded.diagnoses],
        lines=[_line(number, charge, day) for number, charge in enumerate(priced.charges, start=1)],
        totals={"lines": len(priced.charges), "units": priced.units, "amount_cents": priced.amount_cents},
    )


def void_document(live: Document, *, reference: str, original_id: str | None) -> Document:
    """Frequency 8: names the charge to take back, and nothing about the patient. `live` is what was sent."""
    return present(
        reference=reference,
        frequency="8",
        original_id=original_id,
        clinic=live.get("clinic"),
        service_date=live.get("service_date"),
    )


def present(**fields: Any) -> Document:
    """The fields that are there: None, empty text and empty objects are left out."""
    return {name: value for name, value in fields.items() if value is not None and value not in ("", {})}


def provider(person: Provider | None) -> Document:
    """A clinician; empty when unknown."""
    if person is None:
        return {}
    return present(npi=person.npi, name=person.name, credential=person.credential, taxonomy=person.taxonomy)


def _line(number: int, charge: Charge, day: TreatmentDay) -> Document:
    line = charge.line
    return present(
        line_id=str(number),
        procedure=line.procedure,
        modifiers=list(line.modifiers),
        units=line.units,
        minutes=line.minutes,
        diagnosis_pointers=list(line.diagnosis_pointers),
        unit_price_cents=charge.unit_price_cents,
        amount_cents=charge.amount_cents,
        rendering_provider=_of_line(charge, day, lambda visit: visit.rendering),
        supervising_provider=_of_line(charge, day, lambda visit: visit.supervising),
        referring_provider=_of_line(charge, day, lambda visit: visit.referring),
    )


def _of_line(charge: Charge, day: TreatmentDay, person: Callable[[Visit], Provider | None]) -> Document:
    """Only where the day's visits differ: the person of the visit that documented the line first."""
    if agreed(day, person) is not None or not charge.line.line_keys:
        return {}
    visits: Mapping[str, Visit] = {visit.visit_id: visit for visit in day.visits}
    first = visits.get(charge.line.line_keys[0].partition("/")[0])
    return provider(person(first)) if first else {}


def agreed(day: TreatmentDay, fact: Callable[[Visit], Any]) -> Any:
    """The one value that the visits of the day give, those without one left aside; None when they differ or none has it."""
    values: Iterable[Any] = (fact(visit) for visit in day.visits)
    distinct = {value for value in values if value is not None}
    return distinct.pop() if len(distinct) == 1 else None


def _patient(patient: Patient) -> Document:
    return present(
        id=patient.id,
        mrn=patient.mrn,
        family=patient.family,
        given=patient.given,
        birth_date=patient.birth_date.isoformat() if patient.birth_date else None,
        sex=patient.sex,
        phone=patient.phone,
        address=_address(patient.address),
    )


def _subscriber(other: Subscriber | None) -> Document:
    """Whose insurance it is; empty where that is the patient, and where nobody else is known."""
    if other is None:
        return {}
    return present(
        family=other.family,
        given=other.given,
        birth_date=other.birth_date.isoformat() if other.birth_date else None,
        sex=other.sex,
        address=_address(other.address),
    )


def _address(address: Address | None) -> Document | None:
    if address is None:
        return None
    return present(lines=list(address.lines), city=address.city, state=address.state, postal_code=address.postal_code)


def insurances(day: TreatmentDay) -> list[Document]:
    """Every insurance of the day, the primary first, then in order, those without an order last; none when it is unclear
    which is primary."""
    primary = day.primary_coverage
    if primary is None:
        return []
    distinct = {coverage.id: coverage for visit in day.visits for coverage in visit.coverages}
    ranked = sorted(distinct.values(), key=lambda one: (one.id != primary.id, one.order is None, one.order or 0))
    return [present(**_coverage(one), order=one.order) for one in ranked]


def _coverage(coverage: Coverage | None) -> Document:
    if coverage is None:
        return {}
    return present(
        payer_id=coverage.payer_id,
        payer_name=coverage.payer_name,
        plan_name=coverage.plan_name,
        member_id=coverage.member_id,
        group_number=coverage.group_number,
        relationship=coverage.relationship,
        subscriber=_subscriber(coverage.subscriber),
    )
