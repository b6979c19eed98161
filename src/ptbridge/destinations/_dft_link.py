"""The connections to one partner, and what its acknowledgements mean by the profile."""

from __future__ import annotations

import asyncio
import contextlib
import re
import ssl
from urllib.parse import urlsplit

from ptbridge.errors import ConfigError, PeerUnavailable
from ptbridge.model import Acknowledgement, Disposition
from ptbridge.specs.clinic import DestinationSpec
from ptbridge.specs.interface_profile import AcknowledgementSpec, InterfaceSpec
from ptbridge.wire.hl7v2 import Message
from ptbridge.wire.mllp import MllpReply, MllpSender, client_tls

_CONNECT_SECONDS = 10.0
_TEXTS = ("MSA-3", "ERR-3.1", "ERR-3.2", "ERR-8")  # what the partner says about a refusal, in its own words


def link_to(spec: DestinationSpec, interface: InterfaceSpec) -> Link:
    """The connections that a clinic file asks for. Raises ConfigError for an address or options that cannot be used."""
    options = spec.options
    match = re.fullmatch(r"(mllps?)://[^/?#@]+/?", spec.base_url)
    try:
        address = urlsplit(spec.base_url)
        host, port = address.hostname or "", address.port
    except ValueError:
        host, port = "", None
    if not match or not host or port is None:
        raise ConfigError(
            f"{spec.base_url!r} is not an MLLP address. Write it as mllps://host:port.", where="destination.base_url"
        )
    if spec.in_flight > interface.connections:
        raise ConfigError(
            f"{spec.in_flight} messages at once, and the interface profile agrees on {interface.connections} "
            f"connection(s) with one message each. Write in_flight: {interface.connections}.",
            where="destination.in_flight",
        )
    tls = None
    if match[1] == "mllps":
        tls = client_tls(
            authority=options.get("tls_ca_file"),
            certificate=options.get("tls_certificate_file"),
            key=options.get("tls_key_file"),
        )
    senders = [
        MllpSender(
            host,
            port,
            tls=tls,
            insecure_plaintext=options.get("insecure_plaintext") == "yes",
            connect_seconds=_CONNECT_SECONDS,
            answer_seconds=interface.acknowledgement.timeout_seconds,
        )
        for _ in range(spec.in_flight)
    ]
    return Link((host, port, tls), senders, interface.acknowledgement)


class Link:
    """Senders of one partner; each carries one message at a time."""

    def __init__(
        self, peer: tuple[str, int, ssl.SSLContext | None], senders: list[MllpSender], agreed: AcknowledgementSpec
    ) -> None:
        self._peer = peer
        self._senders = senders
        self._agreed = agreed
        self._free: asyncio.Queue[MllpSender] = asyncio.Queue()
        for sender in senders:
            self._free.put_nowait(sender)

    async def send(self, message: bytes, control_id: str) -> Acknowledgement:
        """Send one message. Raises PeerUnavailable when surely nothing was sent."""
        sender = await self._free.get()
        try:
            reply = await sender.send(message)
        finally:
            self._free.put_nowait(sender)
        return acknowledgement(reply, self._agreed, control_id)

    async def check(self) -> list[str]:
        """Open a connection and close it again. Raises PeerUnavailable when there is none."""
        host, port, tls = self._peer
        try:
            async with asyncio.timeout(_CONNECT_SECONDS):
                _, writer = await asyncio.open_connection(host, port, ssl=tls)
        except (OSError, TimeoutError) as error:
            raise PeerUnavailable(f"MLLP {host}:{port}: no connection ({type(error).__name__}).") from None
        writer.close()
        with contextlib.suppress(OSError):  # it may be closing too
            await writer.wait_closed()
        return [f"the biller at {host}:{port} takes connections; whether it takes messages shows with the first one"]

    async def close(self) -> None:
        """Close every connection."""
        for sender in self._senders:
            await sender.close()


def acknowledgement(reply: MllpReply, agreed: AcknowledgementSpec, control_id: str) -> Acknowledgement:
    """A reply by the profile: AA and CA are accepted, E and R mean what was agreed, everything else stays in doubt.

    An answer of the kind that was not agreed (CA in original mode, AA in enhanced mode) is taken too: it names our message.
    In mode deferred CA says that the message is stored there, and what the application says of it comes later.
    `destination_id` is the control id, by which both sides find the message in their logs.
    """
    if reply.disposition is Disposition.IN_DOUBT:
        return Acknowledgement(disposition=Disposition.IN_DOUBT, native_code="no-acknowledgement", native_text=reply.reason)
    if reply.code == "CA" and agreed.mode == "deferred":
        return Acknowledgement(
            disposition=Disposition.IN_DOUBT, native_code=reply.code, comes_within_seconds=agreed.application_hours * 3600
        )
    if reply.code[1] == "A":
        return Acknowledgement(disposition=Disposition.ACCEPTED, destination_id=control_id, native_code=reply.code)
    meaning = agreed.error if reply.code[1] == "E" else agreed.reject
    disposition = Disposition.REJECTED if meaning == "rejected" else Disposition.RETRY
    return Acknowledgement(disposition=disposition, native_code=reply.code, native_text=words_of(reply.raw))


def words_of(raw: bytes) -> str:
    """The partner's own words."""
    message = Message.parse(raw)
    return "; ".join(filter(None, (message.get(path) for path in _TEXTS)))
