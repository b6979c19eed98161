"""The main job end to end, as the night runs it: real EMR and biller on loopback, a real ledger, counted from both sides."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from ptbridge_sandbox.day import FATES, PLANTED

from ptbridge import jobs
from ptbridge.errors import ConfigError, LedgerBusy
from ptbridge.ledger import Ledger
from tests.world import World, running

CORPUS = Path(__file__).parents[2].parent / "shared" / "corpus" / "fhir"


def held_by_visit(world: World) -> dict[str, set[str]]:
    """Visit id -> the codes that hold it."""
    found: dict[str, set[str]] = {}
    for row in jobs.held(world.config):
        for visit in row["visits"]:
            found[visit] = {reason["code"] for reason in row["reasons"]}
    return found


def ptbridge(world: World, *words: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "ptbridge", *words, "--config", str(world.folder)]
    return subprocess.run(command, capture_output=True, text=True, timeout=60)


def rescan(world: World) -> None:
    """Forget when the last look-back re-scan was, as if a day had passed."""
    with Ledger.open(world.folder / "state") as ledger:
        ledger._connection.execute("DELETE FROM cursor WHERE name LIKE '%rescan%'")


def test_every_visit_ends_where_it_was_planted_and_the_biller_agrees_to_the_cent(world: World) -> None:
    report = world.sync()
    expected = {fate: sum(1 for value in FATES.values() if value == fate) for fate in ("sent", "held", "excluded")}
    assert {fate: count for fate, count in report.visits.items() if count} == expected
    assert report.pulled_visits == len(FATES) == sum(report.visits.values())
    assert sum(report.lines.values()) == report.pulled_lines
    assert set(held_by_visit(world)) == {visit for visit, fate in FATES.items() if fate == "held"}
    books = world.books()
    assert (books["units"], books["amount_cents"]) == (report.units_sent, report.amount_cents_sent)
    assert report.biller is not None and report.biller["agrees"]
    assert report.exit_code == 3
    world.agrees()


def test_two_visits_of_one_day_are_counted_as_one_pool(world: World) -> None:
    world.sync()
    (day,) = jobs.explain(world.config, PLANTED["same-day-first"])["days"]
    assert [visit["visit_id"] for visit in day["visits"]] == [PLANTED["same-day-first"], PLANTED["same-day-second"]]
    assert [line["line"] for line in day["lines"]] == ["97110-GP x2 @20", "97112-GP x1 @18"]
    assert "20 of 38 timed minutes" in day["lines"][0]["because"][0]


def test_a_visit_after_midnight_utc_keeps_the_clinics_civil_day(world: World) -> None:
    world.sync()
    (day,) = jobs.explain(world.config, PLANTED["after-midnight-utc"])["days"]
    assert day["service_date"] == "2026-11-19" and day["state"] == "sent"


def test_a_second_run_sends_nothing_and_a_full_reread_changes_nothing(world: World) -> None:
    world.sync()
    before = world.books()
    assert world.sync().pulled_visits < len(FATES)
    rescan(world)
    again = world.sync()
    assert again.pulled_visits >= len(FATES) - 3 and again.visits["sent"] == 0
    assert again.visits["unchanged"] == sum(1 for fate in FATES.values() if fate == "sent")
    assert world.books()["events"] == before["events"]


def test_a_dry_run_shows_what_would_go_and_keeps_nothing(world: World) -> None:
    report = world.sync(dry_run=True)
    assert len(report.would_send) == 56 and world.books()["charges"] == 0
    with Ledger.open(world.folder / "state", write=False) as ledger:
        assert ledger.accounts.days_by_state("riverside-pt") == {}
        assert ledger.cursor("riverside-pt", "fhir_r4") == {}
    assert world.sync().visits["sent"] == 57


def test_an_unmapped_code_names_word_and_file_and_goes_by_itself_once_mapped(world: World) -> None:
    world.sync()
    visit = PLANTED["unknown-code"]
    (row,) = (row for row in jobs.held(world.config) if visit in row["visits"])
    assert "KT-TAPE" in row["reasons"][0]["message"] and "riverside-pt.yaml" in row["reasons"][0]["fix"]
    with world.mapping_file.open("a", encoding="utf-8") as file:
        file.write('\nlookups:\n  services:\n    "https://sandbox.ptbridge.dev/fhir/local-service|KT-TAPE": not-billable\n')
    world.sync()
    (day,) = jobs.explain(world.config, visit)["days"]
    assert day["state"] == "sent" and [line["procedure"] for line in day["lines"]] == ["97110"]
    assert [exclusion["rule"] for exclusion in day["exclusions"]] == ["not-billable"]
    world.agrees()


def test_a_note_signed_later_goes_with_the_next_run(world: World) -> None:
    world.sync()
    world.store.sign_note(PLANTED["unsigned-note"])
    world.sync()
    assert PLANTED["unsigned-note"] not in held_by_visit(world)
    world.agrees()


def test_minutes_edited_after_sending_replace_what_the_biller_has(world: World) -> None:
    world.sync()
    before = world.books()
    world.store.edit_visit("enc-0002", {"97112": 40}, bump_encounter=False)
    world.sync()
    (day,) = jobs.explain(world.config, "enc-0002")["days"]
    assert [(row["frequency"], row["state"]) for row in day["submissions"]] == [("1", "accepted"), ("7", "accepted")]
    assert world.books()["charges"] == before["charges"] and world.books()["units"] > before["units"]
    world.agrees()


def test_a_visit_entered_in_error_after_sending_is_voided(world: World) -> None:
    world.sync()
    before = world.books()
    world.store.edit("Encounter", "enc-0003", lambda encounter: encounter.update(status="entered-in-error"))
    world.sync()
    (day,) = jobs.explain(world.config, "enc-0003")["days"]
    assert day["state"] == "voided" and [row["frequency"] for row in day["submissions"]] == ["1", "8"]
    assert world.books()["charges"] == before["charges"] - 1
    world.agrees()


def test_a_visit_deleted_at_the_source_is_voided(world: World) -> None:
    world.sync()
    before = world.books()
    world.store.delete("Encounter", "enc-0004")
    rescan(world)
    world.sync()
    assert world.books()["charges"] == before["charges"] - 1
    world.agrees()


def test_a_sent_visit_that_can_no_longer_be_billed_is_held_and_the_biller_keeps_what_it_has(world: World) -> None:
    world.sync()
    before = world.books()
    world.store.edit_visit("enc-0002", {"97112": 24}, bump_encounter=True)
    for note in [r for r in _resources(world, "DocumentReference") if _of(r, "enc-0002")]:
        world.store.edit("DocumentReference", note["id"], lambda resource: resource.update(docStatus="preliminary"))
    world.sync()
    assert "DC01" in held_by_visit(world)["enc-0002"]
    assert world.books()["charges"] == before["charges"]


def _resources(world: World, kind: str) -> list[dict[str, Any]]:
    return [world.store.resource(kind, entry.id) for entry in world.store.shelf(kind).by_updated]


def _of(resource: dict[str, Any], encounter: str) -> bool:
    return resource["context"]["encounter"][0]["reference"].endswith(f"/{encounter}")


def test_a_release_needs_a_reason_holds_for_this_content_and_is_kept(world: World) -> None:
    world.sync()
    visit = PLANTED["unsigned-note"]
    with pytest.raises(ConfigError, match="reason"):
        jobs.release(world.config, visit, " ")
    jobs.release(world.config, visit, "paper signature on file", actor="owner")
    world.sync()
    (day,) = jobs.explain(world.config, visit)["days"]
    assert day["state"] == "sent" and day["decision"]["reason"] == "paper signature on file"
    world.store.edit_visit(visit, {"97110": 45})
    world.sync()
    assert held_by_visit(world)[visit] >= {"DC01"}


def test_what_cannot_be_right_cannot_be_released(world: World) -> None:
    world.sync()
    for problem in ("without-minutes", "unknown-code"):
        with pytest.raises(ConfigError, match="cannot be released"):
            jobs.release(world.config, PLANTED[problem], "send it anyway")


def test_an_excluded_day_is_never_billed_and_counts_as_excluded(world: World) -> None:
    world.sync()
    visit = PLANTED["missing-member-id"]
    jobs.exclude(world.config, visit, "the patient paid cash")
    world.sync()
    (day,) = jobs.explain(world.config, visit)["days"]
    assert (day["state"], day["reason"]) == ("excluded", "excluded-by-person")
    world.agrees()


@pytest.mark.usefixtures("retried_at_once")
def test_a_biller_that_loses_answers_gets_every_charge_once(world: World) -> None:
    world.biller.faults.lose_answer = 0.3
    report = world.sync()
    assert report.delivery["doubts"] > 0
    world.biller.faults.lose_answer = 0.0
    jobs.retry(world.config)
    assert world.books()["charges"] == 56
    world.agrees()


def test_a_biller_that_is_away_leaves_everything_queued_for_the_next_run(world: World) -> None:
    text = world.clinic_file.read_text()
    world.clinic_file.write_text(text.replace(world.biller.base_url, "http://127.0.0.1:9"))
    report = world.sync()
    assert report.visits["queued"] == 57 and report.exit_code == 5 and report.errors
    world.clinic_file.write_text(text)
    assert world.sync().submissions_sent == 56
    world.agrees()


def test_a_refused_charge_is_held_alone_and_goes_after_a_retry(world: World) -> None:
    world.biller.faults.refuse = lambda document: any(line["procedure"] == "97150" for line in document["lines"])
    report = world.sync()
    assert report.visits["held"] == 6 + 3
    rejected = [row for row in jobs.held(world.config) if row["reasons"][0]["code"] == "SB03"]
    assert len(rejected) == 3 and "rejected" in rejected[0]["reasons"][0]["message"]
    world.biller.faults.refuse = 0.0
    jobs.retry(world.config)
    assert world.books()["charges"] == 56
    world.agrees()


def test_an_emr_that_fails_half_way_moves_no_cursor_and_loses_nothing(world: World) -> None:
    world.emr.faults.plan = None
    config = world.config
    broken = world.clinic_file.read_text()
    world.clinic_file.write_text(broken.replace("/fhir", "/nothing-here"))
    report = world.sync()
    assert report.exit_code == 5 and report.pulled_visits == 0
    with Ledger.open(config.state, write=False) as ledger:
        assert ledger.cursor("riverside-pt", "fhir_r4") == {}
    world.clinic_file.write_text(broken)
    assert world.sync().visits["sent"] == 57


def test_a_second_process_on_the_same_state_is_refused_with_its_own_exit_code(world: World) -> None:
    with Ledger.open(world.folder / "state"):
        with pytest.raises(LedgerBusy):
            world.sync()
        refused = ptbridge(world, "sync")
    assert refused.returncode == 7 and "another ptbridge" in refused.stderr


@pytest.mark.parametrize("after_seconds", [0.7, 1.0, 1.3, 1.6])
def test_killed_at_any_moment_and_run_again_nothing_is_lost_or_doubled(world: World, after_seconds: float) -> None:
    world.biller.faults.answer_delay_seconds = 0.02
    command = [sys.executable, "-m", "ptbridge", "sync", "--config", str(world.folder)]
    with subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as run:
        time.sleep(after_seconds)
        run.send_signal(signal.SIGKILL)
        run.wait()
    world.biller.faults.answer_delay_seconds = 0.0
    world.sync()
    assert world.books()["charges"] == 56
    world.agrees()


def test_no_patient_data_in_logs_output_or_messages(world: World) -> None:
    done = ptbridge(world, "sync")
    said = done.stdout + done.stderr + ptbridge(world, "held").stdout + ptbridge(world, "status").stdout
    said += "".join(path.read_text() for path in (world.folder / "state" / "logs").iterdir())
    said += "".join(path.read_text() for path in (world.folder / "state" / "reports").iterdir())
    markers = set()
    for patient in _resources(world, "Patient"):
        markers |= {patient["name"][0]["family"], patient["birthDate"], patient["identifier"][0]["value"]}
    for coverage in _resources(world, "Coverage"):
        markers.add(coverage.get("subscriberId", "no-such-member"))
    assert len(markers) > 100
    assert not [marker for marker in markers if marker in said]


@pytest.mark.skipif(not CORPUS.is_dir(), reason="the public corpus is not here")
@pytest.mark.parametrize("name", ["hl7-r4-examples", "synthea-bulk-10"])
def test_the_public_corpus_goes_through_without_a_crash_or_an_invented_charge(tmp_path: Path, name: str) -> None:
    from ptbridge_sandbox.corpus import load_folder
    from ptbridge_sandbox.store import Store

    store = Store()
    load_folder(store, CORPUS / name)
    with running(tmp_path / "config", store) as world:
        report = world.sync()
        assert report.errors == []
        assert report.pulled_visits == sum(report.visits.values()) > 0
        assert world.books()["charges"] == 0 and report.visits["sent"] == 0


def test_mode_of_everything_written_is_the_owners(world: World) -> None:
    before = os.umask(0)
    try:
        world.sync()
    finally:
        os.umask(before)
    for path in (world.folder / "state").rglob("*"):
        assert path.stat().st_mode & 0o077 == 0, path


def test_a_moved_config_folder_goes_on_where_it_was(world: World, tmp_path: Path) -> None:
    world.sync()
    before = world.books()["events"]
    shutil.move(world.folder, tmp_path / "elsewhere")
    world.folder = tmp_path / "elsewhere"
    world.sync()
    assert world.books()["events"] == before


def test_progress_counts_what_is_done(world: World) -> None:
    seen: list[tuple[str, int]] = []
    progress: Callable[[str, int], None] = lambda what, count: seen.append((what, count))  # noqa: E731
    world.sync(progress=progress)
    assert ("pulling", 66) in seen and ("sending", 56) in seen


def test_what_is_not_ready_by_the_clinics_table_is_held_and_goes_once_it_is(world: World) -> None:
    text = world.clinic_file.read_text()
    table = "  options:\n    ready_when: {DocumentReference.docStatus: [amended]}\n"
    world.clinic_file.write_text(text.replace("destination:\n", f"{table}destination:\n", 1))
    report = world.sync()
    assert report.visits["sent"] == 0
    assert all("DC12" in codes for codes in held_by_visit(world).values())
    world.clinic_file.write_text(text)
    assert world.sync().submissions_sent == 56
    world.agrees()


def test_sigterm_ends_in_order_and_the_next_run_goes_on(world: World) -> None:
    world.biller.faults.answer_delay_seconds = 0.3
    command = [sys.executable, "-m", "ptbridge", "sync", "--config", str(world.folder)]
    with subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as run:
        while world.biller.summary()["charges"] < 5:
            time.sleep(0.01)
        run.send_signal(signal.SIGTERM)
        assert run.wait(timeout=20) == 130
    assert 5 <= world.books()["charges"] < 56
    world.biller.faults.answer_delay_seconds = 0.0
    world.sync()
    assert world.books()["charges"] == 56
    world.agrees()


def test_a_payer_is_known_by_its_id_or_its_name_and_never_by_two_policies(world: World) -> None:
    text = world.clinic_file.read_text()
    world.clinic_file.write_text(text.replace("ids: [MCR-B]", 'ids: ["Medicare Part B"]'))
    assert world.sync().submissions_sent == 56
    world.clinic_file.write_text(text.replace("ids: [ACME]", "ids: [ACME, MCR-B]"))
    with pytest.raises(ConfigError, match="is already in payers"):
        world.sync()


def test_a_fault_of_ours_holds_one_day_and_the_others_go_on(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    from ptbridge import pipeline

    price = pipeline.price

    def failing(coded: Any, fees: Any) -> Any:
        if any(line.procedure == "97150" for line in coded.lines):
            raise ZeroDivisionError("Testerly")
        return price(coded, fees)

    monkeypatch.setattr(pipeline, "price", failing)
    report = world.sync()
    assert report.visits["sent"] == 57 - 3
    assert sorted(codes for codes in map(sorted, held_by_visit(world).values()) if codes == ["ED90"]) == [["ED90"]] * 3
    said = "".join(path.read_text() for path in (world.folder / "state" / "logs").iterdir())
    assert "ZeroDivisionError" in said and "Testerly" not in said


def test_a_fault_of_ours_in_reading_quarantines_one_record(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    from ptbridge.jobs import reading

    normalize = reading.normalize

    def failing(record: Any, kit: Any) -> Any:
        if record.record_key == "enc-0002":
            raise KeyError("Testerly")
        return normalize(record, kit)

    monkeypatch.setattr(reading, "normalize", failing)
    report = world.sync()
    assert report.visits["quarantined"] == 1 and report.visits["sent"] == 56
    assert "KeyError" in report.quarantined[0]["reason"] and "Testerly" not in report.quarantined[0]["reason"]


def test_the_emrs_own_units_are_kept_beside_ours_with_the_difference_in_dollars(world: World) -> None:
    world.sync()
    (day,) = jobs.explain(world.config, PLANTED["units-disagree"])["days"]
    assert day["emr_differs"] == [{"procedure": "97530", "billed": 2, "emr": 3, "difference_cents": -5275}]
    said = ptbridge(world, "explain", PLANTED["units-disagree"]).stdout
    assert "97530: 2 units here, 3 in the EMR, -$52.75 against the EMR" in said
    (day,) = jobs.explain(world.config, "enc-0002")["days"]
    assert day["emr_differs"] == []


def test_an_old_decision_does_not_name_a_later_exclusion(world: World) -> None:
    world.sync()
    visit = PLANTED["unsigned-note"]
    jobs.exclude(world.config, visit, "not ours")
    world.store.edit("Encounter", visit, lambda encounter: encounter.update(status="cancelled"))
    world.sync()
    (day,) = jobs.explain(world.config, visit)["days"]
    assert (day["state"], day["reason"]) == ("excluded", "cancelled")


def test_a_held_visit_counts_as_held_even_when_no_line_of_it_would_be_billed(world: World) -> None:
    units = "https://sandbox.ptbridge.dev/fhir/units"
    nothing: dict[str, Any] = {"extension": [{"url": units, "valueInteger": 0}]}
    for number in (1, 2):
        world.store.edit("Procedure", f"enc-0002-p{number}", lambda one: (one.update(nothing), one.pop("performedPeriod")))
    world.store.edit("Encounter", "enc-0002", lambda one: one.pop("extension"))
    report = world.sync()
    assert held_by_visit(world)["enc-0002"]
    assert report.visits["held"] == len(held_by_visit(world)) == 7 and report.visits["excluded"] == 3
