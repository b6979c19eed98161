"""Acknowledgements, with hl7apy as the judge of their form."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest
from hl7_messages import PATIENT, lines, p03
from hl7apy.consts import VALIDATION_LEVEL
from hl7apy.parser import parse_message, parse_segments

from ptbridge.wire.hl7_ack import AckError, Verdict, acknowledge, acknowledge_unreadable, codes_due, header_only
from ptbridge.wire.hl7v2 import Message

NOW = datetime(2026, 3, 4, 10, 11, 12, tzinfo=UTC)
ERROR = AckError(condition=101, where="FT1[2]-25.1", text="no procedure code & no local code")


def message(
    version: str = "2.5.1",
    *,
    asks: str = "|",
    nine: str = "DFT^P03",
    marks: str = "|^~\\&",
    charset: str = "",
    control_id: str = "ID7",
) -> Message:
    header = f"MSH{marks}|EMR^1.2.3^ISO|CLINIC|PTBRIDGE|HUB|20260304||{nine}|{control_id}|T|{version}|||{asks}||{charset}"
    return Message.parse(lines(header, PATIENT))


def answer(asked: Message, code: str = "AE", error: AckError | None = ERROR) -> bytes:
    return acknowledge(asked, code, control_id="OUR1", now=NOW, error=error)


@pytest.mark.parametrize("error", [None, ERROR, AckError(condition=200), AckError(where="PID", text="x")])
@pytest.mark.parametrize("version", ["2.3.1", "2.4", "2.5", "2.5.1", "2.6", "2.7", "2.8", "2.8.2"])
def test_every_answer_is_valid_in_the_version_of_its_message(version, error):
    judged = parse_message(
        answer(message(version), "AE" if error else "AA", error).decode(), validation_level=VALIDATION_LEVEL.STRICT
    )
    assert judged.validate()
    assert judged.msa.msa_2.to_er7() == "ID7"


@pytest.mark.parametrize("version", ["2.1", "2.2", "2.3"])
def test_the_segments_of_an_answer_are_valid_in_old_versions(version):
    """hl7apy finds no ACK structure there, so its segments are judged one by one."""
    asked = Message.parse(lines(f"MSH|^~\\&|EMR|CLINIC|PTBRIDGE|HUB|20260304||DFT^P03|ID7|T|{version}", PATIENT))
    segments = parse_segments(answer(asked).decode(), version=version, validation_level=VALIDATION_LEVEL.STRICT)
    assert [one.name for one in segments] == ["MSH", "MSA", "ERR"]


def test_who_answers_whom_and_to_what():
    read = Message.parse(answer(message()))
    assert [read.header.field(place) for place in range(3, 13)] == [
        "PTBRIDGE", "HUB", "EMR^1.2.3^ISO", "CLINIC", "20260304101112+0000", "", "ACK^P03^ACK", "OUR1", "T", "2.5.1",
    ]  # fmt: skip
    assert (read.get("MSA-1"), read.get("MSA-2")) == ("AE", "ID7")
    assert (read.get("ERR-2"), read.get("ERR-2.2"), read.get("ERR-2.3"), read.get("ERR-3"), read.get("ERR-4")) == (
        "FT1",
        "2",
        "25",
        "101",
        "E",
    )
    assert read.get("ERR-8") == ERROR.text


def test_the_control_id_comes_back_word_for_word():
    raw = answer(message(control_id="A^\\T\\B"), "AA", None)
    assert b"MSA|AA|A^\\T\\B\r" in raw


def test_old_versions_carry_the_error_in_err_1():
    read = Message.parse(answer(message("2.3")))
    assert read.get("MSH-9.2") == "P03" and read.get("MSH-9.3") is None
    assert [read.get(f"ERR-1.{part}") for part in (1, 2, 3, 4)] == ["FT1", "2", "25", "101"]


def test_delimiters_and_character_set_are_those_of_the_message():
    asked = Message.parse("MSH#!@%*#É*1#B#C#D#1##DFT!P03#ID7#P#2.5######8859/1\r".encode("latin-1"))
    raw = answer(asked, error=AckError(where="FT1-7", text="a#b é"))
    assert raw.startswith(b"MSH#!@%*#C#D#\xc9*1#B#")
    read = Message.parse(raw)
    assert (read.charset, read.get("MSA-2"), read.get("ERR-8"), read.get("ERR-2.3")) == ("iso8859-1", "ID7", "a#b é", "7")


@pytest.mark.parametrize(
    ("asks", "accepted", "refused"),
    [
        ("|", ("AA",), ("AE",)),
        ("AL|AL", ("CA", "AA"), ("CE", "AE")),
        ("AL|NE", ("CA",), ("CE",)),
        ("NE|NE", (), ()),
        ("NE|AL", ("AA",), ("AE",)),
        ("ER|AL", ("AA",), ("CE", "AE")),
        ("SU|ER", ("CA",), ("AE",)),
        ("AL|", ("CA",), ("CE",)),
        ("|AL", ("AA",), ("AE",)),
        ("??|NE", ("CA",), ("CE",)),
    ],
)
def test_which_answers_are_due(asks, accepted, refused):
    asked = message(asks=asks)
    assert (codes_due(asked, Verdict.ACCEPT), codes_due(asked, Verdict.ERROR)) == (accepted, refused)


def test_a_profile_overrides_what_the_sender_asks():
    silent = message(asks="NE|NE")
    assert codes_due(silent, Verdict.ACCEPT, "original") == ("AA",)
    assert codes_due(silent, Verdict.REJECT, "enhanced") == ("CR",)
    assert codes_due(silent, Verdict.ACCEPT, "always") == ("CA",)
    assert codes_due(message(), Verdict.ACCEPT, "always") == ("AA",)


def test_an_acknowledgement_gets_no_application_answer_and_an_accept_answer_only_where_it_asks():
    for mode in ("as-asked", "original", "enhanced", "always"):
        assert codes_due(Message.parse(answer(message())), Verdict.ACCEPT, mode) == ()
        assert codes_due(message(nine="ACK", asks="NE|AL"), Verdict.ACCEPT, mode) == ()
    asking = message(nine="ACK", asks="AL|AL")
    assert codes_due(asking, Verdict.ACCEPT) == ("CA",) and codes_due(asking, Verdict.ERROR, "enhanced") == ("CE",)
    assert codes_due(asking, Verdict.ACCEPT, "original") == ()


@pytest.mark.parametrize(
    ("raw", "echoed"),
    [
        (p03() + p03(), "C0001"),  # two messages in one frame
        (b"hello world", None),
        (b"", None),
        (b"\xff\xfe\x00", None),
        (b"MSH|^~\\&|A|B|C|D|1||DFT^P03|ID9|P|2.4\rBTS|1\r", "ID9"),
    ],
)
def test_what_cannot_be_read_still_gets_an_answer(raw, echoed):
    read = Message.parse(acknowledge_unreadable(raw, "AE", control_id="OUR1", now=NOW, error=AckError(condition=100)))
    assert (read.get("MSA-1"), read.get("MSA-2"), read.get("MSH-10")) == ("AE", echoed, "OUR1")


def test_a_line_end_in_the_control_id_cannot_add_a_segment_to_the_answer():
    asked = Message.parse(b"MSH|^~\\&|A|B|C|D|1||DFT^P03|ID\nlower|P|2.4\rPID|1\r")
    assert asked.header.field(10) == "ID\nlower"
    assert Message.parse(answer(asked)).get("MSA-2") == "IDlower"


def test_the_header_alone_is_read_without_the_rest():
    found = header_only(b"\x0b\xef\xbb\xbf" + p03(3))
    assert found is not None and found.control_id == "C0001" and found.names == ("MSH",)
    assert header_only(b"PID|1\r" + p03()) is None
