"""D25, D29, D18: a restored state learns what the biller has, also of days that are held or gone by now, and may be stopped."""

from __future__ import annotations

import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import pytest

from ptbridge import jobs
from ptbridge.jobs import backup as backups
from ptbridge.ledger import Ledger
from tests import hl7_clinic as hl7
from tests.world import World

VISIT = "enc-0002"


def backup(world: World) -> Path:
    file = world.folder.parent / "a.backup"
    backups.backup(world.config, file)
    return file


def unsent(world: World) -> Path:
    """A backup of a ledger in which everything waits: the biller was away."""
    text = world.clinic_file.read_text("utf-8")
    world.clinic_file.write_text(text.replace(world.biller.base_url, "http://127.0.0.1:9"), "utf-8")
    world.sync()
    assert world.books()["charges"] == 0
    world.clinic_file.write_text(text, "utf-8")
    return backup(world)


def restore(world: World, file: Path) -> None:
    backups.restore(world.config, file, replace=True, actor="test")


def edited(world: World, **changes: Any) -> None:
    world.store.edit("Encounter", VISIT, lambda encounter: encounter.update(changes))


@pytest.mark.parametrize("corrected", [False, True])
def test_D25_what_was_sent_since_the_backup_and_is_in_error_now_is_taken_back(world: World, corrected: bool) -> None:
    file = unsent(world)
    world.sync()
    if corrected:
        world.store.edit_visit(VISIT, {"97112": 40}, bump_encounter=True)
        world.sync()
    before = world.books()
    restore(world, file)
    edited(world, status="entered-in-error")
    assert world.sync().exit_code == 3
    after = world.books()
    assert after["charges"] == before["charges"] - 1 and after["events"]["created"] == before["events"]["created"]
    world.agrees()


def test_D25_what_was_taken_back_since_the_backup_is_taken_back_once(world: World) -> None:
    """Corrected first, so that the void of now has another key than that of then; the biller answers that nothing is live."""
    world.sync()
    file = backup(world)
    world.store.edit_visit(VISIT, {"97112": 40}, bump_encounter=True)
    world.sync()
    edited(world, status="entered-in-error")
    world.sync()
    before = world.books()
    assert before["events"]["voided"] == 1
    restore(world, file)
    assert world.sync().exit_code == 3
    assert world.books()["events"] == before["events"]
    assert not [row for row in jobs.held(world.config) if VISIT in row["visits"]]
    world.agrees()


def test_D25_what_was_corrected_since_the_backup_and_is_held_now_is_known_as_the_biller_has_it(world: World) -> None:
    world.sync()
    file = backup(world)
    world.store.edit_visit(VISIT, {"97112": 40}, bump_encounter=True)
    world.sync()
    before = world.books()
    restore(world, file)
    edited(world, status="in-progress")
    assert world.sync().exit_code == 3
    assert world.books()["events"] == before["events"]
    world.agrees()
    (day,) = (row for row in jobs.held(world.config) if VISIT in row["visits"])
    assert [reason["code"] for reason in day["reasons"]] == ["DC03"]
    edited(world, status="finished")
    world.sync()
    assert world.books()["charges"] == before["charges"]
    world.agrees()


def test_D25_what_was_corrected_since_the_backup_and_is_as_before_again_is_corrected_again(world: World) -> None:
    """The ledger has this content as live, and the biller another: `unchanged` would be a stale charge."""
    world.sync()
    original = world.books()
    file = backup(world)
    minutes = {"97112": 40}
    at_first = documented(world)
    world.store.edit_visit(VISIT, minutes, bump_encounter=True)
    world.sync()
    assert world.books()["units"] > original["units"]
    restore(world, file)
    world.store.edit_visit(VISIT, at_first, bump_encounter=True)
    world.sync()
    after = world.books()
    assert [after[name] for name in ("charges", "units", "amount_cents")] == [
        original[name] for name in ("charges", "units", "amount_cents")
    ]
    world.agrees()


def documented(world: World) -> dict[str, int]:
    (entry,) = (
        world.store.resource("Procedure", one.id)
        for one in world.store.shelf("Procedure").by_encounter[VISIT]
        if world.store.resource("Procedure", one.id)["code"]["coding"][0]["code"] == "97112"
    )
    (minutes,) = (one["valueQuantity"]["value"] for one in entry["extension"] if one["url"].endswith("/minutes"))
    return {"97112": int(minutes)}


def test_D25_what_the_biller_has_and_nothing_was_made_of_waits_for_a_person(world: World) -> None:
    """Sent since the backup and in error now, of a visit that the backup never saw: nothing here can name what to take back."""
    with Ledger.open(world.folder / "state"):
        pass
    file = backup(world)
    world.sync()
    before = world.books()
    restore(world, file)
    edited(world, status="entered-in-error")
    world.sync()
    assert world.books()["events"] == before["events"]
    (day,) = (row for row in jobs.held(world.config) if VISIT in row["visits"])
    assert "restored from a backup" in day["reasons"][0]["message"]
    world.sync()
    assert [row["id"] for row in jobs.held(world.config)].count(day["id"]) == 1
    jobs.release(world.config, day["id"], "the biller took it out", actor="owner")
    world.sync()
    assert not [row for row in jobs.held(world.config) if VISIT in row["visits"]]


@pytest.mark.parametrize("way", ["retry", "emr-away"])
def test_D25_a_restored_state_sends_nothing_before_it_has_read_the_emr_again(world: World, way: str) -> None:
    """What the biller has is newer than the notes of the backup's time: a correction to those would be a stale charge (D18)."""
    world.sync()
    file = backup(world)
    world.store.edit_visit(VISIT, {"97112": 40}, bump_encounter=True)
    world.sync()
    before = world.books()
    restore(world, file)
    if way == "retry":
        (report,) = jobs.retry(world.config)
    else:
        text = world.clinic_file.read_text("utf-8")
        world.clinic_file.write_text(text.replace(world.emr.base_url, "http://127.0.0.1:9/fhir"), "utf-8")
        report = world.sync()
        world.clinic_file.write_text(text, "utf-8")
    assert report.exit_code == 5 and any("the EMR was not read since" in error for error in report.errors)
    assert world.books()["events"] == before["events"]
    world.sync()
    after = world.books()
    assert [after[name] for name in ("charges", "units", "amount_cents")] == [
        before[name] for name in ("charges", "units", "amount_cents")
    ]
    world.agrees()
    (again,) = jobs.retry(world.config)
    assert not again.errors


def test_D25_messages_since_the_backup_are_lost_so_what_they_changed_waits_until_they_come_again(tmp_path: Path) -> None:
    """An EMR that sends messages cannot be read again: a correction to what the backup knows would undo theirs (D18)."""
    credit = hl7.dft("V1-C", hl7.charge(1, "97140", "1", "23", id_="V1-T2", kind="CR"), at="20261119100000-0600")
    with hl7.lakeside(tmp_path / "config") as clinic:
        clinic.receive(*hl7.a_visit("V1"), *hl7.a_visit("V2", "M200"))
        clinic.sync()
        file = tmp_path / "a.backup"
        backups.backup(clinic.config, file)
        clinic.receive(credit)
        clinic.sync()
        before = clinic.live()
        assert before["events"]["replaced"] == 1
        backups.restore(clinic.config, file, replace=True, actor="test")
        assert clinic.sync().exit_code == 3
        assert clinic.live()["events"] == before["events"], "the biller keeps what the lost message said"
        assert clinic.day("V1")["state"] == "held" and clinic.day("V2")["state"] == "sent"
        clinic.receive(credit)
        clinic.sync()
        assert clinic.day("V1")["state"] == "sent" and not clinic.held()
        after = clinic.live()
        assert after["events"] == before["events"] and after["amount_cents"] == before["amount_cents"]
        assert jobs.reconcile(clinic.config)[hl7.CLINIC]["agrees"]


# ---------------------------------------------------------------- stopped while it settles


@contextmanager
def silent_about_charges(target: str) -> Iterator[tuple[str, threading.Event]]:
    """A proxy before the biller that never answers a question about charges; the event is set when one was asked."""
    host, port = target.removeprefix("http://").split(":")
    listener, asked = socket.create_server(("127.0.0.1", 0)), threading.Event()

    def copy(source: socket.socket, sink: socket.socket, questions: bool) -> None:
        with suppress(OSError):
            while data := source.recv(65536):
                if questions and data.startswith(b"GET /v1/charges"):
                    asked.set()
                    continue
                sink.sendall(data)

    def accept() -> None:
        with suppress(OSError):
            while True:
                client, _ = listener.accept()
                server = socket.create_connection((host, int(port)))
                for words in ((client, server, True), (server, client, False)):
                    threading.Thread(target=copy, args=words, daemon=True).start()

    threading.Thread(target=accept, daemon=True).start()
    try:
        yield f"http://127.0.0.1:{listener.getsockname()[1]}", asked
    finally:
        listener.close()


def test_D29_a_stop_while_a_restored_state_is_settled_ends_the_run_and_sends_nothing(world: World) -> None:
    file = unsent(world)
    world.sync()
    before = world.books()
    restore(world, file)
    text = world.clinic_file.read_text("utf-8")
    with silent_about_charges(world.biller.base_url) as (address, asked):
        world.clinic_file.write_text(text.replace(world.biller.base_url, address), "utf-8")
        command = [sys.executable, "-m", "ptbridge", "sync", "--config", str(world.folder)]
        with subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as run:
            assert asked.wait(timeout=120), "it never asked the biller what it has"
            run.send_signal(signal.SIGTERM)
            assert run.wait(timeout=10) == 130
    world.clinic_file.write_text(text, "utf-8")
    assert world.books()["events"] == before["events"]
    world.sync()
    assert world.books()["events"] == before["events"]
    world.agrees()


def test_D18_an_edit_of_what_was_being_sent_at_a_crash_goes_with_the_run_that_settles_it(world: World) -> None:
    """Nothing else changed: the run has nothing to judge until it knows what became of the day."""
    world.sync()
    with Ledger.open(world.folder / "state") as ledger:
        (day,) = ledger.days.named(VISIT)
        ledger._connection.execute("UPDATE submission SET state = 'sending', open = 1 WHERE day_id = ?", (day.id,))
    before = world.books()
    world.store.edit_visit(VISIT, {"97112": 40}, bump_encounter=True)
    world.sync()
    assert world.books()["units"] > before["units"] and world.books()["events"]["replaced"] == 1
    world.agrees()
