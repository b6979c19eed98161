"""What a FHIR server says of claims: ClaimResponses, as answers. Codes are kept word for word.

outcome queued, partial    in the payer's hands
outcome error              turned away, with the codes of `error`
outcome complete           decided: paid, or denied when nothing was paid for another reason than the patient's share

And what it says of ChargeItems by their status: `billed` is a claim or an invoice made of it, `not-billable` and `aborted`
are a person at the biller who will not bill it.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from ptbridge.destinations import _fhir_claim_items as charge_items
from ptbridge.destinations._fhir_claim_parts import identified, line_system
from ptbridge.model import Answer, NativeCode, Stage, Standing
from ptbridge.model.money import cents

Resource = Mapping[str, Any]

_PAID = frozenset({"benefit", "paidtoprovider"})  # adjudication categories, HL7's and CARIN's
_PATIENTS = frozenset({"deductible", "copay", "paidbypatient", "coinsurance"})
# CARC that lower a payment and deny nothing (billing rules, 6.3).
_NO_DENIAL = frozenset({"1", "2", "3", "23", "45", "59", "253"})


def answers_of(response: Resource) -> Iterator[Answer]:
    """The whole claim, then its lines. A response to nothing that can be told gives nothing."""
    claim_id = _claim_id(response)
    if claim_id is None or response.get("status") in ("draft", "entered-in-error"):
        return
    said_at = str((response.get("meta") or {}).get("lastUpdated") or response.get("created") or "")
    version = str((response.get("meta") or {}).get("versionId") or said_at)
    key = f"ClaimResponse/{response.get('id')}/{version}"
    outcome = str(response.get("outcome") or "")
    items = _rows(response, "item")
    rows = [*_rows(response, "adjudication"), *(row for item in items for row in _rows(item, "adjudication"))]
    stage, standing = _place(outcome, response, rows)
    numbers = [row.get("value") for row in _rows(response, "identifier")]
    yield Answer(
        key=key,
        stage=stage,
        standing=standing,
        destination_id=claim_id,
        payer_claim_number=str(numbers[0]) if numbers and numbers[0] else None,
        codes=(NativeCode(system="ClaimResponse.outcome", code=outcome), *_errors(response), *_reasons(rows)),
        charged_cents=_category(_rows(response, "total") or rows, frozenset({"submitted"})),
        paid_cents=_paid(response, rows),
        patient_cents=_category(rows, _PATIENTS),
        said_at=said_at,
        text=str(response.get("disposition") or ""),
    )
    if stage is Stage.REMITTANCE:
        yield from (_line(item, key, claim_id, said_at) for item in items if isinstance(item.get("itemSequence"), int))


def item_answers(item: Resource, system: str) -> Iterator[Answer]:
    """What a ChargeItem of ours tells by its status; nothing while it stands as it was sent, or was taken back by us."""
    name, _ = identified(item, line_system(system))
    status = str(item.get("status") or "")
    reference = name.rpartition("-")[0]
    if not reference or status not in (charge_items.BILLED, *charge_items.SET_ASIDE):
        return
    meta = item.get("meta") or {}
    said_at = str(meta.get("lastUpdated") or "")
    procedure, _ = charge_items.shape(item)
    yield Answer(
        key=f"ChargeItem/{item.get('id')}/{meta.get('versionId') or said_at}",
        stage=Stage.CLAIM_MADE,
        standing=Standing.ACCEPTED if status == charge_items.BILLED else Standing.REJECTED,
        reference=reference,
        procedure=procedure or None,
        codes=(NativeCode(system="ChargeItem.status", code=status),),
        said_at=said_at,
    )


def _line(item: Resource, key: str, claim_id: str, said_at: str) -> Answer:
    rows = _rows(item, "adjudication")
    paid = _category(rows, _PAID)
    return Answer(
        key=f"{key}/{item['itemSequence']}",
        stage=Stage.REMITTANCE,
        standing=_decision(paid, rows),
        destination_id=claim_id,
        line=int(item["itemSequence"]),
        codes=_reasons(rows),
        charged_cents=_category(rows, frozenset({"submitted"})),
        paid_cents=paid,
        patient_cents=_category(rows, _PATIENTS),
        said_at=said_at,
    )


def _claim_id(response: Resource) -> str | None:
    """The last part of `Claim/12` or `https://host/fhir/Claim/12/_history/3`."""
    reference = str((response.get("request") or {}).get("reference") or "").partition("/_history/")[0]
    kind, _, id_ = reference.rpartition("/")
    return id_ if id_ and kind.rpartition("/")[2] == "Claim" else None


def _place(outcome: str, response: Resource, rows: list[Resource]) -> tuple[Stage, Standing]:
    if outcome == "error":
        return Stage.PAYER, Standing.REJECTED
    if outcome == "complete":
        return Stage.REMITTANCE, _decision(_paid(response, rows), rows)
    return Stage.PAYER, Standing.ACCEPTED if outcome == "queued" else Standing.PENDING


def _decision(paid_cents: int | None, rows: list[Resource]) -> Standing:
    codes = [code.code.rpartition("-")[2] for code in _reasons(rows)]  # some servers write the group too: CO-97
    return Standing.DENIED if not paid_cents and any(code not in _NO_DENIAL for code in codes) else Standing.PAID


def _paid(response: Resource, rows: list[Resource]) -> int | None:
    amount = _cents((response.get("payment") or {}).get("amount"))
    return amount if amount is not None else _category(_rows(response, "total") or rows, _PAID)


def _category(rows: list[Resource], wanted: frozenset[str]) -> int | None:
    """The sum of what stands under these categories; None when none does, or one cannot be read."""
    amounts = [_cents(row.get("amount")) for row in rows if set(_codes(row.get("category"))) & wanted]
    return None if not amounts or None in amounts else sum(amount for amount in amounts if amount is not None)


def _reasons(rows: list[Resource]) -> tuple[NativeCode, ...]:
    found = dict.fromkeys(code for row in rows for code in _codes(row.get("reason")))
    return tuple(NativeCode(system="CARC", code=code) for code in found)


def _errors(response: Resource) -> tuple[NativeCode, ...]:
    found = dict.fromkeys(code for row in _rows(response, "error") for code in _codes(row.get("code")))
    return tuple(NativeCode(system="ClaimResponse.error", code=code) for code in found)


def _codes(concept: object) -> list[str]:
    return [str(row["code"]) for row in _rows(concept, "coding") if row.get("code")]


def _cents(money: object) -> int | None:
    value = money.get("value") if isinstance(money, Mapping) else None
    try:
        return cents(str(value)) if value is not None else None
    except ValueError:
        return None


def _rows(row: object, name: str) -> list[Resource]:
    found = row.get(name) if isinstance(row, Mapping) else None
    return [one for one in found if isinstance(one, Mapping)] if isinstance(found, list) else []
