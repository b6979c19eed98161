"""Stedi's signed webhooks as they go: the pretend Stedi signs and sends, `ptbridge answers --serve` is a process of its own."""

from __future__ import annotations

import asyncio
import base64
import json
import signal
import subprocess
import sys
from collections.abc import Coroutine, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from queue import Queue
from threading import Thread
from typing import Any

from ptbridge_sandbox.demo import CLINIC
from ptbridge_sandbox.stedi_hooks import Hook

from ptbridge.ledger import Ledger
from tests.platforms import at, day
from tests.world import World

SECRET = "whsec_" + base64.b64encode(b"the secret of this account, in 32").decode()
OTHER = "whsec_" + base64.b64encode(b"the secret of another account...").decode()


@dataclass
class Receiver:
    """The receiver's process, and what it says line by line."""

    process: subprocess.Popen[str]
    lines: Queue[str] = field(default_factory=Queue)

    def __post_init__(self) -> None:
        self.reader = Thread(target=self._read)
        self.reader.start()

    def _read(self) -> None:
        assert self.process.stdout is not None
        for one in self.process.stdout:
            self.lines.put(one)

    def said(self) -> Any:
        """Its next line; fails when there is none for a minute."""
        return json.loads(self.lines.get(timeout=60))

    def told(self) -> dict[str, int]:
        """What the next poll brought."""
        found: dict[str, int] = self.said()[CLINIC]["new"]
        return found

    def stop(self) -> Any:
        """As a person stops it; its last line."""
        self.process.send_signal(signal.SIGTERM)
        last = self.said()
        assert self.process.wait(timeout=20) == 0
        return last


@contextmanager
def serving(world: World) -> Iterator[Receiver]:
    """The process of the receiver, with this account's secret."""
    secret = world.folder / "secrets" / "hook"
    secret.write_text(SECRET, "utf-8")
    secret.chmod(0o600)
    hook = "destination:\n  webhook: {scheme: standard, secret: 'file:secrets/hook'}\n"
    world.clinic_file.write_text(world.clinic_file.read_text("utf-8").replace("destination:\n", hook, 1), "utf-8")
    words = [sys.executable, "-m", "ptbridge", "answers", "--serve", "0", "--json", "--config", str(world.folder)]
    with subprocess.Popen(words, stdout=subprocess.PIPE, text=True) as process:
        receiver = Receiver(process)
        try:
            yield receiver
        finally:
            process.kill()
            receiver.reader.join()


def there(world: World, work: Coroutine[Any, Any, int]) -> int:
    """Something that the pretend Stedi does."""
    assert world.loop is not None
    return asyncio.run_coroutine_threadsafe(work, world.loop).result(timeout=30)


def standing(world: World) -> set[tuple[str, str]]:
    with Ledger.open(world.folder / "state", write=False) as ledger:
        return {(row["stage"], row["standing"]) for row in ledger.standings.counts(CLINIC)}


def test_a_webhook_of_stedis_wakes_the_poll_and_what_it_says_is_never_believed(tmp_path: Path) -> None:
    with at("stedi", tmp_path / "config") as (world, server):
        world.sync()
        name = str(day(world)["reference"])
        with serving(world) as receiver:
            url = receiver.said()["ready"][CLINIC]
            receiver.told()  # the first poll, at the start
            server.hook = hook = Hook(url, SECRET)
            polls = server.requests["polls"]
            world.in_servers(lambda: server.payer_accepts(name))  # Stedi tells of it by itself
            assert receiver.told() == {"payer/accepted": 1} and hook.statuses == [204]
            assert ("payer", "accepted") in standing(world)
            a_poll = server.requests["polls"] - polls  # one that brings news

            lie = {"type": "transaction.processed", "data": {"claimStatus": "4", "claimReference": name, "paid": "0.00"}}
            assert there(world, hook.post(*hook.signed(lie))) == 204
            assert receiver.told() == {}, "the platform has no such news"
            assert ("remittance", "denied") not in standing(world)

            polls = server.requests["polls"]
            accepted, late = hook.sent[0], hook.signed(lie, seconds_ago=301)
            headers, body = hook.signed(lie)
            wrong = {
                "replayed": accepted,
                "late": late,
                "early": hook.signed(lie, seconds_ago=-360),  # it comes a moment later than it is signed
                "another account": Hook(url, OTHER).signed(lie),
                "another body": (headers, body + b" "),
                "another id": ({**headers, "webhook-id": "msg_0"}, body),
                "late, said to be now": ({**late[0], "webhook-timestamp": headers["webhook-timestamp"]}, late[1]),
                "unsigned": ({}, body),
            }
            statuses = {why: there(world, hook.post(*request)) for why, request in wrong.items()}
            assert statuses == dict.fromkeys(wrong, 401)
            world.in_servers(
                lambda: server.pay(name, [{"paid": "1.00"} for _ in server.live_claim(name).information["serviceLines"]])
            )
            assert "remittance/paid" in receiver.told() and hook.statuses[-1] == 204
            assert server.requests["polls"] == polls + a_poll, "none of the wrong ones woke a poll"
            assert receiver.stop() == {"taken": 3, "replayed": 1, "stale": 2, "bad-signature": 4, "unsigned": 1}
        logs = "".join(path.read_text("utf-8") for path in (world.folder / "state" / "logs").iterdir())
        assert SECRET not in logs and "claimStatus" not in logs
