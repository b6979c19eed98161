"""The drill: the state folder is lost, and a backup older than the last charges is restored, compared and sent on from."""

from __future__ import annotations

import gc
import shutil
import sys
from collections.abc import Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from ptbridge_sandbox.demo import CLINIC
from ptbridge_sandbox.maker import Scale
from ptbridge_sandbox.store import Store

from ptbridge.ledger import Ledger
from tests.bench.processes import Ended, measured
from tests.bench.runner import Figure, Settings
from tests.bench.sync_scale import last_day
from tests.world import World, running

SECONDS, DRILL_SECONDS = 60.0, 900.0  # delivery contract, target figures: for 10,000 days; the whole drill


def run(settings: Settings) -> list[Figure]:
    """Backup, restore, and the first sync after it, each a process; the biller's own count at the end."""
    days = settings.size(10_000 if settings.long else 1_000, 30)
    backup, restore, first, second = _drill(days, forgotten=days // 100 + 1)
    restored = restore.wall_seconds + first.wall_seconds
    parts = f"restore {restore.wall_seconds:.1f} s, the sync that compares {first.wall_seconds:.1f} s"
    return [
        Figure(
            what=f"restored, compared, sent on: {days:,} days",
            value=restored,
            unit="s",
            target=SECONDS,
            note=f"{parts} ({restore.cpu_seconds + first.cpu_seconds:.1f} s CPU)",
        ),
        Figure(
            what="the whole drill, with the backup and a second sync",
            value=restored + backup.wall_seconds + second.wall_seconds,
            unit="s",
            target=DRILL_SECONDS,
            note=f"backup {backup.wall_seconds:.1f} s, second sync {second.wall_seconds:.1f} s",
        ),
    ]


def _drill(days: int, forgotten: int) -> tuple[Ended, Ended, Ended, Ended]:
    """`forgotten` days are sent after the backup; as many are documented after the loss. All stand at the biller once."""
    store = Store()
    store.add_visits(Scale(days, last_day=last_day()))
    gc.freeze()  # what the store holds stays: the servers in this process shall not walk it again and again
    late, lost = (range(days - 1 - place, 0, -2)[:forgotten] for place in (0, 1))
    with TemporaryDirectory() as folder, running(Path(folder) / "config", store) as world:
        _finish(world, [*late, *lost], "in-progress")
        _run(world, "sync")
        file = Path(folder) / "a.backup"
        backup = _run(world, "backup", str(file))
        _finish(world, lost, "finished")
        _run(world, "sync")
        assert world.books()["charges"] == days - forgotten
        shutil.rmtree(world.config.state)
        _finish(world, late, "finished")
        restore = _run(world, "restore", str(file))
        first = _run(world, "sync")
        books = world.books()
        assert books["charges"] == books["events"]["created"] == days, "each day once"
        second = _run(world, "sync")
        world.agrees()
        with Ledger.open(world.config.state, write=False) as ledger:
            assert ledger.accounts.days_by_state(CLINIC)["sent"]["days"] == days
    gc.unfreeze()
    return backup, restore, first, second


def _finish(world: World, numbers: Sequence[int], status: str) -> None:
    def change(encounter: dict[str, Any]) -> None:
        encounter["status"] = status

    for number in numbers:
        world.in_servers(lambda number=number: world.store.edit("Encounter", f"v{number:07d}", change))


def _run(world: World, word: str, *arguments: str) -> Ended:
    command = (sys.executable, "-P", "-m", "ptbridge", word, *arguments, "--config", str(world.folder))
    ended = measured(command, world.folder.parent)
    assert ended.code in (0, 3), f"{word} ended with {ended.code}: {ended.output[-500:]}"
    return ended
