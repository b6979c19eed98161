"""Waiting for news: polls every so often, and at once when a biller's signed webhook says that there is some.

The webhook has no authority: it names a clinic, and that clinic's feed is asked. While `sync` runs on the same state folder
the poll waits for it to end.
"""

from __future__ import annotations

import asyncio
import contextlib
import signal
import threading
from collections.abc import Callable, Mapping
from typing import Any

from ptbridge.errors import ConfigError, LedgerBusy
from ptbridge.jobs.answers import ask
from ptbridge.jobs.standing import clinic_names
from ptbridge.specs.config import Config
from ptbridge.wire.webhooks import Signature, WebhookDoor

BUSY_SECONDS = 5.0  # between two tries while another ptbridge writes

Ready = Callable[[Mapping[str, str]], None]
Told = Callable[[Mapping[str, Any]], None]


def serve_answers(
    config: Config, clinic: str | None = None, *, port: int, every_seconds: float, ready: Ready, told: Told
) -> dict[str, int]:
    """Poll and listen until SIGTERM or SIGINT; how many webhooks came, by what became of them.

    `ready` is told where each clinic's webhook goes; `told` gets each poll's answer, as `ask` gives it, or its `error`.
    Raises ConfigError for a webhook secret that cannot be had, LedgerError when the ledger cannot be trusted.
    """
    names = clinic_names(config, clinic)
    signatures = {name: found for name in names if (found := signature_of(config, name)) is not None}
    if not signatures:
        raise ConfigError(
            "no clinic here has destination.webhook. Add its scheme and secret, or run ptbridge answers from a scheduler.",
            where=str(config.folder),
        )
    return asyncio.run(_Service(config, names, every_seconds, told).run(signatures, port, ready))


def signature_of(config: Config, clinic: str) -> Signature | None:
    """How this clinic's biller signs its webhooks; None when its file names none. Raises ConfigError."""
    spec = config.clinics[clinic].destination.webhook
    if spec is None:
        return None
    return Signature(scheme=spec.scheme, secret=config.secret(spec.secret) or "", header=spec.header)


class _Service:
    """One process: the door, and the polls that it and the clock ask for."""

    def __init__(self, config: Config, names: list[str], every_seconds: float, told: Told) -> None:
        self.config, self.names, self.every_seconds, self.told = config, names, every_seconds, told
        self.wanted: dict[str, None] = dict.fromkeys(names)
        self.news, self.over = asyncio.Event(), asyncio.Event()

    async def run(self, signatures: Mapping[str, Signature], port: int, ready: Ready) -> dict[str, int]:
        self._stop_on_signal()
        async with WebhookDoor(signatures, self.wake, port=port) as door:
            ready(door.addresses)
            while not self.over.is_set():
                await self._poll()
                await self._wait()
            return dict(door.counts)

    def wake(self, name: str) -> None:
        self.wanted[name] = None
        self.news.set()

    async def _poll(self) -> None:
        """Ask for each clinic that is wanted; one that cannot be asked now is told and asked again with the clock."""
        self.news.clear()
        while self.wanted and not self.over.is_set():
            name = next(iter(self.wanted))
            try:
                found = await asyncio.to_thread(ask, self.config, name)
            except LedgerBusy:
                await self._pause(BUSY_SECONDS)
                continue
            self.wanted.pop(name)
            self.told(found)

    async def _wait(self) -> None:
        """Until a webhook, the clock, or a signal."""
        await self._pause(self.every_seconds, self.news)
        if not self.wanted:
            self.wanted = dict.fromkeys(self.names)

    async def _pause(self, seconds: float, *also: asyncio.Event) -> None:
        waits = [asyncio.create_task(event.wait()) for event in (self.over, *also)]
        await asyncio.wait(waits, timeout=seconds, return_when=asyncio.FIRST_COMPLETED)
        for wait in waits:
            wait.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await wait

    def _stop_on_signal(self) -> None:
        if threading.current_thread() is threading.main_thread():
            for number in (signal.SIGTERM, signal.SIGINT):
                asyncio.get_running_loop().add_signal_handler(number, self._stop)

    def _stop(self) -> None:
        self.over.set()
        self.news.set()
