"""After a real backup and restore no run has the number of an older one, and no report or log line takes another's place."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

from ptbridge.jobs import backup as backups
from ptbridge.ledger import Ledger
from tests.contract.test_changes import edit_minutes
from tests.world import World


def reports(world: World) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in (world.folder / "state" / "reports").iterdir()}


def ended(world: World) -> list[str]:
    """What the log says of runs that ended, in order."""
    lines = (line for path in sorted(world.config.logs.iterdir()) for line in path.read_text("utf-8").splitlines())
    messages = (str(json.loads(line)["message"]) for line in lines)
    return [found[0] for message in messages if (found := re.match(r"(dry )?run .*ended", message))]


def gone_back(world: World, file: Path) -> None:
    """Three more runs after a backup, the last with news for the biller; then the backup is put back."""
    world.sync()
    backups.backup(world.config, file)
    world.sync()
    edit_minutes(world)
    world.sync()


def test_runs_after_a_restore_count_on_and_nothing_is_written_over(world: World, tmp_path: Path) -> None:
    file = tmp_path / "x.backup"
    gone_back(world, file)
    before = reports(world)
    assert sorted(before) == [f"riverside-pt-{number:06d}.html" for number in (1, 2, 3)]
    backups.restore(world.config, file, replace=True, actor="test")
    runs = [world.sync().run_id for _ in range(2)]
    assert runs == [4, 5]
    after = reports(world)
    assert {name: after[name] for name in before} == before and len(after) == 5
    assert ended(world) == [f"run {number} ended" for number in (1, 2, 3, 4, 5)]
    backups.restore(world.config, file, replace=True, actor="test")
    assert world.sync().run_id == 6, "and after another restore of the same backup"
    with Ledger.open(world.config.state, write=False) as ledger:
        last = ledger.accounts.last_run("riverside-pt")
    assert last is not None and last["run_id"] == 6
    world.agrees()


@pytest.mark.parametrize("left", ["reports", "logs"])
def test_where_the_ledger_is_damaged_its_reports_or_its_log_tell(world: World, tmp_path: Path, left: str) -> None:
    file, state = tmp_path / "x.backup", world.folder / "state"
    gone_back(world, file)
    (state / "ledger.sqlite").write_bytes(b"\0" * 100_000)
    for path in (state / ("logs" if left == "reports" else "reports")).iterdir():
        path.unlink()
    backups.restore(world.config, file, replace=True, actor="test")
    assert world.sync().run_id == 4
    world.agrees()


def test_of_a_state_folder_that_is_gone_the_backup_alone_tells(world: World, tmp_path: Path) -> None:
    file = tmp_path / "x.backup"
    gone_back(world, file)
    (world.folder / "state").rename(tmp_path / "lost")
    backups.restore(world.config, file, actor="test")
    assert world.sync().run_id == 2
    world.agrees()


def test_each_dry_run_has_a_page_of_its_own_and_is_no_run_in_the_log(world: World) -> None:
    first, second = (Path(world.sync(dry_run=True).report_path) for _ in range(2))
    assert [first.name, second.name] == ["riverside-pt-000001-dry-run.html", "riverside-pt-000001-dry-run.2.html"]
    assert first.exists() and Path(world.sync().report_path).name == "riverside-pt-000001.html"
    assert ended(world) == ["dry run ahead of run 1 ended"] * 2 + ["run 1 ended"]
