"""Drop folders: complete files only, batches as they really are, every bad message named by file and line."""

from __future__ import annotations

import os
import time
from datetime import UTC, datetime
from pathlib import Path

import pytest

from ptbridge.inbox import ClinicInbox, Rules, Taken, take_files
from tests.hl7_clinic import CLINIC, a_visit

NOW = datetime(2030, 1, 1, tzinfo=UTC)  # long after every file was written


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "in").mkdir()
    return tmp_path / "in"


def take(folder: Path, *, now: datetime = NOW, settle_seconds: int = 60) -> Taken:
    return take_files(folder.parent / "state", CLINIC, folder, Rules(), now=now, settle_seconds=settle_seconds)


def stored(folder: Path) -> int:
    with ClinicInbox.open(folder.parent / "state", CLINIC) as inbox:
        return inbox.last()


def note(folder: Path, name: str) -> str:
    return (folder / "errors" / f"{name}.reason.txt").read_text("utf-8")


def test_a_batch_is_taken_and_moves_to_processed_and_again_changes_nothing(folder: Path) -> None:
    batch = b"FHS|^~\\&\r\nBHS|^~\\&\r\n" + b"".join(a_visit()).replace(b"\r", b"\r\n") + b"BTS|3\r\nFTS|1\r\n"
    (folder / "a.hl7").write_bytes(batch)
    taken = take(folder)
    assert (taken.files, taken.messages, taken.refused) == (1, 3, [])
    assert [path.name for path in folder.iterdir()] == ["processed"]
    (folder / "b.hl7").write_bytes(batch)
    taken = take(folder)
    assert (taken.files, taken.messages, taken.repeated) == (1, 0, 3) and stored(folder) == 3


def test_good_messages_are_stored_and_what_does_not_add_up_is_named_by_line(folder: Path) -> None:
    first, second, _ = a_visit()
    broken = b"MSH|^~\\&|A|B|||20261118||DFT^P03||P|2.3\rPID|1\r"
    (folder / "odd.hl7").write_bytes(b"BHS|^~\\&\r" + first + broken + second + b"BTS|7\r")
    taken = take(folder)
    assert taken.messages == 3 and taken.refused == ["odd.hl7"] and stored(folder) == 3
    reasons = note(folder, "odd.hl7")
    assert (
        "MSH-10" in reasons
        and f"line {2 + first.count(13)}" in reasons
        and "BTS-1 says 7 messages, the file holds 3" in reasons
    )
    assert "Quill" not in reasons and (folder / "errors" / "odd.hl7").read_bytes().startswith(b"BHS")


def test_a_missing_trailer_and_an_empty_file_go_to_errors(folder: Path) -> None:
    (folder / "cut.hl7").write_bytes(b"BHS|^~\\&\r" + a_visit()[0])
    (folder / "empty.hl7").write_bytes(b"")
    assert sorted(take(folder).refused) == ["cut.hl7", "empty.hl7"]
    assert "BHS without its BTS" in note(folder, "cut.hl7") and "no message" in note(folder, "empty.hl7")
    assert stored(folder) == 1


def test_a_file_that_is_still_written_or_has_a_partial_name_waits(folder: Path) -> None:
    (folder / "new.hl7").write_bytes(a_visit()[0])
    (folder / "big.hl7.part").write_bytes(a_visit()[0])
    now = datetime.fromtimestamp(time.time(), UTC)
    assert take(folder, now=now, settle_seconds=3600).files == 0
    assert sorted(path.name for path in folder.iterdir()) == ["big.hl7.part", "new.hl7"]
    assert take(folder).files == 1 and (folder / "big.hl7.part").exists()


def test_links_and_devices_are_refused_without_being_opened(folder: Path) -> None:
    secret = folder.parent / "secret.hl7"
    secret.write_bytes(a_visit()[0])
    (folder / "link.hl7").symlink_to(secret)
    os.mkfifo(folder / "pipe.hl7")
    assert sorted(take(folder).refused) == ["link.hl7", "pipe.hl7"]
    assert secret.exists() and stored(folder) == 0


def test_an_empty_folder_makes_no_inbox(folder: Path) -> None:
    assert take(folder) == Taken() and not (folder.parent / "state").exists()
