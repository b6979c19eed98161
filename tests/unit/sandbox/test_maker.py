"""The maker of pretend visits: deterministic, believable, and true to its own table of what was planted."""

from __future__ import annotations

import re
from collections import Counter, defaultdict
from datetime import date, datetime
from zoneinfo import ZoneInfo

import orjson
import pytest
from ptbridge_sandbox import charting, maker
from ptbridge_sandbox.day import BILLING_NPI, DAY, FATES, PLANTED, STAFF
from ptbridge_sandbox.people import luhn_check_digit, npi
from ptbridge_sandbox.plan import emr_units, lines

CHICAGO = ZoneInfo("America/Chicago")
DAYS = (date(2026, 3, 12), date(2026, 1, 15))  # in daylight saving time, and not


def by_id(day: date = maker.DAY, seed: int = maker.SEED) -> dict[str, dict]:
    return {f"{made['resourceType']}/{made['id']}": made for made in maker.clinic_day(day, CHICAGO, seed)}


def extension(resource: dict, name: str):
    found = [ext for ext in resource.get("extension", []) if ext["url"] == f"{charting.SYSTEM}/{name}"]
    return next((value for key, value in found[0].items() if key != "url"), None) if found else None


def procedures(resources: dict[str, dict], encounter_id: str) -> list[dict]:
    wanted = f"Encounter/{encounter_id}"
    return [
        made for made in resources.values() if made["resourceType"] == "Procedure" and made["encounter"]["reference"] == wanted
    ]


def code(procedure: dict) -> str:
    return procedure["code"]["coding"][0]["code"]


def npi_is_valid(number: str) -> bool:
    return len(number) == 10 and number[9] == str(luhn_check_digit("80840" + number[:9]))


def test_the_check_digit_formula_gives_the_worked_example_of_cms():
    assert luhn_check_digit("80840" + "123456789") == 3


def test_same_seed_same_day_byte_for_byte():
    first, second = (b"".join(map(orjson.dumps, maker.clinic_day(seed=11))) for _ in range(2))
    assert first == second
    assert first != b"".join(map(orjson.dumps, maker.clinic_day(seed=12)))


def test_a_seed_changes_people_but_no_line():
    def documented(seed: int) -> list[object]:
        made = maker.clinic_day(seed=seed)
        return [(r["id"], r["code"], r["extension"]) for r in made if r["resourceType"] == "Procedure"]

    assert documented(1) == documented(2)


def test_the_day_is_a_believable_clinic_day():
    resources = by_id()
    kinds = Counter(made["resourceType"] for made in resources.values())
    assert kinds["Encounter"] == len(DAY) >= 64
    payers = {
        extension_free["payor"][0]["identifier"]["value"] for extension_free in resources.values() if "payor" in extension_free
    }
    assert payers == {"MCR-B", "ACME", "BLUE8"}
    assert {person.credential for person in STAFF} == {"PT", "PTA", "OT", "OTA", "SLP", "MD"}
    codes = {code(made) for made in resources.values() if made["resourceType"] == "Procedure"}
    assert codes >= {"97161", "97162", "97163", "97164", "97165", "97166", "97167", "92523", "92507", "97150", "G0283", "97014"}
    assert codes >= {"97110", "97112", "97140", "97530", "97116", "97535", "97010", "KT-TAPE"}


def test_fates_cover_every_visit_and_keep_the_believable_share():
    fates = Counter(FATES.values())
    assert set(FATES) == {made["id"] for made in by_id().values() if made["resourceType"] == "Encounter"}
    assert fates == {"sent": len(DAY) - 9, "held": 6, "excluded": 3}


def test_every_reference_leads_somewhere():
    resources = by_id()
    references = re.findall(rb'"reference":"([^"]+)"', b"".join(map(orjson.dumps, resources.values())))
    assert {reference.decode() for reference in references} <= set(resources)


@pytest.mark.parametrize("day", DAYS)
def test_planted_problems_are_there(day: date):
    resources = by_id(day)

    def encounter(problem: str) -> dict:
        return resources[f"Encounter/{PLANTED[problem]}"]

    assert resources[f"DocumentReference/{PLANTED['unsigned-note']}-note"]["docStatus"] == "preliminary"
    assert code(procedures(resources, PLANTED["unknown-code"])[1]) == "KT-TAPE"
    assert all(extension(made, "minutes") is None for made in procedures(resources, PLANTED["without-minutes"]))
    assert extension(encounter("without-minutes"), "timed-minutes-total") is None
    assert "subscriberId" not in resources[f"Coverage/cov-pat-{PLANTED['missing-member-id'][4:]}-1"]
    assert encounter("cancelled")["status"] == encounter("no-show")["status"] == "cancelled"
    assert resources[f"Appointment/{PLANTED['no-show']}-apt"]["status"] == "noshow"
    assert encounter("encounter-entered-in-error")["status"] == "entered-in-error"
    statuses = [made["status"] for made in procedures(resources, PLANTED["procedure-entered-in-error"])]
    assert sorted(statuses) == ["completed", "completed", "entered-in-error"]
    first, second = encounter("same-day-first"), encounter("same-day-second")
    assert first["subject"] == second["subject"] and first["serviceType"] == second["serviceType"]

    evening = datetime.fromisoformat(encounter("after-midnight-utc")["period"]["start"])
    assert evening.date() > day == evening.astimezone(CHICAGO).date()


def test_the_units_of_one_visit_are_more_than_any_rule_gives():
    resources = by_id()
    encounter_id = PLANTED["units-disagree"]
    shown = {code(made): extension(made, "units") for made in procedures(resources, encounter_id)}
    assert sum(shown.values()) > (extension(resources[f"Encounter/{encounter_id}"], "timed-minutes-total") + 7) // 15


def test_only_the_planted_npi_is_wrong():
    resources = by_id()
    wrong = {
        made["id"]
        for made in resources.values()
        if made["resourceType"] == "Practitioner" and not npi_is_valid(made["identifier"][0]["value"])
    }
    treated = resources[f"Encounter/{PLANTED['invalid-npi']}"]["participant"][0]["individual"]["reference"]
    assert {f"Practitioner/{id_}" for id_ in wrong} == {treated}
    assert npi_is_valid(BILLING_NPI) and npi_is_valid(npi(1)) and len({npi(n) for n in range(50)}) == 50
    others = [plan for plan in DAY if plan.clinician == treated.removeprefix("Practitioner/")]
    assert len(others) == 1, "one visit alone carries the wrong NPI"


def test_totals_are_the_sums_of_the_lines():
    resources = by_id()
    for made in resources.values():
        if made["resourceType"] != "Encounter" or extension(made, "treatment-minutes-total") is None:
            continue
        kept = [line for line in procedures(resources, made["id"]) if line["status"] == "completed"]
        minutes = {line["id"]: extension(line, "minutes")["value"] for line in kept}
        assert extension(made, "treatment-minutes-total") == sum(minutes.values())
        for line in kept:
            split = [extension(line, f"{who}-minutes") for who in ("therapist", "assistant")]
            if any(split):
                assert sum(part["value"] for part in split) == minutes[line["id"]]


def test_no_descriptor_of_a_code_is_ever_written():
    for made in [*maker.clinic_day(), *(part for plan in maker.visits(50) for part in charting.chart(plan))]:
        text = orjson.dumps(made).decode()
        for coding in re.findall(r'\{"system":"http://www\.ama-assn\.org/go/cpt"[^}]*\}', text):
            assert set(orjson.loads(coding)) == {"system", "code"}
        assert "therapeutic" not in text.lower() and '"text"' not in text


def test_notation_of_lines():
    split, wrong, shown, bare = lines("97110=13+10 97116=9!error 97112=20x2 97140")
    assert (split.minutes, split.assistant_minutes) == (23, 10)
    assert wrong.entered_in_error and wrong.minutes == 9
    assert (shown.minutes, shown.units) == (20, 2)
    assert bare.minutes is None
    with pytest.raises(ValueError, match="97110"):
        lines("97110:23")


@pytest.mark.parametrize(
    ("documented", "payer", "expected"),
    [  # CMS Pub. 100-04, ch. 5, section 20.2, examples 1, 3 and 4 (with 97530 for the ultrasound); then each code alone
        ("97112=24 97110=23", "MCR-B", {"97112": 2, "97110": 1}),
        ("97110=33 97140=7", "MCR-B", {"97110": 2, "97140": 1}),
        ("97110=18 97140=13 97116=10 97530=8", "MCR-B", {"97110": 1, "97140": 1, "97116": 1, "97530": 0}),
        ("97112=24 97110=23", "ACME", {"97112": 2, "97110": 2}),
        ("97110=33 97140=7", "ACME", {"97110": 2, "97140": 0}),
    ],
)
def test_how_this_emr_counts(documented: str, payer: str, expected: dict[str, int]):
    assert emr_units(lines(documented), payer) == expected


class TestScale:
    def test_visits_come_in_the_order_of_time_and_no_patient_twice_a_day(self):
        plans = list(maker.visits(3000, days=40))
        assert [plan.start for plan in plans] == sorted(plan.start for plan in plans)
        per_day = Counter((plan.patient_id, plan.start.date()) for plan in plans)
        assert max(per_day.values()) == 1
        assert 6 <= 3000 / len({plan.patient_id for plan in plans}) <= 9
        assert len({plan.start.date() for plan in plans}) == 40

    def test_each_visit_has_three_or_four_lines_and_one_or_two_diagnoses(self):
        for plan in maker.visits(200):
            assert len(plan.lines) in (3, 4) and len(plan.diagnoses) in (1, 2)

    def test_a_patient_keeps_the_payer(self):
        payers = defaultdict(set)
        for plan in maker.visits(500, days=10):
            payers[plan.patient_id].add(plan.payer)
        assert all(len(found) == 1 for found in payers.values())

    def test_parts_are_the_chart(self):
        scale = maker.Scale(50)
        for number in (0, 7, 49):
            chart = list(charting.chart(scale.plan(number)))
            assert [scale.part(number, index) for index in range(len(chart))] == chart

    def test_shared_resources_are_those_that_the_visits_name(self):
        scale = maker.Scale(200, days=5)
        there = {f"{made['resourceType']}/{made['id']}" for made in scale.shared()}
        for number in range(200):
            encounter = charting.encounter(scale.plan(number))
            assert encounter["subject"]["reference"] in there


class TestBenchPage:
    def test_is_half_a_megabyte_of_a_hundred_clean_visits(self):
        page = maker.bench_page()
        bundle = orjson.loads(page)
        kinds = Counter(entry["resource"]["resourceType"] for entry in bundle["entry"])
        assert 500_000 <= len(page) <= 530_000
        assert kinds["Encounter"] == kinds["DocumentReference"] == 100
        assert kinds["Procedure"] == 300 and sum(kinds.values()) >= 504
        payers = {
            entry["resource"]["payor"][0]["identifier"]["value"] for entry in bundle["entry"] if "payor" in entry["resource"]
        }
        assert "MCR-B" in payers and len(payers) > 1

    def test_every_reference_leads_somewhere_on_the_page(self):
        page = maker.bench_page(20)
        there = {f"{e['resource']['resourceType']}/{e['resource']['id']}" for e in orjson.loads(page)["entry"]}
        assert {reference.decode() for reference in re.findall(rb'"reference":"([^"]+)"', page)} <= there

    def test_narrative_fills_the_page_to_its_size(self):
        assert abs(len(maker.bench_page(bytes_per_encounter=7000)) - 700_000) < 2000
