"""A pretend biller that takes DFT messages over MLLP: a real socket, books, and knobs for every bad acknowledgement seen.

In a test:      async with Hl7Biller() as biller: … biller.address … biller.books.totals()
As a process:   python -m ptbridge_sandbox.hl7_biller --port 0      (prints `ready mllp://127.0.0.1:PORT`)

What goes wrong is a word for each message, from `script` in order and then by `shares`:

    AE, AR              not booked, and answered so (CE, CR for a sender that asks for commit acknowledgements)
    silent              booked, never answered
    close               booked, and the connection closed without an answer
    close-before        not booked, and the connection closed
    late                booked; the answer comes first on the next connection, before that one's own
    swapped             booked, and answered together with the next message of the connection, in the other order
    repeated            booked, and answered twice
    wrong-id            booked, and the answer names another message
    no-id               booked, and the answer names none
    garbage             booked, and the answer is no message
    unframed            booked, and the answer comes without its framing
    accepts-anything    not even read, and answered AA without naming a message
    deferred            booked, and answered CA; what the application says (AA, or AE for what cannot be booked) comes later
    deferred-AE         not booked, and answered CA; the application says AE later (deferred-AR likewise)

What comes later is said over a connection of its own by `say_deferred(address)`, to whoever listens for it there.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import ssl
from collections import Counter, deque
from collections.abc import Iterable, Mapping
from random import Random
from typing import Self

from .hl7_books import Hl7Books, at

_START, _END = b"\x0b", b"\x1c\r"
WORDS = (
    "AE",
    "AR",
    "silent",
    "close",
    "close-before",
    "late",
    "swapped",
    "repeated",
    "wrong-id",
    "no-id",
    "garbage",
    "unframed",
    "accepts-anything",
    "deferred",
    "deferred-AE",
    "deferred-AR",
)


class Hl7Biller:
    """One biller on loopback. `script` and `shares` may change while it runs; `received` are the messages word for word."""

    def __init__(
        self,
        *,
        script: Iterable[str] = (),
        shares: Mapping[str, float] | None = None,
        books: Hl7Books | None = None,
        port: int = 0,
        tls: ssl.SSLContext | None = None,
        seed: int = 1,
    ) -> None:
        self.script: deque[str] = deque(script)
        self.shares = dict(shares or {})
        self.books = books or Hl7Books()
        self.received: list[bytes] = []
        self.happened: Counter[str] = Counter()
        self.connections = 0
        self.address = ""
        self._port = port
        self._tls = tls
        self._random = Random(seed)
        self._late: deque[bytes] = deque()
        self.deferred: deque[bytes] = deque()  # what the application has yet to say
        self._server: asyncio.Server | None = None
        self._writers: set[asyncio.StreamWriter] = set()

    async def __aenter__(self) -> Self:
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", self._port, ssl=self._tls, limit=16 << 20)
        host, self._port = self._server.sockets[0].getsockname()[:2]
        self.address = f"{'mllps' if self._tls else 'mllp'}://{host}:{self._port}"
        return self

    async def __aexit__(self, *_: object) -> None:
        assert self._server is not None
        await asyncio.sleep(0.05)  # a connection accepted a moment before cannot attach to a server that is closed
        self._server.close()
        for writer in list(self._writers):
            writer.close()
        for _turn in range(200):
            if not self._writers:
                break
            await asyncio.sleep(0.01)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        self._writers.add(writer)
        held: list[bytes] = []  # the answers that `swapped` keeps back
        try:
            while True:
                frame = await reader.readuntil(_END)
                message = frame[frame.rfind(_START) + 1 : -len(_END)]
                if not await self._take(message, writer, held):
                    break
        except (asyncio.IncompleteReadError, ConnectionError):
            pass
        finally:
            writer.close()
            with contextlib.suppress(OSError):
                await writer.wait_closed()
            self._writers.discard(writer)

    async def _take(self, message: bytes, writer: asyncio.StreamWriter, held: list[bytes]) -> bool:
        """Book and answer one message; False when the connection is to be closed."""
        self.received.append(message)
        word = self._word()
        self.happened[word] += 1
        refused = word.removeprefix("deferred-")
        code = refused if refused in ("AE", "AR") else "AA"
        if code == "AA" and word not in ("close-before", "accepts-anything") and self.books.book(message.decode("latin-1")):
            code = "AE"
        if word.startswith("deferred"):
            self.deferred.append(application_answer(message, code))
            code = "AA"
        answers = self._answers(word, acknowledgement(message, code), held)
        for answer in [*self._late_answers(word), *answers]:
            writer.write(answer if word == "unframed" else _START + answer + _END)
        await writer.drain()
        return word not in ("close", "close-before")

    async def say_deferred(self, host: str, port: int) -> list[bytes]:
        """Say what the application has to say, message by message over one new connection; the answers to that."""
        reader, writer = await asyncio.open_connection(host, port)
        answers = []
        try:
            while self.deferred:
                writer.write(_START + self.deferred.popleft() + _END)
                await writer.drain()
                answers.append((await reader.readuntil(_END))[1 : -len(_END)])
        finally:
            writer.close()
        return answers

    def _word(self) -> str:
        if self.script:
            return self.script.popleft()
        roll = self._random.random()
        for word, share in self.shares.items():
            if roll < share:
                return word
            roll -= share
        return "ok"

    def _late_answers(self, word: str) -> list[bytes]:
        found = [] if word == "late" else list(self._late)
        if word != "late":
            self._late.clear()
        return found

    def _answers(self, word: str, answer: bytes, held: list[bytes]) -> list[bytes]:
        match word:
            case "silent" | "close" | "close-before":
                return []
            case "late":
                self._late.append(answer)
                return []
            case "swapped":
                held.append(answer)
                return []
            case "repeated":
                return [answer, answer]
            case "wrong-id":
                return [renamed(answer, "SOMEBODYELSE")]
            case "no-id" | "accepts-anything":
                return [renamed(answer, "")]
            case "garbage":
                return [b"hello world"]
            case _:
                swapped, held[:] = [answer, *held], []
                return swapped


def acknowledgement(message: bytes, code: str) -> bytes:
    """An ACK for a message, in the sender's separators; commit codes when MSH-15 asks for them."""
    head = message.split(b"\r", 1)[0].decode("latin-1")
    fields = head.split(head[3])
    if at(fields, 14) == "AL":
        code = "C" + code[1:]
    msh = [*fields[:2], fields[4], fields[5], fields[2], fields[3], "", "", "ACK", f"A{fields[9]}"[:20], fields[10], fields[11]]
    lines = (head[3].join(msh), head[3].join(("MSA", code, fields[9])))
    return "".join(line + "\r" for line in lines).encode("latin-1")


def application_answer(message: bytes, code: str) -> bytes:
    """What the application says of a message, as a message of its own that asks for an accept answer (MSH-15 AL)."""
    head, msa, _ = acknowledgement(message, code).decode("latin-1").split("\r")
    fields = head.split(head[3])
    fields[8:10] = ["ACK^P03^ACK", f"D{fields[9]}"[:20]]
    msa = head[3].join(("MSA", code, msa.split(head[3])[2]))
    return f"{head[3].join([*fields[:12], '', '', 'AL', 'NE'])}\r{msa}\r".encode("latin-1")


def renamed(answer: bytes, control_id: str) -> bytes:
    """The same answer for another message."""
    head, msa, _ = answer.decode("latin-1").split("\r")
    fields = [*msa.split(head[3])[:2], control_id]
    return f"{head}\r{head[3].join(fields)}\r".encode("latin-1")


async def _main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--port", type=int, default=0)
    async with Hl7Biller(port=parser.parse_args().port) as biller:
        print(f"ready {biller.address}", flush=True)  # noqa: T201
        await asyncio.Event().wait()


if __name__ == "__main__":
    asyncio.run(_main())
