"""`ptbridge sync --dry-run` tells which days would go, and how: against real servers, and then what really goes."""

from __future__ import annotations

import json
import time
from pathlib import Path
from typing import Any

import pytest

from ptbridge import cli, jobs
from ptbridge.ledger import Ledger
from ptbridge.model import dollars
from tests import limited_biller
from tests.contract.test_changes import day, edit_clinic, edit_minutes, policy, sent, status
from tests.world import World

OTHER = "enc-0001"


def rehearsed(world: World, capsys: pytest.CaptureFixture[str]) -> str:
    capsys.readouterr()
    cli.main(["sync", "--dry-run", "--config", str(world.folder)])
    return capsys.readouterr().out


def test_the_first_twenty_are_shown_and_json_has_them_all_as_they_then_go(
    world: World, capsys: pytest.CaptureFixture[str]
) -> None:
    shown = rehearsed(world, capsys)
    rows = [line for line in shown.splitlines() if "  original  " in line]
    assert "56 submissions would go" in shown and len(rows) == 20
    assert "and 36 more: ptbridge sync --dry-run --json" in shown
    cli.main(["sync", "--dry-run", "--json", "--config", str(world.folder)])
    (report,) = json.loads(capsys.readouterr().out)
    told = report["would_send"]
    assert [(row["service_date"], row["reference"]) for row in told] == sorted(
        (row["service_date"], row["reference"]) for row in told
    )
    assert report["would_ask"] == []
    for row, line in zip(told[:20], rows, strict=True):
        assert row["reference"] in line and dollars(row["amount_cents"]) in line and row["service_date"] in line
    world.sync()
    went: dict[str, Any] = world.biller.books.live
    assert {row["reference"] for row in told} == set(went)
    books = world.books()
    assert sum(row["units"] for row in told) == books["units"]
    assert sum(row["amount_cents"] for row in told) == books["amount_cents"]


def test_a_replacement_and_a_void_are_told_apart_from_an_original(world: World, capsys: pytest.CaptureFixture[str]) -> None:
    world.sync()
    taken = day(world, OTHER)
    edit_minutes(world)
    status(world, "entered-in-error", OTHER)
    shown = rehearsed(world, capsys)
    assert "2 submissions would go" in shown and "more" not in shown.split("Nothing was kept")[-1]
    (void,) = [line for line in shown.splitlines() if "  void  " in line]
    assert f"-{dollars(taken['amount_cents'])}" in void and f"-{taken['units']} units" in void and taken["reference"] in void
    (replacement,) = [line for line in shown.splitlines() if "  replacement  " in line]
    assert day(world)["reference"] in replacement
    world.sync()
    corrected = day(world)
    assert dollars(corrected["amount_cents"]) in replacement and f"{corrected['units']} units" in replacement
    assert (sent(world)[-1], sent(world, OTHER)[-1]) == (("7", "accepted"), ("8", "accepted"))


def test_what_waits_says_so(world: World, capsys: pytest.CaptureFixture[str]) -> None:
    policy(world, '{hold_window_minutes: "30"}')
    shown = rehearsed(world, capsys)
    assert shown.count("not before 2") == 20, "each waits in the clinic's hold window"
    world.sync()
    with Ledger.open(world.config.state) as ledger:  # and the machine went down while it sent the first
        outbox = ledger.outbox("riverside-pt", "charge_api")
        (first,) = outbox.due(now=time.time() + 3600, limit=1)
        outbox.start((first,), now=time.time())
    (doubted,) = [line for line in rehearsed(world, capsys).splitlines() if "asked first" in line]
    assert first.submission.reference in doubted and "not before" not in doubted


def test_a_task_for_the_biller_is_told_with_its_difference(
    world: World, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    limited_biller.install(tmp_path / "plugin", monkeypatch)
    edit_clinic(world, "  platform: charge_api\n", "  platform: limited_api\n  options: {can: neither}\n")
    world.sync()
    before = day(world)
    edit_minutes(world)
    shown = rehearsed(world, capsys)
    assert "0 submissions would go" in shown and "1 correction would be a task for the biller" in shown
    (task,) = [line for line in shown.splitlines() if "  task  " in line]
    world.sync()
    after = day(world)
    assert after["state"] == "held" and before["reference"] in task and "SB01" in task
    assert dollars(after["amount_cents"] - before["amount_cents"]) in task
    with Ledger.open(world.config.state) as ledger, ledger.transaction():
        ledger._connection.execute("UPDATE treatment_day SET held_since = '2026-11-20T00:00:00+00:00' WHERE state = 'held'")
    assert "  task  " not in rehearsed(world, capsys), "held by then, it stands on the worklist and is no news of this run"
    assert len(jobs.changes(world.config)) == 1
