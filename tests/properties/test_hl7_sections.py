"""The fields of an HL7 v2 segment, read by the function that is written for them, are what they are one by one."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime
from zoneinfo import ZoneInfo

import msgspec
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec import structs

from ptbridge.intake.fields import Reading
from ptbridge.intake.hl7.converts import count, day, text
from ptbridge.intake.hl7.fields import Field
from ptbridge.intake.hl7.mapping import Hl7Mapping
from ptbridge.intake.hl7.record import SegmentScope, VisitRecord
from ptbridge.intake.hl7.section_source import ODD, Section, source
from ptbridge.intake.record_index import RecordIndex
from ptbridge.model import SourceRecord
from ptbridge.specs.mapping import FieldSpec
from ptbridge.specs.mapping_files import load_mapping
from ptbridge.wire.hl7_record import MEDIA_TYPE, Part, join_parts
from ptbridge.wire.hl7v2 import Segment

CHICAGO = ZoneInfo("America/Chicago")
MAPPING = load_mapping("emrs/hl7v2_generic")
COMPILED = Hl7Mapping(MAPPING)

# Right, wrong, empty, null, repeated, escaped, with sub-components: whatever may stand in a field.
LEAVES = ["", '""', "A1", "F", "SEL", "20260304", "3", "x y", " ", "MR", "B", "O'N", "\\T\\", "\\X41\\", "a&b", '"', "é", "\\"]
leaves = st.sampled_from(LEAVES)
repetitions = st.lists(leaves, min_size=1, max_size=6).map("^".join)
identifiers = st.sampled_from(["A1^^^B^MR", "X1^^^C^PI", "A1^^^B&1.2^MR", "A2^^A1^B", '""^^^B^MR'])
several = st.lists(repetitions | identifiers, max_size=3).map("~".join)
fields = st.one_of(leaves, repetitions, several, several)
rows = st.lists(fields, max_size=50)
MARKS = {"^~\\&": None, "$~\\&": str.maketrans("^", "$"), "^~\\": None, "": None}


def segment(name: str, row: list[str], marks: str) -> str:
    line = "|".join([name, *row])
    table = MARKS[marks]
    return line.translate(table) if table else line


@st.composite
def messages(draw, name: str = "PID") -> bytes:
    marks = draw(st.sampled_from([*MARKS, "^~\\&", "^~\\&"]))
    lines = [f"MSH|{marks}|A|B|C|D|20260304||ADT^A04|1|P|2.5.1"]
    lines += [segment(name, draw(rows), marks) for _ in range(draw(st.integers(0, 2)))]
    return "\r".join(lines).encode()


def visit_record(*raws: bytes) -> VisitRecord:
    parts = [Part(number, "facts", "UNICODE UTF-8", raw) for number, raw in enumerate(raws, 1)]
    at = datetime(2026, 3, 5, tzinfo=UTC)
    payload = join_parts(parts)
    record = SourceRecord(clinic="c", source="hl7v2", record_key="V1", media_type=MEDIA_TYPE, payload=payload, received_at=at)
    return VisitRecord(record, CHICAGO)


def reading() -> Reading:
    return Reading(RecordIndex([]), CHICAGO, MAPPING)


def same(section: Section, first: Segment, scope, *, more: bool) -> None:
    quick, slow = reading(), reading()
    assert section.read(first, scope, quick, more=more) == section.slowly(scope, slow)
    assert quick.findings == slow.findings


@settings(max_examples=300, deadline=None)
@given(given_messages=st.lists(messages(), min_size=1, max_size=3))
def test_the_patient(given_messages):
    record = visit_record(*given_messages)
    for segments in record.segments("PID")[:1]:
        same(COMPILED.patient.section, segments[0], record, more=len(record.segments("PID")) > 1)


@settings(max_examples=300, deadline=None)
@given(given_messages=st.lists(messages("IN1"), min_size=1, max_size=2))
def test_an_insurance_and_its_subscriber(given_messages):
    record = visit_record(*given_messages)
    for message in record.layers:
        for one in message.segments("IN1"):
            scope = SegmentScope(one, message, record)
            same(COMPILED.coverages.section, one, scope, more=False)
            same(COMPILED.coverages.subscriber.section, one, scope, more=False)


PATHS = [
    "IN1-1", "IN1-2.2", "IN1-3.1.2", "IN1-2[*]", "IN1-2[2].1", "IN1-3[authority=B]", "IN1-3[type=MR].1", "IN1-3[2=A1].3",
    "IN1-3[4.2=b].1", "IN1[2]-4", "IN1[*]-1", "IN2-1", "MSH-7", "IN1-60",
]  # fmt: skip
paths = st.lists(st.sampled_from(PATHS), min_size=1, max_size=3)
CONVERTS = [text, count, day, lambda raw, _reading: raw or None]


@settings(max_examples=400, deadline=None)
@given(take=paths, required=st.booleans(), lookup=st.booleans(), convert=st.sampled_from(CONVERTS), raw=messages("IN1"))
def test_any_field_that_a_mapping_may_write(take, required, lookup, convert, raw):
    spec = {"take": take, "required": required, **({"lookup": "sexes"} if lookup else {})}
    field = field_of(spec, convert)
    record = visit_record(raw)
    for message in record.layers:
        for one in message.segments("IN1"):
            same(Section(field), one, SegmentScope(one, message, record), more=False)


def test_what_is_written_is_read_quickly_and_the_rest_is_left_to_the_field():
    """A section that always took the slow way would pass the tests above."""
    lines, names = source(COMPILED.coverages.section.fields, "IN1")
    assert "r = row[36]" in lines and "r = row[49]" in lines and lines.count("\n    # ") == 11
    assert names["part"]("A^^B", 1) == "A" and names["part"]("A^^B", 2) is None and names["part"]("A^^B", 4) is None
    assert all(names["part"](odd, 1) is ODD for odd in ("A~B", "A&B", "\\T\\", '""'))
    lines, _ = source([field_of({"take": ["IN1[2]-4", "IN1-3"]}, text), field_of({"take": "IN1-3.1.2"}, text)], "IN1")
    assert "row[" not in lines


def field_of(spec, convert) -> Field:
    """A field `coverages.payer_id` as written in `spec`."""
    coverages = structs.replace(MAPPING.spec.coverages, payer_id=msgspec.convert(spec, FieldSpec))
    mapping = replace(MAPPING, spec=structs.replace(MAPPING.spec, coverages=coverages))
    return Field(mapping, "coverages", "payer_id", convert)
