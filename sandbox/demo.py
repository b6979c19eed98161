"""`ptbridge demo`: a clinic's day from a sandbox EMR to a sandbox biller, on this machine, as a user would run it.

Two servers on loopback and free ports, a config folder written by `ptbridge init`, and the same commands that a person
types. Afterwards the outcome is held against what was planted in the day, and the biller is asked for its own count. The
folder stays.
"""

from __future__ import annotations

import argparse
import json
import os
import secrets
import shlex
import shutil
import socket
import subprocess
import sys
import urllib.request
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

from .day import BILLING_NPI, FATES, PLANTED

CLINIC, TIME_ZONE = "riverside-pt", "America/Chicago"
PAYERS = {"MCR-B": "medicare_part_b", "ACME": "commercial_midpoint", "BLUE8": "commercial_eight_minute"}
EXPLAINED = PLANTED["same-day-first"]
READY_SECONDS = 20


class Disagreement(Exception):
    """The demo's outcome is not what was planted."""


def main(arguments: list[str] | None = None) -> int:
    """Run the demo; 0 when everything ended where it must."""
    parser = argparse.ArgumentParser(prog="ptbridge demo", description=main.__doc__)
    parser.add_argument("--folder", type=Path, help="where to work; a new folder here when left out")
    parser.add_argument("--json", action="store_true", help="say nothing on the way; print the outcome as JSON")
    chosen = parser.parse_args(arguments)
    folder = chosen.folder or Path(f"ptbridge-demo-{datetime.now():%Y%m%d-%H%M%S}")  # noqa: DTZ005 - a name for a person
    if folder.exists() and any(folder.iterdir()):
        parser.error(f"{folder} is not empty. Name another folder.")
    folder.mkdir(parents=True, exist_ok=True)
    _watched.quiet = chosen.json
    try:
        outcome = show(folder.resolve())
    except (Disagreement, RuntimeError) as problem:
        sys.stderr.write(f"\nThe demo stopped: {problem}\nEverything it did is in {folder.resolve()}\n")
        return 1
    if chosen.json:
        sys.stdout.write(json.dumps(outcome, indent=2) + "\n")
    return 0


class _Watched:
    """Whether a person watches: then every step is told."""

    quiet = False


_watched = _Watched()


def say(text: str = "") -> None:
    """One line to the person who watches."""
    if not _watched.quiet:
        sys.stdout.write(text + "\n")
        sys.stdout.flush()


def title(text: str) -> None:
    """The next step."""
    say(f"\n── {text} " + "─" * max(0, 100 - len(text)))


# ---------------------------------------------------------------- the steps


def show(folder: Path) -> dict[str, Any]:
    """The whole way, step by step. Returns the folder and what the biller has in the end."""
    day = last_weekday(datetime.now(ZoneInfo(TIME_ZONE)).date())
    emr_port = free_port()
    token = secrets.token_hex(16)
    bridge = Bridge(folder / "config")
    say(f"A clinic's {day:%A}, {day}: {len(FATES)} visits, {len(PAYERS)} payers; physical, occupational and speech therapy.")

    title("1. A config folder, as a clinic would write it")
    bridge.init(emr_port, token)
    with Servers(folder, bridge.folder, emr_port, day, token).running() as servers:
        bridge.point_to_biller(servers.biller_url)
        title("2. Does everything answer?")
        bridge.run("doctor")
        title("3. The night job: pull, code, check, send")
        bridge.run("sync", allowed=(0, 3))
        title("4. One day explained: two visits, one pool of minutes")
        bridge.run("explain", EXPLAINED)
        title("5. Does the biller agree?")
        bridge.run("reconcile")
        agree(bridge, servers, "The biller's own count")
        check_truth(bridge)
        before = servers.summary()
        title("6. The same job again: nothing is sent twice")
        bridge.run("sync", allowed=(0, 3))
        agree(bridge, servers, "The biller's count after the second run")
        after = servers.summary()
        check_nothing_moved(before, after)
    leave(folder)
    return {"folder": str(folder), "visits": len(FATES), "biller": after}


def check_truth(bridge: Bridge) -> None:
    """Every visit must have ended where the day's table says."""
    held = {visit for row in bridge.json("held") for visit in row["visits"]}
    expected = {visit for visit, fate in FATES.items() if fate == "held"}
    if held != expected:
        raise Disagreement(f"held are {sorted(held)}, planted were {sorted(expected)}")
    say(f"All {len(FATES)} visits ended where the day's plan says: {len(expected)} of them wait for a person, none was lost.")


def agree(bridge: Bridge, servers: Servers, what: str) -> None:
    """The biller's sums against the ledger's."""
    theirs = servers.summary()
    (ours,) = (row["ours"] for row in bridge.json("reconcile").values())
    live = {"charges": theirs["charges"], "units": theirs["units"], "amount_cents": theirs["amount_cents"]}
    if live != ours:
        raise Disagreement(f"the biller has {live}, the ledger {ours}")
    dollars = f"${live['amount_cents'] // 100:,}.{live['amount_cents'] % 100:02d}"
    say(f"{what}: {live['charges']} treatment days, {live['units']} units, {dollars}. The ledger says the same.")


def check_nothing_moved(before: Mapping[str, Any], after: Mapping[str, Any]) -> None:
    """No charge more, none less, and no second submission."""
    for name in ("charges", "units", "amount_cents", "events"):
        if before[name] != after[name]:
            raise Disagreement(f"the second run changed {name}: {before[name]} before, {after[name]} after")
    if after["violations"]:
        raise Disagreement(f"the biller's auditor found {after['violations']}")
    say(f"The biller took {sum(after['events'].values())} submissions in both runs together: nothing was sent twice.")


def leave(folder: Path) -> None:
    """Where everything is."""
    reports = sorted((folder / "config" / "state" / "reports").glob("*.html"))
    title("Yours to look at")
    for label, path in (
        ("config", folder / "config" / "clinics" / f"{CLINIC}.yaml"),
        ("ledger", folder / "config" / "state" / "ledger.sqlite"),
        ("logs", folder / "config" / "state" / "logs"),
        ("report", reports[0]),
    ):
        say(f"  {label:<8}{path}")
    say("\nOpen the report in a browser. `ptbridge held --config …/config` lists what waits for a person.")


# ---------------------------------------------------------------- ptbridge, as a user runs it


@dataclass(frozen=True)
class Bridge:
    """Types ptbridge commands against one config folder and shows them."""

    folder: Path

    def run(self, *words: str, allowed: tuple[int, ...] = (0,)) -> None:
        """Run one command as a person would, its output going to the terminal."""
        say(f"$ ptbridge {shlex.join(words)} --config {self.folder.name}")
        done = subprocess.run(self._command(*words), check=False, capture_output=_watched.quiet)
        if done.returncode not in allowed:
            raise RuntimeError(f"ptbridge {words[0]} ended with exit code {done.returncode}")

    def json(self, *words: str) -> Any:
        """The same command's answer for a program."""
        done = subprocess.run(self._command(*words, "--json"), check=False, capture_output=True, text=True)
        if not done.stdout.strip():
            raise RuntimeError(f"ptbridge {words[0]} --json gave nothing: {done.stderr.strip()}")
        return json.loads(done.stdout)

    def _command(self, *words: str) -> list[str]:
        # -P: a folder here that is called ptbridge, as config folders are, must not pass for the package
        return [sys.executable, "-P", "-m", "ptbridge", *words, "--config", str(self.folder)]

    def init(self, emr_port: int, token: str) -> None:
        """Write the config folder with the flags that a person would use, then its fees."""
        flags = {
            "--clinic": CLINIC,
            "--name": "Riverside Physical Therapy (pretend)",
            "--time-zone": TIME_ZONE,
            "--npi": BILLING_NPI,
            "--connector": "fhir_r4",
            "--mapping": "emrs/sandbox_emr",
            "--emr-url": f"http://127.0.0.1:{emr_port}/fhir",
            "--client-id": "ptbridge",
            "--biller-url": "http://127.0.0.1:1",
        }
        words = [part for flag, value in flags.items() for part in (flag, value)]
        words += [part for payer, policy in PAYERS.items() for part in ("--payer", f"{payer}={policy}")]
        self.run("init", *words)
        shutil.copyfile(Path(__file__).with_name("fees.csv"), self.folder / "fees" / f"{CLINIC}.csv")
        secret = self.folder / "secrets" / "biller_token"
        with os.fdopen(os.open(secret, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
            file.write(token)

    def point_to_biller(self, url: str) -> None:
        """The biller's address is known only once it listens."""
        path = self.folder / "clinics" / f"{CLINIC}.yaml"
        path.write_text(path.read_text("utf-8").replace("http://127.0.0.1:1", url), "utf-8")


# ---------------------------------------------------------------- the two servers


@dataclass
class Servers:
    """The sandbox EMR and the sandbox biller, each a process of its own on loopback."""

    folder: Path
    config: Path
    emr_port: int
    day: date
    token: str
    biller_url: str = ""

    @contextmanager
    def running(self) -> Iterator[Servers]:
        """Both servers, ready; ended on the way out."""
        emr = ["ptbridge_sandbox.emr", "--port", str(self.emr_port), "--day", self.day.isoformat(), "--time-zone", TIME_ZONE]
        emr += ["--jwks-file", str(self.config / "emr_jwks.json"), "--client-id", "ptbridge"]
        processes = []
        try:
            processes.append(self._start("emr", emr)[0])
            biller, self.biller_url = self._start("biller", ["ptbridge_sandbox.biller", "--port", "0"])
            processes.append(biller)
            yield self
        finally:
            for process in processes:
                process.terminate()
            for process in processes:
                process.wait(timeout=10)

    def _start(self, name: str, module: list[str]) -> tuple[subprocess.Popen[str], str]:
        with (self.folder / f"{name}.log").open("w") as log:
            environment = {**os.environ, "PTBRIDGE_SANDBOX_TOKEN": self.token}
            process = subprocess.Popen(
                [sys.executable, "-P", "-m", *module], stdout=subprocess.PIPE, stderr=log, text=True, env=environment
            )
        assert process.stdout is not None
        line = process.stdout.readline().strip()
        if not line.startswith("ready "):
            process.kill()
            raise RuntimeError(f"the sandbox {name} did not start; see {self.folder / f'{name}.log'}")
        return process, line.removeprefix("ready ")

    def summary(self) -> dict[str, Any]:
        """What the biller itself counts."""
        request = urllib.request.Request(
            f"{self.biller_url}/_sandbox/summary", headers={"Authorization": f"Bearer {self.token}"}
        )
        with urllib.request.urlopen(request, timeout=READY_SECONDS) as answer:
            found: dict[str, Any] = json.load(answer)
            return found


def free_port() -> int:
    """A port that nobody listens on now: the EMR's address must be in the config before its keys are registered."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def last_weekday(today: date) -> date:
    """The clinic's last working day before today."""
    day = today - timedelta(days=1)
    while day.weekday() > 4:
        day -= timedelta(days=1)
    return day
