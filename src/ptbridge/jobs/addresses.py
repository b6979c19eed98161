"""Which server a cursor belongs to: a place in one server's list is none in another's."""

from __future__ import annotations

from collections.abc import Iterator
from urllib.parse import urlsplit

from ptbridge.ledger import Ledger
from ptbridge.ledger.answers import FEED
from ptbridge.specs.clinic import ClinicSpec


def address_of(base_url: str) -> str:
    """What names the server behind an address: scheme, host and port in small letters, and the path.

    Empty for what is no HTTP server (a folder, SFTP, messages): there a cursor names files by their content, or messages of our
    own inbox, and holds wherever they come from.
    """
    parts = urlsplit(base_url)
    if parts.scheme.lower() not in ("http", "https"):
        return ""
    return f"{parts.scheme}://{parts.netloc}".lower() + parts.path.rstrip("/")


def begins_anew(ledger: Ledger, spec: ClinicSpec, *, source: bool) -> Iterator[str]:
    """A sentence where the clinic's EMR (`source`), or its biller, was read at another address than the clinic file's."""
    place = spec.source if source else spec.destination
    read_as = spec.source.connector if source else FEED + spec.destination.platform
    if ledger.cursors.is_elsewhere(spec.clinic, read_as, address_of(place.base_url)):
        who, what = ("the EMR", "visits") if source else ("the biller", "answers")
        yield (
            f"{who} has another address than when it was read last ({address_of(place.base_url)} now): its {what} are read from"
            " the beginning, and what is known already changes nothing."
        )
