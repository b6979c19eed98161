"""Totals over a patient's days, end to end: the therapy threshold, authorizations, and what a person confirms."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from ptbridge import jobs
from ptbridge.cli import main
from ptbridge.errors import ConfigError
from ptbridge.ledger import Ledger
from tests.world import World, running

ALLOWED = """procedure,modifiers,amount,from,source
97112,,30.00,2026-01-01,a carrier's file
97112,MPPR,24.00,2026-01-01,a carrier's file
97110,,28.00,2026-01-01,a carrier's file
97110,MPPR,22.00,2026-01-01,a carrier's file
"""
HEAD = "kind,patient,number,counts,allowed,discipline,group,year,amount,as_of\n"
MEDICARE_VISIT, ACME_VISIT = "enc-0002", "enc-0003"  # 97112=24 97110=23 both; their patients are pat-0002 and pat-0003


@pytest.fixture
def world(tmp_path: Path) -> Iterator[World]:
    with running(tmp_path / "config") as one:
        (one.folder / "fees" / "allowed.csv").write_text(ALLOWED)
        text = one.clinic_file.read_text()
        assert "ids: [MCR-B]\n" in text
        one.clinic_file.write_text(text.replace("ids: [MCR-B]\n", "ids: [MCR-B]\n    allowed: fees/allowed.csv\n"))
        yield one


def take(world: World, rows: str) -> dict[str, Any]:
    file = world.folder.parent / "import.csv"
    file.write_text(HEAD + rows)
    return jobs.import_authorizations(world.config, file)


def explained(world: World, visit: str) -> dict[str, Any]:
    (day,) = jobs.explain(world.config, visit)["days"]
    return day


def test_the_threshold_holds_until_a_person_confirms_and_then_kx_is_billed(world: World) -> None:
    take(world, "kx_opening,pat-0002,,,,,PT_SLP,2026,2440.00,2026-11-01\n")
    world.sync()
    day = explained(world, MEDICARE_VISIT)
    assert (day["state"], day["reason"]) == ("held", "KX10")
    (finding,) = (one for one in day["findings"] if one["code"] == "KX10")
    # 97112 x2 and 97110 x1: 30 whole, 24 and 22 reduced, on top of 2,440
    assert "at least $2,516.00 allowed in 2026" in finding["message"] and "$2,480.00" in finding["message"]
    with pytest.raises(ConfigError, match="no finding of this day proposes it"):
        jobs.release(world.config, MEDICARE_VISIT, "documented", "therapist", add=["GA"])
    jobs.release(world.config, MEDICARE_VISIT, "necessary and documented", "therapist", add=["KX"])
    world.sync()
    day = explained(world, MEDICARE_VISIT)
    assert day["state"] == "sent"
    assert [line["line"] for line in day["lines"]] == ["97112-GP-KX x2 @24", "97110-GP-KX x1 @23"]
    assert day["lines"][0]["because"][-1].endswith("confirmed by a person")
    world.agrees()


def test_below_the_threshold_nothing_is_held_and_other_payers_count_nothing(world: World) -> None:
    take(world, "kx_opening,pat-0002,,,,,PT_SLP,2026,2404.00,2026-11-01\nkx_opening,pat-0003,,,,,PT_SLP,2026,9000,2026-11-01\n")
    world.sync()
    assert explained(world, MEDICARE_VISIT)["state"] == explained(world, ACME_VISIT)["state"] == "sent"
    assert explained(world, MEDICARE_VISIT)["lines"][0]["modifiers"] == ["GP"]


def test_an_authorization_is_used_by_what_was_sent_and_shown_without_the_patient(
    world: World, capsys: pytest.CaptureFixture[str]
) -> None:
    take(world, "authorization,pat-0003,AUTH-SBX-0003,visits,1,PT,,,,\nauthorization,pat-0009,OTHER-77,visits,9,OT,,,,\n")
    world.sync()
    used, other = jobs.list_authorizations(world.config)
    assert (used.number, used.used, used.in_flight, used.left, used.why) == ("…0003", 1, 0, 0, "used up")
    assert (other.used, other.left, other.runs_out) == (0, 9, None)
    assert main(["authorizations", "--config", str(world.folder)]) == 0
    assert "pat-0003" not in (shown := capsys.readouterr().out) and "0003" in shown
    assert main(["authorizations", "list", "--show-patients", "--json", "--config", str(world.folder)]) == 0
    assert "pat-0003" in [row["patient"] for row in json.loads(capsys.readouterr().out)]


def test_an_import_makes_held_days_dirty_and_a_second_run_writes_nothing(world: World) -> None:
    world.sync()
    with Ledger.open(world.folder / "state") as ledger:
        assert ledger.days.dirty("riverside-pt") == []
        versions = ledger._connection.execute("SELECT count(*) FROM day_version").fetchone()
    world.sync()
    with Ledger.open(world.folder / "state", write=False) as ledger:
        assert ledger._connection.execute("SELECT count(*) FROM day_version").fetchone() == versions
    held = next(row for row in jobs.held(world.config) if not row["quarantined"])
    with Ledger.open(world.folder / "state", write=False) as ledger:
        (day,) = ledger.days.named(held["id"])
        patient, _ = ledger.patients.ids("riverside-pt")[day.patient_key or ""]
    take(world, f"authorization,{patient},Z-1,visits,5,,,,,\n")
    with Ledger.open(world.folder / "state", write=False) as ledger:
        assert [one.reference for one in ledger.days.dirty("riverside-pt")] == [held["id"]]


def test_what_the_config_folder_changes_in_a_payer_is_shown_with_its_source(
    world: World, capsys: pytest.CaptureFixture[str]
) -> None:
    (world.folder / "payers").mkdir(exist_ok=True)
    (world.folder / "payers" / "medicare.yaml").write_text(
        "payer: medicare_part_b\ntitle: Ours\nstanding: complete\nextends: medicare_part_b\nsettings:\n"
        "  kx:\n    - {use: auto, from: 2026-01-01, source: board of 2026-01-05}\n"
    )
    assert main(["payer", "diff", "medicare_part_b", "--json", "--config", str(world.folder)]) == 0
    answer = json.loads(capsys.readouterr().out)
    assert [row["setting"] for row in answer["changed"]] == ["kx"]
    assert answer["changed"][0]["own"] == [{"use": "auto", "from": "2026-01-01", "to": None, "source": "board of 2026-01-05"}]
    assert answer["changed"][0]["base"][0]["use"] == "propose"
    assert main(["payer", "diff", "auto", "--config", str(world.folder)]) == 0
    assert capsys.readouterr().out == "auto is as shipped.\n"
    assert main(["payer", "list", "--config", str(world.folder)]) == 0
    assert "shipped, changed by the config folder" in capsys.readouterr().out
    assert main(["payer", "show", "medicaid", "--config", str(world.folder)]) == 0
    assert "counting_rule" in capsys.readouterr().out.partition("Unset")[2]
