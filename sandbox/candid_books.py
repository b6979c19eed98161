"""The books of the pretend Candid: charge captures, encounters with claims, events, bundles, and the auditor. No network.

Answers have the form of the SDK's response types, ids are UUIDs made from a counter, so that a run can be repeated.
"""

from __future__ import annotations

import uuid
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from .candid_words import (
    CODE,
    REQUIRED,
    SLOTS,
    STATUSES,
    Document,
    Wrong,
    answered_encounter,
    check_line,
    checked,
    lines_of,
    merged,
    one_of,
    slots,
    text_of,
)

_DEAD_LINES = "lines that were deleted keep their external id"
_SPACE = uuid.UUID("5e0c1a3e-0000-4000-8000-000000000000")


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
    named: dict[str, list[Document]] = field(default_factory=dict)  # our reference -> charges and encounters of that name
    _reserved: set[tuple[str, str]] = field(default_factory=set)  # (claim, external id) of deleted lines
    _numbers: int = 0

    # ------------------------------------------------------------ charge captures

    def create_charge(self, body: Document) -> Document:
        """POST /charge_captures. Raises Wrong."""
        reference = text_of(body, "charge_external_id")
        text_of(body, "patient_external_id")
        if self.strict and any("charge_external_id" in row for row in self.named.get(reference, [])):
            raise Wrong("ChargeExternalIdConflictError", 409, {"message": "charge_external_id is in use"})
        charge: Document = {
            "id": self._new(),
            "status": one_of(body, "status", STATUSES),
            "charge_capture_data": merged({}, checked(body["data"])),
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
            charge["status"] = one_of(body, "status", STATUSES)
        if "data" in body:
            charge["charge_capture_data"] = merged(charge["charge_capture_data"], checked(body["data"]))
        if body.get("charge_external_id", charge["charge_external_id"]) != charge["charge_external_id"]:
            raise Wrong("UnprocessableEntityError", 422, {"message": "a charge keeps its name here"})
        for name in ("patient_external_id", "originating_system"):
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
        if charge["id"] not in self.charges:
            self.named.setdefault(charge["charge_external_id"], []).append(charge)
        self.charges[charge["id"]] = charge
        self.taken_at[charge["id"]] = self.clock()
        self.counts[f"charge {event}"] += 1
        self._audit(charge["charge_external_id"])
        return charge

    def charge_of(self, reference: str) -> Document:
        """The charge of a reference. Raises StopIteration when there is none."""
        return next(row for row in self.named.get(reference, []) if "charge_external_id" in row)

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
        reference = text_of(body, "external_id")
        if self.strict and any("encounter_id" in row for row in self.named.get(reference, [])):
            raise Wrong("EncounterExternalIdUniquenessError", 422, {"external_id": reference})
        missing = sorted(REQUIRED - body.keys())
        if missing:
            raise Wrong("HttpRequestValidationsError", 422, [{"fieldName": missing[0], "humanReadableMessage": "is required"}])
        encounter = self._encounter(checked(body), None)
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
        self.named.setdefault(encounter["external_id"], []).append(encounter)
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
        encounter = self._standing(text_of(body, "encounter_id"))
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
        for line in lines_of(encounter):
            pointed = [line.get(slot) for slot in SLOTS if line.get(slot)]
            if pointed == [diagnosis_id]:
                raise Wrong("ServiceLinesMustHaveAtLeastOneDiagnosisHTTPError", 422, {"message": "a line would have none"})
        encounter["diagnoses"].remove(row)

    def put_line(self, external_id: str, body: Document) -> Document:
        """PUT /service-lines/external-id/{id}: updates the line of that claim, or makes it."""
        encounter = self._of_claim(text_of(body, "claim_id"))
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
        rows = [*self.named.get(reference, []), *self.named.get(f"candid-{reference}", [])]
        return next(row for row in rows if "encounter_id" in row)

    def set_status(self, reference: str, status: str, **claim: Any) -> None:
        """The claim moves on; an event tells. `claim`: fields of the claim such as `payer_claim_id`."""
        encounter = self.encounter_of(reference)
        encounter["claims"][0].update(status=status, **claim)
        self._tell(encounter["encounter_id"], "CandidApi.Encounter.StatusUpdated")

    def remit(self, reference: str, status: str, payer_claim_id: str, lines: list[Document]) -> None:
        """The payer decided: per line what the SDK's ServiceLine says of it."""
        for line, said in zip(lines_of(self.encounter_of(reference)), lines, strict=True):
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
        found = {reference: self._live(reference) for reference in self.named}
        return {reference: standing for reference, standing in found.items() if standing}

    def _live(self, reference: str) -> list[Document]:
        found = []
        for row in self.named.get(reference, []):
            if row.get("status") == "billable":
                found.append(row["charge_capture_data"])
            elif row.get("billable_status") == "BILLABLE" and not row["claim_creation_id"]:
                found.append({"service_lines": lines_of(row)})
        return found

    def _audit(self, reference: str) -> None:
        """Contract D2, on every request: at most one live charge of a reference, and of a line."""
        standing = self._live(reference)
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
        if not CODE.fullmatch(code):
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
