"""Does an FT1 hold in each field what belongs there? Senders that are one field off would bill nonsense that parses.

Seen (public samples): a date in FT1-2 and the type in FT1-4; a code in FT1-5; a description in FT1-10; the type in FT1-4.
"""

from __future__ import annotations

import re

from ptbridge.errors import RecordError
from ptbridge.intake.hl7 import values
from ptbridge.intake.values import Unreadable
from ptbridge.wire.hl7v2 import Segment

_DATE = re.compile(r"(?:19|20)\d\d(?:0[1-9]|1[0-2])(?:0[1-9]|[12]\d|3[01])\d*")
_CODE = re.compile(r"\d{5}|[A-Z]\d{4}|\d{4}[A-Z]")
_NUMBER = re.compile(r"[+-]?\d{1,9}(?:\.\d{0,6})?")
_FIX = "The sender's fields are shifted or wrong: have its interface corrected and the message sent again."


def check(charge: Segment) -> None:
    """Raise RecordError that names the first field which cannot be what the standard puts there; never its content."""
    problem = _problem(charge)
    if problem is not None:
        position, words = problem
        raise RecordError(f"{words}.", where=f"{charge.label}-{position}", fix=_FIX)


def _problem(charge: Segment) -> tuple[int, str] | None:
    written = charge.value(4)
    if written is None:
        return 4, "the transaction date is absent"
    try:
        values.day(written)
    except Unreadable:
        return 4, "the transaction date is not a date"
    kind = charge.value(6) or ""
    if _DATE.fullmatch(kind):
        return 6, "a date stands where the transaction type belongs"
    if _CODE.fullmatch(kind):
        return 6, "a code stands where the transaction type belongs"
    quantity = charge.value(10)
    if quantity is not None and _CODE.fullmatch(quantity):
        return 10, "a code stands where the quantity belongs"
    if quantity is not None and _DATE.fullmatch(quantity):
        return 10, "a date stands where the quantity belongs"
    if quantity is not None and not _NUMBER.fullmatch(quantity.strip()):
        return 10, "the quantity is not a number"
    for position in (25, 7):
        code = charge.value(position)
        if code is not None and _DATE.fullmatch(code):
            return position, "a date stands where the procedure belongs"
    return None
