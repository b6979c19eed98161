"""`ptbridge listen` as a service: real processes, real sockets, real files."""

from __future__ import annotations

import json
import re
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from ptbridge.inbox import ClinicInbox, Inbox
from tests.hl7_clinic import CLINIC, Hl7World, a_visit, adt, charge, dft


class Service:
    """A running `ptbridge listen`, and one connection to it."""

    def __init__(self, process: subprocess.Popen[str]) -> None:
        assert process.stdout is not None
        self.process, self.ready = process, process.stdout.readline()
        found = re.search(r"127\.0\.0\.1:(\d+)", self.ready)
        assert found, self.ready + (process.stderr.read() if process.stderr and process.poll() is not None else "")
        self.port = int(found[1])
        self.connection = socket.create_connection(("127.0.0.1", self.port), timeout=20)
        self.file = self.connection.makefile("rb")

    def send(self, *messages: bytes) -> None:
        self.connection.sendall(b"".join(b"\x0b" + raw + b"\x1c\r" for raw in messages))

    def answer(self) -> bytes:
        found = b""
        while not found.endswith(b"\x1c\r"):
            more = self.file.read1(65_536)
            if not more:
                return found
            found += more
        return found

    def ask(self, raw: bytes) -> bytes:
        self.send(raw)
        return self.answer()

    def stop(self, number: int = signal.SIGTERM) -> tuple[int, str]:
        self.file.close()
        self.connection.close()
        self.process.send_signal(number)
        said, trouble = self.process.communicate(timeout=20)
        return self.process.returncode, said + trouble


@contextmanager
def listening(clinic: Hl7World, *words: str) -> Iterator[Service]:
    command = [sys.executable, "-m", "ptbridge", "listen", "--config", str(clinic.world.folder), "--port", "0", *words]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    service = Service(process)
    try:
        yield service
    finally:
        service.file.close()
        service.connection.close()
        if process.poll() is None:
            service.stop(signal.SIGKILL)


def received(clinic: Hl7World) -> int:
    with ClinicInbox.open(clinic.config.state, CLINIC) as inbox:
        return inbox.last()


def msa(answer: bytes) -> list[bytes]:
    return re.findall(rb"MSA\|(\w\w\|[^\r|]*)", answer)


def test_it_says_where_it_listens_answers_what_is_stored_and_ends_in_order(clinic: Hl7World) -> None:
    with listening(clinic) as service:
        assert service.ready.startswith(f"ready: {CLINIC} on 127.0.0.1:") and "(plain)" in service.ready
        for raw, control in zip(a_visit(), ("V1-A", "V1-D", "V1-N"), strict=True):
            assert msa(service.ask(raw)) == [f"AA|{control}".encode()]
        assert received(clinic) == 3
        assert clinic.sync().visits["sent"] == 1  # beside the listener
        code, said = service.stop()
    assert code == 0 and f"messages received: {CLINIC} 3" in said and "Quill" not in said


def test_the_same_bytes_get_the_same_answer_and_a_reused_id_is_told_in_the_end(clinic: Hl7World) -> None:
    first = a_visit()[0]
    with listening(clinic, "--json") as service:
        assert json.loads(service.ready)[0]["clinic"] == CLINIC
        once = service.ask(first)
        assert service.ask(first) == once
        other = service.ask(first.replace(b"Quill", b"Quilt"))
        assert msa(other) == msa(once) and other != once
        code, said = service.stop()
    assert code == 0 and json.loads(said)["problems"] == {"control-id-reused": 1}
    assert received(clinic) == 2


def test_what_is_damaged_is_stored_and_told_as_the_profile_says(clinic: Hl7World) -> None:
    with listening(clinic) as service:
        assert b"MSA|AE" in service.ask(b"hello world")
        answer = service.ask(a_visit()[0].replace(b"|V1-A|", b"||"))
        assert (b"MSA|AE" in answer and b"MSH^1^10^^^" in answer.replace(b"|", b"^")) or b"MSH^1^10" in answer
        assert received(clinic) == 2
    clinic.option("answer_damaged: AA")
    with listening(clinic) as service:
        assert b"MSA|AA" in service.ask(b"hello again")
    assert clinic.sync().visits["quarantined"] == 3


@pytest.mark.parametrize(
    ("options", "fields", "codes"),
    [
        ([], "", [b"AA|V1-A"]),
        ([], "|||AL|NE", [b"CA|V1-A"]),
        ([], "|||AL|AL", [b"CA|V1-A", b"AA|V1-A"]),
        (["answer: original"], "|||NE|NE", [b"AA|V1-A"]),
        (["answer: enhanced"], "", [b"CA|V1-A"]),
    ],
)
def test_the_answer_is_what_the_sender_asks_or_its_profile_says(
    clinic: Hl7World, options: list[str], fields: str, codes: list[bytes]
) -> None:
    for option in options:
        clinic.option(option)
    raw = a_visit()[0].replace(b"|P|2.5.1", f"|P|2.5.1{fields}".encode())
    with listening(clinic) as service:
        found = msa(service.ask(raw))
        while len(found) < len(codes):
            found += msa(service.answer())
        assert found == codes


def test_a_utf_16_message_is_read_and_answered_in_its_own_coding_and_utf_16_framing_is_refused(clinic: Hl7World) -> None:
    wide = ("\ufeff" + a_visit()[0].decode()).encode("utf-16-le")
    with listening(clinic) as service:
        assert "MSA|AA|V1-A" in service.ask(wide)[1:-2].decode("utf-16")
        service.connection.sendall(("\x0b" + a_visit()[1].decode() + "\x1c\r").encode("utf-16-le"))
        assert service.answer() == b""  # closed
        _, said = service.stop()
    assert received(clinic) == 1 and "1 wide-frame" in said


def test_a_sender_that_is_too_fast_is_slowed_and_loses_nothing(clinic: Hl7World) -> None:
    clinic.option('messages_per_second: "50"')
    with listening(clinic) as service:
        service.send(*(adt("A08", f"X{number}") for number in range(120)))
        answers = b""
        while answers.count(b"MSA|AA") < 120:
            answers += service.answer()
    assert received(clinic) == 120


def test_two_messages_in_one_frame_are_two(clinic: Hl7World) -> None:
    registered, charged, _ = a_visit()
    with listening(clinic) as service:
        found = msa(service.ask(registered + charged))
        while len(found) < 2:
            found += msa(service.answer())
        assert found == [b"AA|V1-A", b"AA|V1-D"] and received(clinic) == 2


def test_nothing_that_was_acknowledged_is_lost_when_it_is_killed(clinic: Hl7World) -> None:
    messages = [dft(f"K{number}", charge(1, "97110", "1", "15", id_=f"K{number}")) for number in range(300)]
    with listening(clinic) as service:
        told: list[bytes] = []
        service.send(*messages)
        while len(told) < 40:
            told += msa(service.answer())
        service.stop(signal.SIGKILL)
    with listening(clinic) as service:  # the lock went with its holder
        before = received(clinic)
        acknowledged = [raw for raw in messages if any(raw.find(b"|" + one[3:] + b"|") >= 0 for one in told)]
        for raw in acknowledged:
            service.ask(raw)
        assert len(acknowledged) >= 40 and received(clinic) == before  # all of them were known


def test_a_second_listener_is_refused_and_a_sync_is_not(clinic: Hl7World) -> None:
    with listening(clinic):
        command = [sys.executable, "-m", "ptbridge", "listen", "--config", str(clinic.world.folder), "--port", "0"]
        second = subprocess.run(command, capture_output=True, text=True, timeout=30)
        assert second.returncode == 7 and "another ptbridge listens" in second.stderr
        assert clinic.sync().exit_code == 0


def test_a_store_that_cannot_be_trusted_ends_the_service_without_an_answer(clinic: Hl7World) -> None:
    with listening(clinic) as service:
        service.ask(a_visit()[0])
        with Inbox.open(clinic.config.state) as other:
            other._connection.execute("DROP INDEX message_by_clinic; ALTER TABLE message RENAME TO gone")
        assert service.ask(a_visit()[1]) == b""
        said, trouble = service.process.communicate(timeout=20)
        assert service.process.returncode == 8 and "ptbridge: inbox: SQLite" in trouble and "Quill" not in said + trouble


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (["address: 0.0.0.0:0"], "plain MLLP carries patient data unprotected"),
        (['address: "2575"'], "is not an address"),
        (["address: 127.0.0.1:0", "answer: maybe"], "'maybe' is not one of auto, original, enhanced"),
        (["address: 127.0.0.1:0", "tls_client_ca: ca.pem"], "needs tls_certificate"),
        (["address: 127.0.0.1:0", "messages_per_second: fast"], "is not a whole number"),
        (["address: 127.0.0.1:0", "allow_peers: [everyone]"], "is not an address or network"),
        ([], "there is nowhere to listen"),
        (["adress: 127.0.0.1:0"], "unknown option 'adress'"),
    ],
)
def test_what_cannot_work_is_said_before_anything_is_opened(clinic: Hl7World, options: list[str], words: str) -> None:
    for option in options:
        clinic.option(option)
    command = [sys.executable, "-m", "ptbridge", "listen", "--config", str(clinic.world.folder)]
    refused = subprocess.run(command, capture_output=True, text=True, timeout=30)
    assert refused.returncode == 6 and words in refused.stderr


def test_senders_that_are_not_on_the_list_get_no_answer(clinic: Hl7World) -> None:
    clinic.option("allow_senders: [OTHER, 'THERAPYEMR|ELSEWHERE']")
    with listening(clinic) as service:
        assert service.ask(a_visit()[0]) == b"" and received(clinic) == 0


def test_a_drop_folder_is_watched_beside_the_port(clinic: Hl7World) -> None:
    clinic.option('settle_seconds: "0"')
    folder = clinic.world.folder / "incoming"
    folder.mkdir()
    (folder / "a.hl7").write_bytes(b"".join(a_visit()))
    with listening(clinic, "--folder", "incoming") as service:
        assert "folder incoming" in service.ready
        service.ask(adt("A08", "X1"))
        while not (folder / "processed" / "a.hl7").exists():
            service.ask(adt("A08", "X1"))
    assert received(clinic) == 4
