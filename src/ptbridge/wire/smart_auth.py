"""Proving who we are: SMART Backend Services (private_key_jwt) and its poorer cousins.

Every authorizer here has the shape of `wire.http.Authorizer`. Tokens are kept until near their end (some live 60 seconds),
fetched by one request at a time however many wait, and sent to the configured origin only, by the HTTP client.
Secrets, keys, assertions and tokens never enter a message, a log line or a repr.
"""

from __future__ import annotations

import asyncio
import base64
import logging
import math
import re
import secrets
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol
from urllib.parse import quote_plus

from ptbridge.errors import ConfigError, PeerRefused, PeerUnavailable
from ptbridge.wire import scopes as smart_scopes
from ptbridge.wire.answers import Authorizer, Response
from ptbridge.wire.egress import shown_url
from ptbridge.wire.http import Transport
from ptbridge.wire.keys import SigningKey, generate_private_key, jwks
from ptbridge.wire.pacing import Clock, RateLimiter, http_date_seconds
from ptbridge.wire.token_endpoint import TokenEndpoint

__all__ = [
    "ApiKey",
    "AuthSettings",
    "ClientSecret",
    "FormKey",
    "NoAuth",
    "PrivateKeyJwt",
    "StaticBearer",
    "TokenEndpoint",
    "authorizer_from",
    "generate_private_key",
    "jwks",
]

log = logging.getLogger(__name__)

_ASSERTION_TYPE = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"
_ASSERTION_SECONDS = 240  # the standard allows 300; the rest is room for clocks that differ
_NOTABLE_SKEW_SECONDS = 5.0
_MARGIN_SECONDS = 60.0
_MARGIN_SHARE = 0.2  # of a token's life, for those that live shorter than five minutes
_OAUTH_ERROR = re.compile(r"[a-z_]{1,40}")
_PASSING_ERRORS = frozenset({"temporarily_unavailable", "server_error", "slow_down"})
_METHODS = (
    "none",
    "bearer",
    "api_key",
    "form_key",
    "client_secret_basic",
    "client_secret_post",
    "client_secret_json",
    "private_key_jwt",
)
_CLOCK_ERRORS = frozenset({"invalid_client", "invalid_grant", "invalid_request"})


class NoAuth:
    """Sends nothing."""

    credential = "no credential"

    async def headers(self, method: str, url: str) -> dict[str, str]:
        """None needed."""
        return {}

    async def refresh(self, rejected: Mapping[str, str] | None = None) -> bool:
        """There is nothing to refresh."""
        return False

    async def close(self) -> None:
        """Nothing is open."""


class StaticBearer(NoAuth):
    """A bearer token that a person was given. Raises ConfigError when it cannot be a token."""

    credential = "the bearer token of the clinic file"

    def __init__(self, token: str) -> None:
        if not token or not token.isascii() or any(character.isspace() or not character.isprintable() for character in token):
            raise ConfigError("auth.secret is no bearer token: it is empty, or holds spaces or other characters.")
        self._token = token

    async def headers(self, method: str, url: str) -> dict[str, str]:
        """The token, as it was given."""
        return {"authorization": f"Bearer {self._token}"}


class ApiKey(StaticBearer):
    """A key that is the whole `Authorization` header, no scheme before it (Stedi). Raises ConfigError as a token does."""

    credential = "the API key of the clinic file"

    async def headers(self, method: str, url: str) -> dict[str, str]:
        """The key, as it was given."""
        return {"authorization": self._token}


class FormKey(NoAuth):
    """A key that goes with every request as the form field `AccountKey` (Claim.MD). Whoever makes the form asks for it."""

    credential = "the account key of the clinic file"

    def __init__(self, key: str) -> None:
        self._key = key

    def form_fields(self) -> dict[str, str]:
        """The field, for a form that goes to the configured origin only."""
        return {"AccountKey": self._key}


@dataclass(frozen=True, slots=True)
class _Token:
    value: str = field(repr=False)
    fresh_until: float  # monotonic seconds


class _TokenAuthorizer(ABC):
    """Client credentials (RFC 6749, 4.4): a token cache with one request at a time. Subclasses prove who the client is."""

    credential: str

    def __init__(self, endpoint: TokenEndpoint, scopes: Sequence[str] = ()) -> None:
        self._endpoint = endpoint
        self._clock = endpoint.http.clock
        self._scopes = tuple(scopes)
        self._token: _Token | None = None
        self._fetching: asyncio.Task[_Token] | None = None
        self.granted_scopes: tuple[str, ...] | None = None

    @property
    def missing_scopes(self) -> tuple[str, ...]:
        """What was asked for and not granted; empty before the first token."""
        return () if self.granted_scopes is None else smart_scopes.missing(self._scopes, self.granted_scopes)

    async def headers(self, method: str, url: str) -> dict[str, str]:
        """The bearer token, fetched first when there is none or it nears its end. Raises PeerUnavailable, PeerRefused."""
        token = self._token
        if token is None or self._clock.monotonic() >= token.fresh_until:
            token = await self._shared_fetch()
        return {"authorization": f"Bearer {token.value}"}

    async def refresh(self, rejected: Mapping[str, str] | None = None) -> bool:
        """Fetch a new token, unless someone else already did since `rejected` was sent."""
        current = self._token
        if current and rejected and rejected.get("authorization") != f"Bearer {current.value}":
            return True
        self._token = None
        await self._shared_fetch()
        return True

    async def close(self) -> None:
        """Close the token endpoint's connections."""
        if self._fetching is not None:
            self._fetching.cancel()
            await asyncio.wait([self._fetching])
        await self._endpoint.http.close()

    async def _shared_fetch(self) -> _Token:
        if self._fetching is None:
            self._fetching = asyncio.create_task(self._fetch())
            self._fetching.add_done_callback(self._fetched)
        return await asyncio.shield(self._fetching)  # one waiter that is cancelled does not take the token from the others

    def _fetched(self, task: asyncio.Task[_Token]) -> None:
        self._fetching = None
        if not task.cancelled() and task.exception() is None:
            self._token = task.result()

    async def _fetch(self) -> _Token:
        asked_at = self._clock.monotonic()
        response = await self._ask()
        if self._clock_is_off(response):
            response = await self._ask()
        grant = self._grant(response)
        self._compare_scopes(grant.get("scope"))
        return _Token(grant["access_token"], asked_at + _useful_seconds(grant.get("expires_in")))

    async def _ask(self) -> Response:
        proof, headers = self._proof(await self._endpoint.url())
        wanted = {"scope": " ".join(self._scopes)} if self._scopes else {}
        return await self._endpoint.post({"grant_type": "client_credentials", **wanted, **proof}, headers)

    @abstractmethod
    def _proof(self, token_url: str) -> tuple[dict[str, str], dict[str, str]]:
        """Form fields and headers that prove who the client is, new for each request."""

    def _clock_is_off(self, response: Response) -> bool:
        """Was the proof refused because our clock and the server's differ? Then remember the difference."""
        return False

    def _grant(self, response: Response) -> dict[str, Any]:
        """The token answer. Raises PeerRefused with the OAuth error code, PeerUnavailable when it says nothing about us."""
        answer = response.json_object()
        where = f"POST {shown_url(response.url)}: HTTP {response.status}"
        if response.status == 200 and isinstance(answer.get("access_token"), str) and answer["access_token"]:
            return answer
        error = _oauth_error(answer)
        # A 400 without an OAuth error is the server's own trouble: one answered so while its database was down.
        if response.is_outage or error in _PASSING_ERRORS or (not error and response.status in {200, 400}):
            message = f"{where}, no token{f' ({error})' if error else ''}."
            raise PeerUnavailable(message, status=response.status, retry_after_seconds=response.retry_after_seconds)
        said = f" ({error})" if error else ""
        message = f"{where}{said}; refused {self.credential}. Check client id, credential and scopes with the other side."
        raise PeerRefused(message, status=response.status)

    def _compare_scopes(self, scope: Any) -> None:
        """RFC 6749, 5.1: absent means granted as asked."""
        granted = tuple(scope.split()) if isinstance(scope, str) and scope.strip() else self._scopes
        if granted != self.granted_scopes:
            self.granted_scopes = granted
            if self.missing_scopes:
                log.warning("The server granted less than was asked; missing: %s", " ".join(self.missing_scopes))


class ClientSecret(_TokenAuthorizer):
    """client_id and secret, as HTTP Basic (`style="basic"`) or in the form (`"post"`).

    `"json"`: both in a JSON object and nothing else, as Candid documents its token endpoint.
    """

    def __init__(
        self, client_id: str, secret: str, *, endpoint: TokenEndpoint, scopes: Sequence[str] = (), style: str = "basic"
    ) -> None:
        super().__init__(endpoint, scopes)
        self._client_id, self._secret, self._style = client_id, secret, style
        self.credential = f"client {client_id} with its secret ({style})"

    async def _ask(self) -> Response:
        if self._style == "json":
            proof = {"client_id": self._client_id, "client_secret": self._secret}
            return await self._endpoint.post(proof, {}, as_json=True)
        return await super()._ask()

    def _proof(self, token_url: str) -> tuple[dict[str, str], dict[str, str]]:
        if self._style == "post":
            return {"client_id": self._client_id, "client_secret": self._secret}, {}
        pair = f"{quote_plus(self._client_id)}:{quote_plus(self._secret)}"  # RFC 6749, 2.3.1
        return {}, {"authorization": "Basic " + base64.b64encode(pair.encode("ascii")).decode("ascii")}


class PrivateKeyJwt(_TokenAuthorizer):
    """SMART Backend Services: an assertion signed with RS384 or ES384, new for each request, valid for 240 seconds."""

    def __init__(
        self,
        client_id: str,
        private_key: str,
        *,
        endpoint: TokenEndpoint,
        scopes: Sequence[str] = (),
        algorithm: str = "RS384",
        kid: str | None = None,
        audience: str | None = None,
    ) -> None:
        super().__init__(endpoint, scopes)
        self._client_id, self._audience = client_id, audience
        self._key = SigningKey(private_key, algorithm, kid)
        self._skew_seconds = 0.0
        self.credential = f"client {client_id} with its {algorithm} key {self._key.kid}"

    def _proof(self, token_url: str) -> tuple[dict[str, str], dict[str, str]]:
        now = math.floor(self._clock.wall() + self._skew_seconds)
        claims = {
            "iss": self._client_id,
            "sub": self._client_id,
            "aud": self._audience or token_url,
            "jti": secrets.token_urlsafe(24),
            "iat": now,
            "exp": now + _ASSERTION_SECONDS,
        }
        return {"client_assertion_type": _ASSERTION_TYPE, "client_assertion": self._key.sign(claims)}, {}

    def _clock_is_off(self, response: Response) -> bool:
        server = http_date_seconds(response.header("date"))
        if server is None or _oauth_error(response.json_object()) not in _CLOCK_ERRORS:
            return False
        off = server - (self._clock.wall() + self._skew_seconds)
        if abs(off) <= _NOTABLE_SKEW_SECONDS:
            return False
        log.warning("This machine's clock and the token server's differ by %.0f s; the server's is used. Set the clock.", off)
        self._skew_seconds += off
        return True


def _oauth_error(answer: dict[str, Any]) -> str:
    error = answer.get("error")
    return error if isinstance(error, str) and _OAUTH_ERROR.fullmatch(error) else ""


def _useful_seconds(expires_in: Any) -> float:
    """How long to use a token of that stated lifetime; without a usable statement, until the server refuses it."""
    try:
        lifetime = float(expires_in)
    except (TypeError, ValueError):
        return math.inf
    return lifetime - min(_MARGIN_SECONDS, lifetime * _MARGIN_SHARE) if lifetime > 0 else math.inf


class AuthSettings(Protocol):
    """What `authorizer_from` reads; `specs.clinic.AuthSpec` has this shape."""

    @property
    def method(self) -> str:
        """One of _METHODS."""

    @property
    def token_url(self) -> str | None:
        """Pinned token URL."""

    @property
    def client_id(self) -> str | None:
        """The client id at the other side."""

    @property
    def algorithm(self) -> str:
        """RS384 or ES384."""

    @property
    def kid(self) -> str | None:
        """The key's id as registered."""

    @property
    def scopes(self) -> Sequence[str]:
        """Scopes to ask for."""

    @property
    def audience(self) -> str | None:
        """`aud` of the assertion, when it is not the token URL."""


def authorizer_from(
    auth: AuthSettings,
    *,
    base_url: str,
    secret: str | None = None,
    private_key: str | None = None,
    limiter: RateLimiter | None = None,
    clock: Clock | None = None,
    transport: Transport | None = None,
) -> Authorizer:
    """The authorizer that a clinic file's `auth` describes; `secret` and `private_key` are already resolved.

    `limiter` is the one that the EMR's HttpClient uses, so that token requests count too. Raises ConfigError.
    """
    if auth.method == "none":
        return NoAuth()
    if auth.method == "bearer":
        return StaticBearer(_needed(secret, "secret", auth.method))
    if auth.method == "api_key":
        return ApiKey(_needed(secret, "secret", auth.method))
    if auth.method == "form_key":
        return FormKey(_needed(secret, "secret", auth.method))
    if auth.method not in _METHODS:
        raise ConfigError(f"auth.method is {auth.method!r}. Known methods: {', '.join(_METHODS)}.")
    client_id = _needed(auth.client_id, "client_id", auth.method)
    endpoint = TokenEndpoint(base_url, auth.token_url, limiter=limiter, clock=clock, transport=transport)
    if auth.method == "private_key_jwt":
        return PrivateKeyJwt(
            client_id,
            _needed(private_key, "private_key", auth.method),
            endpoint=endpoint,
            scopes=auth.scopes,
            algorithm=auth.algorithm,
            kid=auth.kid,
            audience=auth.audience,
        )
    style = auth.method.removeprefix("client_secret_")
    return ClientSecret(client_id, _needed(secret, "secret", auth.method), endpoint=endpoint, scopes=auth.scopes, style=style)


def _needed(value: str | None, name: str, method: str) -> str:
    if not value:
        raise ConfigError(f"auth.{name} is missing; method {method} needs it.")
    return value
