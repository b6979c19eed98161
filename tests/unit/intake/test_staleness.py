"""A record that is older than the one that is known, by the source's own clock."""

from __future__ import annotations

from datetime import UTC, datetime

import orjson
import pytest

from ptbridge.intake import is_stale
from ptbridge.model import SourceRecord


def a_record(payload: bytes | None = None, media_type: str = "application/fhir+json", **written: str) -> SourceRecord:
    """A Bundle of Procedures, each written at that time."""
    entries = [
        {"resource": {"resourceType": "Procedure", "id": id_, "meta": {"lastUpdated": at}}} for id_, at in written.items()
    ]
    body = payload if payload is not None else orjson.dumps({"resourceType": "Bundle", "entry": entries})
    return SourceRecord(
        clinic="oak", source="emr", record_key="e1", media_type=media_type, payload=body, received_at=datetime.now(UTC)
    )


EARLY, LATE, LATER = "2026-11-20T10:00:00Z", "2026-11-20T10:00:00.5Z", "2026-11-21T10:00:00Z"
KNOWN = a_record(a=LATE, b=LATE)


@pytest.mark.parametrize(
    ("record", "stale"),
    [
        (a_record(a=EARLY, b=LATE), True),
        (a_record(a=EARLY), True),
        (a_record(a=EARLY, b=LATER), False),
        (a_record(a=EARLY, b=LATE, c=LATER), False),
        (a_record(a=EARLY, b=LATE, c=EARLY), True),
        (a_record(a=LATE), False),
        (a_record(a=LATER, b=LATE), False),
        (a_record(a="yesterday", b=LATE), False),
        (a_record(a="2026-11-20T04:00:00-06:00"), False),
        (a_record(b'{"lastUpdated"'), False),
        (a_record(b'["lastUpdated"]'), False),
        (a_record(b'{"entry": [7, {"resource": {"meta": {"lastUpdated": 7}}}, {"resource": {"meta": "x"}}]}'), False),
        (a_record(b"MSH|lastUpdated", "application/hl7-v2"), False),
    ],
)
def test_older_in_something_and_later_in_nothing(record: SourceRecord, stale: bool) -> None:
    assert is_stale(record, KNOWN) is stale
