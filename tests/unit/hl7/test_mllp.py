"""Listener and sender over real sockets. What must come first is awaited; nothing here measures time."""

from __future__ import annotations

import asyncio
import contextlib
import datetime as dt
import ssl
from collections.abc import AsyncIterator, Sequence

import pytest
from hl7_messages import p03

from ptbridge.errors import ConfigError, PeerUnavailable, RecordError
from ptbridge.model import Disposition
from ptbridge.wire.hl7_ack import Verdict, acknowledge, codes_due
from ptbridge.wire.hl7v2 import Message
from ptbridge.wire.mllp import Allowed, MllpLimits, MllpListener, MllpSender, Peer, Received, client_tls, framed, server_tls
from tests.certificates import certificate

NOW = dt.datetime(2026, 3, 4, 10, 11, 12, tzinfo=dt.UTC)


def numbered(number: int | str) -> bytes:
    return p03(2).replace(b"C0001", f"ID{number}".encode())


async def accept(raw: bytes, peer: Peer) -> list[bytes]:
    message = Message.parse(raw)
    return [acknowledge(message, code, control_id="OUR1", now=NOW) for code in codes_due(message, Verdict.ACCEPT)]


class Talk:
    """A bare socket to the listener: the torture goes through this."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader, self.writer = reader, writer

    async def say(self, *chunks: bytes) -> None:
        for chunk in chunks:
            self.writer.write(chunk)
            await self.writer.drain()
            await asyncio.sleep(0.005)

    async def ids(self, count: int) -> list[str | None]:
        return [Message.parse(await self.reader.readuntil(b"\x1c\r")).get("MSA-2") for _ in range(count)]

    async def closed(self) -> bytes:
        """All that still comes until the listener closes; a reset is a close."""
        with contextlib.suppress(ConnectionError):
            return await self.reader.read()
        return b""


@contextlib.asynccontextmanager
async def talking(listener: MllpListener) -> AsyncIterator[Talk]:
    reader, writer = await asyncio.open_connection(listener.host, listener.port)
    try:
        yield Talk(reader, writer)
    finally:
        writer.close()
        with contextlib.suppress(ConnectionError):
            await writer.wait_closed()


def run(test):  # a test here is a coroutine function; no plugin is needed for that
    def inner(*args, **kwargs):
        async def bounded():
            async with asyncio.timeout(30):
                await test(*args, **kwargs)

        asyncio.run(bounded())

    inner.__name__ = test.__name__
    return inner


@run
async def test_frames_cut_and_glued_are_all_answered_in_order():
    async with MllpListener("127.0.0.1", 0, accept) as listener, talking(listener) as talk:
        stream = (
            framed(numbered(1)) + b"\n" + framed(numbered(2)) + b"noise" + b"\x0b" + numbered(3) + b"\x1c" + framed(numbered(4))
        )
        await talk.say(stream[:1], stream[1:700], stream[700:])
        await talk.say(b"\x0b" + numbered(5) + b"\x1c", b"\r" + framed(numbered(6)))
        await talk.say(b"\x0b" + numbered(7) + b"\x1c")  # its CR never comes
        assert await talk.ids(7) == [f"ID{number}" for number in range(1, 8)]
        assert listener.counts["received"] == listener.counts["answered"] == 7


@run
async def test_no_answer_before_the_store_is_done_and_one_store_for_many_senders():
    stored: list[list[bytes]] = []
    gate, entered = asyncio.Event(), asyncio.Event()
    events: list[str] = []

    async def store(batch: Sequence[Received]) -> None:
        entered.set()
        await gate.wait()
        stored.append([one.raw for one in batch])
        events.append("stored")

    async def on_message(raw: bytes, peer: Peer) -> list[bytes]:
        assert any(raw in batch for batch in stored)
        events.append("answered")
        return await accept(raw, peer)

    async with MllpListener("127.0.0.1", 0, on_message, store=store) as listener, contextlib.AsyncExitStack() as stack:
        talks = [await stack.enter_async_context(talking(listener)) for _ in range(20)]
        await talks[0].say(framed(numbered(0)))
        await entered.wait()
        for number, talk in enumerate(talks[1:], 1):
            await talk.say(framed(numbered(number)))
        while listener.counts["received"] < 20:
            await asyncio.sleep(0)
        assert listener.counts["answered"] == 0 and events == []
        gate.set()
        assert [await talk.ids(1) for talk in talks] == [[f"ID{number}"] for number in range(20)]
        assert [len(batch) for batch in stored] == [1, 19]
        assert events == ["stored", "answered", "stored", *["answered"] * 19]


@run
async def test_our_own_trouble_gives_no_answer_and_closes():
    broken = True

    async def store(batch: Sequence[Received]) -> None:
        if broken:
            raise OSError("disk full")

    async with MllpListener("127.0.0.1", 0, accept, store=store) as listener:
        async with talking(listener) as talk:
            await talk.say(framed(numbered(1)))
            assert await talk.closed() == b""
        broken = False
        async with talking(listener) as talk:
            await talk.say(framed(numbered(1)))
            assert await talk.ids(1) == ["ID1"]
        assert (listener.counts["store-failed"], listener.counts["answered"]) == (1, 1)


@run
async def test_a_failing_answer_closes_only_its_connection():
    async def on_message(raw: bytes, peer: Peer) -> list[bytes]:
        if b"ID1|" in raw:
            raise RuntimeError("trouble")
        return await accept(raw, peer)

    async with MllpListener("127.0.0.1", 0, on_message) as listener, talking(listener) as bad, talking(listener) as good:
        await bad.say(framed(numbered(1)))
        await good.say(framed(numbered(2)))
        assert await bad.closed() == b""
        assert await good.ids(1) == ["ID2"]
        assert listener.counts["answer-failed"] == 1


@run
async def test_a_store_that_knows_the_answer_gives_it():
    async def store(batch: Sequence[Received]) -> None:
        for one in batch:
            one.answer, one.answered = b"MSH|^~\\&|\rMSA|AA|AGAIN\r", True

    async def never(raw: bytes, peer: Peer) -> None:
        raise AssertionError

    async with MllpListener("127.0.0.1", 0, never, store=store) as listener, talking(listener) as talk:
        await talk.say(framed(numbered(1)))
        assert await talk.ids(1) == ["AGAIN"]


@run
async def test_silence_when_none_is_wanted_and_two_answers_when_two_are():
    async with MllpListener("127.0.0.1", 0, accept) as listener, talking(listener) as talk:
        never = numbered(1).replace(b"|2.5.1", b"|2.5.1|||NE|NE")
        both = numbered(2).replace(b"|2.5.1", b"|2.5.1|||AL|AL")
        await talk.say(framed(never), framed(both))
        assert await talk.ids(2) == ["ID2", "ID2"]
        assert (listener.counts["silent"], listener.counts["answered"]) == (1, 1)


@run
async def test_a_peer_that_says_all_and_closes_its_side_is_still_answered():
    async with MllpListener("127.0.0.1", 0, accept) as listener, talking(listener) as talk:
        await talk.say(framed(numbered(1)) + b"\x0b" + numbered(2) + b"\x1c")
        talk.writer.write_eof()
        assert await talk.ids(2) == ["ID1", "ID2"]
        assert await talk.closed() == b""


@pytest.mark.parametrize(
    ("limits", "say", "problem"),
    [
        ({"frame_bytes": 5000}, b"\x0b" + numbered(1) * 20, "frame-too-large"),
        ({}, numbered(1), "unframed"),
        ({"idle_seconds": 0.05}, b"", "idle"),
        ({"frame_seconds": 0.05}, b"\x0bMSH|^~", "frame-too-slow"),
        ({"buffer_bytes": 100_000}, b"\x0b" + numbered(1) * 200, "buffers-full"),
        ({"answer_seconds": 0.05}, framed(b"MSH|^~\\&|SLOW\r"), "answer-failed"),
    ],
)
def test_each_limit_closes_without_an_answer(limits, say, problem):
    async def slow(raw: bytes, peer: Peer) -> list[bytes]:
        if b"SLOW" in raw:
            await asyncio.Event().wait()
        return await accept(raw, peer)

    @run
    async def conversation() -> None:
        async with MllpListener("127.0.0.1", 0, slow, limits=MllpLimits(**limits)) as listener:
            async with talking(listener) as talk:
                with contextlib.suppress(ConnectionError):
                    await talk.say(say)
                assert await talk.closed() == b""
            assert listener.counts[problem] == 1
            async with talking(listener) as talk:
                await talk.say(framed(numbered(2)))
                assert await talk.ids(1) == ["ID2"]

    conversation()


@run
async def test_no_more_connections_than_allowed():
    async with MllpListener("127.0.0.1", 0, accept, limits=MllpLimits(connections=1)) as listener:
        async with talking(listener) as first:
            await first.say(framed(numbered(1)))
            assert await first.ids(1) == ["ID1"]
            async with talking(listener) as second:
                assert await second.closed() == b""
        assert listener.counts["too-many-connections"] == 1


@run
async def test_a_rate_slows_the_reading_and_loses_nothing():
    async with (
        MllpListener("127.0.0.1", 0, accept, limits=MllpLimits(messages_per_second=50)) as listener,
        talking(listener) as talk,
    ):
        for number in range(70):
            talk.writer.write(framed(numbered(number)))
        assert await talk.ids(70) == [f"ID{number}" for number in range(70)]


@run
async def test_a_peer_that_never_reads_its_answers_does_not_stop_the_others():
    limits = MllpLimits(waiting_per_connection=2)
    async with (
        MllpListener("127.0.0.1", 0, accept, limits=limits) as listener,
        talking(listener) as deaf,
        talking(listener) as other,
    ):
        for number in range(200):
            deaf.writer.write(framed(numbered(number)))
        await other.say(framed(numbered("X")))
        assert await other.ids(1) == ["IDX"]
        assert await deaf.ids(200) == [f"ID{number}" for number in range(200)]


@pytest.mark.parametrize(
    ("allowed", "problem"),
    [
        (Allowed.of(networks=["10.0.0.0/8", "::1"]), "peer-not-allowed"),
        (Allowed.of(senders=[("OTHER", "*"), ("EMR", "ELSEWHERE")]), "sender-not-allowed"),
        (Allowed.of(networks=["127.0.0.0/8"], senders=[("EMR", "CLINIC")]), ""),
        (Allowed.of(senders=[("*", "CLINIC")]), ""),
    ],
)
def test_only_those_who_are_allowed(allowed, problem):
    @run
    async def conversation() -> None:
        async with MllpListener("127.0.0.1", 0, accept, allowed=allowed) as listener, talking(listener) as talk:
            with contextlib.suppress(ConnectionError):
                await talk.say(framed(numbered(1)))
            if problem:
                assert await talk.closed() == b""
                assert listener.counts[problem] == 1
            else:
                assert await talk.ids(1) == ["ID1"]

    conversation()


@run
async def test_stopping_answers_what_was_taken():
    gate, entered = asyncio.Event(), asyncio.Event()

    async def store(batch: Sequence[Received]) -> None:
        entered.set()
        await gate.wait()

    listener = MllpListener("127.0.0.1", 0, accept, store=store)
    await listener.start()
    async with talking(listener) as talk:
        await talk.say(framed(numbered(1)))
        await entered.wait()
        stopping = asyncio.create_task(listener.stop())
        await asyncio.sleep(0)
        gate.set()
        assert await talk.ids(1) == ["ID1"]
        assert await talk.closed() == b""
        await stopping
    with pytest.raises(ConnectionError):
        await asyncio.open_connection("127.0.0.1", listener.port)


@pytest.mark.parametrize("host", ["0.0.0.0", "10.1.2.3", "::", "emr.example.org"])
def test_plain_mllp_leaves_this_machine_only_when_asked_in_so_many_words(host):
    with pytest.raises(ConfigError, match="insecure_plaintext"):
        MllpSender(host, 2575)
    MllpSender(host, 2575, insecure_plaintext=True)
    for local in ("127.0.0.1", "::1", "localhost"):
        MllpSender(local, 2575)

    async def listen() -> None:
        with pytest.raises(ConfigError, match="insecure_plaintext"):
            MllpListener(host, 0, accept)

    asyncio.run(listen())


def test_a_network_that_is_none_is_a_mistake_in_the_configuration():
    with pytest.raises(ConfigError, match=r"10\.1\.2\.0/24"):
        Allowed.of(networks=["10.1.2.300"])


# ---------------------------------------------------------------- sending


@contextlib.asynccontextmanager
async def engine(behave) -> AsyncIterator[tuple[MllpSender, list[int]]]:
    """A partner whose answers are `behave(connection number, message number, control id)`: a list of chunks, None to close."""
    connections: list[int] = []
    writers: list[asyncio.StreamWriter] = []
    messages = 0

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal messages
        mine = len(connections)
        connections.append(mine)
        writers.append(writer)
        with contextlib.suppress(ConnectionError, asyncio.IncompleteReadError):
            while True:
                raw = await reader.readuntil(b"\x1c\r")
                messages += 1
                for chunk in behave(mine, messages - 1, Message.parse(raw).control_id):
                    if chunk is None:
                        raise ConnectionError
                    writer.write(chunk)
                    await writer.drain()
                    await asyncio.sleep(0.01)
        writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    sender = MllpSender("127.0.0.1", port, answer_seconds=0.3)
    try:
        yield sender, connections
    finally:
        await sender.close()
        server.close()
        for writer in writers:
            writer.close()
            with contextlib.suppress(ConnectionError):
                await writer.wait_closed()


def ack(code: str, control_id: str) -> bytes:
    return f"MSH|^~\\&|B|C|A|D|1||ACK|9|P|2.5\rMSA|{code}|{control_id}\r".encode()


@pytest.mark.parametrize(
    ("behave", "disposition", "code", "connections"),
    [
        (lambda c, m, i: [framed(ack("AA", i))], Disposition.ACCEPTED, "AA", 1),
        (lambda c, m, i: [framed(ack("CA", i))], Disposition.ACCEPTED, "CA", 1),
        (lambda c, m, i: [framed(ack("AE", i))], Disposition.REJECTED, "AE", 1),
        (lambda c, m, i: [framed(ack("CR", i))], Disposition.REJECTED, "CR", 1),
        (lambda c, m, i: [b"\x0b" + ack("AA", i) + b"\x1c", b"\r"], Disposition.ACCEPTED, "AA", 1),  # split, then its tail
        (lambda c, m, i: [b"\x0b", ack("AA", i)[:20], ack("AA", i)[20:] + b"\x1c\r\n"], Disposition.ACCEPTED, "AA", 1),
        (lambda c, m, i: [], Disposition.IN_DOUBT, "", 2),  # silence
        (lambda c, m, i: [None], Disposition.IN_DOUBT, "", 2),
        (lambda c, m, i: [framed(ack("AA", i))[:30], None], Disposition.IN_DOUBT, "", 2),
        (lambda c, m, i: [framed(ack("AA", "ANOTHER"))], Disposition.IN_DOUBT, "", 2),
        (lambda c, m, i: [framed(ack("AA", i + "0"))], Disposition.IN_DOUBT, "", 2),
        (lambda c, m, i: [framed(ack("", i))], Disposition.IN_DOUBT, "", 2),
        (lambda c, m, i: [framed(ack("OK", i))], Disposition.IN_DOUBT, "", 2),
        (lambda c, m, i: [framed(b"hello world")], Disposition.IN_DOUBT, "", 2),
        (lambda c, m, i: [ack("AA", i)], Disposition.IN_DOUBT, "", 2),  # no framing
        (lambda c, m, i: [framed(ack("AA", "LATE")), framed(ack("AA", i))], Disposition.ACCEPTED, "AA", 2),
        (lambda c, m, i: [framed(ack("AA", i)) * 2], Disposition.ACCEPTED, "AA", 1),
        (lambda c, m, i: [framed(ack("AA", i)), framed(ack("AA", i))], Disposition.ACCEPTED, "AA", 2),
    ],
)
def test_an_answer_counts_only_for_the_message_it_names(behave, disposition, code, connections):
    @run
    async def conversation() -> None:
        async with engine(behave) as (sender, opened):
            for number in (1, 2):
                reply = await sender.send(numbered(number))
                assert (reply.disposition, reply.code) == (disposition, code)
                await asyncio.sleep(0.03)
            assert len(opened) == connections

    conversation()


@run
async def test_swapped_answers_are_never_taken_for_each_other():
    held: list[str] = []

    def swap(connection: int, message: int, control_id: str) -> list[bytes]:
        held.append(control_id)
        return [framed(ack("AA", held[message - 1]))] if message else []

    async with engine(swap) as (sender, _):
        replies = [await sender.send(numbered(number)) for number in (1, 2, 3)]
    assert [reply.disposition for reply in replies] == [Disposition.IN_DOUBT] * 3
    assert [reply.strange_answers for reply in replies] == [0, 1, 1]


@run
async def test_one_message_in_flight_at_a_time():
    seen: list[str] = []

    def behave(connection: int, message: int, control_id: str) -> list[bytes]:
        seen.append(control_id)
        return [framed(ack("AA", control_id))]

    async with engine(behave) as (sender, opened):
        replies = await asyncio.gather(*(sender.send(numbered(number)) for number in range(10)))
    assert all(reply.disposition is Disposition.ACCEPTED and reply.strange_answers == 0 for reply in replies)
    assert (len(seen), len(opened)) == (10, 1)


@run
async def test_a_connection_that_closed_meanwhile_is_replaced_before_the_next_message():
    async with engine(lambda c, m, i: [framed(ack("AA", i)), None]) as (sender, opened):
        for number in range(3):
            assert (await sender.send(numbered(number))).disposition is Disposition.ACCEPTED
            await asyncio.sleep(0.05)
        assert len(opened) == 3


@run
async def test_the_application_answer_is_awaited_where_it_was_asked():
    async with engine(lambda c, m, i: [framed(ack("CA", i)), framed(ack("AE", i))]) as (sender, _):
        sender._await_application = True
        assert (await sender.send(numbered(1))).code == "AE"


@run
async def test_nothing_is_in_doubt_when_nothing_was_sent():
    sender = MllpSender("127.0.0.1", 1)
    with pytest.raises(PeerUnavailable, match=r"127\.0\.0\.1:1: no connection"):
        await sender.send(numbered(1))
    with pytest.raises(RecordError, match="MSH-10"):
        await sender.send(b"MSH|^~\\&|A\r")


# ---------------------------------------------------------------- TLS


def test_mutual_tls(tmp_path):
    authority, _, signer = certificate(tmp_path, "authority", None)
    server, server_key, _ = certificate(tmp_path, "listener", signer)
    client, client_key, _ = certificate(tmp_path, "clinic-engine", signer)
    stranger, stranger_key, _ = certificate(tmp_path, "stranger", None)
    peers: list[Peer] = []

    async def on_message(raw: bytes, peer: Peer) -> list[bytes]:
        peers.append(peer)
        return await accept(raw, peer)

    @run
    async def conversation() -> None:
        tls = server_tls(server, server_key, client_authority=authority)
        assert tls.minimum_version == ssl.TLSVersion.TLSv1_2
        async with MllpListener("127.0.0.1", 0, on_message, tls=tls) as listener:
            good = MllpSender(
                "127.0.0.1",
                listener.port,
                tls=client_tls(authority=authority, certificate=client, key=client_key),
                answer_seconds=5,
            )
            assert (await good.send(numbered(1))).code == "AA"
            await good.close()
            assert peers[0].certificate_names == ("clinic-engine", "127.0.0.1")
            for context in (
                client_tls(authority=authority),
                client_tls(authority=authority, certificate=stranger, key=stranger_key),
                client_tls(authority=stranger, certificate=client, key=client_key),
            ):
                bad = MllpSender("127.0.0.1", listener.port, tls=context, answer_seconds=5)
                with contextlib.suppress(PeerUnavailable):
                    assert (await bad.send(numbered(2))).disposition is Disposition.IN_DOUBT
                await bad.close()
            async with talking(listener) as plain:
                with contextlib.suppress(ConnectionError):
                    await plain.say(framed(numbered(3)))
                assert b"MSA" not in await plain.closed()
            assert listener.counts["received"] == 1

    conversation()


def test_a_certificate_that_cannot_be_read_is_a_mistake_in_the_configuration(tmp_path):
    with pytest.raises(ConfigError, match="cannot be read"):
        server_tls(str(tmp_path / "none.pem"), str(tmp_path / "none.key"))
