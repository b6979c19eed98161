"""Where a round is played: a sandbox EMR and biller that outlive every ptbridge, which a scheduler runs."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
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
LONGEST_RUN_SECONDS = 120
STOP_SECONDS = 10
DONE, HELD, WAITING, PEER, BUSY = 0, 3, 4, 5, 7  # exit codes of ptbridge


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

    def note(self, text: str) -> None:
        """Remember a step for the report of a failed round."""
        self.done.append(text)

    # ------------------------------------------------------------ ptbridge

    def sabotage(self, name: str) -> None:
        """Break ptbridge on purpose in all its processes, and take away the biller's own check for doubles."""
        if name:
            self.environment["PYTHONPATH"] = str(Path(__file__).parent / "sabotage" / name)
            self.world.biller.books.strict = False

    def command(self, *words: str, before: Sequence[str] = ()) -> list[str]:
        """ptbridge's command line, under another program where `before` names one."""
        return [*before, sys.executable, "-P", "-m", "ptbridge", *words, "--config", str(self.world.folder)]

    def start(self, *words: str, before: Sequence[str] = (), **options: Any) -> subprocess.Popen[bytes]:
        """A ptbridge process; its words go to a file that a failed round shows."""
        environment = {**os.environ, **self.environment, "PYTHONDONTWRITEBYTECODE": "1"}
        with (self.folder / "said.txt").open("ab") as said:
            return subprocess.Popen(
                self.command(*words, before=before),
                stdout=said,
                stderr=said,
                env=environment,
                start_new_session=True,
                **options,
            )

    def run(self, *words: str, before: Sequence[str] = (), patience: float = LONGEST_RUN_SECONDS, **options: Any) -> int:
        """The same, to its end. Gives the exit code; negative for a signal.

        After `patience` seconds it is asked to stop, as a machine that shuts down does, and must have ended within ten (D29).
        """
        with self.start(*words, before=before, **options) as process:
            try:
                return process.wait(timeout=patience)
            except subprocess.TimeoutExpired:
                os.killpg(process.pid, signal.SIGTERM)
                try:
                    return process.wait(timeout=STOP_SECONDS)
                except subprocess.TimeoutExpired:
                    os.killpg(process.pid, signal.SIGKILL)
                    raise AssertionError(f"it did not end within {STOP_SECONDS} s of SIGTERM") from None

    def calm(self) -> None:
        """Every fault off; then ptbridge runs, as its scheduler would, until nothing waits. No manual step in between (D21)."""
        self.world.biller.faults = Faults()
        for name in [name for name in self.environment if name != "PYTHONPATH"]:
            del self.environment[name]
        since = (DAY - timedelta(days=40)).isoformat()  # looks for what was deleted, too
        for attempt in range(8):
            code = self.run("sync", "--since", since)
            self.note(f"calm sync {attempt + 1}: exit code {code}")
            if code in (DONE, HELD):
                return
            assert code in (WAITING, PEER), f"a calm sync ended with exit code {code}: {self.said()}"
        raise AssertionError(f"after eight calm runs something still waits: {self.said()}")

    def said(self, characters: int = 1500) -> str:
        """The last words of ptbridge's processes."""
        path = self.folder / "said.txt"
        return path.read_text("utf-8", "replace")[-characters:] if path.exists() else ""

    # ------------------------------------------------------------ the EMR goes on

    def edit(self, times: int = 1) -> None:
        """What clinicians do meanwhile: other minutes, an entry in error, a deletion, a new visit."""
        for _ in range(times):
            change = self.dice.choices((self._minutes, self._in_error, self._delete, self._visit), weights=(6, 1, 1, 3))[0]
            self.world.in_servers(change)

    def _some_visit(self) -> str | None:
        shelf = self.world.store.shelf("Encounter")
        finished = sorted(name for name, entry in shelf.by_id.items() if entry.status == "finished" and not entry.gone)
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
