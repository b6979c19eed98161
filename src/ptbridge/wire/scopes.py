"""SMART scopes: what was asked, what was granted, and whether the one covers the other (both spellings, v1 and v2)."""

from __future__ import annotations

import re
from collections.abc import Iterable

_SCOPE = re.compile(
    r"(?P<context>system|user|patient)/(?P<resource>\*|[A-Za-z]+)\.(?P<verbs>\*|read|write|[cruds]+)(?P<narrow>\?.+)?"
)
_VERBS = {"read": frozenset("rs"), "write": frozenset("cud"), "*": frozenset("cruds")}


def missing(asked: Iterable[str], granted: Iterable[str]) -> tuple[str, ...]:
    """The asked scopes that no granted one covers. A server may grant less than asked without an error."""
    held = tuple(granted)
    return tuple(scope for scope in asked if not _covered(scope, held))


def _covered(scope: str, granted: tuple[str, ...]) -> bool:
    wanted = _SCOPE.fullmatch(scope)
    if scope in granted or wanted is None:
        return scope in granted
    left = set(_verbs(wanted["verbs"]))
    for candidate in map(_SCOPE.fullmatch, granted):
        # A grant narrowed by a query (`?category=…`) covers only itself.
        if candidate is None or candidate["narrow"] or candidate["context"] != wanted["context"]:
            continue
        if candidate["resource"] in {"*", wanted["resource"]}:
            left -= _verbs(candidate["verbs"])
    return not left


def _verbs(text: str) -> frozenset[str]:
    return _VERBS.get(text) or frozenset(text)
