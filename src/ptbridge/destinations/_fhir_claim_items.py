"""A service line as a FHIR R4 ChargeItem, and which ChargeItem a line is after a correction.

A ChargeItem stands for its line as long as the line is billed: a correction finds it again by procedure and modifiers, then by
procedure, so that another line's removal does not turn one line's ChargeItem into another's. A line that is billed no longer is
`entered-in-error`, and its number is not given again as long as the day's live bytes are known.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from decimal import Decimal
from typing import Any

from ptbridge.destinations._claim_facts import Gathered
from ptbridge.destinations._document import Document, present
from ptbridge.destinations._fhir_claim_parts import (
    ICD,
    TERMS,
    cents_of,
    clinic,
    clinician,
    coded,
    identified,
    line_system,
    modifiers,
    money,
    named,
    person,
    procedure,
)
from ptbridge.model import Charge, ServiceLine

# ChargeItem has no element for modifiers; this is the extension that Medplum's example applications read and write.
MODIFIER_EXTENSION = "http://hl7.org/fhir/StructureDefinition/chargeitem-modifier"
BILLABLE, BILLED, WITHDRAWN = "billable", "billed", "entered-in-error"
LIVE = frozenset({BILLABLE, BILLED})
SET_ASIDE = frozenset({"not-billable", "aborted"})  # a person at the biller will not bill it


def charge_item(facts: Gathered, charge: Charge, *, system: str, reference: str, number: int, extension: str) -> Document:
    """One line. `system` names days; `extension` is the URL that modifiers stand under. What is not known is left out."""
    line = charge.line
    team = {role: one for role, one in (("rendering", facts.rendering), ("supervising", facts.supervising)) if one and one.npi}
    mrn = facts.patient.mrn
    record_number = [{"type": coded(f"{TERMS}/v2-0203", "MR"), "value": mrn}] if mrn else None
    item: Document = {
        "resourceType": "ChargeItem",
        "contained": [
            {"resourceType": "Patient", "id": "patient", "identifier": record_number, **person(facts.patient)},
            clinic(facts),
            *(clinician(role, one) for role, one in team.items()),
        ],
        "extension": [{"url": extension, "valueCodeableConcept": one} for one in modifiers(line.modifiers)] or None,
        "status": BILLABLE,
        "code": procedure(line.procedure),
        "subject": {"reference": "#patient"},
        "context": _context(line, system),
        "occurrenceDateTime": facts.service_date.isoformat(),
        "performer": [{"function": {"text": role}, "actor": {"reference": f"#{role}"}} for role in team],
        "performingOrganization": {"reference": "#clinic"},
        "quantity": {"value": line.units},
        "priceOverride": money(charge.amount_cents),
        "reason": [coded(ICD, facts.diagnoses[pointer - 1]) for pointer in line.diagnosis_pointers] or None,
    }
    return named(present(item), system=line_system(system), value=f"{reference}-{number}")


def _context(line: ServiceLine, system: str) -> Document | None:
    """The visit, by the EMR's own id; None for a line that several visits of the day share."""
    visits = {key.partition("/")[0] for key in line.line_keys}
    if len(visits) != 1:
        return None
    return {"type": "Encounter", "identifier": {"system": f"{system}/visit", "value": visits.pop()}}


def withdrawn(item: Document, system: str) -> Document:
    """The same ChargeItem, entered in error."""
    name, _ = identified(item, line_system(system))
    return named({**item, "status": WITHDRAWN}, system=line_system(system), value=name)


# ---------------------------------------------------------------- which line is which ChargeItem


def number_of(item: Mapping[str, Any], system: str) -> int:
    """The number behind the reference in a ChargeItem's name; 0 where it has none of ours."""
    number = identified(item, line_system(system))[0].rpartition("-")[2]
    return int(number) if number.isascii() and number.isdecimal() else 0


def numbers(charges: Sequence[Charge], live: Sequence[Document], system: str) -> list[int]:
    """For each line the number of its ChargeItem: that of the live one that it is, else one that was never given."""
    free = {number_of(item, system): shape(item) for item in live if item.get("status") == BILLABLE}
    wanted = [(charge.line.procedure, charge.line.modifiers) for charge in charges]
    found: dict[int, int] = {}
    for parts in (2, 1):  # procedure and modifiers, then procedure alone
        for place, line in enumerate(wanted):
            number = next((one for one, there in free.items() if there[:parts] == line[:parts]), None)
            if place not in found and number is not None:
                found[place] = number
                del free[number]
    last = max((number_of(item, system) for item in live), default=0)
    new = iter(range(last + 1, last + 1 + len(wanted)))
    return [found[place] if place in found else next(new) for place in range(len(wanted))]


def shape(item: Mapping[str, Any]) -> tuple[str, tuple[str, ...]]:
    """Procedure and modifiers of a ChargeItem; empty where it says none."""
    rows = [row.get("valueCodeableConcept") for row in item.get("extension") or [] if isinstance(row, dict)]
    return _code(item.get("code")), tuple(filter(None, map(_code, rows)))


def _code(concept: object) -> str:
    try:
        return str(concept["coding"][0]["code"])  # type: ignore[index]
    except (KeyError, TypeError, IndexError):
        return ""


# ---------------------------------------------------------------- what it holds


def amounts(item: Mapping[str, Any]) -> tuple[int, int] | None:
    """(units, cents) of a ChargeItem; None when it does not say both."""
    try:
        return int(Decimal(str(item["quantity"]["value"]))), cents_of(item["priceOverride"])
    except (KeyError, TypeError, ArithmeticError, ValueError):
        return None


def day_of(item: Mapping[str, Any]) -> str:
    """The service date; empty where it has none."""
    return str(item.get("occurrenceDateTime") or "")[:10]


def held(item: Mapping[str, Any]) -> tuple[object, ...]:
    """What makes the charge: service date, procedure, modifiers, units and cents."""
    return day_of(item), shape(item), amounts(item)
