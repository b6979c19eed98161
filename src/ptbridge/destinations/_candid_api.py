"""Candid over HTTP: one request and its answer told apart, lists read to their end."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import orjson

from ptbridge.errors import PeerUnavailable
from ptbridge.model import Acknowledgement, Disposition
from ptbridge.wire.http import HttpClient, Response

Params = Sequence[tuple[str, str]]

_JSON = {"content-type": "application/json", "accept": "application/json"}
_BUSY = frozenset({408, 425, 429, 503})
_PAGE = "100"  # the most that events give; the default of the other lists
_MAX_PAGES = 10_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Reply:
    """What a request came to. `document` is what now stands, when it was done; else `refused` says what to answer for it."""

    document: dict[str, Any] = field(default_factory=dict, repr=False)
    refused: Acknowledgement | None = None

    @property
    def error(self) -> str:
        """Candid's name of the error, such as `ChargeExternalIdConflictError`; empty when it was done."""
        return self.refused.native_code if self.refused else ""


class CandidApi:
    """One organization at Candid. `close` closes the client."""

    def __init__(self, http: HttpClient) -> None:
        self._http = http

    @property
    def origin(self) -> str:
        """Where it is, for a person."""
        return str(self._http.origin)

    def wall(self) -> float:
        """Unix seconds, from the client's clock."""
        return self._http.clock.wall()

    def _address(self, path: str) -> str:
        """Absolute: a path would lose its last slash, which is part of one of Candid's addresses."""
        return f"{self._http.base_url}/{path}"

    async def write(self, method: str, path: str, content: bytes | Mapping[str, Any] | None = None) -> Reply:
        """One request that changes something, never repeated. Raises OutcomeUnknown, PeerUnavailable, PeerRefused."""
        body = content if isinstance(content, bytes | None) else orjson.dumps(content)
        response = await self._http.request(method, self._address(path), headers=_JSON, content=body, retry=False)
        return read(response)

    async def get(self, path: str, params: Params = ()) -> dict[str, Any] | None:
        """What stands at an address; None for 404. Raises PeerUnavailable when that cannot be told."""
        response = await self._http.request(
            "GET", self._address(path), params=params, headers=_JSON, retry=False, expect_json=True
        )
        if response.status == 404 and _error_name(response):
            return None
        document = response.json_object()
        if response.status != 200 or not document:
            raise PeerUnavailable(f"Candid answered HTTP {response.status} to GET {path}.", status=response.status)
        return document

    async def pages(self, path: str, params: Params) -> AsyncIterator[list[dict[str, Any]]]:
        """The items of a list, page by page. Raises PeerUnavailable when a page is missing or the list does not end."""
        token, seen = "", set[str]()
        for _ in range(_MAX_PAGES):
            asked = [("limit", _PAGE), *params, *([("page_token", token)] if token else [])]
            page = await self.get(path, asked) or {}
            items = page.get("items")
            if not isinstance(items, list) or not all(isinstance(item, dict) for item in items):
                raise PeerUnavailable(f"Candid's list at {path} is none.")
            yield items
            token = str(page.get("next_page_token") or "")
            if not token:
                return
            if token in seen:
                raise PeerUnavailable(f"Candid's list at {path} repeats a page.")
            seen.add(token)
        raise PeerUnavailable(f"Candid's list at {path} did not end after {_MAX_PAGES} pages.")

    async def close(self) -> None:
        """Close the client."""
        await self._http.close()


def read(response: Response) -> Reply:
    """An answer to a change. Done: 2xx with an object. Not taken: busy, or an error that Candid names. Else nobody knows."""
    document = response.json_object()
    name = _error_name(response)
    if 200 <= response.status < 300:
        emptied = response.status == 204 or not response.content.strip()
        return Reply(document=document) if document or emptied else _refused(Disposition.IN_DOUBT, "mismatched-answer")
    if response.status in _BUSY:
        return _refused(Disposition.RETRY, name or str(response.status), retry_after_seconds=response.retry_after_seconds)
    if 400 <= response.status < 500 and name:
        return _refused(Disposition.REJECTED, name, native_text=_words(document.get("content")))
    return _refused(Disposition.IN_DOUBT, name or str(response.status))


def rejected(code: str, text: str) -> Acknowledgement:
    """A person decides: ours are the words, as Candid says nothing of it."""
    return Acknowledgement(disposition=Disposition.REJECTED, native_code=code, native_text=text)


def _refused(disposition: Disposition, code: str, **more: Any) -> Reply:
    return Reply(refused=Acknowledgement(disposition=disposition, native_code=code, **more))


def _error_name(response: Response) -> str:
    return str(response.json_object().get("errorName") or "")


def _words(content: Any) -> str:
    """Candid's own words: a message, or a list of fields each with one."""
    if isinstance(content, list):
        return "; ".join(filter(None, (_words(item) for item in content)))
    if not isinstance(content, dict):
        return ""
    place = str(content.get("fieldName") or "")
    said = str(content.get("humanReadableMessage") or content.get("message") or "")
    return ": ".join(filter(None, (place, said)))
