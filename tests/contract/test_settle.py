"""What a person has seen at the biller, said with `ptbridge settle`: over every destination, with its real other side.

A charge or a correction is left in doubt for good, once with the biller having it and once without. The word is taken where
nothing speaks against it, refused where the platform says otherwise, and sends nothing. What follows is no second original.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from ptbridge_sandbox.hl7_books import Hl7Books

from ptbridge import jobs
from ptbridge.errors import ConfigError
from ptbridge.jobs.peers import open_destination
from ptbridge.ledger import Ledger
from ptbridge.model import Acknowledgement, Disposition
from ptbridge.plan import key_of
from ptbridge.ports import Outcome
from tests.contract.test_changes import policy
from tests.contract.test_hl7_main_job import point_to, receiving
from tests.contract.test_restored_state import edited
from tests.platforms import NUMBERED, PLATFORMS, VISIT, at, day, send_files
from tests.rigs.x12_837p import OPTIONS as X12
from tests.world import World, running

SERVERS = ["charge_api", *PLATFORMS]
FILES = ["csv_drop", "x12_837p", "hl7-files"]
SILENT = "hl7-mllp"
EVERYWHERE = [*SERVERS, *FILES, SILENT]


@dataclass
class Billed:
    """A clinic and its biller. `units` are what the biller counts for itself; for files, what was dropped last."""

    world: World
    units: Callable[[], int]
    accept: Callable[[], Any] = lambda: None  # the payer takes what is live, and gives it a number

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
        return jobs.biller_has(self.world.config, VISIT, has, actor="owner", **more)

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
            accept = lambda: world.in_servers(lambda: server.payer_accepts(str(day(world)["reference"])))  # noqa: E731
            yield Billed(world, lambda: _counted(server.summary()), accept if name in NUMBERED else lambda: None)
        return
    with running(folder / "config") as world:
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
            billed = Billed(world, lambda: _receipts(world))
            if name == "x12_837p":  # no payer answers here: a person has its number from the biller's screen
                billed.accept = lambda: billed.written("1", payer_number="ICN7")
            yield billed


def _counted(summary: dict[str, Any]) -> int:
    assert summary["violations"] == []
    return int(summary["units"])


def _receipts(world: World) -> int:
    (spec,) = world.config.clinics.values()

    async def listed() -> int:
        async with open_destination(world.config, spec, run_id="look") as destination:
            found = await destination.list_references(("2000-01-01", "2999-01-01"))
            assert found is not None
            return sum(units for units, _ in found.values())

    return asyncio.run(listed())


def left_in_doubt(billed: Billed, *, arrives: bool) -> None:
    """What waits in the hold window leaves, or seems to; its answer is lost, and no look-up settles it."""
    world = billed.world
    text = world.clinic_file.read_text("utf-8")
    policy(world, '{hold_window_minutes: "30"}')
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
    assert (day(world)["state"], day(world)["reason"]) == ("held", "in-doubt")


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
