"""SFTP end to end: a clinic whose EMR and biller both pass files through real SSH servers on loopback."""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from hashlib import sha256
from pathlib import Path
from typing import Any

import pytest
import yaml
from ptbridge_sandbox.sftp_server import PASSWORD, USER, SftpSandbox

from ptbridge import jobs
from ptbridge.cli import checks
from ptbridge.inbox import ClinicInbox
from ptbridge.wire.sftp_folders import staged_name
from tests.hl7_clinic import CLINIC, Hl7World, a_visit, dft, lakeside

OLD = 1_790_000_000  # long before the test, so that a file counts as complete


@contextmanager
def serving(folder: Path) -> Iterator[SftpSandbox]:
    """The server, in a thread of its own."""
    folder.mkdir()
    loop = asyncio.new_event_loop()
    sandbox = SftpSandbox(folder)
    thread = threading.Thread(target=loop.run_forever, daemon=True)
    thread.start()

    def there(coroutine: Any) -> Any:
        return asyncio.run_coroutine_threadsafe(coroutine, loop).result(timeout=30)

    there(sandbox.start())
    try:
        yield sandbox
    finally:
        there(sandbox.stop())
        there(asyncio.sleep(0.05))
        loop.call_soon_threadsafe(loop.stop)
        thread.join()
        loop.close()


@pytest.fixture
def clinic(tmp_path: Path) -> Iterator[Hl7World]:
    with lakeside(tmp_path / "config") as one:
        secret = one.world.folder / "secrets" / "sftp"
        secret.write_text(PASSWORD, "utf-8")
        secret.chmod(0o600)
        yield one


@pytest.fixture
def server(tmp_path: Path) -> Iterator[SftpSandbox]:
    with serving(tmp_path / "server") as one:
        yield one


def auth(server: SftpSandbox) -> dict[str, Any]:
    return {"method": "ssh_password", "user": USER, "secret": "file:secrets/sftp", "host_keys": [server.fingerprint]}


def change(clinic: Hl7World, section: str, **values: Any) -> None:
    file = yaml.safe_load(clinic.clinic_file.read_text("utf-8"))
    file[section] = {**file[section], **values}
    clinic.clinic_file.write_text(yaml.safe_dump(file), "utf-8")


def from_server(clinic: Hl7World, server: SftpSandbox, **options: str) -> Path:
    """The clinic's messages come from the server's folder `out`."""
    (server.folder / "out").mkdir()
    address = f"sftp://127.0.0.1:{server.port}/out"
    change(clinic, "source", auth=auth(server), options={"drop_folder": address, **options})
    return server.folder / "out"


def to_server(clinic: Hl7World, server: SftpSandbox, platform: str, **options: str) -> Path:
    """The clinic's charges go to the server's folder `in`."""
    (server.folder / "in").mkdir()
    file = yaml.safe_load(clinic.clinic_file.read_text("utf-8"))
    address = f"sftp://127.0.0.1:{server.port}/in"
    file["destination"] = {"platform": platform, "base_url": address, "auth": auth(server), "options": options}
    clinic.clinic_file.write_text(yaml.safe_dump(file), "utf-8")
    return server.folder / "in"


def put(path: Path, content: bytes, *, at: int = OLD) -> None:
    path.write_bytes(content)
    os.utime(path, (at, at))


def names(folder: Path) -> list[str]:
    return sorted(str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file())


def retried(clinic: Hl7World) -> str:
    """The day's state once its waiting time is over and it was tried again."""
    for _ in range(60):
        jobs.retry(clinic.config, CLINIC)
        if (state := str(clinic.day()["state"])) not in ("queued", "in-doubt", "ready"):
            return state
        time.sleep(0.1)
    return state


# ---------------------------------------------------------------- files that come in


def test_files_on_a_server_are_taken_whole_and_move_there(clinic: Hl7World, server: SftpSandbox) -> None:
    out = from_server(clinic, server)
    put(out / "day.hl7", b"FHS|^~\\&\rBHS|^~\\&\r" + b"".join(a_visit()) + b"BTS|3\rFTS|1\r")
    put(out / "broken.hl7", b"BHS|^~\\&\r" + dft("V2-D", number="V2", mrn="M200") + b"BTS|7\r")
    put(out / "half.hl7.part", b"MSH|")
    (out / "fresh.hl7").write_bytes(b"".join(a_visit("V3", "M300")))  # changed just now: its sender may still write
    (out / "link.hl7").symlink_to("day.hl7")
    os.utime(out / "link.hl7", (OLD, OLD), follow_symlinks=False)
    assert clinic.sync(dry_run=True).visits["sent"] == 0 and (out / "day.hl7").exists()
    report = clinic.sync()
    assert report.visits["sent"] == 1, report.errors
    (files,) = report.quarantined
    assert files["reason"].startswith("2 files hold") and files["visit_id"].endswith("/out/errors"), files
    assert names(out) == [
        "errors/broken.hl7",
        "errors/broken.hl7.reason.txt",
        "errors/link.hl7.reason.txt",
        "fresh.hl7",
        "half.hl7.part",
        "processed/day.hl7",
    ]
    assert (out / "errors" / "link.hl7").is_symlink()
    assert "BTS-1 says 7" in (out / "errors" / "broken.hl7.reason.txt").read_text("utf-8")
    put(out / "day.hl7", b"".join(a_visit("V4", "M400")))  # the next day's file has the same name
    assert clinic.sync().visits["sent"] == 1
    assert "processed/day-2.hl7" in names(out)


def test_where_nothing_may_be_moved_taken_files_are_remembered(clinic: Hl7World, server: SftpSandbox) -> None:
    out = from_server(clinic, server)
    server.faults.forbidden = {"rename", "mkdir"}
    put(out / "day.hl7", b"".join(a_visit()))
    report = clinic.sync()
    assert any("drop_after: keep" in error for error in report.errors)
    change(clinic, "source", options={"drop_folder": f"sftp://127.0.0.1:{server.port}/out", "drop_after": "keep"})
    assert clinic.sync().visits["sent"] == 1
    assert clinic.sync().visits["sent"] == 0 and names(out) == ["day.hl7"]
    put(out / "day.hl7", b"".join(a_visit("V2", "M200")), at=OLD + 60)  # the same name with other content is another file
    assert clinic.sync().visits["sent"] == 1


def test_a_server_with_another_key_gets_nothing_and_gives_nothing(clinic: Hl7World, server: SftpSandbox) -> None:
    out = from_server(clinic, server)
    put(out / "day.hl7", b"".join(a_visit()))
    impostor = SftpSandbox(server.folder)
    change(clinic, "source", auth={**auth(server), "host_keys": [impostor.fingerprint]})
    report = clinic.sync()
    assert report.visits["sent"] == 0 and any("not the pinned one" in error for error in report.errors)
    assert server.tried == 0


def test_extracts_are_fetched_and_taken(clinic: Hl7World, server: SftpSandbox) -> None:
    (server.folder / "out").mkdir()
    header = (
        "record_pointer,patient_id,date_of_service,discipline,cpt,units,cpt_modifier,dx_code,modified_date,note_finalized_date"
    )
    row = "R1,P1,2026-11-18,PT,97110,2,GP,M54.50,2026-11-18,2026-11-18"
    put(server.folder / "out" / "charges.csv", f"{header}\n{row}\n".encode())
    put(server.folder / "out" / "letter.pdf", b"%PDF")
    address = f"sftp://127.0.0.1:{server.port}/out"
    change(clinic, "source", connector="csv_charges", mapping="", auth=auth(server), options={"folder": address})
    report = clinic.sync()
    assert names(server.folder / "out") == ["letter.pdf", "processed/charges.csv"], report.errors
    laid = clinic.config.state / "inbound" / CLINIC
    assert "errors/charges.csv" in names(laid)  # the connector read it, and said what it lacks
    assert laid.stat().st_mode & 0o777 == 0o700


# ---------------------------------------------------------------- files that go out


@pytest.mark.parametrize("platform", ["csv_drop", "hl7v2_dft"])
def test_a_run_brings_one_file_with_its_totals(clinic: Hl7World, server: SftpSandbox, platform: str) -> None:
    options = {"profile": "full_day"} if platform == "hl7v2_dft" else {}
    arrived = to_server(clinic, server, platform, **options)
    clinic.receive(*a_visit())
    assert clinic.sync().visits["sent"] == 1
    found = names(arrived)
    assert len(found) == 2 and found[0].removesuffix(".csv").removesuffix(".hl7") == found[1].removesuffix(".totals.json")
    assert b"97110" in (arrived / found[0]).read_bytes()
    assert not [path for path in (clinic.config.state / "outbound" / CLINIC).glob("*") if path.is_file()]
    assert clinic.sync().visits["sent"] == 0 and names(arrived) == found


@pytest.mark.parametrize("cut", ["upload", "before", "after"])
def test_a_cut_line_sends_nothing_twice_and_loses_nothing(clinic: Hl7World, server: SftpSandbox, cut: str) -> None:
    arrived = to_server(clinic, server, "csv_drop")
    clinic.receive(*a_visit())
    if cut == "upload":
        server.faults.cut_upload_after = 0
    else:
        server.faults.cut_rename = cut
    assert clinic.sync().visits["sent"] == 0
    assert not [name for name in names(arrived) if name.endswith(".csv")]
    assert retried(clinic) == "sent"
    again = names(arrived)
    assert len([name for name in again if name.endswith(".csv")]) == 1
    assert not [name for name in again if name.endswith(".ptbridge-part")]


@pytest.mark.parametrize("platform", ["csv_drop", "hl7v2_dft"])
@pytest.mark.parametrize("spoil", ["cut", "alter"])
def test_an_upload_that_reads_back_otherwise_is_brought_again(
    clinic: Hl7World, server: SftpSandbox, platform: str, spoil: str
) -> None:
    arrived = to_server(clinic, server, platform, **({"profile": "full_day"} if platform == "hl7v2_dft" else {}))
    clinic.receive(*a_visit())
    server.faults.spoil = spoil
    assert clinic.sync().visits["sent"] == 0 and not [name for name in names(arrived) if not name.startswith(".")]
    assert retried(clinic) == "sent"
    file, totals = names(arrived)
    assert sha256((arrived / file).read_bytes()).hexdigest() in (arrived / totals).read_text("utf-8")


def test_a_file_that_is_spoiled_under_its_name_stays_in_doubt(clinic: Hl7World, server: SftpSandbox) -> None:
    to_server(clinic, server, "csv_drop")
    clinic.receive(*a_visit())
    server.faults.spoil = "rename"  # of the totals, which come first
    assert clinic.sync().visits["sent"] == 0
    clinic.sync()
    (sent,) = clinic.day()["submissions"]
    assert sent["state"] == "in-doubt" and "file-altered" in sent["last_answer"], "never accepted"


def test_a_file_that_was_fetched_while_the_line_was_cut_is_not_brought_again(clinic: Hl7World, server: SftpSandbox) -> None:
    arrived = to_server(clinic, server, "csv_drop")
    clinic.receive(*a_visit())
    server.faults.cut_rename, server.faults.cut_rename_of = "after", ".csv"
    clinic.sync()
    (csv,) = [path for path in arrived.iterdir() if path.suffix == ".csv"]
    csv.unlink()  # the biller fetched it
    assert retried(clinic) != "sent"  # a person asks the biller
    assert not [name for name in names(arrived) if name.endswith(".csv")]


def test_no_server_queues_the_day_and_makes_no_file(clinic: Hl7World, server: SftpSandbox, tmp_path: Path) -> None:
    arrived = to_server(clinic, server, "csv_drop")
    change(clinic, "destination", auth={**auth(server), "host_keys": [SftpSandbox(tmp_path).fingerprint]})
    clinic.receive(*a_visit())
    assert clinic.sync().visits["sent"] == 0 and server.tried == 0
    assert not (clinic.config.state / "outbound" / CLINIC).exists()
    change(clinic, "destination", auth=auth(server))
    assert retried(clinic) == "sent" and len(names(arrived)) == 2


def test_doctor_says_whether_the_servers_let_us_in(clinic: Hl7World, server: SftpSandbox) -> None:
    from_server(clinic, server)
    to_server(clinic, server, "csv_drop")
    told = [(check.status, check.what) for check in checks.all_checks(clinic.world.folder, CLINIC, offline=False)]
    sentences = " / ".join(what for _, what in told)
    assert "files in the folder: 0" in sentences and "can move to processed and errors" in sentences
    server.password = "changed"
    told = [(check.status, check.what) for check in checks.all_checks(clinic.world.folder, CLINIC, offline=False)]
    assert sum(status == "fail" and "refused our credential" in what for status, what in told) == 2


def test_the_names_of_unfinished_uploads_are_hidden() -> None:
    assert staged_name("a.csv").startswith(".")


def test_a_listener_watches_a_folder_on_a_server(clinic: Hl7World, server: SftpSandbox) -> None:
    out = from_server(clinic, server)
    put(out / "day.hl7", b"".join(a_visit()))
    command = [sys.executable, "-m", "ptbridge", "listen", "--config", str(clinic.world.folder)]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    assert process.stdout is not None
    try:
        assert "sftp://127.0.0.1" in process.stdout.readline()
        while process.poll() is None and not (out / "processed" / "day.hl7").exists():
            time.sleep(0.05)
    finally:
        process.terminate()
        _, trouble = process.communicate(timeout=20)
    assert process.returncode == 0, trouble
    with ClinicInbox.open(clinic.config.state, CLINIC) as inbox:
        assert inbox.last() == 3
    (clinic.world.folder / "secrets" / "sftp").unlink()
    refused = subprocess.run(command, capture_output=True, text=True, timeout=30)
    assert refused.returncode == 6 and "secret file" in refused.stderr
