"""The parts that a FHIR R4 Claim and a ChargeItem of ours share, and the names that we give both.

Two identifiers of each resource are ours:

    <system of its kind>              names what it stands for, stays the same over corrections, and there is one of it
    <system of its kind>/revision     made from the content: names what stands there now

The system of a Claim is the one that the clinic chose and its value the day's reference; of a ChargeItem it is that system
and `/line`, and its value the reference, `-` and the line's number. Money is written as decimals with two places, never as
floats. CPT codes go without their words, which are the AMA's.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping
from decimal import Decimal
from functools import cache
from importlib import import_module
from typing import Any

import msgspec

from ptbridge.destinations._claim_facts import Gathered, person_name
from ptbridge.destinations._document import Document
from ptbridge.model import Address, Patient, Provider, Subscriber
from ptbridge.specs.clinic import AddressSpec

TERMS = "http://terminology.hl7.org/CodeSystem"
ICD = "http://hl7.org/fhir/sid/icd-10-cm"
HCPCS = "http://www.cms.gov/Medicare/Coding/HCPCSReleaseCodeSets"
_CPT = "http://www.ama-assn.org/go/cpt"
_NPI = "http://hl7.org/fhir/sid/us-npi"
_TAX = "urn:oid:2.16.840.1.113883.4.4"  # US employer identification numbers
_ENCODER = msgspec.json.Encoder(decimal_format="number", order="deterministic")
_DECODER = msgspec.json.Decoder(float_hook=Decimal)


def written(document: Document) -> bytes:
    """The exact bytes: decimals keep their places."""
    return _ENCODER.encode(document)


def read(content: bytes) -> Document:
    """A resource back, its decimals exact. Raises ValueError (msgspec.DecodeError) for what is no JSON object."""
    found = _DECODER.decode(content)
    if not isinstance(found, dict):
        raise ValueError("no JSON object")
    return found


def invalid_places(document: Document) -> list[str]:
    """Where a resource breaks the R4 definition, as `Claim.item.0.net`; never with a value. Loads fhir.resources when used."""
    from pydantic import ValidationError

    kind = str(document["resourceType"])
    try:
        _class_of(kind).model_validate(document)
    except ValidationError as problem:
        places = (".".join(map(str, error["loc"])) for error in problem.errors(include_input=False))
        return [f"{kind}.{place}" for place in dict.fromkeys(places)]
    return []


@cache
def _class_of(kind: str) -> Any:
    return getattr(import_module(f"fhir.resources.R4B.{kind.lower()}"), kind)  # what stands above R4B is R5's


# ---------------------------------------------------------------- names


def line_system(system: str) -> str:
    """The system of a line's identifier, below the one that names days."""
    return f"{system}/line"


def own_system(resource: Mapping[str, Any], system: str) -> str:
    """The system of the identifier that names this resource."""
    return line_system(system) if resource.get("resourceType") == "ChargeItem" else system


def named(resource: Document, *, system: str, value: str, frequency: str = "") -> Document:
    """The resource under our two identifiers. The revision tells contents apart, and frequencies where one is given."""
    content = {name: part for name, part in resource.items() if name != "identifier"}
    digest = hashlib.sha256(written(content)).hexdigest()[:12]
    identifier = [
        {"system": system, "value": value},
        {"system": f"{system}/revision", "value": f"{value}-{frequency}{digest}"},
    ]
    return {"identifier": identifier, **content}


def identified(resource: Mapping[str, Any], system: str) -> tuple[str, str]:
    """(name, revision) of a resource under this system; empty where it has none of ours."""
    rows = [row for row in resource.get("identifier") or [] if isinstance(row, dict)]
    found = {row.get("system"): str(row.get("value") or "") for row in rows}
    return found.get(system, ""), found.get(f"{system}/revision", "")


# ---------------------------------------------------------------- parts


def cents_of(amount: object) -> int:
    """Integer cents of a Money. Raises KeyError, TypeError or ArithmeticError where there are none, or not a whole number."""
    cents = Decimal(str(amount["value"])) * 100  # type: ignore[index]
    if cents != cents.to_integral_value():
        raise ArithmeticError("a fraction of a cent")
    return int(cents)


def coded(system: str, code: str | None) -> Document:
    """A concept of one code, without words."""
    return {"coding": [{"system": system, "code": code}]}


def procedure(code: str) -> Document:
    """A CPT code, or one of HCPCS level II, which begins with a letter."""
    return coded(_CPT if code[:1].isdecimal() else HCPCS, code)


def modifiers(codes: Iterable[str]) -> list[Document]:
    """Modifiers in their order."""
    return [coded(HCPCS, code) for code in codes]


def money(amount_cents: int | None) -> Document:
    """An amount in dollars, two places, from whole cents."""
    assert amount_cents is not None
    return {"value": Decimal(amount_cents).scaleb(-2), "currency": "USD"}


def clinic(facts: Gathered) -> Document:
    """The billing provider as a contained Organization."""
    billing = facts.billing
    return {
        "resourceType": "Organization",
        "id": "clinic",
        "identifier": [
            {"system": _NPI, "value": facts.day.billing_npi},
            *([{"system": _TAX, "value": billing.tax_id}] if billing.tax_id else []),
        ],
        "name": billing.name,
        "telecom": [{"system": "phone", "value": billing.phone}] if billing.phone else None,
        "address": [address(billing.address)] if billing.address else None,
    }


def clinician(role: str, provider: Provider) -> Document:
    """A contained Practitioner, named by the role."""
    name = person_name(provider)
    assert name is not None
    known = {"identifier": [{"system": _NPI, "value": provider.npi}], "name": [{"family": name[1], "given": [name[0]]}]}
    return {"resourceType": "Practitioner", "id": role, **known}


def person(someone: Patient | Subscriber) -> Document:
    """Name, gender, birth date and address, where they are known."""
    return {
        "name": [{"family": someone.family, "given": [someone.given]}],
        "gender": someone.sex,
        "birthDate": someone.birth_date.isoformat() if someone.birth_date else None,
        "address": [address(someone.address)] if someone.address and someone.address.lines else None,
    }


def address(place: Address | AddressSpec) -> Document:
    """A postal address."""
    return {"line": list(place.lines), "city": place.city, "state": place.state, "postalCode": place.postal_code}
