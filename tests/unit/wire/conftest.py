"""A real server on loopback, and a clock that moves only when somebody sleeps."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable

import pytest
from aiohttp import web

from ptbridge.wire.pacing import Clock

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


class StillClock:
    """Monotonic and wall seconds under the test's control; `slept` lists every pause that was asked for."""

    def __init__(self) -> None:
        self.seconds = 1000.0
        self.epoch = 1_793_600_000.0  # 2026-11-02T05:33:20Z
        self.slept: list[float] = []
        self.seams = Clock(
            monotonic=lambda: self.seconds,
            wall=lambda: self.epoch + self.seconds,
            sleep=self.sleep,
            uniform=lambda least, most: most,
        )

    async def sleep(self, seconds: float) -> None:
        self.slept.append(seconds)
        self.seconds += seconds


@pytest.fixture
def still() -> StillClock:
    return StillClock()


@contextlib.asynccontextmanager
async def _serving(handler: Handler, host: str = "127.0.0.1") -> AsyncIterator[str]:
    async def answer(request: web.Request) -> web.StreamResponse:
        return await handler(request)

    application = web.Application()
    application.router.add_route("*", "/{path:.*}", answer)
    runner = web.AppRunner(application, shutdown_timeout=0.1)
    await runner.setup()
    site = web.TCPSite(runner, host, 0)
    await site.start()
    port = runner.addresses[0][1]
    try:
        yield f"http://{host}:{port}"
    finally:
        await runner.cleanup()


@pytest.fixture
def serving():
    """`async with serving(handler) as url:` runs an aiohttp server for the block."""
    return _serving
