"""From the visits that should bill to the claims that were made, counted from both sides, with faults and with sabotage."""

from __future__ import annotations

import json
from datetime import date, datetime
from typing import Any

import pytest
from ptbridge_sandbox import demo
from ptbridge_sandbox.day import FATES, PLANTED

from ptbridge import jobs
from ptbridge.cli import main
from ptbridge.jobs.columns import bucket
from ptbridge.ledger import Ledger
from tests.world import DAY, World

PARTS = ("days", "visits", "units", "amount_cents")


def reconciled(world: World, **options: Any) -> dict[str, Any]:
    """The answer, after every column's remainder was checked against the gaps that explain it."""
    (answer,) = jobs.reconcile(world.config, **options).values()
    names = [column["name"] for column in answer["columns"]]
    for before, after in zip(answer["columns"], answer["columns"][1:], strict=False):
        gaps = [gap for gap in answer["gaps"] if gap["from"] == before["name"]]
        assert all(gap["to"] == after["name"] for gap in gaps)
        for part in PARTS:
            key = "visits_count" if part == "visits" else part
            assert before[part] - after[part] == sum(gap[key] for gap in gaps), (before["name"], part)
    assert all(gap["reason"] and gap["do"] for gap in answer["gaps"])
    assert {gap["owner"] for gap in answer["gaps"]} <= {"clinic", "biller", "integrator", "ptbridge"}
    assert {gap["from"] for gap in answer["gaps"]} <= set(names)
    assert sum(row["amount_cents"] for row in answer["aged"].values()) == sum(gap["amount_cents"] for gap in answer["gaps"])
    return answer


def column(answer: dict[str, Any], name: str) -> dict[str, int]:
    (found,) = (one for one in answer["columns"] if one["name"] == name)
    return found


def gaps(answer: dict[str, Any], before: str) -> list[dict[str, Any]]:
    return [gap for gap in answer["gaps"] if gap["from"] == before]


def every_visit(world: World) -> int:
    with Ledger.open(world.folder / "state", write=False) as ledger:
        visits, _ = ledger.accounts.fates("riverside-pt", 0, everything=True)
    return sum(visits.values())


def test_every_visit_stands_in_a_column_or_should_not_bill_and_each_gap_has_a_reason(world: World) -> None:
    world.sync()
    world.sync()
    answer = reconciled(world)
    books = world.books()
    names = ["scheduled", "should bill", "signed", "charged", "sent", "accepted", "claim"]
    assert [one["name"] for one in answer["columns"]] == names
    assert column(answer, "accepted")["units"] == books["units"]
    assert column(answer, "accepted")["amount_cents"] == column(answer, "claim")["amount_cents"] == books["amount_cents"]
    should_not = sum(answer["should_not_bill"].values())
    assert column(answer, "should bill")["visits"] + should_not == every_visit(world) == len(FATES)
    held = sum(1 for fate in FATES.values() if fate == "held")
    assert column(answer, "should bill")["visits"] - column(answer, "charged")["visits"] == held
    unsigned = [gap for gap in gaps(answer, "should bill") if PLANTED["unsigned-note"] in gap["visits"]]
    today = datetime.now(world.config.time_zone(world.config.clinics[demo.CLINIC])).date()
    assert unsigned[0]["codes"] == ("DC01",) and unsigned[0]["owner"] == "clinic"
    assert unsigned[0]["age_days"] == (today - DAY).days and unsigned[0]["age"] == bucket("2026-11-19", today)
    assert answer["agrees"] and answer["theirs"]["amount_cents"] == books["amount_cents"]


def test_the_age_of_a_gap_is_counted_from_its_service_date() -> None:
    today = date(2026, 11, 20)
    days = ("2026-11-21", "2026-11-18", "2026-11-17", "2026-11-13", "2026-11-12", "2026-10-21", "2026-10-20")
    assert [bucket(day, today) for day in days] == ["0-2", "0-2", "3-7", "3-7", "8-30", "8-30", ">30"]
    assert bucket(None, today) == "no date"


@pytest.mark.parametrize("fault", ["lose_answer", "error_after_commit", "html_answer", "wrong_reference", "answer_twice"])
@pytest.mark.usefixtures("retried_at_once")
def test_right_to_the_cent_while_answers_are_lost_and_after(world: World, fault: str) -> None:
    setattr(world.biller.faults, fault, 0.4)
    world.sync()
    setattr(world.biller.faults, fault, 0.0)
    reconciled(world)
    jobs.retry(world.config)
    jobs.retry(world.config)
    answer = reconciled(world)
    books = world.books()
    for name in ("sent", "accepted", "claim"):
        assert (column(answer, name)["units"], column(answer, name)["amount_cents"]) == (books["units"], books["amount_cents"])
    assert answer["agrees"] and books["charges"] == 56


def test_a_biller_that_is_away_leaves_a_gap_from_charged_to_sent(world: World) -> None:
    text = world.clinic_file.read_text()
    world.clinic_file.write_text(text.replace(world.biller.base_url, "http://127.0.0.1:9"))
    world.sync()
    world.clinic_file.write_text(text)
    answer = reconciled(world)
    assert column(answer, "charged")["days"] == 56 and column(answer, "sent")["days"] == 0
    assert {gap["codes"] for gap in gaps(answer, "charged")} == {("queued",)}


def test_a_removed_a_changed_and_a_foreign_charge_are_found_in_one_run(world: World) -> None:
    world.sync()
    live = sorted(world.biller.books.live)
    removed, changed = live[0], live[1]
    del world.biller.books.live[removed]
    world.biller.books.live[changed][0].units += 1
    foreign = world.biller.books._made("1", "someone-elses", _document("2026-10-25"), "k")
    world.biller.books.live["someone-elses"] = [foreign]
    world.biller.books._sorted = None
    answer = reconciled(world)
    why = {row["reference"]: row["why"].partition(":")[0] for row in answer["differences"]}
    assert why == {removed: "missing at the biller", changed: "units or amount differ", "someone-elses": "only at the biller"}
    assert all(row["owner"] == "biller" and row["do"] for row in answer["differences"])
    assert answer["agrees"] is False


def _document(service_date: str) -> dict[str, Any]:
    return {"service_date": service_date, "totals": {"lines": 1, "units": 1, "amount_cents": 100}}


def test_a_changed_note_that_is_held_shows_as_more_at_the_biller(world: World) -> None:
    world.sync()
    before = column(reconciled(world), "accepted")["amount_cents"]
    world.store.edit_visit("enc-0002", {"97112": 40}, bump_encounter=True)
    for entry in world.store.shelf("DocumentReference").by_updated:
        note = world.store.resource("DocumentReference", entry.id)
        if note["context"]["encounter"][0]["reference"].endswith("/enc-0002"):
            world.store.edit("DocumentReference", note["id"], lambda resource: resource.update(docStatus="preliminary"))
            break
    world.sync()
    answer = reconciled(world)
    assert column(answer, "accepted")["amount_cents"] == before
    (gap,) = gaps(answer, "charged")
    assert gap["amount_cents"] < 0 and gap["reason"].startswith("the biller keeps the earlier version")


def test_a_rejected_claim_is_a_gap_that_the_clinic_corrects_with_its_codes(world: World) -> None:
    world.sync()
    world.sync()
    reference = min(world.biller.books.live)
    world.biller.news.adjudicate(reject=lambda document: document["reference"] == reference)
    world.sync()
    answer = reconciled(world)
    (gap,) = gaps(answer, "accepted")
    assert (gap["reference"], gap["owner"], gap["codes"]) == (reference, "clinic", ("RJ01",))
    assert "277CA A7:562:85" in gap["reason"]


def test_an_appointment_that_nobody_documented_is_found(world: World) -> None:
    world.sync()
    assert gaps(reconciled(world), "scheduled") == []
    world.store.add(_appointment("apt-lost", "pat-0001", "2026-11-18T15:00:00Z", "fulfilled"))
    world.store.add(_appointment("apt-missed", "pat-0001", "2026-11-17T15:00:00Z", "noshow"))
    answer = reconciled(world)
    (gap,) = gaps(answer, "scheduled")
    assert gap["visits"] == ("apt-lost",) and gap["service_date"] == "2026-11-18" and gap["owner"] == "clinic"
    assert next(one["name"] for one in reconciled(world, schedule=False)["columns"]) == "should bill"


def _appointment(name: str, patient: str, start: str, status: str) -> dict[str, Any]:
    participants = [{"actor": {"reference": f"Patient/{patient}"}, "status": "accepted"}]
    return {
        "resourceType": "Appointment",
        "id": name,
        "status": status,
        "start": start,
        "end": start.replace(":00:00", ":45:00"),
        "participant": participants,
    }


@pytest.mark.usefixtures("retried_at_once")
def test_a_biller_that_is_away_hides_neither_the_columns_nor_the_other_clinics(world: World, capsys: Any) -> None:
    """A second clinic, first by its name, whose biller is dead: the first clinic's answers and difference are still told."""
    world.sync()
    text = world.clinic_file.read_text("utf-8").replace(world.biller.base_url, "http://127.0.0.1:9")
    other = text.replace("clinic: riverside-pt", "clinic: another-pt", 1)
    (world.folder / "clinics" / "another-pt.yaml").write_text(other, "utf-8")
    folder = ["--config", str(world.folder)]
    assert main(["answers", *folder, "--json"]) == 5
    told = json.loads(capsys.readouterr().out)
    assert "no connection" in told["another-pt"]["error"] and told["riverside-pt"]["new"]
    assert main(["reconcile", "--no-schedule", *folder, "--json"]) == 5
    found = json.loads(capsys.readouterr().out)
    assert found["riverside-pt"]["agrees"] and found["another-pt"]["agrees"] is None
    assert found["another-pt"]["columns"] and "the biller could not be asked" in found["another-pt"]["errors"][0]
    world.in_servers(lambda: world.biller.books.live.update({min(world.biller.books.live): []}))
    assert main(["reconcile", "--no-schedule", *folder]) == 9, "a difference is told before an outage"
    said = capsys.readouterr().out
    assert "error: the biller could not be asked" in said and "missing at the biller" in said
