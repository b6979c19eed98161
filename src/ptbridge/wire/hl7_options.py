"""What a clinic file may say about its HL7 v2 source, under source.options: all of it text, all of it checked at once."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from ipaddress import ip_network

from ptbridge.errors import ConfigError
from ptbridge.wire.hl7_charset import codec_for
from ptbridge.wire.source_client import OptionValue

PARAMETERS: Mapping[str, str] = {
    "address": "where `ptbridge listen` waits, as 127.0.0.1:2575 (port 0: any free one)",
    "insecure_plaintext": "yes: listen without TLS on an address that is not this machine's own (a VPN must protect it)",
    "tls_certificate": "file with the listener's certificate chain (PEM); with it only TLS is spoken",
    "tls_key": "file with its private key (PEM, mode 0600)",
    "tls_client_ca": "file with the CAs of client certificates (PEM): each sender must show one (mutual TLS)",
    "allow_peers": "addresses or networks that may connect, as 10.1.2.0/24 (default: any)",
    "allow_senders": "sending applications that are taken, as APP or APP|FACILITY of MSH-3 and MSH-4 (default: any)",
    "answer": "auto (default: MSH-15 and MSH-16 decide), original (always one AA) or enhanced (always CA)",
    "answer_damaged": "what a damaged message is told once it is stored: AE (default) or AA",
    "frame_limit": "largest message in bytes (default 16777216)",
    "idle_seconds": "how long a connection may be silent (default 600)",
    "connections": "how many connections at a time (default 500)",
    "messages_per_second": "messages a second that one sending address may bring; above it reading pauses (default: any)",
    "charset": "the sender's character set, a name of HL7 table 0211 (default: MSH-18, then UTF-8, then cp1252)",
    "drop_folder": "a folder, or sftp://host/folder: its files, a message or batch each, are taken by syncs and listeners",
    "drop_after": "what becomes of taken files on an SFTP server: move (default: into processed or errors there) or keep",
    "settle_seconds": "a file of it is complete when it has not changed for so long (default 60)",
    "visit_number": "which fields number a visit, first that is there wins: PV1-19, PID-18, PV1-50 (default PV1-19, PID-18)",
    "visit_by": "visit (default), or visit-day: a visit number spans many days, and each service date is a visit",
    "charges": "delta (default): each DFT adds to those before; snapshot: each DFT holds all charges of the visit so far",
    "charges_from": "message types besides DFT whose FT1 segments bill: ORM, OMG, OML, ORU, RDE, RDS (default: none)",
    "expects_adt": "yes: this sender always sends an ADT; charges that come before it wait for it, then are held",
    "adt_wait_hours": "how long charges wait for their ADT before they are held with that reason (default 24)",
    "person_days": "how long after a visit's last message the patient's own updates still fill its gaps (default 30)",
}
_VISIT_PATHS = ("PV1-19", "PID-18", "PV1-50")
_CHARGE_CODES = ("ORM", "OMG", "OML", "ORU", "RDE", "RDS")


@dataclass(frozen=True, slots=True, kw_only=True)
class Hl7Options:
    """The options, read. See `PARAMETERS` for each."""

    host: str = "127.0.0.1"
    port: int = 0
    address: str = ""
    insecure_plaintext: bool = False
    tls_certificate: str = ""
    tls_key: str = ""
    tls_client_ca: str = ""
    allow_peers: tuple[str, ...] = ()
    allow_senders: tuple[str, ...] = field(default=(), repr=False)
    answer: str = "auto"
    answer_damaged: str = "AE"
    frame_limit: int = 16 * 1024 * 1024
    idle_seconds: int = 600
    connections: int = 500
    messages_per_second: int = 0
    charset: str | None = None
    drop_folder: str = ""
    settle_seconds: int = 60
    visit_number: tuple[str, ...] = ("PV1-19", "PID-18")
    visit_by: str = "visit"
    charges: str = "delta"
    charges_from: frozenset[str] = frozenset()
    expects_adt: bool = False
    adt_wait_hours: int = 24
    person_days: int = 30

    @classmethod
    def of(cls, options: Mapping[str, OptionValue]) -> Hl7Options:
        """Read them. Raises ConfigError that names the option and what it may be."""
        for name in options:
            if name not in PARAMETERS:
                raise _wrong("", f"unknown option {name!r}. Known options: {', '.join(PARAMETERS)}.")
        host, port = _address(_text(options, "address", "127.0.0.1:0"))
        charset = _text(options, "charset", "")
        if charset and codec_for(charset) is None:
            raise _wrong("charset", f"{charset!r} is not known. Use a name of HL7 table 0211: UNICODE UTF-8, 8859/1.")
        return cls(
            host=host,
            port=port,
            address=_text(options, "address", ""),
            insecure_plaintext=_yes(options, "insecure_plaintext"),
            tls_certificate=_text(options, "tls_certificate", ""),
            tls_key=_text(options, "tls_key", ""),
            tls_client_ca=_text(options, "tls_client_ca", ""),
            allow_peers=_networks(_words(options, "allow_peers", ())),
            allow_senders=_words(options, "allow_senders", ()),
            answer=_choice(options, "answer", ("auto", "original", "enhanced")),
            answer_damaged=_choice(options, "answer_damaged", ("AE", "AA")),
            frame_limit=_number(options, "frame_limit", 16 * 1024 * 1024, 1_000, 1 << 30),
            idle_seconds=_number(options, "idle_seconds", 600, 1, 86_400),
            connections=_number(options, "connections", 500, 1, 10_000),
            messages_per_second=_number(options, "messages_per_second", 0, 0, 1_000_000),
            charset=charset or None,
            drop_folder=_text(options, "drop_folder", ""),
            settle_seconds=_number(options, "settle_seconds", 60, 0, 86_400),
            visit_number=_subset(options, "visit_number", _VISIT_PATHS, ("PV1-19", "PID-18")),
            visit_by=_choice(options, "visit_by", ("visit", "visit-day")),
            charges=_choice(options, "charges", ("delta", "snapshot")),
            charges_from=frozenset(_subset(options, "charges_from", _CHARGE_CODES, ())),
            expects_adt=_yes(options, "expects_adt"),
            adt_wait_hours=_number(options, "adt_wait_hours", 24, 0, 24 * 60),
            person_days=_number(options, "person_days", 30, 0, 3650),
        )


def _wrong(name: str, message: str) -> ConfigError:
    return ConfigError(message, where=f"source.options.{name}" if name else "source.options")


def _text(options: Mapping[str, OptionValue], name: str, default: str) -> str:
    value = options.get(name, default)
    if not isinstance(value, str):
        raise _wrong(name, "needs one value, not a list or a table.")
    return value.strip()


def _words(options: Mapping[str, OptionValue], name: str, default: tuple[str, ...]) -> tuple[str, ...]:
    value = options.get(name, default)
    if isinstance(value, Mapping):
        raise _wrong(name, "needs a list, not a table.")
    return (value,) if isinstance(value, str) else tuple(value)


def _choice(options: Mapping[str, OptionValue], name: str, allowed: tuple[str, ...]) -> str:
    value = _text(options, name, allowed[0])
    if value not in allowed:
        raise _wrong(name, f"{value!r} is not one of {', '.join(allowed)}.")
    return value


def _yes(options: Mapping[str, OptionValue], name: str) -> bool:
    return _choice(options, name, ("no", "yes")) == "yes"


def _subset(
    options: Mapping[str, OptionValue], name: str, allowed: tuple[str, ...], default: tuple[str, ...]
) -> tuple[str, ...]:
    found = tuple(word.upper() for word in _words(options, name, default))
    for word in found:
        if word not in allowed:
            raise _wrong(name, f"{word!r} is not one of {', '.join(allowed)}.")
    return found


def _number(options: Mapping[str, OptionValue], name: str, default: int, least: int, most: int) -> int:
    written = _text(options, name, str(default))
    if not written.isdecimal() or not least <= int(written) <= most:
        raise _wrong(name, f"{written!r} is not a whole number from {least} to {most}.")
    return int(written)


def _address(written: str) -> tuple[str, int]:
    host, _, port = written.rpartition(":")
    if not host or not port.isdecimal() or int(port) > 65_535:
        raise _wrong("address", f"{written!r} is not an address. Write it as 127.0.0.1:2575.")
    return host.strip("[]"), int(port)


def _networks(written: tuple[str, ...]) -> tuple[str, ...]:
    for one in written:
        try:
            ip_network(one, strict=False)
        except ValueError:
            raise _wrong("allow_peers", f"{one!r} is not an address or network. Write it as 10.1.2.0/24.") from None
    return written
