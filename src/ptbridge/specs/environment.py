"""Sandbox or production: what a source and a destination are, by the clinic file's word or else by their address."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from ipaddress import ip_address
from urllib.parse import urlsplit

from ptbridge.specs.clinic import DestinationSpec, Environment, SourceSpec

# Public FHIR servers of made-up patients; a host below one of them is one too.
PUBLIC_TEST_SERVERS = ("fhir.epic.com", "fhir-open.cerner.com", "hapi.fhir.org", "server.fire.ly", "smarthealthit.org")


@dataclass(frozen=True, slots=True, kw_only=True)
class Told:
    """Which environment one side is, and what told it: `because` ends a sentence. `written`: the clinic file's own word."""

    environment: Environment
    because: str
    written: bool = False

    @property
    def sandbox(self) -> bool:
        """Whether nothing here is a real patient's."""
        return self.environment == "sandbox"


def source_environment(spec: SourceSpec) -> Told:
    """What the source is. A word in the file wins; nobody's guess ever makes a sandbox of what the file calls production."""
    return _written(spec.environment) or _told_by(_addresses(spec)) or Told(environment="production", because=_NOTHING)


def destination_environment(spec: DestinationSpec) -> Told:
    """What the destination is. Unless something says sandbox, what it is sent counts as billed: the safe side."""
    written = _written(spec.environment) or _told_by([spec.base_url])
    if written:
        return written
    if spec.options.get("usage") == "T":
        return Told(environment="sandbox", because="its option usage T marks what is sent as a test")
    return Told(environment="production", because=_NOTHING)


def is_this_machine(host: str) -> bool:
    """Whether a host name or address is loopback by its own text; no name is looked up."""
    host = host.removesuffix(".")
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


_NOTHING = "nothing says that it is a sandbox"


def _written(word: Environment | None) -> Told | None:
    return Told(environment=word, because="the clinic file says so", written=True) if word else None


def _addresses(spec: SourceSpec) -> list[str]:
    """Where a source is read from: its server, and the SFTP servers that its options name."""
    return [spec.base_url, *(text for text in spec.options.values() if isinstance(text, str) and text.startswith("sftp://"))]


def _told_by(addresses: list[str]) -> Told | None:
    reason = next((reason for address in addresses for reason in _signs(address)), None)
    return Told(environment="sandbox", because=reason) if reason else None


def _signs(address: str) -> Iterator[str]:
    host = (urlsplit(address).hostname or "").removesuffix(".")
    if is_this_machine(host):
        yield "its address is this machine"
    if "sandbox" in host:
        yield "its address says sandbox"
    if any(host == server or host.endswith(f".{server}") for server in PUBLIC_TEST_SERVERS):
        yield "its address is a public test server"
