"""Tokens from a real token endpoint on loopback, assertions checked with the registered public keys."""

from __future__ import annotations

import asyncio
import base64
import json
import logging
from dataclasses import dataclass, field
from email.utils import formatdate
from urllib.parse import parse_qs

import pytest
from aiohttp import web
from joserfc import jwt
from joserfc.jwk import KeySet

from ptbridge.errors import ConfigError, PeerRefused, PeerUnavailable
from ptbridge.wire import scopes
from ptbridge.wire.http import HttpClient, RetryPolicy
from ptbridge.wire.smart_auth import NoAuth, authorizer_from, generate_private_key, jwks

KEYS = {algorithm: generate_private_key(algorithm) for algorithm in ("RS384", "ES384")}
SECRET = "s3cret/with:odd+signs"


@dataclass(frozen=True)
class Auth:
    """The shape of specs.clinic.AuthSpec."""

    method: str = "private_key_jwt"
    token_url: str | None = None
    client_id: str | None = "demo"
    algorithm: str = "RS384"
    kid: str | None = None
    scopes: tuple[str, ...] = ("system/Encounter.read",)
    audience: str | None = None


@dataclass
class Server:
    """An EMR with its token endpoint: counts tokens, knows which are alive by the test's clock."""

    still: object
    lifetime: float = 300
    grant: dict[str, object] = field(default_factory=dict)
    registered: dict | None = None
    skew: float = 0
    discovery: dict | None = None
    refuse: list[tuple[int, dict | str]] = field(default_factory=list)
    forms: list[dict[str, str]] = field(default_factory=list)
    basics: list[str | None] = field(default_factory=list)
    alive: dict[str, float] = field(default_factory=dict)
    used: list[str] = field(default_factory=list)
    jtis: set[str] = field(default_factory=set)

    async def __call__(self, request: web.Request) -> web.Response:
        if request.path == "/fhir/.well-known/smart-configuration":
            found = self.discovery or {"token_endpoint": f"http://{request.host}/token"}
            return web.json_response(found)
        if request.path == "/token":
            return self.token(request, {k: v[0] for k, v in parse_qs(await request.text()).items()})
        token = request.headers.get("Authorization", "").removeprefix("Bearer ")
        if self.alive.get(token, 0) <= self.still.seconds:
            return web.Response(status=401)
        self.used.append(token)
        return web.json_response({})

    @property
    def now(self) -> float:
        return self.still.epoch + self.still.seconds + self.skew

    def token(self, request: web.Request, form: dict[str, str]) -> web.Response:
        self.forms.append(form)
        self.basics.append(request.headers.get("Authorization"))
        headers = {"Date": formatdate(self.now, usegmt=True)}
        if self.refuse:
            status, body = self.refuse.pop(0)
            if isinstance(body, dict):
                return web.json_response(body, status=status, headers=headers)
            return web.Response(text=body, status=status, headers=headers | {"Content-Type": "text/html"})
        if self.registered and not self.assertion_holds(form, f"http://{request.host}/token"):
            return web.json_response({"error": "invalid_client"}, status=401, headers=headers)
        name = f"token-{len(self.forms)}"
        self.alive[name] = self.still.seconds + self.lifetime
        answer = {"access_token": name, "token_type": "bearer", "expires_in": self.lifetime, **self.grant}
        return web.json_response({k: v for k, v in answer.items() if v is not None}, headers=headers)

    def assertion_holds(self, form: dict[str, str], audience: str) -> bool:
        token = jwt.decode(form["client_assertion"], KeySet.import_key_set(self.registered), algorithms=["RS384", "ES384"])
        claims = token.claims
        fresh = claims["jti"] not in self.jtis
        self.jtis.add(claims["jti"])
        return (
            fresh
            and token.header["typ"] == "JWT"
            and token.header["kid"] == self.registered["keys"][0]["kid"]
            and claims["iss"] == claims["sub"] == "demo"
            and claims["aud"] == audience
            and self.now < claims["exp"] <= self.now + 300
        )


@pytest.fixture
def emr(still) -> Server:
    return Server(still)


def run_with(serving, server: Server, auth: Auth, work, **given):
    """Run `work(http, authorizer)` against the server."""

    async def run():
        async with serving(server) as url:
            clock = server.still.seams
            authorizer = authorizer_from(auth, base_url=f"{url}/fhir", clock=clock, **given)
            async with HttpClient(f"{url}/fhir", authorizer=authorizer, clock=clock, retry=RetryPolicy(attempts=3)) as http:
                return await work(http, authorizer)

    return asyncio.run(run())


async def one_get(http, _authorizer):
    return await http.request("GET", "Encounter")


@pytest.mark.parametrize("algorithm", ["RS384", "ES384"])
@pytest.mark.parametrize("kid", [None, "clinic-2026"])
def test_backend_services(serving, emr, algorithm: str, kid: str | None) -> None:
    emr.registered = jwks(KEYS[algorithm], kid=kid)
    assert "d" not in emr.registered["keys"][0]
    auth = Auth(algorithm=algorithm, kid=kid)
    assert run_with(serving, emr, auth, one_get, private_key=KEYS[algorithm]).status == 200
    form = emr.forms[0]
    assert form["grant_type"] == "client_credentials"
    assert form["client_assertion_type"] == "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"
    assert form["scope"] == "system/Encounter.read"
    assert emr.basics == [None]


def test_client_secret_as_basic_and_in_the_form(serving, emr) -> None:
    run_with(serving, emr, Auth(method="client_secret_basic"), one_get, secret=SECRET)
    scheme, _, pair = (emr.basics[0] or "").partition(" ")
    assert (scheme, base64.b64decode(pair)) == ("Basic", b"demo:s3cret%2Fwith%3Aodd%2Bsigns")
    assert "client_secret" not in emr.forms[0]
    run_with(serving, emr, Auth(method="client_secret_post"), one_get, secret=SECRET)
    assert (emr.forms[1]["client_id"], emr.forms[1]["client_secret"]) == ("demo", SECRET)
    assert emr.basics[1] is None


def test_fifty_at_once_ask_for_one_token(serving, emr) -> None:
    async def fifty(http, _authorizer) -> None:
        await asyncio.gather(*(http.request("GET", f"Encounter/{n}") for n in range(50)))
        emr.alive.clear()  # revoked: all fifty meet a 401
        await asyncio.gather(*(http.request("GET", f"Encounter/{n}") for n in range(50)))

    run_with(serving, emr, Auth(), fifty, private_key=KEYS["RS384"])
    assert len(emr.forms) == 2
    assert len(emr.used) == 100
    assert len({form["client_assertion"] for form in emr.forms}) == 2


def test_a_late_401_does_not_throw_a_new_token_away(serving, emr) -> None:
    async def work(http, authorizer) -> None:
        old = await authorizer.headers("GET", "x")
        assert await authorizer.refresh(old)
        assert await authorizer.refresh(old)  # an answer that was still under way when the token was renewed
        assert len(emr.forms) == 2
        assert await authorizer.refresh(await authorizer.headers("GET", "x"))
        assert len(emr.forms) == 3

    run_with(serving, emr, Auth(method="client_secret_post"), work, secret=SECRET)


def test_a_waiter_that_gives_up_does_not_take_the_token_from_the_others(serving, emr) -> None:
    async def work(http, authorizer) -> None:
        waiting = [asyncio.create_task(authorizer.headers("GET", "x")) for _ in range(3)]
        await asyncio.sleep(0)
        waiting[0].cancel()
        assert await waiting[1] == await waiting[2] == {"authorization": "Bearer token-1"}

    run_with(serving, emr, Auth(method="client_secret_post"), work, secret=SECRET)


@pytest.mark.parametrize(("lifetime", "good_for"), [(60, 48), (300, 240), (3600, 3540)])
def test_tokens_are_kept_until_near_their_end(serving, emr, lifetime: float, good_for: float) -> None:
    emr.lifetime = lifetime

    async def work(http, _authorizer) -> None:
        await one_get(http, None)
        emr.still.seconds += good_for - 1
        await one_get(http, None)
        assert len(emr.forms) == 1
        emr.still.seconds += 2
        await one_get(http, None)
        assert len(emr.forms) == 2

    run_with(serving, emr, Auth(method="client_secret_post"), work, secret=SECRET)
    assert len(emr.used) == 3  # and no request met a 401


@pytest.mark.parametrize("stated", [None, "soon", 0, -1, "60"])
def test_a_lifetime_that_is_missing_or_wrong_means_until_refused(serving, emr, stated: object) -> None:
    emr.lifetime, emr.grant = 60, {"expires_in": stated}

    async def work(http, _authorizer) -> None:
        for _ in range(3):
            await one_get(http, None)
            emr.still.seconds += 45

    run_with(serving, emr, Auth(method="client_secret_post"), work, secret=SECRET)
    assert len(emr.used) == 3


@pytest.mark.parametrize("skew", [-90, 90, 4000])
def test_a_clock_that_is_off_is_corrected_once_by_the_servers(serving, emr, skew: float) -> None:
    emr.registered, emr.skew = jwks(KEYS["RS384"]), skew

    async def work(http, authorizer) -> None:
        await one_get(http, None)
        await authorizer.refresh()

    run_with(serving, emr, Auth(), work, private_key=KEYS["RS384"])
    needed = 2 if abs(skew) != 90 or skew < 0 else 1  # 90 s behind still fits into the 240 s that an assertion lives
    assert len(emr.forms) == needed + 1  # the difference is remembered


def test_invalid_client_with_equal_clocks_is_asked_once(serving, emr) -> None:
    emr.registered = jwks(generate_private_key("ES384"))
    emr.refuse = [(401, {"error": "invalid_client", "error_description": "secret of Jane Doe"})]
    with pytest.raises(PeerRefused, match="invalid_client") as refused:
        run_with(serving, emr, Auth(), one_get, private_key=KEYS["RS384"])
    assert len(emr.forms) == 1
    assert "Doe" not in str(refused.value)
    assert "demo" in str(refused.value)


@pytest.mark.parametrize(
    ("status", "body"),
    [
        (429, "slow down"),
        (503, {"error": "temporarily_unavailable"}),
        (500, "<html>"),
        (400, {"resourceType": "OperationOutcome", "issue": [{"severity": "error", "code": "invalid"}]}),
        (400, "database down"),
        (400, {"error": "server_error"}),
        (200, "<html>log in</html>"),
        (200, {"token_type": "bearer"}),
    ],
)
def test_an_outage_of_the_token_endpoint_is_waited_out(serving, emr, status: int, body: dict | str) -> None:
    emr.refuse = [(status, body), (status, body)]
    assert run_with(serving, emr, Auth(method="client_secret_post"), one_get, secret=SECRET).status == 200
    assert len(emr.forms) == 3
    emr.refuse = [(status, body)]

    async def post(http, _authorizer):
        return await http.request("POST", "Claim", content=b"{}")

    with pytest.raises(PeerUnavailable):
        run_with(serving, emr, Auth(method="client_secret_post"), post, secret=SECRET)


@pytest.mark.parametrize(
    ("status", "body"),
    [
        (400, {"error": "invalid_scope"}),
        (401, "no"),
        (403, {"error": "unauthorized_client"}),
        (404, "not here"),
        (400, {"error": "invalid_grant"}),
    ],
)
def test_a_refusal_of_the_token_endpoint_is_final(serving, emr, status: int, body: dict | str) -> None:
    emr.refuse = [(status, body)] * 3
    with pytest.raises(PeerRefused) as refused:
        run_with(serving, emr, Auth(method="client_secret_post"), one_get, secret=SECRET)
    assert len(emr.forms) == 1
    assert SECRET not in str(refused.value)


def test_a_discovered_token_endpoint_elsewhere_gets_nothing(serving, emr) -> None:
    thief: list[str] = []

    async def steal(request: web.Request) -> web.Response:
        thief.append(await request.text())
        return web.json_response({"access_token": "x", "token_type": "bearer"})

    async def run() -> None:
        async with serving(steal) as thief_url, serving(emr) as url:
            emr.discovery = {"token_endpoint": f"{thief_url}/token"}
            for pinned, outcome in ((None, "refused"), (f"{thief_url}/token", "sent")):
                auth = Auth(method="client_secret_post", token_url=pinned)
                authorizer = authorizer_from(auth, base_url=f"{url}/fhir", secret=SECRET)
                try:
                    if outcome == "refused":
                        with pytest.raises(PeerRefused, match=r"set auth\.token_url"):
                            await authorizer.headers("GET", url)
                        assert thief == []
                    else:
                        assert await authorizer.headers("GET", url) == {"authorization": "Bearer x"}
                finally:
                    await authorizer.close()

    asyncio.run(run())
    assert len(thief) == 1


def test_granted_scopes_are_read_back(serving, emr, caplog: pytest.LogCaptureFixture) -> None:
    emr.grant = {"scope": "system/Encounter.rs openid"}
    asked = ("system/Encounter.read", "system/Procedure.read")

    async def work(http, authorizer):
        assert authorizer.missing_scopes == ()
        await one_get(http, None)
        return authorizer

    with caplog.at_level(logging.WARNING):
        authorizer = run_with(serving, emr, Auth(method="client_secret_post", scopes=asked), work, secret=SECRET)
    assert authorizer.granted_scopes == ("system/Encounter.rs", "openid")
    assert authorizer.missing_scopes == ("system/Procedure.read",)
    assert "system/Procedure.read" in caplog.text
    emr.grant = {}
    authorizer = run_with(serving, emr, Auth(method="client_secret_post", scopes=asked), work, secret=SECRET)
    assert authorizer.granted_scopes == asked  # RFC 6749: no scope in the answer means as asked


@pytest.mark.parametrize(
    ("asked", "granted", "lacking"),
    [
        ("system/Encounter.read", "system/*.read", ""),
        ("system/Encounter.read", "system/Encounter.rs", ""),
        ("system/Encounter.rs", "system/Encounter.r system/Encounter.s", ""),
        ("system/Encounter.read", "system/Encounter.r", "system/Encounter.read"),
        ("system/Encounter.read", "user/Encounter.read", "system/Encounter.read"),
        ("system/Encounter.read", "system/Encounter.rs?category=x", "system/Encounter.read"),
        ("system/*.read", "system/Encounter.read", "system/*.read"),
        ("system/Claim.write", "system/Claim.cruds", ""),
        ("athena/service/Athenanet.MDP.*", "athena/service/Athenanet.MDP.*", ""),
        ("openid fhirUser", "openid", "fhirUser"),
    ],
)
def test_which_scopes_are_missing(asked: str, granted: str, lacking: str) -> None:
    assert scopes.missing(asked.split(), granted.split()) == tuple(lacking.split())


def test_static_bearer_and_none(serving, emr) -> None:
    emr.alive["given"] = 1e9
    assert run_with(serving, emr, Auth(method="bearer"), one_get, secret="given").status == 200
    with pytest.raises(PeerRefused, match="bearer token"):
        run_with(serving, emr, Auth(method="bearer"), one_get, secret="stale")
    assert isinstance(authorizer_from(Auth(method="none"), base_url="https://emr.example"), NoAuth)
    assert emr.forms == []


@pytest.mark.parametrize(
    ("auth", "given", "said"),
    [
        (Auth(method="magic"), {}, "Known methods"),
        (Auth(client_id=None), {}, "client_id"),
        (Auth(), {}, "private_key"),
        (Auth(method="client_secret_basic"), {}, "secret"),
        (Auth(method="bearer"), {"secret": "two words"}, "no bearer token"),
        (Auth(), {"private_key": "-----BEGIN hunter2"}, "no RSA key"),
        (Auth(), {"private_key": KEYS["ES384"]}, "no RSA key"),
        (Auth(algorithm="ES384"), {"private_key": KEYS["RS384"]}, "no EC key"),
        (Auth(algorithm="HS256"), {"private_key": KEYS["RS384"]}, "RS384 or ES384"),
    ],
)
def test_what_a_person_must_correct(auth: Auth, given: dict[str, str], said: str) -> None:
    with pytest.raises(ConfigError, match=said) as wrong:
        authorizer_from(auth, base_url="https://emr.example/fhir", **given)
    assert "hunter2" not in str(wrong.value)


def test_public_keys_are_no_private_keys() -> None:
    public = jwks(KEYS["ES384"])["keys"][0]
    assert {"kty", "crv", "x", "y", "kid", "alg", "use"} <= public.keys()
    assert public["alg"] == "ES384"
    with pytest.raises(ConfigError, match="public key only"):
        authorizer_from(Auth(algorithm="ES384"), base_url="https://emr.example", private_key=json.dumps(public))


def test_nothing_secret_is_shown(serving, emr, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)

    async def work(http, authorizer):
        await one_get(http, None)
        return repr(authorizer) + repr(vars(authorizer)["_token"]) + authorizer.credential

    shown = run_with(serving, emr, Auth(), work, private_key=KEYS["RS384"])
    text = shown + "\n".join(record.getMessage() for record in caplog.records if record.name.startswith("ptbridge"))
    assert "token-1" not in text
    assert emr.forms[0]["client_assertion"] not in text
    assert "BEGIN" not in text
