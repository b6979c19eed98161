"""What Claim.MD says of claims: the response feed (accepted, rejected, in the payer's hands) and the remittances (ERAs).

The feed tells a claim's status with every message; who says it decides how far the claim is: the payer, when the sender's id
is the payer's, else Claim.MD itself.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping
from typing import Any

from ptbridge.destinations._claim_md_api import rows
from ptbridge.destinations._claim_md_document import line_of, read_remote_id, reference_of_control
from ptbridge.destinations._document import Document
from ptbridge.model import Answer, NativeCode, Stage, Standing
from ptbridge.model.money import cents

ACCEPTED, REJECTED = "A", "R"
_DECIDED = {"P": Standing.PAID, "D": Standing.DENIED, "4": Standing.DENIED, "22": Standing.PENDING}
_PAID = frozenset({"1", "2", "3", "19", "20", "21"})  # X12 CLP02: processed as primary, secondary …
_REVERSED = "22"
_PATIENTS_SHARE = "PR"  # adjustment group: not a denial
# CARC: deductible, coinsurance, copay, another payer's part, above the fee schedule, multiple procedures, sequestration
_NO_DENIAL = frozenset({"1", "2", "3", "23", "45", "59", "253"})


def status_of(row: Mapping[str, Any]) -> str:
    """The claim's status: one letter, or a claim status code of an 835."""
    return str(row.get("status") or "").strip().upper()


def claimmd_id(row: Mapping[str, Any]) -> str | None:
    """Claim.MD's own id of a claim, under the names that it goes by."""
    found = row.get("claimmd_id") or row.get("claimid")
    return str(found) if found else None


def response_id(row: Mapping[str, Any]) -> int:
    """The highest ResponseID in a row of the feed; 0 when it has none."""
    ids = [str(message.get("responseid") or "") for message in rows(row, "messages")]
    return max((int(one) for one in ids if one.isdecimal()), default=0)


def messages(row: Mapping[str, Any]) -> tuple[NativeCode, ...]:
    """Each message with its own id, and the fields that it is about."""
    found = []
    for message in rows(row, "messages"):
        words = ": ".join(filter(None, (str(message.get("fields") or ""), str(message.get("message") or ""))))
        found.append(NativeCode(system="claim_md.message", code=str(message.get("mesgid") or ""), text=words))
    return tuple(found)


def feed_answer(row: Document) -> Answer | None:
    """One row of the feed; None for a claim that is not ours."""
    named = read_remote_id(row.get("remote_claimid"))
    if named is None:
        return None
    status = status_of(row)
    by_payer = bool(row.get("senderid")) and row.get("senderid") == row.get("payerid")
    stage, standing = _place(status, by_payer)
    number = row.get("sender_icn") if by_payer else None
    said = messages(row)
    return Answer(
        key=f"response/{response_id(row) or _digest(row)}",
        stage=stage,
        standing=standing,
        reference=named[0],
        destination_id=claimmd_id(row),
        payer_claim_number=str(number) if number else None,
        codes=(NativeCode(system="claim_md.status", code=status), *said),
        said_at=str(row.get("response_time") or ""),
        text="; ".join(code.text for code in said),
    )


def _place(status: str, by_payer: bool) -> tuple[Stage, Standing]:
    if status in _PAID:
        return Stage.REMITTANCE, Standing.PAID
    if status in _DECIDED:
        return Stage.REMITTANCE, _DECIDED[status]
    stage = Stage.PAYER if by_payer else Stage.CLEARINGHOUSE
    return stage, {ACCEPTED: Standing.ACCEPTED, REJECTED: Standing.REJECTED}.get(status, Standing.PENDING)


# ---------------------------------------------------------------- remittances


def era_answers(era: Document) -> Iterator[Answer]:
    """Each claim of ours in a remittance, then its lines."""
    era_id, paid_on = str(era.get("eraid") or ""), str(era.get("paid_date") or "")
    for place, claim in enumerate(rows(era, "claim"), start=1):
        reference = reference_of_control(str(claim.get("pcn") or ""))
        if reference is None:
            continue
        charges = rows(claim, "charge")
        adjustments = [adjustment for charge in charges for adjustment in rows(charge, "adjustment")]
        adjustments += rows(claim, "adjustment")
        status, paid = str(claim.get("status_code") or ""), _cents(claim.get("total_paid"))
        standing = _decision(status, paid, adjustments)
        key, number = f"era/{era_id}/{place}", claim.get("payer_icn")
        yield Answer(
            key=key,
            stage=Stage.REMITTANCE,
            standing=standing,
            reference=reference,
            payer_claim_number=str(number) if number else None,
            codes=(NativeCode(system="CLP02", code=status), *_carc(adjustments)),
            charged_cents=_cents(claim.get("total_charge")),
            paid_cents=paid,
            adjusted_cents=_sum(adjustments),
            patient_cents=_sum([row for row in adjustments if row.get("group") == _PATIENTS_SHARE]),
            said_at=paid_on,
        )
        if status != _REVERSED:
            yield from (_line(charge, f"{key}/{number}", reference, paid_on) for number, charge in enumerate(charges, start=1))


def _line(charge: Document, key: str, reference: str, paid_on: str) -> Answer:
    adjustments = rows(charge, "adjustment")
    paid = _cents(charge.get("paid"))
    return Answer(
        key=key,
        stage=Stage.REMITTANCE,
        standing=_decision("", paid, adjustments),
        reference=reference,
        line=line_of(charge.get("remote_chgid")),
        procedure=str(charge.get("proc_code") or "") or None,
        codes=_carc(adjustments),
        charged_cents=_cents(charge.get("charge")),
        paid_cents=paid,
        adjusted_cents=_sum(adjustments),
        patient_cents=_sum([row for row in adjustments if row.get("group") == _PATIENTS_SHARE]),
        said_at=paid_on,
    )


def _decision(status: str, paid_cents: int | None, adjustments: list[Document]) -> Standing:
    """Denied: said so, or nothing paid for another reason than the patient's share and the contract."""
    if status == _REVERSED:
        return Standing.PENDING
    other = [row for row in adjustments if str(row.get("code")) not in _NO_DENIAL and (_cents(row.get("amount")) or 0) > 0]
    return Standing.DENIED if status == "4" or (not paid_cents and other) else Standing.PAID


def _carc(adjustments: list[Document]) -> tuple[NativeCode, ...]:
    codes = [f"{row.get('group')}-{row.get('code')}" for row in adjustments]
    return tuple(NativeCode(system="CARC", code=code) for code in dict.fromkeys(codes))


def _sum(adjustments: list[Document]) -> int | None:
    amounts = [_cents(row.get("amount")) for row in adjustments]
    return None if None in amounts else sum(amount for amount in amounts if amount is not None)


def _cents(value: object) -> int | None:
    """An amount of money; None when it is none."""
    try:
        return cents(str(value)) if value is not None else None
    except ValueError:
        return None


def _digest(row: Document) -> str:
    return hashlib.sha256(repr(sorted(row.items())).encode()).hexdigest()[:32]
