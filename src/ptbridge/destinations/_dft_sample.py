"""The sample day, written as an interface profile says, and the comparison with the sample that stands in the profile.

The day is made up and always the same: two lines (one with an assistant's modifier), two diagnoses, everything known that
a message can carry, and a separator inside an address. Its messages are what two partners look at when they agree.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date

from ptbridge.destinations._dft_credit import replacement_bytes, void_bytes
from ptbridge.destinations._dft_er7 import CR, Line, stamped
from ptbridge.destinations._dft_message import DayWriter, Written, codec_of, dft_bytes
from ptbridge.errors import ConfigError
from ptbridge.model import (
    Accident,
    Address,
    Charge,
    CodedDay,
    Coverage,
    Diagnosis,
    Discipline,
    Patient,
    PricedDay,
    Provider,
    ServiceLine,
    TreatmentDay,
    Visit,
)
from ptbridge.specs.clinic import BillingProviderSpec
from ptbridge.specs.interface_profile import Interface, InterfaceSpec

_REFERENCE = "pt-00000000000000000000cafe"
_CONTROL_ID = "SAMPLE00000000000001"
_SERVICE_DATE = date(2026, 3, 2)
_BILLING = BillingProviderSpec(npi="1234567893", name="Sample Physical Therapy", tax_id="00-0000000", taxonomy="261QP2000X")
_DIAGNOSES = (Diagnosis(code="M54.50"), Diagnosis(code="M25.561"))


_SECOND = Coverage(id="c2", order=2, payer_id="60054", payer_name="Aetna", member_id="W123456789", relationship="self")


def samples(spec: InterfaceSpec) -> dict[str, list[str]]:
    """The sample day's messages, segment by segment, by the key under which a profile keeps them."""
    original, _ = dft_bytes(_written(spec, 2, "P03"), spec, "P03")
    found = {"sample": original}
    if spec.voids == "credit":
        found["sample_void"], _ = void_bytes(original, spec)
    if spec.corrections == "credit_and_charge":
        found["sample_correction"], _ = replacement_bytes(original, _written(spec, 3, spec.credit_event), spec)
    codec = codec_of(spec)
    return {key: stamped(body, _CONTROL_ID).decode(codec).split(CR)[:-1] for key, body in found.items()}


def compare_samples(interface: Interface) -> None:
    """Raises ConfigError, by file and line, when ptbridge would write the sample day otherwise than the profile shows."""
    for key, written in samples(interface.spec).items():
        agreed: Sequence[str] = getattr(interface.spec, key)
        for index, segment in enumerate(written):
            if index >= len(agreed):
                raise _differs(interface, key, index, f"ends here; ptbridge writes {segment!r} too.")
            if agreed[index] != segment:
                raise _differs(interface, key, index, _difference(segment, agreed[index]))
        if len(agreed) > len(written):
            raise _differs(interface, key, len(written), f"{agreed[len(written)]!r} is not written by ptbridge.")


def _differs(interface: Interface, key: str, index: int, what: str) -> ConfigError:
    advice = "Correct the profile or its sample, whichever is not what was agreed."
    return ConfigError(f"{key}[{index}]: {what} {advice}", where=interface.document.where(key, index))


def _difference(written: str, agreed: str) -> str:
    """The first field in which two segments differ, named as the standard names it."""
    ours, theirs = Line.read(written, written[3]), Line.read(agreed, written[3])
    if ours.name == theirs.name:
        count = max(len(ours.fields), len(theirs.fields))
        number = next(n for n in range(count) if ours.get(n) != theirs.get(n))
        name = f"{ours.name}-{number + 1 if ours.name == 'MSH' else number}"
        return f"{name}: ptbridge writes {ours.get(number)!r}, the sample has {theirs.get(number)!r}."
    return f"ptbridge writes {written!r} here."


def _written(spec: InterfaceSpec, units: int, event: str) -> Written:
    return DayWriter(spec, _BILLING, _sample_day(units), _REFERENCE, event).write()


def _sample_day(units: int) -> PricedDay:
    visit = Visit(
        clinic="sample",
        source="sample",
        visit_id="v1",
        service_date=_SERVICE_DATE,
        patient=_patient(),
        coverages=(_coverage(), _SECOND),
        rendering=Provider(npi="1558395212", name="Sample Therapist", credential="PT"),
        supervising=Provider(npi="1558395212", name="Sample Therapist", credential="PT"),
        referring=Provider(npi="1477550012", name="Sample Physician", credential="MD"),
        place_of_service="11",
        authorization_number="AUTH1",
        accident=Accident(kind="auto", on=date(2026, 2, 14), state="OH", claim_number="CLM1"),
    )
    day = TreatmentDay(
        clinic="sample",
        key="sample",
        patient_id="1001",
        discipline=Discipline.PT,
        service_date=_SERVICE_DATE,
        billing_npi=_BILLING.npi,
        visits=(visit,),
    )
    lines = (
        ServiceLine(
            procedure="97110", modifiers=("GP",), units=units, minutes=30, diagnosis_pointers=(1, 2), line_keys=("v1/1",)
        ),
        ServiceLine(
            procedure="97140", modifiers=("GP", "CQ"), units=1, minutes=15, diagnosis_pointers=(2,), line_keys=("v1/2",)
        ),
    )
    charges = tuple(Charge(line=line, payer="sample", unit_price_cents=4050, amount_cents=4050 * line.units) for line in lines)
    return PricedDay(coded=CodedDay(day=day, payer="sample", lines=lines, diagnoses=_DIAGNOSES), charges=charges)


def _patient() -> Patient:
    return Patient(
        id="1001",
        mrn="MRN1001",
        family="Sample",
        given="Patient",
        birth_date=date(1950, 1, 31),
        sex="female",
        address=Address(lines=("1 Oak & Elm",), city="Springfield", state="OH", postal_code="45501"),
        phone="937-555-0100",
    )


def _coverage() -> Coverage:
    return Coverage(
        id="c1",
        order=1,
        payer_id="MCR-B",
        payer_name="Medicare Part B",
        plan_name="Part B",
        member_id="1EG4TE5MK73",
        relationship="self",
    )
