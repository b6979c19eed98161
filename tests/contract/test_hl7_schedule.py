"""What an HL7 v2 sender booked (SIU), from the inbox over a sync to `ptbridge reconcile`: the visits that should bill."""

from __future__ import annotations

from datetime import date, datetime, timedelta
from typing import Any

import pytest
from ptbridge_sandbox.hl7_day import hl7_day

from ptbridge import cli, jobs
from tests.hl7_clinic import CLINIC, Hl7World, a_visit, adt, charge, dft, header, merge, patient, segments, visit
from tests.world import DAY as THE_DAY

DAY, EARLIER = "2026-11-18", "2026-11-16"
EXCLUDED = "nobody came, and the EMR cannot be corrected"


def siu(
    trigger: str,
    appointment: str,
    day: str = DAY,
    *,
    number: str = "",
    mrn: str = "M100",
    at: str = "20261101080000-0600",
    status: str = "",
    ids: str = "",
) -> bytes:
    """A booking message; without a `number` it has no PV1. `ids` are SCH-1 to SCH-3 where they are not just the appointment."""
    slot = f"SCH|{ids or f'{appointment}|{appointment}|'}||||||||^^^{day.replace('-', '')}150000" + "|" * 14 + status
    kind = f"SIU^{trigger}^SIU_S12"
    control = f"{trigger}{appointment}{day}{at}"
    return segments(
        header(kind, control, at), slot, patient(mrn), *([visit(number).rpartition("VN")[0] + "VN"] if number else [])
    )


def reconciled(clinic: Hl7World, **options: Any) -> dict[str, Any]:
    """The answer, after the first column's remainder was checked against its gaps."""
    answer: dict[str, Any] = jobs.reconcile(clinic.config, CLINIC, **options)[CLINIC]
    first, second = answer["columns"][:2]
    if first["name"] == "scheduled":
        gaps = [gap for gap in answer["gaps"] if gap["from"] == "scheduled"]
        assert first["visits"] - second["visits"] == sum(gap["visits_count"] for gap in gaps)
    return answer


def gaps(clinic: Hl7World, before: str = "scheduled") -> list[tuple[str, ...]]:
    found = [gap for gap in reconciled(clinic)["gaps"] if gap["from"] == before]
    named = [[name for name in gap["visits"] if not name.startswith("appointment-")] for gap in found]
    return [(*names, gap["service_date"]) for names, gap in zip(named, found, strict=True)]


def test_a_booking_that_nobody_charged_is_a_gap_of_the_schedule_before_and_after_a_sync(clinic: Hl7World) -> None:
    clinic.receive(siu("S12", "A1", EARLIER, number="V7"), siu("S12", "A2", number="V1"), siu("S12", "A3", "2099-01-05"))
    clinic.receive(*a_visit())
    clinic.sync()
    clinic.sync()  # the second asks the biller what became of the charge
    answer = reconciled(clinic)
    (gap,) = answer["gaps"]
    assert gap["visits"] == ("A1", "V7") and gap["owner"] == "clinic" and gap["codes"] == ("no-charge",)
    assert gap["reason"].startswith("scheduled, no charge") and "mark the appointment" in gap["do"]
    assert gap["reference"] is not None and gap["service_date"] == EARLIER
    assert {column["name"]: column["visits"] for column in answer["columns"]} == {
        "scheduled": 2, "should bill": 1, "signed": 1, "charged": 1, "sent": 1, "accepted": 1, "claim": 1,
    }  # fmt: skip
    assert clinic.held() == {
        "V7": {"DC10"}
    }  # on the worklist, where a person can exclude it; what no claim has yet is no reason
    told = [reason["message"] for row in jobs.held(clinic.config) for reason in row["reasons"] if reason["code"] == "DC10"]
    assert told == ["a visit was booked for this day, and nothing says that it took place"]
    jobs.exclude(clinic.config, clinic.day("V7")["reference"], EXCLUDED)
    clinic.sync()
    assert gaps(clinic) == []


def test_a_booking_that_no_sync_has_met_is_a_gap_too_and_without_bookings_there_is_no_schedule(clinic: Hl7World) -> None:
    clinic.receive(*a_visit())
    clinic.sync()
    assert next(column["name"] for column in reconciled(clinic)["columns"]) == "should bill"
    clinic.receive(siu("S12", "A1", EARLIER))
    assert gaps(clinic) == [("A1", EARLIER)]
    assert next(column["name"] for column in reconciled(clinic, schedule=False)["columns"]) == "should bill"
    assert [gap for gap in reconciled(clinic, since=date(2026, 11, 17))["gaps"] if gap["from"] == "scheduled"] == []


def test_charges_that_were_not_judged_yet_ask_for_a_sync(clinic: Hl7World) -> None:
    clinic.receive(siu("S12", "A9", number="V9"))
    clinic.sync()
    clinic.receive(siu("S12", "A2", number="V1"), *a_visit())
    (gap,) = [gap for gap in reconciled(clinic)["gaps"] if "V1" in gap["visits"]]
    assert (gap["owner"], gap["do"], gap["codes"]) == ("ptbridge", "Run ptbridge sync.", ("not-read",))
    clinic.sync()
    assert gaps(clinic) == [("A9", "V9", DAY)]


@pytest.mark.parametrize(("bookings", "missing"), [(1, 0), (2, 1), (3, 2)])
def test_bookings_without_a_number_are_counted_against_the_patients_visits_of_the_day(
    clinic: Hl7World, bookings: int, missing: int
) -> None:
    clinic.receive(*[siu("S12", f"A{number}") for number in range(bookings)], *a_visit("V5"))
    clinic.receive(siu("S12", "B1", mrn="M200", number="V6"))  # another patient's, whose day has no visit
    clinic.sync()
    found = gaps(clinic)
    assert len(found) == missing + 1 and ("B1", "V6", DAY) in found


def test_a_numbered_booking_is_not_explained_by_the_visit_of_another(clinic: Hl7World) -> None:
    clinic.receive(siu("S12", "A1", number="V1"), siu("S12", "A2", number="V2"), *a_visit("V1"))
    clinic.sync()
    assert gaps(clinic) == [("A2", "V2", DAY)]


@pytest.mark.parametrize("order", [(0, 1), (1, 0)])
@pytest.mark.parametrize("number", ["", "V7"])
def test_a_moved_booking_counts_on_its_new_day_in_whatever_order_it_came(
    clinic: Hl7World, order: tuple[int, int], number: str
) -> None:
    booked = siu("S12", "A1", EARLIER, number=number)
    moved = siu("S13", "A1", DAY, number=number, at="20261110080000-0600")
    clinic.receive(*[(booked, moved)[place] for place in order])
    clinic.sync()
    (gap,) = gaps(clinic)
    assert gap[0] == "A1" and gap[-1] == DAY
    clinic.receive(siu("S13", "A1", "2099-01-05", number=number, at="20261117080000-0600"))
    clinic.sync()
    assert gaps(clinic) == []


def test_a_booking_that_was_moved_ahead_is_not_listed_before_its_day_is_over(clinic: Hl7World) -> None:
    ahead = (datetime.now(clinic.config.time_zone(clinic.config.clinics[CLINIC])) + timedelta(days=9)).date().isoformat()
    clinic.receive(siu("S13", "A1", ahead, at="20261110080000-0600"), siu("S12", "A1", EARLIER))
    clinic.sync()
    assert clinic.held() == {} and gaps(clinic) == []


@pytest.mark.parametrize(("trigger", "status"), [("S15", "Cancelled"), ("S17", ""), ("S26", "Noshow"), ("S14", "Cancelled")])
def test_a_booking_that_was_called_off_is_no_gap_and_an_older_word_does_not_revive_it(
    clinic: Hl7World, trigger: str, status: str
) -> None:
    off = siu(trigger, "A1", EARLIER, at="20261110080000-0600", status=status)
    clinic.receive(off, siu("S12", "A1", EARLIER), siu("S12", "A2", EARLIER, mrn="M200"))
    clinic.receive(siu("S12", "A1", EARLIER), siu("S14", "A1", EARLIER, at="20261102080000-0600", status="Booked"))
    clinic.sync()
    assert gaps(clinic) == [("A2", EARLIER)]
    clinic.receive(siu("S12", "A1", EARLIER, at="20261111080000-0600"))  # booked again, later
    clinic.sync()
    assert sorted(gaps(clinic)) == [("A1", EARLIER), ("A2", EARLIER)]


def test_a_charge_of_a_no_show_is_named_with_its_owner(clinic: Hl7World, capsys: pytest.CaptureFixture[str]) -> None:
    missed = siu("S26", "A1", at="20261118153000-0600")
    clinic.receive(siu("S12", "A1"), missed, *a_visit("V1"))
    clinic.sync()
    (row,) = reconciled(clinic)["missed_but_charged"]
    assert (row["appointment"], row["service_date"], row["visits"], row["owner"]) == ("A1", DAY, ("V1",), "clinic")
    cli.main(["reconcile", "--config", str(clinic.world.folder), "--clinic", CLINIC])
    assert "A1 of 2026-11-18: the appointment is a no-show" in " ".join(capsys.readouterr().out.split())
    clinic.receive(siu("S12", "A2"))  # another booking of the day, which the charge may be of
    assert reconciled(clinic)["missed_but_charged"] == []


def test_a_charge_after_the_no_show_of_its_own_number_is_held_as_before(clinic: Hl7World) -> None:
    clinic.receive(siu("S12", "A1", number="V1"), siu("S26", "A1", number="V1", at="20261118153000-0600"))
    clinic.receive(dft("D1", charge(1, "97110", "2", "24", id_="T1")))
    clinic.sync()
    assert "MP31" in clinic.held()["V1"] and clinic.live()["charges"] == 0


def test_a_booking_on_the_worklist_leaves_it_when_its_visit_is_charged_by_another_key(clinic: Hl7World) -> None:
    clinic.receive(siu("S12", "A1"), siu("S12", "A2", mrn="M200"))
    clinic.sync()
    assert set(clinic.held()) == {"appointment-A1", "appointment-A2"} and len(gaps(clinic)) == 2
    assert [gap["visits"] for gap in reconciled(clinic)["gaps"]] == [("A1", "appointment-A1"), ("A2", "appointment-A2")]
    clinic.receive(*a_visit("V1"))
    clinic.sync()
    assert set(clinic.held()) == {"appointment-A2"} and gaps(clinic) == [("A2", DAY)]
    assert gaps(clinic, "should bill") == [] and clinic.live()["charges"] == 1
    clinic.receive(siu("S13", "A2", mrn="M200", number="V2", at="20261102080000-0600"))  # the number comes with a later message
    clinic.sync()
    assert set(clinic.held()) == {"V2"} and gaps(clinic) == [("A2", "V2", DAY)]
    clinic.receive(*a_visit("V2", mrn="M200"))
    clinic.sync()
    assert clinic.held() == {} and gaps(clinic) == [] and clinic.live()["charges"] == 2


def test_one_booking_left_of_two_is_still_a_gap_after_both_left_the_worklist(clinic: Hl7World) -> None:
    clinic.receive(siu("S12", "A1"), siu("S12", "A2"))
    clinic.sync()
    clinic.receive(*a_visit("V1"))
    clinic.sync()
    assert len(gaps(clinic)) == 1


def test_the_placers_id_and_the_fillers_are_one_booking_and_a_series_is_many(clinic: Hl7World) -> None:
    placed = siu("S12", "P7", EARLIER, ids="P7||")
    filled = siu("S13", "F7", EARLIER, ids="P7|F7|", at="20261102080000-0600")
    missed = siu("S26", "F7", EARLIER, ids="|F7|", at="20261116200000-0600")
    clinic.receive(placed, filled)
    clinic.sync()
    assert gaps(clinic) == [("F7", EARLIER)]
    clinic.receive(missed)
    assert gaps(clinic) == []
    series = [siu("S12", f"S{number}", day, ids=f"SER|SER|{number}") for number, day in ((1, EARLIER), (2, DAY))]
    clinic.receive(*series)
    assert sorted(gaps(clinic)) == [("SER/1", EARLIER), ("SER/2", DAY)]


def test_a_booking_without_any_id_is_not_lost(clinic: Hl7World) -> None:
    clinic.receive(siu("S12", "N1", EARLIER, ids="||"))
    clinic.sync()
    ((name, day),) = gaps(clinic)
    assert name.startswith("message-") and day == EARLIER


def test_a_booking_of_a_record_that_was_merged_is_its_survivors(clinic: Hl7World) -> None:
    clinic.receive(siu("S12", "A1", mrn="OLD"), merge("MG", "OLD", "M100"), *a_visit("V1", mrn="M100"))
    clinic.sync()
    assert gaps(clinic) == []


def test_a_registered_visit_is_none_of_the_schedules_gaps_and_an_impossible_day_is_passed_over(clinic: Hl7World) -> None:
    clinic.receive(siu("S12", "A1", EARLIER, number="V7"), adt("A04", "A", number="V7", at="20261116150000-0600"))
    clinic.receive(siu("S12", "A2", EARLIER, mrn="M200"), siu("S13", "A2", "2026-02-31", mrn="M200", at="20261102080000-0600"))
    clinic.sync()
    assert gaps(clinic) == [("A2", EARLIER)]
    assert [gap["visits"] for gap in reconciled(clinic)["gaps"] if gap["from"] == "should bill"] == [("V7",)]


def test_days_of_a_number_that_spans_a_series_are_booked_and_charged_one_by_one(clinic: Hl7World) -> None:
    clinic.option("visit_by: visit-day")
    clinic.receive(siu("S12", "A1", EARLIER, number="V1"), siu("S12", "A2", number="V1"))
    clinic.sync()
    assert sorted(gaps(clinic)) == [("A1", "V1", EARLIER), ("A2", "V1", DAY)]
    clinic.receive(*a_visit("V1"))
    clinic.sync()
    assert gaps(clinic) == [("A1", "V1", EARLIER)]


def test_the_schedule_of_the_pretend_clinics_day_names_exactly_the_visit_of_which_nothing_else_was_told(
    clinic: Hl7World,
) -> None:
    told = hl7_day(THE_DAY)
    (lost,) = {one.visit for one in told if b"|V0002^" in one.raw}
    clinic.receive(*[one.raw for one in told if one.visit != lost or one.kind.startswith("SIU")])
    clinic.sync()
    assert gaps(clinic) == [(f"A-{lost}", lost, THE_DAY.isoformat())]
    clinic.receive(*[one.raw for one in told if one.visit == lost])
    clinic.sync()
    assert gaps(clinic) == []
