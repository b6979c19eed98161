"""Where a round is played: a sandbox EMR and biller that outlive every ptbridge, which a scheduler runs."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field, replace
from datetime import timedelta
from pathlib import Path
from random import Random
from typing import Any

from ptbridge_sandbox import charting
from ptbridge_sandbox.biller_faults import Faults
from ptbridge_sandbox.late_edits import procedure_code
from ptbridge_sandbox.maker import Scale
from ptbridge_sandbox.store import Store

from tests.world import DAY, World, running

VISITS = 24
HANGS_SECONDS = 900  # only against hanging: no machine is so slow, and nothing here fails for slowness
PEACE = 30  # calm runs until nothing waits; a scheduler comes back
DONE, HELD, WAITING, PEER, BUSY, DIFFERS, STOPPED = 0, 3, 4, 5, 7, 9, 130  # exit codes of ptbridge
ORDERLY = (DONE, HELD, WAITING, PEER)


class Skipped(Exception):
    """A scenario cannot be played here; the text says what is missing."""


@dataclass
class Ground:
    """One round: the two other systems, ptbridge's config folder, the dice, and what was done so far."""

    folder: Path
    world: World
    dice: Random
    done: list[str] = field(default_factory=list)
    environment: dict[str, str] = field(default_factory=dict)
    added: int = 0
    _spared: int | None = None

    def note(self, text: str) -> None:
        """Remember a step for the report of a failed round."""
        self.done.append(text)

    # ------------------------------------------------------------ ptbridge

    def sabotage(self, name: str) -> None:
        """Break ptbridge on purpose in all its processes, and take away the biller's own check for doubles."""
        if name:
            places = [str(Path(__file__).parent / "sabotage" / name), *filter(None, [os.environ.get("PYTHONPATH")])]
            self.environment["PYTHONPATH"] = os.pathsep.join(places)
            self.world.biller.books.strict = False

    def command(self, *words: str, before: Sequence[str] = ()) -> list[str]:
        """ptbridge's command line, under another program where `before` names one."""
        return [*before, sys.executable, "-P", "-m", "ptbridge", *words, "--config", str(self.world.folder)]

    def start(self, *words: str, before: Sequence[str] = (), **options: Any) -> subprocess.Popen[bytes]:
        """A ptbridge process; its words go to a file that a failed round shows."""
        with (self.folder / "said.txt").open("ab") as said:
            return subprocess.Popen(
                self.command(*words, before=before),
                stdout=said,
                stderr=said,
                env=self._environment(),
                start_new_session=True,
                **options,
            )

    def run(self, *words: str, before: Sequence[str] = (), patience: float = 0.0, **options: Any) -> int:
        """The same, to its end. Gives the exit code; negative for a signal.

        With `patience` it is told to stop, so many seconds after its first word to the biller, as when a machine shuts down.
        """
        with self.start(*words, before=before, **options) as process:
            if patience:
                self.at_work(process)
                ended = waited(lambda: process.poll() is not None, patience)
                return self.end(process) if ended else self.end(process, signal.SIGTERM)
            return self.end(process)

    def told(self, *words: str) -> tuple[int, bytes]:
        """The exit code, and what it says on its standard output."""
        with (self.folder / "said.txt").open("ab") as said:
            done = subprocess.run(
                self.command(*words),
                check=False,
                stdout=subprocess.PIPE,
                stderr=said,
                env=self._environment(),
                timeout=HANGS_SECONDS,
            )
        return done.returncode, done.stdout

    def _environment(self) -> dict[str, str]:
        return {**os.environ, **self.environment, "PYTHONDONTWRITEBYTECODE": "1"}

    def end(self, process: subprocess.Popen[bytes], number: int | None = None) -> int:
        """Send this signal (none: nothing) and wait until it has ended: the exit code. A process that never ends is killed."""
        if number is not None:
            with suppress(ProcessLookupError):  # it ended meanwhile
                os.killpg(process.pid, number)
        try:
            return process.wait(timeout=HANGS_SECONDS)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
            raise AssertionError(f"it hangs: no end within {HANGS_SECONDS} s, told by signal {number}") from None

    def asked(self) -> int:
        """How often the biller was asked anything so far."""
        return sum(self.world.biller.requests.values())

    def at_work(self, process: subprocess.Popen[bytes], requests: int = 1) -> None:
        """Return when it has asked the biller so many things, or has ended: a moment that no machine's speed moves."""
        until = self.asked() + requests
        if not waited(lambda: self.asked() >= until or process.poll() is not None, HANGS_SECONDS):
            os.killpg(process.pid, signal.SIGKILL)
            raise AssertionError(f"it hangs: it neither asked the biller {requests} times nor ended")

    def some_moment(self, process: subprocess.Popen[bytes], requests: int = 45) -> str:
        """Let it run to a moment by the dice: before it asks anybody, or at the n-th word to the biller and a little after."""
        if self.dice.random() < 0.15:
            seconds = self.dice.uniform(0.0, 1.2)
            waited(lambda: process.poll() is not None, seconds)
            return f"{seconds:.2f} s after its start"
        number, later = self.dice.randint(1, requests), self.dice.uniform(0.0, 0.03)
        self.at_work(process, number)
        waited(lambda: process.poll() is not None, later)
        return f"{later * 1000:.0f} ms after it asked the biller {number} times"

    def calm(self) -> None:
        """Every fault off; then ptbridge runs, as its scheduler would, until nothing waits. No manual step in between (D21)."""
        self.world.biller.faults = Faults()
        for name in [name for name in self.environment if name != "PYTHONPATH"]:
            del self.environment[name]
        since = (DAY - timedelta(days=40)).isoformat()  # looks for what was deleted, too
        for attempt in range(PEACE):
            code = self.run("sync", "--since", since)
            self.note(f"calm sync {attempt + 1}: exit code {code}")
            if code in (DONE, HELD, DIFFERS):
                return  # what differs, the verdict tells
            assert code in (WAITING, PEER), f"a calm sync ended with exit code {code}: {self.said()}"
            time.sleep(attempt)  # what waits for its next try is due some time
        raise AssertionError(f"after {PEACE} calm runs something still waits: {self.said()}")

    def said(self, characters: int = 1500) -> str:
        """The last words of ptbridge's processes."""
        path = self.folder / "said.txt"
        return path.read_text("utf-8", "replace")[-characters:] if path.exists() else ""

    # ------------------------------------------------------------ the EMR goes on

    def edit(self, times: int = 1, sparing: int | None = None) -> None:
        """What clinicians do meanwhile: other minutes, an entry in error, a deletion, a new visit.

        `sparing`: no new visit from that number on is touched. Of what the biller has of a visit that a restored ledger never
        saw, nothing is known here while it is held, and only a person can have it taken back.
        """
        for _ in range(times):
            change = self.dice.choices((self._minutes, self._in_error, self._delete, self._visit), weights=(6, 1, 1, 3))[0]
            self._spared = sparing
            self.world.in_servers(change)

    def _some_visit(self) -> str | None:
        shelf = self.world.store.shelf("Encounter")
        finished = sorted(name for name, entry in shelf.by_id.items() if entry.status == "finished" and not entry.gone)
        if self._spared is not None:
            finished = [name for name in finished if not (name.startswith("w") and int(name[1:]) >= self._spared)]
        return self.dice.choice(finished) if len(finished) > 5 else None

    def _minutes(self) -> None:
        visit = self._some_visit()
        if visit is not None:
            store = self.world.store
            lines = [store.resource("Procedure", entry.id) for entry in store.shelf("Procedure").by_encounter.get(visit, [])]
            code, minutes = self.dice.choice([procedure_code(line) for line in lines]), self.dice.randint(8, 52)
            store.edit_visit(visit, {code: minutes})
            self.note(f"{visit}: {code} now {minutes} minutes")

    def _in_error(self) -> None:
        visit = self._some_visit()
        if visit is not None:
            self.world.store.edit("Encounter", visit, lambda resource: resource.update(status="entered-in-error"))
            self.note(f"{visit}: entered in error")

    def _delete(self) -> None:
        visit = self._some_visit()
        if visit is not None:
            self.world.store.delete("Encounter", visit)
            self.note(f"{visit}: deleted")

    def _visit(self) -> None:
        scale = Scale(VISITS + 400, days=2, last_day=DAY)
        patients = sum(1 for _ in self.world.store.shelf("Patient").by_id)
        plan = replace(scale.plan(VISITS + self.added), id=f"w{self.added:04d}", patient_id=f"pat-{self.added % patients:06d}")
        plan = replace(plan, start=plan.start.replace(year=DAY.year, month=DAY.month, day=DAY.day - 3 - self.added % 9))
        self.added += 1
        for resource in charting.chart(plan):
            resource.pop("meta", None)
            self.world.store.add(resource)
        self.note(f"{plan.id}: new")


def waited(done: Callable[[], bool], seconds: float) -> bool:
    """Wait until it is done; False when `seconds` pass first."""
    until = time.monotonic() + seconds
    while not done():
        if time.monotonic() >= until:
            return False
        time.sleep(0.002)
    return True


@contextmanager
def ground(folder: Path, seed: int, *, visits: int = VISITS, state: Path | None = None) -> Iterator[Ground]:
    """A fresh one. `state`: where ptbridge keeps its ledger, when not in the config folder."""
    store = Store()
    store.add_visits(Scale(visits, days=2, last_day=DAY))
    folder.mkdir(parents=True, exist_ok=True)
    with running(folder / "config", store) as world:
        if state is not None:
            (world.folder / "state").symlink_to(state)
        yield Ground(folder=folder, world=world, dice=Random(seed))
