"""Time on the wire: the clock, the request rate, and how long to wait before asking again."""

from __future__ import annotations

import asyncio
import math
import random
import re
import time
from collections import deque
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from email.utils import parsedate_to_datetime

_SECONDS = re.compile(r"[0-9]+(?:\.[0-9]+)?", re.ASCII)
# 2 % more than a second: what leaves evenly still arrives in bunches, and the peer counts arrivals.
_WINDOW_SECONDS = 1.02


@dataclass(frozen=True, slots=True, kw_only=True)
class Clock:
    """Every way in which this package meets time and chance; tests pass their own. Durations use `monotonic` only."""

    monotonic: Callable[[], float] = time.monotonic
    wall: Callable[[], float] = time.time
    sleep: Callable[[float], Awaitable[None]] = asyncio.sleep
    uniform: Callable[[float, float], float] = random.uniform


@dataclass(frozen=True, slots=True, kw_only=True)
class RetryPolicy:
    """How often and how long one request is repeated. Attempts and age are both bounded; all times in seconds.

    `max_retry_after_seconds` clamps what a server asks for (one has asked for five hours).
    """

    attempts: int = 5
    max_age_seconds: float = 120.0
    first_backoff_seconds: float = 0.5
    max_backoff_seconds: float = 30.0
    max_retry_after_seconds: float = 3600.0

    def wait_seconds(self, attempt: int, retry_after_seconds: float | None, clock: Clock) -> float:
        """The pause after failed attempt number `attempt` (from 1): full jitter, and never earlier than the server asked."""
        ceiling = min(self.max_backoff_seconds, self.first_backoff_seconds * 2 ** min(attempt - 1, 30))
        return (retry_after_seconds or 0.0) + clock.uniform(0.0, ceiling)


def http_date_seconds(text: str | None) -> float | None:
    """An HTTP-date as Unix seconds; None when absent or unreadable."""
    try:
        return parsedate_to_datetime(text or "").timestamp()
    except (ValueError, TypeError, OverflowError, IndexError):
        return None


def retry_after_seconds(value: str | None, *, now: float, most: float) -> float | None:
    """`Retry-After` in either form, clamped to 0…`most` seconds; None for absent or nonsense. `now` is the server's clock."""
    text = (value or "").strip()
    if _SECONDS.fullmatch(text):
        asked = float(text)
        return most if math.isinf(asked) else min(asked, most)
    date = http_date_seconds(text) if text else None
    return None if date is None else min(max(date - now, 0.0), most)


class RateLimiter:
    """At most `per_second` requests in any second, evenly spaced; 0 means no limit. Shared by all who ask one server.

    Spacing keeps to a schedule, so a late wake-up is caught up; the window of past departures keeps catching up from
    ever passing the rate. One at a time may use it from several event loops, one after the other.
    """

    def __init__(self, per_second: float, clock: Clock | None = None) -> None:
        self._clock = clock or Clock()
        self._interval = 1.0 / per_second if per_second > 0 else 0.0
        self._window = max(_WINDOW_SECONDS, self._interval)
        self._departures: deque[float] = deque(maxlen=max(1, math.floor(per_second)))
        self._next = -math.inf
        self._turn = asyncio.Lock()
        self._loop: asyncio.AbstractEventLoop | None = None

    async def wait(self) -> None:
        """Return when one more request may leave."""
        if not self._interval:
            return
        loop = asyncio.get_running_loop()
        if loop is not self._loop:  # a lock belongs to its loop
            self._loop, self._turn = loop, asyncio.Lock()
        async with self._turn:  # in order of asking
            while (pause := self._pause()) > 0:
                await self._clock.sleep(pause)
            now = self._clock.monotonic()
            self._departures.append(now)
            self._next = max(self._next, now - self._interval) + self._interval

    def slower(self, per_second: float) -> RateLimiter:
        """The same limiter where it is as strict already, else one of that rate which remembers what has left."""
        if per_second <= 0 or (self._interval and self._interval >= 1.0 / per_second):
            return self
        limiter = RateLimiter(per_second, self._clock)
        limiter._departures.extend(self._departures)
        limiter._next = self._next
        return limiter

    def _pause(self) -> float:
        now = self._clock.monotonic()
        full = len(self._departures) == self._departures.maxlen
        return max(self._next - now, self._departures[0] + self._window - now if full else 0.0)


class Limiters:
    """One rate limiter for each origin: all who ask one server share its rate, the strictest of those that were named."""

    def __init__(self) -> None:
        self._by_origin: dict[str, RateLimiter] = {}

    def of(self, origin: str, per_second: float) -> RateLimiter:
        """The limiter of a server (scheme, host, port); 0 means that this caller names no limit."""
        known = self._by_origin.get(origin)
        found = RateLimiter(per_second) if known is None else known.slower(per_second)
        self._by_origin[origin] = found
        return found
