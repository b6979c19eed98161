"""Signed webhooks: only the right secret, over these bytes, in this window, wakes anything."""

from __future__ import annotations

import asyncio
import base64
import hashlib
import hmac
from typing import Any

import httpx
import pytest

from ptbridge.errors import ConfigError
from ptbridge.wire.webhooks import LARGEST_BODY, Signature, WebhookDoor

NOW = 1_780_000_000
BODY = b'{"type":"charge.answered"}'


def digest(secret: bytes, signed: bytes) -> bytes:
    return hmac.new(secret, signed, hashlib.sha256).digest()


def standard(secret: bytes = b"s3cret-s3cret-s3cret", sent_at: int = NOW, body: bytes = BODY) -> dict[str, str]:
    signature = base64.b64encode(digest(secret, f"msg_1.{sent_at}.".encode() + body)).decode()
    return {"webhook-id": "msg_1", "webhook-timestamp": str(sent_at), "webhook-signature": f"v1,{signature}"}


def timestamped(secret: bytes = b"s3cret", sent_at: int = NOW, body: bytes = BODY) -> dict[str, str]:
    return {"x-signature": f"t={sent_at},v1={digest(secret, f'{sent_at}.'.encode() + body).hex()}"}


STANDARD = Signature(scheme="standard", secret="whsec_" + base64.b64encode(b"s3cret-s3cret-s3cret").decode())
TIMESTAMPED = Signature(scheme="timestamped", secret="s3cret")
OF_BODY = Signature(scheme="body", secret="s3cret", header="X-Hub-Signature-256")


@pytest.mark.parametrize(
    ("signature", "headers", "why"),
    [
        (STANDARD, standard(), ""),
        (STANDARD, standard(sent_at=NOW - 300), ""),
        (STANDARD, standard(sent_at=NOW + 300), ""),
        (STANDARD, standard(sent_at=NOW - 301), "stale"),
        (STANDARD, standard(sent_at=NOW + 301), "stale"),
        (STANDARD, standard(secret=b"another"), "bad-signature"),
        (STANDARD, standard(body=BODY + b" "), "bad-signature"),
        (STANDARD, {**standard(), "webhook-timestamp": str(NOW - 1)}, "bad-signature"),
        (STANDARD, {**standard(), "webhook-id": "msg_2"}, "bad-signature"),
        (STANDARD, {**standard(), "webhook-signature": "v1,AAAA " + standard()["webhook-signature"]}, ""),
        (STANDARD, {**standard(), "webhook-signature": "v2,AAAA"}, "unsigned"),
        (STANDARD, {**standard(), "webhook-signature": "v1,not base64"}, "unsigned"),
        (STANDARD, {}, "unsigned"),
        (TIMESTAMPED, timestamped(), ""),
        (TIMESTAMPED, timestamped(sent_at=NOW - 301), "stale"),
        (TIMESTAMPED, timestamped(secret=b""), "bad-signature"),
        (TIMESTAMPED, {"x-signature": timestamped()["x-signature"] + ",v1=00"}, ""),
        (TIMESTAMPED, {"x-signature": "t=,v1=zz"}, "unsigned"),
        (OF_BODY, {"x-hub-signature-256": "sha256=" + digest(b"s3cret", BODY).hex()}, ""),
        (OF_BODY, {"x-hub-signature-256": digest(b"s3cret", BODY + b"x").hex()}, "bad-signature"),
        (OF_BODY, {"x-signature": digest(b"s3cret", BODY).hex()}, "unsigned"),
    ],
)
def test_what_is_believed(signature: Signature, headers: dict[str, str], why: str) -> None:
    assert signature.refuses(headers, BODY, now=float(NOW)) == why


def test_a_time_that_is_no_number_is_stale_and_an_unknown_scheme_a_mistake() -> None:
    signed = base64.b64encode(digest(b"k", b"m.soon." + BODY)).decode()
    headers = {"webhook-id": "m", "webhook-timestamp": "soon", "webhook-signature": f"v1,{signed}"}
    assert Signature(scheme="standard", secret="k").refuses(headers, BODY, now=float(NOW)) == "stale"
    with pytest.raises(ConfigError, match="webhook"):
        Signature(scheme="none", secret="k")


def test_the_secret_is_in_no_repr() -> None:
    assert "s3cret" not in repr(TIMESTAMPED)


def test_the_door_wakes_for_the_right_clinic_and_counts_the_rest() -> None:
    async def scene() -> tuple[list[int], list[str], dict[str, int]]:
        woken: list[str] = []
        async with (
            WebhookDoor({"oak": STANDARD}, woken.append, clock=lambda: float(NOW)) as door,
            httpx.AsyncClient() as client,
        ):
            url = door.addresses["oak"]
            posts: list[tuple[str, dict[str, Any]]] = [
                (url, {"headers": standard(), "content": BODY}),
                (url, {"headers": standard(secret=b"wrong"), "content": BODY}),
                (url, {"content": BODY}),
                (url.replace("oak", "elm"), {"headers": standard(), "content": BODY}),
                (url, {"headers": standard(), "content": b"x" * (LARGEST_BODY + 1)}),
            ]
            statuses = [(await client.post(to, **what)).status_code for to, what in posts]
            statuses.append((await client.get(url)).status_code)
            return statuses, woken, dict(door.counts)

    statuses, woken, counts = asyncio.run(scene())
    assert statuses == [204, 401, 401, 401, 413, 405]
    assert woken == ["oak"]
    assert counts == {"taken": 1, "bad-signature": 1, "unsigned": 1, "unknown-clinic": 1, "unreadable": 1}


def test_a_copy_of_a_signed_request_wakes_nothing_until_it_is_stale_anyway() -> None:
    now = float(NOW)

    async def scene() -> tuple[list[int], list[str], dict[str, int]]:
        nonlocal now
        woken: list[str] = []
        doors = {"oak": STANDARD, "elm": STANDARD, "ash": TIMESTAMPED, "yew": OF_BODY}
        of_body = {"x-hub-signature-256": digest(b"s3cret", BODY).hex()}
        async with WebhookDoor(doors, woken.append, clock=lambda: now) as door, httpx.AsyncClient() as client:

            async def post(name: str, headers: dict[str, str]) -> int:
                return (await client.post(door.addresses[name], headers=headers, content=BODY)).status_code

            statuses = [await post("oak", standard()), await post("oak", standard()), await post("elm", standard())]
            statuses += [await post("oak", standard(sent_at=NOW + 1)), await post("ash", timestamped())]
            statuses += [await post("ash", timestamped()), await post("yew", of_body), await post("yew", of_body)]
            now += 300
            statuses.append(await post("oak", standard()))
            now += 2
            statuses.append(await post("oak", standard()))
            assert await post("oak", standard(sent_at=NOW + 302)) == 204 and len(door._taken) == 1, "what is stale is forgotten"
            return statuses, woken, dict(door.counts)

    statuses, woken, counts = asyncio.run(scene())
    assert statuses == [204, 401, 204, 204, 204, 401, 204, 204, 401, 401]
    assert woken == ["oak", "elm", "oak", "ash", "yew", "yew", "oak"]
    assert counts == {"taken": 7, "replayed": 3, "stale": 1}


def test_a_sender_may_begin_the_names_of_the_standard_otherwise() -> None:
    named = {name.replace("webhook", "svix"): value for name, value in standard().items()}
    signature = Signature(scheme="standard", secret=STANDARD.secret, header="Svix-Signature")
    assert signature.refuses(named, BODY, now=float(NOW)) == ""
    assert signature.refuses(standard(), BODY, now=float(NOW)) == "unsigned"
    assert STANDARD.refuses(named, BODY, now=float(NOW)) == "unsigned"


def test_a_port_that_is_taken_is_a_matter_of_configuration() -> None:
    async def scene() -> None:
        async with WebhookDoor({"oak": STANDARD}, lambda name: None) as door:
            port = int(door.addresses["oak"].rpartition(":")[2].partition("/")[0])
            async with WebhookDoor({"oak": STANDARD}, lambda name: None, port=port):
                pass

    with pytest.raises(ConfigError, match="--serve"):
        asyncio.run(scene())
