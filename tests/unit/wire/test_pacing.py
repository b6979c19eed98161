"""The clock on the wire: Retry-After in every form, backoff, and the request rate."""

from __future__ import annotations

import asyncio
from email.utils import formatdate

import pytest

from ptbridge.wire.pacing import RateLimiter, RetryPolicy, retry_after_seconds

NOW = 1_793_600_000.0


@pytest.mark.parametrize(
    ("value", "seconds"),
    [
        (None, None),
        ("", None),
        ("0", 0),
        ("7", 7),
        (" 7 ", 7),
        ("1.5", 1.5),
        ("120", 120),
        ("18000", 3600),  # a bulk server asked for five hours
        ("9" * 400, 3600),
        ("-5", None),
        ("1e9", None),
        ("inf", None),
        ("nan", None),
        ("٣", None),
        ("soon", None),
        ("7, 9", None),
        ("7 seconds", None),
        (formatdate(NOW + 30, usegmt=True), 30),
        (formatdate(NOW - 86400, usegmt=True), 0),
        (formatdate(NOW + 10 * 365 * 86400, usegmt=True), 3600),
        ("Mon, 02 Nov 2026 05:33:50 +0000", None),
        ("Mon, 99 Nov 2026 05:33:50 GMT", None),
        ("Wed, 21 Oct 99999 07:28:00 GMT", None),
        ("2026-11-02T05:33:50Z", None),
        ("\x00", None),
    ],
)
def test_retry_after(value: str | None, seconds: float | None) -> None:
    found = retry_after_seconds(value, now=NOW, most=3600.0)
    if value == "Mon, 02 Nov 2026 05:33:50 +0000":
        assert found is not None and 0 <= found <= 3600  # an offset in place of GMT is read, not refused
    else:
        assert found == seconds


def test_backoff_doubles_to_its_cap_and_never_asks_early(still) -> None:
    policy = RetryPolicy(first_backoff_seconds=0.5, max_backoff_seconds=4.0)
    assert [policy.wait_seconds(n, None, still.seams) for n in range(1, 7)] == [0.5, 1, 2, 4, 4, 4]
    assert policy.wait_seconds(1, 9.0, still.seams) >= 9.0


@pytest.mark.parametrize("rate", [0.5, 1, 2.5, 7, 20, 200])
def test_the_rate_is_never_passed_and_nearly_reached(still, rate: float) -> None:
    """Wake-ups come late by up to 3 ms, as on a real machine; still no second holds more than the rate."""
    departures: list[float] = []
    late = iter(range(10**9))

    async def late_sleep(seconds: float) -> None:
        still.seconds += seconds + (next(late) % 4) / 1000

    async def run() -> None:
        limiter = RateLimiter(rate, type(still.seams)(monotonic=still.seams.monotonic, sleep=late_sleep))

        async def one() -> None:
            await limiter.wait()
            departures.append(still.seconds)

        await asyncio.gather(*(one() for _ in range(400)))

    asyncio.run(run())
    window = max(1.0, 1 / rate)
    most = max(sum(start <= moment < start + window for moment in departures) for start in departures)
    assert most <= max(1, rate)
    reached = len(departures) / (departures[-1] - departures[0])
    assert reached >= 0.9 * min(rate, max(1, int(rate)) / window)


def test_no_rate_means_no_waiting(still) -> None:
    async def run() -> None:
        limiter = RateLimiter(0, still.seams)
        for _ in range(100):
            await limiter.wait()

    asyncio.run(run())
    assert still.slept == []
