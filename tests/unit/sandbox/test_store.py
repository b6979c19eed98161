"""The sandbox EMR's database: versions, late edits, deletions, and lazily made visits."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import orjson
import pytest
from ptbridge_sandbox.day import PLANTED
from ptbridge_sandbox.fhir_time import milliseconds
from ptbridge_sandbox.maker import Scale, clinic_day
from ptbridge_sandbox.store import Store

NOON = datetime(2026, 3, 13, 12, tzinfo=UTC)


@pytest.fixture
def store() -> Store:
    return Store(clinic_day(), clock=lambda: NOON)


def updated(store: Store, type_: str, id_: str) -> tuple[int, int]:
    entry = store.get(type_, id_)
    assert entry is not None
    return entry.version, entry.updated


def test_an_edit_moves_version_and_last_updated_on(store: Store):
    before = updated(store, "Procedure", "enc-0002-p1")
    store.edit("Procedure", "enc-0002-p1", lambda resource: resource.update(status="not-done"))
    version, moment = updated(store, "Procedure", "enc-0002-p1")
    assert (version, moment) == (before[0] + 1, milliseconds(NOON))
    meta = store.resource("Procedure", "enc-0002-p1")["meta"]
    assert meta == {"versionId": "2", "lastUpdated": "2026-03-13T12:00:00.000Z"}
    assert store.shelf("Procedure").by_updated[-1].id == "enc-0002-p1"


def test_two_writes_at_one_instant_get_different_times(store: Store):
    for id_ in ("enc-0002-p1", "enc-0003-p1"):
        store.edit("Procedure", id_, lambda resource: None)
    moments = [updated(store, "Procedure", id_)[1] for id_ in ("enc-0002-p1", "enc-0003-p1")]
    assert moments == [milliseconds(NOON), milliseconds(NOON) + 1]


def test_a_changed_child_does_not_touch_its_encounter(store: Store):
    before = updated(store, "Encounter", "enc-0002")
    store.edit("Procedure", "enc-0002-p1", lambda resource: None)
    store.sign_note("enc-0002")
    assert updated(store, "Encounter", "enc-0002") == before


def test_sign_note(store: Store):
    encounter_id = PLANTED["unsigned-note"]
    store.sign_note(encounter_id)
    note = store.resource("DocumentReference", f"{encounter_id}-note")
    assert note["docStatus"] == "final" and note["authenticator"] == note["author"][0]
    assert updated(store, "DocumentReference", f"{encounter_id}-note") == (2, milliseconds(NOON))


def minutes_and_totals(store: Store, encounter_id: str) -> tuple[list[int | None], dict[str, int]]:
    def facts(resource: dict) -> dict[str, object]:
        return {
            e["url"].rpartition("/")[2]: e.get("valueInteger", e.get("valueQuantity", {}).get("value"))
            for e in resource["extension"]
        }

    lines = [facts(store.resource("Procedure", e.id)) for e in store.shelf("Procedure").by_encounter[encounter_id]]
    totals = facts(store.resource("Encounter", encounter_id))
    return [line.get("minutes") for line in lines], {k: v for k, v in totals.items() if k.endswith("-total")}


def test_a_late_edit_of_minutes_keeps_the_totals_right(store: Store):
    store.edit_visit("enc-0008", {"97110": 40})  # was 97110=30 97140=15 G0283=15
    assert minutes_and_totals(store, "enc-0008") == (
        [40, 15, 15],
        {"timed-minutes-total": 55, "treatment-minutes-total": 70},
    )
    assert updated(store, "Encounter", "enc-0008")[0] == 2
    urls = [extension["url"] for extension in store.resource("Procedure", "enc-0008-p1")["extension"]]
    assert not any(url.endswith("/units") for url in urls), "the EMR's own count is stale"


def test_minutes_that_were_missing_can_be_added(store: Store):
    store.edit_visit(PLANTED["without-minutes"], {"97110": 30, "97140": 15})
    assert minutes_and_totals(store, PLANTED["without-minutes"]) == (
        [30, 15],
        {"timed-minutes-total": 45, "treatment-minutes-total": 45},
    )


def test_an_encounter_can_stay_unbumped_while_its_totals_change(store: Store):
    before = updated(store, "Encounter", "enc-0008")
    store.edit_visit("enc-0008", {"97110": 40}, bump_encounter=False)
    assert updated(store, "Encounter", "enc-0008") == before
    assert minutes_and_totals(store, "enc-0008")[1]["timed-minutes-total"] == 55


def test_delete_leaves_a_tombstone(store: Store):
    store.delete("Encounter", "enc-0005")
    assert store.get("Encounter", "enc-0005") is None
    assert ("Encounter", "enc-0005") in store.tombstones
    assert all(entry.id != "enc-0005" for entry in store.shelf("Encounter").by_updated)


def test_hidden_until_revealed_with_the_old_last_updated(store: Store):
    before = updated(store, "Encounter", "enc-0005")
    store.hide("Encounter", "enc-0005")
    assert store.get("Encounter", "enc-0005") is None
    store.reveal("Encounter", "enc-0005")
    assert updated(store, "Encounter", "enc-0005") == before


def test_a_resource_stored_again_takes_the_place_of_the_first(store: Store):
    count = len(store)
    store.add({**store.resource("Encounter", "enc-0005"), "status": "cancelled"})
    assert len(store) == count
    assert [e.status for e in store.shelf("Encounter").by_updated if e.id == "enc-0005"] == ["cancelled"]


def test_a_resource_without_meta_is_written_now(store: Store):
    store.add({"resourceType": "Encounter", "id": "new", "status": "planned"})
    assert updated(store, "Encounter", "new") == (1, milliseconds(NOON))
    assert store.resource("Encounter", "new")["meta"]["versionId"] == "1"


class TestLazyVisits:
    def test_bytes_are_what_the_index_says(self):
        store = Store()
        store.add_visits(Scale(300, days=20))
        for shelf in store.shelves.values():
            for entry in shelf.by_id.values():
                made = orjson.loads(store.body(entry))
                assert (made["resourceType"], made["id"]) == (entry.type, entry.id)
                eager = Store([made]).get(entry.type, entry.id)
                assert eager is not None
                assert (eager.patient, eager.encounters, eager.status) == (entry.patient, entry.encounters, entry.status)
                assert (eager.updated, eager.version) == (entry.updated, entry.version)
                if entry.type in ("Encounter", "Appointment"):
                    assert eager.start <= entry.start < entry.end <= eager.end + timedelta(minutes=1).total_seconds() * 1000

    def test_an_edited_one_is_kept(self):
        store = Store()
        store.add_visits(Scale(20, days=2))
        store.edit_visit("v0000003", {"97110": 44})
        assert any(e.get("valueQuantity", {}).get("value") == 44 for e in _extensions_of(store, "v0000003"))
        assert updated(store, "Encounter", "v0000003")[0] == 2


def _extensions_of(store: Store, encounter_id: str) -> list[dict]:
    entries = store.shelf("Procedure").by_encounter[encounter_id]
    return [extension for entry in entries for extension in store.resource("Procedure", entry.id)["extension"]]
