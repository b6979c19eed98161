"""HL7 v2 values as ours. Everything that cannot be what the field needs raises Unreadable, which becomes a finding."""

from __future__ import annotations

import re
from datetime import date, datetime, time, timedelta, timezone
from functools import lru_cache
from zoneinfo import ZoneInfo

from ptbridge.intake import values
from ptbridge.intake.values import Minutes, Unreadable

_STAMP = re.compile(
    r"(?P<day>\d{8})(?:(?P<hour>\d\d)(?:(?P<minute>\d\d)(?:(?P<second>\d\d)(?:\.\d{1,6})?)?)?)?(?P<zone>[+-]\d{4})?"
)
# A number with an optional label and unit, as people write minutes into a note: `24`, `24 min`, `Minutes: 24`.
_MINUTES = re.compile(
    r"(?:[A-Za-z][A-Za-z ]{0,30}[:=]\s*)?(\d{1,5}(?:\.\d{1,4})?)\s*(min|mins|minute|minutes|m)?\.?", re.IGNORECASE
)
_ICD = re.compile(r"[A-TV-Z]\d[0-9A-Z](?:\.?[0-9A-Z]{1,4})?")
_NPI = re.compile(r"\d{10}")


@lru_cache(maxsize=4096)
def day(written: str) -> date:
    """`20260304…` as the civil day that is written: no zone moves it. A year or a month alone is no day."""
    found = _STAMP.fullmatch(written.strip())
    if found:
        try:
            return _day(found["day"])
        except ValueError:
            pass
    raise Unreadable("the value is not a date such as 20260304")


@lru_cache(maxsize=1024)
def _day(digits: str) -> date:
    return date(int(digits[:4]), int(digits[4:6]), int(digits[6:8]))


@lru_cache(maxsize=4096)
def instant(written: str, zone: ZoneInfo) -> datetime:
    """A time stamp; without an offset it is the clinic's own time. A date alone is midnight at the clinic."""
    found = _STAMP.fullmatch(written.strip())
    if found:
        try:
            on = _day(found["day"])
            clock = time(int(found["hour"] or 0), int(found["minute"] or 0), int(found["second"] or 0))
            written_zone = _offset(found["zone"]) if found["zone"] else zone
            return datetime.combine(on, clock, written_zone).astimezone(zone)
        except (ValueError, OverflowError):
            pass
    raise Unreadable("the value is not a time stamp such as 202603041530")


def _offset(written: str) -> timezone:
    minutes = int(written[1:3]) * 60 + int(written[3:5])
    return timezone(timedelta(minutes=-minutes if written[0] == "-" else minutes))


@lru_cache(maxsize=4096)
def minutes(written: str, unit: str, zone: ZoneInfo) -> Minutes:
    """Whole minutes from a number, also with a label or a unit of its own. A stated unit beats the mapping's."""
    found = _MINUTES.fullmatch(written.strip())
    if found is None:
        raise Unreadable("the value is not a number of minutes")
    return values.minutes(found[1], "min" if found[2] else unit, zone)


@lru_cache(maxsize=4096)
def icd10(written: str) -> str:
    """An ICD-10-CM code in capitals with its dot, which many senders leave out; anything else as it stands."""
    code = written.strip().upper()
    if "." not in code and len(code) > 3 and _ICD.fullmatch(code):
        return f"{code[:3]}.{code[3:]}"
    return code


def looks_like_icd10(written: str) -> bool:
    """True for what has the shape of an ICD-10-CM code."""
    return _ICD.fullmatch(written.strip().upper()) is not None


def npi(written: str) -> str | None:
    """A ten-digit number; other identifiers of a clinician are not an NPI."""
    return written if _NPI.fullmatch(written) else None
