"""A treatment day in Candid's words: the data of a charge capture, or a whole encounter (SDK types of 1.37.0).

Quantities are text, charges are the whole line's cents, diagnosis pointers count from 0, the date of service stands on the
encounter and not on its lines. Fields come in a fixed order, so the same day always gives the same bytes (contract D27).
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from ptbridge.destinations._claim_facts import Gathered, Zip, missing, person_name, whole_address
from ptbridge.destinations._document import Document, present
from ptbridge.model import Accident, Address, Charge, Finding, Patient, Provider, Subscriber
from ptbridge.specs.clinic import AddressSpec

ORIGIN = "ptbridge"  # `originating_system` of every charge that is ours

# The platform's own word for a provider's ZIP+4 that is not known, "as per CMS documentation" (Candid SDK 1.37.0).
_PLUS_FOUR_UNKNOWN = "9998"
_GENDERS = frozenset({"male", "female", "other", "unknown"})
_FILINGS = "09 11 12 13 14 15 16 17 AM BL CH CI DS FI HM LM MA MB MC OF TV VA WC ZZ"  # SBR09, as Candid has it
_FILING = frozenset(_FILINGS.split())
_CAUSES = {"employment": "EM", "auto": "AA", "other": "OA"}  # X12 CLM11
_LINE_ID = re.compile(r"(?P<reference>.+)-(?P<line>[1-9]\d?)(?:-r\d+)?")

# What we fill where we know it. A correction names each of them, null where it is not known (any more), so that nothing
# of an earlier version stays, whether the platform merges what it gets or replaces it.
_OPTIONAL: Document = {
    "prior_authorization_number": None,
    "related_causes_information": None,
    "accident_date": None,
    "property_casualty_claim_number": None,
    "supervising_provider": None,
    "referring_provider": None,
    "billing_provider": {"taxonomy_code": None, "address": {"address2": None}},
    "rendering_provider": {"first_name": None, "last_name": None, "taxonomy_code": None},
    "patient": {"address": {"address2": None, "zip_plus_four_code": None}},
    "subscriber_primary": {
        "date_of_birth": None,
        "address": {"address2": None, "zip_plus_four_code": None},
        "insurance_card": {"group_number": None, "plan_name": None},
    },
}


def line_id(reference: str, number: int) -> str:
    """The line's external id: 30 characters at most, no patient data."""
    return f"{reference}-{number}"


def read_line_id(external_id: object) -> tuple[str, int] | None:
    """(reference, place of the line from 1) of a line of ours; None for any other."""
    match = _LINE_ID.fullmatch(external_id) if isinstance(external_id, str) else None
    return (match["reference"], int(match["line"])) if match else None


def candid_lacks(facts: Gathered) -> list[Finding]:
    """What Candid cannot take although it is known."""
    found = []
    if facts.patient.sex is not None and facts.patient.sex not in _GENDERS:
        found.append(missing("the patient's sex as male, female, other or unknown", "Mend the mapping.", "patient.sex"))
    if facts.is_dependent and facts.coverage is not None:
        other = facts.coverage.subscriber
        if other is None or other.sex not in _GENDERS:
            advice = "Complete the coverage's subscriber in the EMR, or mend the mapping."
            what = "the subscriber's sex as male, female, other or unknown"
            found.append(missing(what, advice, "coverage.subscriber.sex"))
    if facts.payer is not None and facts.payer.filing not in _FILING:
        advice = f"Use one of {_FILINGS}."
        found.append(missing("a claim filing indicator that Candid knows", advice, "claims.payers.filing"))
    accident = facts.accident
    if accident is not None and accident.kind not in _CAUSES:
        found.append(missing("an accident of employment, auto or other", "Mend the mapping.", "accident.kind"))
    return found


def encounter_data(facts: Gathered, reference: str) -> Document:
    """All that is said of the day. Facts that are not known are left out; `candid_lacks` and `lacks` have passed."""
    claims = facts.claims
    data: Document = present(
        {
            "external_id": reference,
            "date_of_service": facts.service_date.isoformat(),
            "patient_authorized_release": claims.release_of_information in ("I", "Y"),
            "benefits_assigned_to_provider": claims.benefits_assigned == "Y",
            "provider_accepts_assignment": claims.accepts_assignment == "A",
            "billable_status": "BILLABLE",
            "responsible_party": "INSURANCE_PAY",
            "place_of_service_code": facts.place_of_service,
            "prior_authorization_number": facts.authorization,
            **_accident(facts.accident),
            "billing_provider": _billing(facts),
            "rendering_provider": _provider(facts.rendering),
            "supervising_provider": _provider(facts.supervising),
            "referring_provider": _provider(facts.referring),
            "patient": _patient(facts),
            "subscriber_primary": _subscriber(facts),
            "diagnoses": [
                {"code_type": "ABK" if number == 0 else "ABF", "code": code} for number, code in enumerate(facts.diagnoses)
            ],
            "service_lines": [
                _line(facts, charge, line_id(reference, number)) for number, charge in enumerate(facts.priced.charges, start=1)
            ],
        }
    )
    return data


def with_nulls(data: Mapping[str, Any]) -> Document:
    """The same data, and null for each fact of ours that it does not have. What is there already stays."""
    return _filled(data, _OPTIONAL)


def _filled(data: Mapping[str, Any], optional: Mapping[str, Any]) -> Document:
    whole = dict(data)
    for name, below in optional.items():
        if below is None:
            whole.setdefault(name, None)
        elif whole.get(name) is None:
            whole[name] = None
        elif isinstance(whole[name], dict):
            whole[name] = _filled(whole[name], below)
    return whole


# ---------------------------------------------------------------- parts


def _line(facts: Gathered, charge: Charge, external_id: str) -> Document:
    own = facts.of_line(charge, lambda visit: visit.authorization_number) if facts.authorization is None else None
    return {
        "external_id": external_id,
        "procedure_code": charge.line.procedure,
        "modifiers": list(charge.line.modifiers),
        "quantity": str(charge.line.units),
        "units": "UN",
        "charge_amount_cents": charge.amount_cents,
        "diagnosis_pointers": [pointer - 1 for pointer in charge.line.diagnosis_pointers],
        "prior_authorization_number": own,
    }


def _accident(accident: Accident | None) -> Document:
    if accident is None:
        return {}
    return {
        "related_causes_information": {
            "related_causes_code_1": _CAUSES[accident.kind],
            "state_or_province_code": accident.state,
        },
        "accident_date": accident.on.isoformat() if accident.on else None,
        "property_casualty_claim_number": accident.claim_number,
    }


def _billing(facts: Gathered) -> Document:
    billing = facts.billing
    assert billing.address is not None
    return {
        "organization_name": billing.name,
        "npi": facts.day.billing_npi,
        "tax_id": (billing.tax_id or "").replace("-", ""),
        "taxonomy_code": billing.taxonomy,
        "address": _address(billing.address, provider=True),
    }


def _provider(person: Provider | None) -> Document | None:
    """A clinician by NPI, with the name where it can be told apart."""
    if person is None or not person.npi:
        return None
    given, family = person_name(person) or (None, None)
    return {"first_name": given, "last_name": family, "npi": person.npi, "taxonomy_code": person.taxonomy}


def _patient(facts: Gathered) -> Document:
    patient = facts.patient
    assert patient.birth_date is not None and patient.address is not None
    return {**_person(patient), "external_id": patient.id}


def _person(person: Patient | Subscriber) -> Document:
    """A subscriber's birth date and address where they are known, an address only when whole; `lacks` demands a patient's."""
    address = whole_address(person.address)
    return {
        "first_name": person.given,
        "last_name": person.family,
        "gender": person.sex,
        "date_of_birth": person.birth_date.isoformat() if person.birth_date else None,
        "address": _address(address, provider=False) if address else None,
    }


def _subscriber(facts: Gathered) -> Document:
    coverage, payer = facts.coverage, facts.payer
    assert coverage is not None and payer is not None
    return {
        **_person(facts.subscriber),
        "patient_relationship_to_subscriber_code": facts.relationship_code,
        "insurance_card": {
            "member_id": coverage.member_id,
            "payer_name": payer.name,
            "payer_id": payer.id,
            "group_number": coverage.group_number,
            "plan_name": coverage.plan_name,
            "plan_type": payer.filing,
        },
    }


def _address(address: AddressSpec | Address, *, provider: bool) -> Document:
    """A provider's ZIP+4 is always said; a patient's when it is known."""
    code = Zip.known(address.postal_code)
    return {
        "address1": address.lines[0],
        "address2": ", ".join(address.lines[1:]) or None,
        "city": address.city,
        "state": address.state,
        "zip_code": code.five,
        "zip_plus_four_code": code.plus_four or (_PLUS_FOUR_UNKNOWN if provider else None),
    }
