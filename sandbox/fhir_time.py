"""FHIR dates as ranges of milliseconds, so that `2026-03` and `2026-03-12T19:15:00-05:00` compare by the standard's rules."""

from __future__ import annotations

import re
from collections.abc import Callable
from datetime import UTC, datetime, timedelta, tzinfo

EARLIEST, LATEST = -(1 << 62), 1 << 62

Range = tuple[int, int]
"""From the first millisecond to the one after the last."""

_PARTIAL = re.compile(r"(\d{4})(?:-(\d\d)(?:-(\d\d))?)?")
_PREFIXED = re.compile(r"(eq|ne|gt|lt|ge|le|sa|eb|ap)?(\d.*)")
_SECONDS = re.compile(r".*T\d\d:\d\d:\d\d(\.\d+)?(Z|[+-]\d\d:\d\d)?")


def milliseconds(moment: datetime) -> int:
    """Milliseconds since 1970 in UTC."""
    return int(moment.timestamp() * 1000)


def date_range(text: str, zone: tzinfo = UTC) -> Range:
    """The range that a FHIR date, dateTime or instant stands for; without an offset it is read in `zone`.

    Raises ValueError when the text is none of them.
    """
    partial = _PARTIAL.fullmatch(text)
    if partial:
        return _partial_range(partial, zone)
    if "T" not in text:
        raise ValueError(f"{text!r} is no FHIR date")
    moment = datetime.fromisoformat(text)
    start = milliseconds(moment if moment.tzinfo else moment.replace(tzinfo=zone))
    fraction = _SECONDS.fullmatch(text)
    if fraction is None:
        return start, start + 60_000
    return start, start + (1 if fraction[1] else 1_000)


def _partial_range(partial: re.Match[str], zone: tzinfo) -> Range:
    year, month, day = (int(part) if part else None for part in partial.groups())
    start = datetime(year or 1, month or 1, day or 1, tzinfo=zone)
    if day:
        end = start + timedelta(days=1)
    elif month:
        end = start.replace(year=start.year + month // 12, month=month % 12 + 1)
    else:
        end = start.replace(year=start.year + 1)
    return milliseconds(start), milliseconds(end)


def period_range(start: object, end: object, zone: tzinfo = UTC) -> Range | None:
    """The range of a Period; a missing end is open. None when neither end can be read."""
    first, last = readable_range(start, zone), readable_range(end, zone)
    if first is None and last is None:
        return None
    return (first[0] if first else EARLIEST), (last[1] if last else LATEST)


def readable_range(text: object, zone: tzinfo = UTC) -> Range | None:
    """`date_range`, or None for what is no date: the store serves odd records, it does not judge them."""
    if not isinstance(text, str):
        return None
    try:
        return date_range(text, zone)
    except (ValueError, OverflowError):
        return None


_COMPARISONS: dict[str, Callable[[int, int, int, int], bool]] = {
    # (start, end) of the resource, (low, high) of the parameter: FHIR R4, search, section 3.1.1.4.7.
    "eq": lambda start, end, low, high: low <= start and end <= high,
    "ne": lambda start, end, low, high: not (low <= start and end <= high),
    "gt": lambda start, end, low, high: end > high,
    "lt": lambda start, end, low, high: start < low,
    "ge": lambda start, end, low, high: end > low,
    "le": lambda start, end, low, high: start < high,
    "sa": lambda start, end, low, high: start >= high,
    "eb": lambda start, end, low, high: end <= low,
}


def comparison(text: str, zone: tzinfo = UTC) -> tuple[str, Callable[[int, int], bool], Range]:
    """`ge2026-03-12` as its prefix, a test of a resource's range, and the parameter's own range.

    Raises ValueError for an unknown prefix or what is no date.
    """
    match = _PREFIXED.fullmatch(text)
    prefix = (match[1] or "eq") if match else ""
    if match is None or prefix not in _COMPARISONS:
        raise ValueError(f"{text!r} is no date to compare with; write it as ge2026-03-12")
    low, high = date_range(match[2], zone)
    compare = _COMPARISONS[prefix]
    return prefix, lambda start, end: compare(start, end, low, high), (low, high)
