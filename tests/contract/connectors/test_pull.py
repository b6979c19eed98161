"""What every connector owes: nothing lost, nothing moved on failure, bytes as received, the same bytes for the same facts."""

from __future__ import annotations

import json
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from ptbridge.errors import ConfigError, PeerError
from ptbridge.plugins import connector, connectors

CONNECTORS = sorted(name for name, module in connectors().items() if module.INFO.standard.startswith("FHIR"))


@pytest.fixture(params=CONNECTORS)
def each(request: Any, tools: Any) -> Iterator[Any]:
    """Every connector found in the folder, against a full server and a US Core server in turn."""
    yield tools.Bench(connector(request.param))


@pytest.mark.parametrize("profile", ["FULL", "US_CORE"])
def test_a_visit_arrives_whole_in_a_stable_order_and_byte_for_byte(each, tools, profile):
    each.server.params = getattr(tools, profile)
    key = tools.visit(each.server, 1)
    other = tools.visit(each.server, 2, patient="pat-2")
    first = each.pull()
    assert tools.keys(first) == [key, other]
    assert tools.contents(first, key) == [
        "Encounter/enc-1",
        "Patient/pat-1",
        "Condition/con-1",
        "Coverage/cov-pat-1",
        "DocumentReference/note-1",
        "Location/loc-1",
        "Practitioner/prac-1",
        "Procedure/proc-1-1",
        "Procedure/proc-1-2",
    ]
    record = first[0].records[0]
    for name in ("Encounter/enc-1", "Procedure/proc-1-2", "Location/loc-1"):
        assert each.server.store[tuple(name.split("/"))] in record.payload
    assert [one["resource"] for one in json.loads(record.payload)["entry"]] == record.document
    again = tools.Bench(each.module)
    again.server = each.server
    assert [one.sha256 for one in again.pull()[0].records] == [one.sha256 for one in first[0].records]


def test_the_cursor_stands_on_the_last_batch_only_and_pages_cover_everything_once(each, tools):
    each.server.page_size = 7
    each.server.repeat = True  # the last entry of a page comes again on the next
    expected = sorted(tools.visit(each.server, number, patient=f"pat-{number % 5}") for number in range(30))
    pulled = each.pull()
    assert len(pulled) > 4
    assert sorted(tools.keys(pulled)) == expected


def test_a_page_that_fails_moves_nothing_and_the_next_run_has_it_all(each, tools):
    each.server.page_size = 3
    for number in range(9):
        tools.visit(each.server, number)
    each.server.refuse = lambda kind, query: kind == "Encounter" and query.get("page") == ["6"]
    with pytest.raises(PeerError):
        each.pull()
    assert each.cursor == {}
    each.server.refuse = lambda kind, query: False
    assert len(tools.keys(each.pull())) == 9


def test_a_child_search_that_fails_moves_nothing(each, tools):
    tools.visit(each.server, 1)
    each.server.refuse = lambda kind, query: kind == "Coverage"
    with pytest.raises(PeerError):
        each.pull()
    assert each.cursor == {}


def test_the_next_run_asks_from_the_servers_time_less_the_overlap(each, tools):
    tools.visit(each.server, 1)
    each.pull()  # at 05:00 on the server; the local clock says 05:30
    each.later(hours=2)
    late = tools.visit(each.server, 2, patient="pat-2")
    each.server.updated["Encounter", late] = each.server.now.replace(hour=4, minute=51)  # stamped before, seen after
    assert late in tools.keys(each.pull())
    assert each.server.searches("Encounter")[0]["_lastUpdated"] == ["ge2026-11-21T04:50:00Z"]


def test_a_run_with_nothing_new_asks_for_changes_only(each, tools):
    for number in range(20):
        tools.visit(each.server, number, patient=f"pat-{number}")
    each.settle()
    each.later(hours=1)
    assert tools.keys(each.pull()) == []
    assert each.server.searches("Coverage") == [] or all("_lastUpdated" in query for query in each.server.searches("Coverage"))


def test_a_corrupt_resource_is_reported_once_and_stops_nothing(each, tools):
    key = tools.visit(each.server, 1)
    each.server.extra = {
        "Encounter": [b'{"resourceType": "Encounter", "status": "finished"}', b'{"resourceType": "Basic", "id": "x"}', b"7"],
        "Procedure": [b'{"resourceType": "Procedure", "id": 7}'],
    }
    pulled = each.pull()
    assert tools.keys(pulled) == [key]
    found = tools.unreadable(pulled)
    assert sorted(name.partition("/")[0] for name in found) == ["Encounter", "Encounter", "Encounter", "Procedure"]
    assert all("sha256-" in name for name in found)
    assert any("the Encounter has no id" in reason for reason in found.values())
    payloads = [record.payload for one in pulled for record, _ in one.unreadable]
    assert any(each.server.extra["Encounter"][1] in payload for payload in payloads)


@pytest.mark.parametrize(
    "broken",
    [
        {"subject": []},
        {"subject": {"reference": 7}},
        {"period": "yesterday"},
        {"period": {"start": "2026"}},
        {"participant": "x"},
        {"diagnosis": {"condition": None}},
        {"meta": "v1"},
        {"location": [[{"location": {"reference": "Location/loc-1"}}]]},
    ],
)
def test_a_misshapen_encounter_is_still_yielded(each, tools, broken):
    tools.visit(each.server, 1)
    resource = json.loads(each.server.store["Encounter", "enc-1"]) | broken
    each.server.put(resource, stamp=False)
    assert tools.keys(each.pull()) == ["enc-1"]


# ---------------------------------------------------------------- references


def test_a_dangling_reference_stays_and_leaves_a_gap(bench, tools):
    key = tools.visit(bench.server, 1)
    bench.server.delete("Location", "loc-1")
    bench.server.delete("Practitioner", "prac-1")
    pulled = bench.pull()
    names = tools.contents(pulled, key)
    assert "Location/loc-1" not in names
    assert "Practitioner/prac-1" not in names
    assert b"Location/loc-1" in pulled[0].records[0].payload


def test_logical_absolute_and_versioned_references_are_followed(bench, tools):
    key = tools.visit(bench.server, 1)
    encounter = json.loads(bench.server.store["Encounter", key])
    bench.server.put({"resourceType": "Location", "id": "loc-2", "identifier": [{"system": "s", "value": "two"}]})
    bench.server.put({"resourceType": "Practitioner", "id": "prac-9"})
    encounter["location"] = [{"location": {"reference": "Location?identifier=s|two"}}]
    encounter["participant"] = [
        {"individual": {"type": "Practitioner", "identifier": {"system": "npi", "value": "1"}}},
        {"individual": {"reference": "Practitioner/prac-9/_history/3"}},
        {"individual": {"reference": "https://elsewhere.example/fhir/Practitioner/prac-1"}},
        {"individual": {"reference": "#contained"}},
    ]
    bench.server.put(encounter)
    names = tools.contents(bench.pull(), key)
    assert {"Location/loc-2", "Practitioner/prac-1", "Practitioner/prac-9"} <= set(names)


def test_a_role_leads_on_to_its_practitioner(bench, tools):
    key = tools.visit(bench.server, 1)
    bench.server.put({"resourceType": "PractitionerRole", "id": "role-1", "practitioner": {"reference": "Practitioner/prac-7"}})
    bench.server.put({"resourceType": "Practitioner", "id": "prac-7"})
    encounter = json.loads(bench.server.store["Encounter", key])
    encounter["participant"].append({"individual": {"reference": "PractitionerRole/role-1"}})
    bench.server.put(encounter)
    assert {"PractitionerRole/role-1", "Practitioner/prac-7"} <= set(tools.contents(bench.pull(), key))


# ---------------------------------------------------------------- joining without a reference


def test_lines_without_an_encounter_join_by_patient_day_and_performer(us_core, tools):
    key = tools.visit(us_core.server, 1, linked=False)
    tools.visit(us_core.server, 2, patient="pat-2", linked=False)
    names = tools.contents(us_core.pull(), key)
    assert {"Procedure/proc-1-1", "Procedure/proc-1-2", "DocumentReference/note-1"} <= set(names)
    assert not [name for name in names if "-2-" in name]


def test_a_line_that_fits_two_visits_is_reported_and_given_to_none(us_core, tools):
    tools.visit(us_core.server, 1)
    tools.visit(us_core.server, 2)
    tools.procedure(us_core.server, "loose", "pat-1", "2026-11-20T18:40:00-06:00")
    pulled = us_core.pull()
    assert "fits no single visit" in tools.unreadable(pulled)["Procedure/loose"]
    assert not any("Procedure/loose" in tools.contents(pulled, key) for key in ("enc-1", "enc-2"))


def test_a_line_of_another_performer_is_not_taken(us_core, tools):
    tools.visit(us_core.server, 1)
    performer = [{"actor": {"reference": "Practitioner/prac-2"}}]
    tools.procedure(us_core.server, "loose", "pat-1", "2026-11-20T18:40:00-06:00", performer=performer)
    assert "Procedure/loose" in tools.unreadable(us_core.pull())


def test_a_line_is_not_reported_because_its_visit_stood_on_another_page(us_core, tools):
    us_core.server.page_size = 1
    key = tools.visit(us_core.server, 1, day="2026-11-19")
    tools.visit(us_core.server, 2, day="2026-11-20")
    tools.procedure(us_core.server, "loose", "pat-1", "2026-11-19T10:00:00-06:00")
    pulled = us_core.pull()
    assert tools.unreadable(pulled) == {}
    assert tools.keys(pulled) == ["enc-1", "enc-2"]
    assert "Procedure/loose" in tools.contents(pulled, key)


def test_a_line_without_an_encounter_is_seen_on_a_server_that_searches_by_encounter(bench, tools):
    key = tools.visit(bench.server, 1)
    tools.procedure(bench.server, "loose", "pat-1", "2026-11-20T18:40:00-06:00")
    assert "Procedure/loose" in tools.contents(bench.pull(), key)
    bench.cursor = {}
    pulled = bench.pull({"unlinked_lines": "no"})
    assert "Procedure/loose" not in tools.contents(pulled, key)
    assert all("patient" not in query for query in bench.server.searches("Procedure"))


def test_days_are_the_clinics_whatever_zone_a_time_is_told_in(us_core, tools):
    key = tools.visit(us_core.server, 1)  # 18:30 in Chicago on the 20th
    tools.visit(us_core.server, 2, day="2026-11-21")
    tools.procedure(us_core.server, "loose", "pat-1", "2026-11-21T00:40:00Z")
    assert "Procedure/loose" in tools.contents(us_core.pull(), key)


def test_a_line_whose_visit_did_not_change_brings_that_visit_again(bench, tools):
    key = tools.visit(bench.server, 1)
    bench.settle()
    bench.later(hours=1)
    tools.procedure(bench.server, "loose", "pat-1", "2026-11-20T18:40:00-06:00")
    pulled = bench.pull()
    assert "Procedure/loose" in tools.contents(pulled, key)
    assert tools.unreadable(pulled) == {}


def test_a_line_whose_encounter_is_not_there_is_reported(us_core, tools):
    tools.visit(us_core.server, 1)
    tools.procedure(us_core.server, "orphan", "pat-1", "2026-11-20T18:40:00-06:00", encounter={"reference": "Encounter/none"})
    found = tools.unreadable(us_core.pull())
    assert list(found) == ["Procedure/orphan"]
    assert "does not have" in found["Procedure/orphan"]


def test_history_and_what_was_not_done_are_no_lost_lines(bench, tools):
    tools.visit(bench.server, 1)
    bench.settle()
    bench.later(hours=1)
    tools.procedure(bench.server, "surgery", "pat-1", None, performedDateTime="2002")
    tools.procedure(bench.server, "mistake", "pat-1", "2026-11-20T18:40:00-06:00", status="entered-in-error", subject={})
    assert tools.unreadable(bench.pull()) == {}


# ---------------------------------------------------------------- changes


def test_a_changed_child_brings_its_encounter_where_the_server_can_be_asked(bench, tools):
    key = tools.visit(bench.server, 1)
    tools.visit(bench.server, 2, patient="pat-2")
    bench.settle()
    bench.later(hours=1)
    note = json.loads(bench.server.store["DocumentReference", "note-1"]) | {"docStatus": "amended"}
    bench.server.put(note)
    assert tools.keys(bench.pull()) == [key]


def test_a_member_id_that_is_filled_in_brings_the_recent_visits(bench, tools):
    key = tools.visit(bench.server, 1)
    tools.visit(bench.server, 2, patient="pat-2")
    bench.settle()
    bench.later(hours=1)
    bench.server.put(json.loads(bench.server.store["Coverage", "cov-pat-1"]) | {"subscriberId": "X1"})
    assert tools.keys(bench.pull()) == [key]


def test_a_changed_child_is_found_by_the_rescan_where_it_cannot_be_asked(us_core, tools):
    key = tools.visit(us_core.server, 1)
    us_core.settle()
    us_core.later(hours=1)
    us_core.server.put(json.loads(us_core.server.store["Procedure", "proc-1-1"]) | {"note": [{"text": "x"}]})
    assert tools.keys(us_core.pull()) == []
    assert tools.keys(us_core.pull(full_rescan=True)) == [key]


def test_the_rescan_comes_by_itself_once_its_time_is_over(us_core, tools):
    key = tools.visit(us_core.server, 1)
    us_core.settle()
    us_core.later(hours=1)
    assert tools.keys(us_core.pull()) == []
    tomorrow = tools.EVENING.replace(day=21)
    assert tools.keys(us_core.pull(clock=lambda: tomorrow)) == [key]
    assert tools.keys(us_core.pull(clock=lambda: tomorrow)) == []


def test_a_server_without_last_update_is_read_by_service_date_on_every_run(us_core, tools):
    us_core.server.params = tools.US_CORE | {"Encounter": {"_id", "patient", "date"}}
    us_core.server.tells_time = False
    tools.visit(us_core.server, 1, day="2026-11-01")
    assert tools.keys(us_core.pull()) == ["enc-1"]
    recent = tools.visit(us_core.server, 2, day="2026-11-19")
    assert tools.keys(us_core.pull()) == [recent]
    assert tools.keys(us_core.pull(full_rescan=True)) == ["enc-1", recent]


def test_a_deleted_visit_is_told_and_one_that_only_moved_is_not(bench, tools):
    for number in (1, 2, 3):
        tools.visit(bench.server, number)
    moved = json.loads(bench.server.store["Encounter", "enc-2"]) | {"period": {"start": "2025-01-01"}}
    bench.pull()
    bench.server.delete("Encounter", "enc-1")
    bench.server.put(moved)
    bench.later(hours=1)
    pulled = bench.pull(full_rescan=True, recheck=("enc-1", "enc-2", "enc-3"))
    assert [gone for one in pulled for gone in one.gone] == ["enc-1"]
    assert sorted(tools.keys(pulled)) == ["enc-2", "enc-3"]


def test_a_server_that_shows_nothing_declares_nothing_gone_by_404(bench, tools):
    bench.pull()
    pulled = bench.pull(full_rescan=True, recheck=("enc-1",))
    assert [gone for one in pulled for gone in one.gone] == []


def test_a_server_without_a_cursor_that_knows_none_of_our_visits_is_another_emr(bench, tools):
    """Billed beside the old ones its visits would be charged twice, and the old ones be taken for deleted."""
    tools.visit(bench.server, 9)
    known = tuple(f"enc-{number}" for number in range(30))
    with pytest.raises(PeerError, match=r"knows none of 20 visits .* `source.base_url`"):
        bench.pull(recheck=known[10:])
    assert tools.keys(bench.pull(recheck=known)) == ["enc-9"]


def test_since_bounds_the_first_run_by_civil_day(bench, tools):
    tools.visit(bench.server, 1, day="2026-11-18")
    evening = tools.visit(bench.server, 2, day="2026-11-19")  # 18:30 in Chicago, the 20th in UTC
    last = tools.visit(bench.server, 3, day="2026-11-20")
    assert tools.keys(bench.pull(since=tools.day("2026-11-20"))) == [last]
    bench.cursor = {}
    assert tools.keys(bench.pull(since=tools.day("2026-11-19"))) == [evening, last]


# ---------------------------------------------------------------- other ways to find visits


def test_discovery_by_patient_list_reads_only_those(us_core, tools):
    for number in range(6):
        tools.visit(us_core.server, number, patient=f"pat-{number}")
    options = {"discovery": "patients", "patients": ("pat-1", "Patient/pat-4"), "patients_per_request": "1"}
    assert sorted(tools.keys(us_core.pull(options))) == ["enc-1", "enc-4"]
    assert all("patient" in query for query in us_core.server.searches("Encounter"))


def test_discovery_by_file_and_group_and_a_new_patient_is_read_back(us_core, tools):
    for number in range(3):
        tools.visit(us_core.server, number, patient=f"pat-{number}")
    members = [{"entity": {"reference": "Patient/pat-1"}}, {"entity": {"reference": "Patient/pat-0"}, "inactive": True}]
    us_core.server.put({"resourceType": "Group", "id": "g", "member": members})
    us_core.later(minutes=30)
    assert tools.keys(us_core.pull({"discovery": "patients", "group": "g"})) == ["enc-1"]
    with tempfile.TemporaryDirectory() as folder:
        (Path(folder) / "ids.txt").write_text("# ours\npat-1\npat-2\n")
        options = {"discovery": "patients", "patients_file": "ids.txt"}
        us_core.later(hours=1)
        assert "enc-2" in tools.keys(us_core.pull(options, folder=Path(folder)))


@pytest.mark.parametrize("by", ["appointment", "patient and day"])
def test_discovery_by_appointments(bench, tools, by):
    if by != "appointment":
        bench.server.params = tools.FULL | {"Encounter": tools.US_CORE["Encounter"]}
    key = tools.visit(bench.server, 1)
    tools.visit(bench.server, 2, patient="pat-2")
    bench.server.put(json.loads(bench.server.store["Encounter", key]) | {"appointment": [{"reference": "Appointment/app-1"}]})
    actors = [{"actor": {"reference": name}} for name in ("Patient/pat-1", "Location/loc-1")]
    appointment = {"resourceType": "Appointment", "id": "app-1", "start": "2026-11-20T18:30:00-06:00", "participant": actors}
    bench.server.put(appointment)
    pulled = bench.pull({"discovery": "appointments", "locations": ("loc-1",)})
    assert tools.keys(pulled) == [key]


# ---------------------------------------------------------------- requests, options, check


def test_children_are_asked_for_in_lists_and_within_the_days_of_the_visits(us_core, tools):
    for number in range(40):
        tools.visit(us_core.server, number, patient=f"pat-{number:02}")
    us_core.pull()
    searches = us_core.server.searches("Procedure")
    assert len(searches) == 2
    assert {tuple(query["date"]) for query in searches} == {("ge2026-11-19", "le2026-11-21")}
    assert len(us_core.server.searches("Practitioner")) == 1


def test_dates_can_be_written_as_instants(us_core, tools):
    tools.visit(us_core.server, 1)
    us_core.pull({"date_form": "instant"})
    assert us_core.server.searches("Procedure")[0]["date"] == ["ge2026-11-19T00:00:00Z", "le2026-11-21T23:59:59Z"]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"overlap": "soon"}, "source.options.overlap: 'soon' is not a duration"),
        ({"discovery": "guess"}, "not one of encounters, patients, appointments"),
        ({"discovery": "patients"}, "needs patients, patients_file or group"),
        ({"discovery": "appointments"}, "needs locations or practitioners"),
        ({"patients_per_request": "0"}, "is not a number from 1 to 1000"),
        ({"ready_when": "finished"}, "needs a table"),
        ({"overlaps": "x"}, "unknown option 'overlaps'. Known options: discovery"),
    ],
)
def test_a_wrong_option_is_told_before_anything_is_asked(bench, options, message):
    with pytest.raises(ConfigError, match=r"acme: source\.options") as caught:
        bench.pull(options)
    assert message in str(caught.value)
    assert bench.server.asked == []


def test_check_names_the_fallbacks_in_plain_words(us_core, each):
    sentences = us_core.check()
    assert any(
        sentence.startswith(
            "Procedure cannot be searched by encounter: procedures are fetched by patient and date and joined on "
            "Procedure.encounter"
        )
        for sentence in sentences
    )
    assert any(sentence.startswith("ChargeItem is not served") for sentence in sentences)
    assert all(sentence.endswith(".") for sentence in each.check())


def test_check_of_openemr_says_that_the_fee_sheet_is_missing(tools):
    assert any("fee sheet" in sentence for sentence in tools.Bench(connector("openemr")).check())


def test_a_server_that_declares_nothing_is_taken_for_us_core(us_core, tools):
    key = tools.visit(us_core.server, 1)
    served, us_core.server.params = us_core.server.params, {}
    assert any("US Core floor" in sentence for sentence in us_core.check())
    us_core.server.params = served
    assert tools.keys(us_core.pull()) == [key]
