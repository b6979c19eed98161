"""What the demo starts: ptbridge commands as a user types them, and the sandbox's servers, each a process of its own."""

from __future__ import annotations

import json
import os
import re
import shlex
import shutil
import socket
import subprocess
import sys
import urllib.request
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

READY_SECONDS = 20
_LATER = "http://127.0.0.1:1"  # where a biller's address will stand
_PLACE = re.compile(r"127\.0\.0\.1:\d+")


class Watched:
    """Whether a person watches: then every step is told."""

    quiet = False


watched = Watched()


def say(text: str = "") -> None:
    """One line to the person who watches."""
    if not watched.quiet:
        sys.stdout.write(text + "\n")
        sys.stdout.flush()


def title(text: str) -> None:
    """The next step."""
    say(f"\n── {text} " + "─" * max(0, 100 - len(text)))


@dataclass(frozen=True)
class Bridge:
    """Types ptbridge commands against one config folder and shows them."""

    folder: Path

    def run(self, *words: str, allowed: tuple[int, ...] = (0,)) -> None:
        """Run one command as a person would, its output going to the terminal."""
        say(f"$ ptbridge {shlex.join(words)} --config {self.folder.name}")
        done = subprocess.run(self._command(*words), check=False, capture_output=watched.quiet)
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

    def init(self, clinic: str, flags: Mapping[str, str], payers: Mapping[str, str], reads: Sequence[str] = ()) -> None:
        """Write a clinic's files with the flags that a person would use, then its fees.

        `reads` are resource types of a FHIR server that are read only where the clinic says so.
        """
        words = ["--clinic", clinic, "--biller-url", _LATER]
        words += [part for flag, value in flags.items() for part in (flag, value)]
        words += [part for resource in reads for part in ("--read", resource)]
        words += [part for payer, policy in payers.items() for part in ("--payer", f"{payer}={policy}")]
        self.run("init", *words)
        shutil.copyfile(Path(__file__).with_name("fees.csv"), self.folder / "fees" / f"{clinic}.csv")

    def keep_secret(self, name: str, text: str) -> None:
        """A secret's file, for its owner alone."""
        with os.fdopen(os.open(self.folder / "secrets" / name, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
            file.write(text)

    def point_to_biller(self, clinic: str, url: str) -> None:
        """The biller's address is known only once it listens."""
        path = self.folder / "clinics" / f"{clinic}.yaml"
        path.write_text(path.read_text("utf-8").replace(_LATER, url), "utf-8")

    @contextmanager
    def listening(self) -> Iterator[str]:
        """`ptbridge listen` as a process of its own, ended by SIGTERM as a service is. Gives its host:port."""
        say(f"$ ptbridge listen --config {self.folder.name} &")
        process = subprocess.Popen(self._command("listen"), stdout=subprocess.PIPE, text=True)
        assert process.stdout is not None
        try:
            ready = process.stdout.readline()
            place = _PLACE.search(ready)
            if place is None:
                raise RuntimeError("ptbridge listen did not start")
            say(ready.rstrip())
            yield place[0]
        finally:
            process.terminate()
            rest, _ = process.communicate(timeout=READY_SECONDS)
        say(rest.rstrip())
        if process.returncode:
            raise RuntimeError(f"ptbridge listen ended with exit code {process.returncode}")


@dataclass
class Servers:
    """The sandbox EMR, and a sandbox biller for each clinic: processes of their own on loopback."""

    folder: Path
    config: Path
    emr: Sequence[str]  # the words with which the EMR's process is started
    tokens: Mapping[str, str] = field(repr=False)  # clinic -> its biller's token
    billers: dict[str, str] = field(default_factory=dict)  # clinic -> its biller's address

    @contextmanager
    def running(self) -> Iterator[Servers]:
        """All of them, ready; ended on the way out."""
        processes = []
        try:
            processes.append(self._start("emr", self.emr)[0])
            for clinic in self.tokens:
                words = ["ptbridge_sandbox.biller", "--port", "0"]
                process, self.billers[clinic] = self._start(f"biller-{clinic}", words, self.tokens[clinic])
                processes.append(process)
            yield self
        finally:
            for process in processes:
                process.terminate()
            for process in processes:
                process.wait(timeout=10)

    def _start(self, name: str, module: Sequence[str], token: str = "") -> tuple[subprocess.Popen[str], str]:
        with (self.folder / f"{name}.log").open("w") as log:
            environment = {**os.environ, "PTBRIDGE_SANDBOX_TOKEN": token}
            process = subprocess.Popen(
                [sys.executable, "-P", "-m", *module], stdout=subprocess.PIPE, stderr=log, text=True, env=environment
            )
        assert process.stdout is not None
        line = process.stdout.readline().strip()
        if not line.startswith("ready "):
            process.kill()
            raise RuntimeError(f"the sandbox {name} did not start; see {self.folder / f'{name}.log'}")
        return process, line.removeprefix("ready ")

    def summary(self, clinic: str) -> dict[str, Any]:
        """What a clinic's biller itself counts."""
        return self._asked(clinic, "summary")

    def adjudicate(self, clinic: str, *, reject: Sequence[str], deny: Sequence[str]) -> dict[str, Any]:
        """Let the payers behind a clinic's biller decide; these references are rejected or denied, all others paid."""
        return self._asked(clinic, "adjudicate", {"reject": list(reject), "deny": list(deny)})

    def _asked(self, clinic: str, what: str, told: Mapping[str, Any] | None = None) -> dict[str, Any]:
        request = urllib.request.Request(
            f"{self.billers[clinic]}/_sandbox/{what}",
            headers={"Authorization": f"Bearer {self.tokens[clinic]}"},
            data=None if told is None else json.dumps(told).encode(),
        )
        with urllib.request.urlopen(request, timeout=READY_SECONDS) as answer:
            found: dict[str, Any] = json.load(answer)
            return found


def free_port() -> int:
    """A port that nobody listens on now: the EMR's address must be in the config before its keys are registered."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
