"""What searches of the sandbox EMR find, and what each profile refuses."""

from __future__ import annotations

from datetime import UTC
from zoneinfo import ZoneInfo

import orjson
import pytest
from ptbridge_sandbox.day import DAY, PLANTED
from ptbridge_sandbox.emr import SandboxEmr
from ptbridge_sandbox.fhir_time import comparison, date_range
from ptbridge_sandbox.maker import clinic_day
from ptbridge_sandbox.search import FULL, PATIENT_FIRST, US_CORE, Profile, SearchRefused, find
from ptbridge_sandbox.store import Store

CHICAGO = ZoneInfo("America/Chicago")


@pytest.fixture(scope="module")
def store() -> Store:
    return Store(clinic_day())


def ids(store: Store, type_: str, *parameters: tuple[str, str], profile: Profile = FULL) -> list[str]:
    return [entry.id for entry in find(store, profile, type_, parameters)]


class TestDates:
    @pytest.mark.parametrize(
        ("text", "length_ms"),
        [
            ("2026-03-12T19:15:00.123-05:00", 1),
            ("2026-03-12T19:15:00Z", 1_000),
            ("2026-03-12T19:15Z", 60_000),
            ("2026-03-12", 86_400_000),
            ("2026-02", 28 * 86_400_000),
            ("2026-12", 31 * 86_400_000),
            ("2026", 365 * 86_400_000),
        ],
    )
    def test_a_date_is_as_long_as_it_is_written(self, text: str, length_ms: int):
        start, end = date_range(text)
        assert end - start == length_ms

    def test_a_day_without_offset_is_the_servers_day(self):
        assert date_range("2026-03-12", CHICAGO)[0] - date_range("2026-03-12", UTC)[0] == 5 * 3_600_000

    @pytest.mark.parametrize(
        ("parameter", "found"),
        [
            ("2026-03-12", True), ("eq2026-03", True), ("ge2026-03-12", True), ("gt2026-03-12", False),
            ("gt2026-03-11", True), ("le2026-03-12", True), ("lt2026-03-12", False), ("lt2026-03-13", True),
            ("sa2026-03-11", True), ("eb2026-03-13", True), ("ne2026-03-12", False),
            ("ge2026-03-12T10:30:00Z", True), ("ge2026-03-12T11:00:00Z", False),
        ],
    )  # fmt: skip
    def test_prefixes_compare_ranges(self, parameter: str, found: bool):
        start, _ = date_range("2026-03-12T10:00:00Z")
        end, _ = date_range("2026-03-12T11:00:00Z")
        assert comparison(parameter)[1](start, end) is found

    @pytest.mark.parametrize("text", ["", "ge", "xx2026", "yesterday", "ge2026-13"])
    def test_what_is_no_date_is_refused(self, store: Store, text: str):
        with pytest.raises(SearchRefused):
            ids(store, "Encounter", ("date", text))


class TestEncounters:
    def test_all_of_the_day(self, store: Store):
        assert len(ids(store, "Encounter")) == len(DAY)

    def test_the_late_visit_is_on_the_next_day_in_utc_and_not_at_the_clinic(self, store: Store):
        late = PLANTED["after-midnight-utc"]
        day = ("date", "ge2026-03-12"), ("date", "lt2026-03-13")
        assert late not in ids(store, "Encounter", *day)
        at_the_clinic = Store(clinic_day(), time_zone=CHICAGO)
        assert late in ids(at_the_clinic, "Encounter", *day)

    def test_by_status_and_id_lists(self, store: Store):
        cancelled = {PLANTED["cancelled"], PLANTED["no-show"]}
        assert set(ids(store, "Encounter", ("status", "cancelled"))) == cancelled
        assert ids(store, "Encounter", ("_id", "enc-0003,enc-0001,nobody")) == ["enc-0003", "enc-0001"]

    def test_by_patient_with_and_without_the_type(self, store: Store):
        first, second = PLANTED["same-day-first"], PLANTED["same-day-second"]
        patient = store.get("Encounter", first).patient
        assert ids(store, "Encounter", ("patient", f"Patient/{patient}")) == [first, second]
        assert ids(store, "Encounter", ("patient", f"{patient},Patient/pat-0001,{patient}")) == [first, second, "enc-0001"]

    def test_repeated_last_updated_is_a_window(self, store: Store):
        moments = sorted(entry.updated for entry in store.shelf("Encounter").by_id.values())
        low, high = moments[10], moments[20]
        window = ("_lastUpdated", f"ge{iso(low)}"), ("_lastUpdated", f"lt{iso(high)}")
        expected = [e.id for e in store.shelf("Encounter").by_updated if low <= e.updated < high]
        assert ids(store, "Encounter", *window, ("_sort", "_lastUpdated")) == expected

    def test_sort_both_ways(self, store: Store):
        dates = [store.get("Encounter", id_).start for id_ in ids(store, "Encounter", ("_sort", "-date"))]
        assert dates == sorted(dates, reverse=True)
        assert ids(store, "Encounter", ("_sort", "_id")) == sorted(ids(store, "Encounter"))


class TestOthers:
    def test_children_by_encounter(self, store: Store):
        assert ids(store, "Procedure", ("encounter", "Encounter/enc-0002,enc-0003")) == [
            "enc-0002-p1", "enc-0002-p2", "enc-0003-p1", "enc-0003-p2",
        ]  # fmt: skip
        assert ids(store, "DocumentReference", ("encounter", "enc-0002")) == ["enc-0002-note"]

    def test_procedures_by_patient_and_date(self, store: Store):
        patient = ("patient", "pat-0002")
        assert ids(store, "Procedure", patient, ("date", "2026-03-12"), profile=US_CORE) == ["enc-0002-p1", "enc-0002-p2"]
        assert ids(store, "Procedure", patient, ("date", "ge2026-03-13"), profile=US_CORE) == []

    def test_tokens_with_and_without_system(self, store: Store):
        mrn = "https://sandbox.ptbridge.dev/fhir/mrn|SBX-0004"
        assert ids(store, "Patient", ("identifier", mrn)) == ids(store, "Patient", ("identifier", "SBX-0004")) == ["pat-0004"]
        assert ids(store, "Patient", ("identifier", "https://elsewhere|SBX-0004")) == []
        assert len(ids(store, "Condition", ("patient", "pat-0004"), ("category", "encounter-diagnosis"))) >= 1

    def test_appointments_by_practitioner_and_date(self, store: Store):
        found = ids(store, "Appointment", ("practitioner", "pr-slp1"), ("date", "2026-03-12"), ("status", "noshow"))
        assert found == [f"{PLANTED['no-show']}-apt"]


class TestProfiles:
    @pytest.mark.parametrize(
        ("type_", "parameters", "word"),
        [
            ("Procedure", (("encounter", "enc-0002"),), "encounter"),
            ("Procedure", (("_lastUpdated", "ge2026"),), "_lastUpdated"),
            ("Procedure", (("date", "2026-03-12"),), "must name patient"),
            ("Coverage", (), "must name patient"),
            ("ChargeItem", (), "not served"),
            ("Encounter", (("practitioner", "x"),), "practitioner"),
            ("Encounter", (("_sort", "status"),), "sort"),
        ],
    )
    def test_the_certified_floor_refuses(self, store: Store, type_: str, parameters: tuple, word: str):
        with pytest.raises(SearchRefused, match=word):
            ids(store, type_, *parameters, profile=US_CORE)

    def test_a_patient_first_server_lists_nothing_without_a_patient(self, store: Store):
        with pytest.raises(SearchRefused):
            ids(store, "Encounter", ("date", "2026-03-12"), profile=PATIENT_FIRST)
        assert ids(store, "Encounter", ("patient", "pat-0002"), profile=PATIENT_FIRST) == ["enc-0002"]

    def test_a_lenient_server_ignores_what_it_does_not_know(self, store: Store):
        found = find(store, US_CORE, "Encounter", (("practitioner", "x"),), lenient=True)
        assert len(found) == len(DAY)

    @pytest.mark.parametrize("profile", [US_CORE, FULL, PATIENT_FIRST], ids=lambda profile: profile.name)
    def test_the_capability_statement_is_true(self, talk, store: Store, profile: Profile):
        """Every declared parameter is taken; every undeclared one is refused."""
        values = {"date": "2026", "_lastUpdated": "ge2026"}
        everything = {name for search in FULL.types.values() for name in search.takes}

        async def conversation(http):
            statement = (await http.get("/metadata")).json
            declared = {r["type"]: {p["name"] for p in r["searchParam"]} for r in statement["rest"][0]["resource"]}
            assert set(declared) == set(profile.types)
            for type_, names in declared.items():
                for name in everything:
                    asked = f"/{type_}?patient=pat-0001&" if "patient" in names and name != "patient" else f"/{type_}?"
                    answer = await http.get(f"{asked}{name}={values.get(name, 'x')}")
                    demanded = profile.types[type_].demands
                    if name in names and (not demanded or "patient" in names):
                        assert answer.status == 200, (type_, name, answer.body)
                    if name not in names:
                        assert answer.status == 400, (type_, name)

        talk(SandboxEmr(store, profile=profile), conversation)


def iso(moment_ms: int) -> str:
    from datetime import datetime

    return datetime.fromtimestamp(moment_ms / 1000, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def test_a_resource_is_served_with_the_bytes_that_were_stored(talk, store: Store):
    async def conversation(http):
        answer = await http.get("/Encounter/enc-0007")
        assert answer.body == store.body(store.get("Encounter", "enc-0007"))
        assert answer.headers["ETag"] == 'W/"1"'
        page = await http.get("/Encounter?_id=enc-0007")
        assert answer.body in page.body
        assert page.json["entry"][0]["fullUrl"] == f"{http.emr.base_url}/Encounter/enc-0007"
        assert (await http.get("/Encounter/none")).status == 404
        assert orjson.loads((await http.get("/Encounter?_summary=count")).body)["total"] == len(DAY)

    talk(SandboxEmr(store), conversation)


def test_a_deleted_resource_answers_410(talk):
    store = Store(clinic_day())
    store.delete("Encounter", "enc-0007")

    async def conversation(http):
        answer = await http.get("/Encounter/enc-0007")
        assert answer.status == 410 and answer.json["resourceType"] == "OperationOutcome"
        assert "enc-0007" not in (await http.get("/Encounter?_count=1000")).ids

    talk(SandboxEmr(store), conversation)
