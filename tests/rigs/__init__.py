"""The other side of each destination, for the contract suite: one file a platform, each with an async `rig(folder)`.

The real thing where it runs here (a sandbox server on loopback, files), never a mock. A new destination joins by having a
file of its name in this folder. One that sends in several forms has `FORMS` there, each of which joins too, as `name: form`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import date
from functools import partial
from importlib import import_module
from pathlib import Path
from typing import Any

from ptbridge import plugins
from ptbridge.destinations import DestinationParts
from ptbridge.model import (
    Address,
    Charge,
    CodedDay,
    Coverage,
    Diagnosis,
    Discipline,
    Frequency,
    Patient,
    PricedDay,
    Provider,
    ServiceLine,
    Submission,
    TreatmentDay,
    Visit,
)
from ptbridge.ports import Destination
from ptbridge.specs.clinic import AddressSpec, BillingProviderSpec, ClaimPayerSpec, ClaimsSpec, DestinationSpec
from ptbridge.wire.http import HttpClient

BILLING = BillingProviderSpec(
    npi="1234567893",
    name="Oak Street Physical Therapy",
    tax_id="12-3456789",
    taxonomy="261QP2000X",
    address=AddressSpec(lines=("100 Oak Street",), city="Columbus", state="OH", postal_code="432151234"),
    contact="Billing Office",
    phone="6145550100",
)
CLAIMS = ClaimsSpec(
    accepts_assignment="A",
    benefits_assigned="Y",
    release_of_information="Y",
    signature_on_file="Y",
    payers={"MCR-B": ClaimPayerSpec(id="15202", name="MEDICARE PART B OHIO", filing="MB")},
)

# Every one of these stands in the day below; none may be seen outside the bytes that are sent.
MARKERS = (
    "PIDQXZ1",
    "MRNQXZ2",
    "Famqxz",
    "Givqxz",
    "1931-07-09",
    "9 Streetqxz",
    "Cityqxz",
    "98765-4321",
    "555-0199",
    "MEMQXZ7",
    "GRPQXZ8",
)


def a_day(units: int = 2, *, bare: bool = False) -> PricedDay:
    """Two lines with everything known, or with nothing known that may be unknown."""
    patient = Patient(
        id="PIDQXZ1",
        mrn="MRNQXZ2",
        family="Famqxz",
        given="Givqxz",
        birth_date=date(1931, 7, 9),
        sex="female",
        address=Address(lines=("9 Streetqxz",), city="Cityqxz", state="OH", postal_code="98765-4321"),
        phone="555-0199",
    )
    coverage = Coverage(
        id="c1",
        order=1,
        payer_id="MCR-B",
        payer_name="Medicare Part B",
        member_id="MEMQXZ7",
        group_number="GRPQXZ8",
        relationship="self",
    )
    visit = Visit(
        clinic="oak",
        source="emr",
        visit_id="e1",
        service_date=date(2026, 11, 2),
        patient=Patient(id="PIDQXZ1") if bare else patient,
        coverages=() if bare else (coverage,),
        rendering=None if bare else Provider(npi="1558395210", name="Pat Therapist", credential="PT"),
        referring=None if bare else Provider(npi="1477550010", name="Dana Referrer", credential="MD"),
        place_of_service=None if bare else "11",
        authorization_number=None if bare else "AUTHQXZ9",
    )
    day = TreatmentDay(
        clinic="oak",
        key="oak/PIDQXZ1/PT/2026-11-02",
        patient_id="PIDQXZ1",
        discipline=Discipline.PT,
        service_date=date(2026, 11, 2),
        billing_npi=BILLING.npi,
        visits=(visit,),
    )
    lines = (
        ServiceLine(
            procedure="97110",
            modifiers=("GP",),
            units=units,
            minutes=None if bare else 30,
            diagnosis_pointers=(1,),
            line_keys=("e1/1",),
        ),
        ServiceLine(procedure="97161", modifiers=("GP",), units=1, diagnosis_pointers=(1,), line_keys=("e1/2",)),
    )
    charges = tuple(
        Charge(line=line, payer="medicare_part_b", unit_price_cents=None if bare else 3000, amount_cents=3000 * line.units)
        for line in lines
    )
    return PricedDay(
        coded=CodedDay(day=day, payer="medicare_part_b", lines=lines, diagnoses=(Diagnosis(code="M54.50"),)), charges=charges
    )


def submission(
    destination: Destination,
    *,
    reference: str = "oak-1",
    revision: int = 1,
    frequency: str = "1",
    units: int = 2,
    original_id: str | None = None,
) -> Submission:
    """`a_day` as the destination writes it, with the key that the ledger would give it."""
    day = a_day(units)
    body, media_type = destination.encode(
        day, reference=reference, frequency="1" if frequency == "8" else frequency, original_id=original_id
    )
    if frequency == "8":
        body, media_type = destination.encode_void(body, reference=reference, original_id=original_id)
    return Submission(
        clinic="oak",
        destination="test",
        key=f"{reference}-r{revision}",
        reference=reference,
        order_key=day.day.key,
        revision=revision,
        frequency=Frequency(frequency),
        body=body,
        media_type=media_type,
        units=day.units,
        amount_cents=day.amount_cents,
        lines=2,
        service_date="2026-11-02",
    )


def build(
    name: str,
    options: Mapping[str, str] | None = None,
    *,
    http: HttpClient | None = None,
    folder: Path | None = None,
    clinic: str = "oak",
    run_id: str = "run-1",
    billing: BillingProviderSpec | None = None,
    claims: ClaimsSpec | None = None,
    **spec: Any,
) -> Any:
    """A destination as a run builds it; `spec` is what more its part of the clinic file says (`base_url`, `in_flight`).

    `BILLING` and `CLAIMS` are looked up when it is called: a test may set others.
    """
    chosen = DestinationSpec(platform=name, options=dict(options or {}), folder=str(folder or ""), **spec)
    parts = DestinationParts(
        spec=chosen,
        clinic=clinic,
        billing=billing or BILLING,
        run_id=run_id,
        claims=claims or CLAIMS,
        http=http,
        folder=folder,
    )
    return plugins.destination(name).build(parts)


@dataclass
class Rig:
    """A destination against its real other side. `lose(True)`: what is sent next is taken and its answer lost.

    `refuse(True)`: it is refused with the code and text of `refusal`; None where a platform never refuses. `before_change`
    does what must happen at the other side before a correction can be sent (the payer gives its number), and returns the
    `original_id` to send it with.
    """

    destination: Destination
    lose: Callable[[bool], object]
    refuse: Callable[[bool], object] | None = None
    refusal: tuple[str, str] = ("not-billable", "refused by a sandbox fault")
    before_change: Callable[[Submission], str | None] = field(default=lambda sent: None)


def rig(name: str) -> Callable[..., Any]:
    """The rig of a destination, or of one form of it (`name: form`). Raises ModuleNotFoundError when it has none."""
    platform, _, form = name.partition(": ")
    found: Callable[..., Any] = import_module(f"tests.rigs.{platform}").rig
    return partial(found, form=form) if form else found


def forms(name: str) -> list[str]:
    """The names under which a destination's rigs are had."""
    return [name, *(f"{name}: {form}" for form in getattr(import_module(f"tests.rigs.{name}"), "FORMS", ()))]
