"""What Candid says of a document before it takes it, and how it writes one back. Pure functions."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

Document = dict[str, Any]
QUANTITY = re.compile(r"\d{1,4}(\.\d)?")
CODE = re.compile(r"[A-Z]\d[\dAB]\.?[A-Z0-9]{0,4}")
STATUSES = frozenset({"planned", "not-billable", "billable", "aborted", "entered-in-error"})


class Wrong(Exception):
    """What was asked breaks a rule: Candid's error name, HTTP status and content."""

    def __init__(self, name: str, status: int, content: Any = None) -> None:
        super().__init__(name)
        self.name, self.status, self.content = name, status, content or {}


SLOTS = ("diagnosis_id_zero", "diagnosis_id_one", "diagnosis_id_two", "diagnosis_id_three")
REQUIRED = frozenset(
    "external_id billing_provider rendering_provider diagnoses place_of_service_code patient responsible_party billable_status "  # noqa: SIM905
    "patient_authorized_release benefits_assigned_to_provider provider_accepts_assignment".split()
)


def slots(pointers: list[int], ids: list[str]) -> Document:
    """Pointers (0-based) as the ids of diagnoses."""
    return {SLOTS[place]: ids[pointer] for place, pointer in enumerate(pointers)}


def merged(there: Document, patch: Document) -> Document:
    """A patch over what stands: objects are merged, null clears, everything else is replaced."""
    whole = dict(there)
    for name, value in patch.items():
        if value is None:
            whole.pop(name, None)
        elif isinstance(value, dict):
            below = whole.get(name)
            whole[name] = merged(below if isinstance(below, dict) else {}, value)
        else:
            whole[name] = value
    return whole


def check_line(line: Document) -> None:
    """What Candid says of a line. Raises Wrong."""
    wrong = None
    if not isinstance(line.get("quantity"), str) or not QUANTITY.fullmatch(line["quantity"]):
        wrong = ("quantity", "is text with one decimal at most")
    elif line.get("units") != "UN":
        wrong = ("units", "UN for therapy")
    elif not isinstance(line.get("charge_amount_cents"), int):
        wrong = ("charge_amount_cents", "is a whole number of cents")
    elif "date_of_service" in line:
        wrong = ("date_of_service", "stands on the encounter already")
    if wrong:
        raise Wrong("HttpRequestValidationsError", 422, [{"fieldName": wrong[0], "humanReadableMessage": wrong[1]}])


def checked(data: Document) -> Document:
    """The data of a charge or an encounter: lines, pointers and codes that Candid takes; codes come back with their dot."""
    for line in data["service_lines"]:
        check_line(line)
        if not line["diagnosis_pointers"] or max(line["diagnosis_pointers"]) >= len(data["diagnoses"]):
            raise Wrong(
                "HttpRequestValidationsError", 422, [{"fieldName": "diagnosis_pointers", "humanReadableMessage": "range"}]
            )
    return data


def answered_encounter(data: Document, encounter_id: str, new: Callable[[], str]) -> Document:
    """The fields that an encounter's answer has beside what was sent (SDK type Encounter)."""
    address = data["billing_provider"]["address"]
    providers = {
        name: {"address": address, **data[name], "provider_id": new()}
        for name in ("billing_provider", "rendering_provider", "supervising_provider", "referring_provider")
        if data.get(name)
    }
    people = {"phone_numbers": [], "phone_consent": False, "email_consent": False, "auto_charge_consent": False}
    patient = {**people, "non_insurance_payers": [], "non_insurance_payers_info": [], **data["patient"], "individual_id": new()}
    subscriber = data.get("subscriber_primary")
    card = subscriber and {**subscriber["insurance_card"], "insurance_card_id": new()}
    fields = {name: value for name, value in data.items() if name not in ("service_lines", "diagnoses")}
    return {
        **fields,
        **providers,
        "encounter_id": encounter_id,
        "patient": patient,
        "subscriber_primary": subscriber and {**subscriber, "individual_id": new(), "insurance_card": card},
        "service_facility": {"service_facility_id": new(), "organization_name": "x", "address": address},
        "url": "https://example.invalid/encounter",
        "clinical_notes": [],
        "patient_histories": [],
        "patient_payments": [],
        "tags": [],
        "owner_of_next_action": "CANDID",
        "submission_origin": "CANDID",
        "schema_instances": [],
    }


def lines_of(encounter: Document) -> list[Document]:
    return [line for claim in encounter["claims"] for line in claim["service_lines"]]


def text_of(body: Document, name: str) -> str:
    value = body.get(name)
    if not isinstance(value, str) or not value:
        raise Wrong("HttpRequestValidationsError", 422, [{"fieldName": name, "humanReadableMessage": "is required"}])
    return value


def one_of(body: Document, name: str, known: frozenset[str]) -> str:
    value = text_of(body, name)
    if value not in known:
        raise Wrong("HttpRequestValidationsError", 422, [{"fieldName": name, "humanReadableMessage": "is not known"}])
    return value
