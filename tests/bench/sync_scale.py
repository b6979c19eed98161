"""`ptbridge sync` as a process, against sandbox EMRs of growing size: peak memory, time in proportion, and what a quiet
night costs when the history is ten times as long."""

from __future__ import annotations

import gc
import json
import sys
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from tempfile import TemporaryDirectory

from ptbridge_sandbox.maker import Scale
from ptbridge_sandbox.store import Store

from tests.bench.processes import Ended, measured
from tests.bench.runner import Figure, Settings
from tests.world import World, running

PEAK_MB, PROPORTION = 300, 1.25  # issue 2; the second: seconds a thousand encounters, largest size against smallest
QUIET_PROPORTION = 1.5  # a sync with nothing new, at ten times the history
EDITS = 50
SIZES = (10_000, 30_000, 100_000)


@dataclass(frozen=True, slots=True, kw_only=True)
class Runs:
    """Three runs of sync on one EMR: the first, one with nothing new, one after 50 late edits."""

    encounters: int
    edits: int
    first: Ended
    quiet: Ended
    edited: Ended

    @property
    def seconds_a_thousand(self) -> float:
        """CPU seconds of the first run for each thousand encounters: what else runs on the machine costs wall time only."""
        return self.first.cpu_seconds / self.encounters * 1000


def run(settings: Settings) -> list[Figure]:
    """Every size, then the ratios of the largest to the smallest."""
    sizes = (20, 40) if settings.quick else SIZES
    found = [sync_thrice(size) for size in sizes]
    small, large = found[0], found[-1]
    grown = large.encounters / small.encounters
    figures = [figure for runs in found for figure in _of_one(runs)]
    return [
        *figures,
        Figure(
            what=f"CPU a thousand, {large.encounters:,} against {small.encounters:,}",
            value=large.seconds_a_thousand / small.seconds_a_thousand,
            unit="x",
            target=PROPORTION,
        ),
        Figure(
            what=f"nothing new, {grown:g} times the history",
            value=large.quiet.cpu_seconds / small.quiet.cpu_seconds,
            unit="x",
            target=QUIET_PROPORTION,
        ),
        Figure(
            what=f"{large.edits} edits, {grown:g} times the history",
            value=large.edited.cpu_seconds / small.edited.cpu_seconds,
            unit="x",
            target=QUIET_PROPORTION,
        ),
    ]


def _of_one(runs: Runs) -> list[Figure]:
    name = f"{runs.encounters:,} encounters"
    return [
        Figure(what=f"{name}: peak memory", value=runs.first.peak_mb, unit="MB", target=PEAK_MB),
        Figure(
            what=f"{name}: first sync",
            value=runs.first.wall_seconds,
            unit="s",
            note=f"{runs.first.cpu_seconds:.1f} s CPU, {runs.seconds_a_thousand:.2f} s a thousand",
        ),
        Figure(what=f"{name}: sync, nothing new", value=runs.quiet.wall_seconds, unit="s", note=_memory(runs.quiet)),
        Figure(what=f"{name}: sync, {runs.edits} edits", value=runs.edited.wall_seconds, unit="s", note=_memory(runs.edited)),
    ]


def _memory(ended: Ended) -> str:
    return f"{ended.cpu_seconds:.1f} s CPU, {ended.peak_mb:.0f} MB"


def sync_thrice(encounters: int) -> Runs:
    """A first sync of everything, one with nothing new, and one after edits; the counts of each are checked."""
    scale = Scale(encounters, last_day=last_day())
    store = Store()
    store.add_visits(scale)
    gc.freeze()  # what the store holds stays: the servers in this process shall not walk it again and again
    with TemporaryDirectory() as folder, running(Path(folder) / "config", store) as world:
        first = _sync(world, encounters)
        _sync(world, 0)  # takes in what the biller tells of the first: news, and as much of it as was sent
        quiet = _sync(world, 0)
        edits = min(EDITS, encounters)
        for number in range(edits):
            store.edit_visit(scale.plan(encounters - 1 - number).id, {line.code: 20 for line in scale.plan(number).lines})
        edited = _sync(world, edits)
    gc.unfreeze()
    return Runs(encounters=encounters, edits=edits, first=first, quiet=quiet, edited=edited)


def last_day() -> date:
    """Recent, so that no visit is too late to file; not so recent that the overlap of the next poll reads it again."""
    return datetime.now(UTC).date() - timedelta(days=2)


def _sync(world: World, pulled: int) -> Ended:
    command = (sys.executable, "-m", "ptbridge", "sync", "--json", "--config", str(world.folder))
    ended = measured(command, world.folder.parent)
    report = json.loads(ended.output)[0]
    assert ended.code in (0, 3), f"exit code {ended.code}"
    assert report["pulled_visits"] == sum(report["visits"].values()) == pulled, report["visits"]
    return ended
