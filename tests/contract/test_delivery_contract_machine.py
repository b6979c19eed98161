"""The delivery contract where it meets the machine: D10, D22, D26, by what disk, kernel and clock see of the real process."""

from __future__ import annotations

import ast
import json
import os
import re
import shutil
import struct
import subprocess
import sys
import time
from collections import Counter, defaultdict
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import apsw
import pytest
from ptbridge_sandbox.emr import SandboxEmr
from ptbridge_sandbox.faults import Fault
from ptbridge_sandbox.smart import Authority, Client

from ptbridge.wire.keys import generate_private_key, jwks
from tests.chaos.machine import cannot_move_the_clock, moved_clock
from tests.contract.test_listen import Service
from tests.hl7_clinic import adt, lakeside
from tests.world import World

HANGS_SECONDS = 600  # only against hanging
DAMAGED, HELD, PEER = 8, 3, 5
NEEDS_STRACE = pytest.mark.skipif(not shutil.which("strace"), reason="needs strace")
NEEDS_ANOTHER_CLOCK = pytest.mark.skipif(bool(cannot_move_the_clock()), reason=cannot_move_the_clock())


def command(world: World, *words: str) -> list[str]:
    return [sys.executable, "-m", "ptbridge", *words, "--config", str(world.folder)]


def finish(process: subprocess.Popen[str]) -> tuple[int, str]:
    """How it ended and what it said; one that hangs is ended here."""
    try:
        said, trouble = process.communicate(timeout=HANGS_SECONDS)
    except subprocess.TimeoutExpired:
        process.kill()
        said, trouble = process.communicate()
        return -1, f"it hung: {said}{trouble}"
    return process.returncode, said + trouble


def start(words: list[str], **environment: str) -> subprocess.Popen[str]:
    given = {**os.environ, **environment}
    return subprocess.Popen(words, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=given)


def until_sent(world: World, process: subprocess.Popen[str], most: int) -> None:
    while process.poll() is None and world.biller.requests["submissions"] < most:
        time.sleep(0.005)


def asked_of(world: World, monkeypatch: pytest.MonkeyPatch) -> dict[str, list[bytes]]:
    """Every body that the biller is sent from here on, by the key that it came with."""
    seen: dict[str, list[bytes]] = defaultdict(list)
    work, again = world.biller._work, world.biller._again

    def first(request: Any, frequency: str, key: str, body: bytes) -> Any:
        seen[key].append(body)
        return work(request, frequency, key, body)

    async def repeated(request: Any, known: Any, body: bytes) -> Any:
        seen[request.headers["Idempotency-Key"]].append(body)
        return await again(request, known, body)

    monkeypatch.setattr(world.biller, "_work", first)
    monkeypatch.setattr(world.biller, "_again", repeated)
    return seen


# ---------------------------------------------------------------- D10: key first

_CALL = re.compile(r"^\d+ +(pwrite64|fdatasync|sendto|sendmsg|writev?)\(\d+<([^>]*)>(.*)$")
_TEXT = re.compile(r'"((?:[^"\\]|\\.)*)"')


def calls(trace: Path) -> Iterator[tuple[str, str, bytes]]:
    """Each system call of a trace in order: name, where to, what was written; a sync once it has succeeded."""
    waiting: dict[str, str] = {}
    for line in trace.read_text("latin-1").splitlines():
        who = line.split(" ", 1)[0]
        if "<... fdatasync resumed>" in line and line.endswith("= 0"):
            yield "fdatasync", waiting.pop(who), b""
        elif found := _CALL.match(line):
            name, where, rest = found.groups()
            if name == "fdatasync" and not rest.endswith("= 0"):
                waiting[who] = where
                continue
            said = (ast.literal_eval(f'b"{text}"') for text in _TEXT.findall(rest))
            yield name, where, b"".join(said)


@NEEDS_STRACE
def test_D10_key_bytes_and_start_are_synced_to_the_disk_before_the_first_byte_leaves(
    world: World, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """In the order of the kernel: written to the ledger's log, synced, and only then sent."""
    seen, trace = asked_of(world, monkeypatch), tmp_path / "trace"
    traced = [
        "strace",
        "-f",
        "-y",
        "-s",
        "70000",
        "-o",
        str(trace),
        "-e",
        "trace=pwrite64,fdatasync,sendto,sendmsg,write,writev",
    ]
    assert finish(start([*traced, *command(world, "sync")]))[0] == HELD
    on_disk, written, sent = b"", b"", 0
    for name, where, data in calls(trace):
        if where.endswith("ledger.sqlite-wal"):
            written += data
            if name == "fdatasync":
                on_disk, written = on_disk + written, b""
        elif found := re.search(rb"(?i)idempotency-key: ([0-9a-f]{40})", data):
            sent += 1
            key, (body, *_) = found[1], seen[found[1].decode()]
            assert body in on_disk, "the bytes were sent before they were synced"
            assert re.search(key + rb"(?s:.{0,170})sending", on_disk), "and the key, with the word that it is being sent"
    assert sent == len(seen) == 56


def test_D10_a_new_process_repeats_the_same_bytes_under_the_same_key_whatever_was_edited_meanwhile(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Killed while charges were on their way; then every price, the mapping and the clinic's own name are others."""
    seen = asked_of(world, monkeypatch)
    world.biller.faults.answer_delay_seconds = 0.4
    process = start(command(world, "sync"))
    until_sent(world, process, 12)
    process.kill()
    finish(process)
    before = {key: list(bodies) for key, bodies in seen.items()}
    assert len(before) >= 8, "it was killed while charges were on their way, or this test proves nothing"
    world.biller.faults.answer_delay_seconds = 0.0
    for fees in (world.folder / "fees").iterdir():
        fees.write_text(re.sub(r"(?m)^([0-9G]\w{4},[^,]*),[0-9.]+", r"\1,77.00", fees.read_text("utf-8")), "utf-8")
    with world.mapping_file.open("a", encoding="utf-8") as mapping:
        mapping.write('\nlookups:\n  services:\n    "97110": "97530"\n')
    text = world.clinic_file.read_text("utf-8")
    world.clinic_file.write_text(text.replace("name: Riverside", "name: Riverside West"), "utf-8")
    assert finish(start(command(world, "sync")))[0] in (HELD, 9)
    repeated = {key: bodies for key, bodies in seen.items() if key in before and len(bodies) > len(before[key])}
    assert len(repeated) >= 4, "what was on its way is asked about by the same key"
    assert [key for key, bodies in seen.items() if len(set(bodies)) > 1] == [], "and never with other bytes"
    assert world.books()["events"] == {"created": 56} and world.biller.requests["refused"] == 0


# ---------------------------------------------------------------- D22: damage that no run would meet


def oldest_page_of(file: Path, table: str) -> int:
    """Where the page with a table's first rows begins (SQLite's file format, 1.6): nothing that is new is read from it."""
    with apsw.Connection(str(file)) as connection:
        page = int(connection.execute("SELECT rootpage FROM sqlite_schema WHERE name = ?", (table,)).get)
        size = int(connection.pragma("page_size"))
    data, deep = file.read_bytes(), 0
    while data[(page - 1) * size] == 0x05:
        (first,) = struct.unpack_from(">H", data, (page - 1) * size + 12)
        (page,) = struct.unpack_from(">I", data, (page - 1) * size + first)
        deep += 1
    assert deep and data[(page - 1) * size] == 0x0D, f"{table} is too small for this test"
    return (page - 1) * size


def damage(file: Path, table: str) -> None:
    """A disk that wrote one page wrongly: its rows are said to lie beyond its end."""
    place = oldest_page_of(file, table)
    with file.open("r+b") as handle:
        handle.seek(place + 8)
        handle.write(b"\xff\xff" * 8)


def ledger_of(world: World) -> Path:
    return world.folder / "state" / "ledger.sqlite"


def test_D22_a_damaged_page_that_no_run_would_read_stops_the_next_one_before_anything_is_asked(world: World) -> None:
    assert finish(start(command(world, "sync")))[0] == HELD
    damage(ledger_of(world), "source_record")
    with apsw.Connection(str(ledger_of(world))) as connection:
        assert connection.execute("SELECT count(*) FROM treatment_day").get > 50, "what a run reads is sound"
    asked, books, file = len(world.emr.requests), world.books(), ledger_of(world).read_bytes()
    world.store.edit_visit("enc-0002", {"97112": 40})
    for words in (("sync",), ("retry",), ("undo", "enc-0002", "--reason", "x"), ("rejudge", "enc-0002")):
        code, said = finish(start(command(world, *words)))
        assert code == DAMAGED and "damaged" in said.lower() and "Restore the last backup" in said and "Traceback" not in said
    assert (len(world.emr.requests), world.books(), ledger_of(world).read_bytes()) == (asked, books, file)


@NEEDS_ANOTHER_CLOCK
@pytest.mark.parametrize("clock", ["+25h", "-3d"])
def test_D22_a_page_that_rots_under_an_unchanged_date_is_found_within_a_day_by_any_clock(
    world: World, tmp_path: Path, clock: str
) -> None:
    """Size and date are as the last run left them. A note from the future, by a clock that went back, spares nothing."""
    assert finish(start(command(world, "sync")))[0] == HELD
    known = ledger_of(world).stat()
    damage(ledger_of(world), "source_record")
    os.utime(ledger_of(world), ns=(known.st_atime_ns, known.st_mtime_ns))
    (tmp_path / "clock").write_text(clock)
    books = world.books()
    code, said = finish(start(command(world, "sync"), **moved_clock(tmp_path / "clock")))
    assert code == DAMAGED and "damaged" in said, said
    assert world.books() == books


def test_D22_a_listener_refuses_a_damaged_inbox_and_acknowledges_nothing(tmp_path: Path) -> None:
    with lakeside(tmp_path / "config") as clinic:
        words = [*command(clinic.world, "listen"), "--port", "0"]
        clinic.receive(*[adt("A08", f"E{number}") for number in range(200)])
        process = start(words)
        service = Service(process)
        assert b"MSA|AA" in service.ask(adt("A08", "sound"))
        assert service.stop()[0] == 0
        inbox = clinic.world.folder / "state" / "inbox.sqlite"
        damage(inbox, "message")
        file = inbox.read_bytes()
        code, said = finish(start(words))
        assert code == DAMAGED and "inbox.sqlite: damaged" in said and "ready" not in said and "Traceback" not in said
        assert inbox.read_bytes() == file


# ---------------------------------------------------------------- D26: a clock that is wrong, or jumps


def guarded(world: World, emr: SandboxEmr, *, token_seconds: int = 3600) -> None:
    """From here on the EMR wants a signed assertion, not older than five minutes by its own clock."""
    pem = generate_private_key("ES384")
    emr.authority = Authority(clients=(Client(id="clinic", jwks=jwks(pem)),), token_seconds=token_seconds)
    key = world.folder / "secrets" / "emr_key.pem"
    key.write_text(pem, "utf-8")
    key.chmod(0o600)
    auth = (
        "{method: private_key_jwt, algorithm: ES384, client_id: clinic,"
        f' token_url: "{emr.token_url}", private_key: "file:secrets/emr_key.pem", scopes: ["system/*.rs"]}}'
    )
    text = world.clinic_file.read_text("utf-8")
    world.clinic_file.write_text(text.replace("  auth:\n    method: none\n", f"  auth: {auth}\n", 1), "utf-8")
    assert "private_key_jwt" in world.clinic_file.read_text("utf-8")


def token_requests(emr: SandboxEmr) -> int:
    return sum("/auth/token" in one for one in emr.requests)


@NEEDS_ANOTHER_CLOCK
@pytest.mark.parametrize("clock", ["+3d", "-2h", "-3d"])
def test_D26_an_assertion_that_a_wrong_clock_spoiled_is_made_anew_by_the_servers_time(
    world: World, tmp_path: Path, clock: str
) -> None:
    """Refused once, as the EMR must; then a new one, with another id, for the EMR's own time. Asked no third time."""
    guarded(world, world.emr)
    (tmp_path / "clock").write_text(clock)
    code, said = finish(start(command(world, "sync"), **moved_clock(tmp_path / "clock")))
    assert code == HELD, said
    assert (token_requests(world.emr), world.emr.authority.issued) == (2, 1)
    assert world.books()["charges"] == 56
    assert finish(start(command(world, "sync")))[0] == HELD
    assert (token_requests(world.emr), world.emr.authority.issued) == (3, 2), "a right clock needs no second try"
    assert world.books()["events"] == {"created": 56}
    world.agrees()


@NEEDS_ANOTHER_CLOCK
@pytest.mark.parametrize("jump", ["+3d", "-2h", "-3d"])
def test_D26_a_clock_that_jumps_while_charges_are_on_their_way_changes_nothing_that_is_asked(
    world: World, tmp_path: Path, jump: str
) -> None:
    """Durations, tokens, waits and the pace go by the time that passes: the biller is asked what it is asked in a calm run."""
    guarded(world, world.emr)
    text = world.clinic_file.read_text("utf-8")
    world.clinic_file.write_text(
        text.replace("  platform: charge_api\n", "  platform: charge_api\n  requests_per_second: 40\n"), "utf-8"
    )
    world.biller.faults.answer_delay_seconds = 0.05
    clock = tmp_path / "clock"
    clock.write_text("+0")
    process = start(command(world, "sync", "--json"), **moved_clock(clock))
    until_sent(world, process, 15)
    clock.write_text(jump)
    code, said = finish(process)
    assert code == HELD, said
    (report,) = json.loads(said)
    delivery = report["delivery"]
    assert (delivery["ended"], delivery["attempts"], delivery["retries"], delivery["doubts"]) == ("done", 56, 0, 0), delivery
    assert world.biller.requests["submissions"] == 56 and token_requests(world.emr) == 1
    assert world.biller.peak_per_second() <= 41
    world.biller.faults.answer_delay_seconds = 0.0
    assert finish(start(command(world, "sync")))[0] == HELD
    assert world.books()["events"] == {"created": 56}
    world.agrees()


@NEEDS_ANOTHER_CLOCK
@pytest.mark.parametrize("jump", ["+3d", "-3d"])
def test_D26_a_token_lives_by_the_time_that_passes_and_not_by_the_clock(world: World, tmp_path: Path, jump: str) -> None:
    """The clock jumps between two pages of the EMR: the token is neither thrown away nor kept beyond its life."""
    guarded(world, world.emr)
    world.emr.faults.slow_seconds, world.emr.faults.share[Fault.SLOW] = 0.1, 1.0
    clock = tmp_path / "clock"
    clock.write_text("+0")
    process = start(command(world, "sync"), **moved_clock(clock))
    while process.poll() is None and len(world.emr.requests) < 4:
        time.sleep(0.005)
    at_the_jump = len(world.emr.requests)
    clock.write_text(jump)
    assert finish(process)[0] == HELD
    assert len(world.emr.requests) > at_the_jump + 2, "it was in the middle of its reading, or this test proves nothing"
    assert (token_requests(world.emr), world.emr.authority.issued) == (1, 1)


@NEEDS_ANOTHER_CLOCK
@pytest.mark.parametrize("clock", ["@1970-01-02 12:00:00", "@2039-07-01 12:00:00"])
def test_D26_a_machine_that_wakes_in_another_age_bills_nothing_wrong_and_makes_up_for_it(
    world: World, tmp_path: Path, clock: str
) -> None:
    """By its date the visits lie ahead, or are too late to file: a person would decide. The right date decides by itself."""
    (tmp_path / "clock").write_text(clock)
    code, said = finish(start(command(world, "sync"), **moved_clock(tmp_path / "clock")))
    assert code == HELD, said
    books = world.books()
    assert books["charges"] < 56 and Counter(books["events"]) <= Counter({"created": 56})
    assert finish(start(command(world, "sync")))[0] == HELD
    assert world.books()["events"] == {"created": 56}
    world.agrees()
