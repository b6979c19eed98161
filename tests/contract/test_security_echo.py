"""S1 and S3 against peers that mean ill: one that points elsewhere, and ones that answer with what they were sent.

Every biller's and every EMR's errors may quote a patient; nothing that people look at may repeat it: logs at DEBUG, messages,
`status`, alarms, dead letters, run summaries, names of files, what stands on the screen.
"""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import json
import logging
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import orjson
import pytest
from aiohttp import web
from ptbridge_sandbox.clearinghouse import Clearinghouse

from ptbridge import cli, jobs
from ptbridge.delivery import RetryPolicy
from ptbridge.errors import PeerRefused, PtbridgeError
from ptbridge.specs.clinic import AuthSpec
from ptbridge.wire.keys import generate_private_key
from ptbridge.wire.mllp_frames import FrameReader, framed
from ptbridge.wire.pacing import RetryPolicy as Patience
from ptbridge.wire.smart_auth import authorizer_from
from tests.contract import test_claim_platforms as platforms
from tests.contract.test_hl7_main_job import point_to
from tests.contract.test_security_contract import SECRET, SENT, canaries_of, heard, serving
from tests.hl7_clinic import Hl7World, a_visit, lakeside
from tests.platforms import send_files
from tests.rigs.x12_837p import OPTIONS
from tests.unit.destinations.profiles import profile
from tests.world import World, running

# ---------------------------------------------------------------- S1: signed assertions and client secrets

METHODS = {
    "private_key_jwt": ("client_assertion", {"private_key": generate_private_key("ES384")}),
    "client_secret_post": (SECRET, {"secret": SECRET}),
    "client_secret_basic": ("authorization", {"secret": SECRET}),
    "client_secret_json": (SECRET, {"secret": SECRET}),
}
DOORS = ("discovery", "discovery-alias", "redirect-301", "redirect-302", "redirect-307", "redirect-308", "token-url-in-answer")


async def _asked_for_a_token(method: str, door: str) -> tuple[list[str], list[str]]:
    """What a thief and the configured server were sent while a token was fetched and used."""
    stolen: list[str] = []
    home_saw: list[str] = []
    ports: dict[str, int] = {}

    def thief(request: web.Request) -> web.Response:
        stolen.append(f"{request.method} {request.path}")
        return web.json_response({"access_token": "x", "token_type": "bearer", "expires_in": 300})

    def home(request: web.Request) -> web.Response:
        away = f"http://127.0.0.1:{ports['thief']}/token"
        if request.path.endswith("/.well-known/smart-configuration"):
            alias = f"http://localhost:{ports['home']}/token"  # our own server by a name that is not configured
            here = f"http://127.0.0.1:{ports['home']}/token"
            return web.json_response({"token_endpoint": {"discovery": away, "discovery-alias": alias}.get(door, here)})
        if request.path == "/token":
            home_saw.append(f"{dict(request.headers)} {request[SENT]!r}")
            if door.startswith("redirect"):
                return web.Response(status=int(door[-3:]), headers={"Location": away})
            answer = {"access_token": "x", "token_type": "bearer", "expires_in": 300, "token_endpoint": away, "jku": away}
            return web.json_response(answer)
        return web.json_response({"resourceType": "Basic", "id": "1"})

    async with serving(thief) as thief_port, serving(home) as home_port:
        ports.update(thief=thief_port, home=home_port)
        _, given = METHODS[method]
        auth = AuthSpec(
            method=method,
            client_id="ptbridge",
            algorithm="ES384",
            token_url=f"http://127.0.0.1:{home_port}/token" if method == "client_secret_json" else None,
        )
        authorizer = authorizer_from(auth, base_url=f"http://127.0.0.1:{home_port}/fhir", **given)  # type: ignore[arg-type]
        with contextlib.suppress(PtbridgeError):
            await authorizer.headers("GET", f"http://127.0.0.1:{home_port}/fhir/x")
        await authorizer.close()
    return stolen, home_saw


@pytest.mark.parametrize("method", METHODS)
def test_S1_a_proof_of_who_we_are_goes_to_no_token_endpoint_but_the_configured_origins(
    method: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A discovery document, a redirect or an answer that names another place: nothing is sent there, not even a question."""
    monkeypatch.setattr("ptbridge.wire.http.RetryPolicy", lambda: Patience(attempts=1))
    for door in DOORS:
        stolen, home_saw = asyncio.run(_asked_for_a_token(method, door))
        assert stolen == [], door
        pinned = method == "client_secret_json"
        if not door.startswith("discovery") or pinned:
            assert any(METHODS[method][0] in one.lower() or METHODS[method][0] in one for one in home_saw), door
        else:
            assert home_saw == [], "our own server under another name is another place"


def test_S1_a_discovered_endpoint_elsewhere_is_refused_in_words_that_say_what_to_do(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("ptbridge.wire.http.RetryPolicy", lambda: Patience(attempts=1))

    async def refused() -> str:
        def home(request: web.Request) -> web.Response:
            return web.json_response({"token_endpoint": "https://login.evil.example/token"})

        async with serving(home) as port:
            auth = AuthSpec(method="private_key_jwt", client_id="ptbridge", algorithm="ES384")
            authorizer = authorizer_from(
                auth, base_url=f"http://127.0.0.1:{port}/fhir", private_key=generate_private_key("ES384")
            )
            with pytest.raises(PeerRefused) as caught:
                await authorizer.headers("GET", "/x")
            await authorizer.close()
        return str(caught.value)

    assert "auth.token_url" in asyncio.run(refused())


# ---------------------------------------------------------------- S3: peers that repeat what they were told


class Echo:
    """Answers every request, each in another way, with the words it was given and whatever was sent to it."""

    def __init__(self, words: set[str]) -> None:
        self.words = sorted(words)
        self.turn = itertools.count()
        self.asked = 0

    def answer(self, request: web.Request, body: bytes) -> web.Response:
        if request.path.endswith("/token"):
            return web.json_response({"access_token": "t", "token_type": "bearer", "expires_in": 3600})
        self.asked += 1
        sent = body.decode("utf-8", "replace")
        text, said = f"{' '.join(self.words)} {sent}", [word for word in self.words if word in sent] or ["no-words"]
        turn = next(self.turn) % 8
        if turn == 0:
            return web.Response(text=f"<html><title>{text}</title></html>", content_type="text/html")
        if turn == 1:
            place = f"/{self.words[0]}?name={self.words[1]}".replace(" ", "%20")
            return web.Response(status=302, headers={"Location": place})
        if turn == 2:
            return web.Response(status=403, reason=self.words[2], text=text)
        if turn == 3:
            return web.Response(status=400, text=text)
        status = (422, 200, 500, 409)[turn - 4]
        return web.Response(
            status=status, body=orjson.dumps(_echoed(text, itertools.cycle(said))), content_type="application/json"
        )


def _echoed(text: str, said: Iterator[str]) -> dict[str, Any]:
    """A document in which every platform finds its fields, each with a word of the charge, or with all of it."""
    word = next(said)
    named = {"message": text, "code": next(said), "field": next(said), "value": next(said)}
    issue = {"severity": "error", "code": word, "diagnostics": text, "expression": [text], "details": {"text": text}}
    return {
        **dict.fromkeys(("message", "detail", "title", "error", "error_mesg", "errorMessage", "error_description"), text),
        **dict.fromkeys(("code", "status", "id", "reference", "claimId", "claim_id", "charge_capture_id"), word),
        **{key: [named] for key in ("errors", "violations", "claim", "result", "items")},
        "resourceType": "OperationOutcome",
        "issue": [issue],
        "editStatus": word,
    }


@contextlib.contextmanager
def echoing(words: set[str]) -> Iterator[tuple[str, Echo]]:
    """An Echo in a thread of its own, and its address."""
    echo = Echo(words)
    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_forever, daemon=True)
    thread.start()

    async def handle(request: web.BaseRequest) -> web.StreamResponse:
        return echo.answer(request, await request.read())  # type: ignore[arg-type]

    async def start() -> tuple[web.ServerRunner, int]:
        runner = web.ServerRunner(web.Server(handle, access_log=None))
        await runner.setup()
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        return runner, int(runner.addresses[0][1])

    runner, port = asyncio.run_coroutine_threadsafe(start(), loop).result(timeout=30)
    try:
        yield f"http://127.0.0.1:{port}", echo
    finally:
        asyncio.run_coroutine_threadsafe(runner.cleanup(), loop).result(timeout=30)
        loop.call_soon_threadsafe(loop.stop)
        thread.join()
        loop.close()


@pytest.fixture
def looked_at(caplog: pytest.LogCaptureFixture, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Any:
    """Runs a clinic's nights and gives all that a person, a mail or a log collector would see of them."""
    caplog.set_level(logging.DEBUG)
    monkeypatch.setattr("ptbridge.wire.http.RetryPolicy", lambda: Patience(attempts=2, first_backoff_seconds=0.01))
    monkeypatch.setattr("ptbridge.jobs.run.RetryPolicy", lambda: RetryPolicy(idle_seconds=0, first_delay_seconds=0.01))
    for name in ("wire", "jobs", "delivery", "destinations", "ledger", "intake"):  # a run sets the level of their parent
        monkeypatch.setattr(logging.getLogger(f"ptbridge.{name}"), "level", logging.DEBUG)
    logger = logging.getLogger("ptbridge")

    def look(world: World, clinic: str | None = None, nights: int = 2) -> str:
        logger.addHandler(caplog.handler)
        try:
            seen = [repr(jobs.sync(world.config, clinic)) for _ in range(nights)]
        finally:
            logger.removeHandler(caplog.handler)
        config = ["--config", str(world.folder)]
        for words in (["sync"], ["retry"], ["status"], ["status", "--json"], ["doctor"], ["answers"], ["held", "--dead"]):
            cli.main([*words, *config])
        with contextlib.suppress(PtbridgeError):
            jobs.reconcile(world.config)
        shown = capsys.readouterr()
        seen += [shown.out, shown.err, caplog.text, json.dumps(jobs.status(world.config), default=str)]
        seen += [json.dumps(jobs.dead_letters(world.config), default=str)]
        state = world.folder / "state"
        seen += [path.read_text("utf-8") for path in (state / "logs").iterdir()]
        seen += [str(path.relative_to(world.folder)) for path in world.folder.rglob("*")]
        assert len(caplog.records) > 10
        return "\n".join(seen)

    yield look


HTTP_PLATFORMS = ("charge_api", *platforms.PLATFORMS)


@pytest.mark.parametrize("platform", HTTP_PLATFORMS)
def test_S3_a_platform_that_repeats_what_it_was_sent_is_repeated_nowhere(platform: str, tmp_path: Path, looked_at: Any) -> None:
    with contextlib.ExitStack() as stack:
        if platform == "charge_api":
            world, url = stack.enter_context(running(tmp_path / "config")), ""
            url = world.biller.base_url
        else:
            world, server = stack.enter_context(platforms.at(platform, tmp_path / "config"))
            url = server.base_url
        words = canaries_of(world)
        address, echo = stack.enter_context(echoing(words))
        world.clinic_file.write_text(world.clinic_file.read_text("utf-8").replace(url, address), "utf-8")
        seen = ""
        for _ in range(4):  # a run on which all goes wrong asks little
            seen += looked_at(world)
            if echo.asked > 60:
                break
        assert echo.asked > 60, "it was asked, and answered"
    assert heard(seen, words) == []


def test_S3_a_receiver_of_messages_that_repeats_them_is_repeated_nowhere(world: World, looked_at: Any) -> None:
    """Its refusals quote the PID segment in MSA-3 and ERR, its control id is a name, and some answers are no HL7 at all."""
    words, turn = canaries_of(world), itertools.count()
    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_forever, daemon=True)
    thread.start()
    writers: list[asyncio.StreamWriter] = []

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        frames = FrameReader(1_000_000)
        writers.append(writer)
        while chunk := await reader.read(65_536):
            for raw in frames.feed(chunk):
                writer.write(framed(_spiteful(raw, next(turn))))

    async def stop() -> None:
        server.close()
        for writer in writers:
            writer.close()
        await asyncio.gather(*(writer.wait_closed() for writer in writers), return_exceptions=True)
        await server.wait_closed()

    def _spiteful(raw: bytes, number: int) -> bytes:
        control = raw.split(b"|")[9]
        person = raw[raw.find(b"PID|") :].partition(b"\r")[0].replace(b"|", b" ").replace(b"^", b" ")
        code = (b"AE", b"AR", b"CE")[number % 3] if number != 4 else person[:12]  # waited past, until the time is over
        named = person[:40] if number == 5 else control
        header = b"MSH|^~\\&|B|B|P|P|20261119||ACK|1|P|2.5.1\r"
        return (
            header + b"MSA|" + code + b"|" + named + b"|" + person + b"\rERR||PID^1|207^" + person + b"|E||||" + person + b"\r"
        )

    server = asyncio.run_coroutine_threadsafe(asyncio.start_server(serve, "127.0.0.1", 0), loop).result(timeout=30)
    try:
        port = server.sockets[0].getsockname()[1]
        ours = profile(world.folder / "interfaces", {"timeout_seconds: 30": "timeout_seconds: 1"})
        point_to(world, base_url=f"mllp://127.0.0.1:{port}", in_flight="1", options={"profile": ours})
        seen = looked_at(world)
        assert next(turn) > 20
    finally:
        asyncio.run_coroutine_threadsafe(stop(), loop).result(timeout=30)
        loop.call_soon_threadsafe(loop.stop)
        thread.join()
        loop.close()
    assert heard(seen, words) == []


@pytest.mark.parametrize("platform", ["x12_837p", "csv_drop"])
def test_S3_files_and_their_answers_are_repeated_nowhere(platform: str, world: World, tmp_path: Path, looked_at: Any) -> None:
    """Answers of a clearinghouse name the patient; some are cut off, one has his name for its file's name; then a full disk."""
    words = canaries_of(world)
    folder, answers = tmp_path / "claims", tmp_path / "answers"
    send_files(world, platform, folder, OPTIONS if platform == "x12_837p" else {})
    folder.mkdir()
    seen = looked_at(world, nights=1)
    if platform == "x12_837p":
        Clearinghouse(folder, answers).work()
        whole = sorted(answers.iterdir())
        assert any(word.upper().encode() in one.read_bytes() for one in whole for word in words), "answers do name patients"
        for number, one in enumerate(whole):
            (answers / f"cut-{number}.277").write_bytes(one.read_bytes()[:-40])
            (answers / f"turned-{number}.835").write_bytes(one.read_bytes().replace(b"~", b"~NM1*QC*1*", 3))
    world.store.edit_visit("enc-0002", {"97112": 40})
    folder.chmod(0o500)
    moved = folder.rename(tmp_path / "gone")
    folder.write_text("no folder any more", "utf-8")
    seen += looked_at(world)
    folder.unlink()
    moved.rename(folder)
    folder.chmod(0o700)
    seen += looked_at(world)
    assert heard(seen, words) == []


def test_S3_an_emr_that_repeats_its_patients_in_its_errors_is_repeated_nowhere(world: World, looked_at: Any) -> None:
    words = canaries_of(world)
    world.sync()
    with echoing(words) as (address, echo):
        text = world.clinic_file.read_text("utf-8")
        world.clinic_file.write_text(text.replace(world.emr.base_url, address), "utf-8")
        seen = looked_at(world, nights=6)
        assert echo.asked > 10
    assert heard(seen, words) == []


def test_S3_messages_that_cannot_be_read_are_repeated_nowhere(tmp_path: Path, looked_at: Any) -> None:
    """Every message of a visit, cut off, shifted and misnamed at each of its segments."""
    with lakeside(tmp_path / "config") as clinic:
        assert isinstance(clinic, Hl7World)
        broken: list[bytes] = []
        for raw in a_visit():
            lines = raw.split(b"\r")
            for number, line in enumerate(lines[:-1]):
                for other in (
                    line[: len(line) // 2],
                    line.replace(b"|", b"||", 3),
                    line.replace(b"^", b"~"),
                    b"Z" + line[1:],
                    b"",
                ):
                    changed = [*lines[:number], other, *lines[number + 1 :]]
                    broken.append(b"\r".join(changed).replace(b"|V1-", f"|B{len(broken)}-".encode()))
        clinic.receive(*broken)
        seen = looked_at(clinic.world)
        assert len(broken) > 60
    assert [word for word in ("Quill", "QUILL", "19620304", "1EG4TE5MK73", "12 Shore Rd") if word in seen] == []
