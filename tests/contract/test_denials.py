"""`denials`, `answers`, `reconcile` as a person and a scheduler meet them, over the sandbox biller."""

from __future__ import annotations

import base64
import fcntl
import hashlib
import hmac
import json
import os
import pty
import signal
import struct
import subprocess
import sys
import termios
import time
import urllib.error
import urllib.request
from contextlib import suppress
from typing import Any

import pytest

from ptbridge import jobs
from ptbridge.errors import ConfigError
from tests.world import World


def command(world: World, *words: str) -> list[str]:
    return [sys.executable, "-m", "ptbridge", *words, "--config", str(world.folder)]


def ptbridge(world: World, *words: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(command(world, *words), capture_output=True, text=True, timeout=60)


def refused(world: World) -> tuple[set[str], set[str]]:
    """After this the clearinghouse has rejected two charges and a payer denied three."""
    world.sync()
    references = sorted(world.biller.books.live)
    rejected, denied = set(references[:2]), set(references[2:5])
    world.biller.news.adjudicate(
        reject=lambda document: document["reference"] in rejected, deny=lambda document: document["reference"] in denied
    )
    world.sync()
    return rejected, denied


def test_on_a_terminal_of_80_columns_no_line_is_wider_and_every_word_is_there(world: World) -> None:
    refused(world)
    plain = ptbridge(world, "denials", "--by", "reason").stdout
    assert max(map(len, plain.splitlines())) > 80
    ours, theirs = pty.openpty()
    fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", 24, 80, 0, 0))
    environment = {name: value for name, value in os.environ.items() if name not in ("COLUMNS", "LINES")}
    with subprocess.Popen(command(world, "denials"), stdout=theirs, env={**environment, "NO_COLOR": "1"}) as running:
        os.close(theirs)
        shown = b""
        with suppress(OSError):  # the other side is closed
            while some := os.read(ours, 65536):
                shown += some
    os.close(ours)
    lines = shown.decode().splitlines()
    assert running.returncode == 3 and max(map(len, lines)) <= 80
    words = shown.decode().replace("went with:", "went with").split()
    assert "went" in words and [word for word in plain.split() if word not in words] == []


def cents(world: World, references: set[str]) -> int:
    return sum(world.biller.books.live[reference][0].amount_cents for reference in references)


def test_the_groups_by_reason_hold_every_refused_day_with_what_is_at_stake(world: World) -> None:
    rejected, denied = refused(world)
    (found,) = jobs.denials(world.config).values()
    groups = {group["key"]: group for group in found["groups"]}
    assert set(groups) == {"277CA A7:562:85", "CARC CO-197", "RARC N54"}
    assert set(groups["277CA A7:562:85"]["references"]) == rejected
    assert groups["277CA A7:562:85"]["amount_cents"] == cents(world, rejected)
    assert set(groups["CARC CO-197"]["references"]) == denied and groups["CARC CO-197"]["denied"] == 3
    assert groups["CARC CO-197"]["amount_cents"] == cents(world, denied)  # it was said of the whole claim
    assert 0 < groups["RARC N54"]["amount_cents"] < cents(world, denied)  # of the first lines alone
    assert found["total"]["days"] == 5 and found["total"]["amount_cents"] == cents(world, rejected | denied)
    assert found["groups"][0]["amount_cents"] == max(group["amount_cents"] for group in found["groups"])


@pytest.mark.parametrize("by", ["code", "payer", "therapist"])
def test_other_groups_add_up_to_what_is_at_stake(world: World, by: str) -> None:
    refused(world)
    (found,) = jobs.denials(world.config, by=by).values()
    assert found["total"]["days"] == 5 and "not known" not in {group["key"] for group in found["groups"]}
    assert sum(group["amount_cents"] for group in found["groups"]) == found["total"]["amount_cents"]
    assert sum(group["units"] for group in found["groups"]) == found["total"]["units"]
    with pytest.raises(ConfigError, match="group by"):
        jobs.denials(world.config, by="mood")


def test_what_a_person_settled_is_counted_and_no_longer_asks_for_one(world: World) -> None:
    refused(world)
    assert ptbridge(world, "denials").returncode == 3
    for row in jobs.held(world.config):
        if {reason["code"] for reason in row["reasons"]} <= {"RJ01", "RJ02"}:
            jobs.release(world.config, row["id"], "known to the biller", actor="owner")
    (found,) = jobs.denials(world.config).values()
    assert found["settled"] == 5
    assert ptbridge(world, "denials").returncode == 0


def test_the_commands_say_what_a_person_needs(world: World) -> None:
    rejected, _ = refused(world)
    said = ptbridge(world, "denials", "--by", "payer").stdout
    assert "medicare_part_b" in said and "at stake" in said
    reference = min(rejected)
    explained = ptbridge(world, "explain", reference).stdout
    assert "277CA A7:562:85" in explained and "clearinghouse" in explained and "sandbox: billing provider id" in explained
    status = ptbridge(world, "status").stdout
    assert "remittance" in status and "paid" in status
    assert "RJ01" in ptbridge(world, "explain", "RJ01").stdout
    shown = ptbridge(world, "reconcile")
    assert shown.returncode == 0 and "no claim" in shown.stdout and "The biller agrees" in shown.stdout
    answer = json.loads(ptbridge(world, "reconcile", "--json").stdout)["riverside-pt"]
    unclaimed = [gap for gap in answer["gaps"] if gap["to"] == "claim"]
    assert answer["agrees"] is True and [gap["owner"] for gap in unclaimed] == ["clinic", "clinic"]  # as RJ01's fix says
    report = max((world.folder / "state" / "reports").glob("*.html")).read_text()
    assert "What became of it" in report and "remittance, paid" in report


def test_a_decision_is_shown_with_the_reason_that_was_given(world: World) -> None:
    rejected, _ = refused(world)
    reference = min(rejected)
    said = ptbridge(world, "release", reference, "--reason", "known to the clearinghouse {0}", "--by", "the owner").stdout
    assert "Released" in said and "The refusal is settled" in said  # nothing of it goes again at a biller that has it
    shown = ptbridge(world, "explain", reference).stdout
    decided = shown.partition("\n  Decided\n")[2].splitlines()[0]
    assert "release" in decided and "the owner" in decided and "known to the clearinghouse {0}  (RJ01)" in decided
    tried = ptbridge(world, "retry").stdout
    assert "pulled" not in tried and "No visit" not in tried


def test_answers_are_counted_in_words_in_the_order_of_their_way(world: World) -> None:
    world.sync()
    world.biller.news.adjudicate(deny=lambda document: document["reference"] == min(world.biller.books.live))
    said = ptbridge(world, "sync").stdout
    (line,) = [one for one in said.splitlines() if "New answers" in one]
    assert line.index("accepted (claim-made)") < line.index("accepted (payer)") < line.index("2 denied (remittance)")
    assert "55 paid (remittance)" in line and "No visit is new or changed." in said


def test_sabotage_is_found_by_the_command_with_its_own_exit_code(world: World) -> None:
    world.sync()
    del world.biller.books.live[min(world.biller.books.live)]
    world.biller.books._sorted = None
    done = ptbridge(world, "reconcile")
    assert done.returncode == 9 and "missing at the biller" in done.stdout


def test_answers_asks_without_pulling_or_sending(world: World) -> None:
    world.sync()
    world.biller.news.adjudicate()
    pulled = world.biller.requests["submissions"]
    answer = json.loads(ptbridge(world, "answers", "--json").stdout)["riverside-pt"]
    assert answer["tells"] and answer["new"] == {
        "claim-made/accepted": 56,
        "clearinghouse/accepted": 56,
        "payer/accepted": 56,
        "received/accepted": 56,
        "remittance/paid": 56,
    }
    assert world.biller.requests["submissions"] == pulled
    again = json.loads(ptbridge(world, "answers", "--json").stdout)["riverside-pt"]
    assert again["new"] == {} and again["standing"][0]["days"] == 56


def signed(body: bytes) -> dict[str, str]:
    at = str(int(time.time()))
    mac = hmac.new(b"hook-secret", f"m1.{at}.".encode() + body, hashlib.sha256).digest()
    return {
        "webhook-id": "m1",
        "webhook-timestamp": at,
        "webhook-signature": f"v1,{base64.b64encode(mac).decode()}",
        "Content-Type": "application/json",
    }


def post(url: str, headers: dict[str, str]) -> int:
    try:
        with urllib.request.urlopen(urllib.request.Request(url, b"{}", headers, method="POST"), timeout=20) as answer:
            return int(answer.status)
    except urllib.error.HTTPError as error:
        return error.code


def test_a_signed_webhook_wakes_the_poll_and_a_wrong_one_does_not(world: World) -> None:
    world.sync()
    secret = world.folder / "secrets" / "hook"
    secret.write_text("hook-secret")
    secret.chmod(0o600)
    text = world.clinic_file.read_text()
    hook = "destination:\n  webhook: {scheme: standard, secret: 'file:secrets/hook'}\n"
    world.clinic_file.write_text(text.replace("destination:\n", hook, 1))
    with subprocess.Popen(command(world, "answers", "--serve", "0", "--json"), stdout=subprocess.PIPE, text=True) as service:
        try:
            assert service.stdout is not None
            url = json.loads(service.stdout.readline())["ready"]["riverside-pt"]
            first = json.loads(service.stdout.readline())["riverside-pt"]
            assert first["new"] == {"claim-made/accepted": 56, "received/accepted": 56}
            asked = world.biller.requests["feeds"]
            assert post(url, {"Content-Type": "application/json"}) == 401
            world.biller.news.adjudicate()
            assert post(url, signed(b"{}")) == 204
            second: dict[str, Any] = json.loads(service.stdout.readline())["riverside-pt"]
            assert second["new"]["remittance/paid"] == 56 and world.biller.requests["feeds"] == asked + 1
        finally:
            service.send_signal(signal.SIGTERM)
        assert service.stdout is not None
        assert json.loads(service.stdout.read()) == {"unsigned": 1, "taken": 1}
        assert service.wait(timeout=20) == 0
    assert "hook-secret" not in "".join(path.read_text() for path in (world.folder / "state" / "logs").iterdir())


def test_serving_without_a_webhook_secret_is_a_matter_of_configuration(world: World) -> None:
    done = ptbridge(world, "answers", "--serve", "0")
    assert done.returncode == 6 and "destination.webhook" in done.stderr
