"""The sandbox's authorization server: SMART Backend Services and its poorer cousins, and what each refuses."""

from __future__ import annotations

import time
from typing import Any, ClassVar
from uuid import uuid4

import pytest
from joserfc import jwt
from joserfc.jwk import ECKey, KeySet, RSAKey
from ptbridge_sandbox.emr import SandboxEmr
from ptbridge_sandbox.maker import clinic_day
from ptbridge_sandbox.smart import ASSERTION_TYPE, Authority, Client, allows
from ptbridge_sandbox.store import Store

RSA = RSAKey.generate_key(2048, {"kid": "rsa-1", "use": "sig", "alg": "RS384"})
EC = ECKey.generate_key("P-384", {"kid": "ec-1", "use": "sig", "alg": "ES384"})
STRANGER = ECKey.generate_key("P-384", {"kid": "ec-1", "use": "sig", "alg": "ES384"})
RSA_ANY_ALG = RSAKey.import_key({name: value for name, value in RSA.as_dict(private=True).items() if name != "alg"})
JWKS: dict[str, Any] = {"keys": [RSA.as_dict(private=False), EC.as_dict(private=False)]}


@pytest.fixture(scope="module")
def store() -> Store:
    return Store(clinic_day())


def emr_with(store: Store, **client: Any) -> SandboxEmr:
    return SandboxEmr(store, authority=Authority(clients=(Client(id="ptbridge", **client),)))


def assertion(aud: str, *, key: Any = EC, alg: str = "ES384", header: dict | None = None, **changes: Any) -> str:
    claims = {"iss": "ptbridge", "sub": "ptbridge", "aud": aud, "exp": int(time.time()) + 240, "jti": str(uuid4())}
    claims.update(changes)
    claims = {name: value for name, value in claims.items() if value is not None}
    return jwt.encode(header or {"alg": alg, "kid": key.kid, "typ": "JWT"}, claims, key, algorithms=[alg])


def form(signed: str, scope: str = "system/*.rs") -> dict[str, str]:
    return {
        "grant_type": "client_credentials",
        "client_assertion_type": ASSERTION_TYPE,
        "client_assertion": signed,
        "scope": scope,
    }


@pytest.mark.parametrize(("key", "alg"), [(RSA, "RS384"), (EC, "ES384")], ids=["RS384", "ES384"])
def test_private_key_jwt(talk, store: Store, key: Any, alg: str):
    async def conversation(http):
        assert (await http.get("/Encounter")).status == 401
        answer = await http.ask_token(form(assertion(http.emr.token_url, key=key, alg=alg)))
        assert answer.status == 200 and answer.headers["Cache-Control"] == "no-store"
        granted = answer.json
        assert (granted["token_type"], granted["expires_in"], granted["scope"]) == ("bearer", 60, "system/*.rs")
        http.token = granted["access_token"]
        assert (await http.get("/Encounter")).status == 200

    talk(emr_with(store, jwks=JWKS), conversation)


@pytest.mark.parametrize(
    ("changes", "word"),
    [
        ({"aud": "http://127.0.0.1/elsewhere"}, "aud"),
        ({"exp": int(time.time()) - 5}, "expired"),
        ({"exp": int(time.time()) + 3600}, "five minutes"),
        ({"exp": None}, "expired"),
        ({"jti": None}, "jti"),
        ({"iss": "somebody"}, "iss"),
        ({"sub": "somebody"}, "iss"),
        ({"key": STRANGER}, "signature"),
        ({"key": RSA_ANY_ALG, "alg": "RS256"}, "algorithm"),
        ({"header": {"alg": "ES384"}}, "kid"),
    ],
    ids=["aud", "over", "too-long", "no-exp", "no-jti", "iss", "sub", "other-key", "other-alg", "no-kid"],
)
def test_an_assertion_that_is_not_right_is_refused(talk, store: Store, changes: dict, word: str):
    async def conversation(http):
        answer = await http.ask_token(form(assertion(**{"aud": http.emr.token_url, **changes})))
        assert answer.status == 401 and answer.json["error"] == "invalid_client"
        assert word in answer.json["error_description"]

    talk(emr_with(store, jwks=JWKS), conversation)


def test_an_assertion_works_once(talk, store: Store):
    async def conversation(http):
        signed = assertion(http.emr.token_url)
        assert (await http.ask_token(form(signed))).status == 200
        assert "used before" in (await http.ask_token(form(signed))).json["error_description"]

    talk(emr_with(store, jwks=JWKS), conversation)


def test_no_algorithm_at_all_is_refused(talk, store: Store):
    unsigned = "eyJhbGciOiJub25lIn0.eyJpc3MiOiJwdGJyaWRnZSIsInN1YiI6InB0YnJpZGdlIn0."

    async def conversation(http):
        for nonsense in (unsigned, "", "a.b.c"):
            assert (await http.ask_token(form(nonsense))).status == 401

    talk(emr_with(store, jwks=JWKS), conversation)


class TestSecrets:
    grant: ClassVar = {"grant_type": "client_credentials", "scope": "system/Encounter.rs"}

    def test_basic_and_post(self, talk, store: Store):
        async def conversation(http):
            basic = await http.ask_token(self.grant, basic=("ptbridge", "s3cr%et"))
            post = await http.ask_token({**self.grant, "client_id": "ptbridge", "client_secret": "s3cr:et"})
            assert (basic.status, post.status) == (401, 200)
            encoded = await http.ask_token(self.grant, basic=("ptbridge", "s3cr%3Aet"))
            assert encoded.status == 200

        talk(emr_with(store, secret="s3cr:et"), conversation)

    @pytest.mark.parametrize("wrong", [("ptbridge", "no"), ("nobody", "secret"), ("ptbridge", "")])
    def test_wrong_ones_are_refused(self, talk, store: Store, wrong: tuple[str, str]):
        async def conversation(http):
            assert (await http.ask_token(self.grant, basic=wrong)).json["error"] == "invalid_client"

        talk(emr_with(store, secret="secret"), conversation)

    def test_a_client_may_be_held_to_one_method(self, talk, store: Store):
        async def conversation(http):
            post = {**self.grant, "client_id": "ptbridge", "client_secret": "secret"}
            assert (await http.ask_token(post)).status == 401
            assert (await http.ask_token(self.grant, basic=("ptbridge", "secret"))).status == 200

        talk(emr_with(store, secret="secret", methods=("client_secret_basic",)), conversation)

    def test_another_grant_is_refused(self, talk, store: Store):
        async def conversation(http):
            answer = await http.ask_token({"grant_type": "password"})
            assert (answer.status, answer.json["error"]) == (400, "unsupported_grant_type")

        talk(emr_with(store, secret="secret"), conversation)


class TestTokens:
    def test_scopes_are_narrowed_and_enforced(self, talk, store: Store):
        async def conversation(http):
            asked = {"grant_type": "client_credentials", "scope": "system/Encounter.rs system/Patient.rs"}
            granted = (await http.ask_token(asked, basic=("ptbridge", "secret"))).json
            assert granted["scope"] == "system/Encounter.rs"
            http.token = granted["access_token"]
            assert (await http.get("/Encounter")).status == 200
            assert (await http.get("/Patient/pat-0001")).status == 403
            refused = await http.ask_token({**asked, "scope": "system/Patient.rs"}, basic=("ptbridge", "secret"))
            assert (refused.status, refused.json["error"]) == (400, "invalid_scope")

        talk(emr_with(store, secret="secret", scopes=("system/Encounter.rs",)), conversation)

    def test_a_token_expires(self, talk, store: Store):
        now = [1_000_000.0]
        authority = Authority(clients=(Client(id="ptbridge", secret="secret"),), token_seconds=60, clock=lambda: now[0])

        async def conversation(http):
            grant = {"grant_type": "client_credentials"}
            http.token = (await http.ask_token(grant, basic=("ptbridge", "secret"))).json["access_token"]
            now[0] += 59
            assert (await http.get("/Encounter")).status == 200
            now[0] += 1
            answer = await http.get("/Encounter")
            assert answer.status == 401 and "invalid_token" in answer.headers["WWW-Authenticate"]

        talk(SandboxEmr(store, authority=authority), conversation)

    def test_all_tokens_can_be_made_invalid(self, talk, store: Store):
        async def conversation(http):
            grant = {"grant_type": "client_credentials"}
            http.token = (await http.ask_token(grant, basic=("ptbridge", "secret"))).json["access_token"]
            http.emr.authority.expire_tokens()
            assert (await http.get("/Encounter")).status == 401

        talk(emr_with(store, secret="secret"), conversation)

    def test_static_bearer(self, talk, store: Store):
        async def conversation(http):
            for token, status in ((None, 401), ("wrong", 401), ("static-one", 200)):
                http.token = token
                assert (await http.get("/Encounter")).status == status
            http.token = None
            assert (await http.get("/metadata")).status == 200

        talk(SandboxEmr(store, authority=Authority(bearer_tokens=("static-one",))), conversation)

    @pytest.mark.parametrize(
        ("scope", "type_", "interaction", "expected"),
        [
            ("system/*.rs", "Encounter", "s", True),
            ("system/Encounter.read", "Encounter", "r", True),
            ("system/Encounter.r", "Encounter", "s", False),
            ("system/Patient.rs", "Encounter", "r", False),
            ("user/*.rs", "Encounter", "r", False),
            ("", "Encounter", "r", False),
        ],
    )
    def test_what_scopes_allow(self, scope: str, type_: str, interaction: str, expected: bool):
        assert allows(scope, type_, interaction) is expected


def test_smart_configuration_is_public_and_names_the_token_endpoint(talk, store: Store):
    async def conversation(http):
        told = (await http.get("/.well-known/smart-configuration")).json
        assert told["token_endpoint"] == http.emr.token_url
        assert set(told["token_endpoint_auth_signing_alg_values_supported"]) == {"RS384", "ES384"}
        assert KeySet.import_key_set(JWKS).keys

    talk(emr_with(store, jwks=JWKS), conversation)


def test_secrets_stay_out_of_repr():
    shown = repr(Authority(clients=(Client(id="ptbridge", secret="hush"),), bearer_tokens=("quiet",)))
    assert "hush" not in shown and "quiet" not in shown
