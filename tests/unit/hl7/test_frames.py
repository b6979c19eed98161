"""MLLP framing, cut at every place."""

from __future__ import annotations

import pytest
from hl7_messages import p03

from ptbridge.wire.mllp_frames import FrameError, FrameReader, framed

A, B = p03(1), p03(2)


def read(stream: bytes, *, step: int, most: int = 1 << 20) -> tuple[list[bytes], FrameReader]:
    reader = FrameReader(most)
    found: list[bytes] = []
    for start in range(0, len(stream), step):
        found += reader.feed(stream[start : start + step])
    if (last := reader.end_of_pause()) is not None:
        found.append(last)
    return found, reader


@pytest.mark.parametrize("step", [1, 2, 3, 7, 100, 1 << 20])
@pytest.mark.parametrize(
    ("stream", "messages", "cut_off"),
    [
        (framed(A), [A], 0),
        (framed(A) + framed(B), [A, B], 0),
        (framed(A) + b"\n" + framed(B) + b"\n\r\n", [A, B], 0),
        (framed(A) + b"junk \x00\xff" + framed(B) + b"more", [A, B], 0),
        (b"\x0b" + A + b"\x1c\x0b" + B + b"\x1c", [A, B], 0),  # no CR at all
        (b"\x0b" + A + b"\x1c\n\x0b" + B + b"\x1c\n", [A, B], 0),
        (framed(A + b"OBX|1|TX|N||old\x1ceditor\x0bleft\r"), [A + b"OBX|1|TX|N||old\x1ceditor\x0bleft\r"], 0),
        (b"\x0b" + A[:40] + framed(B), [B], 1),  # the sender began anew
        (b"\x0b" + A[:40] + b"\x0b" + A[:50] + framed(B) + framed(A), [B, A], 2),
        (b"\x0b\x1c\r" * 3 + framed(A), [A], 0),  # empty frames keep a line open
        (b"\x0b" + A, [], 0),
        (b"", [], 0),
        (b"\r\n \x00", [], 0),
    ],
)
def test_frames_come_out_whole_however_they_arrive(stream, messages, cut_off, step):
    found, reader = read(stream, step=step)
    assert found == messages
    assert reader.cut_off == cut_off


def test_an_end_without_its_cr_waits_for_what_follows():
    reader = FrameReader(1 << 20)
    assert reader.feed(b"\x0b" + A + b"\x1c") == []
    assert reader.ends_in_pause
    assert reader.feed(b"more of the note\r\x1c\r") == [A + b"\x1cmore of the note\r"]
    assert reader.feed(b"\x0b" + B + b"\x1c") == []
    assert reader.end_of_pause() == B
    assert reader.end_of_pause() is None
    assert reader.feed(b"\r" + framed(A)) == [A]  # the late CR is nothing


@pytest.mark.parametrize("step", [64, 5000])
@pytest.mark.parametrize("ended", [True, False])
def test_a_frame_over_the_limit_stops_the_stream(step, ended):
    stream = framed(A + b"x" * 3000) if ended else b"\x0b" + A + b"x" * 3000
    with pytest.raises(FrameError) as caught:
        read(stream, step=step, most=2000)
    assert caught.value.code == "frame-too-large"
    assert read(framed(A), step=step, most=2000)[0] == [A]


@pytest.mark.parametrize("stream", [A, b"\r\n" + A, b"GET / HTTP/1.1\r\n" * 5000])
def test_what_has_no_frame_is_no_message(stream):
    with pytest.raises(FrameError) as caught:
        read(stream, step=1000)
    assert caught.value.code == "unframed"


def test_a_sender_that_only_ever_begins_fills_no_memory():
    reader = FrameReader(10_000)
    for _ in range(100):
        reader.feed(b"\x0b" + A[:400])
        assert reader.buffered_bytes <= 11_000
    assert reader.feed(A[400:] + b"\x1c\r") == [A]


@pytest.mark.parametrize(
    "data", [b"\x0bMSH|a\x1c\r", b"\x0bMSH|a\x1c\rx\x1c\r", b"\x0bMSH|\x0bMSH|b\x1c\r", b"\x0bMSH|a\x1c\r\x0bMSH|b\x1c\r"]
)
def test_one_read_gives_what_single_bytes_give(data: bytes) -> None:
    slow, fast = FrameReader(100), FrameReader(100)
    assert fast.feed(data) == [message for byte in data for message in slow.feed(bytes([byte]))]
    assert (fast.cut_off, fast.inside) == (slow.cut_off, slow.inside)


def test_a_frame_in_one_read_keeps_to_the_limit() -> None:
    assert FrameReader(6).feed(b"\x0bMSH|ab\x1c\r") == [b"MSH|ab"]
    with pytest.raises(FrameError):
        FrameReader(5).feed(b"\x0bMSH|ab\x1c\r")


@pytest.mark.parametrize("coding", ["utf-16-le", "utf-16-be", "utf-16"])
def test_framing_that_is_utf_16_itself_is_refused_at_once(coding: str) -> None:
    with pytest.raises(FrameError) as caught:
        FrameReader(1000).feed("\x0bMSH|^~\\&|A\x1c\r".encode(coding))
    assert caught.value.code == "wide-frame"


@pytest.mark.parametrize("coding", ["utf-16-le", "utf-16-be"])
def test_a_utf_16_message_in_a_frame_of_bytes_is_one_message(coding: str) -> None:
    raw = ("\ufeff" + "MSH|^~\\&|A|B|||20261118||ADT^A04|C1|P|2.5.1\rPID|1||é\r").encode(coding)
    assert FrameReader(1000).feed(framed(raw)) == [raw]
