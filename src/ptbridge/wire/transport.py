"""The network below the HTTP client: aiohttp's connection pool behind httpx's transport interface.

httpx's own pool falls to a tenth of its rate at 64 requests in flight. This is written here and not taken from
httpx-aiohttp 0.2, because that one (a) reports a connection lost *after* a POST left as `ConnectTimeout`, which reads as
"nothing was sent" and would double a charge, and (b) re-quotes URLs, so a signed or opaque `next` link would not be
followed word for word.
"""

from __future__ import annotations

import contextlib
import socket
from collections.abc import AsyncIterator, Iterator

import aiohttp
import httpx
import yarl
from aiohttp.abc import AbstractResolver, ResolveResult

from ptbridge.errors import PeerRefused
from ptbridge.wire.answers import Timeouts
from ptbridge.wire.egress import EgressRule

# Shorter than what common servers keep idle connections for, so that a POST seldom meets a connection just closed.
_KEEP_ALIVE_SECONDS = 4.0


class _GuardedResolver(AbstractResolver):
    """Resolves names and gives back only addresses that the egress rule admits: those are the ones dialled."""

    def __init__(self, egress: EgressRule) -> None:
        self._egress = egress
        self._inner = aiohttp.ThreadedResolver()

    async def resolve(self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_UNSPEC) -> list[ResolveResult]:
        found = await self._inner.resolve(host, port, family)
        admitted = [result for result in found if self._egress.admits_address(host, result["host"])]
        if not admitted:
            raise PeerRefused(f"{host} stands for a private, link-local or metadata address; it was not dialled.")
        return admitted

    async def close(self) -> None:
        await self._inner.close()


class AiohttpTransport(httpx.AsyncBaseTransport):
    """aiohttp's connection pool behind httpx's transport interface; cookies, redirects, proxies and re-sending are off."""

    def __init__(self, egress: EgressRule, max_connections: int, timeouts: Timeouts) -> None:
        self._egress = egress
        self._max_connections = max_connections
        self._timeout = aiohttp.ClientTimeout(total=None, sock_connect=timeouts.connect, sock_read=timeouts.read)
        self._session: aiohttp.ClientSession | None = None

    def _open(self) -> aiohttp.ClientSession:
        connector = aiohttp.TCPConnector(
            limit=self._max_connections,
            ssl=httpx.create_ssl_context() if self._egress.base.scheme == "https" or self._egress.extra else True,
            resolver=_GuardedResolver(self._egress),
            keepalive_timeout=_KEEP_ALIVE_SECONDS,
        )
        session = aiohttp.ClientSession(
            connector=connector,
            cookie_jar=aiohttp.DummyCookieJar(),
            auto_decompress=False,
            trust_env=False,
            skip_auto_headers=("Content-Type", "User-Agent", "Accept-Encoding"),
        )
        # aiohttp would send a PUT or DELETE a second time when a kept connection breaks; only our policy may repeat.
        session._retry_connection = False
        return session

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        """Send one request and return as soon as the headers are here; the body streams."""
        session = self._session = self._session or self._open()
        with _as_httpx_errors():
            answer = await session.request(
                request.method,
                yarl.URL(str(request.url), encoded=True),
                headers=[(name, value) for name, value in request.headers.items() if name != "content-length"],
                data=request.content or None,
                allow_redirects=False,
                timeout=self._timeout,
            )
        return httpx.Response(answer.status, headers=answer.raw_headers, stream=_Body(answer), request=request)

    async def aclose(self) -> None:
        """Close the pool."""
        if self._session is not None:
            await self._session.close()
            self._session = None


class _Body(httpx.AsyncByteStream):
    def __init__(self, answer: aiohttp.ClientResponse) -> None:
        self._answer = answer

    async def __aiter__(self) -> AsyncIterator[bytes]:
        with _as_httpx_errors():
            async for chunk in self._answer.content.iter_any():
                yield chunk

    async def aclose(self) -> None:
        self._answer.close()  # a connection whose answer was read to its end has gone back to the pool before this


@contextlib.contextmanager
def _as_httpx_errors() -> Iterator[None]:
    """aiohttp's failures as httpx's, split by the one thing that matters: could bytes of the request have left?"""
    try:
        yield
    except aiohttp.ConnectionTimeoutError as error:
        raise httpx.ConnectTimeout("connecting took too long") from error
    except (aiohttp.ClientConnectorError, aiohttp.InvalidURL) as error:
        raise httpx.ConnectError("no connection") from error
    except TimeoutError as error:
        raise httpx.ReadTimeout("no answer in time") from error
    except (aiohttp.ClientError, OSError) as error:
        raise httpx.ReadError("the connection was lost") from error
