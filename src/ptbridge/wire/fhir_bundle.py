"""A page of FHIR resources, split without losing a byte: each resource as received, and parsed.

msgspec finds where each resource starts and ends; orjson parses each. Together that costs about what parsing the page
once costs, and the bytes that are kept, hashed and stored are the server's own.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

import msgspec
import orjson

from ptbridge.wire.fhir_outcome import issues_of

_NOTHING = msgspec.Raw(b"")


class UnreadableBody(ValueError):
    """The body is no JSON, was cut off, or is no FHIR resource. Never quotes it."""


class Entry(msgspec.Struct, frozen=True, gc=False):
    """One resource: parsed, and its bytes exactly as received. `resource` is empty when those bytes cannot be parsed."""

    resource: dict[str, Any]
    raw: bytes

    def __repr__(self) -> str:
        return f"Entry({self.resource.get('resourceType', 'unreadable')}, {len(self.raw)} bytes)"


@dataclass(frozen=True, slots=True)
class Gone:
    """The server says that this resource was deleted (410)."""

    resource_type: str
    id: str = field(repr=False)


@dataclass(frozen=True, slots=True)
class Page:
    """One page of a search. `server_time` is an ISO 8601 instant of the server's clock: Bundle.meta.lastUpdated, else its
    Date header. `warnings` are the server's remarks as `severity code`, and what of the page could not be read.
    """

    entries: tuple[Entry, ...] = field(repr=False)
    server_time: str | None
    warnings: tuple[str, ...]
    url: str = field(repr=False)
    next_url: str | None = field(default=None, repr=False)


class _Entry(msgspec.Struct, gc=False):
    resource: msgspec.Raw = _NOTHING


class _Bundle(msgspec.Struct, rename={"resource_type": "resourceType"}):
    resource_type: msgspec.Raw = _NOTHING
    meta: msgspec.Raw = _NOTHING
    link: msgspec.Raw = _NOTHING
    entry: list[_Entry] | None = None


class _LooseBundle(msgspec.Struct, rename={"resource_type": "resourceType"}):
    """The same when an entry is no object: one bad record must not cost the page."""

    resource_type: msgspec.Raw = _NOTHING
    meta: msgspec.Raw = _NOTHING
    link: msgspec.Raw = _NOTHING
    entry: list[msgspec.Raw] | None = None


_bundle = msgspec.json.Decoder(_Bundle)
_loose_bundle = msgspec.json.Decoder(_LooseBundle)
_entry = msgspec.json.Decoder(_Entry)


@dataclass(frozen=True, slots=True, kw_only=True)
class SplitBundle:
    """A Bundle taken apart. `next_link` is as the server wrote it, not yet checked."""

    entries: tuple[Entry, ...] = field(repr=False)
    warnings: tuple[str, ...] = ()
    last_updated: str | None = None
    next_link: str | None = field(default=None, repr=False)


def parse_resource(content: bytes) -> Entry:
    """A body that is one resource. Raises UnreadableBody."""
    resource = _parsed(content)
    if not isinstance(resource, dict) or not isinstance(resource.get("resourceType"), str):
        raise UnreadableBody("the JSON is no FHIR resource")
    return Entry(resource, content)


def split_bundle(content: bytes) -> SplitBundle | None:
    """A body that is a Bundle; None when it is JSON of another type. Raises UnreadableBody."""
    bundle = _decoded(content)
    if _value(bundle.resource_type) != "Bundle":
        return None
    entries: list[Entry] = []
    warnings: list[str] = []
    for raw in _resources(bundle):
        try:
            value = orjson.loads(raw)
        except ValueError:
            value = None
        resource = value if isinstance(value, dict) else {}
        if not raw or raw == b"null":
            warnings.append("entry without a resource")
        elif resource.get("resourceType") == "OperationOutcome":  # search.mode "outcome": about the search, not a result of it
            warnings.extend([str(issue) for issue in issues_of(resource)] or ["outcome without an issue"])
        else:
            entries.append(Entry(resource, raw))
            if not resource:
                warnings.append("entry that cannot be read")
    meta = _value(bundle.meta)
    stamp = meta.get("lastUpdated") if isinstance(meta, dict) else None
    return SplitBundle(
        entries=tuple(entries),
        warnings=tuple(warnings),
        last_updated=stamp if isinstance(stamp, str) else None,
        next_link=_next_link(_value(bundle.link)),
    )


def unseen(entries: Iterable[Entry], seen: set[str]) -> tuple[Entry, ...]:
    """Those whose type, id and version (else bytes) are not in `seen`; adds them to it.

    The version is versionId and lastUpdated together: some servers stamp every version "1".
    """
    fresh: list[Entry] = []
    for entry in entries:
        identity = _identity(entry)
        if identity not in seen:
            seen.add(identity)
            fresh.append(entry)
    return tuple(fresh)


def _identity(entry: Entry) -> str:
    resource = entry.resource
    meta = resource.get("meta")
    if isinstance(meta, dict) and "id" in resource and "versionId" in meta:
        return f"{resource.get('resourceType')}/{resource['id']}/{meta['versionId']}/{meta.get('lastUpdated')}"
    return hashlib.sha256(entry.raw).hexdigest()


def _parsed(content: bytes) -> Any:
    try:
        return orjson.loads(content)
    except ValueError:
        raise UnreadableBody("the JSON is damaged or was cut off") from None


def _decoded(content: bytes) -> _Bundle | _LooseBundle:
    try:
        return _bundle.decode(content)
    except msgspec.ValidationError:
        pass
    except (msgspec.DecodeError, RecursionError):
        raise UnreadableBody("the JSON is damaged or was cut off") from None
    try:
        return _loose_bundle.decode(content)
    except (msgspec.DecodeError, RecursionError):
        raise UnreadableBody("the Bundle's entries are no list") from None


def _resources(bundle: _Bundle | _LooseBundle) -> list[bytes]:
    """Each entry's resource as received; the entry itself where it is no object: kept as something unreadable."""
    if isinstance(bundle, _Bundle):
        return [bytes(entry.resource) for entry in bundle.entry or ()]
    found: list[bytes] = []
    for raw in bundle.entry or ():
        try:
            found.append(bytes(_entry.decode(raw).resource))
        except msgspec.DecodeError:
            found.append(bytes(raw))
    return found


def _value(raw: msgspec.Raw) -> Any:
    content = bytes(raw)
    return _parsed(content) if content else None


def _next_link(links: Any) -> str | None:
    """The `next` link. A link list that cannot be read raises: ending there would lose the pages that follow."""
    if links is None:
        return None
    if not isinstance(links, list) or not all(isinstance(link, dict) for link in links):
        raise UnreadableBody("the Bundle's links cannot be read")
    found = [link.get("url") for link in links if link.get("relation") == "next"]
    if found and not (isinstance(found[0], str) and found[0]):
        raise UnreadableBody("the Bundle's next link has no URL")
    return found[0] if found else None
