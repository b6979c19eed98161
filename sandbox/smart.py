"""The authorization server of the sandbox EMR: SMART Backend Services (private_key_jwt) and its poorer cousins.

Client secrets (basic and post), static bearer tokens and open access are there too, because EMRs have them.
"""

from __future__ import annotations

import base64
import hmac
import secrets
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import unquote

from joserfc import jwt
from joserfc.errors import JoseError
from joserfc.jwk import KeySet

ALGORITHMS = ("RS384", "ES384")
ASSERTION_TYPE = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"
LONGEST_ASSERTION_SECONDS = 300
"""SMART App Launch 2, backend services: `exp` no more than five minutes ahead."""


@dataclass(frozen=True, kw_only=True)
class Client:
    """A registered client. `methods` are what it may use at the token endpoint; `scopes` the most it gets."""

    id: str
    scopes: tuple[str, ...] = ("system/*.rs",)
    methods: tuple[str, ...] = ("private_key_jwt", "client_secret_basic", "client_secret_post")
    secret: str | None = field(default=None, repr=False)
    jwks: Mapping[str, Any] | None = field(default=None, repr=False)


class TokenRefused(Exception):
    """The token endpoint says no: an OAuth 2.0 error (RFC 6749, section 5.2)."""

    def __init__(self, error: str, text: str, *, status: int = 400) -> None:
        super().__init__(text)
        self.error, self.status = error, status


@dataclass(eq=False, kw_only=True)
class Authority:
    """Issues and checks access tokens. With neither clients nor bearer tokens the server is open."""

    clients: tuple[Client, ...] = ()
    bearer_tokens: tuple[str, ...] = field(default=(), repr=False)
    token_seconds: int = 60
    clock: Callable[[], float] = time.time
    issued: int = 0
    _tokens: dict[str, tuple[float, str]] = field(default_factory=dict, repr=False)
    _used: dict[tuple[str, str], float] = field(default_factory=dict, repr=False)

    @property
    def is_open(self) -> bool:
        """True when no credential is asked for."""
        return not self.clients and not self.bearer_tokens

    def expire_tokens(self) -> None:
        """Make every token issued so far invalid, as a restart of a real server does."""
        self._tokens.clear()

    def token(self, form: Mapping[str, str], authorization: str | None, *, token_url: str) -> dict[str, Any]:
        """Answer a client-credentials request. Raises TokenRefused."""
        if form.get("grant_type") != "client_credentials":
            raise TokenRefused("unsupported_grant_type", "grant_type must be client_credentials")
        client = self._client(form, authorization, token_url)
        scope = _granted(form.get("scope", ""), client.scopes)
        if not scope:
            raise TokenRefused("invalid_scope", "none of the scopes asked for is registered for this client")
        token = secrets.token_urlsafe(24)
        now = self.clock()
        self._tokens = {kept: facts for kept, facts in self._tokens.items() if facts[0] > now}
        self._tokens[token] = (now + self.token_seconds, scope)
        self.issued += 1
        return {"access_token": token, "token_type": "bearer", "expires_in": self.token_seconds, "scope": scope}

    def scope_of(self, authorization: str | None) -> str | None:
        """The scopes that an Authorization header stands for; None when it is no valid token."""
        kind, _, token = (authorization or "").partition(" ")
        if kind.lower() != "bearer":
            return None
        if any(hmac.compare_digest(token, known) for known in self.bearer_tokens):
            return "system/*.rs"
        expires, scope = self._tokens.get(token, (0.0, ""))
        return scope if expires > self.clock() else None

    # ------------------------------------------------------------ who is it

    def _client(self, form: Mapping[str, str], authorization: str | None, token_url: str) -> Client:
        if form.get("client_assertion_type") == ASSERTION_TYPE:
            return self._by_assertion(form.get("client_assertion", ""), token_url)
        kind, _, encoded = (authorization or "").partition(" ")
        if kind.lower() == "basic":
            user, _, secret = _decode_basic(encoded).partition(":")
            return self._by_secret(unquote(user), unquote(secret), "client_secret_basic")
        return self._by_secret(form.get("client_id", ""), form.get("client_secret", ""), "client_secret_post")

    def _registered(self, client_id: str, method: str) -> Client:
        for client in self.clients:
            if client.id == client_id and method in client.methods:
                return client
        raise TokenRefused("invalid_client", f"no such client for {method}", status=401)

    def _by_secret(self, client_id: str, secret: str, method: str) -> Client:
        client = self._registered(client_id, method)
        if client.secret is None or not hmac.compare_digest(client.secret.encode(), secret.encode()):
            raise TokenRefused("invalid_client", "the client secret is wrong", status=401)
        return client

    def _by_assertion(self, assertion: str, token_url: str) -> Client:
        claims, client = self._verified(assertion)
        now = self.clock()
        expires, jti = claims.get("exp"), claims.get("jti")
        audience = claims.get("aud")
        if token_url not in (audience if isinstance(audience, list) else [audience]):
            raise TokenRefused("invalid_client", "aud is not this token endpoint", status=401)
        if not isinstance(expires, (int, float)) or expires <= now:
            raise TokenRefused("invalid_client", "the assertion has expired", status=401)
        if expires > now + LONGEST_ASSERTION_SECONDS:
            raise TokenRefused("invalid_client", "exp is more than five minutes ahead", status=401)
        if not isinstance(jti, str) or not jti:
            raise TokenRefused("invalid_client", "jti is missing", status=401)
        self._used = {kept: until for kept, until in self._used.items() if until > now}
        if (client.id, jti) in self._used:
            raise TokenRefused("invalid_client", "this jti was used before", status=401)
        self._used[client.id, jti] = expires
        return client

    def _verified(self, assertion: str) -> tuple[dict[str, Any], Client]:
        """Claims whose signature is right, and whose client they name as issuer and subject."""
        refused = TokenRefused("invalid_client", "the assertion's signature, algorithm, kid or key is not accepted", status=401)
        for client in self.clients:
            if client.jwks is None or "private_key_jwt" not in client.methods:
                continue
            try:
                token = jwt.decode(assertion, KeySet.import_key_set(client.jwks), algorithms=list(ALGORITHMS))  # type: ignore[arg-type]
            except (JoseError, ValueError):
                continue
            if token.claims.get("iss") != client.id or token.claims.get("sub") != client.id:
                raise TokenRefused("invalid_client", "iss and sub must both be the client id", status=401)
            if "kid" not in token.header:
                raise TokenRefused("invalid_client", "the assertion's header names no kid", status=401)
            return token.claims, client
        raise refused


def _decode_basic(encoded: str) -> str:
    try:
        return base64.b64decode(encoded, validate=True).decode()
    except ValueError:
        raise TokenRefused("invalid_client", "the Authorization header is no basic credential", status=401) from None


def _granted(asked: str, registered: tuple[str, ...]) -> str:
    """The asked scopes that are registered, by name or under a wildcard; all registered ones when none is asked for."""
    if not asked.strip():
        return " ".join(registered)
    return " ".join(scope for scope in asked.split() if any(_covers(known, scope) for known in registered))


def _covers(known: str, scope: str) -> bool:
    if known == scope:
        return True
    (known_type, known_can), (type_, can) = _parts(known), _parts(scope)
    return known_type in ("*", type_) and set(can) <= set(known_can)


def _parts(scope: str) -> tuple[str, str]:
    """`system/Patient.rs` or `system/Patient.read` as (`Patient`, `rs`)."""
    context, _, rest = scope.partition("/")
    type_, _, can = rest.partition(".")
    can = {"read": "rs", "write": "cud", "*": "cruds"}.get(can.partition("?")[0], can.partition("?")[0])
    return (type_, can) if context == "system" else ("", "?")


def allows(scope: str, type_: str, interaction: str) -> bool:
    """Whether granted scopes let a client read (`r`) or search (`s`) that resource type."""
    return any(part[0] in ("*", type_) and interaction in part[1] for part in map(_parts, scope.split()))
