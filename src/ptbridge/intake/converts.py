"""What a field's raw value is converted by: (raw, the reading) -> our type, or Unreadable."""

from __future__ import annotations

from datetime import date, datetime
from typing import Any

from ptbridge.intake import values
from ptbridge.intake.fields import Reading


def as_it_stands(raw: Any, _reading: Reading) -> Any:
    """The raw value."""
    return raw


def text(raw: Any, _reading: Reading) -> str | None:
    """A text."""
    return raw.strip() or None if raw.__class__ is str else values.text(raw)


def count(raw: Any, _reading: Reading) -> int:
    """A whole number from 0."""
    return values.count(raw)


def day(raw: Any, _reading: Reading) -> date:
    """A calendar day."""
    return values.day(raw)


def instant(raw: Any, reading: Reading) -> datetime:
    """A moment, in the clinic's zone."""
    return values.instant(raw, reading.zone)


def flag(raw: Any, _reading: Reading) -> bool:
    """True or false."""
    return values.flag(raw)
