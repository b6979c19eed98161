"""Receiving HL7 v2 until told to stop: every message is durable in the inbox before its sender hears of it.

One process listens for all clinics of a config folder that name an address, and watches their drop folders. `sync` runs
beside it. SIGTERM and SIGINT end it in order: nothing new is taken, what was taken is answered.
"""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import logging
import signal
import threading
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime

import msgspec

from ptbridge.errors import ConfigError, LedgerError, PeerError, PeerRefused
from ptbridge.inbox import DAMAGED, Arrival, Envelope, Inbox, Rules, Stored, StoreLater, envelope_of
from ptbridge.jobs.collector import rare_collections
from ptbridge.jobs.drop_folder import check_drop_folder, is_remote, rules_of, take_drop_folder
from ptbridge.jobs.log_file import log_to
from ptbridge.plugins import connector
from ptbridge.specs.clinic import ClinicSpec
from ptbridge.specs.config import Config
from ptbridge.wire.health import HealthServer
from ptbridge.wire.hl7_ack import AckError, AckMode, Verdict, acknowledge, acknowledge_unreadable, codes_due
from ptbridge.wire.hl7_batch import split_batch
from ptbridge.wire.hl7_options import Hl7Options
from ptbridge.wire.mllp import Allowed, MllpLimits, MllpListener, Received, server_tls
from ptbridge.wire.source_client import OptionValue

log = logging.getLogger(__name__)

STOP_SECONDS = 8.0  # what was taken is answered within this; the rest is closed unanswered and its sender sends again
FOLDER_SECONDS = 5.0
REMOTE_SECONDS, REFUSED_SECONDS = 60.0, 900.0  # between looks at an SFTP server, and after it refused us
_BETWEEN = b"\x1c"  # separates the answers to one message where they are stored; no message holds it
_MODES: dict[str, AckMode] = {"auto": "as-asked", "original": "original", "enhanced": "enhanced"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Listening:
    """Where a clinic is listened for: `address` as host:port, empty for a drop folder alone."""

    clinic: str
    address: str = ""
    secured: str = ""  # TLS, mutual TLS, plain
    folder: str = ""
    answers: bool = False  # it is the biller's way back: nothing but its answers is taken there
    health: str = ""  # host:port of /healthz, the same for all


@dataclass(slots=True, kw_only=True)
class Heard:
    """What came in while it listened, by clinic."""

    received: Counter[str] = field(default_factory=Counter)
    problems: Counter[str] = field(default_factory=Counter)


Ready = Callable[[Sequence[Listening]], None]


def listen(
    config: Config,
    clinic: str | None = None,
    *,
    port: int | None = None,
    folder: str | None = None,
    health: int | None = None,
    ready: Ready,
) -> Heard:
    """Listen until SIGTERM or SIGINT. `ready` is told where, once everything is open.

    `port` and `folder` override the clinic file's address and drop folder; they need one clinic. `health` is a port on
    loopback for /healthz (0: any free one). Raises ConfigError,
    LedgerBusy when another process listens for this state folder, LedgerError when the inbox cannot be trusted or written.
    """
    specs = _specs(config, clinic, port, folder)
    # rare_collections: looking through all that was imported took 100 ms, in which every sender waited
    with Inbox.open(config.state, listener=True) as inbox, log_to(config.logs), rare_collections():
        return asyncio.run(_Service(config, specs, inbox, ready, health).run())


def _specs(config: Config, clinic: str | None, port: int | None, folder: str | None) -> list[ClinicSpec]:
    chosen = [config.clinic(clinic)] if clinic else list(config.clinics.values())
    found = [spec for spec in chosen if _receives(spec)]
    if not found and not any(answers_of(spec) for spec in chosen):
        raise ConfigError("no clinic here receives HL7 v2. Set source.connector: hl7v2 in its file.", where=clinic or "clinics")
    if (port is not None or folder is not None) and len(found) != 1:
        raise ConfigError("--port and --folder are for one clinic. Name it with --clinic.")
    return [_overridden(spec, port, folder) if spec in found else spec for spec in chosen if spec in found or answers_of(spec)]


def _receives(spec: ClinicSpec) -> bool:
    return bool(connector(spec.source.connector).INFO.standard == "HL7 v2")


def answers_of(spec: ClinicSpec) -> Hl7Options | None:
    """How the biller's application is listened for, where it answers over a connection of its own; None where it does not.

    Raises ConfigError for an option that cannot be.
    """
    options = spec.destination.options
    if not options.get("answers_address"):
        return None
    names = {"address": "answers_address", "insecure_plaintext": "answers_insecure_plaintext"}
    names |= {name: f"answers_{name}_file" for name in ("tls_certificate", "tls_key", "tls_client_ca")}
    peers = tuple(one.strip() for one in options.get("answers_allow_peers", "").split(",") if one.strip())
    given: dict[str, OptionValue] = {name: options[option] for name, option in names.items() if option in options}
    return Hl7Options.of({**given, "allow_peers": peers})


def _overridden(spec: ClinicSpec, port: int | None, folder: str | None) -> ClinicSpec:
    options = dict(spec.source.options)
    host = Hl7Options.of(options).host
    if port is not None:
        options["address"] = f"{host}:{port}"
    if folder is not None:
        options["drop_folder"] = folder
    if not options.get("address") and not options.get("drop_folder"):
        raise ConfigError(
            "neither source.options.address nor drop_folder is set: there is nowhere to listen. Add address: 127.0.0.1:2575.",
            where=f"clinics/{spec.clinic}.yaml",
        )
    return msgspec.structs.replace(spec, source=msgspec.structs.replace(spec.source, options=options))


class _Service:
    """All listeners of one process, and the folders that are looked at beside them."""

    def __init__(
        self, config: Config, specs: Sequence[ClinicSpec], inbox: Inbox, ready: Ready, health: int | None = None
    ) -> None:
        self.config, self.specs, self.inbox, self.ready, self.health = config, specs, inbox, ready, health
        self.word = "starting"  # what /healthz says
        self.heard = Heard()
        self.over = asyncio.Event()
        self.trouble: LedgerError | None = None
        self._health: HealthServer | None = None

    async def run(self) -> Heard:
        self._stop_on_signal()
        listeners: list[MllpListener] = []
        watchers: list[asyncio.Task[None]] = []
        try:
            told = [one for spec in self.specs for one in await self._open(spec, listeners, watchers)]
            address = await self._open_health()
            self.word = "ok"
            self.ready([replace(one, health=address) for one in told])
            await self.over.wait()
        finally:
            self.word = "stopping"
            for watcher in watchers:
                watcher.cancel()
            await asyncio.gather(*(one.stop(STOP_SECONDS) for one in listeners), *watchers, return_exceptions=True)
            if self._health is not None:
                await self._health.stop()
            for one in listeners:
                self.heard.problems.update({code: count for code, count in one.counts.items() if code not in _NOT_PROBLEMS})
        if self.trouble is not None:
            raise self.trouble
        return self.heard

    async def _open_health(self) -> str:
        if self.health is None:
            return ""
        self._health = HealthServer(lambda: self.word, self.health)
        try:
            return await self._health.start()
        except OSError as error:
            raise ConfigError(f"--health {self.health}: {error.strerror}.") from None

    async def _open(
        self, spec: ClinicSpec, listeners: list[MllpListener], watchers: list[asyncio.Task[None]]
    ) -> list[Listening]:
        """The EMR's door and folder, and the biller's door."""
        told = []
        if _receives(spec):
            told.append(await self._open_source(spec, listeners, watchers))
        if (options := answers_of(spec)) is not None:
            way_back = Listening(clinic=spec.clinic, answers=True)
            rules = replace(rules_of(options), answers_only=True)
            told.append(await self._open_door(way_back, options, rules, listeners))
        return told

    async def _open_source(
        self, spec: ClinicSpec, listeners: list[MllpListener], watchers: list[asyncio.Task[None]]
    ) -> Listening:
        options = Hl7Options.of(spec.source.options)
        told = Listening(clinic=spec.clinic, folder=options.drop_folder)
        if options.drop_folder:
            check_drop_folder(self.config, spec)
            watchers.append(asyncio.create_task(self._watch(spec)))
        return await self._open_door(told, options, rules_of(options), listeners) if options.address else told

    async def _open_door(self, told: Listening, options: Hl7Options, rules: Rules, listeners: list[MllpListener]) -> Listening:
        where = "destination.options.answers_address" if told.answers else "source.options.address"
        listener = self._listener(told.clinic, options, rules)
        try:
            await listener.start()
        except OSError as error:
            raise ConfigError(f"{options.address}: {error.strerror}.", where=where) from None
        listeners.append(listener)
        secured = "mutual TLS" if options.tls_client_ca else "TLS" if options.tls_certificate else "plain"
        return replace(told, address=f"{options.host}:{listener.port}", secured=secured)

    def _listener(self, clinic: str, options: Hl7Options, rules: Rules) -> MllpListener:
        def path(text: str) -> str | None:
            return str(self.config.path(text)) if text else None

        tls = None
        if options.tls_certificate:
            tls = server_tls(
                str(path(options.tls_certificate)), str(path(options.tls_key)), client_authority=path(options.tls_client_ca)
            )
        elif options.tls_client_ca:
            raise ConfigError("tls_client_ca needs tls_certificate and tls_key beside it.", where="source.options")
        door = _Door(clinic, options, rules, self)
        pairs = [one.partition("|") for one in options.allow_senders]
        return MllpListener(
            options.host,
            options.port,
            door.answer,
            store=door.store,
            limits=MllpLimits(
                frame_bytes=options.frame_limit,
                idle_seconds=options.idle_seconds,
                connections=options.connections,
                connections_per_peer=options.connections,
                messages_per_second=options.messages_per_second,
            ),
            allowed=Allowed.of(options.allow_peers, [(sender, facility or "*") for sender, _, facility in pairs]),
            tls=tls,
            insecure_plaintext=options.insecure_plaintext,
        )

    async def _watch(self, spec: ClinicSpec) -> None:
        """Look at a drop folder again and again. A folder that is away is no reason to stop listening."""
        pause = REMOTE_SECONDS if is_remote(spec) else FOLDER_SECONDS
        while True:
            wait = pause
            try:
                taken = await asyncio.to_thread(take_drop_folder, self.config, spec)
                self.heard.received[spec.clinic] += taken.messages
                self.heard.problems["files-refused"] += len(taken.refused)
            except PeerError as error:
                log.warning("drop folder: %s", error)
                wait = REFUSED_SECONDS if isinstance(error, PeerRefused) else pause  # a server locks out who keeps asking
            except StoreLater as error:
                log.warning("inbox: %s", error)
            except LedgerError as error:
                self.fail(error)
            await asyncio.sleep(wait)

    def fail(self, error: LedgerError) -> None:
        """The inbox cannot be trusted any more: take nothing, tell the one who started us."""
        self.trouble = self.trouble or error
        self.over.set()

    def _stop_on_signal(self) -> None:
        if threading.current_thread() is threading.main_thread():
            for number in (signal.SIGTERM, signal.SIGINT):
                asyncio.get_running_loop().add_signal_handler(number, self.over.set)


_NOT_PROBLEMS = frozenset({"received", "answered", "silent"})


class _Door:
    """Where one clinic's messages come in: sorted, answered and stored together, then told."""

    def __init__(self, clinic: str, options: Hl7Options, rules: Rules, service: _Service) -> None:
        self.clinic, self.service, self.rules = clinic, service, rules
        self.mode = _MODES[options.answer]
        self.damaged_code = options.answer_damaged

    async def store(self, batch: Sequence[Received]) -> None:
        """Make a batch durable, then set the answers. Raises LedgerError: then nobody is answered and all send again."""
        # On the event loop: a thread for the commit halves the rate, because the two then wait for each other.
        try:
            stored = self._store(batch)
            self.service.word = "ok"
        except StoreLater as error:
            log.warning("inbox: %s", error)
            self.service.word = "cannot store"
            raise
        except LedgerError as error:
            self.service.fail(error)
            raise
        for received, answers in zip(batch, stored, strict=True):
            received.answer, received.answered = answers, True

    async def answer(self, _raw: bytes, _peer: object) -> None:
        """Every message has its answer when it is stored."""
        raise AssertionError("a message came past the store")

    def _store(self, batch: Sequence[Received]) -> list[list[bytes]]:
        now = datetime.now(UTC)
        arrivals = [self._arrivals(received, now) for received in batch]
        stored = iter(self.service.inbox.store([one for several in arrivals for one in several]))
        answers = [[next(stored) for _ in several] for several in arrivals]
        self.service.heard.received[self.clinic] += len(batch)
        for one in (one for several in answers for one in several if one.reused_id):
            self.service.heard.problems["control-id-reused"] += 1
            log.warning("inbox message %d: its control id was used before for another message; taken as new", one.seq)
        return [[part for one in several for part in _parts(one)] for several in answers]

    def _arrivals(self, received: Received, now: datetime) -> list[Arrival]:
        """The messages of a frame: one, or more where a sender forgot the framing between them."""
        origin = f"mllp:{received.peer.host}"
        found = []
        for raw in _messages(received.raw):
            envelope = envelope_of(raw, self.rules)
            answer = _BETWEEN.join(self._answers(raw, envelope, now))
            found.append(Arrival(clinic=self.clinic, origin=origin, received_at=now, raw=raw, envelope=envelope, answer=answer))
        return found

    def _answers(self, raw: bytes, envelope: Envelope, now: datetime) -> list[bytes]:
        control_id = "PB" + hashlib.sha256(raw).hexdigest()[:18].upper()
        if envelope.state == DAMAGED:
            return self._damaged(raw, envelope, control_id, now)
        assert envelope.message is not None
        refused = self.rules.answers_only and envelope.message.code != "ACK"  # stored, and nothing will ever be made of it
        error = AckError(condition=200, where="MSH-9", text="only acknowledgements are taken here") if refused else None
        codes = codes_due(envelope.message, Verdict.REJECT if refused else Verdict.ACCEPT, self.mode)
        return [acknowledge(envelope.message, code, control_id=control_id, now=now, error=error) for code in codes]

    def _damaged(self, raw: bytes, envelope: Envelope, control_id: str, now: datetime) -> list[bytes]:
        """Stored and quarantined; told as the sender's profile says, because some send a refused message for ever."""
        where, _, words = envelope.reason.partition(": ")
        condition = 101 if envelope.message is not None else 100  # a required field, or the whole message
        error = AckError(condition=condition, where=where, text=words) if self.damaged_code == "AE" else None
        if envelope.message is not None:
            return [acknowledge(envelope.message, self.damaged_code, control_id=control_id, now=now, error=error)]
        told = error or AckError(condition=0, where=where, text="stored; needs a person")
        return [acknowledge_unreadable(raw, self.damaged_code, control_id=control_id, now=now, error=told)]


def _messages(raw: bytes) -> list[bytes]:
    if b"\rMSH" not in raw and b"\nMSH" not in raw and raw.lstrip()[:3] not in (b"FHS", b"BHS"):
        return [raw]
    with contextlib.suppress(Exception):
        return [one.raw for one in split_batch(raw).messages] or [raw]
    return [raw]


def _parts(stored: Stored) -> list[bytes]:
    return [part for part in stored.answer.split(_BETWEEN) if part]
