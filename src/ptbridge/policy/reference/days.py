"""Dates as CMS writes them in its tables, and as two bytes."""

from __future__ import annotations

from datetime import date, timedelta

EPOCH = date(1980, 1, 1)  # NCCI begins in 1996
NEVER = 0x7FFF  # no deletion date; the last day that fits is in 2069


def packed_day(day: date | None) -> int:
    """Days since 1980, 15 bits; NEVER for no date. Raises ValueError for a date that does not fit."""
    if day is None:
        return NEVER
    number = (day - EPOCH).days
    if not 0 <= number < NEVER:
        raise ValueError(f"{day} is not between {EPOCH} and 2069")
    return number


def day_of(number: int) -> date | None:
    """The reverse of `packed_day`."""
    return None if number == NEVER else EPOCH + timedelta(days=number)


def read_day(text: str) -> date | None:
    """`20261001`, `2026274` (year and day of the year, as in the add-on file) or `10/01/2026`; None for `*` and nothing.

    Raises ValueError for anything else.
    """
    text = text.strip()
    if text in ("", "*"):
        return None
    if len(text) == 8 and text.isdecimal():
        return date(int(text[:4]), int(text[4:6]), int(text[6:]))
    if len(text) == 7 and text.isdecimal():
        return _of_year(int(text[:4]), int(text[4:]))
    month, day, year = text.replace("-", "/").split("/")
    return date(int(year), int(month), int(day))


def _of_year(year: int, day: int) -> date:
    found = date(year, 1, 1) + timedelta(days=day - 1)
    if found.year != year:
        raise ValueError(f"{year} has no day {day}")
    return found
