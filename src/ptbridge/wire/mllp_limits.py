"""What an MLLP listener allows: sizes, times, rates, and who may connect."""

from __future__ import annotations

import ipaddress
import ssl
from collections.abc import Sequence
from dataclasses import dataclass

from ptbridge.errors import ConfigError

ANY = "*"


@dataclass(frozen=True, slots=True, kw_only=True)
class MllpLimits:
    """Bytes, seconds and counts. The buffer is shared by all connections, so that many slow ones cannot fill the memory."""

    frame_bytes: int = 16 << 20
    buffer_bytes: int = 64 << 20
    idle_seconds: float = 600.0
    frame_seconds: float = 60.0  # from the first byte of a frame to its last
    handshake_seconds: float = 10.0  # TLS
    lone_end_seconds: float = 0.3  # how long an FS without CR waits before it counts as the end
    answer_seconds: float = 30.0  # how long `on_message` may take
    connections: int = 200
    connections_per_peer: int = 100
    waiting_per_connection: int = 64  # messages read and not yet answered; then reading pauses
    messages_per_second: float = 0.0  # per peer address, reading pauses above it; 0: no limit
    batch_messages: int = 1000  # most messages in one call of `store`


@dataclass(frozen=True, slots=True)
class Allowed:
    """Who may send. `networks` such as `10.1.2.0/24`, empty: any; `senders` as (MSH-3, MSH-4), `*` for any, empty: any."""

    networks: tuple[ipaddress.IPv4Network | ipaddress.IPv6Network, ...] = ()
    senders: frozenset[tuple[str, str]] = frozenset()

    @classmethod
    def of(cls, networks: Sequence[str] = (), senders: Sequence[tuple[str, str]] = ()) -> Allowed:
        """Read them from a configuration. Raises ConfigError for what is no network."""
        try:
            return cls(tuple(ipaddress.ip_network(one) for one in networks), frozenset(senders))
        except ValueError as problem:
            raise ConfigError(f"{problem}. Write an address or a network such as 10.1.2.0/24.", where="allowed peers") from None

    def peer(self, host: str) -> bool:
        """True when this address may connect."""
        if not self.networks:
            return True
        address = ipaddress.ip_address(host.partition("%")[0])
        mapped = address.ipv4_mapped if isinstance(address, ipaddress.IPv6Address) else None
        return any((mapped or address) in network for network in self.networks)

    def sender(self, application: str, facility: str) -> bool:
        """True when messages with this MSH-3 and MSH-4 are taken."""
        if not self.senders:
            return True
        asked = ((application, facility), (application, ANY), (ANY, facility))
        return any(pair in self.senders for pair in asked)


def is_loopback(host: str) -> bool:
    """True for `localhost` and loopback literals. Other names are not: what they resolve to can change."""
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def refuse_plaintext(host: str, tls: ssl.SSLContext | None, insecure_plaintext: bool) -> None:
    """Raises ConfigError for plain MLLP that could leave this machine, unless it was asked for in so many words."""
    if tls is None and not insecure_plaintext and not is_loopback(host):
        text = "plain MLLP carries patient data unprotected. Give a certificate, or set insecure_plaintext behind a VPN."
        raise ConfigError(text, where="MLLP")


def server_tls(certificate: str, key: str, *, client_authority: str | None = None) -> ssl.SSLContext:
    """TLS 1.2 or later for a listener; with `client_authority` (a CA file) clients must show a certificate of it.

    Raises ConfigError when a file cannot be read. Make a new one and a new listener to rotate.
    """
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    _load(context, certificate, key, client_authority)
    if client_authority is not None:
        context.verify_mode = ssl.CERT_REQUIRED
    return context


def client_tls(*, authority: str | None = None, certificate: str | None = None, key: str | None = None) -> ssl.SSLContext:
    """TLS 1.2 or later for a sender: the peer's name is checked, against `authority` (a CA file) or the system's store."""
    context = ssl.create_default_context()
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    if authority is not None:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        context.minimum_version = ssl.TLSVersion.TLSv1_2
    _load(context, certificate, key, authority)
    return context


def _load(context: ssl.SSLContext, certificate: str | None, key: str | None, authority: str | None) -> None:
    try:
        if certificate is not None:
            context.load_cert_chain(certificate, key)
        if authority is not None:
            context.load_verify_locations(authority)
    except (OSError, ssl.SSLError):
        raise ConfigError(
            "a certificate, key or CA file cannot be read; check path, permissions and format", where="TLS"
        ) from None
