"""charge_api: our open JSON contract for billers, one POST per treatment day (OpenAPI in charge_api.openapi.json).

The platform answers a repeated `Idempotency-Key` with what it answered first, refuses a second original for a live
reference, and can be asked by our reference, so that every doubt can be settled.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping, Sequence
from typing import Any
from urllib.parse import quote

import orjson

from ptbridge.destinations import DestinationParts
from ptbridge.destinations._charge_answers import Receipt, accepted, acknowledgement, differs, totals
from ptbridge.destinations._charge_document import charge_document, void_document
from ptbridge.destinations._charge_news import answers_of
from ptbridge.errors import OutcomeUnknown, PeerUnavailable
from ptbridge.model import Acknowledgement, Disposition, Frequency, PricedDay, Submission
from ptbridge.ports import AnswerPage, Capabilities, DestinationInfo
from ptbridge.specs.clinic import BillingProviderSpec
from ptbridge.wire.http import HttpClient

INFO = DestinationInfo(
    name="charge_api",
    summary="Posts each treatment day to a biller that speaks ptbridge's open JSON contract.",
    needs=("base_url",),
    options={
        "key_window_hours": "how long the biller remembers an Idempotency-Key (default 23: an hour under the contract's 24)",
        "read_back": "yes: each charge taken is looked up again and compared before it counts (default no)",
        "find_lag_seconds": "how long after taking a charge the biller may still say that it is not there (default 0)",
    },
)

_MEDIA_TYPE = "application/json"
_PAGE = 500
_MAX_PAGES = 10_000  # 5 million charges: past that the biller's paging goes in circles


def build(parts: DestinationParts) -> ChargeApi:
    """A destination for one run (see `ptbridge.destinations`). Raises ConfigError for a missing base URL or a bad option."""
    http = parts.needed_http("the biller's address")
    return ChargeApi(http, parts.billing, _capabilities(parts.options))


def _capabilities(options: Mapping[str, str]) -> Capabilities:
    INFO.refuse_unknown(options)
    return Capabilities(
        idempotency_seconds=INFO.number(options, "key_window_hours", 23) * 3600,
        find=True,
        replace=True,
        void=True,
        find_lag_seconds=INFO.number(options, "find_lag_seconds", 0),
        read_back=INFO.yes(options, "read_back"),
    )


class ChargeApi:
    """One biller that speaks the contract. `close` closes the client."""

    def __init__(self, http: HttpClient, billing: BillingProviderSpec, capabilities: Capabilities) -> None:
        self._http = http
        self._billing = billing
        self._capabilities = capabilities

    @property
    def capabilities(self) -> Capabilities:
        """What the contract promises, after the clinic's options."""
        return self._capabilities

    def encode(self, priced: PricedDay, *, reference: str, frequency: str, original_id: str | None) -> tuple[bytes, str]:
        """The JSON body, fields in the order of the contract; see `_charge_document`."""
        document = charge_document(
            priced, self._billing, reference=reference, frequency=frequency, original_id=original_id, with_others=True
        )
        return orjson.dumps(document), _MEDIA_TYPE

    def encode_void(self, live: bytes, *, reference: str, original_id: str | None) -> tuple[bytes, str]:
        """The contract's void: which charge, of which day."""
        return orjson.dumps(void_document(orjson.loads(live), reference=reference, original_id=original_id)), _MEDIA_TYPE

    async def submit(self, submission: Submission) -> Acknowledgement:
        """POST an original, PUT a replacement, POST a void; the same key and bytes on every repetition."""
        method, path = _target(submission)
        headers = {"content-type": submission.media_type, "accept": _MEDIA_TYPE, "idempotency-key": submission.key}
        try:
            response = await self._http.request(method, path, headers=headers, content=submission.body, retry=False)
        except OutcomeUnknown:
            return Acknowledgement(disposition=Disposition.IN_DOUBT, native_code="lost-answer")
        return acknowledgement(submission, response)

    async def find(self, submission: Submission) -> Acknowledgement | None:
        """The charge under our reference, if what stands there now was made by this submission's key.

        Raises PeerUnavailable when the biller does not say clearly that it is there or not.
        """
        response = await self._http.request("GET", _path(submission.reference), retry=False, expect_json=True)
        answer = response.json_object()
        if response.status == 404 and answer.get("code") == "unknown-reference":
            return None
        if response.status != 200 or answer.get("reference") != submission.reference:
            raise PeerUnavailable(
                f"the biller's look-up answered HTTP {response.status} without a clear yes or no.", status=response.status
            )
        if answer.get("idempotency_key") != submission.key:
            return None
        return accepted(answer) if Receipt.of(submission) == Receipt.read(answer) else differs(answer)

    async def list_references(self, service_dates: tuple[str, str]) -> dict[str, tuple[int, int]] | None:
        """Live charges in that range (both days included): reference -> (units, cents), the sums where it holds two of one."""
        found: dict[str, tuple[int, int]] = {}
        after = ""
        for _ in range(_MAX_PAGES):
            charges, after = await self._page(service_dates, after)
            for charge in charges:
                counted = totals(charge)
                if counted is None:
                    raise PeerUnavailable("the biller's list of charges has one without totals.")
                reference = str(charge["reference"])
                units, cents = found.get(reference, (0, 0))
                found[reference] = (units + counted[1], cents + counted[2])
            if not after:
                return found
        raise PeerUnavailable(f"the biller's list of charges did not end after {_MAX_PAGES} pages.")

    async def _page(self, service_dates: tuple[str, str], after: str) -> tuple[list[dict[str, Any]], str]:
        first, last = service_dates
        params = {"service_date_from": first, "service_date_to": last, "limit": str(_PAGE)}
        response = await self._http.request(
            "GET", "v1/charges", params={**params, "after": after} if after else params, expect_json=True
        )
        answer = response.json_object()
        charges = answer.get("charges")
        if response.status != 200 or not isinstance(charges, list):
            raise PeerUnavailable(f"the biller's list of charges answered HTTP {response.status} without a list.")
        next_after = str(answer.get("next_after") or "")
        if next_after and next_after == after:
            raise PeerUnavailable("the biller's list of charges repeats a page.")
        return charges, next_after

    async def answers(self, cursor: Mapping[str, str]) -> AsyncIterator[AnswerPage]:
        """The biller's feed from where we were. A biller of contract 1.0.0 has none (404): then there is no page."""
        after = cursor.get("after", "")
        for _ in range(_MAX_PAGES):
            params = {"limit": str(_PAGE), **({"after": after} if after else {})}
            response = await self._http.request("GET", "v1/answers", params=params, expect_json=True)
            page = response.json_object()
            if response.status == 404:
                return
            if response.status == 410 and after:
                yield AnswerPage(gap=True)
                after = ""
                continue
            told = answers_of(page, response)
            before, after = after, str(page.get("next_after") or after)
            yield AnswerPage(answers=told, cursor={"after": after} if after else None)
            if not page.get("more") or after == before:
                return
        raise PeerUnavailable(f"the biller's feed of answers did not end after {_MAX_PAGES} pages.")

    async def answers_about(self, references: Sequence[str]) -> AsyncIterator[AnswerPage]:
        """Everything that the biller knows of each of these charges."""
        for reference in references:
            response = await self._http.request("GET", f"{_path(reference)}/answers", expect_json=True)
            page = response.json_object()
            if response.status != 404 or page.get("code") != "unknown-reference":
                yield AnswerPage(answers=answers_of(page, response))

    async def check(self) -> list[str]:
        """Ask for an empty range: needs a connection and our credential, changes nothing."""
        await self._page(("1900-01-01", "1900-01-01"), "")
        return [f"the biller at {self._http.origin} answers and takes our credential"]

    async def close(self) -> None:
        """Close the client."""
        await self._http.close()


# ---------------------------------------------------------------- addresses


def _path(reference: str) -> str:
    return f"v1/charges/{quote(reference, safe='')}"


def _target(submission: Submission) -> tuple[str, str]:
    match submission.frequency:
        case Frequency.ORIGINAL:
            return "POST", "v1/charges"
        case Frequency.REPLACEMENT:
            return "PUT", _path(submission.reference)
        case Frequency.VOID:
            return "POST", f"{_path(submission.reference)}/void"
