"""Whatever an EMR sends, it ends somewhere with a reason, the counts add up, and nothing is invented."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from ptbridge_sandbox.faults import Fault

from ptbridge import jobs
from tests.world import World

Change = Callable[[dict[str, Any]], object]
MINUTES = "https://sandbox.ptbridge.dev/fhir/minutes"
UNITS = "https://sandbox.ptbridge.dev/fhir/units"


def extension(resource: dict[str, Any], url: str) -> dict[str, Any]:
    (found,) = (one for one in resource["extension"] if one["url"] == url)
    return found


def coverage_of(world: World, encounter: str) -> str:
    patient = world.store.resource("Encounter", encounter)["subject"]["reference"].partition("/")[2]
    for entry in world.store.shelf("Coverage").by_updated:
        if world.store.resource("Coverage", entry.id)["beneficiary"]["reference"].endswith(f"/{patient}"):
            return entry.id
    raise AssertionError(f"{encounter} has no coverage")


def patient_of(world: World, encounter: str) -> str:
    return str(world.store.resource("Encounter", encounter)["subject"]["reference"].partition("/")[2])


def second_primary(world: World) -> None:
    first = world.store.resource("Coverage", coverage_of(world, "enc-0002"))
    world.store.add({**first, "id": "second-primary", "order": 1})


BROKEN: dict[str, tuple[str, Callable[[World], object]]] = {
    "a year-only date": (
        "enc-0002",
        lambda world: world.store.edit("Encounter", "enc-0002", lambda one: one.update(period={"start": "2026"})),
    ),
    "no date at all": ("enc-0002", lambda world: world.store.edit("Encounter", "enc-0002", lambda one: one.pop("period"))),
    "a negative quantity": (
        "enc-0002",
        lambda world: world.store.edit(
            "Procedure", "enc-0002-p1", lambda one: extension(one, MINUTES)["valueQuantity"].update(value=-24)
        ),
    ),
    "a textual quantity": (
        "enc-0002",
        lambda world: world.store.edit(
            "Procedure", "enc-0002-p1", lambda one: extension(one, MINUTES)["valueQuantity"].update(value="about half an hour")
        ),
    ),
    "textual units": (
        "enc-0002",
        lambda world: world.store.edit(
            "Procedure", "enc-0002-p1", lambda one: extension(one, UNITS).update(valueInteger="two")
        ),
    ),
    "two coverages both primary": ("enc-0002", second_primary),
    "a patient merged away": (
        "enc-0002",
        lambda world: world.store.edit(
            "Patient",
            patient_of(world, "enc-0002"),
            lambda one: one.update(link=[{"other": {"reference": "Patient/survivor"}, "type": "replaced-by"}], active=False),
        ),
    ),
    "a patient reference that leads nowhere": (
        "enc-0002",
        lambda world: world.store.edit("Encounter", "enc-0002", lambda one: one.update(subject={"reference": "Patient/none"})),
    ),
    "a therapist reference that leads nowhere": (
        "enc-0002",
        lambda world: world.store.edit(
            "Encounter",
            "enc-0002",
            lambda one: one["participant"][0].update(individual={"reference": "Practitioner/nobody"}),
        ),
    ),
    "a code that is no code": (
        "enc-0002",
        lambda world: world.store.edit("Procedure", "enc-0002-p1", lambda one: one["code"]["coding"][0].update(code="97710")),
    ),
    "no code at all": ("enc-0002", lambda world: world.store.edit("Procedure", "enc-0002-p1", lambda one: one.pop("code"))),
    "a diagnosis that is none": (
        "enc-0002",
        lambda world: [
            world.store.edit("Condition", entry.id, lambda one: one["code"]["coding"][0].update(code="M5450X9Z"))
            for entry in world.store.shelf("Condition").by_encounter["enc-0002"]
        ],
    ),
}


@pytest.mark.parametrize("problem", BROKEN)
def test_it_is_held_with_a_reason_and_a_fix_and_bills_nothing(world: World, problem: str) -> None:
    visit, damage = BROKEN[problem]
    damage(world)
    report = world.sync()
    assert report.errors == []
    assert sum(report.visits.values()) == report.pulled_visits and sum(report.lines.values()) == report.pulled_lines
    rows = [row for row in jobs.held(world.config) if visit in row["visits"]]
    assert rows, problem
    for reason in rows[0]["reasons"]:
        assert reason["message"] and reason["fix"] and len(reason["code"]) == 4
    assert world.books()["charges"] == 55
    world.agrees()


def test_a_resource_of_the_wrong_type_is_quarantined_and_the_rest_goes_on(world: World) -> None:
    body = b'{"resourceType":"Observation","id":"enc-9999","status":"final"}'
    world.store.add_as_is(body, {"resourceType": "Encounter", "id": "enc-9999", "status": "final"})
    report = world.sync()
    assert report.errors == [] and report.visits["sent"] == 57
    assert sum(report.visits.values()) == report.pulled_visits


@pytest.mark.parametrize(
    "fault", [Fault.TRUNCATED, Fault.HTML, Fault.SERVER_ERROR, Fault.BAD_REQUEST_OUTAGE, Fault.OUTCOME_WHOLE]
)
def test_a_broken_answer_is_asked_for_again_and_nothing_is_missed(world: World, fault: Fault) -> None:
    world.emr.faults.plan(fault, 2)
    report = world.sync()
    assert world.emr.faults.happened[fault] == 2
    assert report.visits["sent"] == 57 and report.errors == []
    world.agrees()


def test_csv_drop_takes_the_day_into_one_file_whose_totals_agree(world: World, tmp_path: Path) -> None:
    text = world.clinic_file.read_text()
    start, end = text.index("destination:"), text.index("# Which policy")
    drop = f"destination:\n  platform: csv_drop\n  environment: sandbox\n  folder: {tmp_path / 'drop'}\n\n"
    world.clinic_file.write_text(text[:start] + drop + text[end:])
    (tmp_path / "drop").mkdir()
    report = world.sync()
    assert report.submissions_sent == 56 and report.units_sent == 141
    (file,) = (tmp_path / "drop").glob("*.csv")
    assert len(file.read_bytes().splitlines()) == 107 + 1
    world.store.edit_visit("enc-0002", {"97112": 40})
    assert world.sync().submissions_sent == 1
    assert len(list((tmp_path / "drop").glob("*.csv"))) == 2
    (answer,) = jobs.reconcile(world.config).values()
    assert answer["agrees"]
