"""What is fuzzed, and what must hold whatever comes in: the documented answer or the documented error, and no byte lost."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable
from datetime import UTC, datetime
from random import Random

from ptbridge.destinations._x12_answers import answers_in
from ptbridge.destinations._x12_sent import Sent
from ptbridge.errors import RecordError
from ptbridge.inbox import Rules, envelope_of
from ptbridge.specs.extract import profile_of
from ptbridge.specs.mapping_files import load_mapping
from ptbridge.wire.extract_file import cut
from ptbridge.wire.extract_rows import BrokenFile
from ptbridge.wire.fhir_bundle import UnreadableBody, split_bundle
from ptbridge.wire.hl7_ack import AckError, acknowledge_unreadable
from ptbridge.wire.hl7_batch import split_batch
from ptbridge.wire.hl7_paths import PathSyntaxError, compile_path
from ptbridge.wire.hl7v2 import Message
from ptbridge.wire.mllp import MllpLimits, MllpListener, Peer
from ptbridge.wire.mllp_frames import FrameError, FrameReader, framed
from tests.fuzz.mutations import bundle, extract, messages, mutated, sheet, x12_files

PATHS = ("MSH-9.1", "FT1-7", "FT1[*]-26[*]", "FT1-19[2].1", "PID-3[authority=SANDBOX].1", "OBX[3=MIN]-5", "NTE-3", "ZZZ-2")
WEBPT = profile_of(load_mapping("emrs/webpt_extract"))
NOW = datetime(2026, 3, 4, tzinfo=UTC)
ANSWER_SECONDS = 10.0  # then a connection counts as neither answered nor closed
_MOST_BYTES = 60_000  # of a frame, so that the limit is met too


class Broken(Exception):
    """A property does not hold; the text says which."""


def holds(claim: bool, what: str) -> None:
    """Raise Broken unless the claim is true."""
    if not claim:
        raise Broken(what)


def tokenizer(random: Random) -> None:
    """A message is read or refused with its place, keeps its bytes, and can be looked into, sorted and answered."""
    raw = mutated(random.choice(messages()), random)
    envelope = envelope_of(raw, Rules())
    answer = Message.parse(acknowledge_unreadable(raw, "AE", control_id="1", now=NOW, error=AckError(where="MSH", text="x")))
    holds(answer.names == ("MSH", "MSA", "ERR"), "an answer has three segments")
    try:
        message = Message.parse(raw, random.choice((None, None, "UNICODE UTF-8", "8859/1", "BIG5", "UTF-16")))
    except RecordError as problem:
        holds(bool(problem.where), "a refusal names its place")
        return
    holds(message.raw == raw, "the bytes are as received")
    holds(envelope.message is None or envelope.message.raw == raw, "the inbox keeps the bytes as received")
    for path in PATHS:
        message.get(path), message.get_all(path), message.is_null(path)
    for group in message.groups():
        for path in PATHS:
            group.get(path), group.get_all(path)
    for segment in message.segments_all:
        message.owner(segment)


def paths(random: Random) -> None:
    """Any text is a path that can be applied, or is refused as none."""
    text = mutated(random.choice(PATHS).encode(), random).decode("utf-8", "replace")
    with contextlib.suppress(PathSyntaxError):
        holds(compile_path(text).text == text, "a path keeps its text")
        Message.parse(random.choice(messages())).get_all(text)


def framing(random: Random) -> None:
    """Whole messages come out as they went in however the stream is cut; damaged streams give parts of themselves."""
    sent = [random.choice(messages()) for _ in range(random.randrange(1, 6))]
    holds(_fed(b"".join(map(framed, sent)), random) == sent, "messages survive any cutting")
    stream = mutated(b"".join(map(framed, sent)), random)
    with contextlib.suppress(FrameError):
        for one in _fed(stream, random):
            holds(one in stream and len(one) <= _MOST_BYTES, "a message is a part of the stream, within the limit")


def _fed(stream: bytes, random: Random) -> list[bytes]:
    reader, found, at = FrameReader(_MOST_BYTES), list[bytes](), 0
    while at < len(stream):
        size = random.choice((1, 7, 300, 5000))
        found += reader.feed(stream[at : at + size])
        at += size
        holds(reader.buffered_bytes <= _MOST_BYTES + size, "the buffer stays within the limit")
    return found


def batch(random: Random) -> None:
    """Every message of a file comes out byte for byte, in order, on the line that is said."""
    several = [random.choice(messages()) for _ in range(random.randrange(1, 5))]
    raw = mutated(b"FHS|^~\\&\rBHS|^~\\&\r" + b"".join(several) + b"BTS|%d\rFTS|1\r" % len(several), random)
    try:
        found = split_batch(raw)
    except RecordError:
        return
    at, lines = 0, raw.splitlines(keepends=True)
    for one in found.messages:
        at = raw.find(one.raw, at)
        holds(at >= 0, "a message is a part of the file, after the one before")
        at += len(one.raw)
        holds(one.raw.startswith(lines[one.line - 1]), "a message starts on its line")


def extracts(random: Random) -> None:
    """A charge extract is cut into rows that are its own bytes, or refused as a whole."""
    workbook = random.random() < 0.3
    raw = mutated(sheet() if workbook else extract(), random)
    try:
        found = cut("charges.xlsx" if workbook else "charges.csv", raw, WEBPT, None)
    except BrokenFile:
        return
    for row in [row for visit in found.visits.values() for row in visit]:
        holds(workbook or row.raw in raw, "a row is a part of the file")


def bundles(random: Random) -> None:
    """A page of resources is split into its own bytes, or refused as unreadable."""
    raw = mutated(bundle(), random)
    try:
        found = split_bundle(raw)
    except UnreadableBody:
        return
    for entry in found.entries if found else ():
        holds(entry.raw in raw, "a resource is a part of the page")


def x12_answers(random: Random) -> None:
    """A file from a clearinghouse is read to its end, or refused with its place; nothing of it is quoted in a refusal."""
    raw = mutated(random.choice(x12_files()), random)
    try:
        for answer in answers_in(raw, Sent([], "oak"), {}):
            holds(bool(answer.key), "news has a key")
    except RecordError as problem:
        holds(bool(problem.where) and "QXZ" not in str(problem), "a refusal names its place, and nothing that stands there")


def listener(random: Random) -> None:
    """Whatever one connection sends, it is answered or closed, and the next connection is served."""
    stream = mutated(b"".join(framed(random.choice(messages())) for _ in range(random.randrange(1, 4))), random)
    asyncio.run(_conversation(stream, random.choice(messages())))


async def _conversation(hostile: bytes, good: bytes) -> None:
    async def answer(raw: bytes, _peer: Peer) -> bytes:
        return acknowledge_unreadable(raw, "AA", control_id="1", now=NOW, error=AckError(where="MSH", text="x"))

    limits = MllpLimits(frame_bytes=_MOST_BYTES, lone_end_seconds=0.01, idle_seconds=0.5, frame_seconds=0.5)
    async with MllpListener("127.0.0.1", 0, answer, limits=limits) as one:
        try:
            async with asyncio.timeout(ANSWER_SECONDS):
                told = await _said(one.port, hostile)
                holds(told.count(b"\x1c\r") == one.counts["answered"], "each message that was taken is answered")
                told = await _said(one.port, framed(good))
                holds(b"\rMSA|AA|" in told, "the next connection is served")
        except TimeoutError:
            raise Broken("a connection is answered or closed") from None


async def _said(port: int, stream: bytes) -> bytes:
    """Send, say that this was all, and take what comes until the other side closes."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    told = b""
    with contextlib.suppress(ConnectionError):
        writer.write(stream)
        writer.write_eof()
        while part := await reader.read(65_536):
            told += part
    writer.close()
    with contextlib.suppress(ConnectionError):
        await writer.wait_closed()
    return told


Target = Callable[[Random], None]
TARGETS: dict[str, Target] = {
    one.__name__: one for one in (tokenizer, paths, framing, batch, extracts, bundles, x12_answers, listener)
}
