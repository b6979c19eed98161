"""The main job with a biller that takes HL7 v2: EMR, ledger and MLLP receiver are real, and both sides count for themselves."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import yaml
from ptbridge_sandbox.hl7_biller import Hl7Biller
from ptbridge_sandbox.hl7_books import Hl7Books

from ptbridge import jobs
from ptbridge.cli import checks
from tests.unit.destinations.profiles import SHIPPED
from tests.world import World


@contextmanager
def receiving(books: Hl7Books) -> Iterator[Hl7Biller]:
    """A receiver in a thread of its own."""
    loop = asyncio.new_event_loop()
    biller = Hl7Biller(books=books)
    thread = threading.Thread(target=loop.run_forever, daemon=True)
    thread.start()

    def there(coroutine: Any) -> Any:
        return asyncio.run_coroutine_threadsafe(coroutine, loop).result(timeout=30)

    there(biller.__aenter__())
    try:
        yield biller
    finally:
        there(biller.__aexit__())
        loop.call_soon_threadsafe(loop.stop)
        thread.join()
        loop.run_until_complete(_what_is_left())
        loop.close()


async def _what_is_left() -> None:
    """Whatever the loop still does ends: a connection accepted a moment before is served, and closed."""
    for _ in range(3):
        if others := asyncio.all_tasks() - {asyncio.current_task()}:
            await asyncio.wait(others, timeout=10)
        await asyncio.sleep(0.01)


def point_to(world: World, **destination: Any) -> None:
    """Change where the clinic's charges go."""
    clinic = yaml.safe_load(world.clinic_file.read_text("utf-8"))
    clinic["destination"] = {"platform": "hl7v2_dft", **destination}
    world.clinic_file.write_text(yaml.safe_dump(clinic), "utf-8")


def test_every_day_that_is_sent_is_in_the_receivers_books(world: World) -> None:
    with receiving(Hl7Books()) as biller:
        point_to(world, base_url=biller.address, in_flight="1", options={"profile": "sandbox_biller"})
        report = world.sync()
        totals = biller.books.totals()
        assert totals["violations"] == [] and totals["lines"] > 10
        assert (totals["units"], totals["amount_cents"]) == (report.units_sent, report.amount_cents_sent)
        assert len(biller.received) == totals["events"]["messages"] and report.visits["queued"] == 0
        world.sync()
        assert biller.books.totals() == totals, "a second run sends nothing"


def test_a_visit_that_is_taken_back_is_credited(world: World) -> None:
    with receiving(Hl7Books()) as biller:
        point_to(world, base_url=biller.address, in_flight="1", options={"profile": "sandbox_biller"})
        world.sync()
        before = biller.books.totals()
        (day,) = jobs.explain(world.config, "enc-0003")["days"]
        world.store.edit("Encounter", "enc-0003", lambda encounter: encounter.update(status="entered-in-error"))
        world.sync()
        after = biller.books.totals()
        assert after["violations"] == []
        assert before["units"] - after["units"] == day["units"] > 0
        assert before["amount_cents"] - after["amount_cents"] == day["amount_cents"]
        assert after["events"]["credited"] == len(day["lines"])


def test_a_day_that_changed_is_sent_whole_again_where_the_newest_message_stands(world: World) -> None:
    with receiving(Hl7Books(by_visit=True)) as biller:
        point_to(world, base_url=biller.address, in_flight="1", options={"profile": "full_day"})
        world.sync()
        before = biller.books.totals()
        world.store.edit_visit("enc-0002", {"97112": 40}, bump_encounter=False)
        world.sync()
        after = biller.books.totals()
        assert after["violations"] == [] and after["lines"] == before["lines"] and after["units"] > before["units"]


def test_a_day_that_changed_is_credited_and_charged_again_in_one_message(world: World) -> None:
    with receiving(Hl7Books()) as biller:
        point_to(world, base_url=biller.address, in_flight="1", options={"profile": "sandbox_biller"})
        world.sync()
        before, count = biller.books.totals(), len(biller.received)
        world.store.edit_visit("enc-0002", {"97112": 40}, bump_encounter=False)
        world.sync()
        after = biller.books.totals()
        assert after["violations"] == [] and after["lines"] == before["lines"] and after["units"] > before["units"]
        assert len(biller.received) == count + 1
        world.store.edit("Encounter", "enc-0002", lambda encounter: encounter.update(status="entered-in-error"))
        world.sync()
        assert biller.books.violations == [] and biller.books.totals()["lines"] < before["lines"]


def test_files_and_a_profile_of_the_config_folder(world: World) -> None:
    profile = (SHIPPED / "full_day.yaml").read_text("utf-8").replace("interface: full_day", "interface: ours")
    (world.folder / "interfaces").mkdir()
    (world.folder / "interfaces" / "ours.yaml").write_text(profile, "utf-8")
    point_to(world, folder="outbox", environment="sandbox", options={"profile": "interfaces/ours.yaml"})
    report = world.sync()
    (file,) = (world.folder / "outbox").glob("*.hl7")
    books = Hl7Books(by_visit=True)
    for message in file.read_bytes().decode().split("MSH|")[1:]:
        assert books.book(f"MSH|{message}") == ""
    totals = books.totals()
    assert totals["violations"] == []
    assert (totals["units"], totals["amount_cents"]) == (report.units_sent, report.amount_cents_sent) != (0, 0)


def test_doctor_connects_to_the_receiver_and_says_what_is_agreed(world: World) -> None:
    with receiving(Hl7Books()) as biller:
        point_to(world, base_url=biller.address, in_flight="1", options={"profile": "sandbox_biller"})
        told = [check.what for check in checks.all_checks(world.folder, None, offline=False)]
        assert any("takes connections" in what for what in told) and any("sandbox_biller" in what for what in told)
        assert biller.received == []  # not even an empty message
    told = [check.what for check in checks.all_checks(world.folder, None, offline=False) if check.status == "fail"]
    assert any("no connection" in what for what in told)
