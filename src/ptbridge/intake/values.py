"""Turns what an EMR wrote into our types, or raises `Unreadable`. Nothing is guessed and nothing defaults.

The text of `Unreadable` may show quantities, codes and service dates; it never shows what identifies a patient.
"""

from __future__ import annotations

import re
from datetime import date, datetime, timedelta
from functools import lru_cache
from typing import Any, NamedTuple
from zoneinfo import ZoneInfo

from ptbridge.model import Address

MAX_MINUTES = 24 * 60
MAX_UNITS = 999  # X12 837P SV104 in units: a longer number is a typing error

_UCUM_SECONDS = {
    "min": 60, "minute": 60, "minutes": 60, "s": 1, "sec": 1, "second": 1, "seconds": 1, "h": 3600, "hr": 3600, "hour": 3600,
    "hours": 3600,
}  # fmt: skip
_NUMBER = re.compile(r"-?\d{1,9}(?:\.\d{1,6})?")
_MODIFIERS = re.compile(r"(?:[A-Z0-9]{2})+")


class Unreadable(ValueError):
    """A value that cannot be what the field needs; the text says why."""


class Minutes(NamedTuple):
    """Whole minutes. `span` is (start, end) where they were a period; `fraction` says what was dropped, never rounded up."""

    whole: int
    span: tuple[datetime, datetime] | None = None
    fraction: str = ""


_WHOLE = tuple(Minutes(whole) for whole in range(MAX_MINUTES + 1))


def text(raw: Any) -> str | None:
    """A text or a number as text, trimmed; None when empty."""
    if raw.__class__ is str:
        return raw.strip() or None
    if raw.__class__ is int:
        return str(raw)
    raise Unreadable(f"a {_shape(raw)} stands where a text is needed")


def instant(raw: Any, zone: ZoneInfo) -> datetime:
    """A moment. A time without an offset is the clinic's own. A date alone is midnight at the clinic."""
    if raw.__class__ is str and len(raw) >= 10 and raw[4] == "-" and raw[7] == "-":
        try:
            return _instant(raw, zone)
        except (ValueError, OverflowError):
            pass
    raise Unreadable(f"{_shown(raw)} is not a date and time")


@lru_cache(maxsize=256)  # one visit asks for its start three times
def _instant(written: str, zone: ZoneInfo) -> datetime:
    moment = datetime.fromisoformat(written)
    return moment.replace(tzinfo=zone) if moment.tzinfo is None else moment.astimezone(zone)


def service_date(raw: Any, zone: ZoneInfo) -> date:
    """The civil day at the clinic: 2026-03-05T00:30Z is March 4 in Chicago. A date alone stays itself; a year is no day."""
    if raw.__class__ is str and len(raw) == 10:
        return day(raw)
    return instant(raw, zone).date()


def day(raw: Any) -> date:
    """A calendar day, `2026-03-04`; the day part of a longer text is not taken, because its zone would matter."""
    if raw.__class__ is str and len(raw) == 10 and raw[4] == "-" and raw[7] == "-":
        try:
            return date.fromisoformat(raw)
        except ValueError:
            pass
    raise Unreadable(f"{_shown(raw)} is not a full date")


def birth_date(raw: Any) -> date:
    """A date of birth; an unreadable one is not shown."""
    try:
        return day(raw)
    except Unreadable:
        raise Unreadable("the value is not a full date") from None


def count(raw: Any) -> int:
    """Units or a rank: a whole number from 0, also as a number of a Quantity or a text of digits."""
    number = _number(raw.get("value") if raw.__class__ is dict else raw)
    if number < 0:
        raise Unreadable(f"{number:g} is negative")
    if number != int(number):
        raise Unreadable(f"{number:g} is not a whole number")
    if number > MAX_UNITS:
        raise Unreadable(f"{number:g} is too large to be true")
    return int(number)


def minutes(raw: Any, unit: str, zone: ZoneInfo) -> Minutes:
    """Whole minutes from a number, a Quantity or Duration, or a Period. `unit` is what a bare number counts.

    `auto` reads only values that state their own unit. A unit that contradicts the mapping is unreadable.
    """
    if raw.__class__ is dict:
        value = raw.get("value")
        if value.__class__ is int and 0 <= value <= MAX_MINUTES and raw.get("code") == "min" and "comparator" not in raw:
            return _WHOLE[value]  # the usual shape
        if "start" in raw or "end" in raw:
            return _of_period(raw, zone)
        stated = raw.get("code") or raw.get("unit")
        if raw.get("comparator"):
            raise Unreadable("a quantity with a comparator is not exact")
        number = _number(value)
        if stated is not None:
            seconds_each = _UCUM_SECONDS.get(stated.lower() if stated.__class__ is str else "")
            if seconds_each is None:
                raise Unreadable(f"the unit {_shown(stated)} is not one of time")
            return _of_seconds(number * seconds_each)
        raw = number
    if unit == "auto":
        raise Unreadable(f"{_shown(raw)} states no unit; say `unit: min`, s or h in the mapping")
    return _of_seconds(_number(raw) * _UCUM_SECONDS[unit])


def flag(raw: Any) -> bool:
    """A boolean, also as the text `true` or `false`."""
    if raw is True or raw == "true":
        return True
    if raw is False or raw == "false":
        return False
    raise Unreadable(f"{_shown(raw)} is neither true nor false")


def modifiers(raws: list[Any]) -> tuple[str, ...]:
    """Two-character modifiers in their order, each once. `GP59` and `GP, 59` are two."""
    found: list[str] = []
    for raw in raws:
        for word in re.split(r"[\s,;:~|/-]+", str(text(raw) or "").upper()):
            if word and not _MODIFIERS.fullmatch(word):
                raise Unreadable(f"{_shown(word)} is not a modifier of two characters")
            found += [word[at : at + 2] for at in range(0, len(word), 2)]
    return tuple(dict.fromkeys(found))


def person_name(raw: Any) -> str | None:
    """A FHIR HumanName, or a text, as `Given Family`."""
    if raw.__class__ is not dict:
        return text(raw)
    if isinstance(raw.get("text"), str):
        return text(raw["text"])
    given = raw.get("given")
    parts = [*(given if given.__class__ is list else [given]), raw.get("family")]
    return " ".join(part for part in parts if part.__class__ is str) or None


def address(raw: Any) -> Address:
    """A FHIR Address."""
    if raw.__class__ is not dict:
        raise Unreadable("the value is not an address")
    lines = raw.get("line")
    return Address(
        lines=tuple(line for line in lines if line.__class__ is str) if lines.__class__ is list else (),
        city=_text_or_none(raw.get("city")),
        state=_text_or_none(raw.get("state")),
        postal_code=_text_or_none(raw.get("postalCode")),
    )


def reference_id(raw: Any) -> str | None:
    """The id at the end of a reference: `Patient/p1`, `http://…/Patient/p1`, `urn:uuid:…`; None for the other forms."""
    if raw.__class__ is dict:
        raw = raw.get("reference")
    if raw.__class__ is not str or "?" in raw or raw.startswith("#"):
        return None
    if raw.startswith("urn:"):
        return raw.rpartition(":")[2]
    return raw.partition("/_history/")[0].rpartition("/")[2] or None


def credential(raw: Any) -> str | None:
    """Upper case without dots: `P.T.A.` is PTA."""
    written = text(raw)
    return written.upper().replace(".", "").replace(" ", "") or None if written else None


def _number(raw: Any) -> float:
    if raw.__class__ is int or raw.__class__ is float:
        return raw
    if raw.__class__ is str and _NUMBER.fullmatch(raw.strip()):
        return float(raw)
    if raw.__class__ is str:
        raise Unreadable(f"{_shown(raw)} is not a number")
    raise Unreadable("there is no number")


def _of_seconds(seconds: float) -> Minutes:
    if seconds < 0:
        raise Unreadable(f"{seconds / 60:g} minutes is negative")
    if seconds > MAX_MINUTES * 60:
        raise Unreadable(f"{seconds / 60:g} minutes is more than a day")
    whole = int(seconds // 60)
    return Minutes(whole, fraction="" if whole * 60 == seconds else f"{seconds / 60:g}")


def _of_period(raw: dict[str, Any], zone: ZoneInfo) -> Minutes:
    start, end = raw.get("start"), raw.get("end")
    if start is None or end is None:
        raise Unreadable("the period has no start or no end")
    if len(str(start)) <= 10 or len(str(end)) <= 10:
        raise Unreadable("the period has dates without times")
    span = instant(start, zone), instant(end, zone)
    # Through UTC: on the night that clocks change, wall-clock times would be an hour off.
    seconds = (span[1].astimezone(_UTC) - span[0].astimezone(_UTC)) / timedelta(seconds=1)
    found = _of_seconds(seconds)
    return Minutes(found.whole, span, found.fraction)


_UTC = ZoneInfo("UTC")


def _text_or_none(raw: Any) -> str | None:
    return raw.strip() or None if raw.__class__ is str else None


def _shape(raw: Any) -> str:
    return {dict: "structure", list: "list", float: "fraction", bool: "yes/no value"}.get(raw.__class__, "value")


def _shown(raw: Any) -> str:
    """A value for a message; only short texts and numbers, so that no free text slips through."""
    if raw.__class__ in (int, float):
        return f"{raw:g}"
    if raw.__class__ is str and len(raw) <= 24:
        return repr(raw)
    return f"a {_shape(raw)}" if raw.__class__ is not str else "a longer text"
