"""Where bytes may go (delivery contract S1, S2)."""

from __future__ import annotations

import asyncio

import pytest
from aiohttp import web

from ptbridge.errors import ConfigError, PeerRefused
from ptbridge.wire.egress import EgressRule, Origin, shown_url
from ptbridge.wire.http import HttpClient
from ptbridge.wire.smart_auth import StaticBearer

BASE = "https://emr.example/fhir"
RULE = EgressRule(BASE)

FOREIGN = [
    "https://evil.example/fhir",
    "https://emr.example.evil.example/fhir",
    "https://evil.example/emr.example/fhir",
    "https://evil.example?https://emr.example/fhir",
    "https://evil.example#https://emr.example/fhir",
    "https://evil.example/@emr.example",
    "https://xemr.example/",
    "https://emr-example/",
    "https://emr.examples/",
    "https://sub.emr.example/",
    "http://emr.example/fhir",
    "http://emr.example:443/fhir",
    "https://emr.example:444/fhir",
    "https://emr.example:80/fhir",
    "https://emr.example:0443@evil.example/",
    "https://emr.example@evil.example/",
    "https://emr.example:pass@evil.example/",
    "https://user@emr.example/fhir",
    "https://user:pass@emr.example/fhir",
    "https://@emr.example/fhir",
    "https://evil.example\\@emr.example/",
    "https://emr.example\\.evil.example/",
    "https:\\\\emr.example/fhir",
    "https://evil.example\t.emr.example/",
    "https://emr.example\n.evil.example/",
    "https://emr.example\x00.evil.example/",
    " https://emr.example/fhir",
    "https://emr.example /fhir",
    "https://emr%2eexample/fhir",
    "https://emr.example%2f@evil.example/",
    "https://emr.example%00.evil.example/",
    "//evil.example/fhir",
    "///evil.example/fhir",
    "\\\\evil.example/fhir",
    "https:evil.example/fhir",
    "https:/evil.example/fhir",
    "https:///evil.example/fhir",
    "https://",
    "https://:443/fhir",
    "https://emr.example:/../@evil.example:1/x/",
    "https://emr.example:99999/fhir",
    "https://emr.example:-443/fhir",
    "https://emr.example:٤٤٣/fhir",
    "https://emr..example/fhir",
    "https://.emr.example/fhir",
    "https://emr.example../fhir",
    "https://ｅmr.example/fhir",
    "https://еmr.example/fhir",
    "https://emr.exampⅬe/fhir",
    "https://emr.example\u200b/fhir",
    "https://[::1]/fhir",
    "https://[::ffff:169.254.169.254]/latest/meta-data/",
    "https://[fe80::1%25eth0]/",
    "https://[emr.example]/fhir",
    "http://169.254.169.254/latest/meta-data/",
    "http://2852039166/",
    "http://0xA9FEA9FE/",
    "http://0251.0376.0251.0376/",
    "http://127.1/",
    "http://127.0.0.1/",
    "http://localhost/",
    "http://10.0.0.7/",
    "https://emr.example.:443.evil.example/",
    "ftp://emr.example/fhir",
    "file:///etc/passwd",
    "data:text/plain,x",
    "javascript:alert(1)",
    "HTTPS+unix://emr.example/fhir",
    "https://emr.example/" + "a" * 70_000,
]


@pytest.mark.parametrize("link", FOREIGN)
def test_a_link_that_leads_elsewhere_is_refused(link: str) -> None:
    if link.startswith("https://emr.example:/../@"):
        assert RULE.resolve(BASE, link).origin == RULE.base  # an @ in the path names nobody
        return
    if link == "///evil.example/fhir":
        assert RULE.resolve(BASE, link).origin == RULE.base  # an empty authority: RFC 3986 makes it a path of this origin
        return
    with pytest.raises(PeerRefused) as refused:
        RULE.resolve(BASE, link)
    assert "pass" not in str(refused.value)


@pytest.mark.parametrize(
    ("link", "dialled"),
    [
        ("https://emr.example/fhir?page=2", "https://emr.example/fhir?page=2"),
        ("HTTPS://EMR.Example:443/fhir?page=2", "https://emr.example/fhir?page=2"),
        ("https://emr.example./fhir", "https://emr.example/fhir"),
        ("https://emr。example/fhir", "https://emr.example/fhir"),  # an IDNA dot: compared and dialled as a dot
        ("https://emr.example:/fhir", "https://emr.example/fhir"),
        ("https://emr.example?page=2", "https://emr.example/?page=2"),
        ("?page=2", "https://emr.example/fhir?page=2"),
        ("/other?ct=a%2Fb%3d%3D", "https://emr.example/other?ct=a%2Fb%3d%3D"),
        ("Encounter?page=2", "https://emr.example/Encounter?page=2"),
        ("https://emr.example/fhir?identifier=http://x|1", "https://emr.example/fhir?identifier=http://x|1"),
        ("https://emr.example/fhir?name=José", "https://emr.example/fhir?name=Jos%C3%A9"),
        ("https://emr.example/fhir#fragment", "https://emr.example/fhir"),
        ("https://emr.example/fhir?next=https://evil.example/", "https://emr.example/fhir?next=https://evil.example/"),
    ],
)
def test_a_link_home_is_followed_word_for_word(link: str, dialled: str) -> None:
    admitted = RULE.resolve(BASE, link)
    assert admitted.url == dialled
    assert admitted.trusted


@pytest.mark.parametrize(
    ("url", "origin"),
    [
        ("https://Bücher.example/x", "https://xn--bcher-kva.example"),
        ("https://xn--bcher-kva.example", "https://xn--bcher-kva.example"),
        ("https://straße.example", "https://xn--strae-oqa.example"),
        ("http://[0:0:0:0:0:0:0:1]:8080/", "http://[::1]:8080"),
        ("http://emr_server:8080/fhir", "http://emr_server:8080"),
        ("http://127.0.0.1:80/", "http://127.0.0.1"),
    ],
)
def test_origins_are_compared_as_they_are_dialled(url: str, origin: str) -> None:
    assert str(Origin.of(url)) == origin


@pytest.mark.parametrize(
    ("host", "address", "admitted"),
    [
        ("emr.example", "10.1.2.3", True),  # the clinic's own network
        ("emr.example.", "127.0.0.1", True),
        ("emr.example", "169.254.169.254", False),
        ("emr.example", "::ffff:169.254.169.254", False),
        ("emr.example", "64:ff9b::a9fe:a9fe", False),
        ("emr.example", "fe80::1%eth0", False),
        ("emr.example", "fd00:ec2::254", False),
        ("emr.example", "0.0.0.0", False),
        ("files.example", "10.1.2.3", False),
        ("files.example", "127.0.0.1", False),
        ("files.example", "::1", False),
        ("files.example", "::ffff:10.0.0.1", False),
        ("files.example", "100.64.0.1", False),
        ("files.example", "168.63.129.16", False),
        ("files.example", "93.184.216.34", True),
        ("files.example", "nonsense", False),
    ],
)
def test_the_address_behind_a_name_is_checked(host: str, address: str, admitted: bool) -> None:
    assert EgressRule(BASE, ["https://files.example"]).admits_address(host, address) is admitted


def test_an_unusable_base_url_is_the_clinics_to_fix() -> None:
    with pytest.raises(ConfigError, match="https://host/path"):
        EgressRule("emr.example/fhir")


def test_shown_urls_hold_neither_ids_nor_values() -> None:
    url = "https://emr.example/fhir/R4/Patient/doe-jane/_history/3?patient=Patient/77&_id=a&date=ge2026&%D0%B6=1"
    assert shown_url(url) == "https://emr.example/fhir/R4/Patient/{id}/_history/{id}?patient&_id&date&…"


def test_a_name_that_stands_for_a_private_address_is_not_dialled() -> None:
    async def run() -> None:
        async with HttpClient("https://emr.example", extra_origins=["http://localhost:9"]) as http:
            with pytest.raises(PeerRefused, match="was not dialled"):
                await http.request("GET", "http://localhost:9/x", retry=False)

    asyncio.run(run())


def lowered(request: web.Request) -> dict[str, str]:
    return {name.lower(): value for name, value in request.headers.items()}


def test_credentials_stay_home(serving) -> None:
    """A thief on another port sees nothing; a listed extra origin sees a request without anything that proves us."""
    seen: list[tuple[str, dict[str, str]]] = []

    async def run() -> None:
        async def thief(request: web.Request) -> web.Response:
            seen.append(("thief", lowered(request)))
            return web.Response(text="thanks")

        async def files(request: web.Request) -> web.Response:
            seen.append(("files", lowered(request)))
            return web.Response(text="file")

        async with serving(thief) as thief_url, serving(files) as files_url:

            async def emr(request: web.Request) -> web.Response:
                seen.append(("emr", lowered(request)))
                if request.path == "/away":
                    return web.Response(status=302, headers={"Location": thief_url + "/stolen"})
                if request.path == "/home":
                    return web.Response(status=307, headers={"Location": "/there", "Set-Cookie": "session=1"})
                return web.Response(text="here")

            async with serving(emr) as emr_url:
                http = HttpClient(emr_url, authorizer=StaticBearer("s3cret-token"), extra_origins=[files_url])
                async with http:
                    with pytest.raises(PeerRefused, match="not configured"):
                        await http.request("GET", "/away")
                    with pytest.raises(PeerRefused, match="not configured"):
                        await http.request("GET", thief_url)
                    assert (await http.request("GET", "/home")).content == b"here"
                    headers = {"X-Api-Key": "k3y", "Cookie": "c", "Accept": "application/json"}
                    assert (await http.request("GET", files_url + "/1", headers=headers)).content == b"file"

    asyncio.run(run())
    assert [who for who, _ in seen] == ["emr", "emr", "emr", "files"]
    assert all(headers["authorization"] == "Bearer s3cret-token" for who, headers in seen if who == "emr")
    outside = seen[-1][1]
    assert not {"authorization", "x-api-key", "cookie"} & outside.keys()
    assert outside["accept"] == "application/json"
    assert not any("cookie" in headers for _, headers in seen)  # the session cookie of /home is not kept
