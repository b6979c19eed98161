"""One MLLP connection of the listener: bytes in, messages in order to the desk, answers out, and every limit."""

from __future__ import annotations

import asyncio
import ssl
from dataclasses import dataclass
from typing import Protocol

from ptbridge.wire.mllp_frames import FrameError, FrameReader, framed
from ptbridge.wire.mllp_limits import MllpLimits


@dataclass(frozen=True, slots=True)
class Peer:
    """Who is connected: address, port, and the subject names of its certificate when TLS asked for one."""

    host: str
    port: int
    certificate_names: tuple[str, ...] = ()


class Desk(Protocol):
    """Where connections bring their messages: the listener."""

    limits: MllpLimits

    def welcome(self, connection: Connection) -> str:
        """Empty when it may stay; else why not."""

    def farewell(self, connection: Connection) -> None:
        """It is gone."""

    def arrived(self, connection: Connection, messages: list[bytes]) -> None:
        """These messages were completed, in this order."""

    def has_room(self, connection: Connection) -> bool:
        """False when all connections together hold too many bytes of unfinished frames."""

    def delay(self, peer: Peer, messages: int) -> float:
        """Seconds that this peer must now wait to keep to its rate."""

    def problem(self, code: str) -> None:
        """Count a problem."""


class Connection(asyncio.Protocol):
    """The asyncio protocol. `waiting` counts messages that were read and are not answered yet."""

    def __init__(self, desk: Desk) -> None:
        self._desk, self._limits = desk, desk.limits
        self._reader = FrameReader(desk.limits.frame_bytes)
        self._loop = asyncio.get_running_loop()
        self._transport: asyncio.Transport | None = None
        self.peer = Peer("", 0)
        self.waiting = 0
        self._cut_off = 0
        self._last_byte = self._frame_began = 0.0
        self._timer: asyncio.TimerHandle | None = None
        self._pause: asyncio.TimerHandle | None = None
        self._reasons_to_pause: set[str] = set()
        self._ending = False

    @property
    def buffered_bytes(self) -> int:
        """Bytes of an unfinished frame."""
        return self._reader.buffered_bytes

    @property
    def is_open(self) -> bool:
        """True while answers can still be written."""
        return self._transport is not None and not self._transport.is_closing()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Look who it is; refuse by closing without a word."""
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport
        self.peer = _peer(transport)
        refusal = self._desk.welcome(self)
        if refusal:
            self._desk.problem(refusal)
            transport.abort()
            return
        self._last_byte = self._loop.time()
        self._watch()

    def connection_lost(self, exc: Exception | None) -> None:
        """What was unfinished is dropped: it was never answered."""
        for timer in (self._timer, self._pause):
            if timer is not None:
                timer.cancel()
        if self._reader.inside:
            self._desk.problem("cut-off")
        self._reader = FrameReader(0)
        self._desk.farewell(self)

    def data_received(self, data: bytes) -> None:
        """Take bytes; close without an answer when they cannot be framed or break a limit."""
        self._last_byte = self._loop.time()
        was_inside = self._reader.inside
        try:
            messages = self._reader.feed(data)
        except FrameError as problem:
            self.close(problem.code)
            return
        if self._reader.inside and (messages or not was_inside):
            self._frame_began = self._last_byte
        self._take(messages)
        if not self._desk.has_room(self):
            self.close("buffers-full")
        elif self._reader.ends_in_pause:
            self._await_end()

    def eof_received(self) -> bool:
        """The peer has said all; what it sent is still answered. TLS cannot stay half open: it closes at once."""
        self._end_of_pause()
        self._ending = True
        return self.waiting > 0 and self._transport is not None and self._transport.get_extra_info("ssl_object") is None

    def pause_writing(self) -> None:
        """The peer does not read its answers: stop reading from it."""
        self._stop("writing")

    def resume_writing(self) -> None:
        """It reads again."""
        self._go_on("writing")

    def answer(self, answers: list[bytes]) -> None:
        """Write the answers of one message, which is then done."""
        self.waiting -= 1
        if self.is_open and self._transport is not None:
            if answers:
                self._transport.write(b"".join(framed(one) for one in answers))
            if self._ending and not self.waiting:
                self._transport.close()
        if self.waiting < self._limits.waiting_per_connection:
            self._go_on("waiting")

    def close(self, problem: str = "") -> None:
        """Close; with `problem` at once and without the answers that are still due."""
        if self._transport is None or (problem and self._transport.is_closing()):
            return
        if problem:
            self._desk.problem(problem)
            self._transport.abort()
        else:
            self._transport.close()

    def abort(self) -> None:
        """Close at once, whatever is still to be written."""
        if self._transport is not None:
            self._transport.abort()

    def stop_reading(self) -> None:
        """The listener is going down: nothing more is read, what was read is still answered."""
        self._ending = True
        self._stop("ending")
        if not self.waiting:
            self.close()

    def _take(self, messages: list[bytes]) -> None:
        if self._reader.cut_off > self._cut_off:
            self._cut_off = self._reader.cut_off
            self._desk.problem("cut-off")
        if not messages or not self.is_open:
            return
        self.waiting += len(messages)
        if self.waiting >= self._limits.waiting_per_connection:
            self._stop("waiting")
        delay = self._desk.delay(self.peer, len(messages))
        if delay > 0:
            self._stop("rate")
            self._loop.call_later(delay, self._go_on, "rate")
        self._desk.arrived(self, messages)

    def _await_end(self) -> None:
        if self._pause is not None:
            self._pause.cancel()
        self._pause = self._loop.call_later(self._limits.lone_end_seconds, self._end_of_pause)

    def _end_of_pause(self) -> None:
        message = self._reader.end_of_pause()
        if message is not None:
            self._take([message])

    def _watch(self) -> None:
        """Close when idle, or when a frame takes too long; otherwise look again when the earlier of the two is due."""
        now, limits = self._loop.time(), self._limits
        if self._reader.inside and now - self._frame_began >= limits.frame_seconds and not self._reasons_to_pause:
            self.close("frame-too-slow")
            return
        if now - self._last_byte >= limits.idle_seconds and not self.waiting:
            self.close("idle")
            return
        wait = limits.idle_seconds - (now - self._last_byte) if not self.waiting else limits.idle_seconds
        if self._reader.inside and not self._reasons_to_pause:
            wait = min(wait, limits.frame_seconds - (now - self._frame_began))
        self._timer = self._loop.call_later(max(min(wait, limits.frame_seconds), 0.01), self._watch)

    def _stop(self, reason: str) -> None:
        if not self._reasons_to_pause and self._transport is not None and not self._transport.is_closing():
            self._transport.pause_reading()
        self._reasons_to_pause.add(reason)

    def _go_on(self, reason: str) -> None:
        if reason not in self._reasons_to_pause:
            return
        self._reasons_to_pause.discard(reason)
        if not self._reasons_to_pause and self._transport is not None and not self._transport.is_closing():
            self._last_byte = self._frame_began = self._loop.time()  # the time that we did not read is not the peer's
            self._transport.resume_reading()


def _peer(transport: asyncio.Transport) -> Peer:
    address = transport.get_extra_info("peername") or ("", 0)
    secured = transport.get_extra_info("ssl_object")
    return Peer(str(address[0]), int(address[1]), _names(secured) if secured is not None else ())


def _names(secured: ssl.SSLObject) -> tuple[str, ...]:
    certificate = secured.getpeercert() or {}
    pairs = [pair for part in certificate.get("subject", ()) if isinstance(part, tuple) for pair in part]
    common = [str(pair[1]) for pair in pairs if pair[0] == "commonName"]
    alternative = [str(pair[1]) for pair in certificate.get("subjectAltName", ()) if len(pair) == 2]
    return tuple(dict.fromkeys((*common, *alternative)))
