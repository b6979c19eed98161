"""Where tokens come from: one URL, pinned or discovered, and its own HTTP client that holds no other credential."""

from __future__ import annotations

from collections.abc import Mapping
from urllib.parse import urlencode

import orjson

from ptbridge.errors import OutcomeUnknown, PeerRefused, PeerUnavailable
from ptbridge.wire.answers import Response
from ptbridge.wire.egress import EgressRule, Origin, shown_url
from ptbridge.wire.http import HttpClient, Transport
from ptbridge.wire.pacing import Clock, RateLimiter


class TokenEndpoint:
    """Where tokens come from: `token_url` when pinned, else what `base_url` publishes about itself on its own origin.

    Owns its HTTP client. `limiter` is the EMR's, used when tokens come from the same origin.
    """

    def __init__(
        self,
        base_url: str,
        token_url: str | None = None,
        *,
        limiter: RateLimiter | None = None,
        clock: Clock | None = None,
        transport: Transport | None = None,
    ) -> None:
        self._base_url = base_url.rstrip("/")
        self._url = token_url
        home = token_url or base_url
        shared = limiter if base_url and EgressRule(home).base == EgressRule(base_url).base else None
        self.http = HttpClient(home, limiter=shared, clock=clock, transport=transport)

    async def url(self) -> str:
        """The token URL. Raises PeerRefused when none is published, or one on another origin; PeerUnavailable."""
        if self._url is None:
            self._url = await self._discover()
        return self._url

    async def _discover(self) -> str:
        """SMART App Launch: `.well-known/smart-configuration` below the FHIR base URL."""
        where = f"{self._base_url}/.well-known/smart-configuration"
        response = await self.http.exchange("GET", where, headers={"accept": "application/json"})
        if response.is_outage or (response.status == 200 and response.looks_like_html):
            raise PeerUnavailable(f"GET {shown_url(where)}: HTTP {response.status}, no configuration.", status=response.status)
        found = response.json_object().get("token_endpoint")
        if response.status != 200 or not isinstance(found, str):
            message = (
                f"GET {shown_url(where)}: HTTP {response.status}, no token_endpoint. Set auth.token_url in the clinic file."
            )
            raise PeerRefused(message, status=response.status)
        try:
            origin = Origin.of(found)
        except ValueError:
            raise PeerRefused(f"GET {shown_url(where)}: its token_endpoint cannot be used. Set auth.token_url.") from None
        if origin != self.http.origin:
            raise PeerRefused(
                f"GET {shown_url(where)}: names a token endpoint at {origin}; nothing was sent there. "
                "If that origin is right, set auth.token_url in the clinic file."
            )
        return found

    async def post(self, form: Mapping[str, str], headers: Mapping[str, str], *, as_json: bool = False) -> Response:
        """One token request, as a form or as JSON. Raises PeerUnavailable without an answer; any answer is returned."""
        kind = "application/json" if as_json else "application/x-www-form-urlencoded"
        content = orjson.dumps(form) if as_json else urlencode(form).encode("ascii")
        sent = {"content-type": kind, "accept": "application/json", **headers}
        try:
            return await self.http.exchange("POST", await self.url(), headers=sent, content=content, return_refusal=True)
        except OutcomeUnknown as error:  # a token that nobody received does no harm: asking again is safe
            raise PeerUnavailable(str(error)) from None
