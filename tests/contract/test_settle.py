"""What a person has seen at the biller, said with `ptbridge settle`: over every destination, with its real other side.

A charge or a correction is left in doubt for good, once with the biller having it and once without. The word is taken where
nothing speaks against it, refused where the platform says otherwise, and sends nothing. What follows is no second original.
"""

from __future__ import annotations

import asyncio
import json
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from ptbridge_sandbox.hl7_books import Hl7Books

from ptbridge import jobs
from ptbridge.cli import main
from ptbridge.errors import ConfigError, PeerUnavailable
from ptbridge.jobs.peers import open_destination
from ptbridge.ledger import Ledger
from ptbridge.model import Acknowledgement, Answer, Disposition, Stage, Standing
from ptbridge.plan import key_of
from ptbridge.ports import AnswerPage, Outcome
from tests import limited_biller
from tests.contract.test_changes import policy
from tests.contract.test_hl7_main_job import point_to, receiving
from tests.contract.test_restored_reconcile import held, taken_back_since_the_backup
from tests.contract.test_restored_state import backup, edited, restore
from tests.platforms import NUMBERED, PLATFORMS, VISIT, at, day, send_files
from tests.rigs.x12_837p import OPTIONS as X12
from tests.world import World, running

SERVERS = ["charge_api", "candid", "fhir_claim", *NUMBERED]
FILES = ["csv_drop", "x12_837p", "hl7-files"]
SILENT = "hl7-mllp"
EVERYWHERE = [*SERVERS, *FILES, SILENT]


@dataclass
class Billed:
    """A clinic and its biller. `units` are what the biller counts for itself; for files, what was dropped last."""

    world: World
    units: Callable[[], int]
    accept: Callable[[], Any] = lambda: None  # the payer takes what is live, and gives it a number
    visit: str = VISIT

    @property
    def platform(self) -> str:
        return next(iter(self.world.config.clinics.values())).destination.platform

    @property
    def clinic(self) -> str:
        return next(iter(self.world.config.clinics))

    def agrees(self) -> None:
        (answer,) = jobs.reconcile(self.world.config).values()
        assert answer["agrees"] in (True, None), answer["differences"]
        assert answer["ours"]["units"] == self.units()
        with Ledger.open(self.world.config.state, write=False) as ledger:
            assert not [problem for check in ledger.verify(key_of) for problem in check.problems]

    def says(self, has: str | None = None, **more: Any) -> dict[str, Any]:
        return jobs.biller_has(self.world.config, self.visit, has, actor="owner", **more)

    def written(self, has: str, **more: Any) -> dict[str, Any]:
        """Shown first, then written under the name that was shown."""
        shown = self.says(has, **more)
        assert not shown["contradicts"] and not shown["applied"]
        done = self.says(has, apply=shown["name"], reason="seen on their screen", **more)
        assert done["applied"]
        return done

    def refused(self, has: str) -> str:
        """Nothing of a word against the biller is written, under whatever name."""
        before = self.digest()
        answer = self.says(has)
        assert answer["contradicts"] and answer["name"] is None
        assert not self.says(has, apply="0123456789", reason="I know better")["applied"]
        assert self.digest() == before
        return str(answer["contradicts"])

    def digest(self) -> bytes:
        with Ledger.open(self.world.config.state, write=False) as ledger:
            return ledger.history.head()[1]


@contextmanager
def at_any(name: str, folder: Path) -> Iterator[Billed]:
    """A clinic that sends there, its day sent but for one visit's."""
    if name in PLATFORMS:
        with at(name, folder / "config") as (world, server):
            few(world)
            accept = lambda: world.in_servers(lambda: server.payer_accepts(str(day(world)["reference"])))  # noqa: E731
            yield Billed(world, lambda: _counted(server.summary()), accept if name in NUMBERED else lambda: None)
        return
    with running(folder / "config") as world:
        few(world)
        if name == "charge_api":
            yield Billed(world, lambda: _counted(world.books()))
        elif name == SILENT:
            with receiving(Hl7Books()) as biller:
                point_to(world, base_url=biller.address, in_flight="1", options={"profile": "sandbox_biller"})
                yield Billed(world, lambda: _counted(biller.books.totals()))
        else:
            if name == "hl7-files":
                point_to(world, folder=str(folder / "drop"), environment="sandbox", options={"profile": "full_day"})
            else:
                send_files(world, name, folder / "drop", X12 if name == "x12_837p" else {})
            billed = Billed(world, lambda: _listed(world))
            if name == "x12_837p":  # no payer answers here: a person has its number from the biller's screen
                billed.accept = lambda: billed.written("1", payer_number="ICN7")
            yield billed


def few(world: World) -> None:
    """Five visits of the day are enough here."""
    for other in sorted(world.store.shelf("Encounter").by_id)[5:]:
        world.store.hide("Encounter", other)


def _counted(summary: dict[str, Any]) -> int:
    assert summary["violations"] == []
    return int(summary["units"])


def _listed(world: World) -> int:
    (spec,) = world.config.clinics.values()

    async def listed() -> int:
        async with open_destination(world.config, spec, run_id="look") as destination:
            found = await destination.list_references(("2000-01-01", "2999-01-01"))
            assert found is not None
            return sum(units for units, _ in found.values())

    return asyncio.run(listed())


def left_in_doubt(billed: Billed, *, arrives: bool, window: str = "changes: {hold_window_minutes: '30'}") -> None:
    """What waits in the hold window leaves, or seems to; its answer is lost, and no look-up settles it."""
    world = billed.world
    text = world.clinic_file.read_text("utf-8")
    world.clinic_file.write_text(f"{text.rstrip()}\n{window}\n", "utf-8")
    world.sync()
    world.clinic_file.write_text(text, "utf-8")
    (spec,) = world.config.clinics.values()

    async def submit(submission: Any) -> Acknowledgement:
        async with open_destination(world.config, spec, run_id="lost") as destination:
            answer: Acknowledgement = await destination.submit(submission)
            return answer

    with Ledger.open(world.config.state) as ledger:
        outbox = ledger.outbox(billed.clinic, billed.platform)
        (item,) = outbox.due(now=time.time() + 3600, limit=9)
        outbox.start((item,), now=time.time())
        if arrives:
            assert asyncio.run(submit(item.submission)).disposition is Disposition.ACCEPTED
        lost = Acknowledgement(disposition=Disposition.IN_DOUBT, native_code="no-way-to-know")
        outbox.finish((Outcome(item=item, acknowledgement=lost, hold_reason="in-doubt"),), now=time.time())
    assert (day(world, billed.visit)["state"], day(world, billed.visit)["reason"]) == ("held", "in-doubt")


def all_but_one(billed: Billed) -> None:
    billed.world.store.hide("Encounter", VISIT)
    billed.world.sync()
    billed.world.store.reveal("Encounter", VISIT)
    edited(billed.world, status="finished")


def made(billed: Billed) -> list[tuple[str, str]]:
    return [(row["frequency"], row["state"]) for row in day(billed.world)["submissions"]]


@pytest.mark.parametrize("name", EVERYWHERE)
def test_an_original_that_the_biller_has(name: str, tmp_path: Path) -> None:
    with at_any(name, tmp_path) as billed:
        all_but_one(billed)
        left_in_doubt(billed, arrives=True)
        if name in SERVERS:
            assert "the biller says otherwise" in billed.refused("nothing")
        there = billed.units()
        shown = billed.says("1")
        assert shown["before"] is None and shown["follows"]["sends"] is False and shown["has"]["lines"]
        billed.written("1", biller_id="THEIRS-7")
        assert billed.units() == there and made(billed) == [("1", "accepted")]
        billed.agrees()
        with pytest.raises(ConfigError, match="nothing to settle"):
            billed.says("1")
        with pytest.raises(ConfigError, match="nothing to settle"):
            billed.says("judged")
        billed.world.sync()
        billed.accept()
        billed.world.store.edit_visit(VISIT, {"97112": 40}, bump_encounter=True)
        billed.world.sync()
        assert [frequency for frequency, _ in made(billed)] == ["1", "7"]
        if made(billed)[-1][1] == "accepted":
            assert billed.units() > there
            billed.agrees()


@pytest.mark.parametrize("name", EVERYWHERE)
def test_an_original_that_never_arrived_goes_once(name: str, tmp_path: Path) -> None:
    with at_any(name, tmp_path) as billed:
        all_but_one(billed)
        left_in_doubt(billed, arrives=False)
        if name in SERVERS:
            assert "the biller says otherwise" in billed.refused("1")
            assert "nothing of this day" in billed.refused("judged")
        there = billed.units()
        done = billed.written("nothing")
        assert done["has"] is None and done["follows"]["frequency"] == "1"
        assert billed.units() == there and made(billed) == [("1", "replaced")], "nothing is sent by it"
        for _ in range(2):
            billed.world.sync()
            assert made(billed) == [("1", "replaced"), ("1", "accepted")]
        assert billed.units() == there + day(billed.world)["units"]
        billed.agrees()


@pytest.mark.parametrize("name", EVERYWHERE)
@pytest.mark.parametrize("arrives", [True, False])
def test_a_correction_of_which_nobody_can_tell(name: str, arrives: bool, tmp_path: Path) -> None:
    with at_any(name, tmp_path) as billed:
        billed.world.sync()
        before = billed.units()
        billed.accept()
        jobs.ask(billed.world.config)
        billed.world.store.edit_visit(VISIT, {"97112": 40}, bump_encounter=True)
        left_in_doubt(billed, arrives=arrives)
        right, wrong = ("2", "1") if arrives else ("1", "2")
        if name in SERVERS:
            assert "the biller says otherwise" in billed.refused(wrong)
            assert "the biller says otherwise" in billed.refused("nothing")
        billed.written(right)
        if arrives:
            assert made(billed) == [("1", "accepted"), ("7", "accepted")] and billed.units() > before
        else:
            assert made(billed) == [("1", "accepted"), ("7", "replaced")] and billed.units() == before
        billed.agrees()
        billed.world.sync()
        assert made(billed)[-1] == ("7", "accepted") and len(made(billed)) == (2 if arrives else 3)
        assert billed.units() > before
        billed.agrees()


# ---------------------------------------------------------------- refused: what it corrects is gone there


@pytest.mark.parametrize("name", NUMBERED)
def test_a_correction_that_the_payer_turned_away_leaves_what_was_there(name: str, tmp_path: Path) -> None:
    """The ledger has the rejected correction as live; the biller has the original, and its number."""
    with at(name, tmp_path / "config") as (world, server):
        billed = Billed(world, lambda: _counted(server.summary()))
        world.sync()
        reference = str(day(world)["reference"])
        world.in_servers(lambda: server.payer_accepts(reference))
        jobs.ask(world.config)
        before, original = billed.units(), server.live_claim(reference)
        world.store.edit_visit(VISIT, {"97112": 40}, bump_encounter=True)
        world.sync()
        world.in_servers(lambda: server.payer_rejects(reference, "A7", "164"))
        original.live = True  # what was to be corrected is where it was: nothing of the correction reached the payer
        world.sync()
        (reason,) = held(world)["reasons"]
        assert reason["code"] == "RJ01" and "ptbridge settle ID" in reason["fix"]
        assert "the biller says otherwise" in billed.refused("nothing")
        billed.written("1")
        assert billed.units() == before
        billed.agrees()
        world.store.edit_visit(VISIT, {"97112": 55}, bump_encounter=True)
        world.sync()
        assert made(billed) == [("1", "accepted"), ("7", "replaced"), ("7", "accepted")]
        assert billed.units() > before
        billed.agrees()


@pytest.mark.parametrize("name", ["charge_api", *NUMBERED])
def test_a_correction_of_what_is_gone_there_goes_as_one_original(name: str, tmp_path: Path) -> None:
    """Taken back after the backup that the ledger was restored from; the refused correction says what to type."""
    with at_any(name, tmp_path) as billed:
        world = billed.world
        if name in NUMBERED:
            world.sync()
            billed.accept()
            jobs.ask(world.config)
        reference = taken_back_since_the_backup(world)
        there = billed.units()
        world.store.edit_visit(VISIT, {"97112": 40}, bump_encounter=True)
        world.sync()
        (row,) = (one for one in jobs.held(world.config) if one["id"] == reference)
        assert "ptbridge settle" in row["reasons"][0]["fix"] and billed.units() == there
        assert jobs.status(world.config)[billed.clinic]["held_by_delivery"] == 1
        (dead,) = jobs.dead_letters(world.config)
        assert dead["settle"] == f"ptbridge settle {reference}"
        assert "the biller says otherwise" in billed.refused("1")
        billed.written("nothing")
        billed.agrees()
        for _ in range(2):
            world.sync()
            assert made(billed)[-1] == ("1", "accepted") and len(made(billed)) == 3
        assert billed.units() == there + day(world)["units"]
        billed.agrees()


def test_what_the_payer_turned_away_is_not_there(tmp_path: Path) -> None:
    """Its news would make an original of the next correction, beside what the biller is said to have."""
    with at("claim_md", tmp_path / "config") as (world, server):
        few(world)
        billed = Billed(world, lambda: _counted(server.summary()))
        world.sync()
        reference = str(day(world)["reference"])
        world.in_servers(lambda: (server.payer_accepts(reference), server.payer_rejects(reference, "A7", "164")))
        world.sync()
        assert day(world)["reason"] == "RJ01"
        with pytest.raises(ConfigError, match="submission 1 was rejected before the payer had it"):
            billed.says("1")
        assert "it lists nothing of this day" in billed.refused("judged")
        there = billed.units()
        assert billed.written("nothing")["follows"]["frequency"] == "1"
        world.sync()
        assert made(billed) == [("1", "replaced"), ("1", "accepted")] and billed.units() > there


# ---------------------------------------------------------------- restored


def test_D25_a_day_held_since_a_restore_is_as_a_person_saw_it(tmp_path: Path) -> None:
    """HL7 v2 into a folder: the biller has the corrected version, and the ledger cannot say what to credit."""
    with at_any("hl7-files", tmp_path) as billed:
        world = billed.world
        with Ledger.open(world.folder / "state"):
            pass
        file = backup(world)
        world.sync()
        world.store.edit_visit(VISIT, {"97112": 40}, bump_encounter=True)
        world.sync()
        there = billed.units()
        restore(world, file)
        with pytest.raises(ConfigError, match="no held or sent treatment day"):
            billed.says("judged")
        world.sync()
        assert "`ptbridge settle ID`" in held(world)["reasons"][0]["fix"]
        done = billed.written("judged", biller_id="B-1")
        assert done["follows"]["action"].startswith("unchanged")
        assert made(billed)[-1] == ("1", "accepted")
        for _ in range(2):
            billed.agrees()
            world.sync()
        assert billed.units() == there and day(world)["state"] == "sent"
        world.store.edit_visit(VISIT, {"97112": 55}, bump_encounter=True)
        world.sync()
        assert made(billed)[-1] == ("7", "accepted") and billed.units() > there
        billed.agrees()


def test_D25_what_the_biller_had_is_settled_by_a_word_on_a_day_that_a_finding_holds(tmp_path: Path) -> None:
    """Our receipts know of a correction since the backup; the biller never loaded it, and the note is open again."""
    with at_any("hl7-files", tmp_path) as billed:
        world = billed.world
        world.sync()
        file = backup(world)
        world.store.edit_visit(VISIT, {"97112": 40}, bump_encounter=True)
        world.sync()
        restore(world, file)
        edited(world, status="in-progress")
        world.sync()
        assert day(world)["reason"] == "DC03"
        billed.written("1")
        world.sync()
        assert day(world)["reason"] == "DC03"
        (answer,) = jobs.reconcile(world.config).values()
        assert answer["agrees"], "the biller has what a person saw there"
        edited(world, status="finished")
        world.store.edit_visit(VISIT, {"97112": 55}, bump_encounter=True)
        world.sync()
        assert made(billed) == [("1", "accepted"), ("7", "accepted")]
        billed.agrees()


def test_D25_where_the_biller_cannot_be_asked_each_day_is_as_a_person_saw_it(tmp_path: Path) -> None:
    with at_any(SILENT, tmp_path) as billed:
        world = billed.world
        address = next(iter(world.config.clinics.values())).destination.base_url
        text = world.clinic_file.read_text("utf-8")
        world.clinic_file.write_text(text.replace(address, "mllp://127.0.0.1:9"), "utf-8")
        world.sync()
        file = backup(world)
        world.clinic_file.write_text(text, "utf-8")
        world.sync()
        there = billed.units()
        restore(world, file)
        world.sync()
        assert day(world)["reason"] == "restored" and billed.units() == there
        seen = [row["id"] for row in jobs.held(world.config) if "restored from a backup" in row["reasons"][0]["message"]]
        for name in seen:
            shown = jobs.biller_has(world.config, name, "1")
            assert jobs.biller_has(world.config, name, "1", apply=shown["name"], reason="on their list")["applied"]
        world.sync()
        assert billed.units() == there
        billed.agrees()


# ---------------------------------------------------------------- receipts, and what the payer said


def test_a_file_that_the_biller_never_loaded_goes_again(tmp_path: Path) -> None:
    """Our receipts list it; the person who asked the biller knows better."""
    with at_any("csv_drop", tmp_path) as billed:
        world = billed.world
        world.sync()
        before = billed.units()
        shown = billed.says("nothing")
        assert "the receipts here list" in shown["biller"] and shown["before"]["units"] > 0
        billed.written("nothing")
        (answer,) = jobs.reconcile(world.config).values()
        assert answer["agrees"] and answer["ours"]["units"] == before - shown["before"]["units"]
        world.sync()
        assert made(billed) == [("1", "replaced"), ("1", "accepted")] and billed.units() == before
        billed.agrees()


@pytest.mark.parametrize("standing", [Standing.PAID, Standing.DENIED])
def test_what_the_payer_decided_is_not_nothing(world: World, standing: Standing) -> None:
    billed = Billed(world, lambda: _counted(world.books()))
    world.sync()
    reference = str(day(world)["reference"])
    world.in_servers(lambda: world.biller.books.live.pop(reference))
    world.biller.books._sorted = None
    news = Answer(key="era-1", stage=Stage.REMITTANCE, standing=standing, reference=reference)
    with Ledger.open(world.config.state) as ledger:
        ledger.answers.record(billed.clinic, "charge_api", AnswerPage(answers=(news,)))
    assert "the payer has decided about it" in billed.refused("nothing")


# ---------------------------------------------------------------- what stands in the way


def test_a_biller_that_is_away_is_no_biller_that_has_nothing(world: World) -> None:
    billed = Billed(world, lambda: _counted(world.books()))
    all_but_one(billed)
    left_in_doubt(billed, arrives=True)
    before, text = billed.digest(), world.clinic_file.read_text("utf-8")
    world.clinic_file.write_text(text.replace(world.biller.base_url, "http://127.0.0.1:9"), "utf-8")
    with pytest.raises(PeerUnavailable):
        billed.says("nothing")
    assert billed.digest() == before


def test_D25_after_a_restore_the_biller_is_asked_first(world: World) -> None:
    world.sync()
    restore(world, backup(world))
    with pytest.raises(ConfigError, match="the biller was not asked since"):
        Billed(world, lambda: _counted(world.books())).says("nothing")


def test_what_is_on_its_way_is_nobodys_word(world: World) -> None:
    billed = Billed(world, lambda: _counted(world.books()))
    world.sync()
    world.store.edit_visit(VISIT, {"97112": 40}, bump_encounter=True)
    policy(world, '{hold_window_minutes: "30"}')
    world.sync()
    with pytest.raises(ConfigError, match="no held or sent treatment day"):
        billed.says("1")
    with Ledger.open(world.config.state) as ledger:
        ledger._connection.execute("UPDATE treatment_day SET state = 'sent'")
    with pytest.raises(ConfigError, match="something of it is on its way"):
        billed.says("1")


def test_words_that_say_nothing(world: World) -> None:
    billed = Billed(world, lambda: _counted(world.books()))
    edited(world, status="in-progress")
    world.sync()
    with pytest.raises(ConfigError, match="as far as the ledger knows too"):
        billed.says("nothing")
    with pytest.raises(ConfigError, match="cannot have submission 1"):
        billed.says("1")
    with pytest.raises(ConfigError, match=r"bills nothing \(DC03\)"):
        billed.says("judged")
    for has, more, why in (
        ("all", {}, "say `judged`, `nothing`"),
        ("nothing", {"biller_id": "B-1"}, "--biller-id names something"),
        (None, {"payer_number": "I-1"}, "--payer-number names something"),
        ("1", {"biller_id": " B"}, "without blanks"),
        ("1", {"payer_number": "I" * 81}, "up to 80"),
        (None, {"apply": "0123456789", "reason": "seen"}, "say what the biller has"),
        ("1", {"apply": "0123456789", "reason": " "}, "needs a reason"),
    ):
        with pytest.raises(ConfigError, match=why):
            billed.says(has, **more)


def test_a_word_that_is_stopped_half_way_was_never_said(world: World) -> None:
    """Killed between the state and the decision: both are one transaction."""
    billed = Billed(world, lambda: _counted(world.books()))
    all_but_one(billed)
    left_in_doubt(billed, arrives=True)
    shown, before = billed.says("1"), billed.digest()
    killed = f"""
import os
from importlib import import_module
from pathlib import Path
from ptbridge.specs.config import load_config
job = import_module("ptbridge.jobs.biller_has")
real, calls = job.write_decision, []
def write(*words):
    calls.append(1)
    if len(calls) == 2:  # the first is the rehearsal
        os._exit(9)
    return real(*words)
job.write_decision = write
job.biller_has(load_config(Path({str(world.folder)!r})), {VISIT!r}, "1", apply={shown["name"]!r}, reason="seen")
"""
    assert subprocess.run([sys.executable, "-c", killed], check=False).returncode == 9
    assert billed.digest() == before and made(billed) == [("1", "held")]
    billed.written("1")
    billed.agrees()


def test_what_was_shown_before_it_was_said_is_shown_no_longer(world: World) -> None:
    """The name stands for one word about the day as it stood; said once, it does nothing a second time."""
    billed = Billed(world, lambda: _counted(world.books()))
    all_but_one(billed)
    left_in_doubt(billed, arrives=False)
    shown = billed.says("nothing")
    billed.written("nothing")
    with pytest.raises(ConfigError, match="as far as the ledger knows too"):
        billed.says("nothing", apply=shown["name"], reason="again")
    world.sync()
    answer = billed.says("nothing", apply=shown["name"], reason="again")
    assert not answer["applied"] and "the biller says otherwise" in answer["contradicts"]


def test_what_a_person_let_pass_stays_so(world: World) -> None:
    """The clinic wants a correction confirmed, and it was: it is not asked again because its answer was lost."""
    billed = Billed(world, lambda: _counted(world.books()))
    few(world)
    world.sync()
    policy(world, "{confirm: [replacement]}")
    world.store.edit_visit(VISIT, {"97112": 40}, bump_encounter=True)
    world.sync()
    assert day(world)["reason"] == "SB05"
    jobs.confirm(world.config, VISIT, "as it should be", actor="owner")
    text = world.clinic_file.read_text("utf-8")
    world.clinic_file.write_text(text.replace("{confirm: [replacement]}", "\n  confirm: [replacement]"), "utf-8")
    left_in_doubt(billed, arrives=False, window="  hold_window_minutes: '30'")
    billed.written("1")
    assert day(world)["decisions"][-1]["codes"] == "SB05 has:1 ok:replacement"
    world.sync()
    assert made(billed) == [("1", "accepted"), ("7", "replaced"), ("7", "accepted")]
    billed.agrees()


@pytest.mark.parametrize("word", ["retry", "settle", "undo"])
def test_a_released_finding_holds_the_day_no_second_time(world: World, word: str) -> None:
    """Its answer was lost, or it was taken back for a while: what the person let pass is let pass."""
    billed = Billed(world, lambda: _counted(world.books()), visit="enc-0063")
    world.sync()
    assert day(world, billed.visit)["reason"] == "PR01"
    jobs.release(world.config, billed.visit, "agreed with the payer", actor="owner")
    if word == "undo":
        text = world.clinic_file.read_text("utf-8")
        policy(world, '{hold_window_minutes: "30"}')
        world.sync()
        world.clinic_file.write_text(text, "utf-8")
        jobs.undo(world.config, billed.visit, "wait")
        jobs.retry(world.config, name=billed.visit, reason="now it may go")
    else:
        left_in_doubt(billed, arrives=True)
        if word == "retry":
            jobs.retry(world.config, name=billed.visit, reason="look again")
        else:
            billed.written("1")
    world.sync()
    assert (day(world, billed.visit)["state"], day(world, billed.visit)["reason"]) == ("sent", None)
    billed.agrees()


def test_what_was_purged_is_nobodys_word(world: World) -> None:
    world.sync()
    with Ledger.open(world.config.state) as ledger:
        ledger._connection.execute("UPDATE treatment_day SET purged_at = '2026-11-20T00:00:00Z'")
    with pytest.raises(ConfigError, match="was purged"):
        Billed(world, lambda: 0).says("nothing")


def test_where_nothing_can_be_replaced_what_follows_has_a_name_of_its_own(
    world: World, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As after a void there: the biller may not take a name twice."""
    limited_biller.install(tmp_path / "plugin", monkeypatch)
    text = world.clinic_file.read_text("utf-8")
    limits = "  platform: limited_api\n  options: {can: void-only}\n"
    world.clinic_file.write_text(text.replace("  platform: charge_api\n", limits), "utf-8")
    billed = Billed(world, lambda: _counted(world.books()))
    few(world)
    world.sync()
    there, reference = billed.units(), str(day(world)["reference"])
    world.in_servers(lambda: world.biller.books.live.pop(reference))
    world.biller.books._sorted = None
    billed.written("nothing")
    world.sync()
    assert made(billed) == [("1", "replaced"), ("1", "accepted")] and billed.units() == there
    assert reference not in world.biller.books.live
    billed.agrees()


@pytest.mark.parametrize("name", ["csv_drop", SILENT])
def test_a_wrong_word_is_taken_back_before_anything_is_sent(name: str, tmp_path: Path) -> None:
    with at_any(name, tmp_path) as billed:
        all_but_one(billed)
        left_in_doubt(billed, arrives=True)
        there = billed.units()
        billed.written("nothing")
        assert billed.says()["choices"][0]["what"] == "the original, not there, as was said before"
        billed.written("1")
        assert [one["codes"] for one in day(billed.world)["decisions"]] == ["has:nothing", "has:1"]
        billed.world.sync()
        assert made(billed) == [("1", "accepted")] and billed.units() == there
        billed.agrees()


def test_an_answer_about_what_is_not_there_is_a_difference(tmp_path: Path) -> None:
    """The payer pays what a person has not found, and the day went again: nobody else would tell of the second charge."""
    with at_any(SILENT, tmp_path) as billed:
        world = billed.world
        world.sync()
        reference, key = str(day(world)["reference"]), day(world)["submissions"][0]["key"]
        billed.written("nothing")
        world.sync()
        assert made(billed) == [("1", "replaced"), ("1", "accepted")]
        news = Answer(key="era-1", stage=Stage.REMITTANCE, standing=Standing.PAID, submission_key=key)
        with Ledger.open(world.config.state) as ledger:
            ledger.answers.record(billed.clinic, billed.platform, AnswerPage(answers=(news,)))
        (answer,) = jobs.reconcile(world.config).values()
        (difference,) = answer["differences"]
        assert answer["agrees"] is False and difference["reference"] == reference
        assert "not there, as a person said" in difference["why"] and "ptbridge settle ID" in difference["do"]
        assert main(["reconcile", "--config", str(world.folder)]) == 9


def test_the_same_units_and_cents_are_told_apart_by_the_key(world: World) -> None:
    """A correction of the diagnosis alone: what the biller lists is the same with and without it."""
    billed = Billed(world, lambda: _counted(world.books()))
    few(world)
    world.sync()
    edited_diagnosis(world)
    left_in_doubt(billed, arrives=True)
    assert "of submission 2 it says that it has it" in billed.refused("1")
    billed.written("2")
    billed.agrees()


def edited_diagnosis(world: World) -> None:
    def another(condition: dict[str, Any]) -> None:
        condition["code"]["coding"][0]["code"] = "M54.2" if condition["code"]["coding"][0]["code"] != "M54.2" else "M25.511"

    encounter = world.store.resource("Encounter", VISIT)
    (first, *_) = [one["condition"]["reference"].partition("/")[2] for one in encounter["diagnosis"]]
    world.store.edit("Condition", first, another)
    edited(world, status="finished")


def test_what_was_excluded_stays_so_when_nothing_is_there(world: World) -> None:
    """And a finding that was let pass stays so: a word on what the biller has takes nothing back."""
    billed = Billed(world, lambda: _counted(world.books()))
    world.sync()
    reference = str(day(world)["reference"])
    world.in_servers(lambda: world.biller.books.live.pop(reference))
    world.biller.books._sorted = None
    jobs.exclude(world.config, VISIT, "never", actor="owner")
    billed.written("nothing")
    world.sync()
    assert day(world)["state"] == "excluded" and len(made(billed)) == 1
    billed.agrees()


# ---------------------------------------------------------------- on the screen


def test_settle_on_the_screen(world: World, capsys: pytest.CaptureFixture[str]) -> None:
    billed = Billed(world, lambda: _counted(world.books()))
    all_but_one(billed)
    left_in_doubt(billed, arrives=True)
    words = ["settle", VISIT, "--config", str(world.folder)]
    assert main(words) == 0
    said = capsys.readouterr().out
    assert "--biller-has 1  the original, given up by delivery" in said and "--biller-has nothing" in said
    assert "held: in-doubt" in said and "live   nothing" in said and "biller it lists" in said
    main(["status", "--config", str(world.folder)])
    assert "1 treatment day held by delivery: ptbridge held; ptbridge settle ID" in capsys.readouterr().out
    assert main([*words, "--biller-has", "nothing"]) == 9
    assert "Nothing was written: the biller says otherwise" in capsys.readouterr().out
    assert main([*words, "--biller-has", "1", "--json"]) == 0
    name = json.loads(capsys.readouterr().out)["name"]
    assert main([*words, "--biller-has", "1"]) == 0
    said = capsys.readouterr().out
    assert f"--apply {name} --reason TEXT" in said and "next   the next sync: unchanged" in said
    assert main([*words, "--biller-has", "1", "--apply", "0000000000", "--reason", "seen"]) == 3
    assert "no longer what was shown as 0000000000" in capsys.readouterr().out
    assert main([*words, "--biller-has", "1", "--apply", name, "--reason", "seen there", "--by", "owner"]) == 0
    assert "Written, and nothing was sent" in capsys.readouterr().out
    main(["explain", VISIT, "--config", str(world.folder)])
    said = capsys.readouterr().out
    assert "seen there" in said and "(has:1)" in said and "seen-by-person" in said
    world.agrees()
    main(["held", "--dead", "--config", str(world.folder)])
    assert "Delivery gave nothing up" in capsys.readouterr().out
