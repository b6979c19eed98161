"""Does an FT1 hold in each field what belongs there? Senders that are one field off would bill nonsense that parses.

Seen (public samples): a date in FT1-2 and the type in FT1-4; a code in FT1-5; a description in FT1-10; the type in FT1-4.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from functools import lru_cache

from ptbridge.errors import RecordError
from ptbridge.intake.hl7 import values
from ptbridge.intake.values import Unreadable
from ptbridge.wire.hl7v2 import Segment

_DATE = re.compile(r"(?:19|20)\d\d(?:0[1-9]|1[0-2])(?:0[1-9]|[12]\d|3[01])\d*")
_CODE = re.compile(r"\d{5}|[A-Z]\d{4}|\d{4}[A-Z]")
_NUMBER = re.compile(r"[+-]?\d{1,9}(?:\.\d{0,6})?")
_FIX = "The sender's fields are shifted or wrong: have its interface corrected and the message sent again."


def check(charges: Sequence[Segment]) -> None:
    """Raise RecordError that names the first field which cannot be what the standard puts there; never its content."""
    for charge in charges:
        for position, problem in _FIELDS:
            words = problem(charge.value(position))
            if words:
                raise RecordError(f"{words}.", where=f"{charge.label}-{position}", fix=_FIX)


@lru_cache(maxsize=2048)
def _date(written: str | None) -> str:
    if written is None:
        return "the transaction date is absent"
    try:
        values.day(written)
    except Unreadable:
        return "the transaction date is not a date"
    return ""


@lru_cache(maxsize=2048)
def _type(written: str | None) -> str:
    if written is not None and _DATE.fullmatch(written):
        return "a date stands where the transaction type belongs"
    return "a code stands where the transaction type belongs" if written is not None and _CODE.fullmatch(written) else ""


@lru_cache(maxsize=2048)
def _quantity(written: str | None) -> str:
    if written is None:
        return ""
    if _CODE.fullmatch(written):
        return "a code stands where the quantity belongs"
    if _DATE.fullmatch(written):
        return "a date stands where the quantity belongs"
    return "" if _NUMBER.fullmatch(written.strip()) else "the quantity is not a number"


@lru_cache(maxsize=2048)
def _procedure(written: str | None) -> str:
    return "a date stands where the procedure belongs" if written is not None and _DATE.fullmatch(written) else ""


FIELDS = (4, 6, 7, 10, 25)  # all that is looked at
_FIELDS = ((4, _date), (6, _type), (10, _quantity), (25, _procedure), (7, _procedure))
