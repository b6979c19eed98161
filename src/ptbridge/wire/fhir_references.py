"""FHIR references in all their forms, as keys that either find a resource or visibly find none.

A key is `(type, id)`; for a logical reference `(type, "?system|value")`. Forms that arrive in practice (R4 section 2.3.0.1,
2026-11): relative (`Practitioner/7`), versioned (`Encounter/7/_history/2`), absolute on this server, absolute on another
server, `urn:uuid:` (Synthea), `#contained`, a search in place of an id (`Location?identifier=sys|val`, all 2,056 Procedures
of the SMART bulk set), identifier only, display only. What cannot lead to a resource of this server has no key.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import lru_cache
from typing import Any

Key = tuple[str, str]


def reference_key(reference: object, expected: str, base_url: str = "") -> Key | None:
    """Where a Reference element leads, None when it leads to no resource of this server.

    `expected` is the type that a form without one (`urn:uuid:`, identifier only) is taken to mean.
    """
    if not isinstance(reference, dict):
        return None
    text = reference.get("reference")
    if isinstance(text, str) and text:
        return text_key(text, expected, base_url)
    identifier = reference.get("identifier")
    if not isinstance(identifier, dict) or not isinstance(identifier.get("value"), str):
        return None
    kind = reference.get("type")
    return (kind if isinstance(kind, str) else expected, f"?{identifier.get('system') or ''}|{identifier['value']}")


@lru_cache(maxsize=16384)
def text_key(text: str, expected: str, base_url: str) -> Key | None:
    """Where the text of a reference leads; remembered, because a page names the same few resources over and over."""
    if text.startswith("#"):
        return None  # contained: it travels inside its owner
    if text.startswith(("urn:uuid:", "urn:oid:")):
        return (expected, text.rpartition(":")[2])
    if "://" in text:
        base = base_url.rstrip("/") + "/"
        if not base_url or not text.startswith(base):
            return None  # on another server: it stays dangling
        text = text[len(base) :]
    kind, found, value = text.partition("?identifier=")
    if found:
        return (kind, f"?{value}") if kind else None
    parts = text.split("/")
    if len(parts) >= 2 and parts[0] and parts[1] and (len(parts) == 2 or parts[2] == "_history"):
        return (parts[0], parts[1])
    return None


def identifier_keys(resource: dict[str, Any]) -> Iterator[Key]:
    """The logical keys under which a resource can be referred to: one for each of its identifiers."""
    for identifier in items(resource.get("identifier")):
        if isinstance(identifier, dict) and isinstance(identifier.get("value"), str):
            yield (str(resource.get("resourceType")), f"?{identifier.get('system') or ''}|{identifier['value']}")


def items(value: object) -> list[Any]:
    """A list as it is, one element as a list of one, nothing as none: peers mix them up."""
    if isinstance(value, list):
        return value
    return [] if value is None else [value]


def follow(resource: object, path: tuple[str, ...]) -> list[Any]:
    """Every value at a path of element names, lists flattened; an absent or misshapen step yields nothing."""
    values: list[Any] = [resource]
    for name in path:
        step: list[Any] = []
        for value in values:
            if type(value) is dict and (child := value.get(name)) is not None:
                if type(child) is list:
                    step += child
                else:
                    step.append(child)
        if not step:
            return step
        values = step
    return values
