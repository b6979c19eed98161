"""The books of the pretend Candid: charge captures, encounters with claims, events, bundles, and the auditor. No network.

Answers have the form of the SDK's response types, ids are UUIDs made from a counter, so that a run can be repeated.
"""

from __future__ import annotations

import re
import uuid
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

Document = dict[str, Any]
_SPACE = uuid.UUID("5e0c1a3e-0000-4000-8000-000000000000")
_QUANTITY = re.compile(r"\d{1,4}(\.\d)?")
_CODE = re.compile(r"[A-Z]\d[\dAB]\.?[A-Z0-9]{0,4}")
STATUSES = frozenset({"planned", "not-billable", "billable", "aborted", "entered-in-error"})
_DEAD_LINES = "lines that were deleted keep their external id"


class Wrong(Exception):
    """What was asked breaks a rule: Candid's error name, HTTP status and content."""

    def __init__(self, name: str, status: int, content: Any = None) -> None:
        super().__init__(name)
        self.name, self.status, self.content = name, status, content or {}


@dataclass(slots=True, kw_only=True)
class CandidBooks:
    """Everything that stands. `violations` is what the auditor found; it stays empty at a platform that is fed well."""

    clock: Callable[[], float]
    wall: Callable[[], float]
    strict: bool = True
    charges: dict[str, Document] = field(default_factory=dict)
    encounters: dict[str, Document] = field(default_factory=dict)
    bundles: dict[str, Document] = field(default_factory=dict)
    events: list[Document] = field(default_factory=list)  # oldest first
    counts: Counter[str] = field(default_factory=Counter)
    violations: list[str] = field(default_factory=list)
    chargemaster: dict[str, int] = field(default_factory=dict)  # procedure -> cents of a line, whatever was sent
    taken_at: dict[str, float] = field(default_factory=dict)  # id -> monotonic seconds
    _reserved: set[tuple[str, str]] = field(default_factory=set)  # (claim, external id) of deleted lines
    _numbers: int = 0

    # ------------------------------------------------------------ charge captures

    def create_charge(self, body: Document) -> Document:
        """POST /charge_captures. Raises Wrong."""
        reference = _text(body, "charge_external_id")
        _text(body, "patient_external_id")
        if self.strict and any(charge["charge_external_id"] == reference for charge in self.charges.values()):
            raise Wrong("ChargeExternalIdConflictError", 409, {"message": "charge_external_id is in use"})
        charge: Document = {
            "id": self._new(),
            "status": _one_of(body, "status", STATUSES),
            "charge_capture_data": merged({}, _data(body["data"])),
            "patient_external_id": body["patient_external_id"],
            "charge_external_id": reference,
            "originating_system": body.get("originating_system"),
            "updates": [],
        }
        return self._keep_charge(charge, "created")

    def change_charge(self, charge_id: str, body: Document) -> Document:
        """PATCH: objects are merged, null clears, lists are replaced. Once a claim was made, the change waits there."""
        charge = self.charges.get(charge_id)
        if charge is None:
            raise Wrong("EntityNotFoundError", 404, {"id": charge_id})
        if "status" in body:
            charge["status"] = _one_of(body, "status", STATUSES)
        if "data" in body:
            charge["charge_capture_data"] = merged(charge["charge_capture_data"], _data(body["data"]))
        for name in ("patient_external_id", "charge_external_id", "originating_system"):
            charge[name] = body.get(name, charge[name])
        bundle = self.bundles.get(str(charge.get("claim_creation_id")))
        if bundle and bundle["created_encounter_id"]:
            for update in charge["updates"]:
                update["resolved"] = True
            charge["updates"].append({"id": self._new(), "message": "the charge differs from the claim", "resolved": False})
        return self._keep_charge(charge, "changed")

    def _keep_charge(self, charge: Document, event: str) -> Document:
        data = charge["charge_capture_data"]
        for line in data["service_lines"]:
            line["charge_amount_cents"] = self.chargemaster.get(line["procedure_code"], line["charge_amount_cents"])
        charge["date_of_service"] = data.get("date_of_service")
        self.charges[charge["id"]] = charge
        self.taken_at[charge["id"]] = self.clock()
        self.counts[f"charge {event}"] += 1
        self._audit(charge["charge_external_id"])
        return charge

    def charge_of(self, reference: str) -> Document:
        """The charge of a reference. Raises KeyError."""
        return next(charge for charge in self.charges.values() if charge["charge_external_id"] == reference)

    # ------------------------------------------------------------ bundles and claims

    def fail_bundle(self, reference: str, field_in_error: str, message: str) -> None:
        """Candid could not make a claim of this charge."""
        bundle = self._bundle(reference, "in-error")
        error = {"id": self._new(), "message": message, "field_in_error": field_in_error, "claim_creation_id": bundle["id"]}
        bundle["errors"].append(error)

    def make_claim(self, reference: str) -> Document:
        """Candid makes a claim of a billable charge."""
        bundle = self._bundle(reference, "successful")
        charge = self.charge_of(reference)
        assert charge["status"] == "billable", "only a billable charge becomes a claim"
        data = charge["charge_capture_data"]
        encounter = self._encounter({**data, "external_id": f"candid-{reference}"}, bundle["id"])
        bundle["created_encounter_id"] = encounter["encounter_id"]
        return encounter

    def _bundle(self, reference: str, status: str) -> Document:
        charge = self.charge_of(reference)
        made: Document = {
            "id": self._new(),
            "created_encounter_id": None,
            "status": status,
            "characteristics": {},
            "errors": [],
        }
        bundle = self.bundles.setdefault(str(charge.get("claim_creation_id")), made)
        if bundle is made:
            del self.bundles[str(charge.get("claim_creation_id"))]
            self.bundles[made["id"]] = made
            charge["claim_creation_id"] = made["id"]
        bundle["status"] = status
        return bundle

    def create_encounter(self, body: Document) -> Document:
        """POST /encounters: a claim at once. Raises Wrong."""
        reference = _text(body, "external_id")
        if self.strict and any(encounter["external_id"] == reference for encounter in self.encounters.values()):
            raise Wrong("EncounterExternalIdUniquenessError", 422, {"external_id": reference})
        missing = sorted(_REQUIRED - body.keys())
        if missing:
            raise Wrong("HttpRequestValidationsError", 422, [{"fieldName": missing[0], "humanReadableMessage": "is required"}])
        encounter = self._encounter(_data(body), None)
        self._audit(reference)
        return encounter

    def _encounter(self, data: Document, bundle_id: str | None) -> Document:
        encounter_id, claim_id = self._new(), self._new()
        encounter = answered_encounter(data, encounter_id, self._new)
        encounter["claim_creation_id"] = bundle_id
        encounter["created_at"] = self._now()
        encounter["diagnoses"] = [self._diagnosis(encounter_id, row) for row in data["diagnoses"]]
        ids = [row["diagnosis_id"] for row in encounter["diagnoses"]]
        lines = [
            self._line(claim_id, data, {**line, **slots(line["diagnosis_pointers"], ids)}) for line in data["service_lines"]
        ]
        encounter["claims"] = [{"claim_id": claim_id, "status": "biller_received", "service_lines": lines, "eras": []}]
        self.encounters[encounter_id] = encounter
        self.taken_at[encounter_id] = self.clock()
        self.counts["encounter created"] += 1
        self._tell(encounter_id, "CandidApi.Encounter.Created")
        return encounter

    def change_encounter(self, encounter_id: str, body: Document) -> Document:
        """PATCH: takes neither lines nor diagnoses, only the order of the diagnoses' ids. Raises Wrong."""
        encounter = self._standing(encounter_id)
        if {"service_lines", "diagnoses"} & body.keys():
            raise Wrong("HttpRequestValidationsError", 422, [{"fieldName": "service_lines", "humanReadableMessage": "unknown"}])
        ids = body.get("diagnosis_ids")
        fields = {name: value for name, value in body.items() if name != "diagnosis_ids"}
        if ids is not None:
            rows = {row["diagnosis_id"]: row for row in encounter["diagnoses"]}
            if set(ids) != set(rows):
                raise Wrong("UnprocessableEntityError", 422, {"message": "diagnosis_ids name other diagnoses"})
            encounter["diagnoses"] = [rows[name] for name in ids]
        changed = merged({name: encounter.get(name) for name in fields}, fields)
        for name in fields:
            encounter.pop(name, None)
        encounter.update(changed)
        self.taken_at[encounter_id] = self.clock()
        self.counts["encounter changed"] += 1
        self._audit(encounter["external_id"])
        return encounter

    # ------------------------------------------------------------ diagnoses and lines

    def add_diagnosis(self, body: Document) -> Document:
        """POST /diagnoses. Raises Wrong for a second principal one."""
        encounter = self._standing(_text(body, "encounter_id"))
        self._only_principal(encounter, body.get("code_type"), "")
        made = self._diagnosis(encounter["encounter_id"], body)
        encounter["diagnoses"].append(made)
        return made

    def change_diagnosis(self, diagnosis_id: str, body: Document) -> Document:
        """PATCH /diagnoses/{id}."""
        encounter, row = self._find_diagnosis(diagnosis_id)
        self._only_principal(encounter, body.get("code_type"), diagnosis_id)
        row.update(body)
        return row

    def drop_diagnosis(self, diagnosis_id: str) -> None:
        """DELETE /diagnoses/{id}. Raises Wrong while it is a line's only one."""
        encounter, row = self._find_diagnosis(diagnosis_id)
        for line in _lines(encounter):
            pointed = [line.get(slot) for slot in SLOTS if line.get(slot)]
            if pointed == [diagnosis_id]:
                raise Wrong("ServiceLinesMustHaveAtLeastOneDiagnosisHTTPError", 422, {"message": "a line would have none"})
        encounter["diagnoses"].remove(row)

    def put_line(self, external_id: str, body: Document) -> Document:
        """PUT /service-lines/external-id/{id}: updates the line of that claim, or makes it."""
        encounter = self._of_claim(_text(body, "claim_id"))
        claim = encounter["claims"][0]
        if (claim["claim_id"], external_id) in self._reserved:
            raise Wrong("EntityConflictError", 409, {"message": _DEAD_LINES})
        line = self._line(claim["claim_id"], encounter, {**body, "external_id": external_id})
        known = [row for row in claim["service_lines"] if row["external_id"] == external_id]
        if known:
            known[0].update({**line, "service_line_id": known[0]["service_line_id"]})
            for name in [name for name, value in body.items() if value is None]:
                known[0].pop(name, None)
        else:
            claim["service_lines"].append(line)
        self.counts["line put"] += 1
        self._audit(encounter["external_id"])
        return known[0] if known else line

    def drop_line(self, line_id: str) -> None:
        """DELETE /service-lines/{id}; its external id stays reserved."""
        for encounter in self.encounters.values():
            for claim in encounter["claims"]:
                for line in claim["service_lines"]:
                    if line["service_line_id"] == line_id:
                        claim["service_lines"].remove(line)
                        self._reserved.add((claim["claim_id"], line["external_id"]))
                        return
        raise Wrong("EntityNotFoundError", 404, {"id": line_id})

    # ------------------------------------------------------------ what happens later

    def encounter_of(self, reference: str) -> Document:
        """The encounter of a reference, made at once or of a charge. Raises StopIteration when there is none."""
        return next(row for row in self.encounters.values() if row["external_id"] in (reference, f"candid-{reference}"))

    def set_status(self, reference: str, status: str, **claim: Any) -> None:
        """The claim moves on; an event tells. `claim`: fields of the claim such as `payer_claim_id`."""
        encounter = self.encounter_of(reference)
        encounter["claims"][0].update(status=status, **claim)
        self._tell(encounter["encounter_id"], "CandidApi.Encounter.StatusUpdated")

    def remit(self, reference: str, status: str, payer_claim_id: str, lines: list[Document]) -> None:
        """The payer decided: per line what the SDK's ServiceLine says of it."""
        for line, said in zip(_lines(self.encounter_of(reference)), lines, strict=True):
            line.update(said)
        self.set_status(reference, status, payer_claim_id=payer_claim_id)

    def _tell(self, encounter_id: str, kind: str) -> None:
        self.events.append(
            {
                "id": self._new(),
                "created_at": self._now(),
                "timestamp": self._now(),
                "event_type": kind,
                "schema_version": "1",
                "payload": {"encounter_id": encounter_id},
            }
        )

    # ------------------------------------------------------------ the auditor

    def live(self) -> dict[str, list[Document]]:
        """What is for billing: our reference -> its data, one entry for each live charge."""
        found: dict[str, list[Document]] = {}
        for charge in self.charges.values():
            if charge["status"] == "billable":
                found.setdefault(charge["charge_external_id"], []).append(charge["charge_capture_data"])
        for encounter in self.encounters.values():
            if encounter["billable_status"] == "BILLABLE" and not encounter["claim_creation_id"]:
                found.setdefault(encounter["external_id"], []).append({"service_lines": _lines(encounter)})
        return found

    def _audit(self, reference: str) -> None:
        """Contract D2, on every request: at most one live charge of a reference, and of a line."""
        standing = self.live().get(reference, []) if len(self.charges) + len(self.encounters) < 500 else []
        if len(standing) > 1:
            self.violations.append(f"{reference}: {len(standing)} live charges")
        for data in standing:
            ids = [str(line["external_id"]).partition("-r")[0] for line in data["service_lines"]]
            if len(set(ids)) != len(ids):
                self.violations.append(f"{reference}: a line stands twice")

    def totals(self) -> dict[str, int]:
        """Live charges, lines, units and cents."""
        lines = [line for charges in self.live().values() for data in charges for line in data["service_lines"]]
        return {
            "charges": sum(len(charges) for charges in self.live().values()),
            "lines": len(lines),
            "units": sum(int(line["quantity"]) for line in lines),
            "amount_cents": sum(line["charge_amount_cents"] for line in lines),
        }

    # ------------------------------------------------------------ small parts

    def _standing(self, encounter_id: str) -> Document:
        if encounter_id not in self.encounters:
            raise Wrong("EntityNotFoundError", 404, {"id": encounter_id})
        return self.encounters[encounter_id]

    def _of_claim(self, claim_id: str) -> Document:
        for encounter in self.encounters.values():
            if encounter["claims"][0]["claim_id"] == claim_id:
                return encounter
        raise Wrong("EntityNotFoundError", 404, {"id": claim_id})

    def _find_diagnosis(self, diagnosis_id: str) -> tuple[Document, Document]:
        for encounter in self.encounters.values():
            for row in encounter["diagnoses"]:
                if row["diagnosis_id"] == diagnosis_id:
                    return encounter, row
        raise Wrong("DiagnosisNotFoundHTTPError", 404, {"message": diagnosis_id})

    def _only_principal(self, encounter: Document, code_type: Any, own: str) -> None:
        others = [row for row in encounter["diagnoses"] if row["code_type"] == "ABK" and row["diagnosis_id"] != own]
        if code_type == "ABK" and others:
            raise Wrong("DisallowMultiplePrimaryDiagnosisHTTPError", 422, {"message": "there is a principal diagnosis"})

    def _diagnosis(self, encounter_id: str, row: Document) -> Document:
        code = str(row["code"])
        if not _CODE.fullmatch(code):
            raise Wrong("HttpRequestValidationsError", 422, [{"fieldName": "code", "humanReadableMessage": "not ICD-10"}])
        dotted = code if "." in code or len(code) < 4 else f"{code[:3]}.{code[3:]}"
        return {
            "diagnosis_id": self._new(),
            "encounter_id": encounter_id,
            "code_type": row["code_type"],
            "code": dotted,
            "created_at": self._now(),
            "updated_at": self._now(),
        }

    def _line(self, claim_id: str, data: Document, line: Document) -> Document:
        """As the answer of a service line: the date of the encounter, ids of diagnoses instead of pointers."""
        check_line(line)
        day = data["date_of_service"]
        own = {name: value for name, value in line.items() if name != "diagnosis_pointers" and value is not None}
        return {
            **own,
            "service_line_id": self._new(),
            "claim_id": claim_id,
            "created_at": self._now(),
            "date_of_service": day,
            "date_of_service_range": {"start_date": day},
        }

    def _new(self) -> str:
        self._numbers += 1
        return str(uuid.uuid5(_SPACE, str(self._numbers)))

    def _now(self) -> str:
        return datetime.fromtimestamp(self.wall(), UTC).isoformat()


SLOTS = ("diagnosis_id_zero", "diagnosis_id_one", "diagnosis_id_two", "diagnosis_id_three")
_REQUIRED = frozenset(
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
    if not isinstance(line.get("quantity"), str) or not _QUANTITY.fullmatch(line["quantity"]):
        wrong = ("quantity", "is text with one decimal at most")
    elif line.get("units") != "UN":
        wrong = ("units", "UN for therapy")
    elif not isinstance(line.get("charge_amount_cents"), int):
        wrong = ("charge_amount_cents", "is a whole number of cents")
    elif "date_of_service" in line:
        wrong = ("date_of_service", "stands on the encounter already")
    if wrong:
        raise Wrong("HttpRequestValidationsError", 422, [{"fieldName": wrong[0], "humanReadableMessage": wrong[1]}])


def _data(data: Document) -> Document:
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


def _lines(encounter: Document) -> list[Document]:
    return [line for claim in encounter["claims"] for line in claim["service_lines"]]


def _text(body: Document, name: str) -> str:
    value = body.get(name)
    if not isinstance(value, str) or not value:
        raise Wrong("HttpRequestValidationsError", 422, [{"fieldName": name, "humanReadableMessage": "is required"}])
    return value


def _one_of(body: Document, name: str, known: frozenset[str]) -> str:
    value = _text(body, name)
    if value not in known:
        raise Wrong("HttpRequestValidationsError", 422, [{"fieldName": name, "humanReadableMessage": "is not known"}])
    return value
