"""A cursor belongs to its server: a changed `base_url` of the EMR or the biller is read from the beginning."""

from __future__ import annotations

from typing import Any

import pytest

from ptbridge import cli, jobs
from ptbridge.jobs.addresses import address_of
from ptbridge.ledger import Ledger
from tests.contract.test_answers import codes_that_hold, counts, day
from tests.contract.test_changes import VISIT, edit_clinic
from tests.world import World

NOTE = "has another address than when it was read last"


def under_its_other_name(address: str) -> str:
    """The same server of this machine, by another address."""
    return address.replace("127.0.0.1", "localhost")


def doctors_words(world: World, capsys: pytest.CaptureFixture[str]) -> str:
    capsys.readouterr()
    cli.main(["doctor", "--offline", "--config", str(world.folder)])
    return capsys.readouterr().out


def place(world: World) -> dict[str, str]:
    with Ledger.open(world.folder / "state", write=False) as ledger:
        return ledger.answers.cursor("riverside-pt", "charge_api")


def test_the_same_biller_under_another_address_says_it_all_again_and_nothing_changes(
    world: World, capsys: pytest.CaptureFixture[str]
) -> None:
    world.sync()
    world.biller.news.adjudicate()
    world.sync()
    before, stood, events = counts(world), place(world), world.books()["events"]
    assert NOTE not in doctors_words(world, capsys) and before == {("remittance", "paid"): 56}
    edit_clinic(world, world.biller.base_url, under_its_other_name(world.biller.base_url))
    told = doctors_words(world, capsys)
    assert f"  warn the biller {NOTE}" in told and "http://localhost:" in told
    (asked,) = jobs.ask(world.config).values()
    assert len(asked["notes"]) == 1 and asked["known_before"] == len(world.biller.news.feed) and asked["new"] == {}
    assert (counts(world), place(world), world.books()["events"]) == (before, stood, events)
    report = world.sync()
    assert report.notes == [] and report.answers == {} and NOTE not in doctors_words(world, capsys)
    world.agrees()


def test_the_first_news_of_a_biller_that_moved_is_not_missed(world: World, capsys: pytest.CaptureFixture[str]) -> None:
    world.sync()
    world.biller.news.adjudicate()
    world.sync()
    charge = world.biller.books.latest[day(world, VISIT)["reference"]]
    long_feed = list(world.biller.news.feed)

    def starts_over() -> None:
        """A server of its own, whose feed has one place so far."""
        world.biller.news.feed.clear()
        world.biller.news.say(charge, "remittance", "denied", codes=[{"system": "CARC", "code": "CO-50"}])
        world.biller.news.feed[0]["id"] = "M1"

    world.in_servers(starts_over)
    assert int(place(world)["after"]) == len(long_feed) > 1
    edit_clinic(world, world.biller.base_url, under_its_other_name(world.biller.base_url))
    capsys.readouterr()
    assert cli.main(["sync", "--config", str(world.folder)]) == 3
    assert f"note: the biller {NOTE}" in capsys.readouterr().out
    assert codes_that_hold(world, VISIT) == {"RJ02"} and place(world) == {"after": "1"}


def test_an_address_that_nobody_answers_at_forgets_nothing(world: World) -> None:
    world.sync()
    world.sync()
    stood = place(world)
    edit_clinic(world, world.biller.base_url, "http://127.0.0.1:9")
    report = world.sync()
    assert report.errors and NOTE in report.notes[0] and place(world) == stood
    edit_clinic(world, "http://127.0.0.1:9", world.biller.base_url + "/")
    report = world.sync()
    assert not report.errors and not report.notes, "back where it was, a slash more or less"


def test_an_emr_under_another_address_is_read_from_the_beginning_and_bills_nothing_twice(
    world: World, capsys: pytest.CaptureFixture[str]
) -> None:
    world.store.hide("Encounter", VISIT)
    first = world.sync()
    world.store.reveal("Encounter", VISIT)  # with the last update that it always had, long before the cursor
    with Ledger.open(world.folder / "state") as ledger:
        ledger._connection.execute("UPDATE cursor SET value = '2099-01-01T00:00:00Z' WHERE name = 'Encounter'")
    assert world.sync().pulled_visits == 0
    before = world.books()
    edit_clinic(world, world.emr.base_url, under_its_other_name(world.emr.base_url))
    assert f"  warn the EMR {NOTE}" in doctors_words(world, capsys)
    report = world.sync()
    assert report.pulled_visits == first.pulled_visits + 1 and report.submissions_sent == 1
    assert len(report.notes) == 1 and f"the EMR {NOTE}" in report.notes[0]
    assert world.books()["charges"] == before["charges"] + 1
    page = world.folder / "state" / "reports" / f"riverside-pt-{report.run_id:06d}.html"
    assert NOTE in page.read_text("utf-8")
    assert world.sync().notes == []
    world.agrees()


def test_another_emr_at_the_new_address_is_not_read_and_nothing_of_the_old_one_is_taken_back(world: World) -> None:
    """Its visits have other ids: they would be billed beside the old ones, and these be voided as deleted."""
    world.store.hide("Encounter", VISIT)
    world.sync()
    before = world.books()
    encounters = [visit for visit in world.store.shelf("Encounter").by_id if visit != VISIT]
    for visit in encounters:
        world.store.hide("Encounter", visit)
    world.store.reveal("Encounter", VISIT)
    edit_clinic(world, world.emr.base_url, under_its_other_name(world.emr.base_url))
    report = world.sync()
    assert report.exit_code == 5 and report.submissions_sent == 0
    assert "knows none of 20 visits" in report.errors[0] and "http://localhost:" in report.errors[0]
    world.agrees()
    assert world.books()["events"] == before["events"]
    for visit in encounters[:1]:
        world.store.reveal("Encounter", visit)
    for visit in encounters[1:]:
        world.store.delete("Encounter", visit)
    assert world.sync().errors == [], "what a server says it deleted it has known"


@pytest.mark.parametrize(
    ("base_url", "address"),
    [
        ("https://EMR.example:8443/Fhir/", "https://emr.example:8443/Fhir"),
        ("HTTP://localhost", "http://localhost"),
        ("sftp://files.example/out", ""),
        ("mllp://interface.example:2575", ""),
        ("", ""),
    ],
)
def test_only_a_server_has_an_address_that_counts(base_url: str, address: str) -> Any:
    assert address_of(base_url) == address
