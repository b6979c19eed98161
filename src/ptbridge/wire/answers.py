"""What the HTTP client takes and gives, free of any HTTP library: authorizers, time and size bounds, responses."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol, runtime_checkable

import orjson

OUTAGE_STATUSES = frozenset({408, 425, 429, 500, 502, 503, 504})


class Authorizer(Protocol):
    """Proves who we are to the configured origin. `credential` names it for a person, without the secret."""

    credential: str

    async def headers(self, method: str, url: str) -> dict[str, str]:
        """Headers to add to one request. Raises PeerUnavailable or PeerRefused when a token cannot be had."""

    async def refresh(self, rejected: Mapping[str, str] | None = None) -> bool:
        """After a 401: make sure that `headers` no longer gives `rejected`. False when there is nothing newer to try."""

    async def close(self) -> None:
        """Close what it opened."""


@runtime_checkable
class FormCredential(Protocol):
    """An authorizer whose proof is a field of each form, not a header."""

    def form_fields(self) -> dict[str, str]:
        """Name and value of each field."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Timeouts:
    """Seconds. `total` covers one exchange from connecting to the last byte, so a dripping server cannot hold us."""

    connect: float = 10.0
    read: float = 60.0
    total: float = 300.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """Bytes of one answer as received and after decompression, and the ratio between them (from 1 MiB on)."""

    max_response_bytes: int = 64 << 20
    max_decompressed_bytes: int = 64 << 20
    max_ratio: float = 200.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Response:
    """An answer, whole. `headers` have lower-case names; `retry_after_seconds` is already parsed and clamped."""

    status: int
    headers: Mapping[str, str] = field(repr=False)
    content: bytes = field(repr=False)
    url: str = field(repr=False)
    retry_after_seconds: float | None = None

    def header(self, name: str) -> str | None:
        """One header's value; None when absent."""
        return self.headers.get(name.lower())

    def json(self) -> Any:
        """The content parsed. Raises ValueError (orjson.JSONDecodeError) when it is no JSON."""
        return orjson.loads(self.content)

    def json_object(self) -> dict[str, Any]:
        """The content as an object; empty when it is no JSON object (an empty body, a firewall's page)."""
        try:
            found = self.json()
        except ValueError:
            return {}
        return found if isinstance(found, dict) else {}

    @property
    def is_outage(self) -> bool:
        """True when the status says "later", not "no"."""
        return self.status in OUTAGE_STATUSES

    @property
    def looks_like_html(self) -> bool:
        """True for a login page or a firewall's page, whatever the Content-Type says."""
        kind = self.headers.get("content-type", "").lower()
        return "html" in kind or self.content[:64].lstrip(b"\xef\xbb\xbf \t\r\n").startswith(b"<")
