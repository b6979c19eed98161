"""Claim.MD over HTTP: forms with the account key, answers in JSON, and the response feed read to its end.

Claim.MD writes a list of one as the thing itself, wraps some answers in `result`, and quotes its numbers or does not.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlencode

from ptbridge.destinations._document import Document
from ptbridge.errors import OutcomeUnknown, PeerRefused, PeerUnavailable
from ptbridge.wire.http import HttpClient, Response

_MAX_PAGES = 10_000


@dataclass(frozen=True, slots=True, kw_only=True)
class FeedPage:
    """Some claims' news, oldest first, and the cursor after it."""

    claims: list[Document] = field(repr=False)
    last_id: str


class ClaimMdApi:
    """One account at Claim.MD. `close` closes the client."""

    def __init__(self, http: HttpClient) -> None:
        self._http = http

    @property
    def origin(self) -> str:
        """Where it is, for a person."""
        return str(self._http.origin)

    def _address(self, service: str) -> str:
        """Absolute: a path would lose its last slash, which is part of Claim.MD's addresses."""
        return f"{self._http.base_url}/services/{service}/"

    async def upload(self, content: bytes, name: str) -> Response:
        """One file of one claim, sent once. Raises OutcomeUnknown, PeerUnavailable, PeerRefused."""
        body, kind = _multipart(self._http.form_fields, content, name)
        headers = {"content-type": kind, "accept": "application/json"}
        return await self._http.request("POST", self._address("upload"), headers=headers, content=body, retry=False)

    async def ask(self, service: str, form: Mapping[str, str]) -> Document:
        """A question, by POST as all of them here. Raises PeerUnavailable without a clear answer, PeerRefused for an error."""
        content = urlencode({**self._http.form_fields, **form}).encode("ascii")
        headers = {"content-type": "application/x-www-form-urlencoded", "accept": "application/json"}
        try:
            response = await self._http.request("POST", self._address(service), headers=headers, content=content, retry=False)
        except OutcomeUnknown as error:  # it changes nothing: asking again is safe
            raise PeerUnavailable(str(error)) from None
        answer = document(response)
        if response.status == 200 and "error" in answer:
            raise PeerRefused(f"Claim.MD answered {service} with an error: {error_of(answer)}. Check the account key.")
        if response.status != 200 or not answer:
            raise PeerUnavailable(
                f"Claim.MD answered {service} with HTTP {response.status}.",
                status=response.status,
                retry_after_seconds=response.retry_after_seconds,
            )
        return answer

    async def feed(self, after: str) -> AsyncIterator[FeedPage]:
        """The response feed from an id on (`0`: from the beginning), until it has nothing newer. Raises PeerError."""
        for _ in range(_MAX_PAGES):
            answer = await self.ask("response", {"ResponseID": after})
            last = str(answer.get("last_responseid") or after)
            if not last.isdecimal():
                raise PeerUnavailable("Claim.MD's response feed ends with a number that is none.")
            claims = rows(answer, "claim")
            if int(last) <= int(after):
                return
            yield FeedPage(claims=claims, last_id=last)
            after = last
        raise PeerUnavailable(f"Claim.MD's response feed did not end after {_MAX_PAGES} pages.")

    async def close(self) -> None:
        """Close the client."""
        await self._http.close()


def _multipart(fields: Mapping[str, str], content: bytes, name: str) -> tuple[bytes, str]:
    """multipart/form-data with the fields and one file; the boundary stands in none of them."""
    boundary = f"ptbridge-{name}"
    whole = b""
    for field_name, value in fields.items():
        whole += f'--{boundary}\r\nContent-Disposition: form-data; name="{field_name}"\r\n\r\n{value}\r\n'.encode()
    head = f'Content-Disposition: form-data; name="File"; filename="{name}"\r\nContent-Type: application/json\r\n\r\n'
    whole += f"--{boundary}\r\n{head}".encode() + content + f"\r\n--{boundary}--\r\n".encode()
    return whole, f"multipart/form-data; boundary={boundary}"


def document(response: Response) -> Document:
    """The answer as an object, out of its `result`; empty when it is no JSON object."""
    answer = response.json_object()
    inner = answer.get("result")
    return inner if isinstance(inner, dict) else answer


def rows(answer: Mapping[str, Any], name: str) -> list[Document]:
    """A list that may be missing, or a single thing."""
    value = answer.get(name)
    found = value if isinstance(value, list) else [value]
    return [row for row in found if isinstance(row, dict)]


def error_of(answer: Mapping[str, Any]) -> str:
    """The error's code alone: its words may repeat what was asked."""
    return next((str(row.get("error_code") or row.get("code") or "unnamed") for row in rows(answer, "error")), "unnamed")
