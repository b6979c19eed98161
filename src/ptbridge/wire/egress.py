"""Where bytes may go: the one egress rule.

A URL from outside (a `next` link, a redirect, an attachment) is taken apart here, compared with the configured origins,
and put together again from what was compared. What is dialled is therefore what was checked: no second parser sees the
original text. Anything that two parsers could read differently is refused.
"""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Iterable
from dataclasses import dataclass
from urllib.parse import quote, urljoin

import idna

from ptbridge.errors import ConfigError, PeerRefused

_URL = re.compile(r"(?P<scheme>[A-Za-z][A-Za-z0-9+.-]*)://(?P<authority>[^/?#]*)(?P<path>/[^?#]*)?(?P<query>\?[^#]*)?(?:#.*)?")
_AUTHORITY = re.compile(r"(?P<host>\[[0-9A-Fa-f:.]+\]|[^\[\]:@]+)(?::(?P<port>[0-9]{0,5}))?")
_SCHEME = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*:")
_LABEL = re.compile(r"[a-z0-9_](?:[a-z0-9_-]{0,61}[a-z0-9_])?")
_NUMBER = re.compile(r"[0-9]+|0[xX][0-9a-fA-F]*")
_AMBIGUOUS = re.compile(r"[\x00-\x20\x7f\\]")
_DEFAULT_PORTS = {"http": 80, "https": 443}
_MAX_URL_CHARACTERS = 65_536
_KEPT_IN_TARGET = "%/?:@!$&'()*+,;=-._~[]|"

# Cloud metadata services that are not link-local: AWS over IPv6, Alibaba, Azure's wire server.
_METADATA = frozenset(map(ipaddress.ip_address, ("fd00:ec2::254", "100.100.100.200", "168.63.129.16")))
_NAT64 = ipaddress.ip_network("64:ff9b::/96")

IPAddress = ipaddress.IPv4Address | ipaddress.IPv6Address


@dataclass(frozen=True, slots=True)
class Origin:
    """Scheme, host and port, normalised: lower case, no trailing dot, IDNA as ASCII, IPv6 compressed, port always known."""

    scheme: str
    host: str
    port: int

    @classmethod
    def of(cls, url: str) -> Origin:
        """The origin of an absolute http(s) URL. Raises ValueError (which never quotes the URL) for anything doubtful."""
        return split_url(url)[0]

    def __str__(self) -> str:
        host = f"[{self.host}]" if ":" in self.host else self.host
        port = "" if self.port == _DEFAULT_PORTS[self.scheme] else f":{self.port}"
        return f"{self.scheme}://{host}{port}"

    @property
    def is_loopback(self) -> bool:
        """True when the host is this machine by its name or literal."""
        address = _literal(self.host)
        return self.host == "localhost" or (address is not None and address.is_loopback)


def split_url(url: str) -> tuple[Origin, str]:
    """An absolute http(s) URL as (origin, path and query). Raises ValueError for anything doubtful."""
    if len(url) > _MAX_URL_CHARACTERS or _AMBIGUOUS.search(url):
        raise ValueError("the URL is too long or holds a space, a control character or a backslash")
    parts = _URL.fullmatch(url)
    if parts is None or parts["scheme"].lower() not in _DEFAULT_PORTS:
        raise ValueError("the URL is not an absolute http or https URL")
    if "@" in parts["authority"]:
        raise ValueError("the URL holds a user name")
    authority = _AUTHORITY.fullmatch(parts["authority"])
    if authority is None:
        raise ValueError("the URL's host or port cannot be read")
    scheme = parts["scheme"].lower()
    port = int(authority["port"]) if authority["port"] else _DEFAULT_PORTS[scheme]
    if not 0 < port < 65_536:
        raise ValueError("the URL's port is out of range")
    origin = Origin(scheme, _normal_host(authority["host"]), port)
    return origin, quote((parts["path"] or "/") + (parts["query"] or ""), safe=_KEPT_IN_TARGET)


def _normal_host(host: str) -> str:
    if host.startswith("["):
        return ipaddress.IPv6Address(host[1:-1]).compressed
    host = host.lower().removesuffix(".")
    if not host.isascii():
        try:
            host = idna.encode(host).decode("ascii")
        except idna.IDNAError:
            raise ValueError("the URL's host is no valid international name") from None
    labels = host.split(".")
    if _NUMBER.fullmatch(labels[-1]):  # 127.1, 0x7f000001, 2130706433: spellings of an address that resolvers accept
        return str(ipaddress.IPv4Address(host))
    if len(host) > 253 or not all(map(_LABEL.fullmatch, labels)):
        raise ValueError("the URL's host is no valid name")
    return host


def _literal(host: str) -> IPAddress | None:
    try:
        return ipaddress.ip_address(host)
    except ValueError:
        return None


def _embedded(address: IPAddress) -> IPAddress:
    """The IPv4 address inside an IPv6 one (mapped, 6to4, NAT64), which is where the packets end up."""
    if isinstance(address, ipaddress.IPv4Address):
        return address
    if address in _NAT64:
        return ipaddress.IPv4Address(int(address) & 0xFFFF_FFFF)
    return address.ipv4_mapped or address.sixtofour or address


@dataclass(frozen=True, slots=True)
class Admitted:
    """A URL that may be dialled, rebuilt from its checked parts. `trusted`: the configured origin, credentials may go."""

    origin: Origin
    url: str
    trusted: bool


class EgressRule:
    """Requests go to the configured origin, and without credentials to the listed extra ones; nowhere else.

    Raises ConfigError when a configured URL itself cannot be read.
    """

    def __init__(self, base_url: str, extra_origins: Iterable[str] = ()) -> None:
        self.base = _configured(base_url)
        self.extra = frozenset(map(_configured, extra_origins))

    def admit(self, url: str) -> Admitted:
        """Check one absolute URL. Raises PeerRefused naming the foreign origin."""
        try:
            origin, target = split_url(url)
        except ValueError as error:
            raise PeerRefused(f"{self.base}: a link that the server gave is refused: {error}.") from None
        if origin != self.base and origin not in self.extra:
            raise PeerRefused(
                f"{self.base}: the server points to {origin}, which is not configured; nothing was sent there. "
                "If that origin is right, list it in the clinic file."
            )
        return Admitted(origin, f"{origin}{target}", trusted=origin == self.base)

    def resolve(self, current_url: str, link: str) -> Admitted:
        """Check a link found in the answer of `current_url`; relative links are resolved against it first."""
        if _SCHEME.match(link) or _AMBIGUOUS.search(link):
            return self.admit(link)
        return self.admit(urljoin(current_url, link))

    def admits_address(self, host: str, address: str) -> bool:
        """May this resolved address be dialled for that host name? Asked for every address, just before dialling.

        A configured name may stand for a private address (an EMR in the clinic's own network) but never for a link-local
        or metadata one; an extra origin's name only for a public one. Literal addresses were compared as origins.
        """
        found = _literal(address.partition("%")[0])
        if found is None:
            return False
        inner = _embedded(found)
        if inner.is_link_local or found.is_link_local or inner in _METADATA or inner.is_unspecified or inner.is_multicast:
            return False
        return host.lower().removesuffix(".") == self.base.host or inner.is_global


def _configured(url: str) -> Origin:
    try:
        return Origin.of(url)
    except ValueError as error:
        raise ConfigError(
            f"base_url or another configured URL cannot be used: {error}. Write it as https://host/path."
        ) from None


_PLAIN_SEGMENT = re.compile(r"[A-Za-z_$.-]{1,40}|v[0-9]|[Rr][0-9][Bb]?")
_PLAIN_NAME = re.compile(r"[A-Za-z_.:-]{1,60}")
_RESOURCE_TYPE = re.compile(r"[A-Z][A-Za-z]+")


def shown_url(url: str) -> str:
    """A URL for logs and messages: ids as `{id}`, query names without values. Nothing that identifies a patient."""
    origin, target = split_url(url)
    path, _, query = target.partition("?")
    shown: list[str] = []
    for segment in path.split("/"):
        after_type = bool(shown) and _RESOURCE_TYPE.fullmatch(shown[-1]) is not None
        plain = not segment or (_PLAIN_SEGMENT.fullmatch(segment) and (not after_type or segment[0] in "_$"))
        shown.append(segment if plain else "{id}")
    names = dict.fromkeys(part.partition("=")[0] for part in query.split("&") if part)
    asked = "&".join(name if _PLAIN_NAME.fullmatch(name) else "…" for name in names)
    return f"{origin}{'/'.join(shown)}" + (f"?{asked}" if asked else "")
