"""What a biller's answer to a charge means: the reading side of the charge_api contract."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import orjson

from ptbridge.model import Acknowledgement, Disposition, Frequency, Submission
from ptbridge.wire.http import Response

_BUSY = frozenset({408, 425, 429, 503})


@dataclass(frozen=True, slots=True, kw_only=True)
class Receipt:
    """What an answer must say to count as accepted: our charge, this one, whole. A bare yes is nothing (field notes, 13)."""

    reference: str
    key: str
    status: str
    totals: tuple[int, int, int] | None  # lines, units, cents; None for a void

    @classmethod
    def of(cls, submission: Submission) -> Receipt:
        """What we sent, read from the very bytes."""
        sent = orjson.loads(submission.body)
        void = submission.frequency is Frequency.VOID
        return cls(
            reference=submission.reference,
            key=submission.key,
            status="void" if void else "live",
            totals=None if void else totals(sent),
        )

    @classmethod
    def read(cls, answer: Mapping[str, Any]) -> Receipt:
        """What the biller says it has."""
        void = answer.get("status") == "void"
        return cls(
            reference=str(answer.get("reference")),
            key=str(answer.get("idempotency_key")),
            status=str(answer.get("status")),
            totals=None if void else totals(answer),
        )


def totals(document: Mapping[str, Any]) -> tuple[int, int, int] | None:
    """Lines, units and cents of a charge; None when it does not say all three as whole numbers."""
    given = document.get("totals")
    if not isinstance(given, dict):
        return None
    lines, units, amount_cents = (given.get(name) for name in ("lines", "units", "amount_cents"))
    if not (isinstance(lines, int) and isinstance(units, int) and isinstance(amount_cents, int)):
        return None
    return lines, units, amount_cents


def acknowledgement(submission: Submission, response: Response) -> Acknowledgement:
    """Translate one answer to a submission. Whatever is not clearly one of the contract's answers is in doubt.

    200 and 201 with our reference and totals: accepted. 409 `in-progress`: retry. 409 `reference-exists` holding our own
    key, or a void of what was taken back before: accepted. Other 4xx in the contract's problem shape: rejected. 408 425 429
    503: not taken, retry. Everything else, a 500 or 504 above all, may have been taken.
    """
    answer = response.json_object()
    code = str(answer.get("code") or response.status)
    if response.status in (200, 201):
        ours = Receipt.of(submission) == Receipt.read(answer)
        return accepted(answer) if ours else _doubt("mismatched-answer")
    if response.status in _BUSY:
        return _retry(code, response)
    if response.status == 409:
        return _conflict(submission, answer, code, response)
    if 400 <= response.status < 500 and answer.get("code"):
        return Acknowledgement(disposition=Disposition.REJECTED, native_code=code, native_text=_words(answer))
    return _doubt(str(response.status))


def _conflict(submission: Submission, answer: Mapping[str, Any], code: str, response: Response) -> Acknowledgement:
    if code == "in-progress":
        return _retry(code, response)
    standing = answer.get("charge")
    if isinstance(standing, dict) and standing.get("idempotency_key") == submission.key:
        return accepted(standing) if Receipt.of(submission) == Receipt.read(standing) else differs(standing)
    if isinstance(standing, dict) and _taken_back(submission, standing):
        return accepted(standing)
    if answer.get("code"):
        return Acknowledgement(disposition=Disposition.REJECTED, native_code=code, native_text=_words(answer))
    return _doubt(code)


def _taken_back(submission: Submission, standing: Mapping[str, Any]) -> bool:
    """A void whose charge was taken back before, by a run that a restored ledger has forgotten: nothing is left to do."""
    ours = standing.get("reference") == submission.reference
    return ours and submission.frequency is Frequency.VOID and standing.get("status") == "void"


def accepted(charge: Mapping[str, Any]) -> Acknowledgement:
    """The biller has it."""
    return Acknowledgement(
        disposition=Disposition.ACCEPTED,
        destination_id=str(charge["id"]) if charge.get("id") is not None else None,
        native_code=str(charge.get("status")),
    )


def differs(charge: Mapping[str, Any]) -> Acknowledgement:
    """It stands there under our key with other totals: no resend mends that, a person must look."""
    text = "the charge stands at the biller under our key with other totals than we sent"
    return Acknowledgement(disposition=Disposition.REJECTED, native_code="totals-differ", native_text=text)


def _retry(code: str, response: Response) -> Acknowledgement:
    return Acknowledgement(disposition=Disposition.RETRY, native_code=code, retry_after_seconds=response.retry_after_seconds)


def _doubt(code: str) -> Acknowledgement:
    return Acknowledgement(disposition=Disposition.IN_DOUBT, native_code=code)


def _words(problem: Mapping[str, Any]) -> str:
    """The biller's own words (RFC 9457 `detail`), with the places they are about."""
    errors = problem.get("errors")
    places = (
        [f"{error.get('where')}: {error.get('message')}" for error in errors if isinstance(error, dict)]
        if isinstance(errors, list)
        else []
    )
    return "; ".join([str(problem.get("detail") or problem.get("title") or ""), *places]).strip("; ")
