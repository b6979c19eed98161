"""The room that is kept for answers: taken where the disk has plenty, given up for an answer on a full one (contract D23)."""

from __future__ import annotations

import os
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from ptbridge.errors import LedgerFull
from ptbridge.ledger import Ledger, reserve
from ptbridge.ledger.reserve import BYTES, FILE_NAME, Reserve
from ptbridge.model import Acknowledgement, Disposition
from ptbridge.ports import Outcome
from tests.bench.ledger import CLINIC, PLATFORM, _verdict, new_days

DAYS = 16
LONG = "".join(f"{number:x}" for number in range(1_000))  # what a biller says at length: it does not fit in the pages at hand


def on_the_way(ledger: Ledger) -> tuple[Outcome, ...]:
    """Sixteen submissions that have left, and their answers, not yet stored."""
    with ledger.transaction():
        ledger.days.record_many([(day, _verdict(day)) for day in new_days(ledger, DAYS)])
    outbox = ledger.outbox(CLINIC, PLATFORM)
    items = tuple(outbox.due(now=time.time(), limit=DAYS))
    outbox.start(items, now=time.time())
    accepted = Acknowledgement(disposition=Disposition.ACCEPTED, destination_id="B1", native_code="201", native_text=LONG)
    return tuple(Outcome(item=item, acknowledgement=accepted) for item in items)


def sent(ledger: Ledger) -> int:
    return int(ledger.accounts.days_by_state(CLINIC).get("sent", {"days": 0})["days"])


def test_the_room_is_there_while_a_writer_works_and_is_the_owners_alone(tmp_path: Path) -> None:
    with Ledger.open(tmp_path):
        kept = (tmp_path / FILE_NAME).stat()
        assert (kept.st_size, kept.st_mode & 0o777) == (BYTES, 0o600)
        assert kept.st_blocks * 512 >= BYTES, "room, and not a hole in a file"
        with Ledger.open(tmp_path, write=False):
            pass
        assert (tmp_path / FILE_NAME).exists(), "a reader leaves it alone"
    assert not (tmp_path / FILE_NAME).exists()


def test_a_disk_without_plenty_or_a_folder_that_takes_no_file_is_left_alone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    Reserve(tmp_path / "nowhere").keep()
    monkeypatch.setattr(reserve, "ROOMY", os.statvfs(tmp_path).f_bavail * os.statvfs(tmp_path).f_frsize * 2)
    Reserve(tmp_path).keep()
    assert list(tmp_path.iterdir()) == []
    assert not Reserve(tmp_path).give_up()


def test_an_answer_that_finds_no_room_is_stored_in_what_was_kept_or_said_to_be_lost(tmp_path: Path) -> None:
    with Ledger.open(tmp_path) as ledger:
        answers = on_the_way(ledger)
        pages = int(str(ledger._connection.pragma("page_count")))
        ledger._connection.pragma("max_page_count", pages)  # SQLite's own word for a full disk
        outbox = ledger.outbox(CLINIC, PLATFORM)
        outbox._make_room = lambda: False
        with pytest.raises(LedgerFull, match="disk is full"):
            outbox.finish(answers, now=time.time())
        assert sent(ledger) == 0
        outbox._make_room = lambda: ledger._connection.pragma("max_page_count", pages * 2) is not None
        outbox.finish(answers, now=time.time())
        assert sent(ledger) == DAYS


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    folder = tmp_path / "disk"
    folder.mkdir()
    made = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=16m,mode=0700", "tmpfs", str(folder)], capture_output=True)
    if made.returncode:
        pytest.skip("this machine lets nobody mount")
    yield folder
    subprocess.run(["umount", str(folder)], check=True)


@pytest.mark.skipif(os.geteuid() != 0, reason="mounting a small file system needs root")
def test_D23_a_disk_that_fills_up_while_answers_come_takes_them_all(small_disk: Path) -> None:
    with Ledger.open(small_disk) as ledger:
        answers = on_the_way(ledger)
        with (small_disk / "somebody else's").open("wb", buffering=0) as other, pytest.raises(OSError, match="No space left"):
            while True:
                other.write(bytes(4096))
        ledger.outbox(CLINIC, PLATFORM).finish(answers, now=time.time())
        assert sent(ledger) == DAYS
        assert not (small_disk / FILE_NAME).exists()
    with Ledger.open(small_disk) as ledger:
        assert sent(ledger) == DAYS
