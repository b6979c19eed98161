"""The delivery contract where data comes in: D5 to D9, D20, D27. Real listeners, real files, real runs.

More of D5 to D7 stands in test_listen.py, of D8 and D9 in connectors/test_pull.py, of D20 in test_delivery_contract.py.
"""

from __future__ import annotations

import os
import re
import shutil
import signal
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import apsw
import pytest
from ptbridge_sandbox.faults import Fault
from ptbridge_sandbox.maker import clinic_day
from ptbridge_sandbox.store import Store

from ptbridge import cli, jobs
from ptbridge.errors import ConfigError
from ptbridge.inbox import ClinicInbox
from ptbridge.ledger import Ledger
from tests.contract.test_listen import Service, listening, msa, received
from tests.hl7_clinic import CLINIC, Hl7World, a_visit, adt, charge, dft
from tests.world import DAY, World, running

VISIT = "enc-0002"
TOTALS = ("charges", "units", "amount_cents", "events")


def cursor(world: World) -> dict[str, str]:
    with Ledger.open(world.folder / "state", write=False) as ledger:
        return ledger.cursor("riverside-pt", "fhir_r4")


def count(world: World, table: str) -> int:
    with Ledger.open(world.folder / "state", write=False) as ledger:
        found = ledger._connection.execute(f"SELECT count(*) FROM {table}").fetchone()
    assert found is not None
    return int(str(found[0]))


def replace(world: World, old: str, new: str) -> None:
    text = world.clinic_file.read_text("utf-8")
    assert old in text
    world.clinic_file.write_text(text.replace(old, new), "utf-8")


# ---------------------------------------------------------------- D5, D6, D7: acknowledgements


@contextmanager
def program(clinic: Hl7World, *command: str) -> Iterator[Service]:
    """A listener started in a way of its own."""
    words = ["listen", "--config", str(clinic.world.folder), "--port", "0"]
    process = subprocess.Popen(
        [*command, *words], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, start_new_session=True
    )
    service = Service(process)
    try:
        yield service
    finally:
        service.file.close()
        service.connection.close()
        os.killpg(process.pid, signal.SIGTERM)  # strace hands nothing on
        process.communicate(timeout=30)


@pytest.mark.skipif(not shutil.which("strace"), reason="needs strace")
def test_D05_every_acknowledgement_leaves_after_the_disk_has_said_that_the_message_is_on_it(
    clinic: Hl7World, tmp_path: Path
) -> None:
    """The listener's own system calls, as the kernel saw them: before each answer the write-ahead log was synced anew."""
    trace = tmp_path / "trace"
    strace = ("strace", "-f", "-y", "-o", str(trace), "-e", "trace=fdatasync,fsync,sendto,sendmsg,write,recvfrom")
    with program(clinic, *strace, sys.executable, "-m", "ptbridge") as service:
        for number in range(8):
            assert msa(service.ask(adt("A08", f"S{number}"))) == [f"AA|S{number}".encode()]
    order = re.findall(r"sync\([^>]*inbox\.sqlite-wal|ready: |sendto\([^>]*>, .\\vMSH", trace.read_text("utf-8", "replace"))
    since_ready = ["synced" if "sync" in one else "answered" for one in order[order.index("ready: ") + 1 :]]
    assert since_ready[:16] == ["synced", "answered"] * 8


def test_D05_a_dropped_file_stays_where_it_is_until_its_messages_are_stored(clinic: Hl7World) -> None:
    clinic.option('settle_seconds: "0"')
    clinic.option("drop_folder: incoming")
    folder = clinic.world.folder / "incoming"
    folder.mkdir()
    (folder / "a.hl7").write_bytes(b"".join(a_visit()))
    clinic.receive(adt("A08", "X0"))
    inbox = apsw.Connection(str(clinic.config.state / "inbox.sqlite"))
    inbox.execute("BEGIN EXCLUSIVE")  # nothing can be stored
    command = [sys.executable, "-m", "ptbridge", "sync", "--config", str(clinic.world.folder)]
    refused = subprocess.run(command, capture_output=True, text=True, timeout=120)
    assert refused.returncode != 0 and (folder / "a.hl7").exists()
    inbox.execute("ROLLBACK")
    inbox.close()
    assert clinic.sync().visits["sent"] == 1
    assert not (folder / "a.hl7").exists() and received(clinic) == 4


def test_D06_an_answer_names_the_message_and_says_only_what_is_so(clinic: Hl7World) -> None:
    unknown = dft("U1", charge(1, "UNHEARD-OF", "1", "15", id_="U1"))
    with listening(clinic) as service:
        assert msa(service.ask(a_visit()[0])) == [b"AA|V1-A"]
        assert msa(service.ask(unknown)) == [b"AA|U1"], "durable and not billable is still durable"
        assert b"\rMSA|AE\r" in service.ask(b"PID|1||no header"), "framed and unreadable"
        assert received(clinic) == 3
    report = clinic.sync()
    assert report.submissions_sent == 0 and report.visits["quarantined"] >= 1
    with ClinicInbox.open(clinic.config.state, CLINIC) as inbox:
        assert inbox.raw(3) == b"PID|1||no header"


def test_D06_what_could_not_be_stored_is_never_acknowledged_and_never_called_the_senders_fault(clinic: Hl7World) -> None:
    """The file may not grow any more; what was acknowledged before is there."""
    script = (
        "import resource, signal, sys; signal.signal(signal.SIGXFSZ, signal.SIG_IGN);"
        "resource.setrlimit(resource.RLIMIT_FSIZE, (600_000, 600_000));"
        "from ptbridge import cli; sys.exit(cli.main(sys.argv[1:]))"
    )
    told: list[bytes] = []
    with program(clinic, sys.executable, "-c", script) as service:
        for number in range(400):
            try:
                answer = service.ask(dft(f"F{number}", charge(1, "97110", "1", "15", id_=f"F{number}")))
            except OSError:
                break
            if not answer or b"MSA|AA" not in answer:
                assert b"|AE|" not in answer
                break
            told += msa(answer)
    assert 10 < len(told) < 400 and received(clinic) >= len(told)
    with listening(clinic) as service:  # space again
        assert msa(service.ask(adt("A08", "AFTER"))) == [b"AA|AFTER"]


def test_D06_while_another_program_holds_the_inbox_the_sender_is_told_to_come_again_and_then_served(clinic: Hl7World) -> None:
    """Trouble of ours that passes: no answer, or one that says later; never AE, which asks the sender to mend its message."""
    with listening(clinic) as service:
        assert msa(service.ask(adt("A08", "BEFORE"))) == [b"AA|BEFORE"]
        holder = apsw.Connection(str(clinic.config.state / "inbox.sqlite"))
        holder.execute("BEGIN IMMEDIATE")
        answer = service.ask(adt("A08", "MEANWHILE"))
        assert answer == b"" or msa(answer)[0][:2] in (b"AR", b"CR")
        holder.execute("ROLLBACK")
        holder.close()
        assert service.process.poll() is None and received(clinic) == 1
        service.file.close()
        service.connection.close()
        service.connection = socket.create_connection(("127.0.0.1", service.port), timeout=20)
        service.file = service.connection.makefile("rb")
        assert msa(service.ask(adt("A08", "MEANWHILE"))) == [b"AA|MEANWHILE"]
        assert received(clinic) == 2


def test_D07_a_message_that_came_before_makes_no_work_and_one_that_only_looks_like_it_does(clinic: Hl7World) -> None:
    with listening(clinic) as service:
        first = [service.ask(raw) for raw in a_visit()]
        clinic.sync()
        before = clinic.live()
        assert before["units"] > 0
        assert [service.ask(raw) for raw in a_visit()] == first, "the same answers, word for word"
        assert received(clinic) == 3
        under_new_ids = [raw.replace(b"|V1-", b"|W1-") for raw in a_visit()]
        for raw in under_new_ids:
            service.ask(raw)
        another = a_visit()[0].replace(b"THERAPYEMR", b"OTHEREMR")
        assert service.ask(another) and received(clinic) == 7, "the id is its sender's"
        reused = dft("V1-D", charge(1, "97140", "1", "15", id_="other"), number="V2")
        assert msa(service.ask(reused)) == [b"AA|V1-D"]
        assert received(clinic) == 8, "the same id with other bytes is another message"
        code, said = service.stop()
    assert code == 0 and "control-id-reused" in said
    clinic.sync()
    assert {key: clinic.live()[key] for key in TOTALS} == {key: before[key] for key in TOTALS}, (
        "known content under new ids is no new line"
    )
    assert "V2" in clinic.held()


# ---------------------------------------------------------------- D8, D9: reading a server


def polls(world: World, start: int) -> list[datetime]:
    """From when on each poll of encounters by last update asked, of the requests since `start`."""
    queries = [urlsplit(line.split()[1]) for line in list(world.emr.requests)[start:]]
    asked = [parse_qs(one.query).get("_lastUpdated") for one in queries if one.path.endswith("/Encounter")]
    return [datetime.fromisoformat(values[0].removeprefix("ge")) for values in asked if values]


@pytest.mark.parametrize("moved", [False, True])
def test_D08_the_cursor_moves_with_the_data_or_not_at_all(world: World, moved: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    """Cut off before the cursor is written, and between that and the end of its transaction: it stays where it was."""
    move = Ledger.move_cursor

    def cut(*arguments: Any) -> None:
        if moved:
            move(*arguments)
        raise KeyboardInterrupt

    monkeypatch.setattr(Ledger, "move_cursor", cut)
    with pytest.raises(KeyboardInterrupt):
        world.sync()
    assert cursor(world) == {}
    monkeypatch.undo()
    assert world.sync().submissions_sent == 56
    assert cursor(world)["Encounter"]
    world.agrees()


def test_D08_the_cursor_is_the_servers_time_and_each_poll_reaches_back_over_it(tmp_path: Path) -> None:
    """The server's clock is two days behind ours. A record that appears late, stamped before the cursor, is read."""
    behind = timedelta(days=2)
    store = Store(clinic_day(DAY), clock=lambda: datetime.now(UTC) - behind)
    with running(tmp_path / "config", store) as world:
        world.sync()
        at = datetime.fromisoformat(cursor(world)["Encounter"])
        assert timedelta(0) <= datetime.now(UTC) - behind - at < timedelta(minutes=2)
        late = (at - timedelta(minutes=9)).isoformat()
        world.store.edit_visit(VISIT, {"97112": 40})
        for kind in ("Encounter", "Procedure"):
            for entry in world.store.shelf(kind).by_updated[-6:]:
                if VISIT in str(world.store.resource(kind, entry.id)):
                    world.store.edit(kind, entry.id, lambda one: one["meta"].update(lastUpdated=late))
        start = len(world.emr.requests)
        assert world.sync().submissions_sent == 1
        assert polls(world, start)[0] <= at - timedelta(minutes=10)
        world.agrees()


def test_D08_the_deep_rescan_finds_what_no_poll_by_time_shows_and_reading_again_is_free(world: World) -> None:
    world.sync()
    records = count(world, "source_record")
    store = world.store
    entry = store.shelf("Procedure").by_encounter[VISIT][0]
    stamp = store.resource("Procedure", entry.id)["meta"]["lastUpdated"]
    store.edit_visit(VISIT, {"97112": 40}, bump_encounter=False)
    encounter = store.shelf("Encounter").by_id[VISIT]
    for one in (*store.shelf("Procedure").by_encounter[VISIT], encounter):  # the server stamps no change
        store.edit(one.type, one.id, lambda resource: resource["meta"].update(lastUpdated=stamp))
    with Ledger.open(world.folder / "state") as ledger, ledger.transaction():
        ledger.move_cursor("riverside-pt", "fhir_r4", {"Encounter": "2099-01-01T00:00:00Z"})  # no poll shows anything
        ledger._connection.execute("UPDATE cursor SET value = '2099-01-01T00:00:00Z' WHERE name NOT IN ('rescan', 'patients')")
        ledger.move_cursor("riverside-pt", "fhir_r4", {"rescan": (datetime.now(UTC) - timedelta(hours=25)).isoformat()})
    assert world.sync().submissions_sent == 1
    assert count(world, "source_record") == records + 1, "57 visits were read again, one was another"
    world.agrees()


@pytest.mark.parametrize("fault", [Fault.REPEATED_NEXT, Fault.FOREIGN_NEXT, Fault.EXPIRED_NEXT, Fault.TRUNCATED])
def test_D09_a_page_that_cannot_be_read_moves_no_cursor_and_ends(tmp_path: Path, fault: Fault) -> None:
    """Every second page or later fails; what came before it stays, and the next run reads from where the last one stood."""
    with running(tmp_path / "config", largest_page=10) as world:
        world.emr.faults.share = {fault: 1.0}
        report = world.sync()
        assert world.emr.faults.happened[fault] >= 1 and len(world.emr.requests) < 200, "bounded"
        assert report.exit_code == 5 and report.errors
        assert "Encounter" not in cursor(world)
        world.emr.faults.clear()
        world.sync()
        assert world.books()["charges"] == 56
        world.agrees()


# ---------------------------------------------------------------- D20: test data


PRODUCTION = ("platform: charge_api\n  environment: sandbox", "platform: charge_api\n  environment: production")


def refused(world: World, said: str) -> None:
    """No run and no retry asks anybody, and the doctor says the same."""
    asked = len(world.emr.requests), dict(world.biller.requests)
    for run in (jobs.sync, jobs.retry):
        with pytest.raises(ConfigError, match=said):
            run(world.config)
    assert (len(world.emr.requests), dict(world.biller.requests)) == asked
    assert cli.main(["sync", "--config", str(world.folder)]) == 6


def test_D20_a_sandbox_sources_charges_are_refused_before_anybody_is_asked(
    world: World, capsys: pytest.CaptureFixture[str]
) -> None:
    assert world.clinic_file.read_text("utf-8").count("environment: sandbox") == 2, "init wrote it for both sides"
    replace(world, *PRODUCTION)
    refused(world, "made-up patients would be billed")
    assert cli.main(["doctor", "--offline", "--config", str(world.folder)]) == 6
    assert "made-up patients" in " ".join(capsys.readouterr().out.split())
    replace(world, "  environment: sandbox", "  # environment:")
    refused(world, "its address is this machine")
    replace(world, "  # environment:", "  environment: production #")
    assert world.sync().submissions_sent == 56, "real on both sides, or this test proves nothing"


def test_D20_what_a_sandbox_gave_stays_behind_when_the_clinic_turns_real(world: World) -> None:
    """Charges that wait, and visits already read, would go to the real biller with the next run."""
    text = world.clinic_file.read_text("utf-8")
    world.clinic_file.write_text(text.replace(world.biller.base_url, "http://127.0.0.1:9"), "utf-8")
    assert world.sync().visits["queued"] == 57
    world.clinic_file.write_text(text.replace("environment: sandbox", "environment: production"), "utf-8")
    refused(world, "holds records of a sandbox source")
    assert jobs.status(world.config)["riverside-pt"]["waiting"], "they are there, and stay there"
    other = text.replace("environment: sandbox", "environment: production").replace("clinic: riverside-pt", "clinic: real-pt")
    world.clinic_file.unlink()
    world.clinic_file.with_name("real-pt.yaml").write_text(other, "utf-8")
    (report,) = jobs.sync(world.config, "real-pt")
    assert report.submissions_sent == 56


@pytest.mark.parametrize("processing", ["T", "D"])
def test_D20_a_message_that_calls_itself_a_test_is_counted_and_never_billed(clinic: Hl7World, processing: str) -> None:
    """Not by itself, and not as a part of a visit whose other messages are real."""
    registered, charged, signed = a_visit()
    clinic.receive(registered, charged.replace(b"|P|2.5.1", f"|{processing}|2.5.1".encode()), signed)
    clinic.sync()
    assert clinic.live()["charges"] == 0
    with ClinicInbox.open(clinic.config.state, CLINIC) as inbox:
        assert inbox.counts()[f"ignored DFT^P03: processing id {processing}"] == 1


# ---------------------------------------------------------------- D27: determinism


def bodies(world: World) -> dict[str, bytes]:
    """What was sent, by its key, byte for byte."""
    with Ledger.open(world.folder / "state", write=False) as ledger:
        outbox = ledger.outbox("riverside-pt", "charge_api")
        sent = [outbox.item(int(str(id_))).submission for (id_,) in ledger._connection.execute("SELECT id FROM submission")]
    return {one.key: one.body for one in sent}


def test_D27_the_same_inputs_make_the_same_bytes_under_the_same_keys(tmp_path: Path) -> None:
    """Two folders, two runs, two orders of arrival."""
    found = []
    for name, turned in (("one", False), ("two", True)):
        store = Store(clinic_day(DAY))
        with running(tmp_path / name, store) as world:
            if turned:
                for number in range(2, 30):
                    store.edit("Encounter", f"enc-{number:04}", lambda one: one.update(status="in-progress"))
                world.sync()
                for number in range(2, 30):
                    store.edit("Encounter", f"enc-{number:04}", lambda one: one.update(status="finished"))
            world.sync()
            found.append(bodies(world))
            assert world.books()["charges"] == 56
    assert found[0] == found[1] and len(found[0]) == 56


def _price(world: World) -> None:
    fees = world.folder / "fees" / "riverside-pt.csv"
    fees.write_text(re.sub(r"(?m)^(97110,[^,]*),[0-9.]+", r"\1,999.00", fees.read_text("utf-8")), "utf-8")


def _word(world: World) -> None:
    with world.mapping_file.open("a", encoding="utf-8") as mapping:
        mapping.write('\nlookups:\n  services:\n    "97110": "97530"\n')


def _policy(world: World) -> None:
    replace(world, "policy: medicare_part_b", "policy: commercial_midpoint")


@pytest.mark.parametrize("change", [_price, _word, _policy])
def test_D27_a_new_price_word_or_policy_sends_nothing_that_was_sent_before(
    world: World, change: Callable[[World], None]
) -> None:
    world.sync()
    before, events = bodies(world), world.books()["events"]
    change(world)
    world.sync()
    assert world.books()["events"] == events
    assert {key: body for key, body in bodies(world).items() if key in before} == before
    world.store.edit_visit(VISIT, {"97112": 40})
    world.sync()
    assert world.books()["events"] != events, "what changes at the source goes as ever, or this test proves nothing"
