"""Batch files as they come."""

from __future__ import annotations

import pytest
from hl7_messages import p03

from ptbridge.errors import RecordError
from ptbridge.wire.hl7_batch import split_batch
from ptbridge.wire.hl7v2 import Message

FHS, BHS = b"FHS|^~\\&|EMR\r", b"BHS|^~\\&|EMR\r"
ONE, TWO = p03(1), p03(2)


def problems(raw: bytes) -> list[tuple[str, int]]:
    return [(one.code, one.line) for one in split_batch(raw).problems]


def test_a_good_file_gives_its_messages_byte_for_byte():
    found = split_batch(FHS + BHS + ONE + TWO + b"BTS|2\r" + BHS + TWO + b"BTS|1\rFTS|2\r")
    assert [one.raw for one in found.messages] == [ONE, TWO, TWO]
    assert [(one.line, one.batch) for one in found.messages] == [(3, 1), (9, 1), (18, 2)]
    assert (found.problems, found.complete) == ((), True)


@pytest.mark.parametrize("end", [b"\r", b"\n", b"\r\n"])
@pytest.mark.parametrize(("before", "after"), [(b"", b""), (b"\xef\xbb\xbf", b"\n\n"), (b"\x0b", b"\x1c\r")])
def test_plain_messages_one_after_another_are_a_file_too(end, before, after):
    raw = before + (ONE + TWO).replace(b"\r", end) + after
    found = split_batch(raw)
    assert b"".join(one.raw for one in found.messages) == raw
    assert (len(found.messages), found.problems, found.complete) == (2, (), True)
    assert [len(Message.parse(one.raw).groups()) for one in found.messages] == [1, 2]


def test_framed_messages_in_a_file():
    raw = b"\x0b" + ONE + b"\x1c\r\x0b" + TWO + b"\x1c\r\n"
    assert [len(Message.parse(one.raw).groups()) for one in split_batch(raw).messages] == [1, 2]


@pytest.mark.parametrize(
    ("raw", "expected", "complete"),
    [
        (BHS + ONE + b"BTS|2\r", [("count-wrong", 8)], True),
        (FHS + BHS + ONE + b"BTS|1\rFTS|5\r", [("count-wrong", 10)], True),
        (BHS + ONE + b"BTS|many\r", [("count-unreadable", 8)], True),
        (BHS + ONE + b"BTS||comment\r", [], True),
        (BHS + ONE + b"BTS", [], True),
        (BHS + ONE, [("trailer-missing", 1)], False),
        (FHS + BHS + ONE + b"BTS|1\r", [("trailer-missing", 1)], False),
        (FHS + BHS + ONE, [("trailer-missing", 2), ("trailer-missing", 1)], False),
        (BHS + ONE + BHS + ONE + b"BTS|1\r", [("trailer-missing", 1)], False),
        (ONE + b"BTS|1\r", [("header-missing", 7)], True),
        (FHS + ONE + b"FTS|0\r", [], True),
        (b"PID|1||lost start\rFT1|1\r" + ONE, [("stray-lines", 1)], True),
        (b"hello world", [("stray-lines", 1)], True),
        (b"", [], True),
    ],
)
def test_what_does_not_add_up_is_named_by_line_and_loses_no_message(raw, expected, complete):
    found = split_batch(raw)
    assert [(one.code, one.line) for one in found.problems] == expected
    assert found.complete is complete
    assert len(found.messages) == raw.count(b"MSH|")
    assert not any("lost" in one.text or "many" in one.text for one in found.problems)


def test_a_utf_16_file_is_refused():
    with pytest.raises(RecordError, match="UTF-16"):
        split_batch((FHS + ONE).decode().encode("utf-16"))
