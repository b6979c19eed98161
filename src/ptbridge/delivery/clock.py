"""The seam for time: delivery asks this for the time and for sleep, never the system itself."""

from __future__ import annotations

import asyncio
import time
from typing import Protocol


class Clock(Protocol):
    """Wall time for what is stored, monotonic time for durations (contract D26), and sleep."""

    def now(self) -> float:
        """Unix seconds."""

    def monotonic(self) -> float:
        """Seconds that never jump; only differences mean anything."""

    async def sleep(self, seconds: float) -> None:
        """Wait that long."""


class SystemClock:
    """The real one."""

    def now(self) -> float:
        """Unix seconds."""
        return time.time()

    def monotonic(self) -> float:
        """Seconds since an arbitrary start."""
        return time.monotonic()

    async def sleep(self, seconds: float) -> None:
        """Wait that long without blocking the loop."""
        await asyncio.sleep(seconds)
