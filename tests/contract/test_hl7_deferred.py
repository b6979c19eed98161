"""A biller whose application answers later, over a connection that it opens to us: all of it real, `ptbridge listen` too."""

from __future__ import annotations

import asyncio
import re
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from ptbridge_sandbox.hl7_biller import Hl7Biller, application_answer
from ptbridge_sandbox.hl7_books import Hl7Books

from ptbridge import jobs
from ptbridge.errors import ConfigError
from ptbridge.inbox import ClinicInbox
from ptbridge.ledger import Ledger
from tests.contract.test_hl7_main_job import point_to, receiving
from tests.hl7_clinic import a_visit
from tests.unit.destinations.profiles import profile
from tests.world import World

CLINIC = "riverside-pt"


@contextmanager
def deferring(world: World, *, hours: str = "24", script: tuple[str, ...] = ()) -> Iterator[Hl7Biller]:
    """A biller that stores at once and lets its application answer later, agreed so."""
    with receiving(Hl7Books()) as biller:
        biller.script.extend(script)
        biller.shares = {"deferred": 1.0}
        agreed = profile(world.folder / "interfaces", {"mode: original": f"mode: deferred\n  application_hours: {hours}"})
        options = {"profile": agreed, "answers_address": "127.0.0.1:0"}
        point_to(world, base_url=biller.address, in_flight="1", options=options)
        yield biller


@contextmanager
def listening(world: World) -> Iterator[int]:
    """A real `ptbridge listen`; its port for the biller's answers."""
    command = [sys.executable, "-m", "ptbridge", "listen", "--config", str(world.folder)]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    assert process.stdout is not None
    try:
        ready = process.stdout.readline()
        found = re.search(rf"ready: {CLINIC}, its biller's answers, on 127\.0\.0\.1:(\d+) \(plain\)", ready)
        assert found, ready
        yield int(found[1])
    finally:
        process.send_signal(signal.SIGTERM)
        process.communicate(timeout=20)


def say(port: int, raw: bytes) -> bytes:
    """One message over a connection of its own, and what is answered to it; empty for nothing within a moment."""
    with socket.create_connection(("127.0.0.1", port), timeout=20) as connection:
        connection.sendall(b"\x0b" + raw + b"\x1c\r")
        found = b""
        while not found.endswith(b"\x1c\r"):
            more = connection.recv(65_536)
            if not more:
                break
            found += more
        return found


def states(world: World) -> dict[str, int]:
    with Ledger.open(world.folder / "state", write=False) as ledger:
        rows = ledger._connection.execute("SELECT state, count(*) FROM submission GROUP BY 1").fetchall()
    return {str(state): int(count) for state, count in rows}


def reasons(world: World) -> set[str]:
    """Why days are held, by delivery's words and finding codes."""
    with Ledger.open(world.folder / "state", write=False) as ledger:
        rows = ledger._connection.execute("SELECT reason FROM treatment_day WHERE state = 'held'").fetchall()
    return {word for (reason,) in rows for word in str(reason).split()}


def test_what_is_only_stored_there_waits_and_its_applications_answers_settle_it(world: World) -> None:
    with deferring(world, script=("deferred-AE", "deferred-AR")) as biller, listening(world) as port:
        report = world.sync()
        sent = len(biller.received)
        assert sent > 10 and states(world) == {"in-doubt": sent}
        assert b"|AL|AL|" in biller.received[0].split(b"\r")[0]
        assert report.exit_code == 4 and report.units_sent == 0
        world.sync()
        assert len(biller.received) == sent, "nothing is sent again while the application is silent"

        heard = asyncio.run(biller.say_deferred("127.0.0.1", port))
        assert len(heard) == sent and all(b"\rMSA|CA|D" in answer for answer in heard)
        jobs.ask(world.config, CLINIC)
        assert states(world) == {"accepted": sent - 2, "held": 2}
        assert {"rejected:AE", "rejected:AR"} <= reasons(world)
        world.sync()
        totals = biller.books.totals()
        assert len(biller.received) == sent and totals["violations"] == []
        (compared,) = jobs.reconcile(world.config, CLINIC).values()
        (accepted,) = [one for one in compared["columns"] if one["name"] == "accepted"]
        assert (accepted["units"], accepted["amount_cents"]) == (totals["units"], totals["amount_cents"])
        assert compared["columns"][-1]["name"] == "accepted", "an application that took a charge says nothing of a claim"
        assert compared["orphan_news"] == []


def test_answers_about_nothing_of_ours_and_answers_again_are_recorded_and_settle_nothing(world: World) -> None:
    with deferring(world) as biller, listening(world) as port:
        world.sync()
        ours, other = biller.received[:2]
        stranger = other.replace(other.split(b"|")[9], b"ffffffffffffffffffff", 1)
        for number, (message, code) in enumerate([(ours, "AA"), (ours, "AA"), (stranger, "AA"), (ours, "AE")]):
            answer = application_answer(message, code)
            again = answer.replace(answer.split(b"|")[9], f"D{number}".encode(), 1)
            assert b"MSA|CA|D%d\r" % number in say(port, again)
            jobs.ask(world.config, CLINIC)
            assert states(world) == {"accepted": 1, "in-doubt": len(biller.received) - 1}, number
        (compared,) = jobs.reconcile(world.config, CLINIC).values()
        assert [one["destination_id"] for one in compared["orphan_news"]] == ["f" * 20]
        world.sync()
        assert "RJ01" in reasons(world), "what was taken and is refused later is for a person"


def test_a_silent_application_is_for_a_person_after_the_agreed_time_and_its_late_answer_still_counts(world: World) -> None:
    with deferring(world, hours="0.00001") as biller, listening(world) as port:
        world.sync()
        world.sync()
        sent = len(biller.received)
        assert states(world) == {"held": sent} and "in-doubt" in reasons(world)
        asyncio.run(biller.say_deferred("127.0.0.1", port))
        world.sync()
        assert states(world) == {"accepted": sent} and len(biller.received) == sent
        assert "in-doubt" not in reasons(world)


def test_a_charge_that_comes_to_the_billers_door_is_refused_and_never_a_visit(world: World) -> None:
    with deferring(world), listening(world) as port:
        charge = a_visit()[1]
        assert b"MSA|AR|V1-D" in say(port, charge) and b"MSA|AR|V1-D" in say(port, charge)
        with ClinicInbox.open(world.config.state, CLINIC) as inbox:
            assert inbox.counts() == {"ignored DFT^P03: not an answer": 1}


def test_the_way_back_is_agreed_or_it_is_not(world: World) -> None:
    with deferring(world) as biller:
        agreed = str(world.folder / "interfaces" / "ours.yaml")
        refused: list[tuple[dict[str, Any], str]] = [
            ({"base_url": biller.address, "options": {"profile": agreed}}, "answers_address"),
            (
                {
                    "folder": "outbox",
                    "environment": "sandbox",
                    "options": {"profile": agreed, "answers_address": "127.0.0.1:0"},
                },
                "needs base_url",
            ),
            ({"base_url": biller.address, "options": {"profile": "full_day", "answers_address": "127.0.0.1:0"}}, "Remove it"),
        ]
        for destination, words in refused:
            point_to(world, in_flight="1", **destination)
            with pytest.raises(ConfigError, match=words):
                world.sync()
