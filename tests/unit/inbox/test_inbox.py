"""The inbox: durable, append-only, one identity once, readable while it is written."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from datetime import UTC, datetime
from pathlib import Path

import apsw
import pytest

from ptbridge.errors import LedgerBusy, LedgerError
from ptbridge.inbox import Arrival, ClinicInbox, Inbox, Rules, StoreLater, envelope_of
from tests.hl7_clinic import CLINIC, a_visit, adt, header, merge, patient, segments


def arrival(raw: bytes, *, clinic: str = CLINIC, answer: bytes = b"AA") -> Arrival:
    now = datetime(2026, 11, 18, 18, tzinfo=UTC)
    return Arrival(clinic=clinic, origin="test", received_at=now, raw=raw, envelope=envelope_of(raw, Rules()), answer=answer)


def test_what_was_stored_reads_back_byte_for_byte_in_order(tmp_path: Path) -> None:
    odd = b"MSH|^~\\&|A|B|||20261118||DFT^P03|1|P|2.3\nPID|1||J\xc9\x1c\x00\x0b\r\n"
    with Inbox.open(tmp_path) as inbox:
        stored = inbox.store([arrival(raw) for raw in [*a_visit(), odd]])
    with ClinicInbox.open(tmp_path, CLINIC) as reader:
        assert [reader.raw(one.seq) for one in stored] == [*a_visit(), odd]
        assert [entry.kind for entry in reader.arrived(after=0, upto=reader.last(), limit=9)][:3] == [
            "ADT^A04",
            "DFT^P03",
            "MDM^T02",
        ]
        assert [entry.seq for entry in reader.about("PV1-19", "V1")] == [1, 2, 3]


@pytest.mark.parametrize("raw", [b"x", b"\x78\x01 deflated by its looks", b"MSH|^~\\&|" + b"A" * 5000, b""])
def test_any_bytes_read_back_as_they_came(tmp_path: Path, raw: bytes) -> None:
    with Inbox.open(tmp_path) as inbox:
        inbox.store([arrival(raw)])
    with ClinicInbox.open(tmp_path, CLINIC) as reader:
        assert reader.raw(1) == raw


def test_the_same_bytes_get_the_same_answer_and_other_bytes_are_new(tmp_path: Path) -> None:
    first = a_visit()[0]
    with Inbox.open(tmp_path) as inbox:
        (one,) = inbox.store([arrival(first, answer=b"first")])
        (again,) = inbox.store([arrival(first, answer=b"second")])
        (other,) = inbox.store([arrival(first.replace(b"Quill", b"Quilt"))])
    assert again.repeated and again.answer == b"first" and again.seq == one.seq
    assert not other.repeated and other.reused_id and other.seq != one.seq
    with ClinicInbox.open(tmp_path, CLINIC) as reader:
        assert reader.last() == 2 and sum(reader.counts().values()) == 2


def test_two_clinics_and_two_senders_may_use_one_control_id(tmp_path: Path) -> None:
    first = a_visit()[0]
    with Inbox.open(tmp_path) as inbox:
        stored = inbox.store([arrival(first), arrival(first, clinic="other"), arrival(first.replace(b"LAKESIDE", b"HILLSIDE"))])
    assert not any(one.repeated or one.reused_id for one in stored)
    with ClinicInbox.open(tmp_path, "other") as reader:
        assert sum(reader.counts().values()) == 1 and reader.arrived(after=0, upto=9, limit=9)[0].seq == 2


def test_a_store_is_all_or_nothing(tmp_path: Path) -> None:
    good, bad = arrival(a_visit()[0]), arrival(a_visit()[1])
    object.__setattr__(bad.envelope, "kind", None)  # NOT NULL in the schema
    with Inbox.open(tmp_path) as inbox:
        with pytest.raises(LedgerError):
            inbox.store([good, bad])
        assert not inbox.store([good])[0].repeated


def test_nothing_is_changed_or_deleted(tmp_path: Path) -> None:
    with Inbox.open(tmp_path) as inbox:
        inbox.store([arrival(a_visit()[0])])
        for attempt in ("UPDATE message SET kind = 'x'", "DELETE FROM message"):
            with pytest.raises(apsw.ConstraintError):
                inbox._connection.execute(attempt)


def test_a_reader_cannot_write_and_reads_while_another_process_listens(tmp_path: Path) -> None:
    with Inbox.open(tmp_path, listener=True) as inbox, pytest.raises(LedgerBusy):
        inbox.store([arrival(a_visit()[0])])
        with ClinicInbox.open(tmp_path, CLINIC) as reader:
            assert reader.last() == 1
            inbox.store([arrival(a_visit()[1])])
            assert reader.last() == 2
            with pytest.raises(apsw.ReadOnlyError):
                reader._connection.execute("DELETE FROM about")
        Inbox.open(tmp_path, listener=True)


def test_a_second_writer_without_the_listeners_lock_takes_files_beside_it(tmp_path: Path) -> None:
    with Inbox.open(tmp_path, listener=True) as listener, Inbox.open(tmp_path) as files:
        listener.store([arrival(a_visit()[0])])
        assert files.store([arrival(a_visit()[0])])[0].repeated


def test_a_full_disk_is_a_trouble_that_passes(tmp_path: Path) -> None:
    with Inbox.open(tmp_path) as inbox:
        inbox.store([arrival(a_visit()[0])])
        pages = int(str(inbox._connection.pragma("page_count")))
        inbox._connection.pragma("max_page_count", pages)
        large = a_visit()[1] + b"NTE|1||" + os.urandom(300_000).hex().encode() + b"\r"
        with pytest.raises(StoreLater):
            inbox.store([arrival(large)])
        inbox._connection.pragma("max_page_count", 1_000_000)
        assert not inbox.store([arrival(large)])[0].repeated


def test_a_damaged_or_newer_file_is_refused(tmp_path: Path) -> None:
    with Inbox.open(tmp_path) as inbox:
        inbox.store([arrival(a_visit()[0])])
        inbox._connection.pragma("user_version", 99)
    with pytest.raises(LedgerError, match="newer"):
        Inbox.open(tmp_path)
    (tmp_path / "inbox.sqlite").write_bytes(b"not a database" * 1000)
    (tmp_path / "inbox.sqlite-wal").unlink(missing_ok=True)
    with pytest.raises(LedgerError, match="not a ptbridge inbox"):
        Inbox.open(tmp_path)
    with pytest.raises(LedgerError, match="no inbox yet"):
        ClinicInbox.open(tmp_path / "nowhere", CLINIC)


def test_bytes_that_changed_on_the_disk_are_noticed(tmp_path: Path) -> None:
    with Inbox.open(tmp_path) as inbox:
        inbox.store([arrival(a_visit()[0])])
        inbox._connection.execute("DROP TRIGGER message_is_kept")
        inbox._connection.execute("UPDATE message SET sha256 = zeroblob(32)")
    with ClinicInbox.open(tmp_path, CLINIC) as reader, pytest.raises(LedgerError, match="not what was stored"):
        reader.raw(1)


def test_a_store_that_returned_survives_a_kill(tmp_path: Path) -> None:
    script = (
        "import sys\nfrom pathlib import Path\nfrom tests.unit.inbox.test_inbox import *\n"
        "inbox = Inbox.open(Path(sys.argv[1]), listener=True)\n"
        "for number in range(100000):\n"
        "    inbox.store([arrival(adt('A04', f'C{number}'))])\n"
        "    print(number, flush=True)\n"
    )
    command = [sys.executable, "-c", script, str(tmp_path)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, cwd=Path(__file__).parents[3]) as process:
        assert process.stdout is not None
        told = [int(process.stdout.readline()) for _ in range(50)]
        process.send_signal(signal.SIGKILL)
        told += [int(line) for line in process.stdout.read().split("\n")[:-1]]
    with Inbox.open(tmp_path, listener=True) as inbox:  # the lock died with its holder
        again = inbox.store([arrival(adt("A04", f"C{number}")) for number in told])
    assert all(one.repeated for one in again)


@pytest.mark.parametrize(
    ("raw", "state", "reason"),
    [
        (b"hello world", "damaged", "MSH"),
        (b"", "damaged", "MSH"),
        (b"MSH|^~\\&|A|B|||20261118||DFT^P03||P|2.3\rPID|1\r", "damaged", "MSH-10"),
        (segments(header("ADT^A20", "1"), patient()), "ignored", "type"),
        (segments(header("DFT^P03", "1", processing="T"), patient()), "ignored", "processing id T"),
        (segments(header("DFT^P03", "1", processing="D"), patient()), "ignored", "processing id D"),
        (segments(header("MDM^T02", "1"), patient()), "ignored", "no visit"),
        (segments(header("ORM^O01", "1"), patient(), "FT1|1"), "ignored", "charges in ORM"),
        (segments(header("DFT^P03", "1"), patient()), "taken", ""),
    ],
)
def test_where_a_message_goes(raw: bytes, state: str, reason: str) -> None:
    envelope = envelope_of(raw, Rules())
    assert envelope.state == state and reason in envelope.reason


def test_a_merge_is_found_from_both_sides_and_nothing_of_a_patient_is_in_a_repr() -> None:
    envelope = envelope_of(merge("M1", "M100", "M200"), Rules())
    assert {("MRG-1", "M100|LAKE"), ("survivor", "M200|LAKE")} <= set(envelope.keys)
    assert "M100" not in repr(envelope) and "Quill" not in repr(arrival(a_visit()[0]))
