"""A pretend EMR that sends its day over MLLP, as integration engines do.

It shares no code with ptbridge, so each checks the other.

As a process:   python -m ptbridge_sandbox.mllp_sender --to 127.0.0.1:2575 [--habit new-connection] [--habit split] …

Habits that real engines have:

    new-connection   a connection for each message
    split            the frame in three pieces, FS and CR apart
    no-cr            no CR after FS
    line-feed        LF after the CR
    twice            every message again with the same bytes
    out-of-order     charges before the registration they belong to
    glued            ten messages in one write, answers read afterwards
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import ssl
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from datetime import date

from .hl7_day import hl7_day
from .maker import DAY, SEED

HABITS = ("new-connection", "split", "no-cr", "line-feed", "twice", "out-of-order", "glued")
_GLUED = 10


@dataclass
class Played:
    """What came back: MSA-1 codes, and the control ids that got no answer, or another's."""

    codes: Counter[str] = field(default_factory=Counter)
    unanswered: list[str] = field(default_factory=list)


class MllpPlayer:
    """Sends messages in order and waits for each answer (or for ten, when they are glued). Like an engine it tries again,
    in order, on a new connection, when there is silence or the connection closes; never after any answer."""

    def __init__(
        self,
        host: str,
        port: int,
        *,
        habits: Iterable[str] = (),
        tls: ssl.SSLContext | None = None,
        answer_seconds: float = 5.0,
        attempts: int = 3,
    ) -> None:
        self.host, self.port, self.habits = host, port, frozenset(habits)
        if unknown := self.habits - set(HABITS):
            raise ValueError(f"unknown habits: {', '.join(sorted(unknown))}; known: {', '.join(HABITS)}")
        self._tls, self._seconds, self._attempts = tls, answer_seconds, attempts
        self._streams: tuple[asyncio.StreamReader, asyncio.StreamWriter] | None = None

    async def play(self, messages: Sequence[bytes]) -> Played:
        """Send all; what gets no answer after all attempts is reported and the next one is sent."""
        played = Played()
        size = _GLUED if "glued" in self.habits else 1
        try:
            for start in range(0, len(messages), size):
                group = [raw for raw in messages[start : start + size] for _ in range(2 if "twice" in self.habits else 1)]
                await self._send(group, played)
        finally:
            await self._drop()
        return played

    async def _send(self, group: list[bytes], played: Played) -> None:
        waiting = list(group)
        for _ in range(self._attempts):
            try:
                async with asyncio.timeout(self._seconds):
                    await self._attempt(waiting, played)
            except (TimeoutError, OSError, asyncio.IncompleteReadError):
                await self._drop()
            if not waiting:
                break
        played.unanswered += [control_id(raw) for raw in waiting]
        if "new-connection" in self.habits:
            await self._drop()

    async def _attempt(self, waiting: list[bytes], played: Played) -> None:
        if self._streams is None:
            self._streams = await asyncio.open_connection(self.host, self.port, ssl=self._tls)
        reader, writer = self._streams
        for piece in self._pieces(waiting):
            writer.write(piece)
            await writer.drain()
            await asyncio.sleep(0.002 if "split" in self.habits else 0)
        while waiting:
            answer = await reader.readuntil(b"\x1c\r")
            code, answered = _answer(answer)
            match = next((raw for raw in waiting if control_id(raw) == answered), None)
            if match is not None:
                waiting.remove(match)
                played.codes[code] += 1

    def _pieces(self, group: Iterable[bytes]) -> list[bytes]:
        end = b"\x1c" if "no-cr" in self.habits else b"\x1c\r\n" if "line-feed" in self.habits else b"\x1c\r"
        whole = b"".join(b"\x0b" + raw + end for raw in group)
        if "split" not in self.habits:
            return [whole]
        cut = len(whole) // 2
        return [whole[:cut], whole[cut : -len(end) + 1], whole[-len(end) + 1 :]]

    async def _drop(self) -> None:
        streams, self._streams = self._streams, None
        if streams is not None:
            streams[1].close()
            with contextlib.suppress(OSError):
                await streams[1].wait_closed()


def control_id(raw: bytes) -> str:
    """MSH-10 of one of this sender's messages."""
    return raw.split(b"\r", 1)[0].split(b"|")[9].decode()


def day_messages(day: date = DAY, seed: int = SEED, *, out_of_order: bool = False) -> list[bytes]:
    """The day's messages; `out_of_order` puts each charge before the registration that it should follow."""
    told = hl7_day(day, seed=seed)
    if out_of_order:
        first = {"DFT": 0, "MDM": 1, "ADT": 2, "SIU": 3}
        told = sorted(told, key=lambda one: (one.kind[4:7] == "A40", one.visit, first[one.kind[:3]]))
    return [one.raw for one in told]


def _answer(raw: bytes) -> tuple[str, str]:
    for line in raw.strip(b"\x0b\x1c\r").split(b"\r"):
        if line.startswith(b"MSA|"):
            parts = line.decode("utf-8", "replace").split("|")
            return (parts[1], parts[2]) if len(parts) > 2 else ("", "")
    return "", ""


def main(arguments: list[str] | None = None) -> int:
    """Send one day and say what was answered. 0: every message was answered."""
    parser = argparse.ArgumentParser(
        prog="ptbridge_sandbox.mllp_sender", description="A pretend EMR that sends its day over MLLP."
    )
    parser.add_argument("--to", required=True, metavar="HOST:PORT")
    parser.add_argument("--day", type=date.fromisoformat, default=DAY)
    parser.add_argument("--seed", type=int, default=SEED)
    parser.add_argument("--habit", action="append", default=[], choices=HABITS)
    options = parser.parse_args(arguments)
    host, _, port = options.to.rpartition(":")
    messages = day_messages(options.day, options.seed, out_of_order="out-of-order" in options.habit)
    played = asyncio.run(MllpPlayer(host, int(port), habits=options.habit).play(messages))
    answers = ", ".join(f"{count} {code}" for code, count in sorted(played.codes.items())) or "none"
    print(f"{len(messages)} messages sent; answers: {answers}; without an answer: {len(played.unanswered)}")  # noqa: T201
    return 1 if played.unanswered else 0


if __name__ == "__main__":
    raise SystemExit(main())
