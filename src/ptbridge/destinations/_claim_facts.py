"""What a claim says of a treatment day, gathered from the day, the clinic file and its `claims`; and what is missing.

For platforms that take a whole claim in their own words. A fact that is not known becomes a finding SB03, never a default:
each is a statement to a payer.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Iterable
from dataclasses import dataclass, field
from datetime import date
from typing import TypeVar

from ptbridge.model import (
    Accident,
    Address,
    Charge,
    Coverage,
    Finding,
    Patient,
    PricedDay,
    Provider,
    Severity,
    Subscriber,
    TreatmentDay,
    Visit,
)
from ptbridge.specs.clinic import BillingProviderSpec, ClaimPayerSpec, ClaimsSpec

MAX_DIAGNOSES = 12  # X12 005010X222A1, loop 2300, HI: one principal and eleven others
MAX_POINTERS = 4  # SV107

_ZIP = re.compile(r"(\d{5})(?:-?(\d{4}))?")
_SUFFIXES = frozenset({"PT", "DPT", "PTA", "OT", "OTR", "OTA", "COTA", "SLP", "MD", "DO", "NP", "PA", "DC", "DPM"})
# USPS, with the territories and the armed forces
_STATES = (
    "AA AE AK AL AP AR AS AZ CA CO CT DC DE FL FM GA GU HI IA ID IL IN KS KY LA MA MD ME MH MI MN MO MP MS MT NC ND NE NH NJ "
    "NM NV NY OH OK OR PA PR PW RI SC SD TN TX UT VA VI VT WA WI WV WY"
)
STATES = frozenset(_STATES.split())
# X12 element 1069 by our words and FHIR's, as 005010X222A1 has them in SBR02 (18) and PAT01. A common-law spouse and an injured
# person are none of them as they stand: a mapping says which they are.
RELATIONSHIPS = {"self": "18", "spouse": "01", "child": "19", "parent": "G8", "other": "G8"}

_CLINIC = "Add it to the clinic file."
_EMR = "Complete it in the EMR; the day is judged again when it changes."
_SUBSCRIBER = (
    "Complete the coverage's subscriber in the EMR; over FHIR, the scope system/RelatedPerson.read lets ptbridge read it."
)
_T = TypeVar("_T")


@dataclass(frozen=True, slots=True, kw_only=True)
class Zip:
    """A ZIP code; `plus_four` is None when only five digits are known."""

    five: str
    plus_four: str | None

    @classmethod
    def read(cls, text: str | None) -> Zip | None:
        """`43215`, `432151234` or `43215-1234`; None for anything else."""
        match = _ZIP.fullmatch((text or "").strip())
        return cls(five=match[1], plus_four=match[2]) if match else None

    @classmethod
    def known(cls, text: str | None) -> Zip:
        """The ZIP code of an address in which `lacks` has found nothing missing."""
        found = cls.read(text)
        assert found is not None
        return found

    @property
    def digits(self) -> str:
        """The nine digits, or the five that are known."""
        return self.five + (self.plus_four or "")


@dataclass(frozen=True, slots=True, kw_only=True)
class Gathered:
    """The day as a claim sees it. A field is None when it is not known; what a claim cannot do without is in `lacks`."""

    day: TreatmentDay
    priced: PricedDay = field(repr=False)
    billing: BillingProviderSpec
    claims: ClaimsSpec
    patient: Patient = field(repr=False)
    coverage: Coverage | None = field(repr=False)
    payer: ClaimPayerSpec | None
    rendering: Provider | None
    supervising: Provider | None
    referring: Provider | None
    place_of_service: str | None
    authorization: str | None = field(repr=False)
    accident: Accident | None

    @property
    def service_date(self) -> date:
        """The civil day at the clinic; `lacks` has said when there is none."""
        assert self.day.service_date is not None
        return self.day.service_date

    @property
    def is_dependent(self) -> bool:
        """True when the coverage is another person's."""
        return self.coverage is not None and self.coverage.relationship not in (None, "self")

    @property
    def subscriber(self) -> Patient | Subscriber:
        """Whose coverage it is; `lacks` has said when that is not known."""
        other = self.coverage.subscriber if self.is_dependent and self.coverage is not None else self.patient
        assert other is not None
        return other

    @property
    def relationship_code(self) -> str:
        """The patient's relationship to the subscriber as X12 writes it."""
        assert self.coverage is not None and self.coverage.relationship is not None
        return RELATIONSHIPS[self.coverage.relationship]

    @property
    def diagnoses(self) -> tuple[str, ...]:
        """ICD-10-CM codes in billing order, as documented."""
        return tuple(diagnosis.code for diagnosis in self.priced.coded.diagnoses)

    def of_line(self, charge: Charge, fact: Callable[[Visit], _T | None]) -> _T | None:
        """A fact of the visit that documented this line first."""
        if not charge.line.line_keys:
            return None
        first = charge.line.line_keys[0].partition("/")[0]
        return next((fact(visit) for visit in self.day.visits if visit.visit_id == first), None)


def gather(priced: PricedDay, billing: BillingProviderSpec, claims: ClaimsSpec) -> Gathered:
    """Everything at once. Pure."""
    day = priced.day
    coverage = day.primary_coverage
    return Gathered(
        day=day,
        priced=priced,
        billing=billing,
        claims=claims,
        patient=day.patient,
        coverage=coverage,
        payer=_payer(coverage, claims),
        rendering=agreed(day, lambda visit: visit.rendering),
        supervising=agreed(day, lambda visit: visit.supervising),
        referring=agreed(day, lambda visit: visit.referring),
        place_of_service=agreed(day, lambda visit: visit.place_of_service),
        authorization=agreed(day, lambda visit: visit.authorization_number),
        accident=agreed(day, lambda visit: visit.accident),
    )


def agreed(day: TreatmentDay, fact: Callable[[Visit], _T | None]) -> _T | None:
    """The one value that the day's visits give, those without one left aside; None when they differ or none has it."""
    distinct = {value for visit in day.visits if (value := fact(visit)) is not None}
    return distinct.pop() if len(distinct) == 1 else None


def _payer(coverage: Coverage | None, claims: ClaimsSpec) -> ClaimPayerSpec | None:
    """By the payer's id as the EMR gives it, else by its name."""
    if coverage is None:
        return None
    keys = (coverage.payer_id, coverage.payer_name)
    return next((claims.payers[key] for key in keys if key is not None and key in claims.payers), None)


def person_name(provider: Provider | None) -> tuple[str, str] | None:
    """(given, family) of a clinician whom the source names in one text; None when that cannot be told.

    `Rivera, Ana` is family first; `Ana Rivera, PT` and `Ana M Rivera` end with the family name.
    """
    if provider is None or not provider.name:
        return None
    parts = [part.strip() for part in provider.name.split(",") if part.strip()]
    while len(parts) > 1 and parts[-1].replace(".", "").upper() in _SUFFIXES:
        parts.pop()
    if len(parts) == 2:
        return parts[1], parts[0]
    words = parts[0].split() if len(parts) == 1 else []
    return (" ".join(words[:-1]), words[-1]) if len(words) > 1 else None


# ---------------------------------------------------------------- what is missing


def lacks(facts: Gathered) -> list[Finding]:
    """A finding for each fact that no claim can do without, in the order of a claim."""
    return [
        *_clinic_lacks(facts.billing, facts.claims),
        *_patient_lacks(facts.patient),
        *_coverage_lacks(facts),
        *_visit_lacks(facts),
        *_line_lacks(facts),
    ]


def missing(what: str, fix: str, where: str) -> Finding:
    """One SB03: a fact that the platform's claim needs."""
    return Finding(code="SB03", severity=Severity.ERROR, message=f"the claim needs {what}", fix=fix, where=where)


def _each(wanted: Iterable[tuple[bool, str, str]], fix: str) -> list[Finding]:
    return [missing(what, fix, where) for known, what, where in wanted if not known]


def _clinic_lacks(billing: BillingProviderSpec, claims: ClaimsSpec) -> list[Finding]:
    address = billing.address
    return _each(
        (
            (bool(billing.tax_id), "the billing provider's tax id", "billing_provider.tax_id"),
            (address is not None and bool(address.lines), "the billing provider's address", "billing_provider.address"),
            (address is None or address.state in STATES, "a two-letter state", "billing_provider.address.state"),
            (
                address is None or Zip.read(address.postal_code) is not None,
                "a ZIP code of five or nine digits",
                "billing_provider.address.postal_code",
            ),
            (claims.accepts_assignment in ("A", "C"), "whether assignment is accepted, A or C", "claims.accepts_assignment"),
            (claims.benefits_assigned in ("Y", "N", "W"), "whether benefits are assigned", "claims.benefits_assigned"),
            (
                claims.release_of_information in ("I", "Y"),
                "the patient's release of information",
                "claims.release_of_information",
            ),
        ),
        _CLINIC,
    )


def _patient_lacks(patient: Patient) -> list[Finding]:
    address = patient.address or Address()
    return _each(
        (
            (bool(patient.family and patient.given), "the patient's first and last name", "patient.name"),
            (patient.birth_date is not None, "the patient's birth date", "patient.birth_date"),
            (bool(patient.sex), "the patient's sex", "patient.sex"),
            (bool(address.lines and address.city), "the patient's street and city", "patient.address"),
            (address.state in STATES, "the patient's state in two letters", "patient.address.state"),
            (Zip.read(address.postal_code) is not None, "the patient's ZIP code", "patient.address.postal_code"),
        ),
        _EMR,
    )


def _coverage_lacks(facts: Gathered) -> list[Finding]:
    coverage = facts.coverage
    if coverage is None:
        return [missing("one primary coverage", _EMR, "coverage")]
    found = _each(
        (
            (bool(coverage.member_id), "the member id", "coverage.member_id"),
            (bool(coverage.relationship), "the patient's relationship to the subscriber", "coverage.relationship"),
        ),
        _EMR,
    )
    if facts.is_dependent:
        found += _subscriber_lacks(coverage)
    if facts.payer is None:
        advice = "Add the payer, by the id or name that the EMR gives, under `claims.payers` of the clinic file."
        found.append(missing("the payer's id on the platform", advice, "claims.payers"))
    return found


def _subscriber_lacks(coverage: Coverage) -> list[Finding]:
    """A claim names the subscriber; birth date, sex and address are the patient's alone (005010X222A1, 2010BA and 2010CA)."""
    found = []
    if coverage.relationship not in RELATIONSHIPS:
        words = ", ".join(RELATIONSHIPS)
        advice = f"Have the mapping say one of {words}."
        found.append(missing("a relationship to the subscriber that X12 has a code for", advice, "coverage.relationship"))
    other = coverage.subscriber or Subscriber()
    name = (bool(other.family and other.given), "the subscriber's first and last name", "coverage.subscriber.name")
    return [*found, *_each([name], _SUBSCRIBER)]


def whole_address(address: Address | None) -> Address | None:
    """An address that a claim can carry; None for one that lacks a part, where a claim may do without."""
    usable = address is not None and address.lines and address.city and address.state in STATES
    return address if usable and address is not None and Zip.read(address.postal_code) is not None else None


def _visit_lacks(facts: Gathered) -> list[Finding]:
    rendering = facts.rendering
    return _each(
        (
            (facts.day.service_date is not None, "a service date", "visit.service_date"),
            (bool(facts.place_of_service), "one place of service for the day", "visit.place_of_service"),
            (rendering is not None and bool(rendering.npi), "one rendering provider with an NPI", "visit.rendering.npi"),
        ),
        _EMR,
    )


def people_lack(facts: Gathered, sexes: Collection[str]) -> list[Finding]:
    """For platforms that name people in parts and have words of their own for a sex: what cannot be said in them."""
    found = []
    people = {"rendering": facts.rendering, "referring": facts.referring, "supervising": facts.supervising}
    for role, person in people.items():
        if person is not None and person.npi and person_name(person) is None:
            found.append(missing(f"the {role} provider's first and last name", _EMR, f"visit.{role}.name"))
    mend, words = "Mend the mapping.", "sex as male, female, other or unknown"
    if facts.patient.sex and facts.patient.sex not in sexes:
        found.append(missing(f"the patient's {words}", mend, "patient.sex"))
    other = facts.coverage.subscriber if facts.is_dependent and facts.coverage is not None else None
    if other is not None and other.sex and other.sex not in sexes:
        found.append(missing(f"the subscriber's {words}", mend, "coverage.subscriber.sex"))
    return found


def _line_lacks(facts: Gathered) -> list[Finding]:
    count = len(facts.diagnoses)
    found = []
    if not 1 <= count <= MAX_DIAGNOSES:
        found.append(missing(f"1 to {MAX_DIAGNOSES} diagnoses; the day has {count}", _EMR, "diagnoses"))
    for number, charge in enumerate(facts.priced.charges, start=1):
        pointers = charge.line.diagnosis_pointers
        if not 1 <= len(pointers) <= MAX_POINTERS:
            found.append(missing(f"1 to {MAX_POINTERS} diagnosis pointers", _EMR, f"line {number}"))
        if charge.amount_cents is None:
            found.append(missing("an amount", "Add the price to the fee schedule.", f"line {number}"))
    return found
