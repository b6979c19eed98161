"""A night with nothing new costs what the changes cost, not what the history costs: counted in steps of SQLite, not in time."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import apsw
from ptbridge_sandbox.maker import Scale
from ptbridge_sandbox.store import Store

from ptbridge import jobs
from ptbridge.jobs.settle import ANSWER_DAYS
from tests.world import World, running

SLACK = 1.2


@contextmanager
def counted() -> Iterator[dict[str, int]]:
    """Steps of SQLite's virtual machine for each statement, on every connection opened meanwhile."""
    steps: dict[str, int] = {}

    def profile(event: dict[str, Any]) -> None:
        steps[event["sql"]] = steps.get(event["sql"], 0) + int(event["stmt_status"]["SQLITE_STMTSTATUS_VM_STEP"])

    def watch(connection: apsw.Connection) -> None:
        connection.trace_v2(apsw.SQLITE_TRACE_PROFILE, profile)

    apsw.connection_hooks.append(watch)
    try:
        yield steps
    finally:
        apsw.connection_hooks.remove(watch)


def quiet_night(folder: Path, visits: int) -> dict[str, int]:
    """A clinic's `visits`, older than what a run reads again or reports on, sent; then what a run with nothing new asks."""
    last = datetime.now(UTC).date() - timedelta(days=ANSWER_DAYS + 10)
    store = Store()
    store.add_visits(Scale(visits, days=20, last_day=last))
    with running(folder / f"of-{visits}" / "config", store) as world:
        assert sync(world)["sent"] == visits
        assert sync(world)["sent"] == 0  # takes in what the biller tells of the first
        with counted() as steps:
            assert sync(world)["sent"] == 0
    return steps


def sync(world: World) -> dict[str, int]:
    (report,) = jobs.sync(world.config)
    assert report.exit_code in (0, 3), report.errors
    return report.visits


def test_a_quiet_night_asks_the_ledger_the_same_of_a_long_history_as_of_a_short_one(tmp_path: Path) -> None:
    short, long = quiet_night(tmp_path, 40), quiet_night(tmp_path, 240)
    grown = {sql: (short.get(sql, 0), steps) for sql, steps in long.items() if steps > SLACK * short.get(sql, 0) + 50}
    assert not grown, "these statements walk the history"
    assert short, "no statement was counted"
