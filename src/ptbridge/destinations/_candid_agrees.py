"""Does what Candid has say what we sent? Compared field by field, blind to how the platform writes a code or a phone number."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any


def disagreement(wanted: Any, stored: Any, where: str = "") -> str | None:
    """The first place, as a path such as `service_lines/0/quantity`, where `stored` says something else; None: it agrees.

    `wanted` None means that nothing may stand there. What we did not send (ids, dates of creation) is not looked at. Case,
    spaces and punctuation do not count: Candid writes `M54.50` where it was sent `M5450`.
    """
    if wanted is None or wanted == []:
        return None if stored in (None, "", [], {}) else where
    if isinstance(wanted, Mapping):
        return _in_fields(wanted, stored, where)
    if isinstance(wanted, list):
        return _in_items(wanted, stored, where)
    return None if _plain(wanted) == _plain(stored) else where


def _in_fields(wanted: Mapping[str, Any], stored: Any, where: str) -> str | None:
    if not isinstance(stored, Mapping):
        return where
    found = (disagreement(value, stored.get(name), f"{where}/{name}".lstrip("/")) for name, value in wanted.items())
    return next((place for place in found if place is not None), None)


def _in_items(wanted: Sequence[Any], stored: Any, where: str) -> str | None:
    if not isinstance(stored, list) or len(stored) != len(wanted):
        return where
    found = (
        disagreement(item, other, f"{where}/{place}") for place, (item, other) in enumerate(zip(wanted, stored, strict=True))
    )
    return next((place for place in found if place is not None), None)


def _plain(value: Any) -> str | bool:
    """A number, text or truth value as it is compared. `2`, `2.0` and `"2"` are one quantity."""
    if isinstance(value, bool):
        return value
    text = str(value).casefold()
    if text.replace(".", "", 1).isdecimal():
        return text.rstrip("0").rstrip(".") if "." in text else text
    return "".join(character for character in text if character.isalnum())
