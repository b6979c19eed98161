"""What a biller tells later about a charge: the reading side of the charge_api contract's `Answer`."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from typing import Any

import orjson

from ptbridge.errors import PeerUnavailable
from ptbridge.model import Answer, NativeCode, Stage, Standing
from ptbridge.wire.http import Response


def answers_of(document: Mapping[str, Any], response: Response) -> tuple[Answer, ...]:
    """The answers of a page. Raises PeerUnavailable for what is no page of answers."""
    given = document.get("answers")
    if response.status != 200 or not isinstance(given, list):
        raise PeerUnavailable(
            f"the biller's feed of answers gave HTTP {response.status} without a list.", status=response.status
        )
    return tuple(_answer(one) for one in given if isinstance(one, dict))


def _answer(given: Mapping[str, Any]) -> Answer:
    """One answer. A stage or standing that the contract does not know is kept word for word among the codes, and pending."""
    stage, standing = _word(Stage, given.get("stage")), _word(Standing, given.get("standing"))
    codes = [
        NativeCode(system=str(code.get("system") or "charge_api"), code=str(code["code"]), text=str(code.get("text") or ""))
        for code in given.get("codes") or ()
        if isinstance(code, dict) and code.get("code") is not None
    ]
    for name, known in (("stage", stage), ("standing", standing)):
        if known is None:
            codes.append(NativeCode(system=f"charge_api.{name}", code=str(given.get(name))))
    return Answer(
        key=_text(given, "id") or hashlib.sha256(orjson.dumps(given, option=orjson.OPT_SORT_KEYS)).hexdigest(),
        stage=stage or Stage.RECEIVED,
        standing=(standing if stage else None) or Standing.PENDING,
        reference=_text(given, "reference"),
        destination_id=_text(given, "charge_id"),
        submission_key=_text(given, "idempotency_key"),
        payer_claim_number=_text(given, "payer_claim_number"),
        line=_number(given, "line"),
        procedure=_text(given, "procedure"),
        codes=tuple(codes),
        charged_cents=_number(given, "charged_cents"),
        paid_cents=_number(given, "paid_cents"),
        adjusted_cents=_number(given, "adjusted_cents"),
        patient_cents=_number(given, "patient_cents"),
        said_at=_text(given, "said_at") or "",
        text=_text(given, "text") or "",
    )


def _word(words: type[Stage] | type[Standing], value: object) -> Any:
    return words(value) if isinstance(value, str) and value in list(words) else None


def _text(given: Mapping[str, Any], name: str) -> str | None:
    value = given.get(name)
    return str(value) if isinstance(value, (str, int)) and value != "" else None


def _number(given: Mapping[str, Any], name: str) -> int | None:
    """A whole number; anything else is absent, never rounded."""
    value = given.get(name)
    return value if isinstance(value, int) and not isinstance(value, bool) else None
