"""The MLLP listener: collects messages from all connections, has them stored together, then answers each."""

from __future__ import annotations

import asyncio
import contextlib
import ssl
import time
from collections import Counter, deque
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field

from ptbridge.errors import PtbridgeError
from ptbridge.wire.hl7_ack import header_only
from ptbridge.wire.mllp_connection import Connection, Peer
from ptbridge.wire.mllp_limits import Allowed, MllpLimits, refuse_plaintext

Answer = bytes | Sequence[bytes] | None
OnMessage = Callable[[bytes, Peer], Awaitable[Answer]]


@dataclass(slots=True, eq=False)
class Received:
    """One message on its way in. A store that already knows the answer (the same bytes again) sets `answer` and `answered`."""

    raw: bytes = field(repr=False)
    peer: Peer
    connection: Connection = field(repr=False)
    answer: Answer = field(default=None, repr=False)
    answered: bool = False


Store = Callable[[Sequence[Received]], Awaitable[None]]


class MllpListener:
    """Listens on `host` and `port` (0: any free one, see `port` after `start`).

    `store` makes a batch durable and returns only then; `on_message` gives the answer, several answers (accept and
    application), or None for silence. If either raises, the senders concerned get no answer and their connections close.
    `counts` are numbers for the status page: received, answered, silent, and problems by code: peer-not-allowed,
    sender-not-allowed, too-many-connections, frame-too-large, unframed, wide-frame, cut-off, frame-too-slow, idle,
    buffers-full, store-failed, answer-failed.
    """

    def __init__(
        self,
        host: str,
        port: int,
        on_message: OnMessage,
        *,
        store: Store | None = None,
        limits: MllpLimits | None = None,
        allowed: Allowed | None = None,
        tls: ssl.SSLContext | None = None,
        insecure_plaintext: bool = False,
    ) -> None:
        refuse_plaintext(host, tls, insecure_plaintext)
        self.host, self.port = host, port
        self.limits = limits or MllpLimits()
        self.counts: Counter[str] = Counter()
        self._on_message, self._store = on_message, store
        self._allowed, self._tls = allowed or Allowed(), tls
        self._connections: set[Connection] = set()
        self._empty = asyncio.Event()
        self._empty.set()
        self._queue: deque[Received] = deque()
        self._arrival = asyncio.Event()
        self._server: asyncio.Server | None = None
        self._worker: asyncio.Task[None] | None = None
        self._rates: dict[str, float] = {}  # by address: when it may send again
        self._stopping = False

    async def start(self) -> None:
        """Begin to listen. Raises OSError when the port is taken."""
        loop = asyncio.get_running_loop()
        handshake = self.limits.handshake_seconds if self._tls is not None else None
        self._server = await loop.create_server(
            lambda: Connection(self), self.host, self.port, ssl=self._tls, backlog=512, ssl_handshake_timeout=handshake
        )
        self.port = self._server.sockets[0].getsockname()[1]
        self._worker = asyncio.create_task(self._work())

    async def stop(self, grace_seconds: float = 10.0) -> None:
        """Take no more, answer what was taken, close. After `grace_seconds` the rest is closed unanswered."""
        if self._server is None or self._worker is None:
            return
        server, self._server = self._server, None
        server.close()
        self._stopping = True
        for connection in tuple(self._connections):
            connection.stop_reading()
        self._arrival.set()
        deadline = time.monotonic() + grace_seconds
        await asyncio.wait({self._worker}, timeout=grace_seconds)
        self._worker.cancel()
        await asyncio.gather(self._worker, return_exceptions=True)
        for connection in tuple(self._connections):
            connection.close()
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(max(deadline - time.monotonic(), 0)):
                await self._empty.wait()
        for connection in tuple(self._connections):
            connection.abort()
        await server.wait_closed()

    async def __aenter__(self) -> MllpListener:
        await self.start()
        return self

    async def __aexit__(self, *exc: object) -> None:
        await self.stop()

    # ------------------------------------------------------------ what connections ask

    def welcome(self, connection: Connection) -> str:
        """Empty when this peer may stay, else the problem."""
        if self._stopping or not self._allowed.peer(connection.peer.host):
            return "peer-not-allowed"
        same = sum(1 for one in self._connections if one.peer.host == connection.peer.host)
        if len(self._connections) >= self.limits.connections or same >= self.limits.connections_per_peer:
            return "too-many-connections"
        self._connections.add(connection)
        self._empty.clear()
        return ""

    def farewell(self, connection: Connection) -> None:
        """Forget a closed connection."""
        self._connections.discard(connection)
        if not self._connections:
            self._empty.set()

    def has_room(self, connection: Connection) -> bool:
        """False when the unfinished frames of all connections pass the shared buffer."""
        if connection.buffered_bytes < 65_536:
            return True
        return sum(one.buffered_bytes for one in self._connections) <= self.limits.buffer_bytes

    def delay(self, peer: Peer, messages: int) -> float:
        """Seconds until this peer is within its rate again; up to one second of it may come at once."""
        rate = self.limits.messages_per_second
        if rate <= 0:
            return 0.0
        now = time.monotonic()
        if len(self._rates) > 10_000:
            self._rates = {host: until for host, until in self._rates.items() if until > now}
        until = max(self._rates.get(peer.host, 0.0), now - 1.0) + messages / rate
        self._rates[peer.host] = until
        return until - now

    def problem(self, code: str) -> None:
        """Count a problem by its code."""
        self.counts[code] += 1

    def arrived(self, connection: Connection, messages: list[bytes]) -> None:
        """Queue messages for the next store."""
        for raw in messages:
            if not self._allowed_sender(raw):
                connection.close("sender-not-allowed")
                return
            self._queue.append(Received(raw, connection.peer, connection))
            self.counts["received"] += 1
        self._arrival.set()

    # ------------------------------------------------------------ store, then answer

    async def _work(self) -> None:
        while self._queue or not self._stopping:
            if not self._queue:
                self._arrival.clear()
                await self._arrival.wait()
                await asyncio.sleep(0)  # what other sockets have in this turn of the loop joins the same commit
                continue
            batch = [self._queue.popleft() for _ in range(min(len(self._queue), self.limits.batch_messages))]
            if await self._stored(batch):
                await self._answer(batch)

    async def _stored(self, batch: list[Received]) -> bool:
        if self._store is None:
            return True
        try:
            await self._store(batch)
        except Exception:
            for connection in {received.connection for received in batch}:
                connection.close("store-failed")
            return False
        return True

    async def _answer(self, batch: list[Received]) -> None:
        """Each connection's messages in their order; a slow one does not hold up the others."""
        if all(received.answered for received in batch):  # by the store: nothing is waited for
            for received in batch:
                self._say(received)
            return
        lanes: dict[Connection, list[Received]] = {}
        for received in batch:
            lanes.setdefault(received.connection, []).append(received)
        await asyncio.gather(*(self._answer_lane(lane) for lane in lanes.values()))

    async def _answer_lane(self, lane: list[Received]) -> None:
        connection = lane[0].connection
        for received in lane:
            if not received.answered:
                try:
                    async with asyncio.timeout(self.limits.answer_seconds):
                        received.answer = await self._on_message(received.raw, received.peer)
                except Exception:
                    connection.close("answer-failed")
                    return
            self._say(received)

    def _say(self, received: Received) -> None:
        answers = _as_list(received.answer)
        self.counts["answered" if answers else "silent"] += 1
        received.connection.answer(answers)

    def _allowed_sender(self, raw: bytes) -> bool:
        if not self._allowed.senders:
            return True
        try:
            message = header_only(raw)
        except PtbridgeError:
            return False
        return message is not None and self._allowed.sender(message.header.value(3) or "", message.header.value(4) or "")


def _as_list(answer: Answer) -> list[bytes]:
    if answer is None:
        return []
    return [answer] if isinstance(answer, bytes) else list(answer)
