"""The delivery contract where the ledger itself must hold it: D21 to D28, S3, S4, S8. Real files, real servers, real kills."""

from __future__ import annotations

import gzip
import json
import os
import re
import shutil
import stat
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import apsw
import pytest
from ptbridge_sandbox.day import PLANTED
from ptbridge_sandbox.hl7_books import Hl7Books

from ptbridge import cli, jobs
from ptbridge.errors import ConfigError, LedgerBusy, LedgerError
from ptbridge.inbox import ClinicInbox
from ptbridge.jobs import backup as backup_job
from ptbridge.jobs import safekeeping
from ptbridge.ledger import Ledger
from tests.contract.test_hl7_main_job import point_to, receiving
from tests.contract.test_listen import Service
from tests.hl7_clinic import adt, lakeside
from tests.world import DAY, World, running

CLINIC = "riverside-pt"
MASTER = "ptbridge.key"


def sound(world: World) -> dict[str, Any]:
    """What verify answers; every check passed."""
    answer = safekeeping.verify(world.config)
    assert answer["sound"], [checked for checked in answer["checks"] if checked.problems]
    return answer


def problems(world: World) -> dict[str, tuple[str, ...]]:
    """What verify finds, by check."""
    return {checked.check: checked.problems for checked in safekeeping.verify(world.config)["checks"] if checked.problems}


def raw(world: World) -> apsw.Connection:
    """The ledger's file, opened by somebody who is not ptbridge."""
    return apsw.Connection(str(world.folder / "state" / "ledger.sqlite"))


def rows_of(world: World, **options: Any) -> list[dict[str, Any]]:
    return list(safekeeping.export(world.config, **options))


# ---------------------------------------------------------------- D1, D3: the accounting line by line


def test_D1_every_documented_line_is_exported_once_and_the_units_and_cents_are_the_billers(world: World) -> None:
    report = world.sync()
    rows = rows_of(world)
    assert len({(row["source"], row["visit_id"], row["line_key"]) for row in rows}) == len(rows) == sum(report.lines.values())
    by_state = Counter(row["state"] for row in rows)
    assert by_state == {fate: count for fate, count in report.lines.items() if count}
    books = world.books()
    sent = [row for row in rows if row["state"] == "sent"]
    assert sum(row["units"] for row in sent) == books["units"]
    assert sum(row["amount_cents"] for row in sent) == books["amount_cents"]
    assert {row["billing_id"] for row in sent} == {
        charge.id for charges in world.biller.books.live.values() for charge in charges
    }


def test_D3_every_line_that_is_not_sent_says_why_in_a_word_and_since_when(world: World) -> None:
    world.sync()
    for row in rows_of(world):
        assert row["first_seen_at"]
        if row["state"] != "sent":
            assert row["reason"], row
        if row["state"] == "held":
            assert row["held_since"]


def test_S3_an_export_names_no_patient_unless_asked_and_asking_stays_in_the_history(world: World) -> None:
    world.sync()
    plain = json.dumps(rows_of(world))
    full = rows_of(world, phi=True, actor="auditor")
    names = {row["family"] for row in full if row.get("family")}
    assert len(names) > 5 and not [name for name in names if name in plain]
    assert not {"mrn", "birth_date", "service_date", "patient_id"} & set(rows_of(world)[0])
    with Ledger.open(world.folder / "state", write=False) as ledger:
        (asked,) = ledger.history.of("ledger", 0)
    assert (asked["event"], asked["actor"]) == ("exported-with-phi", "auditor")


# ---------------------------------------------------------------- D21: killed at any moment


def test_D21_a_sync_killed_again_and_again_ends_sound_and_agrees_to_the_cent(world: World) -> None:
    """By the clock while it starts, reads and judges; by the biller's count while charges are on their way."""
    command = [sys.executable, "-m", "ptbridge", "sync", "--config", str(world.folder)]
    world.biller.faults.answer_delay_seconds = 0.1

    def killed(when: Callable[[float], bool]) -> None:
        process, started = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL), time.monotonic()
        while process.poll() is None and not when(time.monotonic() - started):
            time.sleep(0.005)
        process.kill()
        process.wait()

    for seconds in (0.3, 0.6, 0.9):
        killed(lambda passed, most=seconds: passed > most)  # type: ignore[misc]
    for sent in (1, 18, 35, 50):
        killed(lambda _, most=sent: world.biller.requests["submissions"] >= most)  # type: ignore[misc]
    world.biller.faults.answer_delay_seconds = 0.0
    with Ledger.open(world.folder / "state") as ledger:
        left = dict(ledger._connection.execute("SELECT state, count(*) FROM submission GROUP BY state").fetchall())
    assert left["sending"] > 0, "it was killed while charges were on their way, or this test proves nothing"
    world.sync()
    world.agrees()
    sound(world)
    assert world.books()["events"]["created"] == 56


# ---------------------------------------------------------------- D22: corruption


def test_D22_a_truncated_ledger_is_refused_at_the_start_and_the_message_says_what_to_do(world: World) -> None:
    world.sync()
    file = world.folder / "state" / "ledger.sqlite"
    with file.open("r+b") as handle:
        handle.truncate(file.stat().st_size // 2)
    sent = world.books()["events"]
    with pytest.raises(LedgerError, match=r"(?i)restore"):
        world.sync()
    assert world.books()["events"] == sent


def test_D22_flipped_bytes_are_found_at_the_start(world: World) -> None:
    world.sync()
    file = world.folder / "state" / "ledger.sqlite"
    size = file.stat().st_size
    with file.open("r+b") as handle:
        for place in range(4096 * 3, size - 4096, 4096):
            handle.seek(place)
            handle.write(b"\xff" * 32)
    with pytest.raises(LedgerError, match=r"(?i)restore"):
        world.sync()


def test_D22_a_flipped_bit_inside_a_stored_payload_is_found_by_verify(world: World) -> None:
    world.sync()
    with raw(world) as connection:
        connection.execute("DROP TRIGGER source_record_is_kept")
        payload = bytearray(connection.execute("SELECT payload FROM source_record WHERE id = 3").get)
        payload[20] ^= 1
        connection.execute("UPDATE source_record SET payload = ? WHERE id = 3", (bytes(payload),))
    found = problems(world)
    assert set(found) == {"bytes", "schema"}
    assert found["bytes"] == ("source_record 3: its bytes are not those that were stored",)
    assert found["schema"] == ("trigger source_record_is_kept: missing",)


def test_D22_a_newer_schema_is_refused(world: World) -> None:
    world.sync()
    with raw(world) as connection:
        connection.pragma("user_version", 999)
    with pytest.raises(LedgerError, match="newer"):
        world.sync()


# ---------------------------------------------------------------- D22: a disk that says no

EIO = ("strace", "-f", "-o", "/dev/null", "-e", "trace=fdatasync,fsync", "-e")
NEEDS_STRACE = pytest.mark.skipif(not shutil.which("strace"), reason="needs strace")


@NEEDS_STRACE
@pytest.mark.parametrize("when", [6, 9, 14])
def test_D22_an_fsync_that_fails_ends_the_run_in_one_clear_line_and_the_next_run_goes_on(world: World, when: int) -> None:
    """From that sync on each is answered EIO, as by a dying disk: what may be lost is believed by nobody."""
    inject = f"inject=fdatasync,fsync:error=EIO:when={when}+"
    command = [*EIO, inject, sys.executable, "-m", "ptbridge", "sync", "--config", str(world.folder)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=300, cwd=world.folder)
    assert done.returncode == 8, done.stderr
    said = [line for line in done.stderr.splitlines() if "SQLite" in line]
    assert len(said) == 1 and "Check the disk" in done.stderr and "Traceback" not in done.stderr
    world.sync()
    world.agrees()
    sound(world)


@NEEDS_STRACE
def test_D22_after_an_fsync_that_failed_no_message_is_acknowledged_any_more(tmp_path: Path) -> None:
    with lakeside(tmp_path / "config") as clinic:
        words = ["listen", "--config", str(clinic.world.folder), "--port", "0"]
        inject = "inject=fdatasync,fsync:error=EIO:when=14+"
        process = subprocess.Popen(
            [*EIO, inject, sys.executable, "-m", "ptbridge", *words], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
        )
        service, told = Service(process), 0
        for number in range(30):
            try:
                answer = service.ask(adt("A08", f"E{number}"))
            except OSError:
                break
            if b"MSA|AA" not in answer:
                assert answer == b""
                break
            told += 1
        _, trouble = process.communicate(timeout=60)
        service.file.close()
        service.connection.close()
        assert 0 < told < 30 and process.returncode == 8
        assert "Traceback" not in trouble and trouble.count("ptbridge: inbox: SQLite") == 1
        with ClinicInbox.open(clinic.config.state, "lakeside-pt") as inbox:
            assert inbox.last() >= told


# ---------------------------------------------------------------- S8: the history's chain


@pytest.mark.parametrize(
    ("damage", "said"),
    [
        ("UPDATE history SET detail = 'nothing happened' WHERE seq = 40", "history 40: was changed"),
        ("UPDATE history SET actor = 'nobody' WHERE seq = 7", "history 7: was changed"),
        ("DELETE FROM history WHERE seq BETWEEN 20 AND 22", "rows 20 to 22 are missing"),
        ("DELETE FROM history WHERE seq > 100", "the end was cut off"),
        ("DELETE FROM history WHERE seq = 1", "rows 1 to 1 are missing"),
        ("UPDATE history SET seq = -1 WHERE seq = 5; UPDATE history SET seq = 5 WHERE seq = 6", "history 5: was changed"),
    ],
)
def test_S8_an_edited_cut_or_reordered_history_is_found(world: World, damage: str, said: str) -> None:
    world.sync()
    sound(world)
    with raw(world) as connection:
        connection.execute("DROP TRIGGER history_is_kept; DROP TRIGGER history_stays")
        connection.execute(damage)
    assert any(said in problem for problem in problems(world)["history"])


def test_S8_an_end_that_was_noted_elsewhere_shows_a_history_that_was_cut_and_chained_anew(world: World) -> None:
    world.sync()
    seq, digest = sound(world)["history"]
    assert safekeeping.verify(world.config, noted=(seq, digest[:16]))["sound"]
    with raw(world) as connection:
        connection.execute("DROP TRIGGER history_is_kept; DROP TRIGGER history_stays; DELETE FROM history WHERE seq > 50")
        connection.execute("UPDATE history_head SET seq = 50, digest = (SELECT digest FROM history WHERE seq = 50)")
    answer = safekeeping.verify(world.config, noted=(seq, digest))
    assert [one for checked in answer["checks"] for one in checked.problems if "noted" in one]


def test_S8_a_changed_key_and_a_forged_live_charge_are_found(world: World) -> None:
    world.sync()
    with raw(world) as connection:
        connection.execute("DROP TRIGGER submission_key_stays")
        connection.execute("UPDATE submission SET key = 'ab' || substr(key, 3) WHERE id = 2")
        connection.execute(
            "UPDATE treatment_day SET live_sha256 = zeroblob(32) WHERE id = (SELECT day_id FROM submission LIMIT 1)"
        )
    found = problems(world)
    assert found["keys"] == ("submission 2: its key is not the one that its content makes",)
    assert found["one live charge a day"]


def test_S8_a_dry_run_leaves_the_chain_as_it_was(world: World) -> None:
    world.sync(dry_run=True)
    before = sound(world)["history"]
    world.sync(dry_run=True)
    assert sound(world)["history"] == before
    world.sync()
    assert sound(world)["history"][0] > before[0]


# ---------------------------------------------------------------- D23: a full disk


def test_D23_a_full_disk_ends_the_run_with_a_clear_word_and_the_next_run_goes_on(world: World) -> None:
    """The quota is the process's own (RLIMIT_FSIZE): a write beyond it fails as on a full disk."""
    ledger = world.folder / "state" / "ledger.sqlite"
    program = (
        "import resource, signal, sys; signal.signal(signal.SIGXFSZ, signal.SIG_IGN);"
        "resource.setrlimit(resource.RLIMIT_FSIZE, (150_000, 150_000));"
        "from ptbridge import cli; sys.exit(cli.main(sys.argv[1:]))"
    )
    command = [sys.executable, "-c", program, "sync", "--config", str(world.folder)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, cwd=world.folder)
    assert done.returncode == 8, done.stderr
    assert "SQLite" in done.stderr and "Traceback" not in done.stderr
    assert ledger.exists()
    world.sync()
    world.agrees()
    sound(world)


@pytest.mark.skipif(os.geteuid() != 0, reason="mounting a small file system needs root")
def test_D23_a_full_file_system_and_space_again(world: World, tmp_path: Path) -> None:
    state = world.folder / "state"
    state.mkdir(mode=0o700, exist_ok=True)
    mounted = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=200k,mode=0700", "tmpfs", str(state)], capture_output=True)
    if mounted.returncode:
        pytest.skip("this machine lets nobody mount")
    try:
        with pytest.raises((LedgerError, OSError)):
            world.sync()
        subprocess.run(["mount", "-o", "remount,size=16m", str(state)], check=True)
        world.sync()
        world.agrees()
        sound(world)
    finally:
        subprocess.run(["umount", str(state)], check=True)


# ---------------------------------------------------------------- D24: one writer


def test_D24_a_second_writer_is_refused_at_once_and_the_lock_dies_with_its_process(world: World) -> None:
    world.sync()
    state = world.folder / "state"
    program = (
        "import sys, time; from pathlib import Path; from ptbridge.ledger import Ledger;"
        "ledger = Ledger.open(Path(sys.argv[1])); print('open', flush=True); time.sleep(60)"
    )
    holder = subprocess.Popen([sys.executable, "-c", program, str(state)], stdout=subprocess.PIPE, text=True)
    assert holder.stdout is not None
    try:
        assert holder.stdout.readline() == "open\n"
        with pytest.raises(LedgerBusy):
            world.sync()
        command = [sys.executable, "-m", "ptbridge", "sync", "--config", str(world.folder)]
        assert subprocess.run(command, capture_output=True, timeout=30, cwd=world.folder).returncode == 7
    finally:
        holder.kill()
        holder.wait()
        holder.stdout.close()
    world.sync()


# ---------------------------------------------------------------- D25: a restored state


def empty_backup(tmp_path: Path, world: World) -> Path:
    """A backup of a state that knows nothing yet."""
    with Ledger.open(world.folder / "state"):
        pass
    file = tmp_path / "empty.backup"
    backup_job.backup(world.config, file)
    return file


def restored(world: World, file: Path) -> None:
    backup_job.restore(world.config, file, replace=True, actor="test")


def test_D25_a_restored_state_asks_the_biller_first_and_doubles_nothing(tmp_path: Path, world: World) -> None:
    """Half the day, a backup, the other half, the backup again."""
    late = sorted(visit for visit in PLANTED.values() if visit.startswith("enc-00"))[:5] + [
        f"enc-{n:04}" for n in range(20, 45)
    ]
    for visit in late:
        world.store.edit("Encounter", visit, lambda encounter: encounter.update(status="in-progress"))
    world.sync()
    half = world.books()["charges"]
    file = tmp_path / "half.backup"
    backup_job.backup(world.config, file)
    for visit in late:
        world.store.edit("Encounter", visit, lambda encounter: encounter.update(status="finished"))
    world.sync()
    before = world.books()
    assert before["charges"] > half + 10
    restored(world, file)
    report = world.sync()
    assert world.books()["events"] == before["events"] and report.errors == []
    world.agrees()
    sound(world)
    assert world.sync().visits["sent"] == 0


def test_D25_a_backup_from_before_everything_settles_every_charge_by_its_key(tmp_path: Path, world: World) -> None:
    file = empty_backup(tmp_path, world)
    world.sync()
    before = world.books()
    assert before["charges"] > 50
    restored(world, file)
    world.sync()
    assert world.books()["events"] == before["events"]
    world.agrees()
    sound(world)


def test_D25_what_was_sent_and_then_corrected_is_not_sent_as_a_second_original(tmp_path: Path, world: World) -> None:
    """The biller has the second version; the restored ledger knows neither, and its key for it is another."""
    file = empty_backup(tmp_path, world)
    world.sync()
    world.store.edit_visit("enc-0002", {"97112": 40}, bump_encounter=True)
    world.sync()
    before = world.books()
    assert before["events"]["replaced"] == 1
    restored(world, file)
    world.biller.books.strict = False  # a biller without duplicate protection: its auditor sees every double
    world.sync()
    after = world.books()
    assert after["events"]["created"] == before["events"]["created"]
    assert (after["charges"], after["units"], after["amount_cents"]) == tuple(
        before[name] for name in ("charges", "units", "amount_cents")
    )
    world.agrees()
    sound(world)


def test_D25_a_visit_read_only_later_is_still_known_to_be_at_the_biller(tmp_path: Path, world: World) -> None:
    """The comparison is kept: what the EMR shows again only a week after the restore is no original either."""
    file = empty_backup(tmp_path, world)
    world.sync()
    world.store.edit_visit("enc-0002", {"97112": 40}, bump_encounter=True)
    world.sync()
    before = world.books()
    restored(world, file)
    world.store.edit("Encounter", "enc-0002", lambda encounter: encounter.update(status="in-progress"))
    world.sync()
    world.store.edit("Encounter", "enc-0002", lambda encounter: encounter.update(status="finished"))
    world.biller.books.strict = False
    world.sync()
    after = world.books()
    assert after["charges"] == before["charges"] and after["events"]["created"] == before["events"]["created"]
    world.agrees()


def test_D25_nothing_is_sent_while_the_billers_list_may_lag_behind(tmp_path: Path, world: World) -> None:
    file = empty_backup(tmp_path, world)
    text = world.clinic_file.read_text("utf-8")
    assert "  platform: charge_api\n" in text
    world.clinic_file.write_text(
        text.replace("  platform: charge_api\n", '  platform: charge_api\n  options:\n    find_lag_seconds: "600"\n'), "utf-8"
    )
    restored(world, file)
    report = world.sync()
    assert report.exit_code == 5 and "600 s late" in report.errors[0]
    assert world.books()["charges"] == 0
    world.clinic_file.write_text(text, "utf-8")
    assert world.sync().submissions_sent > 50
    world.agrees()


def test_D25_where_the_biller_cannot_be_asked_a_person_decides_each_charge(tmp_path: Path, world: World) -> None:
    with receiving(Hl7Books()) as biller:
        point_to(world, base_url=biller.address, in_flight="1", options={"profile": "sandbox_biller"})
        file = empty_backup(tmp_path, world)
        world.sync()
        before = biller.books.totals()
        restored(world, file)
        report = world.sync()
        assert biller.books.totals() == before and report.visits["sent"] == 0
        held = [row for row in jobs.held(world.config) if "restored from a backup" in row["reasons"][0]["message"]]
        assert len(held) > 40
        jobs.release(world.config, held[0]["id"], "the biller says it has nothing of that day", actor="owner")
        assert world.sync().submissions_sent == 1
        assert world.sync().submissions_sent == 0


def test_D25_a_damaged_backup_is_refused_and_nothing_is_touched(tmp_path: Path, world: World) -> None:
    world.sync()
    file = tmp_path / "x.backup"
    backup_job.backup(world.config, file)
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    with pytest.raises(LedgerError, match="--replace"):
        backup_job.restore(world.config, file)
    good = file.read_bytes()
    for damaged in (good[: len(good) // 2], good[:9000] + bytes([good[9000] ^ 1]) + good[9001:], b"", b"not a backup" * 1000):
        file.write_bytes(damaged)
        with pytest.raises(LedgerError, match="another"):
            backup_job.restore(world.config, file, replace=True)
    assert sound(world) and world.sync().visits["sent"] == 0


@pytest.mark.parametrize("stopped_after", range(8))
def test_D25_a_restore_cut_off_at_any_step_can_be_finished_and_runs_nothing_before(
    tmp_path: Path, world: World, stopped_after: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    world.sync()
    file = tmp_path / "x.backup"
    backup_job.backup(world.config, file)
    state, steps, rename = world.folder / "state", 0, Path.rename

    def power(self: Path, target: Path) -> Path:
        nonlocal steps
        steps += 1
        if steps > stopped_after + 1:  # the first makes the plan durable
            raise KeyboardInterrupt
        return rename(self, target)

    monkeypatch.setattr(Path, "rename", power)
    cut = False
    try:
        backup_job.restore(world.config, file, replace=True)
    except KeyboardInterrupt:
        cut = True
    monkeypatch.undo()
    if cut:
        for command in (["sync"], ["status"], ["verify"]):
            assert cli.main([*command, "--config", str(world.folder)]) == 8
        assert cli.main(["restore", "--finish", "--config", str(world.folder)]) == 0
    with Ledger.open(state, write=False) as ledger:
        assert ledger.restored.pending(CLINIC) is not None
    world.sync()
    world.agrees()
    sound(world)
    assert not list(state.glob("ready-*"))


# ---------------------------------------------------------------- D26: clocks that jump


@pytest.mark.parametrize("days", [3, -3])
def test_D26_a_wall_clock_that_jumped_changes_no_outcome(world: World, days: int) -> None:
    world.sync()
    before = world.books()
    shifted = Ledger.open(world.folder / "state", now=lambda: datetime.now(UTC) + timedelta(days=days))
    with shifted as ledger:
        ledger.begin_run(CLINIC)
        with ledger.transaction():
            ledger.days.mark_held(CLINIC)
            ledger.history.add(CLINIC, "run", 1, "clock-jumped")
    sound(world)
    assert world.sync().visits["sent"] == 0
    assert world.books()["events"] == before["events"]
    sound(world)


@pytest.mark.parametrize("zone", ["Pacific/Kiritimati", "Pacific/Pago_Pago", "Asia/Kathmandu"])
def test_D26_the_machines_time_zone_moves_no_service_date(world: World, tmp_path: Path, zone: str) -> None:
    """A visit after midnight by UTC, and every other, keeps the clinic's civil day wherever the machine thinks it is."""
    command = [sys.executable, "-m", "ptbridge", "sync", "--config", str(world.folder)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=300, env={**os.environ, "TZ": zone})
    assert done.returncode == 3, done.stderr
    with running(tmp_path / "elsewhere") as here:
        here.sync()
        for one in (world, here):
            one.agrees()
        dates = [Counter((row["reference"], row["service_date"]) for row in rows_of(one, phi=True)) for one in (world, here)]
    assert dates[0] == dates[1] and len(dates[0]) > 50
    late = [row for row in rows_of(world, phi=True) if row["visit_id"] == PLANTED["after-midnight-utc"]]
    assert late and {row["service_date"] for row in late} == {DAY.isoformat()}


# ---------------------------------------------------------------- D28: an older ledger with open items

V1 = Path(__file__).with_name("ledger_v1.sqlite.gz")  # made by the first schema's own code: 10 queued, 3 being sent


def test_D28_a_ledger_of_the_first_schema_with_open_items_is_brought_up_and_delivers_them_once(world: World) -> None:
    state = world.folder / "state"
    state.mkdir(mode=0o700, exist_ok=True)
    (state / "ledger.sqlite").write_bytes(gzip.decompress(V1.read_bytes()))
    old = apsw.Connection(str(state / "ledger.sqlite"))
    assert old.pragma("user_version") == 1
    waiting = old.execute("SELECT count(*) FROM submission WHERE state IN ('queued', 'sending')").get
    history = old.execute("SELECT count(*) FROM history").get
    old.close()
    with pytest.raises(LedgerError, match="bring it up"):
        Ledger.open(state, write=False)
    world.sync()
    assert world.books()["charges"] == waiting == 13
    with Ledger.open(state, write=False) as ledger:
        settled = ledger._connection.execute("SELECT count(*) FROM submission WHERE state = 'accepted'").get
        assert settled == waiting
        assert ledger.history.head()[0] > history
    world.agrees()
    sound(world)


# ---------------------------------------------------------------- S4: at rest


def with_key(world: World, *, at: Path) -> None:
    """Name a key that lies outside the config folder."""
    (world.folder / "ptbridge.yaml").write_text(f'encryption:\n  key: "file:{at}"\n', "utf-8")


def canaries(world: World) -> list[bytes]:
    """What identifies the patients of the day, as it could stand in a file."""
    found: set[str] = set()
    for kind in ("Patient", "Coverage"):
        for entry in world.store.shelf(kind).by_updated:
            resource = world.store.resource(kind, entry.id)
            names = resource.get("name", [{}])[0]
            found |= {names.get("family", ""), resource.get("birthDate", ""), resource.get("subscriberId", "")}
            found |= {identifier.get("value", "") for identifier in resource.get("identifier", ())}
            found.add(f"{kind}/{entry.id}")
    return [text.encode() for text in found if len(text) >= 5]


def test_S4_no_patient_data_stands_in_any_byte_of_the_state_folder_or_a_backup(tmp_path: Path, world: World) -> None:
    key = tmp_path / "keys" / MASTER
    with pytest.raises(ConfigError, match="encryption:"):
        safekeeping.encrypt(world.config, key)
    with_key(world, at=key)
    world.sync()
    file = tmp_path / "x.backup"
    backup_job.backup(world.config, file)
    state, words = world.folder / "state", canaries(world)
    assert len(words) > 100
    with Ledger.open(state) as ledger:  # the WAL has pages while it is open
        ledger.begin_run(CLINIC)
        looked = [path for path in state.rglob("*") if path.is_file() and "reports" not in path.parts]
        assert any(path.name.endswith("-wal") and path.stat().st_size for path in looked)
        for path in (*looked, file):
            content = path.read_bytes()
            assert b"SQLite format 3" not in content and not re.search(rb"pt-[0-9a-f]{8}", content)
            assert not [word for word in words if word in content], path.name
            assert stat.S_IMODE(path.stat().st_mode) == 0o600
    world.agrees()
    sound(world)


def test_S4_the_canaries_do_stand_in_a_plain_ledger(world: World) -> None:
    """So that the test above can fail."""
    world.sync()
    with raw(world) as connection:
        bodies = connection.execute("SELECT payload FROM source_record").fetchall()
    import zlib

    plain = b"".join(zlib.decompress(body) for (body,) in bodies)
    words = canaries(world)
    assert sum(word in plain for word in words) > len(words) / 2


def test_S4_a_plain_folder_is_encrypted_in_place_and_goes_on(tmp_path: Path, world: World) -> None:
    world.sync()
    before = world.books()
    with pytest.raises(ConfigError):
        safekeeping.encrypt(world.config, tmp_path / MASTER)
    with_key(world, at=tmp_path / MASTER)
    with pytest.raises(LedgerError, match="ptbridge encrypt"):
        world.sync()
    safekeeping.encrypt(world.config)
    assert not (world.folder / "state" / "ledger.sqlite").read_bytes().startswith(b"SQLite format 3")
    assert not list((world.folder / "state").glob("before-restore-*"))
    world.store.sign_note(PLANTED["unsigned-note"])
    world.sync()
    assert world.books()["charges"] == before["charges"] + 1
    world.agrees()
    sound(world)


def test_S4_a_new_master_key_rewrites_one_small_file_and_a_backup_knows_the_old_one(tmp_path: Path, world: World) -> None:
    first, second = tmp_path / "one.key", tmp_path / "two.key"
    with pytest.raises(ConfigError):
        safekeeping.encrypt(world.config, first)
    with pytest.raises(ConfigError):
        safekeeping.encrypt(world.config, second)
    with_key(world, at=first)
    world.sync()
    file = tmp_path / "x.backup"
    backup_job.backup(world.config, file)
    before = (world.folder / "state" / "ledger.sqlite").read_bytes()
    with_key(world, at=second)
    with pytest.raises(ConfigError, match="rotate-key"):
        world.sync()
    safekeeping.rotate_key(world.config, old=f"file:{first}")
    assert (world.folder / "state" / "ledger.sqlite").read_bytes() == before
    assert world.sync().visits["sent"] == 0
    with pytest.raises(ConfigError, match="key"):
        backup_job.restore(world.config, file, replace=True)
    backup_job.restore(world.config, file, replace=True, master=f"file:{first}")
    world.sync()
    world.agrees()
    safekeeping.rotate_key(world.config, data=True)
    assert (world.folder / "state" / "ledger.sqlite").read_bytes()[:16] != before[:16]
    sound(world)


def test_S4_the_wrong_key_and_a_missing_keys_file_are_told_apart_from_damage(tmp_path: Path, world: World) -> None:
    for name in ("right.key", "wrong.key"):
        with pytest.raises(ConfigError):
            safekeeping.encrypt(world.config, tmp_path / name)
    with_key(world, at=tmp_path / "right.key")
    world.sync()
    with_key(world, at=tmp_path / "wrong.key")
    with pytest.raises(ConfigError, match="encrypted under key"):
        world.sync()
    (world.folder / "ptbridge.yaml").unlink()
    with pytest.raises(ConfigError, match=r"encryption\.key"):
        world.sync()
    (world.folder / "ptbridge.yaml").write_text('encryption:\n  key: "hunter2-hunter2"\n', "utf-8")
    with pytest.raises(ConfigError) as refused:
        world.config  # noqa: B018
    assert "hunter2" not in str(refused.value)


def test_S4_a_lost_key_is_said_in_words_that_lead_to_the_old_one_and_not_to_a_new_one(tmp_path: Path, world: World) -> None:
    """Gone, emptied, cut short; then the keys file gone. Sync, verify and doctor say the same, and nothing is overwritten."""
    key = tmp_path / MASTER
    with pytest.raises(ConfigError):
        safekeeping.encrypt(world.config, key)
    with_key(world, at=key)
    world.sync()
    file = tmp_path / "x.backup"
    backup_job.backup(world.config, file)
    text, state = key.read_text("utf-8"), world.folder / "state"
    before = {path: path.read_bytes() for path in state.glob("*.*") if path.is_file()}
    for left in (None, "", text[:20]):
        key.unlink() if left is None else key.write_text(left, "utf-8")
        for ask in (world.sync, lambda: safekeeping.verify(world.config)):
            with pytest.raises(ConfigError, match=r"key [0-9a-f]{16} alone opens it.* A new key opens nothing"):
                ask()
        assert any("alone opens it" in what for what in doctor_says(world)["fail"])
        key.write_text(text, "utf-8")
        key.chmod(0o600)
    (state / "keys.json").unlink()
    with pytest.raises(LedgerError, match=r"encrypted, and keys\.json beside it is gone.*Restore the last backup"):
        world.sync()
    assert {path: path.read_bytes() for path in before if path.exists() and path.name != "lock"} == {
        path: content for path, content in before.items() if path.name not in ("keys.json", "lock")
    }
    backup_job.restore(world.config, file, replace=True)
    assert world.sync().visits["sent"] == 0
    sound(world)


def test_S5_no_key_in_a_message_an_argument_or_a_log(tmp_path: Path, world: World) -> None:
    key = tmp_path / MASTER
    with pytest.raises(ConfigError) as told:
        safekeeping.encrypt(world.config, key)
    secret = key.read_text().strip()
    assert stat.S_IMODE(key.stat().st_mode) == 0o600 and secret not in str(told.value)
    with_key(world, at=key)
    world.sync()
    for path in (world.folder / "state").rglob("*"):
        assert not path.is_file() or secret.encode() not in path.read_bytes()
    with pytest.raises(ConfigError, match="there already"):
        safekeeping.encrypt(world.config, key)


# ---------------------------------------------------------------- D22: when the file is looked through


def test_D22_the_file_is_looked_through_after_a_kill_or_a_touch_and_not_after_an_orderly_end(tmp_path: Path) -> None:
    looked: list[str] = []

    def opened() -> Ledger:
        lock = tmp_path / "lock"
        noted = lock.read_text().split() if lock.exists() else []
        ledger = Ledger.open(tmp_path)
        looked.append("no" if noted and ledger._checked_at == float(noted[2]) else "yes")
        return ledger

    opened().close()
    time.sleep(1.1)  # the note counts whole seconds
    opened().close()
    with opened() as ledger:
        ledger.begin_run(CLINIC)
    opened().close()
    assert looked == ["yes", "no", "no", "no"]
    os.utime(tmp_path / "ledger.sqlite")
    opened().close()
    assert looked[-1] == "yes"
    time.sleep(1.1)
    program = (
        "import os, sys; from pathlib import Path; from ptbridge.ledger import Ledger;"
        "Ledger.open(Path(sys.argv[1])).begin_run('x'); os.kill(os.getpid(), 9)"
    )
    assert subprocess.run([sys.executable, "-c", program, str(tmp_path)]).returncode == -9
    opened().close()
    assert looked[-1] == "yes"


# ---------------------------------------------------------------- D4: silence and age


def alarm_kinds(world: World) -> list[str]:
    return [alarm["kind"] for standing in jobs.status(world.config).values() for alarm in standing["alarms"]]


def test_D4_a_silent_source_a_stuck_submission_and_an_old_hold_raise_an_alarm(world: World) -> None:
    world.sync()
    assert alarm_kinds(world) == [] and cli.main(["status", "--config", str(world.folder)]) == 0
    text = world.clinic_file.read_text("utf-8")
    world.clinic_file.write_text(text + 'alarms: {silence_hours: "26", waiting_hours: "4", held_hours: "48"}\n', "utf-8")
    assert alarm_kinds(world) == []
    with raw(world) as connection:
        connection.execute("DROP TRIGGER source_record_is_kept")
        connection.execute("UPDATE source_record SET received_at = '2026-01-05T08:00:00+00:00'")
        connection.execute("UPDATE treatment_day SET held_since = '2026-01-05T08:00:00.000+00:00' WHERE state = 'held'")
        connection.execute("UPDATE submission SET state = 'in-doubt', open = 1, queued_at = queued_at - 90000 WHERE id = 4")
    assert alarm_kinds(world) == ["silence", "waiting", "held"]
    assert cli.main(["status", "--config", str(world.folder)]) == 10
    (standing,) = jobs.status(world.config).values()
    assert standing["source"]["last_received_at"] == "2026-01-05T08:00:00+00:00" and standing["source"]["last_success_at"]


def test_D4_what_is_in_the_hold_window_is_not_late_and_waits_from_its_end_on(
    world: World, capsys: pytest.CaptureFixture[str]
) -> None:
    words = 'changes: {hold_window_minutes: "600"}\nalarms: {waiting_hours: "4"}\n'
    world.clinic_file.write_text(world.clinic_file.read_text("utf-8") + words, "utf-8")
    world.sync()

    def later(hours: int) -> None:
        past = ", ".join(f"{name} = {name} - {hours * 3600}" for name in ("queued_at", "window_until", "next_at"))
        with raw(world) as connection:
            connection.execute(f"UPDATE submission SET {past}")

    later(9)
    assert alarm_kinds(world) == []
    (standing,) = jobs.status(world.config).values()
    assert standing["oldest"]["waiting_since"] is None and len(standing["waiting"]) == 56
    later(4)
    assert alarm_kinds(world) == []
    (standing,) = jobs.status(world.config).values()
    assert abs(standing["oldest"]["waiting_since"] - (time.time() - 3 * 3600)) < 600, "since the window's end"
    capsys.readouterr()
    assert cli.main(["status", "--config", str(world.folder)]) == 0
    shown = capsys.readouterr().out
    assert "waiting for the biller: 56 queued; the oldest since " in shown
    at = datetime.fromtimestamp(standing["oldest"]["waiting_since"], UTC).isoformat(sep=" ", timespec="minutes")
    assert at in shown
    later(2)
    ((alarm,),) = (standing["alarms"] for standing in jobs.status(world.config).values())
    assert alarm["kind"] == "waiting" and " 5 hours" in alarm["text"]


def test_D4_what_a_person_let_out_of_its_window_is_late_from_then_on(world: World) -> None:
    """Nine hours in the window, then a biller that is away: it has waited for the biller since the person's word."""
    words = 'changes: {hold_window_minutes: "600"}\nalarms: {waiting_hours: "4"}\n'
    text = world.clinic_file.read_text("utf-8")
    world.clinic_file.write_text(text + words, "utf-8")
    world.sync()
    with raw(world) as connection:
        past = ", ".join(f"{name} = {name} - 9 * 3600" for name in ("queued_at", "window_until", "next_at"))
        connection.execute(f"UPDATE submission SET {past}")
    world.clinic_file.write_text(text.replace(world.biller.base_url, "http://127.0.0.1:9") + words, "utf-8")
    jobs.retry(world.config, name="enc-0002", reason="now")
    assert alarm_kinds(world) == []
    (standing,) = jobs.status(world.config).values()
    assert abs(standing["oldest"]["waiting_since"] - time.time()) < 600


def test_D4_a_source_that_never_sent_anything_is_silent_since_the_first_run(world: World) -> None:
    text = world.clinic_file.read_text("utf-8")
    world.clinic_file.write_text(text + "alarms: {silence_hours: 26}\n", "utf-8")
    with Ledger.open(world.folder / "state", now=lambda: datetime.now(UTC) - timedelta(days=3)) as ledger:
        ledger.end_run(ledger.begin_run(CLINIC), '{"errors": [], "exit_code": 0}')
    assert alarm_kinds(world) == ["silence"]


def test_D4_a_difference_that_a_run_found_stays_an_alarm_until_a_run_finds_none(world: World) -> None:
    world.sync()
    charge = next(iter(world.biller.books.live.values()))[0]
    charge.units += 1
    world.store.sign_note(PLANTED["unsigned-note"])
    assert world.sync().exit_code == 9
    assert alarm_kinds(world) == ["difference"]
    charge.units -= 1
    world.sync()
    assert alarm_kinds(world) == []


def doctor_says(world: World) -> dict[str, list[str]]:
    from ptbridge.cli.checks import all_checks

    found: dict[str, list[str]] = {"ok": [], "warn": [], "fail": []}
    for check in all_checks(world.folder, None, offline=True):
        found[check.status].append(check.what)
    return found


def test_S4_the_doctor_says_whether_the_data_is_encrypted_and_where_the_key_must_not_lie(tmp_path: Path, world: World) -> None:
    world.sync()
    assert "ledger and inbox are not encrypted at rest" in doctor_says(world)["warn"]
    with pytest.raises(ConfigError):
        safekeeping.encrypt(world.config, tmp_path / MASTER)
    with_key(world, at=tmp_path / MASTER)
    assert any("ptbridge encrypt" in what for what in doctor_says(world)["fail"])
    safekeeping.encrypt(world.config)
    assert any(what.startswith("encrypted at rest under key ") for what in doctor_says(world)["ok"])
    beside = world.folder / "state" / MASTER
    (tmp_path / MASTER).rename(beside)
    with_key(world, at=beside)
    assert "the key lies beside the data that it encrypts" in doctor_says(world)["fail"]
