"""What the pretend Stedi says: its edits of a claim, 277CA reports and remittances, in the shapes that Stedi's have."""

from __future__ import annotations

from decimal import Decimal
from typing import Any, Protocol

Document = dict[str, Any]

_TOP = "usageIndicator tradingPartnerServiceId submitter receiver subscriber billing claimInformation"
_INFORMATION = (
    "claimFilingCode claimChargeAmount placeOfServiceCode claimFrequencyCode signatureIndicator planParticipationCode "
    "benefitsAssignmentCertificationIndicator releaseInformationCode patientControlNumber "
    "healthCareCodeInformation serviceLines"
)
_WORDS = {"19": "accepted by the clearinghouse", "20": "Accepted for processing.", "164": "Entity's contract/member number."}


class Taken(Protocol):
    """A claim as the server keeps it."""

    id: str
    icn: str

    @property
    def control(self) -> str: ...

    @property
    def information(self) -> Document: ...


def wrong_with(body: Document) -> tuple[str, str] | None:
    """The first edit that a claim fails: field and words."""
    information = body.get("claimInformation") or {}
    missing = [name for name in _TOP.split() if not body.get(name)]
    missing += [name for name in _INFORMATION.split() if not information.get(name)]
    if missing:
        return missing[0], "is required"
    lines = information["serviceLines"]
    amounts = [Decimal(line["professionalService"]["lineItemChargeAmount"]) for line in lines]
    if sum(amounts) != Decimal(information["claimChargeAmount"]):
        return "claimChargeAmount", "is not the sum of the lines"
    if any(amount <= 0 for amount in amounts):
        return "lineItemChargeAmount", "is zero"
    numbers = [line["providerControlNumber"] for line in lines]
    if len(set(numbers)) != len(numbers) or max(map(len, numbers)) > 30 or len(information["patientControlNumber"]) > 20:
        return "providerControlNumber", "not unique, or too long"
    return _wrong_pointers(information, lines) or _wrong_billing(body["billing"])


def _wrong_pointers(information: Document, lines: list[Document]) -> tuple[str, str] | None:
    codes = [row["diagnosisCode"] for row in information["healthCareCodeInformation"]]
    if len(set(codes)) != len(codes) or any("." in code for code in codes):
        return "healthCareCodeInformation", "a diagnosis twice, or with a dot"
    for line in lines:
        pointers = line["professionalService"]["compositeDiagnosisCodePointers"]["diagnosisCodePointers"]
        if not 1 <= len(pointers) <= 4 or any(not isinstance(at, str) or not 1 <= int(at) <= len(codes) for at in pointers):
            return "diagnosisCodePointers", "points past the diagnoses, or is no text"
    return None


def _wrong_billing(billing: Document) -> tuple[str, str] | None:
    if ("employerId" in billing) == ("ssn" in billing):
        return "billing", "has one of employerId and ssn"
    return None


def report_277(claim: Taken, statuses: list[tuple[str, str]], *, by_payer: bool) -> Document:
    """A 277CA about one claim, in the shape of the 277CA report."""
    information = claim.information
    source = ("PR", "Payer", "PAYER") if by_payer else ("AY", "Clearinghouse", "STEDI INC")
    told = {
        "statusInformationEffectiveDate": "20261103",
        "statusInformationActionCode": "U" if statuses[-1][0] in ("A3", "A6", "A7", "A8") else "WQ",
        "totalClaimChargeAmount": information["claimChargeAmount"],
        "informationStatuses": [
            {"healthCareClaimStatusCategoryCode": category, "statusCode": code, "statusCodeValue": _WORDS.get(code, code)}
            for category, code in statuses
        ],
    }
    status = {
        "patientAccountNumber": claim.control,
        "referencedTransactionTraceNumber": claim.control,
        "clearinghouseTraceNumber": claim.id,
        "claimServiceDate": information["serviceLines"][0]["serviceDate"],
        "informationClaimStatuses": [told],
        **({"tradingPartnerClaimNumber": claim.icn} if by_payer and claim.icn else {}),
    }
    patients = [{"claims": [{"claimStatus": status}]}]
    payer = {
        "entityIdentifierCode": source[0],
        "entityIdentifierCodeValue": source[1],
        "organizationName": source[2],
        "claimStatusTransactions": [{"claimStatusDetails": [{"patientClaimStatusDetails": patients}]}],
    }
    return {"meta": {"applicationMode": "test"}, "transactions": [{"payers": [payer]}]}


def remittance(claim: Taken, lines: list[Document], status_code: str) -> Document:
    """An 835 about one claim, in the shape of the 835 report."""
    sent = claim.information["serviceLines"]
    rows = [_paid_line(line, said) for line, said in zip(sent, lines, strict=True)]
    paid = sum((Decimal(str(said["paid"])) for said in lines), Decimal())
    patient = sum((Decimal(str(row[2])) for said in lines for row in said.get("adjustments", ()) if row[0] == "PR"), Decimal())
    payment = {
        "claimPaymentInfo": {
            "patientControlNumber": claim.control,
            "claimStatusCode": status_code,
            "totalClaimChargeAmount": claim.information["claimChargeAmount"],
            "claimPaymentAmount": str(paid),
            "patientResponsibilityAmount": str(patient),
            "payerClaimControlNumber": claim.icn,
        },
        "serviceLines": rows,
    }
    return {"transactions": [{"productionDate": "20261120", "detailInfo": [{"paymentInfo": [payment]}]}]}


def _paid_line(line: Document, said: Document) -> Document:
    service = line["professionalService"]
    adjustments: dict[str, Document] = {}
    for group, reason, amount in said.get("adjustments", ()):
        row = adjustments.setdefault(group, {"claimAdjustmentGroupCode": group})
        number = sum(name.startswith("adjustmentReasonCode") for name in row) + 1
        row.update({f"adjustmentReasonCode{number}": reason, f"adjustmentAmount{number}": str(amount)})
    return {
        "serviceDate": line["serviceDate"],
        "lineItemControlNumber": line["providerControlNumber"],
        "servicePaymentInformation": {
            "adjudicatedProcedureCode": service["procedureCode"],
            "lineItemChargeAmount": service["lineItemChargeAmount"],
            "lineItemProviderPaymentAmount": str(said["paid"]),
        },
        "serviceAdjustments": list(adjustments.values()),
        "healthCareCheckRemarkCodes": [{"remarkCode": code} for code in said.get("remarks", ())],
    }


def denied(line: Document) -> Document:
    """What `pay` is told of a line that is not paid at all."""
    return {"paid": "0.00", "adjustments": [("CO", "97", line["professionalService"]["lineItemChargeAmount"])]}
