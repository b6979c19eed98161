"""The one client against real servers on loopback: retries, refusals, lost answers, bounds, logs."""

from __future__ import annotations

import asyncio
import contextlib
import gzip
import logging
from collections.abc import AsyncIterator, Mapping
from email.utils import formatdate

import httpx
import pytest
from aiohttp import web

from ptbridge.errors import OutcomeUnknown, PeerRefused, PeerUnavailable
from ptbridge.wire.http import HttpClient, Limits, RetryPolicy, Timeouts


class Counting:
    """Answers from a list, the last one again and again; remembers what was asked."""

    def __init__(self, *answers: tuple[int, dict[str, str], bytes]) -> None:
        self.answers = answers
        self.asked: list[tuple[str, str, bytes]] = []
        self.headers: list[dict[str, str]] = []

    async def __call__(self, request: web.Request) -> web.Response:
        self.asked.append((request.method, request.path_qs, await request.read()))
        self.headers.append({name.lower(): value for name, value in request.headers.items()})
        status, headers, body = self.answers[min(len(self.asked), len(self.answers)) - 1]
        return web.Response(status=status, headers=headers, body=body)


JSON = {"Content-Type": "application/json"}
GOOD = (200, JSON, b'{"ok":true}')


@contextlib.asynccontextmanager
async def speaking(answer: bytes | None, *, hang: bool = False) -> AsyncIterator[tuple[str, list[bytes]]]:
    """A raw server: reads one request, writes these bytes as they are (None: nothing), and closes or hangs."""
    requests: list[bytes] = []
    writers: list[asyncio.StreamWriter] = []

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writers.append(writer)
        requests.append(await reader.read(65_536))
        if answer is not None:
            writer.write(answer)
            await writer.drain()
        if not hang:
            writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    try:
        yield f"http://127.0.0.1:{port}", requests
    finally:
        server.close()
        for writer in writers:
            writer.close()
            with contextlib.suppress(OSError):
                await writer.wait_closed()
        await server.wait_closed()


def ask(serving, handler, *, method: str = "GET", url: str = "/x", client: Mapping[str, object] | None = None, **asked: object):
    async def run():
        async with serving(handler) as base, HttpClient(base, **(client or {})) as http:
            return await http.request(method, url, **asked)

    return asyncio.run(run())


def ask_raw(answer: bytes | None, method: str, *, hang: bool = False, **client: object) -> list[bytes]:
    """Requests that the raw server saw; raises what the client raised."""
    requests: list[bytes] = []

    async def run() -> None:
        nonlocal requests
        async with speaking(answer, hang=hang) as (base, seen), HttpClient(base, **client) as http:
            requests = seen
            await http.request(method, "/x", content=b"{}" if method != "GET" else None)

    try:
        asyncio.run(run())
    finally:
        ask_raw.seen = requests  # type: ignore[attr-defined]
    return requests


# ---------------------------------------------------------------- retries


@pytest.mark.parametrize("status", [408, 425, 429, 500, 502, 503, 504])
def test_a_passing_outage_is_waited_out(serving, still, status: int) -> None:
    handler = Counting((status, {}, b""), (status, {}, b""), GOOD)
    response = ask(serving, handler, client={"clock": still.seams}, expect_json=True)
    assert response.json() == {"ok": True}
    assert len(handler.asked) == 3
    assert still.slept == [0.5, 1.0]  # full jitter at its upper end


@pytest.mark.parametrize("status", [400, 404, 405, 409, 410, 412, 422, 501, 505])
def test_an_answer_is_an_answer(serving, still, status: int) -> None:
    handler = Counting((status, JSON, b"{}"))
    assert ask(serving, handler, client={"clock": still.seams}).status == status
    assert len(handler.asked) == 1


def test_attempts_are_bounded(serving, still) -> None:
    handler = Counting((503, {"Retry-After": "2"}, b""))
    with pytest.raises(PeerUnavailable, match=r"HTTP 503.*3 attempts") as unavailable:
        ask(serving, handler, client={"clock": still.seams, "retry": RetryPolicy(attempts=3)})
    assert len(handler.asked) == 3
    assert unavailable.value.status == 503
    assert unavailable.value.retry_after_seconds == 2
    assert all(pause >= 2 for pause in still.slept)


def test_age_is_bounded_before_the_wait_not_after(serving, still) -> None:
    handler = Counting((429, {"Retry-After": "18000"}, b""))
    with pytest.raises(PeerUnavailable) as unavailable:
        ask(serving, handler, client={"clock": still.seams})
    assert len(handler.asked) == 1
    assert still.slept == []
    assert unavailable.value.retry_after_seconds == 3600


def test_a_retry_date_is_read_by_the_servers_own_clock(serving, still) -> None:
    server_now = still.epoch - 50_000  # this machine's clock is far off
    headers = {"Date": formatdate(server_now, usegmt=True), "Retry-After": formatdate(server_now + 20, usegmt=True)}
    ask(serving, Counting((503, headers, b""), GOOD), client={"clock": still.seams})
    assert still.slept == [20.5]


@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE", "PATCH"])
@pytest.mark.parametrize("status", [429, 500, 503])
def test_what_may_have_an_effect_is_not_repeated(serving, still, method: str, status: int) -> None:
    handler = Counting((status, {"Retry-After": "7"}, b""))
    response = ask(serving, handler, method=method, content=b"{}", client={"clock": still.seams})
    assert (response.status, response.retry_after_seconds) == (status, 7)
    assert len(handler.asked) == 1


def test_html_where_json_was_asked_is_no_answer(serving, still) -> None:
    page = (200, {"Content-Type": "text/html"}, b"<html>log in</html>")
    disguised = (200, JSON, b"\n<!DOCTYPE html>")
    handler = Counting(page, disguised, GOOD)
    assert ask(serving, handler, client={"clock": still.seams}, expect_json=True).json() == {"ok": True}
    with pytest.raises(OutcomeUnknown):
        ask(serving, Counting(page), method="POST", content=b"{}", expect_json=True)


# ---------------------------------------------------------------- lost answers


CUT = b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n{"
BAD_CHUNK = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhel"
NO_HTTP = b"\x16\x03\x01\x02\x00garbage\r\n\r\n"
CUT_GZIP_BODY = gzip.compress(b'{"resourceType":"Bundle"}' * 50)[:-9]
CUT_GZIP = b"HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Encoding: gzip\r\nContent-Length: %d\r\n\r\n%b" % (
    len(CUT_GZIP_BODY),
    CUT_GZIP_BODY,
)


@pytest.mark.parametrize("answer", [None, CUT, BAD_CHUNK, NO_HTTP, CUT_GZIP], ids=["none", "cut", "chunk", "no-http", "gzip"])
def test_a_read_that_breaks_is_repeated_and_a_write_is_in_doubt(still, answer: bytes | None) -> None:
    with pytest.raises(PeerUnavailable, match="4 attempts"):
        ask_raw(answer, "GET", clock=still.seams, retry=RetryPolicy(attempts=4))
    assert len(ask_raw.seen) == 4  # type: ignore[attr-defined]
    for method in ("POST", "PUT", "DELETE"):
        with pytest.raises(OutcomeUnknown, match="Look it up"):
            ask_raw(answer, method, clock=still.seams)
        assert len(ask_raw.seen) == 1, method  # type: ignore[attr-defined]


@pytest.mark.parametrize("answer", [None, b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\n{"], ids=["silent", "dripping"])
def test_a_server_that_hangs_is_left(answer: bytes | None) -> None:
    slow = Timeouts(connect=5, read=5, total=0.15)
    with pytest.raises(PeerUnavailable, match="no answer in time"):
        ask_raw(answer, "GET", hang=True, timeouts=slow, retry=RetryPolicy(attempts=1))
    with pytest.raises(OutcomeUnknown):
        ask_raw(answer, "POST", hang=True, timeouts=slow)
    with pytest.raises(OutcomeUnknown):
        ask_raw(answer, "POST", hang=True, timeouts=Timeouts(read=0.1))


def closed_port() -> int:
    async def run() -> int:
        server = await asyncio.start_server(lambda _reader, _writer: None, "127.0.0.1", 0)
        port = server.sockets[0].getsockname()[1]
        server.close()
        await server.wait_closed()
        return port

    return asyncio.run(run())


@pytest.mark.parametrize("url", ["http://127.0.0.1:{port}", "http://no-such-host.invalid", "https://127.0.0.1:{port}"])
def test_no_connection_means_nothing_was_taken(still, url: str) -> None:
    async def run() -> None:
        async with HttpClient(url.format(port=closed), clock=still.seams, retry=RetryPolicy(attempts=3)) as http:
            with pytest.raises(PeerUnavailable, match="no connection"):
                await http.request("POST", "/x", content=b"{}")
            assert still.slept == []
            with pytest.raises(PeerUnavailable, match="3 attempts"):
                await http.request("POST", "/x", content=b"{}", retry=True)

    closed = closed_port()
    asyncio.run(run())


def test_a_kept_connection_that_broke_does_not_send_twice(serving) -> None:
    """aiohttp by itself repeats PUT and DELETE on a kept connection that the server closed."""
    seen: list[str] = []

    async def drops_the_second(request: web.Request) -> web.Response:
        await request.read()
        seen.append(request.method)
        if len(seen) == 2:
            request.transport.close()
        return web.Response()

    async def run() -> None:
        async with serving(drops_the_second) as base, HttpClient(base) as http:
            await http.request("PUT", "/x", content=b"1")
            with pytest.raises(OutcomeUnknown):
                await http.request("PUT", "/x", content=b"2")

    asyncio.run(run())
    assert seen == ["PUT", "PUT"]


# ---------------------------------------------------------------- refusals and refresh


class Rotating:
    """An authorizer whose token is good after `good_after` refreshes."""

    credential = "client demo"

    def __init__(self) -> None:
        self.refreshed = 0

    async def headers(self, method: str, url: str) -> dict[str, str]:
        return {"authorization": f"Bearer t{self.refreshed}"}

    async def refresh(self, rejected: Mapping[str, str] | None = None) -> bool:
        self.refreshed += 1
        return True

    async def close(self) -> None:
        self.closed = True


@pytest.mark.parametrize("method", ["GET", "POST"])
def test_one_refresh_after_401(serving, method: str) -> None:
    handler = Counting((401, {}, b""), GOOD)
    authorizer = Rotating()
    assert ask(serving, handler, method=method, content=b"{}", client={"authorizer": authorizer}).status == 200
    assert [headers["authorization"] for headers in handler.headers] == ["Bearer t0", "Bearer t1"]
    assert [body for _, _, body in handler.asked] == [b"{}", b"{}"]
    assert authorizer.closed


@pytest.mark.parametrize(("status", "asked"), [(401, 2), (403, 1)])
def test_a_refusal_names_the_credential_and_is_not_repeated(serving, still, status: int, asked: int) -> None:
    handler = Counting((status, {}, b"Jane Doe may not"))
    with pytest.raises(PeerRefused, match="client demo") as refused:
        ask(serving, handler, url="/Patient/123?name=Doe", client={"authorizer": Rotating(), "clock": still.seams})
    assert len(handler.asked) == asked
    assert refused.value.status == status
    assert not {"Doe", "123"} & set(str(refused.value).replace("=", " ").split())


# ---------------------------------------------------------------- redirects


def test_redirects_are_bounded_and_for_reads_only(serving) -> None:
    handler = Counting((302, {"Location": "/again"}, b""))
    with pytest.raises(PeerRefused, match="5 redirects"):
        ask(serving, handler)
    assert len(handler.asked) == 6
    posted = Counting((307, {"Location": "/again"}, b""))
    assert ask(serving, posted, method="POST", content=b"{}").status == 307
    assert len(posted.asked) == 1


# ---------------------------------------------------------------- bounds


def test_a_bomb_is_refused_not_unpacked(serving, still) -> None:
    bomb = gzip.compress(b"\0" * (30 << 20))
    handler = Counting((200, {"Content-Encoding": "gzip"}, bomb))
    with pytest.raises(PeerRefused, match="200 to 1"):
        ask(serving, handler, client={"clock": still.seams})
    assert len(handler.asked) == 1
    with pytest.raises(PeerRefused, match="1000 bytes"):
        ask(serving, Counting((200, {}, b"x" * 1001)), client={"limits": Limits(max_response_bytes=1000)})


def test_compressed_answers_arrive_whole(serving) -> None:
    text = b'{"resourceType":"Bundle","entry":[]}' * 5000
    handler = Counting((200, {"Content-Encoding": "gzip"}, gzip.compress(text)))
    assert ask(serving, handler).content == text
    assert handler.headers[0]["accept-encoding"] == "gzip, deflate"


def test_requests_leave_no_faster_than_the_rate(still) -> None:
    moments: list[float] = []

    def answer(request: httpx.Request) -> httpx.Response:
        moments.append(still.seconds)
        return httpx.Response(503 if len(moments) % 5 == 0 else 200)

    async def run() -> None:
        transport = httpx.MockTransport(answer)
        async with HttpClient("https://emr.example", requests_per_second=4, clock=still.seams, transport=transport) as http:
            for n in range(20):  # the retries count too
                await http.request("GET", f"/{n}")

    asyncio.run(run())
    assert len(moments) > 20
    assert all(sum(start <= moment < start + 1 for moment in moments) <= 4 for start in moments)


# ---------------------------------------------------------------- the request itself, logs, the transport seam


def test_urls_and_bodies_arrive_as_they_were_given(serving) -> None:
    handler = Counting(GOOD)
    signed = "/p?ct=a%2Fb%3d&sig=x+y%20z&q='a'|b"
    ask(serving, handler, url=signed, params=[("date", "ge2026-11-02T00:00:00-06:00"), ("date", "le2026"), ("_id", "a,b")])
    assert handler.asked[0][1] == signed + "&date=ge2026-11-02T00:00:00-06:00&date=le2026&_id=a,b"
    body = bytes(range(256)) * 50
    ask(serving, handler, method="POST", content=body, headers={"Idempotency-Key": "k1", "Content-Type": "application/json"})
    assert handler.asked[1][2] == body
    assert handler.headers[1]["idempotency-key"] == "k1"
    assert handler.headers[1]["content-type"] == "application/json"


def test_cookies_are_not_kept(serving) -> None:
    """A session cookie is a credential that the egress rule would not see: cookies do not know ports."""
    handler = Counting((200, {"Set-Cookie": "session=1; Path=/"}, b""))

    async def run() -> None:
        async with serving(handler, "localhost") as base, HttpClient(base) as http:
            await http.request("GET", "/1")
            await http.request("GET", "/2")

    asyncio.run(run())
    assert len(handler.headers) == 2
    assert not any("cookie" in headers for headers in handler.headers)


def test_logs_hold_no_values(serving, still, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    handler = Counting((503, {}, b"Doe, Jane"), (200, {"X-Patient": "Doe"}, b"Doe"))
    url = "/fhir/Patient/doe-jane?name=Doe&birthdate=1961-01-02&token=s3cret"
    ask(serving, handler, url=url, client={"clock": still.seams})
    ours = [record for record in caplog.records if record.name.startswith(("ptbridge", "httpx", "httpcore", "aiohttp.client"))]
    text = "\n".join(record.getMessage() for record in ours)
    assert "GET http://127.0.0.1" in text and "/fhir/Patient/{id}?name&birthdate&token 200" in text
    assert not any(word in text.lower() for word in ("doe", "1961", "s3cret"))


def test_a_transport_can_be_given(still) -> None:
    def answer(request: httpx.Request) -> httpx.Response:
        if request.url.path == "/base/down":
            raise httpx.ConnectError("refused")
        return httpx.Response(200, json={"path": str(request.url)})

    async def run() -> None:
        transport = httpx.MockTransport(answer)
        async with HttpClient("https://biller.example/base/", transport=transport, clock=still.seams) as http:
            assert (await http.request("GET", "/v1/x")).json() == {"path": "https://biller.example/base/v1/x"}
            with pytest.raises(PeerUnavailable):
                await http.request("POST", "down")

    asyncio.run(run())


def test_many_at_once(serving) -> None:
    handler = Counting(GOOD)

    async def run() -> None:
        async with serving(handler) as base, HttpClient(base, max_connections=8) as http:
            answers = await asyncio.gather(*(http.request("POST", f"/{n}", content=b"%d" % n) for n in range(200)))
            assert all(answer.status == 200 for answer in answers)

    asyncio.run(run())
    assert sorted(body for _, _, body in handler.asked) == sorted(b"%d" % n for n in range(200))
