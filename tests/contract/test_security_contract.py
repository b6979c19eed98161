"""The delivery contract's promises about security, S1 to S6, each by a test of its name. Real servers, processes and files.

More of S3, S4 and S5 stands in test_delivery_contract_ledger.py, S12 in test_purge.py.
"""

from __future__ import annotations

import asyncio
import base64
import contextlib
import json
import logging
import os
import socket
import stat
import subprocess
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any
from urllib.parse import quote

import aiohttp
import pytest
from aiohttp import web
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from ptbridge import cli, jobs
from ptbridge.errors import PeerRefused, PtbridgeError, RecordError
from ptbridge.jobs.log_file import log_to
from ptbridge.specs import yaml_text
from ptbridge.wire.answers import Response
from ptbridge.wire.egress import EgressRule
from ptbridge.wire.extract_rows import BrokenFile
from ptbridge.wire.fhir import FhirClient
from ptbridge.wire.fhir_bundle import UnreadableBody, parse_resource, split_bundle
from ptbridge.wire.hl7_batch import split_batch
from ptbridge.wire.hl7v2 import Message
from ptbridge.wire.http import HttpClient
from ptbridge.wire.mllp_frames import FrameReader, framed
from ptbridge.wire.smart_auth import ApiKey, FormKey, StaticBearer
from ptbridge.wire.webhooks import SCHEMES, Signature
from ptbridge.wire.x12 import interchanges
from ptbridge.wire.x12_acknowledgements import read_999
from ptbridge.wire.x12_claim_status import read_277ca
from ptbridge.wire.x12_remittance import read_835
from ptbridge.wire.xlsx import csv_of_sheet
from tests.fuzz.mutations import x12_files
from tests.rigs import MARKERS
from tests.world import World

SECRET = "s3cret-7f1c9a2e"
SENT = web.RequestKey("sent", bytes)


def ptbridge(world: World, *words: str, **environment: str) -> subprocess.CompletedProcess[str]:
    command = [str(Path(sys.executable).with_name("ptbridge")), *words, "--config", str(world.folder)]
    return subprocess.run(command, capture_output=True, text=True, timeout=120, env={**os.environ, **environment})


# ---------------------------------------------------------------- S1: the token stays home

# {home} and {thief} are ports on 127.0.0.1: a link that is followed reaches a real server, which tells.
TRICKS = (
    "http://127.0.0.1:{thief}/x",
    "HTTP://127.0.0.1:{thief}/x",
    "hTTp://127.0.0.1:{thief}/x",
    "http://localhost:{thief}/x",
    "http://LOCALHOST:{thief}/x",
    "http://localhost.:{thief}/x",
    "http://LocalHost.:{thief}/x",
    "http://127.0.0.1.:{thief}/x",
    "http://127.1:{thief}/x",
    "http://127.0.1:{thief}/x",
    "http://0:{thief}/x",
    "http://0.0.0.0:{thief}/x",
    "http://2130706433:{thief}/x",
    "http://0x7f000001:{thief}/x",
    "http://0x7f.0.0.1:{thief}/x",
    "http://0177.0.0.1:{thief}/x",
    "http://017700000001:{thief}/x",
    "http://127.0.0.2:{thief}/x",
    "http://127.0.0.2:{home}/x",
    "http://localhost:{home}/x",
    "http://127.1:{home}/x",
    "http://2130706433:{home}/x",
    "http://0.0.0.0:{home}/x",
    "http://[::1]:{thief}/x",
    "http://[::ffff:127.0.0.1]:{thief}/x",
    "http://[::ffff:7f00:1]:{thief}/x",
    "http://[::ffff:127.0.0.1]:{home}/x",
    "http://[0:0:0:0:0:ffff:7f00:0001]:{thief}/x",
    "http://[::127.0.0.1]:{thief}/x",
    "http://[64:ff9b::7f00:1]:{thief}/x",
    "http://[fe80::1%25lo]:{thief}/x",
    "https://127.0.0.1:{home}/x",
    "https://127.0.0.1:{thief}/x",
    "http://127.0.0.1:{home}@127.0.0.1:{thief}/x",
    "http://127.0.0.1@127.0.0.1:{thief}/x",
    "http://user@127.0.0.1:{thief}/x",
    "http://user:pass@127.0.0.1:{home}/x",
    "http://@127.0.0.1:{home}/x",
    "http://127.0.0.1:{home}%40127.0.0.1:{thief}/x",
    "http://127.0.0.1:{home}\\@127.0.0.1:{thief}/x",
    "http://127.0.0.1:{thief}\\@127.0.0.1:{home}/x",
    "http:\\\\127.0.0.1:{thief}/x",
    "\\\\127.0.0.1:{thief}/x",
    "//127.0.0.1:{thief}/x",
    "//localhost:{thief}/x",
    "//user@127.0.0.1:{thief}/x",
    "/\\127.0.0.1:{thief}/x",
    "http:127.0.0.1:{thief}/x",
    "http:/127.0.0.1:{thief}/x",
    "http:///127.0.0.1:{thief}/x",
    "http://127.0.0.1 :{thief}/x",
    " http://127.0.0.1:{thief}/x",
    "http://127.0.0.1\t:{thief}/x",
    "http://127.0.0.1:{thief}?http://127.0.0.1:{home}/",
    "http://127.0.0.1:{thief}#@127.0.0.1:{home}/",
    "http://127.0.0.1:{thief}/http://127.0.0.1:{home}/",
    "http://127.0.0.1:{home}.evil.example/x",
    "http://127.0.0.1.nip.example:{thief}/x",
    "http://１２７.０.０.１:{thief}/x",
    "http://127。0。0。1:{thief}/x",
    "http://ⓛocalhost:{thief}/x",
    "http://loc\u00adalhost:{thief}/x",
    "http://localhost%00.example:{thief}/x",
    "http://127.0.0.1%2f:{thief}/x",
    "http://127.0.0.1:0{thief}/x",
    "ws://127.0.0.1:{thief}/x",
    "ftp://127.0.0.1:{thief}/x",
    "file:///etc/passwd",
    "gopher://127.0.0.1:{thief}/x",
    "data:text/plain,x",
)


@contextlib.asynccontextmanager
async def serving(answer: Callable[[web.Request], web.Response]) -> AsyncIterator[int]:
    """A server on every loopback address; yields its port. `answer` finds what was sent under `request[SENT]`."""

    async def handler(request: web.BaseRequest) -> web.StreamResponse:
        assert isinstance(request, web.BaseRequest)
        request[SENT] = await request.read()
        return answer(request)  # type: ignore[arg-type]

    runner = web.ServerRunner(web.Server(handler))
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    port = int(runner.addresses[0][1])
    for address in ("127.0.0.2", "::1"):
        with contextlib.suppress(OSError):
            await web.TCPSite(runner, address, port).start()
    try:
        yield port
    finally:
        await runner.cleanup()


async def _lured(trick: str, authorizer: Any) -> tuple[list[str], int]:
    """What a thief was sent when our server points there by every door, and how often our own server saw the secret."""
    stolen: list[str] = []
    at_home = 0
    links: list[str] = []

    def thief(request: web.Request) -> web.Response:
        stolen.append(f"{request.method} {request.path} {dict(request.headers)}")
        return web.json_response({"resourceType": "Bundle", "type": "searchset"})

    def home(request: web.Request) -> web.Response:
        nonlocal at_home
        at_home += SECRET in str(dict(request.headers))
        if request.headers.get("Host", "").startswith("127.0.0.2") or "127.0.0.1" not in request.headers.get("Host", ""):
            stolen.append("another name of our own server was dialled")
        if request.path == "/away":
            return web.Response(status=302, headers={"Location": quote(links[0], safe="%:/?#@[]\\ ").replace("\\", "%5C")})
        if request.path == "/Encounter":
            bundle = {
                "resourceType": "Bundle",
                "type": "searchset",
                "link": [{"relation": "next", "url": links[0]}],
                "entry": [],
            }
            return web.json_response(bundle)
        return web.json_response({"resourceType": "Basic", "id": "1"})

    async with serving(thief) as thief_port, serving(home) as home_port:
        links.append(trick.format(home=home_port, thief=thief_port))
        async with HttpClient(f"http://127.0.0.1:{home_port}", authorizer=authorizer) as http:
            own = {"X-Api-Key": SECRET, "Cookie": f"session={SECRET}", "x-functions-key": SECRET}

            async def next_link() -> None:
                async for _ in FhirClient(http, http.base_url).search("Encounter", []):
                    pass

            await http.request("GET", "/plain", headers=own)
            for door in (
                lambda: http.request("GET", links[0], headers=own, retry=False),
                lambda: http.request("POST", links[0], headers=own, content=f"AccountKey={SECRET}".encode()),
                lambda: http.request("GET", "/away", headers=own, retry=False),
                next_link,
            ):
                with contextlib.suppress(PtbridgeError):
                    await door()
    return stolen, at_home


@pytest.mark.parametrize("kind", [StaticBearer, ApiKey, FormKey])
def test_S1_no_credential_leaves_for_another_place_by_any_trick_of_a_url(kind: type[Any]) -> None:
    assert len(TRICKS) >= 60
    for trick in TRICKS:
        stolen, at_home = asyncio.run(_lured(trick, kind(SECRET)))
        assert stolen == [], trick
        assert at_home, "the secret goes to its own server, or this test proves nothing"


def test_S1_a_listed_extra_origin_gets_no_header_that_proves_us_and_no_body(tmp_path: Path) -> None:
    async def run() -> list[str]:
        seen: list[str] = []

        def files(request: web.Request) -> web.Response:
            seen.append(f"{request.method} {dict(request.headers)}")
            return web.Response(text="file")

        def onward(request: web.Request) -> web.Response:
            return web.Response(status=302, headers={"Location": f"{place}/2"})

        async with serving(files) as extra, serving(onward) as home:
            place = f"http://127.0.0.1:{extra}"
            async with HttpClient(f"http://127.0.0.1:{home}", authorizer=StaticBearer(SECRET), extra_origins=[place]) as http:
                await http.request("GET", f"{place}/1", headers={"X-Api-Key": SECRET, "Cookie": SECRET})
                with pytest.raises(PeerRefused, match="only the configured origin"):
                    await http.request("POST", f"{place}/1", content=f"AccountKey={SECRET}".encode())
                with pytest.raises(PeerRefused, match="redirected to"):
                    await http.request("GET", "/away", headers={"X-Api-Key": SECRET})
        return seen

    seen = asyncio.run(run())
    assert len(seen) == 1 and SECRET not in seen[0]


# ---------------------------------------------------------------- S2: the egress list


def test_S2_the_address_that_was_checked_is_the_one_that_is_dialled(monkeypatch: pytest.MonkeyPatch) -> None:
    """A name that answers differently the second time (rebinding) is asked once for each connection, and that answer counts."""
    answers = ["169.254.169.254", "127.0.0.1"]
    asked: list[str] = []
    dialled: list[str] = []

    async def resolve(self: object, host: str, port: int = 0, family: int = 0) -> list[dict[str, Any]]:
        asked.append(host)
        found = answers[min(len(asked), len(answers)) - 1]
        return [
            {
                "hostname": host,
                "host": found,
                "port": port,
                "family": socket.AF_INET,
                "proto": 0,
                "flags": socket.AI_NUMERICHOST,
            }
        ]

    monkeypatch.setattr(aiohttp.ThreadedResolver, "resolve", resolve)

    async def run() -> None:
        def home(request: web.Request) -> web.Response:
            dialled.append(request.headers["Host"])
            return web.Response(text="here")

        async with serving(home) as port, HttpClient(f"http://emr.clinic.example:{port}") as http:
            with pytest.raises(PeerRefused, match="was not dialled"):
                await http.request("GET", "/x", retry=False)
            assert dialled == []
            assert (await http.request("GET", "/x")).content == b"here"

    asyncio.run(run())
    assert asked == ["emr.clinic.example", "emr.clinic.example"]


NEVER = ("169.254.169.254", "fe80::1", "fd00:ec2::254", "100.100.100.200", "168.63.129.16", "0.0.0.0", "::", "224.0.0.1")
EMBEDDED = ("::ffff:169.254.169.254", "64:ff9b::a9fe:a9fe", "2002:a9fe:a9fe::1")


@pytest.mark.parametrize("address", [*NEVER, *EMBEDDED])
def test_S2_no_configured_name_may_stand_for_a_link_local_or_metadata_address(address: str) -> None:
    rule = EgressRule("https://emr.example", ["https://files.example"])
    assert not rule.admits_address("emr.example", address)
    assert not rule.admits_address("files.example", address)


@pytest.mark.parametrize("address", ["10.0.0.7", "192.168.1.9", "127.0.0.1", "::1", "fc00::7", "172.16.0.1"])
def test_S2_only_the_configured_name_may_stand_for_a_private_address(address: str) -> None:
    rule = EgressRule("https://emr.example", ["https://files.example"])
    assert rule.admits_address("emr.example", address) and not rule.admits_address("files.example", address)


def test_S2_from_https_nothing_leads_to_http() -> None:
    rule = EgressRule("https://emr.example/fhir")
    for link in ("http://emr.example/fhir", "http://emr.example:443/fhir", "HTTP://EMR.EXAMPLE/fhir"):
        with pytest.raises(PeerRefused, match="not configured"):
            rule.resolve("https://emr.example/fhir", link)


# ---------------------------------------------------------------- S3: no patient data where people look


def spelled(word: str) -> set[str]:
    """A word as it would look in a log in every encoding that one of the formats uses."""
    raw = word.encode()
    found = {word, word.upper(), quote(word, safe=""), base64.b64encode(raw).decode().rstrip("="), raw.hex(), raw.hex(" ")}
    return {one for one in found | {json.dumps(word)[1:-1], repr(word.encode("utf-16-le"))[2:-1]} if len(one) > 4}


def canaries_of(world: World) -> set[str]:
    """At least 40 texts that identify a patient of the day."""
    found: set[str] = set()
    for entry in world.store.shelf("Patient").by_id.values():
        patient = world.store.resource("Patient", entry.id)
        found |= {patient["name"][0]["family"], patient["birthDate"], patient["identifier"][0]["value"]}
    assert len(found) >= 40
    return found


def heard(said: str, words: set[str]) -> list[str]:
    return [word for word in words if any(one in said for one in spelled(word))]


@pytest.mark.usefixtures("retried_at_once")
def test_S3_no_canary_in_logs_at_debug_status_alarms_or_tracebacks_whatever_fails(
    world: World, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    words = canaries_of(world)
    caplog.set_level(logging.DEBUG)
    world.biller.faults.refuse, world.biller.faults.lose_answer = 0.2, 0.2
    for name in ("wire", "jobs", "delivery", "destinations", "ledger", "intake"):  # a run sets the level of their parent
        monkeypatch.setattr(logging.getLogger(f"ptbridge.{name}"), "level", logging.DEBUG)
    logging.getLogger("ptbridge").addHandler(caplog.handler)
    world.sync()
    logging.getLogger("ptbridge").removeHandler(caplog.handler)
    assert len(caplog.records) > 50
    said = caplog.text + json.dumps(jobs.status(world.config), default=str)
    said += "".join(path.read_text("utf-8") for path in (world.folder / "state" / "logs").iterdir())
    said += json.dumps(jobs.dead_letters(world.config), default=str)
    assert heard(said, words) == []
    assert heard("a log that quotes " + quote(next(iter(words))), words), "the spellings are found, or this test proves nothing"


def test_S3_no_canary_in_the_command_line_the_process_title_or_a_temp_name(world: World) -> None:
    words = canaries_of(world)
    before = set(os.listdir(tempfile.gettempdir()))
    command = [str(Path(sys.executable).with_name("ptbridge")), "sync", "--config", str(world.folder)]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    seen, names = "", set[str]()
    while process.poll() is None:
        for part in ("cmdline", "comm"):
            with contextlib.suppress(OSError):
                seen += Path(f"/proc/{process.pid}/{part}").read_text("utf-8", "replace")
        names |= {str(path) for path in world.folder.rglob("*")} | set(os.listdir(tempfile.gettempdir())) - before
        time.sleep(0.05)
    said = process.communicate()[0]
    assert process.returncode == 3 and "ptbridge" in seen
    assert heard(said + seen + "\n".join(names), words) == []


def test_S3_a_fault_of_ours_shows_no_text_of_a_patient_in_the_log_or_the_traceback(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def fails(*_: object, **__: object) -> None:
        raise ValueError(f"bad value {MARKERS[2]}")

    monkeypatch.setenv("PTBRIDGE_TRACEBACK", "1")
    monkeypatch.setattr("ptbridge.specs.config.load_config", fails)
    assert cli.main(["status", "--config", str(tmp_path)]) != 0
    said = capsys.readouterr()
    with log_to(tmp_path / "logs") as path:
        try:
            fails()
        except ValueError as error:
            logging.getLogger("ptbridge.x").error("a record could not be read", exc_info=error)
    assert "ValueError" in said.err and "ValueError" in path.read_text("utf-8")
    assert MARKERS[2] not in said.out + said.err + path.read_text("utf-8")


# ---------------------------------------------------------------- S4: at rest


def test_S4_every_process_forbids_core_dumps_and_makes_files_for_the_owner_alone() -> None:
    script = (
        "import os, resource; resource.setrlimit(resource.RLIMIT_CORE, (0, resource.getrlimit(resource.RLIMIT_CORE)[1]));"
        "os.umask(0); from ptbridge import cli; cli.main(['exit-codes']);"
        "print('limit', resource.getrlimit(resource.RLIMIT_CORE), 'umask', os.umask(0))"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, timeout=60, check=True)
    assert "limit (0, 0) umask 63" in done.stdout


def test_S4_files_are_0600_and_folders_0700_under_umask_0(world: World) -> None:
    command = f'umask 0; exec "$0" sync --config "{world.folder}"'
    subprocess.run(
        ["/bin/sh", "-c", command, str(Path(sys.executable).with_name("ptbridge"))], capture_output=True, timeout=120
    )
    backup = world.folder.parent / "x.backup"
    assert ptbridge(world, "backup", str(backup)).returncode == 0
    state = world.folder / "state"
    found = [backup, state, *state.rglob("*")]
    assert {"ledger.sqlite", "logs", "reports"} <= {path.name for path in found}
    for path in found:
        assert stat.S_IMODE(path.stat().st_mode) == (0o700 if path.is_dir() else 0o600), path


# ---------------------------------------------------------------- S5: secrets


def test_S5_a_secret_that_a_group_may_read_is_refused_by_every_command_that_needs_it(world: World) -> None:
    secret = world.folder / "secrets" / "biller_token"
    for mode in (0o640, 0o604, 0o660, 0o602):
        secret.chmod(mode)
        done = ptbridge(world, "sync")
        assert done.returncode == 6 and "lets other users at it" in done.stderr, (mode, done.stderr)
    assert world.books()["charges"] == 0


def test_S5_a_secret_is_in_no_output_log_traceback_or_file_of_the_state(world: World) -> None:
    secret = world.folder / "secrets" / "biller_token"
    secret.write_text(SECRET, "utf-8")  # the biller refuses it, so that every message about it is said
    said = ""
    for words in (["sync"], ["status", "--json"], ["doctor"], ["held", "--json"], ["retry"], ["reconcile"], ["payer", "list"]):
        done = ptbridge(world, *words, PTBRIDGE_TRACEBACK="1")
        said += done.stdout + done.stderr
    assert "refused" in said
    assert not [one for one in spelled(SECRET) if one in said]
    for path in (world.folder / "state").rglob("*"):
        assert not path.is_file() or SECRET.encode() not in path.read_bytes(), path


def test_S5_a_secret_written_into_the_clinic_file_is_refused_without_being_repeated(world: World) -> None:
    text = world.clinic_file.read_text("utf-8")
    assert "file:" in text
    lines = [line if "biller_token" not in line else line.partition(":")[0] + f': "{SECRET}"' for line in text.splitlines()]
    world.clinic_file.write_text("\n".join(lines) + "\n", "utf-8")
    done = ptbridge(world, "status")
    assert done.returncode == 6 and SECRET not in done.stdout + done.stderr


# ---------------------------------------------------------------- S6: total parsers

MESSAGE = b"MSH|^~\\&|EMR|C|B|P|20261119||ADT^A08|1|P|2.5\rPID|1||7\r"
REFUSALS = (PtbridgeError, UnreadableBody, BrokenFile)


def _x12(raw: bytes) -> object:
    """The file's frame must be read; each of its transactions, by every reader of answers, is read or refused."""
    found = interchanges(raw)
    for one in (one for whole in found for one in whole.transactions()):
        for reader in (read_835, read_277ca, read_999):
            with contextlib.suppress(RecordError):
                reader(one)
    return found


def _charge_answer(raw: bytes) -> object:
    return Response(status=200, headers={}, content=raw, url="http://x/", retry_after_seconds=None).json_object()


def _signed(raw: bytes) -> object:
    header = raw.decode("latin-1").replace("\r", " ").replace("\n", " ")
    headers = {"webhook-signature": f"v1,{header}", "webhook-timestamp": header, "x-signature": f"t={header},v1={header}"}
    return [
        Signature(scheme=scheme, secret="c2VjcmV0", header="x-signature").refuses(headers, raw, now=0.0) for scheme in SCHEMES
    ]


READERS: dict[str, tuple[Callable[[bytes], object], bytes]] = {
    "FHIR page": (split_bundle, b'{"resourceType": "Bundle", "entry": []}'),
    "FHIR resource": (parse_resource, b'{"resourceType": "Basic", "id": "1"}'),
    "HL7 message": (Message.parse, MESSAGE),
    "HL7 batch": (split_batch, MESSAGE),
    "MLLP frames": (lambda raw: FrameReader(1_000_000).feed(raw), framed(MESSAGE)),
    "X12": (_x12, b""),  # of which one file of each kind is the good input
    "webhook": (_signed, b"{}"),
    "sheet": (lambda raw: csv_of_sheet(raw, sheet=None, delimiter=","), b"PK"),
    "config": (yaml_text.parse, b"clinic: oak\n"),
    "charge answer": (_charge_answer, b'{"id": "c1"}'),
}
HOSTILE = {
    "deep JSON": b"[" * 200_000,
    "deep object": b'{"a":' * 100_000,
    "deep YAML": b"[" * 50_000,
    "YAML bomb": b"a: &a [x,x,x,x,x,x,x,x,x]\n"
    + b"".join(b"%c: &%c [%s]\n" % (97 + n, 97 + n, b",".join([b"*%c" % (96 + n)] * 9)) for n in range(1, 9)),
    "separators": b"MSH|^~\\&|" + b"~&^|" * 200_000,
    "one long line": b"ISA" + b"*" * 1_000_000,
    "NUL bytes": b"\x00" * 1_000_000,
    "not UTF-8": bytes(range(256)) * 2_000,
    "huge number": b'{"a": 1e400, "b": ' + b"9" * 100_000 + b"}",
}


def refused_or_read(name: str, raw: bytes) -> None:
    """Either an answer, or one of the refusals that the caller expects; nothing else, and never for long."""
    reader = READERS[name][0]
    with contextlib.suppress(*REFUSALS):
        reader(raw)


@pytest.mark.parametrize("name", list(READERS))
def test_S6_any_bytes_get_an_answer_or_a_clear_refusal_and_the_next_good_input_is_read(name: str) -> None:
    reader, good = READERS[name]
    good = good or x12_files()[-1]

    @settings(max_examples=60, deadline=None, suppress_health_check=list(HealthCheck), database=None)
    @given(st.binary(max_size=400), st.integers(0, 200))
    def check(junk: bytes, place: int) -> None:
        refused_or_read(name, junk)
        refused_or_read(name, good[:place] + junk + good[place:])

    check()
    if name != "sheet":
        reader(good)


@pytest.mark.parametrize("what", list(HOSTILE))
def test_S6_a_bomb_ends_within_its_time_and_memory(what: str) -> None:
    """In a process of its own with 5 s of processor time a reader, and 600 MB of address space beyond what Python has."""
    script = f"""
import resource, sys
from tests.contract import test_security_contract as t
have = int(open('/proc/self/statm').read().split()[0]) * resource.getpagesize()
resource.setrlimit(resource.RLIMIT_AS, (have + 600_000_000, have + 600_000_000))
for name in t.READERS:
    used = int(resource.getrusage(resource.RUSAGE_SELF).ru_utime)
    resource.setrlimit(resource.RLIMIT_CPU, (used + 6, resource.getrlimit(resource.RLIMIT_CPU)[1]))
    t.refused_or_read(name, t.HOSTILE[{what!r}])
    print('done', name)
"""
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, timeout=300, cwd=Path(__file__).parents[2]
    )
    assert done.returncode == 0 and done.stdout.count("done") == len(READERS), (done.stdout[-200:], done.stderr[-600:])
