"""The connectors against the sandbox EMR: a day, its faults, its late edits, and public data that nobody here wrote."""

from __future__ import annotations

import asyncio
from collections import Counter
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import orjson
import pytest
from ptbridge_sandbox.day import FATES
from ptbridge_sandbox.emr import SandboxEmr
from ptbridge_sandbox.faults import Fault, Faults
from ptbridge_sandbox.maker import clinic_day
from ptbridge_sandbox.search import PROFILES, anything
from ptbridge_sandbox.store import Store

from ptbridge.errors import PeerError
from ptbridge.plugins import connector
from ptbridge.sdk import FhirClient, Pulled, SourceClient
from ptbridge.wire.http import HttpClient
from ptbridge.wire.pacing import RetryPolicy

CORPUS = Path(__file__).parents[3] / "../shared/corpus/fhir"


class Emr:
    """One connector's pulls from one store; the server's clock is a field."""

    def __init__(self, tools: Any, *, profile: str = "full", name: str = "fhir_r4") -> None:
        self.module, self.zone = connector(name), tools.ZONE
        self.day = tools.EVENING.date()
        self.now = tools.EVENING.astimezone(UTC) + timedelta(hours=3)
        self.store = Store(clinic_day(self.day, self.zone), clock=lambda: self.now)
        self.profile = PROFILES[profile]
        self.faults = Faults()
        self.cursor: dict[str, str] = {}

    def pull(self, **more: Any) -> list[Pulled]:
        async def run() -> list[Pulled]:
            emr = SandboxEmr(self.store, profile=self.profile, faults=self.faults, page_size=20, largest_page=20)
            retry = RetryPolicy(attempts=3, first_backoff_seconds=0.001)
            async with emr, HttpClient(emr.base_url, retry=retry) as http:
                settings: dict[str, Any] = {"clock": self.clock, "time_zone": self.zone, **more}
                client = SourceClient(fhir=FhirClient(http, emr.base_url), clinic="a", source="emr", **settings)
                return [one async for one in self.module.pull(client, self.cursor)]

        pulled = asyncio.run(run())
        assert [one.cursor is not None for one in pulled] == [False] * (len(pulled) - 1) + [True]
        self.cursor = dict(pulled[-1].cursor or {})
        return pulled

    def clock(self) -> datetime:
        return self.now


def records(pulled: list[Pulled]) -> dict[str, str]:
    return {record.record_key: record.sha256 for one in pulled for record in one.records}


def test_both_kinds_of_server_give_the_same_payloads_of_the_whole_day(tools):
    full, floor = Emr(tools), Emr(tools, profile="us_core")
    assert records(full.pull()) == records(floor.pull())
    assert set(records(Emr(tools).pull())) == set(FATES)


@pytest.mark.parametrize("name", ["medplum", "openemr"])
def test_the_named_connectors_pull_the_whole_day(tools, name):
    assert set(records(Emr(tools, name=name).pull())) == set(FATES)


def test_a_server_that_wants_a_patient_first_gives_the_day_by_patient_list(tools):
    emr = Emr(tools, profile="patient_first")
    patients = tuple(emr.store.shelf("Patient").by_id)
    pulled = emr.pull(options={"discovery": "patients", "patients": patients})
    assert set(records(pulled)) == set(FATES)


def test_the_day_comes_by_its_appointments(tools):
    emr = Emr(tools, profile="us_core")
    practitioners = tuple(emr.store.shelf("Practitioner").by_id)
    pulled = emr.pull(options={"discovery": "appointments", "practitioners": practitioners})
    booked = {
        actor["actor"]["reference"].rpartition("/")[2]
        for identity in emr.store.shelf("Appointment").by_id
        for actor in emr.store.resource("Appointment", identity)["participant"]
    }
    expected = {
        identity
        for identity in emr.store.shelf("Encounter").by_id
        if emr.store.resource("Encounter", identity)["subject"]["reference"].rpartition("/")[2] in booked
    }
    assert set(records(pulled)) == expected != set()


def test_a_note_signed_later_and_minutes_edited_later_bring_exactly_those_visits(tools):
    emr = Emr(tools)
    emr.pull()
    emr.now += timedelta(hours=5)
    assert records(emr.pull()) == {}
    emr.store.sign_note("enc-0001")
    emr.store.edit_visit("enc-0002", {"97110": 31, "97140": 9}, bump_encounter=False)
    changed = set(records(emr.pull()))
    assert "enc-0001" in changed
    assert changed <= {"enc-0001", "enc-0002"}


def test_a_record_that_became_visible_late_is_found_by_the_overlap(tools):
    emr = Emr(tools, profile="us_core")
    emr.store.edit("Encounter", "enc-0003", lambda resource: None)
    emr.store.hide("Encounter", "enc-0003")
    emr.now += timedelta(seconds=60)
    assert "enc-0003" not in records(emr.pull())
    emr.now += timedelta(seconds=120)
    emr.store.reveal("Encounter", "enc-0003")
    assert "enc-0003" in records(emr.pull())


def test_a_deleted_visit_is_told_gone_by_the_daily_rescan(tools):
    emr = Emr(tools, profile="us_core")
    emr.pull()
    emr.store.delete("Encounter", "enc-0001")
    emr.now += timedelta(hours=30)
    pulled = emr.pull(recheck=("enc-0001", "enc-0002"))
    assert [gone for one in pulled for gone in one.gone] == ["enc-0001"]


@pytest.mark.parametrize("fault", [Fault.EMPTY_PAGE, Fault.EXPIRED_NEXT, Fault.TRUNCATED, Fault.HTML, Fault.OUTCOME_ENTRY])
def test_a_passing_fault_changes_nothing_of_what_arrives(tools, fault):
    calm, stormy = Emr(tools), Emr(tools)
    stormy.faults.plan(fault)
    assert records(stormy.pull()) == records(calm.pull())
    assert stormy.faults.happened[fault] == 1


@pytest.mark.parametrize("fault", [Fault.REPEATED_NEXT, Fault.FOREIGN_NEXT, Fault.SERVER_ERROR, Fault.BAD_REQUEST_OUTAGE])
def test_a_lasting_fault_moves_nothing_and_the_next_run_has_it_all(tools, fault):
    emr = Emr(tools)
    emr.faults.share[fault] = 1.0
    with pytest.raises(PeerError):
        emr.pull()
    assert emr.cursor == {}
    emr.faults.clear()
    assert set(records(emr.pull())) == set(FATES)


@pytest.mark.skipif(not CORPUS.is_dir(), reason="the shared corpus is not here")
@pytest.mark.parametrize("folder", ["hl7-r4-examples", "synthea-bulk-10"])
def test_public_data_goes_through_with_every_encounter_accounted_for(tools, folder):
    from ptbridge_sandbox.corpus import load_folder

    emr = Emr(tools)
    emr.store = Store()
    load_folder(emr.store, CORPUS / folder)
    emr.profile = anything(emr.store)
    pulled = emr.pull()
    found = records(pulled)
    encounters = {body["id"]: body for body in bodies(emr.store, "Encounter") if isinstance(body.get("id"), str)}
    assert set(found) == set(encounters)
    assert Counter(key for one in pulled for key in (record.record_key for record in one.records)).most_common(1)[0][1] == 1
    # A Procedure is in the payload of the visit that it names, and nowhere else.
    named = {body["id"]: body["encounter"]["reference"] for body in bodies(emr.store, "Procedure") if "encounter" in body}
    for record in (record for one in pulled for record in one.records):
        for resource in record.document:
            if resource["resourceType"] == "Procedure" and resource["id"] in named:
                assert named[resource["id"]].rpartition("/")[2] == record.record_key


def bodies(store: Store, kind: str) -> list[dict[str, Any]]:
    return [orjson.loads(store.body(entry)) for entry in store.shelf(kind).by_id.values()]
