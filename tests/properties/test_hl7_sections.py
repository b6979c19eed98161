"""The fields of an HL7 v2 segment, read by the function that is written for them, are what they are one by one."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime
from zoneinfo import ZoneInfo

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec import structs

from ptbridge.errors import RecordError
from ptbridge.intake.fields import Reading
from ptbridge.intake.hl7.charges import _seen
from ptbridge.intake.hl7.converts import count, day, text
from ptbridge.intake.hl7.fields import Field
from ptbridge.intake.hl7.mapping import Hl7Mapping
from ptbridge.intake.hl7.record import SegmentScope, VisitRecord
from ptbridge.intake.hl7.section_source import ODD, Section, source
from ptbridge.intake.hl7.sections import _people
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


# ---------------------------------------------------------------- charge lines: by what is remembered, and written otherwise

CODES = ["97110", "97110^^C4", "97112^^C4", "97110&x^^C4", '""', "", "^x", "97140~97110", "evaluation"]
FT1 = {
    2: ["", "T1", "T2", "T-3", "1", "2", '""', "T1~x"],
    4: ["20260304", "20260305", "202603041200", "20260304^x"],
    6: ["CG", "CD", "CR", "CO", "XX", "", '""'],
    7: ["97110^^C4", "97112^^C4", "97530^^C4", *CODES],
    10: ["1", "2", "1", "2", "-1", "2.0", "", '""'],
    13: ["", "PT", "OT"],
    19: ["", "M54.5^^I10", "M545~R26.2^^I10", "1", "M54.5^M25.561"],
    20: ["", "1234567893^Rivera^Ana^^^^PT", "9^Quill^B", '""', "1^A^B~1003000126^C^D^^^^MD^^^^^^NPI"],
    25: ["", "", "", *CODES],
    26: ["", "GP", "GP~59", "GO", "GP59", "59^x", '""'],
}
PR1 = {7: ["", "24", "24 min", "x", '""', "2.5"], 11: ["", "8^P^Q"], 16: ["", "KX", "GP~KX"]}
SHARED = [
    "PV1|1|O|||||1234567893^Rivera^Ana^^^^PT|1003000126^Okafor^Ben||PT",
    "DG1|1||M54.5^^I10|||F",
    "DG1|2||R26.2",
    "IN1|1|MB^Medicare|MCR-B^^^P|Medicare|||||||||AUTH",
]


def written(name: str, places: dict[int, str]) -> str:
    row = [name, *(places.get(position, "") for position in range(1, max(places) + 1))]
    return "|".join(row)


@st.composite
def charges(draw) -> str:
    """A charge message; most of its lines share most fields, as a sender's do."""
    usual = {position: draw(st.sampled_from(texts)) for position, texts in FT1.items()}
    lines = ["MSH|^~\\&|A|B|C|D|20260304170000||DFT^P03|1|P|2.5.1", "PID|1||M1^^^B^MR||Quill^Dana||19620304|F"]
    lines += draw(st.lists(st.sampled_from(SHARED), max_size=4, unique=True))
    for number in range(draw(st.integers(1, 4))):
        other = draw(st.sets(st.sampled_from(list(FT1)), min_size=1, max_size=2))
        places = usual | {position: draw(st.sampled_from(FT1[position])) for position in other}
        lines.append(written("FT1", {1: str(number + 1), **places}))
        for _ in range(draw(st.integers(0, 2))):
            lines.append(
                written("PR1", {3: "x", **{position: draw(st.sampled_from(texts)) for position, texts in PR1.items()}})
            )
    return "\r".join(lines) + "\r"


def said(reader: Hl7Mapping, *texts: str) -> object:
    """The visit, or what is wrong with the messages."""
    parts = [Part(number, "charges", None, text.encode()) for number, text in enumerate(texts, 1)]
    at = datetime(2026, 3, 5, tzinfo=UTC)
    try:
        return reader.normalize(
            SourceRecord(
                clinic="c", source="hl7v2", record_key="V1", media_type=MEDIA_TYPE, payload=join_parts(parts), received_at=at
            ),
            CHICAGO,
        )
    except RecordError as error:
        return str(error)


@settings(max_examples=150, deadline=None)
@given(messages_of_visit=st.lists(charges(), min_size=1, max_size=2), before=st.lists(charges(), max_size=2))
def test_what_was_read_before_changes_nothing(messages_of_visit, before):
    """A run's memory of texts against a mapping that meets them for the first time."""
    known = said(COMPILED, *messages_of_visit)
    for other in before:
        said(COMPILED, other)
    _seen.clear()
    _people.clear()
    assert known == said(Hl7Mapping(MAPPING), *messages_of_visit) == said(COMPILED, *messages_of_visit)


@settings(max_examples=150, deadline=None)
@given(messages_of_visit=st.lists(charges(), min_size=1, max_size=2))
def test_other_delimiters_say_the_same(messages_of_visit):
    """With the recommended ones most texts are read without the rules, with others none is."""
    others = [one.replace("^", "$").replace("&", "@") for one in messages_of_visit]
    assert said(COMPILED, *messages_of_visit) == said(COMPILED, *others)


@pytest.mark.parametrize(
    ("position", "one", "other"),
    [(7, "97110^^C4", "97112^^C4"), (10, "1", "2"), (19, "M54.5^^I10", "R26.2^^I10"), (26, "GP", "GP~59")],
)
def test_lines_that_differ_in_one_field_are_two(position, one, other):
    places = {2: "", 4: "20260304", 6: "CG", 7: "97110^^C4", 10: "1", 19: "M54.5^^I10", 26: "GP"}
    lines = [written("FT1", {1: "1", **places, position: text}) for text in (one, other)]
    head = "MSH|^~\\&|A|B|C|D|20260304170000||DFT^P03|1|P|2.5.1\rPID|1||M1\r"
    first, second = said(Hl7Mapping(MAPPING), head + "\r".join(lines)).interventions
    assert replace(first, line_key="", sequence=0) != replace(second, line_key="", sequence=0)
