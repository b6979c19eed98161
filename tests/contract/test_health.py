"""/healthz of a listener: a real process, asked over real HTTP."""

from __future__ import annotations

import asyncio
import http.client
import json
import signal
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from ptbridge.wire.health import HealthServer
from tests.hl7_clinic import lakeside


def ask(address: str, method: str = "GET", path: str = "/healthz") -> tuple[int, bytes]:
    connection = http.client.HTTPConnection(address, timeout=10)
    try:
        connection.request(method, path)
        response = connection.getresponse()
        return response.status, response.read()
    finally:
        connection.close()


def test_a_listener_answers_while_it_serves_and_says_nothing_of_its_data(tmp_path: Path) -> None:
    with lakeside(tmp_path) as world:
        command = [sys.executable, "-m", "ptbridge", "listen", "--port", "0", "--health", "0", "--json"]
        process = subprocess.Popen(
            [*command, "--config", str(world.world.folder)], stdout=subprocess.PIPE, text=True, cwd=world.world.folder
        )
        assert process.stdout is not None
        try:
            (listening,) = json.loads(process.stdout.readline())
            assert listening["health"].startswith("127.0.0.1:")
            assert ask(listening["health"]) == (200, b'{"status": "ok"}')
            assert ask(listening["health"], path="/healthz?x=1")[0] == 200
            assert ask(listening["health"], path="/metrics") == (404, b'{"status": "ask for /healthz"}')
            assert ask(listening["health"], "POST")[0] == 405
            assert ask(listening["health"], "HEAD") == (200, b"")
        finally:
            process.send_signal(signal.SIGTERM)
            assert process.wait(timeout=20) == 0
            process.stdout.close()
        with pytest.raises(OSError):
            ask(listening["health"])


def test_a_word_that_is_not_ok_is_a_503_and_garbage_gets_an_answer() -> None:
    async def scenario() -> None:
        word = "ok"
        server = HealthServer(lambda: word, 0)
        address = await server.start()
        assert await asyncio.to_thread(ask, address) == (200, b'{"status": "ok"}')
        word = "cannot store"
        assert await asyncio.to_thread(ask, address) == (503, b'{"status": "cannot store"}')
        for garbage in (b"\x00" * 10_000, b"GET", b"\r\n\r\n"):
            assert (await asyncio.to_thread(send, address, garbage)).startswith(b"HTTP/1.1 40")
        await server.stop()

    asyncio.run(scenario())


def send(address: str, garbage: bytes) -> bytes:
    host, _, port = address.partition(":")
    with socket.create_connection((host, int(port)), timeout=10) as connection:
        connection.sendall(garbage)
        connection.shutdown(socket.SHUT_WR)
        answer = b""
        try:
            while piece := connection.recv(4096):
                answer += piece
        except ConnectionResetError:  # what was not read is thrown away with the connection
            pass
        return answer
