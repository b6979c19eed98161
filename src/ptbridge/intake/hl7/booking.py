"""Where a booking stands, from the messages about it: whose it is, on which civil day, and whether it should take place.

The messages count in the order in which they were written (MSH-7), so one that comes late or again changes nothing; the words
are those of the mapping's `visit.status`. HL7 v2.8.2 ch. 10: S12 new, S13 and S14 moved and changed, S15 cancelled, S17
deleted, S26 missed.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date
from typing import NamedTuple
from zoneinfo import ZoneInfo

from ptbridge.intake.fields import Reading
from ptbridge.intake.hl7.mapping import Hl7Mapping
from ptbridge.intake.hl7.record import VisitRecord
from ptbridge.intake.record_index import RecordIndex
from ptbridge.model import SourceRecord, VisitStatus


class Booking(NamedTuple):
    """A booking as its newest word has it. `patient_id` is that of the record that survived all merges."""

    patient_id: str | None
    status: VisitStatus
    day: date | None


def read_booking(record: SourceRecord, mapping: Hl7Mapping, time_zone: ZoneInfo, days: Mapping[int, str]) -> Booking:
    """Read the messages of one appointment; `days` has the civil day (ISO 8601) of each that gives one, by its number.

    Raises RecordError for a record that is cut off.
    """
    messages = VisitRecord(record, time_zone)
    reading = Reading(RecordIndex([]), time_zone, mapping.mapping)
    patient = mapping.patient.read(messages, reading)
    written = [day for seen in messages.messages if (day := _day(days.get(seen.seq, ""))) is not None]
    return Booking(
        patient.id if patient else None,
        mapping.status.read(messages, reading, charged=False),
        written[-1] if written else None,
    )


def _day(written: str) -> date | None:
    try:
        return date.fromisoformat(written)
    except ValueError:  # February 31
        return None
