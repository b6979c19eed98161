"""What `ptbridge doctor` asks the EMR and the biller: are they there, do they know us, do our clocks agree."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine, Iterator
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import TYPE_CHECKING

from ptbridge.cli.checks import Found, fail, ok, warn
from ptbridge.errors import ConfigError, PeerUnavailable
from ptbridge.specs.clinic import ClinicSpec
from ptbridge.specs.config import Config

if TYPE_CHECKING:
    from ptbridge.wire.source_client import SourceClient

# A signed assertion lives 240 seconds and servers allow little beyond it (SMART App Launch 2.2: at most five minutes).
_CLOCK_FAILS_SECONDS = 200
_CLOCK_WARNS_SECONDS = 30
_PATIENCE_SECONDS = 15


def emr(config: Config, spec: ClinicSpec) -> Iterator[Found]:
    """The EMR: reachable, clock, credential, what the connector makes of it. Raises PeerError, ConfigError."""
    yield from asyncio.run(_within(_emr(config, spec), f"EMR {spec.source.base_url}"))


async def _within(question: Coroutine[None, None, list[Found]], whom: str) -> list[Found]:
    """A person waits for the answer, so a dead peer is told after seconds; a night job is more patient."""
    try:
        async with asyncio.timeout(_PATIENCE_SECONDS):
            return await question
    except TimeoutError:
        raise PeerUnavailable(
            f"{whom} gave no answer in {_PATIENCE_SECONDS} seconds. Is it running, is the address right?"
        ) from None


async def _emr(config: Config, spec: ClinicSpec) -> list[Found]:
    from ptbridge import plugins
    from ptbridge.jobs.peers import open_source

    connector = plugins.connector(spec.source.connector)
    missing = [name for name in connector.INFO.required if name not in spec.source.options]
    if missing:
        raise ConfigError(f"connector {connector.INFO.name} needs the options {', '.join(missing)} under source.options.")
    async with open_source(config, spec) as client:
        if not spec.source.base_url:  # files and messages: there is no server to ask, unless they lie on one
            return [ok(sentence) for sentence in (*await _inbound(config, spec), *await connector.check(client))]
        response = await client.fhir.http.request("GET", f"{client.fhir.base_url}/metadata")
        found = [ok(f"EMR answers at {client.fhir.http.origin}"), clock_offset(response.header("date"), datetime.now(UTC))]
        sentences = await connector.check(client)
        await _first_page(client)
    found.append(ok(f"EMR takes our credential ({spec.source.auth.method})"))
    found.append(
        ok(f"connector {connector.INFO.name}: ptbridge connector check {spec.clinic} says in {len(sentences)} sentences how")
    )
    return found


async def _inbound(config: Config, spec: ClinicSpec) -> list[str]:
    """What an SFTP server that files come from says; nothing where there is none."""
    for name in ("drop_folder", "folder"):
        address = spec.source.options.get(name)
        if isinstance(address, str) and address.startswith("sftp://"):
            from ptbridge.jobs.sftp import check_inbound  # loads the SSH library

            return await check_inbound(config, spec, address)
    return []


async def _first_page(client: SourceClient) -> None:
    """Ask for one encounter: the capability statement needs no credential, a search does."""
    async for _ in client.fhir.search("Encounter", [("_count", "1")]):
        return


def clock_offset(date_header: str | None, now: datetime) -> Found:
    """How far this machine's clock is from the EMR's `Date` header (whole seconds; the way there counts too)."""
    try:
        theirs = parsedate_to_datetime(date_header or "")
    except ValueError:
        return ok("EMR gives no time, so the clock could not be compared")
    apart = abs((now - theirs.astimezone(UTC)).total_seconds())
    if apart >= _CLOCK_FAILS_SECONDS:
        return fail(f"this clock is {apart:,.0f} seconds from the EMR's: tokens will be refused", "Set the clock by NTP.")
    if apart >= _CLOCK_WARNS_SECONDS:
        return warn(f"this clock is {apart:,.0f} seconds from the EMR's", "Set the clock by NTP.")
    return ok("clock agrees with the EMR's")


def biller(config: Config, spec: ClinicSpec) -> Iterator[Found]:
    """The biller: reachable, and it knows us. Sends no charge. Raises PeerError, ConfigError."""
    where = spec.destination.base_url or spec.destination.folder
    yield from asyncio.run(_within(_biller(config, spec), f"biller {where}"))


async def _biller(config: Config, spec: ClinicSpec) -> list[Found]:
    from ptbridge.jobs.peers import open_destination

    today = datetime.now(config.time_zone(spec)).date().isoformat()
    async with open_destination(config, spec, run_id="doctor") as destination:
        told = await destination.check()
        theirs = await destination.list_references((today, today))
        can = destination.capabilities
    abilities = [word for word, able in (("look-up", can.find), ("replace", can.replace), ("void", can.void)) if able]
    found = [ok(f"biller {spec.destination.platform} can {', '.join(abilities) or 'only take charges'}"), *map(ok, told)]
    if theirs is None:
        found.append(warn("the biller cannot say what it has", "Reconcile by hand from time to time."))
    else:
        found.append(ok(f"the biller lists {len(theirs):,} of our charges for {today}"))
    return found
