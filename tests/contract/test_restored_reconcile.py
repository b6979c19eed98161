"""D25: what `ptbridge reconcile` says of days that only the lost part of a ledger knew."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from ptbridge import jobs
from ptbridge.ledger import Ledger
from tests.contract.test_hl7_main_job import point_to
from tests.contract.test_restored_state import VISIT, backup, edited, restore
from tests.platforms import NUMBERED, PLATFORMS, TOTALS, at
from tests.world import World


def empty_backup(world: World) -> Path:
    """Of a ledger that knows nothing yet."""
    with Ledger.open(world.folder / "state"):
        pass
    return backup(world)


def reconciled(world: World) -> Any:
    (answer,) = jobs.reconcile(world.config).values()
    return answer


def held(world: World) -> dict[str, Any]:
    (day,) = (row for row in jobs.held(world.config) if VISIT in row["visits"])
    return day


def test_D25_what_waits_for_a_person_since_a_restore_says_so_to_the_end(world: World) -> None:
    """Sent since the backup, in error now, of a visit that the backup never saw."""
    file = empty_backup(world)
    world.sync()
    restore(world, file)
    edited(world, status="entered-in-error")
    world.sync()
    day = held(world)
    (difference,) = reconciled(world)["differences"]
    assert (difference["reference"], difference["ours"]) == (day["id"], None) and difference["theirs"][0] > 0
    assert "restored from a backup" in difference["why"] == day["reasons"][0]["message"]
    assert "ptbridge settle ID" in difference["do"] == day["reasons"][0]["fix"] and difference["owner"] == "biller"
    jobs.release(world.config, day["id"], "the biller will take it out", actor="owner")
    world.sync()
    (difference,) = reconciled(world)["differences"]
    assert difference["why"] == "the biller has it, and nothing of that day is billed here (excluded)"
    assert difference["owner"] == "biller" and difference["do"].startswith("Have the biller take it out")
    world.in_servers(lambda: world.biller.books.live.pop(day["id"]))
    world.biller.books._sorted = None
    world.agrees()


def test_D25_what_the_biller_has_and_is_held_here_for_a_reason_of_its_own_says_which(world: World) -> None:
    """Sent since the backup, of a visit that the backup never saw, and open again: it is taken over once it can be billed."""
    with Ledger.open(world.folder / "state"):
        pass
    file = backup(world)
    world.sync()
    restore(world, file)
    edited(world, status="in-progress")
    world.sync()
    (difference,) = reconciled(world)["differences"]
    assert difference["reference"] == held(world)["id"] and difference["ours"] is None
    assert difference["why"] == "the biller has it from before the restore, and here it is held: DC03"
    assert difference["owner"] == "clinic" and "the next sync then settles it" in difference["do"]
    edited(world, status="finished")
    before = world.books()
    world.sync()
    assert world.books()["charges"] == before["charges"]
    world.agrees()


def test_D25_a_biller_that_must_be_told_what_it_has_leaves_what_was_corrected_to_a_person(world: World, tmp_path: Path) -> None:
    """HL7 v2 with credits, into a folder: the restored ledger cannot say what to credit."""
    point_to(world, folder=str(tmp_path / "drop"), environment="sandbox", options={"profile": "full_day"})
    with Ledger.open(world.folder / "state"):
        pass
    file = backup(world)
    world.sync()
    world.store.edit_visit(VISIT, {"97112": 40}, bump_encounter=True)
    world.sync()
    assert reconciled(world)["agrees"]
    files = sorted((tmp_path / "drop").rglob("*.hl7"))
    restore(world, file)
    world.sync()
    assert files and sorted((tmp_path / "drop").rglob("*.hl7")) == files, "nothing more was sent"
    answer = reconciled(world)
    (difference,) = answer["differences"]
    assert difference["reference"] == held(world)["id"] and difference["ours"] is None
    (gap,) = (one for one in answer["gaps"] if one["reference"] == difference["reference"])
    assert (gap["from"], gap["to"], gap["codes"], gap["owner"]) == ("charged", "sent", ("restored",), "biller")
    assert "restored from a backup" in gap["reason"] == difference["why"] and gap["do"] == difference["do"]


@pytest.mark.parametrize("edited_again", [False, True])
def test_D25_what_was_corrected_at_the_biller_since_the_backup_says_so_where_a_person_must_compare(
    world: World, tmp_path: Path, edited_again: bool
) -> None:
    """The restored ledger has the version before: the biller's other units are no change of the biller's."""
    point_to(world, folder=str(tmp_path / "drop"), environment="sandbox", options={"profile": "full_day"})
    world.sync()
    file = backup(world)
    world.store.edit_visit(VISIT, {"97112": 40}, bump_encounter=True)
    world.sync()
    restore(world, file)
    edited(world, status="in-progress")
    world.sync()
    (difference,) = reconciled(world)["differences"]
    assert difference["reference"] == held(world)["id"] and difference["ours"] < difference["theirs"]
    assert difference["why"] == "the biller has it from before the restore, and here it is held: DC03"
    edited(world, status="finished")
    if edited_again:
        world.store.edit_visit(VISIT, {"97112": 55}, bump_encounter=True)
    world.sync()
    differences = reconciled(world)["differences"]
    assert len(differences) == edited_again, "what it has is found by its key"
    for difference in differences:
        assert difference["reference"] == held(world)["id"] and difference["ours"] < difference["theirs"]
        assert "restored from a backup" in difference["why"] and difference["do"] == held(world)["reasons"][0]["fix"]


def taken_back_since_the_backup(world: World) -> str:
    """A day is sent, a backup made, a person excludes the day, and the backup comes back: the day's reference."""
    world.sync()
    file = backup(world)
    with Ledger.open(world.config.state, write=False) as ledger:
        (day,) = ledger.days.named(VISIT)
    jobs.exclude(world.config, VISIT, "not to be billed", actor="owner")
    world.sync()
    restore(world, file)
    world.sync()
    return day.reference


def test_D25_a_correction_of_what_was_taken_back_since_the_backup_is_no_second_original(world: World) -> None:
    reference = taken_back_since_the_backup(world)
    before = world.books()
    (difference,) = reconciled(world)["differences"]
    assert (difference["reference"], difference["theirs"], difference["owner"]) == (reference, None, "clinic")
    assert "missing at the biller" in difference["why"] and "ptbridge exclude ID" in difference["do"]
    world.store.edit_visit(VISIT, {"97112": 40}, bump_encounter=True)
    for _ in range(2):
        assert world.sync().exit_code == 3
        assert world.books()["events"] == before["events"], "refused: nothing of it is live there"
        (reason,) = held(world)["reasons"]
        assert "no longer has what this corrects (not-live)" in reason["message"] and "ptbridge exclude ID" in reason["fix"]
        (gap,) = (one for one in reconciled(world)["gaps"] if one["reference"] == reference)
        assert (gap["reason"], gap["do"]) == (reason["message"], reason["fix"])
        jobs.retry(world.config, name=reference, reason="once more")
    jobs.exclude(world.config, reference, "as before the restore", actor="owner")
    world.sync()
    assert world.books()["events"] == before["events"], "its void is answered by the one of then"
    world.agrees()
    world.store.edit_visit(VISIT, {"97112": 25}, bump_encounter=True)
    world.sync()
    assert world.books()["charges"] == before["charges"] + 1, "one original of what the note says now"
    world.agrees()


@pytest.mark.parametrize("platform", sorted(PLATFORMS.keys() - set(NUMBERED)))
def test_D25_where_the_platform_takes_such_a_correction_one_charge_stands_again(platform: str, tmp_path: Path) -> None:
    """An exclusion is of exactly what was documented then: what the note says now is judged anew, as without a restore."""
    with at(platform, tmp_path / "config") as (world, server):
        reference = taken_back_since_the_backup(world)
        charges = server.summary()["charges"]
        world.store.edit_visit(VISIT, {"97112": 40}, bump_encounter=True)
        world.sync()
        answer, summary = reconciled(world), server.summary()
        assert summary["charges"] == charges + 1 and summary["violations"] == []
        assert answer["agrees"] and answer["ours"] == {name: summary[name] for name in TOTALS}
        assert not [row for row in jobs.held(world.config) if row["id"] == reference]


@pytest.mark.parametrize("platform", NUMBERED)
def test_D25_where_a_correction_names_the_payers_claim_the_refused_one_waits_for_a_person(
    platform: str, tmp_path: Path
) -> None:
    with at(platform, tmp_path / "config") as (world, server):
        world.sync()
        with Ledger.open(world.config.state, write=False) as ledger:
            (day,) = ledger.days.named(VISIT)
        world.in_servers(lambda: server.payer_accepts(day.reference))
        jobs.ask(world.config)
        file = backup(world)
        jobs.exclude(world.config, VISIT, "not to be billed", actor="owner")
        world.sync()
        charges = server.summary()["charges"]
        restore(world, file)
        world.store.edit_visit(VISIT, {"97112": 40}, bump_encounter=True)
        world.sync()
        summary = server.summary()
        assert (summary["charges"], summary["violations"]) == (charges, [])
        (reason,) = held(world)["reasons"]
        assert "the biller rejected it" in reason["message"]
        (difference,) = reconciled(world)["differences"]
        assert (difference["reference"], difference["theirs"], difference["owner"]) == (day.reference, None, "clinic")
