"""What Stedi says of claims: 277CA and 835 reports in its JSON, which keeps the shape of Change Healthcare's.

277CA, payers[].entityIdentifierCode AY    the clearinghouse checked it; any other: the payer took it or turned it away
status category A3, A6, A7, A8, or WQ `U`  turned away; as a duplicate (54, 78): they have it, so it counts as denied
835                                        decided: paid, denied, or taken back (claim status 22), claim and line
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from ptbridge.destinations._stedi_document import ControlNumber, line_place
from ptbridge.model import Answer, NativeCode, Stage, Standing
from ptbridge.model.money import cents

Document = Mapping[str, Any]

_REJECTING = frozenset({"A3", "A6", "A7", "A8"})  # X12 claim status category codes (list 507)
_UNSETTLED = frozenset({"A4", "A5"})  # not found; split
_HAVE_IT = frozenset({"54", "78"})  # claim status codes (list 508): a duplicate
_CLEARINGHOUSE = ("AY", "Clearinghouse")
_REVERSED = "22"  # CLP02
_PATIENTS_SHARE = "PR"
# CARC that lower a payment and deny nothing (billing rules, 6.3).
_NO_DENIAL = frozenset({"1", "2", "3", "23", "45", "59", "253"})


@dataclass(frozen=True, slots=True, kw_only=True)
class ClaimWord:
    """What a 277CA says of one claim of ours. `claim_id` is the clearinghouse's own; empty when it is not told."""

    control: str
    claim_id: str
    by_payer: bool
    standing: Standing
    service_date: str  # 2026-11-02; empty when it does not say
    amount_cents: int | None
    answers: tuple[Answer, ...]


def unreadable(kind: str, transaction_id: str) -> Answer:
    """A report that cannot be read: news about nothing that we sent, until a person has looked."""
    return Answer(
        key=f"{kind}/{transaction_id}/unreadable",
        stage=Stage.RECEIVED,
        standing=Standing.PENDING,
        codes=(NativeCode(system="stedi", code="unreadable-report"),),
        text=f"transaction {transaction_id} ({kind}) has no report that can be read. Look at it in Stedi's portal.",
    )


# ---------------------------------------------------------------- 277CA


def words_277(report: Document, transaction_id: str, said_at: str) -> Iterator[ClaimWord]:
    """Each claim of ours in a 277CA."""
    place = 0
    for transaction in _rows(report, "transactions"):
        for payer in _rows(transaction, "payers"):
            by_payer = not {payer.get("entityIdentifierCode"), payer.get("entityIdentifierCodeValue")} & set(_CLEARINGHOUSE)
            for claim in _claims_of(payer):
                place += 1
                word = _word(claim, by_payer, f"277/{transaction_id}/{place}", said_at)
                if word is not None:
                    yield word


def still_there(words: Sequence[ClaimWord], made: Mapping[str, int]) -> Counter[str]:
    """How many claims of each control number stand: as many as the clearinghouse's ids that these tell, or the 837s that were
    `made` of it, at least one; less those that were turned away."""
    told: dict[str, set[str]] = {}
    gone: dict[str, set[str]] = {}
    for word in words:
        ids = told.setdefault(word.control, set())
        if word.claim_id and not word.by_payer:
            ids.add(word.claim_id)
        if word.standing is Standing.REJECTED:
            gone.setdefault(word.control, set()).add(word.claim_id or word.answers[0].key)
    return Counter(
        {control: max(1, len(ids), made.get(control, 0)) - len(gone.get(control, ())) for control, ids in told.items()}
    )


def _claims_of(payer: Document) -> Iterator[Document]:
    for told in _rows(payer, "claimStatusTransactions"):
        for detail in _rows(told, "claimStatusDetails"):
            for patient in _rows(detail, "patientClaimStatusDetails"):
                yield from _rows(patient, "claims")


def _word(claim: Document, by_payer: bool, key: str, said_at: str) -> ClaimWord | None:
    status = claim.get("claimStatus") or {}
    control = str(status.get("patientAccountNumber") or status.get("referencedTransactionTraceNumber") or "").strip()
    named = ControlNumber.read(control)
    if named is None:
        return None
    told = _rows(status, "informationClaimStatuses")
    lines = [(line, _rows(line, "serviceClaimStatuses")) for line in _rows(claim, "serviceLines")]
    every = [*told, *(one for _, rows in lines for one in rows)]
    standing = _door_standing(every)
    number = status.get("tradingPartnerClaimNumber") if by_payer else None
    whole = Answer(
        key=key,
        stage=Stage.PAYER if by_payer else Stage.CLEARINGHOUSE,
        standing=standing,
        reference=named.day,
        destination_id=control.upper(),
        payer_claim_number=str(number) if number else None,
        codes=_status_codes(told or every),
        said_at=_day(_first(every, "statusInformationEffectiveDate")) or said_at,
        text="; ".join(dict.fromkeys(_status_texts(every))),
    )
    of_lines = (_line_at_the_door(line, rows, whole) for line, rows in lines)
    return ClaimWord(
        control=control.upper(),
        claim_id=str(status.get("clearinghouseTraceNumber") or ""),
        by_payer=by_payer,
        standing=standing,
        service_date=_day(status.get("claimServiceDate") or status.get("claimServiceBeginDate")),
        amount_cents=_cents(_first(told, "totalClaimChargeAmount")),
        answers=(whole, *(one for one in of_lines if one)),
    )


def _line_at_the_door(line: Document, rows: list[Document], whole: Answer) -> Answer | None:
    service = line.get("service") or {}
    place = line_place(line.get("lineItemControlNumber") or service.get("lineItemControlNumber"))
    if place is None or not any(_rejects(row) for row in rows):
        return None
    return Answer(
        key=f"{whole.key}/{place}",
        stage=whole.stage,
        standing=_door_standing(rows),
        reference=whole.reference,
        destination_id=whole.destination_id,
        line=place,
        procedure=str(service.get("procedureCode") or "") or None,
        codes=_status_codes(rows),
        said_at=whole.said_at,
        text="; ".join(_status_texts(rows)),
    )


def _statuses(row: Document) -> list[Document]:
    return [*_rows(row, "informationStatuses"), *_rows(row, "serviceStatuses")]


def _category(status: Document) -> str:
    return str(status.get("healthCareClaimStatusCategoryCode") or "")


def _rejects(row: Document) -> bool:
    """STC03, where it is told; else the category."""
    action = str(row.get("statusInformationActionCode") or "")
    return action == "U" or (action != "WQ" and any(_category(one) in _REJECTING for one in _statuses(row)))


def _door_standing(rows: list[Document]) -> Standing:
    refused = [row for row in rows if _rejects(row)]
    if any(str(one.get("statusCode")) in _HAVE_IT for row in refused for one in _statuses(row)):
        return Standing.DENIED
    if refused:
        return Standing.REJECTED
    unsettled = any(_category(one) in _UNSETTLED for row in rows for one in _statuses(row))
    return Standing.PENDING if unsettled or not rows else Standing.ACCEPTED


def _status_codes(rows: list[Document]) -> tuple[NativeCode, ...]:
    """`A7:164:IL`: category, status, and whom it is about."""
    found = []
    for status in (one for row in rows for one in _statuses(row)):
        parts = (_category(status), str(status.get("statusCode") or ""), str(status.get("entityIdentifierCode") or ""))
        found.append(":".join(parts).rstrip(":"))
    return tuple(NativeCode(system="277CA", code=code) for code in dict.fromkeys(found) if code)


def _status_texts(rows: list[Document]) -> Iterator[str]:
    for row in rows:
        said = [row.get("statusMessage"), row.get("message"), *(one.get("statusCodeValue") for one in _statuses(row))]
        yield from (str(text) for text in said if text)


# ---------------------------------------------------------------- 835


def answers_835(report: Document, transaction_id: str, said_at: str) -> Iterator[Answer]:
    """Each claim of ours in a remittance, then its lines."""
    place = 0
    for transaction in _rows(report, "transactions"):
        paid_on = _day(transaction.get("productionDate")) or said_at
        for detail in _rows(transaction, "detailInfo"):
            for payment in _rows(detail, "paymentInfo"):
                place += 1
                yield from _payment(payment, f"835/{transaction_id}/{place}", paid_on)


def _payment(payment: Document, key: str, paid_on: str) -> Iterator[Answer]:
    claim = payment.get("claimPaymentInfo") or {}
    control = str(claim.get("patientControlNumber") or "").strip().upper()
    named = ControlNumber.read(control)
    if named is None:
        return
    lines = _rows(payment, "serviceLines")
    adjustments = [*_adjustments(payment, "claimAdjustments"), *_adjustments(claim, "claimAdjustments")]
    adjustments += [one for line in lines for one in _adjustments(line, "serviceAdjustments")]
    status, paid = str(claim.get("claimStatusCode") or ""), _cents(claim.get("claimPaymentAmount"))
    number = claim.get("payerClaimControlNumber")
    remarks = [remark for line in lines for remark in _remarks(line)]
    patient = _cents(claim.get("patientResponsibilityAmount"))
    yield Answer(
        key=key,
        stage=Stage.REMITTANCE,
        standing=_decision(status, paid, adjustments),
        reference=named.day,
        destination_id=control,
        payer_claim_number=str(number) if number else None,
        codes=(NativeCode(system="835", code=f"CLP02:{status}"), *_carc(adjustments), *_rarc(remarks)),
        charged_cents=_cents(claim.get("totalClaimChargeAmount")),
        paid_cents=paid,
        adjusted_cents=_sum(adjustments),
        patient_cents=_patients(adjustments) if patient is None else patient,
        said_at=paid_on,
    )
    if status != _REVERSED:
        yield from (one for line in lines if (one := _line_payment(line, key, control, named.day, paid_on)))


def _line_payment(line: Document, key: str, control: str, reference: str, paid_on: str) -> Answer | None:
    place = line_place(line.get("lineItemControlNumber"))
    if place is None:
        return None
    service, adjustments = line.get("servicePaymentInformation") or {}, _adjustments(line, "serviceAdjustments")
    paid = _cents(service.get("lineItemProviderPaymentAmount"))
    return Answer(
        key=f"{key}/{place}",
        stage=Stage.REMITTANCE,
        standing=_decision("", paid, adjustments),
        reference=reference,
        destination_id=control,
        line=place,
        procedure=str(service.get("adjudicatedProcedureCode") or "") or None,
        codes=(*_carc(adjustments), *_rarc(_remarks(line))),
        charged_cents=_cents(service.get("lineItemChargeAmount")),
        paid_cents=paid,
        adjusted_cents=_sum(adjustments),
        patient_cents=_patients(adjustments),
        said_at=paid_on,
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class _Adjustment:
    """One reason of a CAS segment. `cents` None: the amount cannot be read."""

    group: str
    reason: str
    cents: int | None


def _adjustments(row: Document, name: str) -> list[_Adjustment]:
    """`adjustmentReasonCode1` to `6` with their amounts; Stedi leaves the numbers of the segment's empty places out."""
    found = []
    for told in _rows(row, name):
        for number in range(1, 7):
            reason = told.get(f"adjustmentReasonCode{number}")
            if reason:
                amount = _cents(told.get(f"adjustmentAmount{number}"))
                found.append(_Adjustment(group=str(told.get("claimAdjustmentGroupCode")), reason=str(reason), cents=amount))
    return found


def _decision(status: str, paid_cents: int | None, adjustments: list[_Adjustment]) -> Standing:
    """Denied: said so, or nothing paid for another reason than the patient's share and the contract."""
    if status == _REVERSED:
        return Standing.PENDING
    other = [one for one in adjustments if one.reason not in _NO_DENIAL and (one.cents or 0) > 0]
    return Standing.DENIED if status == "4" or (not paid_cents and other) else Standing.PAID


def _carc(adjustments: list[_Adjustment]) -> tuple[NativeCode, ...]:
    codes = dict.fromkeys(f"{one.group}-{one.reason}" for one in adjustments)
    return tuple(NativeCode(system="CARC", code=code) for code in codes)


def _remarks(line: Document) -> list[str]:
    return [str(row["remarkCode"]) for row in _rows(line, "healthCareCheckRemarkCodes") if row.get("remarkCode")]


def _rarc(remarks: list[str]) -> tuple[NativeCode, ...]:
    return tuple(NativeCode(system="RARC", code=code) for code in dict.fromkeys(remarks))


def _sum(adjustments: list[_Adjustment]) -> int | None:
    amounts = [one.cents for one in adjustments]
    return None if None in amounts else sum(amount for amount in amounts if amount is not None)


def _patients(adjustments: list[_Adjustment]) -> int | None:
    return _sum([one for one in adjustments if one.group == _PATIENTS_SHARE])


# ---------------------------------------------------------------- reading


def _rows(row: object, name: str) -> list[Document]:
    found = row.get(name) if isinstance(row, Mapping) else None
    return [one for one in found if isinstance(one, Mapping)] if isinstance(found, list) else []


def _first(rows: list[Document], name: str) -> Any:
    return next((row[name] for row in rows if row.get(name)), None)


def _cents(value: object) -> int | None:
    try:
        return cents(str(value)) if value is not None else None
    except ValueError:
        return None


def _day(value: object) -> str:
    """`20261102` as `2026-11-02`; anything else as nothing."""
    text = str(value or "")
    return f"{text[:4]}-{text[4:6]}-{text[6:]}" if len(text) == 8 and text.isdecimal() else ""
