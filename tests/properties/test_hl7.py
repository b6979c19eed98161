"""On any bytes the HL7 v2 reader gives an answer or a RecordError, loses nothing, and its work grows with its input."""

from __future__ import annotations

import contextlib
import datetime as dt
import signal
import sys

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ptbridge.errors import RecordError
from ptbridge.wire.hl7_ack import AckError, acknowledge_unreadable, header_only
from ptbridge.wire.hl7_batch import split_batch
from ptbridge.wire.hl7_delimiters import Delimiters
from ptbridge.wire.hl7_paths import PathSyntaxError, compile_path
from ptbridge.wire.hl7v2 import NULL, Message
from ptbridge.wire.mllp_frames import FrameError, FrameReader, framed

_SEGMENTS = b"MSH|^~\\&,MSH,FT1|,PR1|,OBX|,NTE|,DG1|,ORC|,IN1|,ZX1,BHS|^~\\&,BTS|,FHS|,FTS|1".split(b",")
_MARKS = [b"|", b"^", b"~", b"\\", b"&", b"\r", b"\n", b"\r\n", b"\x0b", b"\x1c", b"\x1c\r"]
_VALUES = [b'""', b"\\T\\", b"\\X41", b"\\.br\\", b"DFT^P03", b"97110", b"\xc3\xa9", b"\xff", b"\x00", b" "]
TOKENS = st.sampled_from(_SEGMENTS + _MARKS + _VALUES)
NOISE = st.lists(st.one_of(TOKENS, st.binary(max_size=6)), max_size=60).map(b"".join)
ANYTHING = st.one_of(NOISE, NOISE.map(lambda rest: b"MSH|^~\\&|A|B|C|D|1||DFT^P03|1|P|2.5\r" + rest))
PATHS = ("MSH-9.1", "FT1-7", "FT1[*]-26[*]", "FT1-19[2].1", "PID-3[authority=X]", "OBX[3=MIN]-5", "NTE-3", "DG1[*]-3")

CHARACTERS = st.characters(exclude_categories=("Cs",), exclude_characters="\ufeff")
VALUES = st.text(CHARACTERS, max_size=12).filter(lambda text: text != NULL)
FIELDS = st.lists(st.lists(st.lists(VALUES, min_size=1, max_size=3), min_size=1, max_size=3), min_size=1, max_size=3)
MARKS = st.permutations("|^~\\&!@%*#$").map(lambda found: "".join(found[:5]))


@settings(max_examples=300, deadline=None)
@given(ANYTHING, st.sampled_from([None, "UNICODE UTF-8", "8859/1", "BIG5", "UTF-16"]))
def test_any_bytes_are_read_or_refused(raw, charset):
    try:
        message = Message.parse(raw, charset)
    except RecordError as problem:
        assert problem.where
        return
    assert message.raw == raw
    for path in PATHS:
        message.get(path), message.get_all(path), message.is_null(path)
    for group in message.groups():
        for path in PATHS:
            group.get(path), group.get_all(path)
    for segment in message.segments_all:
        message.owner(segment)


@settings(max_examples=200, deadline=None)
@given(ANYTHING)
def test_no_character_of_a_message_is_lost(raw):
    """Every character is in a segment, or is a line end, blank or framing at the edge of a line."""
    try:
        message = Message.parse(raw)
    except RecordError:
        return
    edges = str.maketrans("", "", "\r\n\x0b\x1c\ufeff \t\x85\xa0\x1d\x1e\x1f")
    kept = "".join(segment.text for segment in message.segments_all)
    assert kept.translate(edges) == message.text.translate(edges)


@settings(max_examples=200, deadline=None)
@given(MARKS, FIELDS, st.sampled_from(["utf-8", "utf-16"]))
def test_what_is_written_with_escapes_is_read_back(marks, field, encoding):
    separator, declared = marks[0], marks[1:]
    written = Delimiters.of(f"MSH{separator}{declared}{separator}")
    text = written.repetition.join(
        written.component.join(written.subcomponent.join(map(written.escaped, leaves)) for leaves in one) for one in field
    )
    header = separator.join(["MSH", declared, *[""] * 15, "UNICODE UTF-8"])
    message = Message.parse(f"{header}\rZZ1{separator}{text}{separator}end\r".encode(encoding))
    for number, one in enumerate(field, 1):
        for component, leaves in enumerate(one, 1):
            for inner, leaf in enumerate(leaves, 1):
                if text != NULL:
                    assert message.get(f"ZZ1-1[{number}].{component}.{inner}") == (leaf or None)
    assert message.get("ZZ1-2") == "end"


@settings(max_examples=200, deadline=None)
@given(st.lists(NOISE.map(lambda rest: b"MSH|" + rest.replace(b"\x0b", b"").replace(b"\x1c", b"")), max_size=5), st.randoms())
def test_frames_survive_any_cutting(messages, random):
    stream, reader, found = b"".join(map(framed, messages)), FrameReader(1 << 20), []
    while stream:
        cut = random.randint(1, 40)
        found += reader.feed(stream[:cut])
        stream = stream[cut:]
    assert found == messages
    assert (reader.stray_bytes, reader.buffered_bytes, reader.inside) == (0, 0, False)


@settings(max_examples=200, deadline=None)
@given(st.lists(NOISE, max_size=8))
def test_any_stream_is_framed_or_refused_and_never_grows_over_its_limit(chunks):
    reader = FrameReader(64)
    try:
        for chunk in chunks:
            for message in reader.feed(chunk):
                assert 0 < len(message) <= 64
            assert reader.buffered_bytes <= 64
    except FrameError as problem:
        assert problem.code in ("frame-too-large", "unframed")


@settings(max_examples=200, deadline=None)
@given(NOISE)
def test_any_file_is_split_without_losing_a_message(raw):
    try:
        found = split_batch(raw)
    except RecordError as problem:
        assert "UTF-16" in str(problem) and b"\x00" in raw[:4]
        return
    assert len(found.messages) <= raw.count(b"MSH")
    position = 0
    for one in found.messages:
        position = raw.index(one.raw, position) + len(one.raw)
        assert raw.splitlines(keepends=True)[one.line - 1] == one.raw.splitlines(keepends=True)[0]
    assert all(f"line {one.line}:" in one.text for one in found.problems)


@settings(max_examples=200, deadline=None)
@given(ANYTHING)
def test_any_frame_can_be_answered(raw):
    now = dt.datetime(2026, 3, 4, tzinfo=dt.UTC)
    answer = Message.parse(acknowledge_unreadable(raw, "AE", control_id="1", now=now, error=AckError(where="FT1-7", text="x")))
    assert answer.names == ("MSH", "MSA", "ERR")
    header = header_only(raw)
    if header is not None and header.control_id and header.charset != "iso8859-1":
        assert len(answer.header.field(2)) == len(header.header.field(2) or "^~\\&")


@given(st.text(max_size=30))
def test_any_text_is_a_path_or_is_refused(text):
    with contextlib.suppress(PathSyntaxError):
        assert compile_path(text).text == text


HEAD = b"MSH|^~\\&|A|B|C|D|1||DFT^P03|1|P|2.5\r"
HOSTILE = {
    "separators": lambda n: HEAD + b"FT1" + b"|" * n,
    "repetitions": lambda n: HEAD + b"FT1|1||||||" + b"~" * n,
    "components": lambda n: HEAD + b"FT1|1||||||" + b"^&" * (n // 2),
    "escapes": lambda n: HEAD + b"FT1|1||||||" + b"\\" * n,
    "open hexadecimal": lambda n: HEAD + b"FT1|1||||||" + b"\\X" + b"41" * (n // 2),
    "half escapes": lambda n: HEAD + b"FT1|1||||||" + b"\\X4" * (n // 3),
    "line ends": lambda n: HEAD + b"\r\n" * (n // 2),
    "short lines": lambda n: HEAD + b"a\n" * (n // 2),
    "charges": lambda n: HEAD + b"FT1|1\r" * (n // 6),
    "charges and diagnoses": lambda n: HEAD + b"FT1|1\rDG1|1\r" * (n // 12),
    "orders and charges": lambda n: HEAD + b"ORC|1\rOBX|1\rFT1|1\r" * (n // 18),
    "notes": lambda n: HEAD + b"FT1|1\r" + b"NTE|1\r" * (n // 6),
    "other message": lambda n: HEAD.replace(b"DFT", b"ORM") + b"ORC|1\r" + b"OBX|1\r" * (n // 12) + b"FT1|1\r" * (n // 12),
    "frames begun": lambda n: b"\x0bMSH" * (n // 4),
    "frame ends": lambda n: HEAD + b"\x1c" * n,
}


def steps(raw: bytes) -> int:
    """How many lines of Python run to read everything that there is: a count, so that the machine's load does not matter."""
    count = 0

    def trace(frame, event, argument):
        nonlocal count
        count += event == "line"
        return trace

    before = sys.gettrace()  # a measurement of coverage goes on afterwards
    sys.settrace(trace)
    try:
        everything(raw)
    finally:
        sys.settrace(before)
    return count


def everything(raw: bytes) -> None:
    with contextlib.suppress(FrameError):
        FrameReader(1 << 30).feed(b"\x0b" + raw + b"\x1c\r")
    split_batch(raw)
    try:
        message = Message.parse(raw)
    except RecordError:
        return
    for group in message.groups():
        group.get("FT1-7"), group.get("OBX-5"), group.get("DG1-3"), group.get("NTE-3")
    for path in PATHS:
        message.get_all(path)
    message.owner(message.header)


@pytest.mark.parametrize("shape", HOSTILE)
def test_the_work_grows_in_step_with_the_input(shape):
    """Four times the bytes: at most about four times the steps. A quadratic reader would take sixteen."""
    make = HOSTILE[shape]
    everything(make(2000))  # caches are warm
    small, large = steps(make(2000)), steps(make(8000))
    assert large <= 4.6 * small + 200


@pytest.mark.parametrize("shape", HOSTILE)
def test_a_megabyte_of_anything_is_read(shape):
    """The steps above do not see work inside C calls; 40 seconds of this process's own time do: quadratic takes minutes."""

    def too_much(number, frame):
        raise AssertionError("the work does not grow in step with the input")

    before = signal.signal(signal.SIGVTALRM, too_much)
    signal.setitimer(signal.ITIMER_VIRTUAL, 40)
    try:
        everything(HOSTILE[shape](1_000_000))
    finally:
        signal.setitimer(signal.ITIMER_VIRTUAL, 0)
        signal.signal(signal.SIGVTALRM, before)
