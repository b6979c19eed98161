"""Stedi over HTTP: the claims API at one address, the list of transactions at another, one API key for both."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from ptbridge.destinations._document import Document
from ptbridge.errors import PeerUnavailable
from ptbridge.wire.http import HttpClient, Response

_SUBMISSION = "change/medicalnetwork/professionalclaims/v3/submission"
_REPORT = "change/medicalnetwork/reports/v2"
_PAGE_SIZE = 100
_MAX_PAGES = 10_000
_AT_ONCE = 8
_TOKEN_REFUSED = frozenset({400, 404, 410})


@dataclass(frozen=True, slots=True, kw_only=True)
class Transaction:
    """One transaction as Stedi lists it: `kind` is 837, 277 or 835; `control_numbers` are its business identifiers."""

    id: str
    kind: str
    inbound: bool
    status: str
    mode: str
    processed_at: str
    identifiers: frozenset[str] = field(repr=False)

    @classmethod
    def read(cls, item: Mapping[str, Any]) -> Transaction:
        """From an item of a list; a field that is not there is empty."""
        x12 = item.get("x12") or {}
        kind = ((x12.get("metadata") or {}).get("transaction") or {}).get("transactionSetIdentifier")
        named = [row.get("value") for row in item.get("businessIdentifiers") or [] if isinstance(row, dict)]
        return cls(
            id=str(item.get("transactionId") or ""),
            kind=str(kind or x12.get("transactionSetIdentifier") or ""),
            inbound=item.get("direction") == "INBOUND",
            status=str(item.get("status") or ""),
            mode=str(item.get("mode") or ""),
            processed_at=str(item.get("processedAt") or ""),
            identifiers=frozenset(str(value) for value in named if value),
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class TransactionPage:
    """Some transactions, and the token that continues after them."""

    items: tuple[Transaction, ...]
    token: str


class TokenRefused(Exception):
    """Stedi does not know this page token (any more)."""


class StediApi:
    """One account at Stedi. `core` lists transactions; it may be the same client. `close` closes both."""

    def __init__(self, http: HttpClient, core: HttpClient) -> None:
        self._http, self._core = http, core

    @property
    def origin(self) -> str:
        """Where claims go, for a person."""
        return str(self._http.origin)

    async def submit(self, content: bytes, key: str) -> Response:
        """One claim, sent once. Raises OutcomeUnknown, PeerUnavailable, PeerRefused."""
        headers = {"content-type": "application/json", "accept": "application/json", "idempotency-key": key}
        return await self._http.request("POST", _SUBMISSION, headers=headers, content=content, retry=False)

    async def report(self, transaction: Transaction) -> Document:
        """A 277CA or an 835 as JSON; empty when Stedi has none that can be read. Raises PeerUnavailable."""
        response = await self._http.request("GET", f"{_REPORT}/{transaction.id}/{transaction.kind}", expect_json=True)
        return response.json_object() if response.status == 200 else {}

    async def reports(self, transactions: list[Transaction]) -> list[Document]:
        """Several, in order, a few at once."""
        found: list[Document] = []
        for at in range(0, len(transactions), _AT_ONCE):
            found += await asyncio.gather(*(self.report(one) for one in transactions[at : at + _AT_ONCE]))
        return found

    async def polled(self, token: str, since: str) -> AsyncIterator[TransactionPage]:
        """What was processed after a token (or a moment, without one), oldest first, up to now. The last page may be empty.

        Raises TokenRefused when Stedi does not take the token.
        """
        for _ in range(_MAX_PAGES):
            asked = {"pageToken": token} if token else {"startDateTime": since}
            response = await self._ask("polling/transactions", asked)
            if token and response.status in _TOKEN_REFUSED:
                raise TokenRefused
            page = _page(response, "the poll of transactions")
            if page.items or page.token:
                yield page
            if not page.items:
                return
            if not page.token or page.token == token:
                raise PeerUnavailable("Stedi's poll of transactions repeats a page.")
            token = page.token
        raise PeerUnavailable(f"Stedi's poll of transactions did not end after {_MAX_PAGES} pages.")

    async def listed(self, wanted: Mapping[str, str]) -> AsyncIterator[list[Transaction]]:
        """Transactions that fit, newest first. Raises PeerUnavailable without a clear answer."""
        token = ""
        for _ in range(_MAX_PAGES):
            asked = {**wanted, "pageToken": token} if token else wanted
            page = _page(await self._ask("transactions", asked), "the list of transactions")
            yield list(page.items)
            if not page.token:
                return
            if page.token == token:
                break
            token = page.token
        raise PeerUnavailable("Stedi's list of transactions does not end.")

    async def _ask(self, path: str, wanted: Mapping[str, str]) -> Response:
        params = {**wanted, "pageSize": str(_PAGE_SIZE)}
        return await self._core.request("GET", path, params=params, expect_json=True)

    async def close(self) -> None:
        """Close the clients."""
        if self._core is not self._http:
            await self._core.close()
        await self._http.close()


def _page(response: Response, what: str) -> TransactionPage:
    answer = response.json_object()
    items = answer.get("items")
    if response.status != 200 or not isinstance(items, list):
        raise PeerUnavailable(f"Stedi answered {what} with HTTP {response.status} and no list.", status=response.status)
    found = tuple(Transaction.read(item) for item in items if isinstance(item, dict))
    return TransactionPage(items=found, token=str(answer.get("nextPageToken") or ""))
