"""Reading one message: delimiters, line ends, framing left inside, null, escapes, character sets, damage."""

from __future__ import annotations

import pytest
from hl7_messages import HEADER, PATIENT, charge, lines, p03

from ptbridge.errors import RecordError
from ptbridge.wire.hl7v2 import Message


@pytest.mark.parametrize("end", ["\r", "\n", "\r\n", "\r\r", "\n\r\n"])
@pytest.mark.parametrize(
    ("before", "after"),
    [(b"", b""), (b"\x0b", b"\x1c\r"), (b"\xef\xbb\xbf", b""), (b"\r\n \t", b"\n\n"), (b"\x0b\r\n", b"\x1c")],
)
def test_line_ends_and_what_files_leave_around_a_message(end, before, after):
    raw = before + lines(HEADER, PATIENT, charge(1), "ZFT|1||GP", end=end) + after
    message = Message.parse(raw)
    assert message.raw == raw
    assert message.names == ("MSH", "PID", "FT1", "ZFT")
    assert (message.get("MSH-12"), message.get("FT1-26[2]"), message.get("ZFT-3")) == ("2.5.1", "59", "GP")


def test_the_last_segment_needs_no_end_and_a_bare_name_is_a_segment():
    message = Message.parse(lines(HEADER, "DRG", PATIENT)[:-1])
    assert message.names == ("MSH", "DRG", "PID")
    assert message.segments("DRG")[0].field(1) == ""


@pytest.mark.parametrize(
    ("head", "body", "reads"),
    [
        ("MSH|^~\\}|A", "FT1|1||||||X||||100}USD", {"FT1-11.1.2": "USD", "FT1-11": "100"}),
        ("MSH|^~}|A", "FT1|1||||||A\\T\\B||||100}USD", {"FT1-11.1.2": "USD", "FT1-7": "A\\T\\B"}),  # no escape character
        ("MSH|^~\\|A", "FT1|1||||||W&W||||", {"FT1-7": "W&W"}),  # sub-components are not in use
        (
            "MSH#!@%*#A",
            "FT1#1######A%T%B!2@C!3####100*USD",
            {"FT1-7": "A*B", "FT1-7[2].2": "3", "FT1-11.1.2": "USD", "MSH-3": "A"},
        ),
        ("MSH|^~\\&#|A", "FT1|1||||||A\\P\\B", {"FT1-7": "A#B"}),
        ("MSH||A", "FT1|1||||||A^B", {"FT1-7.2": "B"}),  # MSH-2 empty
    ],
)
def test_each_message_brings_its_own_delimiters(head, body, reads):
    message = Message.parse(lines(head, body))
    assert {path: message.get(path) for path in reads} == reads


def test_msh_1_and_2_are_fields_and_never_split():
    message = Message.parse(p03())
    assert (message.get("MSH-1"), message.get("MSH-2"), message.get("MSH-3"), message.get("MSH-9.2")) == (
        "|",
        "^~\\&",
        "EMR",
        "P03",
    )
    assert message.header.repetitions(2) == ["^~\\&"]


def test_an_empty_msh_2_is_remarked():
    assert [one.code for one in Message.parse(b"MSH||A\r").remarks] == ["delimiters-assumed"]


def test_null_is_neither_a_value_nor_an_absence():
    message = Message.parse(lines(HEADER, 'IN1|1|""||X^""^Z|'))
    assert [message.get(path) for path in ("IN1-2", "IN1-3", "IN1-4.2", "IN1-4.3")] == [None, None, None, "Z"]
    assert [message.is_null(path) for path in ("IN1-2", "IN1-2.1", "IN1-3", "IN1-4", "IN1-4.2", "IN1-99")] == [
        True, True, False, False, True, False,
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("written", "read"),
    [
        ("A\\T\\B\\F\\C\\S\\D\\R\\E\\E\\F", "A&B|C^D~E\\F"),
        ("line\\.br\\next", "line\nnext"),
        ("\\X0D0A\\", "\r\n"),
        ("\\XC3A9\\", "é"),  # UTF-8, as the message
        ("\\XFF\\", "\\XFF\\"),  # not UTF-8: verbatim
        ("\\X4\\", "\\X4\\"),
        ("\\E\\T\\E\\", "\\T\\"),  # decoded once: the T between is not decoded again
        ("50\\% \\T\\ more", "50\\% & more"),  # a stray escape does not swallow the next one
        ("\\Zxx\\ \\C2842\\ \\M1234\\", "\\Zxx\\ \\C2842\\ \\M1234\\"),
        ("\\H\\bold\\N\\", "bold"),
        ("\\", "\\"),
        ("\\T", "\\T"),
    ],
)
def test_escapes_are_decoded_once_after_splitting(written, read):
    message = Message.parse(lines(HEADER, f"FT1|1||||||X^{written}^Y", "PID|é"))
    assert message.get("FT1-7.2") == read
    assert message.get("FT1-7.3") == "Y"


@pytest.mark.parametrize("text", ["a|b^c~d\\e&f", "line\r\nline", "\x0b\x1c", "", "plain", "\\T\\"])
def test_escaped_is_the_reverse_of_unescape(text):
    marks = Message.parse(p03()).delimiters
    assert marks.unescape(marks.escaped(text)) == text
    assert not set(marks.escaped(text)) & set("|^~&\r\n\x0b\x1c")


def test_a_value_that_cannot_be_written_is_refused_not_mangled():
    marks = Message.parse(b"MSH|^~}|A\r").delimiters
    assert marks.escaped("plain & simple") == "plain & simple"
    with pytest.raises(ValueError, match="no escape character"):
        marks.escaped("a|b")


NAME = "JOSÉ MÜLLER"


@pytest.mark.parametrize(
    ("declared", "encoding", "configured", "used", "remarks"),
    [
        ("UNICODE UTF-8", "utf-8", None, "utf-8", []),
        ("8859/1", "latin-1", None, "iso8859-1", []),
        ("", "utf-8", None, "utf-8", []),
        ("", "cp1252", None, "cp1252", ["charset-guessed"]),
        ("ASCII", "utf-8", None, "utf-8", ["charset-contradicted"]),
        ("UNICODE UTF-8", "cp1252", None, "cp1252", ["charset-contradicted", "charset-guessed"]),
        ("8859/1", "utf-8", "UNICODE UTF-8", "utf-8", []),  # the header lies; the profile knows
        ("UTF-8", "latin-1", "8859/1", "iso8859-1", []),
        ("KLINGON", "utf-8", None, "utf-8", ["charset-unknown"]),
        ("", "utf-16", None, "utf-16", []),
        ("", "utf-16-le", None, "utf-16-le", []),
        ("", "utf-16-be", None, "utf-16-be", []),
        ("ASCII~8859/1", "latin-1", None, "iso8859-1", []),
    ],
)
def test_the_character_set_is_configured_then_declared_then_guessed(declared, encoding, configured, used, remarks):
    raw = f"{HEADER}||||||{declared}\rPID|1||7||{NAME}\r".encode(encoding)
    message = Message.parse(raw, configured)
    assert message.get("PID-5") == NAME
    assert (message.charset, [one.code for one in message.remarks]) == (used, remarks)
    assert message.raw == raw


def test_a_charset_that_is_probably_wrong_is_read_as_declared_and_remarked():
    message = Message.parse(f"{HEADER}||||||8859/1\rPID|1||7||{NAME}\r".encode())
    assert message.get("PID-5") == NAME.encode().decode("latin-1")
    assert [one.code for one in message.remarks] == ["charset-doubtful"]


def test_bytes_that_no_character_set_has_are_kept():
    message = Message.parse(HEADER.encode() + b"\rPID|1||7||A\x81\x8dB\r")
    assert message.charset == "iso8859-1"
    assert message.get("PID-5") == "A\x81\x8dB"


def test_trail_bytes_that_look_like_delimiters_do_not_split():
    text = "ソ｜表"  # in Shift JIS: trail bytes 0x5C (the escape character) and 0x7C look-alikes
    raw = f"{HEADER}\rPID|1||7||{text}\r".encode("shift_jis")
    assert Message.parse(raw, "SHIFT_JIS").get("PID-5") == text


def test_a_configured_charset_that_does_not_exist_is_a_mistake_of_the_caller():
    with pytest.raises(ValueError, match="table 0211"):
        Message.parse(p03(), "unicode_escape")


def test_a_line_end_inside_a_field_joins_the_segment_before():
    message = Message.parse(lines(HEADER, "OBX|1|TX|N||first\nsecond line\n\nthird", PATIENT))
    assert message.names == ("MSH", "OBX", "PID")
    assert message.get("OBX-5") == "first\nsecond line\n\nthird"
    assert [(one.code, one.where) for one in message.remarks] == [("line-joined", "OBX")]


def test_lines_without_end_are_refused():
    with pytest.raises(RecordError, match="more than 200000 lines"):
        Message.parse(HEADER.encode() + b"\r" * 200_001)


def test_mixed_line_ends_are_read_and_remarked():
    message = Message.parse(lines(HEADER, PATIENT) + lines(charge(1), end="\n"))
    assert message.names == ("MSH", "PID", "FT1")
    assert [one.code for one in message.remarks] == ["line-ends-mixed"]
    assert not Message.parse(lines(HEADER, PATIENT, end="\r\n")).remarks


SECRET = "TESTERLY"


@pytest.mark.parametrize(
    ("raw", "where"),
    [
        (b"", "MSH"),
        (b"\x0b\x1c\r\n", "MSH"),
        (b"hello world TESTERLY", "MSH"),
        (b"PID|1||TESTERLY\rMSH|^~\\&|A\r", "MSH"),
        (b"MSH", "MSH-1"),
        (b"MSHTESTERLY", "MSH-1"),
        (b"MSH |^~", "MSH-1"),
        (b"MSH|TESTERLY|ADT\r", "MSH-2"),
        (b"MSH|^^\\&|A\r", "MSH-2"),
        (b"MSH|^~\\&#!|A\r", "MSH-2"),
        (b"FHS|^~\\&|TESTERLY\rMSH|^~\\&|A\r", "FHS"),
        (b"MSH|^~\\&|A\rPID|1||TESTERLY\rMSH|^~\\&|A\rPID|2\r", "MSH[2]"),
        (b"MSH|^~\\&|A\rPID|1||TESTERLY\rBTS|1\r", "BTS[1]"),
    ],
)
def test_what_is_not_one_message_is_refused_by_place_and_never_quoted(raw, where):
    with pytest.raises(RecordError) as caught:
        Message.parse(raw)
    assert caught.value.where == where
    assert SECRET not in str(caught.value)
    assert caught.value.__cause__ is None


def test_printing_a_message_shows_none_of_it():
    message = Message.parse(p03())
    shown = f"{message!r} {message.segments('PID')[0]!r} {message.groups()[0]!r} {message.remarks!r}"
    assert SECRET not in shown
    assert "97110" not in shown


def test_a_required_value_is_named_by_its_path():
    with pytest.raises(RecordError, match=r"FT1\[2\]-99: required and absent"):
        Message.parse(p03()).require("FT1[2]-99")


@pytest.mark.parametrize(
    ("nine", "event", "trigger"),
    [
        ("DFT^P03^DFT_P03", "P03", "P03"),
        ("dft^p03", "", "P03"),
        ("DFT", "P03", "P03"),
        ("ADT^^ADT_A01", "A04", "A01"),
        ("ADT^A13", "A01", "A13"),
    ],
)
def test_the_trigger_is_that_of_msh_9_before_any_other(nine, event, trigger):
    message = Message.parse(lines(f"MSH|^~\\&|A|B|C|D|1||{nine}|1|P|2.3", f"EVN|{event}"))
    assert (message.code, message.trigger) == (nine[:3].upper(), trigger)
