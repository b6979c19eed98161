"""A held treatment day that lost its visit says what it was: on the worklist, in the report and in JSON."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from ptbridge import cli, jobs
from ptbridge.model import Disposition, dollars
from tests import limited_biller
from tests.contract.test_changes import VISIT, day, edit_clinic, reference, rescan
from tests.contract.test_given_up import gives_one_up
from tests.world import World


@pytest.fixture
def stuck(world: World, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> World:
    """At this biller nothing can be corrected by a program: what is taken back is a task for a person."""
    limited_biller.install(tmp_path / "plugin", monkeypatch)
    edit_clinic(world, "  platform: charge_api\n", "  platform: limited_api\n  options: {can: neither}\n")
    return world


def rows(world: World) -> dict[str, dict[str, Any]]:
    return {row["id"]: row for row in jobs.held(world.config)}


def test_a_day_whose_visit_was_deleted_says_what_it_billed(stuck: World, capsys: pytest.CaptureFixture[str]) -> None:
    stuck.sync()
    billed, name = day(stuck), reference(stuck)
    stuck.store.delete("Encounter", VISIT)
    rescan(stuck)
    report = stuck.sync()
    row = rows(stuck)[name]
    assert row["visits"] == [] and [reason["code"] for reason in row["reasons"]] == ["SB02"]
    assert (row["service_date"], row["discipline"], row["payer"]) == ("2026-11-19", "PT", billed["payer"])
    was = row["was"]
    assert (was["visits"], was["units"], was["amount_cents"]) == ([VISIT], billed["units"], billed["amount_cents"])
    assert was["at_biller"] and len(was["lines"]) == len(billed["lines"]) > 0
    assert all(line["procedure"] in was["text"] for line in billed["lines"])
    assert was["text"].startswith(f"{VISIT}: ") and was["text"].endswith(
        f"{billed['units']} units, {dollars(billed['amount_cents'])}; the biller has it"
    )
    capsys.readouterr()
    assert cli.main(["held", "--config", str(stuck.folder)]) == 3
    shown = capsys.readouterr().out
    assert f"  {name}  2026-11-19  PT  " in shown and f"    was {was['text']}\n" in shown
    assert f"was {VISIT}: " in Path(report.report_path).read_text("utf-8")
    others = [one for one in rows(stuck).values() if one["visits"] and not one["quarantined"]]
    assert others and not any(one["was"] for one in others), "a day with a visit is known by it"


def test_of_a_day_in_doubt_it_is_not_said_that_the_biller_has_it(world: World) -> None:
    name = gives_one_up(world, Disposition.IN_DOUBT, "in-doubt")
    (visit,) = rows(world)[name]["visits"]
    world.store.delete("Encounter", visit)
    rescan(world)
    world.sync()
    row = rows(world)[name]
    assert row["visits"] == [] and row["reasons"][0]["message"].startswith("the answer was lost")
    assert row["was"]["visits"] == [visit] and not row["was"]["at_biller"]
    assert row["was"]["text"].endswith(dollars(row["was"]["amount_cents"])) and row["was"]["amount_cents"] > 0
