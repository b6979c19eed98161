"""Signed webhooks: is this request from whom it should be, and fresh? Nothing else of it is used.

Scheme `standard`: Standard Webhooks 1.0.0 (www.standardwebhooks.com): headers `webhook-id`, `webhook-timestamp` (Unix
seconds) and `webhook-signature` (`v1,` and base64, several parted by spaces), HMAC-SHA-256 of `id.timestamp.body`; a secret
that starts with `whsec_` is base64. Some senders begin the names otherwise (`svix-signature`): `header` says so.
Scheme `timestamped`: one header `t=<Unix seconds>,v1=<hex>` (several v1 while a secret is changed) over `timestamp.body`.
Scheme `body`: one header with the hex HMAC-SHA-256 of the body, with or without `sha256=`; it has no time, so a copy of it is
taken again: harmless here, where a webhook only wakes a poll. Of the others the door takes each signed request once: a sender
that tries again signs anew.
"""

from __future__ import annotations

import asyncio
import base64
import binascii
import hashlib
import hmac
import time
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from aiohttp import web

from ptbridge.errors import ConfigError

SCHEMES = ("standard", "timestamped", "body")
WINDOW_SECONDS = 300.0
LARGEST_BODY = 1 << 20
_HEADER = "x-signature"


@dataclass(frozen=True, slots=True)
class _Given:
    """What a request says: its signatures, its time (empty: none), and the signature that ours would be."""

    candidates: list[bytes] = field(repr=False)
    sent_at: str
    wanted: bytes = field(repr=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class Signature:
    """How one sender signs. `header` is the name of the signature's header, `webhook-signature` for `standard`.

    Raises ConfigError for a scheme that is none.
    """

    scheme: str
    secret: str = field(repr=False)
    header: str = _HEADER
    window_seconds: float = WINDOW_SECONDS

    def __post_init__(self) -> None:
        if self.scheme not in SCHEMES:
            raise ConfigError(f"{self.scheme!r} is no webhook signature. Known: {', '.join(SCHEMES)}.", where="webhook.scheme")

    def refuses(self, headers: Mapping[str, str], body: bytes, *, now: float) -> str:
        """Why this request is not believed, as one word; empty when it is. `headers` have lower-case names."""
        given = self._read(headers, body)
        if not any(given.candidates):
            return "unsigned"
        if not any(hmac.compare_digest(given.wanted, candidate) for candidate in given.candidates):
            return "bad-signature"
        if self.scheme != "body" and not _is_fresh(given.sent_at, now, self.window_seconds):
            return "stale"
        return ""

    def once(self, headers: Mapping[str, str], body: bytes) -> tuple[bytes, float] | None:
        """What names a request that `refuses` let pass, and the Unix time after which it is stale; None where none tells."""
        given = self._read(headers, body)
        return None if self.scheme == "body" else (given.wanted, int(given.sent_at) + self.window_seconds)

    def _read(self, headers: Mapping[str, str], body: bytes) -> _Given:
        """The signatures of a request, and the one that it should have."""
        if self.scheme == "standard":
            begin = "webhook" if self.header == _HEADER else self.header.lower().removesuffix("-signature")
            text, sent_at = headers.get(f"{begin}-signature", ""), headers.get(f"{begin}-timestamp", "")
            signed = f"{headers.get(f'{begin}-id', '')}.{sent_at}.".encode() + body
            candidates = [_unbase64(part.removeprefix("v1,")) for part in text.split() if part.startswith("v1,")]
        elif self.scheme == "timestamped":
            parts = [part.strip().partition("=") for part in headers.get(self.header.lower(), "").split(",")]
            sent_at = next((value for name, _, value in parts if name == "t"), "")
            signed = f"{sent_at}.".encode() + body
            candidates = [_unhex(value) for name, _, value in parts if name == "v1"]
        else:
            sent_at, signed = "", body
            candidates = [_unhex(headers.get(self.header.lower(), "").removeprefix("sha256="))]
        return _Given(candidates, sent_at, hmac.new(self._key(), signed, hashlib.sha256).digest())

    def _key(self) -> bytes:
        if self.scheme == "standard" and self.secret.startswith("whsec_"):
            return _unbase64(self.secret.removeprefix("whsec_")) or self.secret.encode()
        return self.secret.encode()


def _unbase64(text: str) -> bytes:
    try:
        return base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError):
        return b""


def _unhex(text: str) -> bytes:
    try:
        return bytes.fromhex(text.strip())
    except ValueError:
        return b""


def _is_fresh(sent_at: str, now: float, window_seconds: float) -> bool:
    return sent_at.isascii() and sent_at.isdecimal() and abs(now - int(sent_at)) <= window_seconds


class WebhookDoor:
    """A loopback HTTP endpoint: `POST /hooks/<name>`, 204 and `wake(name)` when the signature holds, else 401, counted.

    Nothing of a request is kept or logged but the count, and its signature until it is stale. Put a TLS proxy in front of it
    where the sender is elsewhere.
    """

    def __init__(
        self,
        signatures: Mapping[str, Signature],
        wake: Callable[[str], None],
        *,
        port: int = 0,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self.counts: Counter[str] = Counter()
        self.addresses: dict[str, str] = {}
        self._signatures, self._wake, self._port, self._clock = signatures, wake, port, clock
        self._taken: dict[tuple[str, bytes], float] = {}  # (name, signature) -> the Unix time after which it is stale
        self._runner: web.AppRunner | None = None

    async def __aenter__(self) -> WebhookDoor:
        app = web.Application(client_max_size=LARGEST_BODY)
        app.router.add_post("/hooks/{name}", self._take)
        self._runner = web.AppRunner(app, access_log=None, shutdown_timeout=1.0)
        await self._runner.setup()
        try:
            await web.TCPSite(self._runner, "127.0.0.1", self._port).start()
        except OSError as error:
            await self._runner.cleanup()
            raise ConfigError(f"127.0.0.1:{self._port}: {error.strerror}. Choose another --serve PORT.") from None
        host, port = self._runner.addresses[0][:2]
        self.addresses = {name: f"http://{host}:{port}/hooks/{name}" for name in self._signatures}
        return self

    async def __aexit__(self, *_: object) -> None:
        assert self._runner is not None
        await self._runner.cleanup()

    async def _take(self, request: web.Request) -> web.Response:
        name = request.match_info["name"]
        try:
            body = await asyncio.wait_for(request.read(), timeout=10)
        except (TimeoutError, web.HTTPRequestEntityTooLarge):
            self.counts["unreadable"] += 1
            return web.Response(status=413)
        headers = {name.lower(): value for name, value in request.headers.items()}
        refused = self._refuses(name, headers, body)
        self.counts[refused or "taken"] += 1
        if refused:
            return web.Response(status=401)
        self._wake(name)
        return web.Response(status=204)

    def _refuses(self, name: str, headers: Mapping[str, str], body: bytes) -> str:
        """Why it wakes nothing, as one word; empty when it does, and a copy of it will not."""
        signature, now = self._signatures.get(name), self._clock()
        if signature is None:
            return "unknown-clinic"
        if refused := signature.refuses(headers, body, now=now):
            return refused
        once = signature.once(headers, body)
        if once is None:
            return ""
        mark, until = once
        self._taken = {taken: end for taken, end in self._taken.items() if end >= now}
        if (name, mark) in self._taken:
            return "replayed"
        self._taken[name, mark] = until
        return ""
