"""FHIR search, read and paging against a misbehaving server on loopback."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable
from typing import Any

import pytest
from aiohttp import web

from ptbridge.errors import PeerRefused, PeerUnavailable
from ptbridge.wire.fhir import Entry, FhirClient, Gone, Page
from ptbridge.wire.http import HttpClient, RetryPolicy

Answer = tuple[int, Any] | tuple[int, Any, dict[str, str]]


def encounter(id: str, version: str | None = "1", **more: Any) -> dict[str, Any]:
    meta = {"meta": {"versionId": version, "lastUpdated": "2026-11-02T10:00:00Z"}} if version else {}
    return {"resourceType": "Encounter", "id": id, **meta, **more}


def bundle(*resources: Any, next: str | None = None, stamp: str | None = "2026-11-02T12:00:00Z", **more: Any) -> dict[str, Any]:
    links = [{"relation": "self", "url": "x"}] + ([{"relation": "next", "url": next}] if next else [])
    entries = [{"fullUrl": "urn:x", "resource": resource, "search": {"mode": "match"}} for resource in resources]
    found = {"resourceType": "Bundle", "type": "searchset", "link": links, "entry": entries, **more}
    return {**found, "meta": {"lastUpdated": stamp}} if stamp else found


def outcome(severity: str = "error", code: str = "invalid", **more: Any) -> dict[str, Any]:
    return {"resourceType": "OperationOutcome", "issue": [{"severity": severity, "code": code, **more}]}


class Emr:
    """Answers each path?query from its own list of answers, the last again and again. Bodies: JSON values or bytes."""

    def __init__(self, answers: dict[str, list[Answer] | Answer]) -> None:
        self.answers = {key: value if isinstance(value, list) else [value] for key, value in answers.items()}
        self.asked: list[str] = []
        self.headers: list[dict[str, str]] = []

    async def __call__(self, request: web.Request) -> web.Response:
        key = request.path_qs.removeprefix("/fhir/")
        self.asked.append(key)
        self.headers.append({name.lower(): value for name, value in request.headers.items()})
        waiting = self.answers.get(key) or [(404, outcome(code="not-found"))]
        status, body, *rest = waiting.pop(0) if len(waiting) > 1 else waiting[0]
        content = body if isinstance(body, bytes) else json.dumps(body).replace("BASE", f"http://{request.host}").encode()
        headers = {"Content-Type": "application/fhir+json", **(rest[0] if rest else {})}
        return web.Response(status=status, body=content, headers=headers)


@pytest.fixture
def work(serving, still) -> Callable[..., Any]:
    """Run `job(fhir)` against an Emr, three attempts a request, no real waiting."""

    def run(emr: Emr, job: Callable[[FhirClient], Any], **client: Any) -> Any:
        async def inner() -> Any:
            async with (
                serving(emr) as url,
                HttpClient(f"{url}/fhir", clock=still.seams, retry=RetryPolicy(attempts=3)) as http,
            ):
                return await job(FhirClient(http, f"{url}/fhir/", **client))

        return asyncio.run(inner())

    return run


async def pages(fhir: FhirClient, *params: tuple[str, str]) -> list[Page]:
    return [page async for page in fhir.search("Encounter", params)]


def ids(found: list[Page]) -> list[str]:
    return [entry.resource["id"] for page in found for entry in page.entries]


START = "Encounter?_count=100"


# ---------------------------------------------------------------- paging that works


def test_pages_are_followed_to_the_end(work) -> None:
    emr = Emr(
        {
            "Encounter?date=ge2026-11-01&_sort=_lastUpdated&_count=2": (
                200,
                bundle(encounter("a"), encounter("b"), next="BASE/fhir?ct=x%2Fy%3d"),
            ),
            "/fhir?ct=x%2Fy%3d": (200, bundle(next="BASE/fhir/Encounter?page=3")),  # empty, and yet not the end
            "Encounter?page=3": (200, bundle(encounter("c"), stamp=None), {"Date": "Mon, 02 Nov 2026 12:00:07 GMT"}),
        }
    )
    found = work(emr, lambda fhir: pages(fhir, ("date", "ge2026-11-01"), ("_sort", "_lastUpdated")), page_size=2)
    assert ids(found) == ["a", "b", "c"]
    assert [len(page.entries) for page in found] == [2, 0, 1]
    assert [page.server_time for page in found] == ["2026-11-02T12:00:00Z", "2026-11-02T12:00:00Z", "2026-11-02T12:00:07Z"]
    assert emr.headers[0]["cache-control"] == "no-cache"
    assert "application/fhir+json" in emr.headers[0]["accept"]


def test_raw_bytes_are_the_servers_own(work) -> None:
    odd = '{ "resourceType" :"Encounter","id":"é\\u00e9", "length":{"value": 45.50 },\n"x":1e2 }'.encode()
    emr = Emr({START: (200, b'{"resourceType":"Bundle","entry":[ {"resource": ' + odd + b' , "fullUrl":"u"}]}')})
    (page,) = work(emr, pages)
    assert page.entries[0].raw == odd
    assert page.entries[0].resource["id"] == "éé"


def test_duplicates_over_pages_are_given_once_and_new_versions_again(work) -> None:
    no_version = encounter("n", version=None)
    changed = {**encounter("a"), "meta": {"versionId": "1", "lastUpdated": "2026-11-02T11:00:00Z"}}  # versions stuck at "1"
    first = bundle(encounter("a"), encounter("b"), no_version, next="BASE/fhir/2")
    second = bundle(encounter("b"), no_version, encounter("b", "2"), changed, encounter("n", version=None, status="finished"))
    found = work(Emr({START: (200, first), "2": (200, second)}), pages)
    assert ids(found) == ["a", "b", "n", "b", "a", "n"]


def test_the_callers_own_count_is_kept(work) -> None:
    emr = Emr({"Encounter?_count=7": (200, bundle())})
    work(emr, lambda fhir: pages(fhir, ("_count", "7")))
    assert emr.asked == ["Encounter?_count=7"]


def test_outcome_entries_are_warnings(work) -> None:
    remark = {"resource": outcome("warning", "suppressed", diagnostics="for Jane Doe"), "search": {"mode": "outcome"}}
    body = bundle(encounter("a"))
    body["entry"] += [remark, {"fullUrl": "nothing here"}, {"resource": None}]
    (page,) = work(Emr({START: (200, body)}), pages)
    assert ids([page]) == ["a"]
    assert page.warnings == ("warning suppressed", "entry without a resource", "entry without a resource")
    assert "Doe" not in repr(page)


def test_one_unreadable_entry_does_not_cost_the_page(work) -> None:
    content = (
        b'{"resourceType":"Bundle","entry":["odd",{"resource":[1]},{"resource":{"id":"\xff"}},'
        b'{"resource":{"resourceType":"Encounter","id":"a"}}]}'
    )
    (page,) = work(Emr({START: (200, content)}), pages)
    assert [entry.resource.get("id") for entry in page.entries] == [None, None, None, "a"]
    assert [entry.raw for entry in page.entries][:3] == [b'"odd"', b"[1]", b'{"id":"\xff"}']
    assert page.warnings == ("entry that cannot be read",) * 3


# ---------------------------------------------------------------- paging that goes wrong


@pytest.mark.parametrize("loop", [START, "2", "1"])
def test_a_loop_ends_with_an_error(work, loop: str) -> None:
    emr = Emr(
        {
            START: (200, bundle(encounter("a"), next="BASE/fhir/1")),
            "1": (200, bundle(encounter("b"), next="BASE/fhir/2")),
            "2": (200, bundle(encounter("c"), next=f"BASE/fhir/{loop}")),
        }
    )
    with pytest.raises(PeerUnavailable, match="paging loop"):
        work(emr, pages)
    assert emr.asked == [START, "1", "2", "2", "2"]  # the page that closes the loop is read again, as often as any fault


def test_a_link_that_repeats_once_is_survived(work) -> None:
    slip = (200, bundle(encounter("b"), next="BASE/fhir/1"))
    emr = Emr({START: (200, bundle(encounter("a"), next="BASE/fhir/1")), "1": [slip, (200, bundle(encounter("b")))]})
    assert ids(work(emr, pages)) == ["a", "b"]


def test_links_without_end_are_bounded(work) -> None:
    class Endless(Emr):
        async def __call__(self, request: web.Request) -> web.Response:
            self.asked.append(request.path_qs)
            return web.json_response(bundle(next=f"http://{request.host}/fhir/{len(self.asked)}"))

    emr = Endless({})
    with pytest.raises(PeerUnavailable, match="more than 9 pages"):
        work(emr, pages, max_pages=9)
    assert len(emr.asked) == 9


@pytest.mark.parametrize("status", [400, 404, 410])
def test_an_expired_link_restarts_the_search_once(work, status: int) -> None:
    again = [
        (200, bundle(encounter("a"), next="BASE/fhir/old")),
        (200, bundle(encounter("a"), encounter("b"), next="BASE/fhir/new")),
    ]
    emr = Emr({START: again, "old": (status, outcome()), "new": (200, bundle(encounter("c")))})
    assert ids(work(emr, pages)) == ["a", "b", "c"]
    assert emr.asked == [START, "old", START, "new"]
    always = Emr({START: (200, bundle(encounter("a"), next="BASE/fhir/old")), "old": (status, b"gone")})
    with pytest.raises(PeerUnavailable, match="expire"):
        work(always, pages)
    assert always.asked == [START, "old", START, "old"]


@pytest.mark.parametrize(
    "link",
    ["https://evil.example/fhir?page=2", "//evil.example/2", "http://127.0.0.1:1/fhir", "http://a@127.0.0.1/", "file:///x"],
)
def test_a_foreign_next_link_is_refused(work, link: str) -> None:
    emr = Emr({START: (200, bundle(encounter("a"), next=link))})
    with pytest.raises(PeerRefused):
        work(emr, pages)
    assert emr.asked == [START]


def test_a_relative_next_link_stays_home(work) -> None:
    emr = Emr({START: (200, bundle(encounter("a"), next="?page=2")), "Encounter?page=2": (200, bundle(encounter("b")))})
    assert ids(work(emr, pages)) == ["a", "b"]


@pytest.mark.parametrize(
    "links", [{"relation": "next"}, ["next"], [{"relation": "next"}], [{"relation": "next", "url": ""}], "BASE/2"]
)
def test_links_that_cannot_be_read_are_not_the_last_page(work, links: Any) -> None:
    with pytest.raises(PeerUnavailable, match="link"):
        work(Emr({START: (200, bundle(encounter("a"), link=links))}), pages)


# ---------------------------------------------------------------- answers that are none

GOOD = (200, bundle(encounter("a")))
WHOLE = json.dumps(bundle(encounter("a"))).encode()


@pytest.mark.parametrize(
    "trouble",
    [
        (200, b"<html>log in</html>", {"Content-Type": "text/html"}),
        (200, b"<!DOCTYPE html>"),
        (200, WHOLE[:-30]),
        (200, WHOLE[:40]),
        (200, b""),
        (200, b"null"),
        (200, b"[]"),
        (200, b"{}"),
        (200, b'"Bundle"'),
        (200, b"[" * 100_000),
        (200, {"resourceType": "Patient", "id": "1"}),
        (200, {"resourceType": "Bundle", "entry": {}}),
        (200, outcome("information", "informational")),
        (200, outcome("error", "transient")),
        (429, b"", {"Retry-After": "1"}),
        (429, outcome(code="throttled"), {"RateLimit": "limit=1"}),
        (503, b"<html>"),
        (500, outcome("fatal", "exception")),
        (400, outcome("error", "invalid")),
        (400, outcome("error", "invalid", diagnostics="Database is down, try at a later date")),
        (400, b"bad"),
        (400, b""),
        (204, b""),
    ],
)
def test_trouble_that_passes_is_waited_out_and_never_means_no_visits(work, trouble: Answer) -> None:
    assert ids(work(Emr({START: [trouble, trouble, GOOD]}), pages)) == ["a"]
    with pytest.raises(PeerUnavailable) as unavailable:
        work(Emr({START: trouble}), pages)
    assert "3 attempts" in str(unavailable.value)


@pytest.mark.parametrize(
    ("answer", "said"),
    [
        ((400, outcome(expression=["http.date"])), "error invalid"),
        ((400, outcome(location=["/f:x"])), "error invalid"),
        ((400, outcome(code="not-supported")), "not-supported"),
        ((400, outcome(code="processing", diagnostics='Unknown search parameter "date" for "Encounter"')), "processing"),
        ((400, outcome(code="processing", details={"text": "Unknown search parameter: date"})), "processing"),
        ((403, outcome(code="forbidden")), "403"),
        ((404, b"no such thing"), "404"),
        ((405, b""), "405"),
        ((422, outcome(code="business-rule")), "business-rule"),
        ((500, outcome("fatal", "required", diagnostics="mrn-7741 misses status")), "Narrow the search"),
        ((200, outcome("fatal", "forbidden")), "forbidden"),
        ((200, outcome("error", "Jane Doe")), "unknown"),
    ],
)
def test_a_no_is_not_asked_again(work, answer: Answer, said: str) -> None:
    emr = Emr({"Encounter?date=ge2026&_count=100": answer})
    with pytest.raises(PeerRefused, match=said) as refused:
        work(emr, lambda fhir: pages(fhir, ("date", "ge2026")))
    assert len(emr.asked) == 1
    assert refused.value.status == answer[0]
    assert not any(word in str(refused.value) for word in ("Doe", "mrn-7741"))


def test_a_token_that_lives_sixty_seconds_outlasts_a_long_walk(serving, still) -> None:
    """Each page takes 25 s: the token is renewed on the way, and one that the server revokes early is replaced."""
    from ptbridge.wire.smart_auth import ClientSecret, TokenEndpoint

    tokens: dict[str, float] = {}
    refused: list[str] = []

    async def emr(request: web.Request) -> web.Response:
        if request.path == "/token":
            name = f"t{len(tokens)}"
            tokens[name] = still.seconds + (60 if len(tokens) != 1 else 5)
            return web.json_response({"access_token": name, "token_type": "bearer", "expires_in": 60})
        name = request.headers["Authorization"].removeprefix("Bearer ")
        if tokens[name] <= still.seconds:
            refused.append(name)
            return web.Response(status=401)
        number = int(request.query.get("page", "0"))
        still.seconds += 25
        onward = f"http://{request.host}/fhir/Encounter?page={number + 1}" if number < 11 else None
        return web.json_response(bundle(encounter(f"e{number}"), next=onward))

    async def run() -> list[Page]:
        async with serving(emr) as url:
            endpoint = TokenEndpoint(f"{url}/fhir", f"{url}/token", clock=still.seams)
            authorizer = ClientSecret("demo", "secret", endpoint=endpoint)
            async with HttpClient(f"{url}/fhir", authorizer=authorizer, clock=still.seams) as http:
                return await pages(FhirClient(http, f"{url}/fhir"))

    assert ids(asyncio.run(run())) == [f"e{n}" for n in range(12)]
    assert refused == ["t1"]
    assert len(tokens) > 4


# ---------------------------------------------------------------- read, capability


def test_read(work) -> None:
    emr = Emr(
        {
            "Encounter/a": [(503, b""), (200, encounter("a"))],
            "Encounter/deleted": (410, outcome(code="deleted")),
            "Encounter/odd%2F..%2Fid": (400, b"bad id"),
            "Encounter/html": (200, b"<html>"),
            "Encounter/broken": (200, outcome()),
            "Encounter/other": (200, {"resourceType": "Patient", "id": "other"}),
        }
    )

    async def job(fhir: FhirClient) -> None:
        found = await fhir.read("Encounter", "a")
        assert isinstance(found, Entry) and found.resource["id"] == "a"
        assert await fhir.read("Encounter", "deleted") == Gone("Encounter", "deleted")
        assert await fhir.read("Encounter", "missing") is None
        assert await fhir.read("Encounter", "odd/../id") is None
        assert await fhir.read("Encounter", "..") is None
        with pytest.raises(PeerUnavailable):
            await fhir.read("Encounter", "html")
        with pytest.raises(PeerRefused):
            await fhir.read("Encounter", "broken")
        other = await fhir.read("Encounter", "other")
        assert isinstance(other, Entry) and other.resource["resourceType"] == "Patient"

    work(emr, job)
    assert "deleted" not in repr(Gone("Encounter", "deleted"))


def test_capability(work) -> None:
    statement = {"resourceType": "CapabilityStatement", "status": "active"}
    assert work(Emr({"metadata": (200, statement)}), lambda fhir: fhir.capability()) == statement
    for wrong in ((404, b""), (200, encounter("a"))):
        with pytest.raises(PeerRefused, match="FHIR endpoint"):
            work(Emr({"metadata": wrong}), lambda fhir: fhir.capability())
