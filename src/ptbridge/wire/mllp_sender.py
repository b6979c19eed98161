"""Sending over MLLP: one message in flight, and an answer counts only if its MSA-2 is the control id that was sent.

An engine may answer late, twice, in another order, or say AA to anything. So: an answer with another MSA-2 is set aside and
the wait goes on; silence, a closed connection and an answer that cannot be read leave the message in doubt; and after any of
these the next message goes out on a new connection, where nothing old can arrive.
"""

from __future__ import annotations

import asyncio
import contextlib
import ssl
from dataclasses import dataclass, field

from ptbridge.errors import PeerUnavailable, RecordError
from ptbridge.model import Disposition
from ptbridge.wire.hl7v2 import Message
from ptbridge.wire.mllp_frames import FrameError, FrameReader, framed
from ptbridge.wire.mllp_limits import refuse_plaintext

_MAX_ANSWER_BYTES = 1 << 20
_DISPOSITIONS = {"A": Disposition.ACCEPTED, "E": Disposition.REJECTED, "R": Disposition.REJECTED}


@dataclass(frozen=True, slots=True, kw_only=True)
class MllpReply:
    """How a message was answered. `code` is MSA-1 word for word, `raw` the answer as received, empty in doubt.

    `strange_answers` counts answers to other messages that came in the meantime; they were not taken for this one.
    """

    disposition: Disposition
    code: str = ""
    raw: bytes = field(default=b"", repr=False)
    reason: str = ""
    strange_answers: int = 0


class MllpSender:
    """A connection to one partner, opened when needed and kept. Seconds; `await close()` when done."""

    def __init__(
        self,
        host: str,
        port: int,
        *,
        tls: ssl.SSLContext | None = None,
        insecure_plaintext: bool = False,
        connect_seconds: float = 10.0,
        answer_seconds: float = 30.0,
        await_application: bool = False,
    ) -> None:
        refuse_plaintext(host, tls, insecure_plaintext)
        self.host, self.port = host, port
        self._tls, self._connect_seconds, self._answer_seconds = tls, connect_seconds, answer_seconds
        self._await_application = await_application  # after CA wait for AA, AE or AR, as a message with MSH-16 AL asks
        self._lock = asyncio.Lock()
        self._streams: tuple[asyncio.StreamReader, asyncio.StreamWriter] | None = None
        self._waiting: asyncio.Task[bytes] | None = None

    async def send(self, raw: bytes) -> MllpReply:
        """Send one message and wait for its answer.

        Raises PeerUnavailable when surely nothing was sent (no connection), RecordError when the message has no MSH-10.
        """
        control_id = Message.parse(raw).require("MSH-10")
        async with self._lock:
            reader, writer = await self._connection()
            try:
                reply = await self._exchange(reader, writer, raw, control_id)
            except BaseException:
                await self._drop()
                raise
            if reply.disposition is Disposition.IN_DOUBT or reply.strange_answers:
                await self._drop()
            return reply

    async def close(self) -> None:
        """Close the connection."""
        async with self._lock:
            await self._drop()

    async def _connection(self) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        """The kept connection if it is still clean; a byte that nobody asked for, or an end, makes it a new one."""
        if self._streams is not None and not await self._is_clean():
            await self._drop()
        if self._streams is None:
            try:
                async with asyncio.timeout(self._connect_seconds):
                    self._streams = await asyncio.open_connection(self.host, self.port, ssl=self._tls, limit=1 << 18)
            except (OSError, TimeoutError) as problem:
                raise PeerUnavailable(f"MLLP {self.host}:{self.port}: no connection ({type(problem).__name__})") from None
        return self._streams

    async def _is_clean(self) -> bool:
        """Nothing has come since the last answer. The read stays open between messages, so that a close is seen in time."""
        assert self._streams is not None
        while True:
            if self._waiting is None:
                self._waiting = asyncio.create_task(self._streams[0].read(1))
            await asyncio.sleep(0)
            if not self._waiting.done():
                return True
            waiting, self._waiting = self._waiting, None
            if waiting.exception() is not None or waiting.result() not in (b"\r", b"\n"):  # the tail of the last frame may lag
                return False

    async def _exchange(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, raw: bytes, control_id: str
    ) -> MllpReply:
        frames = FrameReader(_MAX_ANSWER_BYTES)
        strange, code = 0, ""
        try:
            async with asyncio.timeout(self._answer_seconds):
                writer.write(framed(raw))
                await writer.drain()
                while data := await self._read(reader):
                    found = frames.feed(data)
                    if not found and (last := frames.end_of_pause()) is not None:
                        found = [last]  # an answer without the CR: its FS is enough, MSA-2 decides
                    for answer in found:
                        code, answered_id = _answer_of(answer)
                        if answered_id != control_id or not code:
                            strange += 1
                        elif code[0] == "A" or code != "CA" or not self._await_application:
                            disposition = _DISPOSITIONS[code[1]]
                            return MllpReply(disposition=disposition, code=code, raw=answer, strange_answers=strange)
            reason = "the peer closed the connection before it answered"
        except TimeoutError:
            reason = f"no answer within {self._answer_seconds:g} s"
        except FrameError:
            reason = "the answer is not framed or too large"
        except OSError as problem:
            reason = f"the connection broke ({type(problem).__name__})"
        return MllpReply(disposition=Disposition.IN_DOUBT, reason=reason, strange_answers=strange)

    async def _read(self, reader: asyncio.StreamReader) -> bytes:
        if self._waiting is not None:
            first, self._waiting = await self._waiting, None
            return first
        return await reader.read(65_536)

    async def _drop(self) -> None:
        waiting, self._waiting = self._waiting, None
        if waiting is not None:
            waiting.cancel()
            await asyncio.gather(waiting, return_exceptions=True)
        streams, self._streams = self._streams, None
        if streams is not None:
            streams[1].transport.abort()
            with contextlib.suppress(OSError):
                await streams[1].wait_closed()


def _answer_of(raw: bytes) -> tuple[str, str]:
    """(MSA-1, MSA-2) of an answer; two empty texts for what is no answer that can be read."""
    try:
        message = Message.parse(raw)
    except RecordError:
        return "", ""
    code = message.get("MSA-1") or ""
    known = len(code) == 2 and code[0] in "AC" and code[1] in _DISPOSITIONS
    return (code, message.get("MSA-2") or "") if known else ("", "")
