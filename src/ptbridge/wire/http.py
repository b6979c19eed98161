"""The one HTTP client: one egress rule, one retry policy, one place where httpx and tenacity are imported.

httpx's requests, responses and transports; `wire.transport` puts aiohttp's connection pool below them.

    async with HttpClient("https://emr.example/fhir", authorizer=authorizer) as http:
        response = await http.request("GET", "Encounter", params=[("date", "ge2026-11-02")])
"""

from __future__ import annotations

import asyncio
import logging
import ssl
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from typing import Self, TypeVar
from urllib.parse import quote, urlencode

import httpx
from tenacity import AsyncRetrying, RetryCallState, RetryError, retry_if_exception_type

from ptbridge import __version__
from ptbridge.errors import OutcomeUnknown, PeerRefused, PeerUnavailable
from ptbridge.wire.answers import Authorizer, FormCredential, Limits, Response, Timeouts
from ptbridge.wire.egress import Admitted, EgressRule, Origin, shown_url
from ptbridge.wire.inflate import BadEncoding, BodyReader, TooLarge
from ptbridge.wire.pacing import Clock, RateLimiter, RetryPolicy, http_date_seconds, retry_after_seconds
from ptbridge.wire.transport import AiohttpTransport

__all__ = [
    "Authorizer",
    "Clock",
    "HttpClient",
    "Limits",
    "Origin",
    "RateLimiter",
    "Response",
    "RetryPolicy",
    "Timeouts",
    "Transport",
]

log = logging.getLogger(__name__)
T = TypeVar("T")
Transport = httpx.AsyncBaseTransport  # what `transport=` takes, for those who may not import httpx

_REDIRECTS = frozenset({301, 302, 303, 307, 308})
_SAFE_METHODS = frozenset({"GET", "HEAD"})
_MAX_REDIRECTS = 5
# The only headers of a caller that may reach an extra origin: any other could be a credential.
_HARMLESS_HEADERS = frozenset({"accept", "range", "if-none-match", "if-modified-since"})


class HttpClient:
    """Speaks to one configured origin. Use as an async context manager, or `close` it.

    `authorizer` None sends no credentials. `extra_origins` may be asked too, without credentials. `requests_per_second`
    0 is unlimited; pass `limiter` to share one rate between clients. `transport` replaces the network in tests.
    Raises ConfigError for a base URL or extra origin that cannot be read.
    """

    def __init__(
        self,
        base_url: str,
        *,
        authorizer: Authorizer | None = None,
        extra_origins: Iterable[str] = (),
        requests_per_second: float = 0.0,
        limiter: RateLimiter | None = None,
        max_connections: int = 32,
        timeouts: Timeouts | None = None,
        limits: Limits | None = None,
        retry: RetryPolicy | None = None,
        clock: Clock | None = None,
        transport: Transport | None = None,
    ) -> None:
        self.egress = EgressRule(base_url, extra_origins)
        self.base_url = base_url.partition("?")[0].partition("#")[0].rstrip("/")
        self.clock = clock or Clock()
        self.limiter = limiter or RateLimiter(requests_per_second, self.clock)
        self._authorizer = authorizer
        self._max_connections = max_connections
        self._timeouts = timeouts or Timeouts()
        self._limits = limits or Limits()
        self._retry = retry or RetryPolicy()
        self._transport = transport or AiohttpTransport(self.egress, max_connections, self._timeouts)

    @property
    def origin(self) -> Origin:
        """The configured origin: the only place that credentials go to."""
        return self.egress.base

    @property
    def form_fields(self) -> dict[str, str]:
        """What the credential adds to every form, for platforms that take their key there; send it to this client only."""
        return self._authorizer.form_fields() if isinstance(self._authorizer, FormCredential) else {}

    def sibling(self, base_url: str) -> HttpClient:
        """A client of another address of the same platform, with the same credential, rate and bounds; this one where it is
        this address. `base_url` is one that a person wrote or a destination names, never one out of an answer.

        Raises ConfigError for a base URL that cannot be read. Either closes the credential, so close them together.
        """
        if base_url.rstrip("/") == self.base_url:
            return self
        return HttpClient(
            base_url,
            authorizer=self._authorizer,
            limiter=self.limiter,
            max_connections=self._max_connections,
            timeouts=self._timeouts,
            limits=self._limits,
            retry=self._retry,
            clock=self.clock,
        )

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()

    async def close(self) -> None:
        """Close connections, the authorizer's too."""
        if self._authorizer is not None:
            await self._authorizer.close()
        await self._transport.aclose()

    async def request(
        self,
        method: str,
        url: str,
        *,
        params: Sequence[tuple[str, str]] | Mapping[str, str] | None = None,
        headers: Mapping[str, str] | None = None,
        content: bytes | None = None,
        retry: bool | None = None,
        expect_json: bool = False,
    ) -> Response:
        """Ask once, or under the retry policy (`retry`; by default GET and HEAD are repeated, others are not).

        `url` is absolute, or a path below the base URL. Any answer is returned whatever its status, except: 401 (after one
        refresh) and 403 raise PeerRefused, and on GET and HEAD an outage status raises PeerUnavailable once attempts
        or age are used up. Without an answer: PeerUnavailable when surely nothing was taken (GET, HEAD, no connection), and
        OutcomeUnknown when another method's bytes may have left. `expect_json`: a 2xx holding HTML is no answer.
        With `retry=True` another method is repeated only after PeerUnavailable, so never after its bytes may have left.
        """
        safe = method in _SAFE_METHODS

        async def attempt() -> Response:
            response = await self.exchange(method, url, params=params, headers=headers, content=content)
            if safe and response.is_outage:
                message = f"{method} {shown_url(response.url)}: HTTP {response.status}."
                raise PeerUnavailable(message, status=response.status, retry_after_seconds=response.retry_after_seconds)
            if expect_json and 200 <= response.status < 300 and response.looks_like_html:
                kind = PeerUnavailable if safe else OutcomeUnknown
                raise kind(
                    f"{method} {shown_url(response.url)}: HTTP {response.status} with an HTML page where JSON was asked."
                )
            return response

        return await (self.retrying(attempt) if (safe if retry is None else retry) else attempt())

    async def retrying(self, attempt: Callable[[], Awaitable[T]]) -> T:
        """Run `attempt` under the one retry policy: again after PeerUnavailable, until attempts or age are used up."""
        started = self.clock.monotonic()

        def wait(state: RetryCallState) -> float:
            asked = _failure(state).retry_after_seconds
            return self._retry.wait_seconds(state.attempt_number, asked, self.clock)

        def stop(state: RetryCallState) -> bool:
            age = self.clock.monotonic() - started + state.upcoming_sleep
            return state.attempt_number >= self._retry.attempts or age > self._retry.max_age_seconds

        again = AsyncRetrying(
            sleep=self.clock.sleep,
            retry=retry_if_exception_type(PeerUnavailable),
            wait=wait,
            stop=stop,
            before_sleep=_log_retry,
        )
        try:
            return await again(attempt)
        except RetryError as error:
            last, count = error.last_attempt.exception(), error.last_attempt.attempt_number
            assert isinstance(last, PeerUnavailable)
            times = "1 attempt" if count == 1 else f"{count} attempts"
            raise PeerUnavailable(
                f"{last} Gave up after {times}; the next run asks again.",
                status=last.status,
                retry_after_seconds=last.retry_after_seconds,
            ) from None

    async def exchange(
        self,
        method: str,
        url: str,
        *,
        params: Sequence[tuple[str, str]] | Mapping[str, str] | None = None,
        headers: Mapping[str, str] | None = None,
        content: bytes | None = None,
        return_refusal: bool = False,
    ) -> Response:
        """One question and its answer, with one token refresh after 401 and, for GET and HEAD, same-origin redirects.

        No repetition; errors as in `request`, but every status other than 401 and 403 is returned, and these too with
        `return_refusal` (for token endpoints, whose 401 says why).
        """
        target = self.egress.admit(self.absolute(url, params))
        for _ in range(_MAX_REDIRECTS + 1):
            response = await self._authorized(method, target, headers or {}, content)
            if response.status in (401, 403) and not return_refusal:
                raise self._refusal(method, response)
            location = response.header("location")
            if response.status not in _REDIRECTS or method not in _SAFE_METHODS or not location:
                return response
            onward = self.egress.resolve(response.url, location)
            if onward.origin != target.origin:
                raise PeerRefused(
                    f"{method} {shown_url(target.url)}: redirected to {onward.origin}; not followed.",
                    status=response.status,
                )
            target = onward
        raise PeerRefused(f"{method} {shown_url(target.url)}: more than {_MAX_REDIRECTS} redirects.")

    def absolute(self, url: str, params: Sequence[tuple[str, str]] | Mapping[str, str] | None = None) -> str:
        """`url` below the base URL unless it is absolute already, with `params` appended."""
        whole = url if "://" in url.partition("?")[0] else f"{self.base_url}/{url.lstrip('/')}".removesuffix("/")
        pairs = list(params.items() if isinstance(params, Mapping) else params or ())
        query = urlencode(pairs, quote_via=quote, safe=":/,$")
        return f"{whole}{'&' if '?' in whole else '?'}{query}" if query else whole

    async def _authorized(self, method: str, target: Admitted, headers: Mapping[str, str], content: bytes | None) -> Response:
        if not target.trusted:
            if method not in _SAFE_METHODS:  # a body may hold a key, an assertion, a patient
                raise PeerRefused(f"{method} {shown_url(target.url)}: only the configured origin is sent anything. Not sent.")
            harmless = {name: value for name, value in headers.items() if name.lower() in _HARMLESS_HEADERS}
            return await self._send(method, target, harmless, content)
        proof = await self._authorizer.headers(method, target.url) if self._authorizer else {}
        response = await self._send(method, target, {**headers, **proof}, content)
        if response.status == 401 and self._authorizer and await self._authorizer.refresh(proof):
            proof = await self._authorizer.headers(method, target.url)
            response = await self._send(method, target, {**headers, **proof}, content)
        return response

    def _refusal(self, method: str, response: Response) -> PeerRefused:
        credential = self._authorizer.credential if self._authorizer else "no credential"
        advice = "Check it in the clinic file." if response.status == 401 else "Ask the other side which permission it lacks."
        message = f"{method} {shown_url(response.url)}: HTTP {response.status}; refused {credential}. {advice}"
        return PeerRefused(message, status=response.status)

    async def _send(self, method: str, target: Admitted, headers: Mapping[str, str], content: bytes | None) -> Response:
        """One exchange on the wire; translates every failure into one of ours."""
        await self.limiter.wait()
        shown, started = shown_url(target.url), self.clock.monotonic()
        timeouts = {"connect": self._timeouts.connect, "read": self._timeouts.read}
        sent = {"accept-encoding": "gzip, deflate", "user-agent": f"ptbridge/{__version__}", **_lower(headers)}
        request = httpx.Request(method, target.url, headers=sent, content=content, extensions={"timeout": timeouts})
        try:
            async with asyncio.timeout(self._timeouts.total):
                response = await self._read(await self._transport.handle_async_request(request), target.url)
        except (httpx.TransportError, TimeoutError, BadEncoding, TooLarge) as error:
            log.debug("%s %s failed after %.0f ms: %s", method, shown, self._elapsed_ms(started), type(error).__name__)
            raise _translated(error, method, shown) from None
        log.debug("%s %s %d %.0f ms", method, shown, response.status, self._elapsed_ms(started))
        return response

    def _elapsed_ms(self, started: float) -> float:
        return (self.clock.monotonic() - started) * 1000

    async def _read(self, answer: httpx.Response, url: str) -> Response:
        """The whole body, decompressed within the limits."""
        limits = self._limits
        try:
            body = BodyReader(
                answer.headers.get("content-encoding", ""),
                max_wire_bytes=limits.max_response_bytes,
                max_bytes=limits.max_decompressed_bytes,
                max_ratio=limits.max_ratio,
            )
            assert isinstance(answer.stream, httpx.AsyncByteStream)
            async for chunk in answer.stream:
                body.feed(chunk)
        finally:
            await answer.aclose()
        headers = {name.lower(): value for name, value in answer.headers.items()}
        now = http_date_seconds(headers.get("date"))
        wait = retry_after_seconds(
            headers.get("retry-after"),
            now=self.clock.wall() if now is None else now,
            most=self._retry.max_retry_after_seconds,
        )
        return Response(status=answer.status_code, headers=headers, content=body.finish(), url=url, retry_after_seconds=wait)


def _lower(headers: Mapping[str, str]) -> dict[str, str]:
    return {name.lower(): value for name, value in headers.items()}


def _failure(state: RetryCallState) -> PeerUnavailable:
    error = state.outcome.exception() if state.outcome else None
    assert isinstance(error, PeerUnavailable)
    return error


def _log_retry(state: RetryCallState) -> None:
    log.info("%s Attempt %d; again in %.1f s", _failure(state), state.attempt_number, state.upcoming_sleep)


def _translated(error: Exception, method: str, shown: str) -> Exception:
    """Our exception for a failed exchange, by what may have left, never by the text of a message."""
    where = f"{method} {shown}"
    if isinstance(error, httpx.ConnectError | httpx.ConnectTimeout | httpx.PoolTimeout | httpx.UnsupportedProtocol):
        if _blames(error, ssl.SSLCertVerificationError):
            return PeerRefused(f"{where}: the server's certificate is not trusted. Check the host name, the date, the issuer.")
        return PeerUnavailable(f"{where}: no connection.")
    if method not in _SAFE_METHODS:
        return OutcomeUnknown(
            f"{where}: sent, and no clear answer came back ({_kind(error)}). Look it up before sending again."
        )
    if isinstance(error, TooLarge):
        return PeerRefused(f"{where}: {error}. Ask for less at once, for example with a smaller page.")
    return PeerUnavailable(f"{where}: {_kind(error)}.")


def _kind(error: Exception) -> str:
    if isinstance(error, TimeoutError | httpx.TimeoutException):
        return "no answer in time"
    return str(error) if isinstance(error, BadEncoding | TooLarge) else "the connection was lost during the answer"


def _blames(error: BaseException | None, kind: type[BaseException]) -> bool:
    while error is not None:
        if isinstance(error, kind):
            return True
        inner = getattr(error, "certificate_error", None)  # aiohttp keeps it beside, not as the cause
        error = inner if isinstance(inner, BaseException) else error.__cause__ or error.__context__
    return False
