"""A treatment day as one professional claim in Stedi's JSON, and the names under which it is found again.

Amounts and units are text, diagnosis pointers are text and count from 1, dates are `20261102`. Two names are ours:

    patientControlNumber    P, 11 characters of the reference, 2 of the units, 3 of the claim's content: 17 in all, since some
                            payers cut what is longer. Digits and capitals (base 36). Another content is another number
    providerControlNumber   the patient control number, `-` and the line's place from 1; at most 20 characters of 30

The 11 characters are the first 14 hexadecimal digits of the reference; the last three tell the frequency too, so that the
number alone says which day, how many units, and whether it was an original, a replacement or a void.
"""

from __future__ import annotations

import hashlib
import re
from dataclasses import dataclass
from datetime import date

import orjson

from ptbridge.destinations._claim_facts import Gathered, Zip, missing, people_lack, person_name, whole_address
from ptbridge.destinations._document import Document, present
from ptbridge.model import Address, Charge, Finding, Frequency, Patient, Provider, Subscriber
from ptbridge.model.money import decimal_text
from ptbridge.specs.clinic import AddressSpec

MAX_LINES = 50  # Stedi's claimInformation.serviceLines; X12 005010X222A1, loop 2400
MAX_UNITS = 36**2 - 1  # two characters of the control number

_DIGITS = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ"
_PCN = re.compile(r"P(?P<day>[0-9A-Z]{11})(?P<units>[0-9A-Z]{2})(?P<content>[0-9A-Z]{3})")
_OURS = re.compile(r"pt-([0-9a-f]{24})")
_HEX = 14  # digits of the reference: 56 bits, 11 characters in base 36
_CONTENTS = 36**3 // 3  # of each frequency
_FREQUENCIES = (Frequency.ORIGINAL, Frequency.REPLACEMENT, Frequency.VOID)

_EMR = "Complete it in the EMR; the day is judged again when it changes."
_SEX = {"male": "M", "female": "F", "unknown": "U", "other": "U"}  # X12 element 1068
_EIN, _SSN = re.compile(r"\d\d-\d{7}"), re.compile(r"\d{3}-\d\d-\d{4}")
_CAUSES = {"employment": "EM", "auto": "AA", "other": "OA"}  # X12 CLM11


# ---------------------------------------------------------------- names


@dataclass(frozen=True, slots=True, kw_only=True)
class ControlNumber:
    """What a patient control number of ours says. `day` is the beginning of the reference, `pt-` and 14 digits."""

    day: str
    units: int
    frequency: Frequency

    @classmethod
    def read(cls, text: object) -> ControlNumber | None:
        """None for a number that is not ours."""
        match = _PCN.fullmatch(text.strip().upper()) if isinstance(text, str) else None
        if match is None or int(match["day"], 36) >= 16**_HEX:
            return None
        return cls(
            day=f"pt-{int(match['day'], 36):0{_HEX}x}",
            units=int(match["units"], 36),
            frequency=_FREQUENCIES[int(match["content"], 36) // _CONTENTS],
        )


def day_name(reference: str) -> str:
    """The part of a reference that a control number tells. A reference that is not of our usual form is hashed first."""
    match = _OURS.fullmatch(reference)
    whole = match[1] if match else hashlib.sha256(reference.encode()).hexdigest()
    return f"pt-{whole[:_HEX]}"


def control_number(reference: str, *, units: int, frequency: str, content: bytes) -> str:
    """The patient control number of a claim with this content, which does not hold the number itself."""
    day = _base36(int(day_name(reference).removeprefix("pt-"), 16), 11)
    place = _FREQUENCIES.index(Frequency(frequency)) * _CONTENTS
    digest = int.from_bytes(hashlib.sha256(content).digest()[:8], "big") % _CONTENTS
    return f"P{day}{_base36(units, 2)}{_base36(place + digest, 3)}"


def line_place(number: object) -> int | None:
    """The place from 1 of a line of ours."""
    control, _, place = number.strip().rpartition("-") if isinstance(number, str) else ("", "", "")
    return int(place) if ControlNumber.read(control) and place.isdecimal() else None


def _base36(number: int, width: int) -> str:
    text = ""
    while number:
        number, digit = divmod(number, 36)
        text = _DIGITS[digit] + text
    return text.rjust(width, "0")


# ---------------------------------------------------------------- what is missing


def stedi_lacks(facts: Gathered) -> list[Finding]:
    """What Stedi's claim needs beside what every claim needs."""
    return [*_clinic_lacks(facts), *_people_lacks(facts), *_size_lacks(facts)]


def _clinic_lacks(facts: Gathered) -> list[Finding]:
    tax_id, found = facts.billing.tax_id or "", []
    if tax_id and not (_EIN.fullmatch(tax_id) or _SSN.fullmatch(tax_id)):
        advice = "Write it as 12-3456789 (EIN) or 123-45-6789 (SSN): the claim says which it is."
        found.append(missing("the tax id's kind", advice, "billing_provider.tax_id"))
    for known, what, where in (
        (facts.billing.phone, "the billing contact's phone", "billing_provider.phone"),
        (facts.billing.contact, "the billing contact's name", "billing_provider.contact"),
        (facts.claims.signature_on_file in ("Y", "N"), "whether a signature is on file, Y or N", "claims.signature_on_file"),
    ):
        if not known:
            found.append(missing(what, "Add it to the clinic file.", where))
    return found


def _people_lacks(facts: Gathered) -> list[Finding]:
    found = people_lack(facts, _SEX)
    accident = facts.accident
    if accident is not None and accident.kind not in _CAUSES:
        found.append(missing("an accident of employment, auto or other", "Mend the mapping.", "accident.kind"))
    elif accident is not None and accident.kind == "auto" and not accident.state:
        found.append(missing("the state of the accident with a car", _EMR, "accident.state"))
    return found


def _size_lacks(facts: Gathered) -> list[Finding]:
    found = []
    advice = "Send this day another way."
    if len(facts.priced.charges) > MAX_LINES:
        found.append(missing(f"at most {MAX_LINES} lines", advice, "lines"))
    if facts.priced.units > MAX_UNITS:
        found.append(missing(f"at most {MAX_UNITS} units", advice, "units"))
    return found


# ---------------------------------------------------------------- the claim


def claim_document(
    facts: Gathered, *, reference: str, frequency: str, original_id: str | None, usage: str, therapy_dates: bool
) -> Document:
    """The claim's JSON. Facts that are not known are left out; the lacks have passed. `usage` is T or P."""
    payer, billing = facts.payer, facts.billing
    assert payer is not None
    contact = {"name": billing.contact, "phoneNumber": _digits(billing.phone)}
    claim: Document = {
        "usageIndicator": usage,
        "tradingPartnerServiceId": payer.id,
        "tradingPartnerName": payer.name,
        "submitter": {
            "organizationName": billing.name,
            "submitterIdentification": facts.day.billing_npi,
            "contactInformation": contact,
        },
        "receiver": {"organizationName": payer.name},
        "subscriber": _subscriber(facts),
        "dependent": _dependent(facts),
        "billing": {**_billing(facts), "contactInformation": contact},
        "rendering": _person(facts.rendering),
        "referring": _person(facts.referring),
        "supervising": _person(facts.supervising),
        "claimInformation": _claim(facts, frequency, original_id, therapy_dates=therapy_dates),
    }
    return _named(present(claim), reference)


def void_document(live: Document, *, reference: str, original_id: str | None) -> Document:
    """The claim that was accepted, whole, with frequency 8: X12 wants a void to repeat what it takes back."""
    information = dict(live["claimInformation"])
    supplement = {**information.get("claimSupplementalInformation", {}), "claimControlNumber": original_id}
    information.update(claimFrequencyCode="8", claimSupplementalInformation=supplement)
    return _named(present({**live, "claimInformation": information}), reference)


def _named(claim: Document, reference: str) -> Document:
    """With its control numbers, made from everything else in it."""
    information = {name: value for name, value in claim["claimInformation"].items() if name != "patientControlNumber"}
    lines = [
        {name: value for name, value in line.items() if name != "providerControlNumber"} for line in information["serviceLines"]
    ]
    bare = {**claim, "claimInformation": {**information, "serviceLines": lines}}
    number = control_number(
        reference,
        units=sum(int(line["professionalService"]["serviceUnitCount"]) for line in lines),
        frequency=information["claimFrequencyCode"],
        content=orjson.dumps(bare, option=orjson.OPT_SORT_KEYS),
    )
    named = [{**line, "providerControlNumber": f"{number}-{place}"} for place, line in enumerate(lines, start=1)]
    return {**claim, "claimInformation": {"patientControlNumber": number, **information, "serviceLines": named}}


def _claim(facts: Gathered, frequency: str, original_id: str | None, *, therapy_dates: bool) -> Document:
    """Loop 2300."""
    payer, claims, accident = facts.payer, facts.claims, facts.accident
    assert payer is not None
    return {
        "claimFilingCode": payer.filing,
        "claimChargeAmount": decimal_text(facts.priced.amount_cents),
        "placeOfServiceCode": facts.place_of_service,
        "claimFrequencyCode": str(frequency),
        "signatureIndicator": claims.signature_on_file,
        "planParticipationCode": claims.accepts_assignment,
        "benefitsAssignmentCertificationIndicator": claims.benefits_assigned,
        "releaseInformationCode": claims.release_of_information,
        "relatedCausesCode": [_CAUSES[accident.kind]] if accident else None,
        "autoAccidentStateCode": accident.state if accident and accident.kind == "auto" else None,
        "propertyCasualtyClaimNumber": accident.claim_number if accident else None,
        "claimDateInformation": {"accidentDate": _date(accident.on)} if accident and accident.on else None,
        "claimSupplementalInformation": {
            "priorAuthorizationNumber": facts.authorization,
            "claimControlNumber": original_id,
        }
        if facts.authorization or original_id
        else None,
        "healthCareCodeInformation": [
            {"diagnosisTypeCode": "ABF" if place else "ABK", "diagnosisCode": code.replace(".", "")}
            for place, code in enumerate(facts.diagnoses)
        ],
        "serviceLines": [_line(facts, charge, therapy_dates=therapy_dates) for charge in facts.priced.charges],
    }


def _line(facts: Gathered, charge: Charge, *, therapy_dates: bool) -> Document:
    """Loop 2400. An authorization that not the whole day has stands on its line."""
    line = charge.line
    assert charge.amount_cents is not None
    own = facts.of_line(charge, lambda visit: visit.authorization_number) if facts.authorization is None else None
    authorized = {"priorAuthorization": [{"priorAuthorizationOrReferralNumber": own}]} if own else None
    return {
        "serviceDate": _date(facts.service_date),
        "professionalService": {
            "procedureIdentifier": "HC",
            "procedureCode": line.procedure,
            "procedureModifiers": list(line.modifiers) or None,
            "lineItemChargeAmount": decimal_text(charge.amount_cents),
            "measurementUnit": "UN",
            "serviceUnitCount": str(line.units),
            "compositeDiagnosisCodePointers": {"diagnosisCodePointers": [str(at) for at in line.diagnosis_pointers]},
        },
        "serviceLineReferenceInformation": authorized,
        "serviceLineDateInformation": _therapy(facts, charge) if therapy_dates else None,
    }


def _therapy(facts: Gathered, charge: Charge) -> Document | None:
    """When the plan of care began and was last certified, where the day has them (DTP*463, DTP*461)."""
    plan = facts.of_line(charge, lambda visit: visit.plan_of_care)
    if plan is None or not (plan.start or plan.certified_on):
        return None
    return {"beginTherapyDate": _date(plan.start), "lastCertificationDate": _date(plan.certified_on)}


def _subscriber(facts: Gathered) -> Document:
    """Whose coverage it is. Only the patient's own birth date, sex and address are demanded by `lacks`."""
    coverage = facts.coverage
    assert coverage is not None
    return {
        "memberId": coverage.member_id,
        "paymentResponsibilityLevelCode": "P",
        **_named_person(facts.subscriber),
        "groupNumber": coverage.group_number,
    }


def _dependent(facts: Gathered) -> Document | None:
    """The patient, where the coverage is another person's."""
    if not facts.is_dependent:
        return None
    return {**_named_person(facts.patient), "relationshipToSubscriberCode": facts.relationship_code}


def _named_person(person: Patient | Subscriber) -> Document:
    address = whole_address(person.address)
    return {
        "firstName": person.given,
        "lastName": person.family,
        "dateOfBirth": _date(person.birth_date),
        "gender": _SEX[person.sex] if person.sex else None,
        "address": _address(address) if address else None,
    }


def _billing(facts: Gathered) -> Document:
    billing, tax_id = facts.billing, facts.billing.tax_id or ""
    assert billing.address is not None
    return {
        "npi": facts.day.billing_npi,
        "organizationName": billing.name,
        ("ssn" if _SSN.fullmatch(tax_id) else "employerId"): tax_id.replace("-", ""),
        "taxonomyCode": billing.taxonomy,
        "address": _address(billing.address),
    }


def _person(person: Provider | None) -> Document | None:
    """A clinician by name and NPI; one without an NPI is left out, as a claim names nobody without."""
    name = person_name(person)
    if person is None or name is None or not person.npi:
        return None
    return {"npi": person.npi, "firstName": name[0], "lastName": name[1], "taxonomyCode": person.taxonomy}


def _address(address: Address | AddressSpec) -> Document:
    return {
        "address1": address.lines[0],
        "address2": ", ".join(address.lines[1:]) or None,
        "city": address.city,
        "state": address.state,
        "postalCode": Zip.known(address.postal_code).digits,
    }


def _date(day: date | None) -> str | None:
    return f"{day:%Y%m%d}" if day else None


def _digits(phone: str | None) -> str:
    return "".join(character for character in phone or "" if character.isdecimal())
