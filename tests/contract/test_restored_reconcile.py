"""D25: what `ptbridge reconcile` says of days that only the lost part of a ledger knew."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from ptbridge import jobs
from ptbridge.ledger import Ledger
from tests.contract.test_hl7_main_job import point_to
from tests.contract.test_restored_state import VISIT, backup, edited, restore
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
    assert "ptbridge release ID" in difference["do"] == day["reasons"][0]["fix"] and difference["owner"] == "biller"
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
