"""The two other systems of a clinic, ready to speak to: its EMR and its biller, with their credentials and their rates."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Iterator, Mapping
from contextlib import asynccontextmanager, contextmanager
from datetime import date
from urllib.parse import urlsplit

import msgspec

from ptbridge.destinations import DestinationParts
from ptbridge.errors import ConfigError
from ptbridge.inbox import INBOX_FILE, ClinicInbox, Taken
from ptbridge.jobs.drop_folder import take_drop_folder
from ptbridge.jobs.extracts import extract_profile
from ptbridge.plugins import connector
from ptbridge.plugins import destination as destination_module
from ptbridge.ports import Destination, HearingDestination, Inbox, KnownRecords
from ptbridge.sdk import SourceClient
from ptbridge.specs.clinic import AuthSpec, ClinicSpec, DestinationSpec
from ptbridge.specs.config import Config
from ptbridge.wire.fhir import FhirClient
from ptbridge.wire.http import HttpClient
from ptbridge.wire.pacing import Limiters
from ptbridge.wire.smart_auth import authorizer_from
from ptbridge.wire.source_client import OptionValue, no_server

_LIMITERS = Limiters()  # of this process: clinics of one platform are one load to it


def http_client(config: Config, base_url: str, auth: AuthSpec, requests_per_second: float, connections: int) -> HttpClient:
    """A client bound to one origin, its credential resolved now and kept nowhere else. Raises ConfigError.

    All clients of one origin in this process share its rate, the strictest that a clinic file names.
    """
    limiter = _LIMITERS.of(origin_of(base_url), requests_per_second)
    authorizer = authorizer_from(
        auth,
        base_url=base_url,
        secret=config.secret(auth.secret),
        private_key=config.secret(auth.private_key),
        limiter=limiter,
    )
    return HttpClient(base_url, authorizer=authorizer, limiter=limiter, max_connections=connections)


def origin_of(address: str) -> str:
    """Scheme, host and port of an address as text: what names one server."""
    parts = urlsplit(address)
    return f"{parts.scheme}://{parts.netloc}".lower()


@asynccontextmanager
async def open_source(
    config: Config,
    spec: ClinicSpec,
    *,
    since: date | None = None,
    recheck: tuple[str, ...] = (),
    known: KnownRecords | None = None,
    rehearsal: bool = False,
    on_files: Callable[[Taken], None] | None = None,
) -> AsyncIterator[SourceClient]:
    """What a connector's `pull` and `check` are handed. Raises ConfigError for a secret that cannot be had.

    `on_files` is told what was taken from a drop folder.
    """
    source = spec.source
    options = await _options(config, spec, take=known is not None and not rehearsal)
    take = known is not None and not rehearsal
    async with _server(config, spec) as fhir, _inbox(config, spec, take=take, on_files=on_files) as inbox:
        yield SourceClient(
            fhir=fhir,
            clinic=spec.clinic,
            source=source.connector,
            time_zone=config.time_zone(spec),
            options=options,
            since=since or _first_day(spec),
            full_rescan=since is not None,
            recheck=recheck,
            folder=config.folder,
            extract=extract_profile(config, spec),
            known=known,
            rehearsal=rehearsal,
            inbox=inbox,
        )


async def _options(config: Config, spec: ClinicSpec, *, take: bool) -> Mapping[str, OptionValue]:
    """The connector's options; extracts of an SFTP server are fetched where `take`, and read from where they were laid."""
    options = spec.source.options
    if connector(spec.source.connector).INFO.standard != "extract" or not str(options.get("folder")).startswith("sftp://"):
        return options
    from ptbridge.jobs import sftp  # loads the SSH library, which few runs need

    if take:
        await sftp.fetch_extracts(config, spec)
    return {**options, "folder": str(sftp.local_extracts(config, spec))}


def has_inbox(spec: ClinicSpec) -> bool:
    """Whether the clinic's EMR sends messages: each comes once, and nobody can ask for it again."""
    return bool(connector(spec.source.connector).INFO.standard == "HL7 v2")


@asynccontextmanager
async def _inbox(
    config: Config, spec: ClinicSpec, *, take: bool, on_files: Callable[[Taken], None] | None
) -> AsyncIterator[Inbox | None]:
    """What `ptbridge listen` received for this clinic, with its drop folder's files where `take`; None without any."""
    if not has_inbox(spec):
        yield None
        return
    if take:  # a run; a rehearsal and a check move no file
        taken = await asyncio.to_thread(take_drop_folder, config, spec)
        if on_files is not None:
            on_files(taken)
    if not (config.state / INBOX_FILE).exists():
        yield None
        return
    with ClinicInbox.open(config.state, spec.clinic) as inbox:
        yield inbox


@asynccontextmanager
async def _server(config: Config, spec: ClinicSpec) -> AsyncIterator[FhirClient]:
    """The EMR's FHIR server; a source that is no server (files, messages) has none."""
    source = spec.source
    if not source.base_url and not connector(source.connector).INFO.standard.startswith("FHIR"):
        yield no_server()
        return
    async with http_client(config, source.base_url, source.auth, source.requests_per_second, 8) as http:
        yield FhirClient(http, source.base_url)


def _first_day(spec: ClinicSpec) -> date | None:
    return date.fromisoformat(spec.first_service_date) if spec.first_service_date else None


def _with_paths(config: Config, chosen: DestinationSpec) -> DestinationSpec:
    """Options that name a file, from the config folder on, as every path in a clinic file."""
    names = {name for name, text in chosen.options.items() if name.endswith("_file") or text.endswith((".yaml", ".yml"))}
    options = {name: str(config.path(text)) if name in names else text for name, text in chosen.options.items()}
    return msgspec.structs.replace(chosen, options=options)


@asynccontextmanager
async def open_destination(config: Config, spec: ClinicSpec, *, run_id: str) -> AsyncIterator[Destination]:
    """The clinic's biller, closed on the way out. Raises ConfigError for what the platform needs and the file lacks."""
    chosen = _with_paths(config, spec.destination)
    if chosen.base_url.startswith("sftp://"):
        async with _over_sftp(config, spec, run_id) as over_the_line:
            yield over_the_line
        return
    http, module = None, destination_module(chosen.platform)
    if chosen.base_url.startswith(("http://", "https://")):  # any other address is the platform's own to open
        rate = chosen.requests_per_second or module.INFO.requests_per_second
        http = http_client(config, chosen.base_url, chosen.auth, rate, chosen.in_flight + 2)
    folder = config.path(chosen.folder) if chosen.folder else None
    parts = DestinationParts(
        spec=chosen,
        clinic=spec.clinic,
        billing=spec.billing_provider,
        run_id=run_id,
        claims=spec.claims,
        http=http,
        folder=folder,
    )
    destination: Destination = module.build(parts)
    try:
        with _heard(config, spec, destination):
            yield destination
    finally:
        await destination.close()


@contextmanager
def _heard(config: Config, spec: ClinicSpec, destination: Destination) -> Iterator[None]:
    """With what `ptbridge listen` received, for a platform that answers by messages of its own."""
    if not isinstance(destination, HearingDestination) or not (config.state / INBOX_FILE).exists():
        yield
        return
    with ClinicInbox.open(config.state, spec.clinic) as inbox:
        destination.hear(inbox)
        yield


@asynccontextmanager
async def _over_sftp(config: Config, spec: ClinicSpec, run_id: str) -> AsyncIterator[Destination]:
    """A platform that takes files, its folder on a server: files are made here, then brought there."""
    from ptbridge.destinations._sftp_drop import over_sftp  # loads the SSH library, which few runs need
    from ptbridge.jobs.sftp import sftp_server

    if spec.destination.folder:
        raise ConfigError("has base_url: sftp://… and folder. Keep one: where the biller reads.", where="destination")
    server, remote = sftp_server(config, spec.destination.base_url, spec.destination.auth)
    outbound = config.state / "outbound" / spec.clinic
    made_here = msgspec.structs.replace(
        spec, destination=msgspec.structs.replace(spec.destination, base_url="", folder=str(outbound))
    )
    async with open_destination(config, made_here, run_id=run_id) as inner:
        yield over_sftp(inner, server, remote, outbound)
