"""What a treatment day's claims state, as X12 writes it; and what they lack or cannot say, as findings SB03."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import TypeVar

from ptbridge.destinations._claim_facts import RELATIONSHIPS
from ptbridge.destinations._x12_tables import FACTS
from ptbridge.destinations._x12_text import Problem, digits, is_post_box, npi, person, spelled, street, tax_id
from ptbridge.model import Accident, Coverage, Finding, Patient, Provider, Severity, Subscriber, TreatmentDay, Visit
from ptbridge.specs.clinic import AddressSpec, BillingProviderSpec, ClaimPayerSpec, ClaimsSpec

SB03 = "SB03"
_Value = TypeVar("_Value")

# X12 element 1032 as 005010X222A1 takes it in SBR09.
_FILING = "11 12 13 14 15 16 17 AM BL CH CI DS FI HM LM MA MB MC OF TV VA WC ZZ"
FILING = frozenset(_FILING.split())
_SEX = {"male": "M", "female": "F", "other": "U", "unknown": "U"}  # DMG03 has no others
_RELATED = {"employment": "EM", "auto": "AA", "other": "OA"}  # CLM11-1


def finding(name: str, message: str, *, line_key: str | None = None) -> Finding:
    """A finding SB03 about one fact; the message holds no fact."""
    label, where = FACTS[name]
    return Finding(
        code=SB03,
        severity=Severity.ERROR,
        message=f"an 837P claim cannot be written: {label} {message}",
        fix=f"Complete or correct {where}.",
        line_key=line_key,
    )


@dataclass(slots=True)
class Facts:
    """Facts by the names that the tables use; what was there and could not be written stands in `problems`."""

    values: dict[str, str] = field(default_factory=dict)
    problems: list[Finding] = field(default_factory=list)
    faulty: set[str] = field(default_factory=set)

    def put(self, name: str, given: str | None, read: Callable[[str], str]) -> None:
        """A fact, if it is given and can be written."""
        if written := self.read(name, given, read):
            self.values[name] = written

    def read(self, name: str, given: str | None, read: Callable[[str], str]) -> str:
        """A fact of a line or visit, not of the day; empty when it is absent or cannot be written."""
        if given is None or not given.strip():
            return ""
        try:
            return read(given)
        except Problem as problem:
            self.refuse(name, str(problem))
            return ""

    def refuse(self, name: str, message: str, *, line_key: str | None = None) -> None:
        """There is a fact, and it cannot be written."""
        self.problems.append(finding(name, message, line_key=line_key))
        self.faulty.add(name)


def text(most: int, least: int = 0) -> Callable[[str], str]:
    """A reader of text of at most, and at least, that many characters."""
    return lambda given: spelled(given, most, least)


def _one_of(*allowed: str) -> Callable[[str], str]:
    def read(given: str) -> str:
        if given not in allowed:
            raise Problem(f"is {given!r}, and must be one of {', '.join(allowed)}")
        return given

    return read


def is_dependent(day: TreatmentDay) -> bool:
    """True when the primary coverage is another person's than the patient's."""
    coverage = day.primary_coverage
    return coverage is not None and coverage.relationship not in (None, "self")


def day_facts(day: TreatmentDay, billing: BillingProviderSpec, claims: ClaimsSpec) -> Facts:
    """What is the same in all claims of the day."""
    facts = Facts()
    _billing(facts, billing)
    _clinics_word(facts, claims)
    _patient(facts, day.patient)
    _coverage(facts, day.primary_coverage, claims)
    _accident(facts, day)
    if day.service_date is not None:
        facts.values["service_date"] = f"{day.service_date:%Y%m%d}"
    return facts


def _billing(facts: Facts, billing: BillingProviderSpec) -> None:
    facts.put("submitter_name", billing.name, text(60))
    facts.put("contact", billing.contact, text(60))
    facts.put("phone", billing.phone, lambda given: digits(given, 10))
    facts.put("billing_name", billing.name, text(60))
    facts.put("billing_npi", billing.npi, npi)
    facts.put("billing_taxonomy", billing.taxonomy, text(10, 10))
    facts.put("tax_kind", billing.tax_id, lambda given: tax_id(given)[0])
    if "tax_kind" not in facts.faulty:
        facts.put("tax_id", billing.tax_id, lambda given: tax_id(given)[1])
    _billing_address(facts, billing.address)


def _billing_address(facts: Facts, address: AddressSpec | None) -> None:
    if address is None:
        return
    _street(facts, "billing", address.lines)
    if any(map(is_post_box, address.lines)):
        facts.refuse("billing_street", "is a post office box, and a claim wants a street")
    facts.put("billing_city", address.city, text(30, 2))
    facts.put("billing_state", address.state, _state)
    facts.put("billing_zip", address.postal_code, lambda given: digits(given, 9))


def _street(facts: Facts, whose: str, lines: tuple[str, ...]) -> None:
    try:
        found = street(lines) if any(line.strip() for line in lines) else []
    except Problem as problem:
        facts.refuse(f"{whose}_street", str(problem))
        return
    for name, line in zip((f"{whose}_street", f"{whose}_street_2"), found, strict=False):
        facts.values[name] = line


def _state(given: str) -> str:
    plain = spelled(given, 60)
    if len(plain) != 2 or not plain.isalpha():
        raise Problem("is no postal code of two letters")
    return plain


def _clinics_word(facts: Facts, claims: ClaimsSpec) -> None:
    facts.put("signature", claims.signature_on_file, _one_of("Y", "N"))
    facts.put("assignment", claims.accepts_assignment, _one_of("A", "B", "C"))
    facts.put("benefits", claims.benefits_assigned, _one_of("Y", "N", "W"))
    facts.put("release", claims.release_of_information, _one_of("I", "Y"))


def _patient(facts: Facts, patient: Patient) -> None:
    facts.put("family", patient.family, text(60))
    facts.put("given", patient.given, text(35))
    facts.put("sex", patient.sex, _sex)
    if patient.birth_date is not None:
        facts.values["birth_date"] = f"{patient.birth_date:%Y%m%d}"
    address = patient.address
    if address is not None:
        _street(facts, "patient", address.lines)
        facts.put("patient_city", address.city, text(30, 2))
        facts.put("patient_state", address.state, _state)
        facts.put("patient_zip", address.postal_code, lambda given: digits(given, 5, 9))


def _sex(given: str) -> str:
    if given not in _SEX:
        raise Problem("is none that DMG03 has: male, female, other, unknown")
    return _SEX[given]


def _coverage(facts: Facts, coverage: Coverage | None, claims: ClaimsSpec) -> None:
    if coverage is None:
        return
    facts.put("member_id", coverage.member_id, text(80, 2))
    facts.put("group_number", coverage.group_number, text(50))
    _subscriber(facts, coverage)
    payer = claim_payer(coverage, claims)
    if payer is None:
        return
    facts.put("payer_name", payer.name, text(60))
    facts.put("payer_id", payer.id, text(80, 2))
    facts.put("filing", payer.filing, _filing)


def _subscriber(facts: Facts, coverage: Coverage) -> None:
    """Where the coverage is another person's: who that is. Without a relationship it is not known whose it is."""
    if coverage.relationship is None:
        facts.refuse("member_id", "does not say whose it is: the coverage names no relationship to the subscriber")
    elif coverage.relationship != "self":
        facts.put("patient_relationship", coverage.relationship, _relationship)
        other = coverage.subscriber or Subscriber()
        facts.put("subscriber_family", other.family, text(60))
        facts.put("subscriber_given", other.given, text(35))


def _relationship(given: str) -> str:
    if given not in RELATIONSHIPS:
        raise Problem(f"is {given!r}, and must be one of {', '.join(RELATIONSHIPS)}")
    return RELATIONSHIPS[given]


def _filing(given: str) -> str:
    if given not in FILING:
        raise Problem(f"with filing {given!r}, which is no claim filing indicator of 837P")
    return given


def claim_payer(coverage: Coverage, claims: ClaimsSpec) -> ClaimPayerSpec | None:
    """The entry of `claims.payers` by the payer's id, else its name; None for none, or when the two name different ones."""
    by_id, by_name = (claims.payers.get(given or "") for given in (coverage.payer_id, coverage.payer_name))
    if by_id and by_name and by_id != by_name:
        return None
    return by_id or by_name


def _accident(facts: Facts, day: TreatmentDay) -> None:
    found: set[Accident] = {visit.accident for visit in day.visits if visit.accident is not None}
    if not found:
        return
    if len(found) > 1:
        facts.refuse("accident_date", "differs between the visits of the day")
        return
    (accident,) = found
    cause = _RELATED.get(accident.kind)
    if cause is None:
        facts.refuse("accident_date", "stands beside an accident of no known kind")
        return
    facts.values["related"] = cause if cause != "AA" else f"AA:::{facts.read('accident_state', accident.state, _state)}"
    if facts.values["related"] == "AA:::" and "accident_state" not in facts.faulty:
        facts.refuse("accident_state", "is not known")
    facts.put("property_claim_number", accident.claim_number, text(50))
    if accident.on is not None:
        facts.values["accident_date"] = f"{accident.on:%Y%m%d}"
    elif cause != "EM":
        facts.refuse("accident_date", "is not known, and must be for an accident with a car or of another kind")


# ---------------------------------------------------------------- visits and people


def agreed_place(day: TreatmentDay) -> str | None:
    """The place of service that the visits of the day name, where they name one."""
    return _agreed(visit.place_of_service for visit in day.visits)


def agreed_authorization(day: TreatmentDay) -> str | None:
    """The authorization that the visits of the day name, where they name one."""
    return _agreed(visit.authorization_number for visit in day.visits)


def place_code(given: str) -> str:
    """CLM05-1, SV105. Raises Problem for what is no place of service code."""
    if not re.fullmatch(r"[0-9]{2}", given):
        raise Problem("is no code of two digits")
    return given


_ROLES: tuple[tuple[str, Callable[[Visit], Provider | None]], ...] = (
    ("rendering", lambda visit: visit.rendering),
    ("supervising", lambda visit: visit.supervising),
    ("referring", lambda visit: visit.referring),
)


def people(day: TreatmentDay, visit: Visit, facts: Facts) -> dict[str, dict[str, str]]:
    """Who stands in 2310 or 2420 for a visit's lines, by role. A visit that says nothing takes the one whom the others name;
    where those name several, or nobody a rendering provider, the day cannot be written."""
    found = {}
    for role, whose in _ROLES:
        given = whose(visit) or _agreed(whose(one) for one in day.visits)
        if given is None:
            if role == "rendering" or any(whose(one) for one in day.visits):
                facts.refuse(role, "is not known, or not for each visit of the day")
            continue
        try:
            found[role] = _person(role, given)
        except Problem as problem:
            facts.refuse(role, str(problem))
    return found


def _person(role: str, given: Provider) -> dict[str, str]:
    if not given.npi:
        raise Problem("has no NPI")
    family, first = person(given)
    try:
        npi(given.npi)
    except Problem as problem:
        raise Problem(f"has an NPI that {problem}") from None
    written = {f"{role}_npi": given.npi, f"{role}_family": family, f"{role}_given": first}
    if given.taxonomy:
        written[f"{role}_taxonomy"] = spelled(given.taxonomy, 10, 10)
    return written


def _agreed(values: Iterable[_Value | None]) -> _Value | None:
    """The one value that is given; None when there is none or several."""
    distinct = {value for value in values if value is not None}
    return distinct.pop() if len(distinct) == 1 else None
