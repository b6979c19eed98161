"""What a field's text is converted by: (the text, the reading) -> our type, or Unreadable."""

from __future__ import annotations

from datetime import date

from ptbridge.intake import values
from ptbridge.intake.fields import Reading
from ptbridge.intake.hl7 import values as hl7


def text(raw: str, _reading: Reading) -> str | None:
    """A text, trimmed; None when empty."""
    return values.text(raw)


def count(raw: str, _reading: Reading) -> int:
    """A whole number from 0."""
    return values.count(raw)


def day(raw: str, _reading: Reading) -> date:
    """A civil day as written."""
    return hl7.day(raw)
