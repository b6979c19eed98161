"""The biller's side of the wire: answers lost in every way, storms of refusals, a biller that comes and goes."""

from __future__ import annotations

import contextlib
import socket
import struct
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from random import Random

from ptbridge_sandbox.biller_faults import Faults

from tests.chaos.ground import Ground

PATIENCE = 4.0  # seconds after its first word to the biller; then the run is asked to stop, and the next goes on where it was
WAYS = ("reset", "close", "half", "silence", "slow")


def answers_lost_on_the_way(ground: Ground) -> None:
    """A proxy that passes requests on and spoils some answers: reset, closed, cut in half, never, one byte at a time."""
    straight = ground.world.biller.base_url
    with spoiling_proxy(straight, ground.dice.getrandbits(30), share=0.25) as proxy:
        _biller_at(ground, straight, proxy)
        for _ in range(3):
            code = ground.run("sync", patience=PATIENCE)
            ground.note(f"sync through the proxy: exit code {code}")
            ground.edit(3)
        _biller_at(ground, proxy, straight)


def storms(ground: Ground) -> None:
    """429 with every kind of Retry-After, 5xx before and after the charge was taken, at 1 %, half and all of the calls."""
    for share in ground.dice.sample((0.01, 0.5, 1.0, 0.3), 3):
        ground.world.biller.faults = Faults(
            busy=share,
            busy_status=ground.dice.choice((429, 500, 502, 503, 504)),
            retry_after=ground.dice.choice(("", "0", "1", "soon", "-5", "Wed, 21 Oct 2015 07:28:00 GMT")),
            error_after_commit=ground.dice.choice((0.0, 0.2)),
            html_answer=ground.dice.choice((0.0, 0.1)),
            wrong_reference=ground.dice.choice((0.0, 0.1)),
            answer_twice=ground.dice.choice((0.0, 0.2)),
            seed=ground.dice.getrandbits(30),
        )
        code = ground.run("sync", patience=PATIENCE)
        ground.note(f"{share:.0%} refused with {ground.world.biller.faults.busy_status}: exit code {code}")
        ground.edit(3)


def a_biller_that_forgets(ground: Ground) -> None:
    """Keys are not remembered, answers get lost, and a look-up lags: a replay would be a second charge if it were trusted."""
    clinic = ground.world.clinic_file
    before = clinic.read_text("utf-8")
    clinic.write_text(
        before.replace(
            "  platform: charge_api", "  platform: charge_api\n  options: {key_window_hours: '0', find_lag_seconds: '1'}"
        )
    )
    assert clinic.read_text("utf-8") != before, "the clinic file no longer looks as this scenario expects"
    for _ in range(2):
        ground.world.biller.faults = Faults(
            forget_keys=True, lose_answer=0.3, error_after_commit=0.1, find_lag_seconds=1.0, seed=ground.dice.getrandbits(30)
        )
        code = ground.run("sync", patience=PATIENCE)
        ground.note(f"sync: exit code {code}")
        ground.edit(2)


# ---------------------------------------------------------------- a proxy that spoils answers


def _biller_at(ground: Ground, before: str, after: str) -> None:
    clinic = ground.world.clinic_file
    clinic.write_text(clinic.read_text("utf-8").replace(before, after), "utf-8")


@contextmanager
def spoiling_proxy(target: str, seed: int, share: float) -> Iterator[str]:
    """Loopback TCP; each connection's requests go on, and one of its answers is spoiled with probability `share`."""
    host, port = target.removeprefix("http://").split(":")
    dice = Random(seed)
    listener = socket.create_server(("127.0.0.1", 0))
    over = threading.Event()

    def accept() -> None:
        while not over.is_set():
            with contextlib.suppress(OSError):
                client, _ = listener.accept()
                way = dice.choice(WAYS) if dice.random() < share else ""
                threading.Thread(target=_pass_on, args=(client, (host, int(port)), way, over), daemon=True).start()

    thread = threading.Thread(target=accept, daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{listener.getsockname()[1]}"
    finally:
        over.set()
        listener.close()
        thread.join(timeout=0.1)


def _pass_on(client: socket.socket, target: tuple[str, int], way: str, over: threading.Event) -> None:
    with contextlib.suppress(OSError), client, socket.create_connection(target) as server:
        up = threading.Thread(target=_copy, args=(client, server), daemon=True)
        up.start()
        while answer := server.recv(65536):
            if way and not _spoil(client, answer, way, over):
                return
            client.sendall(answer)


def _copy(source: socket.socket, sink: socket.socket) -> None:
    with contextlib.suppress(OSError):
        while data := source.recv(65536):
            sink.sendall(data)
        sink.shutdown(socket.SHUT_WR)


def _spoil(client: socket.socket, answer: bytes, way: str, over: threading.Event) -> bool:
    """Spoil this answer; False: the connection ends with it."""
    if way == "reset":
        client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    elif way == "half":
        client.sendall(answer[: len(answer) // 2])
    elif way == "silence":
        over.wait(1.5)
    elif way == "slow":
        for place in range(min(len(answer), 40)):
            client.sendall(answer[place : place + 1])
            time.sleep(0.01)
        client.sendall(answer[40:])
        return True
    return False
