"""Bounded decompression."""

from __future__ import annotations

import gzip
import zlib

import pytest

from ptbridge.wire.inflate import BadEncoding, BodyReader, TooLarge

TEXT = b'{"resourceType":"Bundle","n":"' + bytes(range(97, 123)) * 40_000 + b'"}'


def read(
    encoding: str, data: bytes, *, step: int = 1000, max_wire: int = 1 << 24, most: int = 1 << 24, ratio: float = 2000
) -> bytes:
    reader = BodyReader(encoding, max_wire_bytes=max_wire, max_bytes=most, max_ratio=ratio)
    for start in range(0, len(data), step):
        reader.feed(data[start : start + step])
    return reader.finish()


def bare(data: bytes) -> bytes:
    engine = zlib.compressobj(wbits=-zlib.MAX_WBITS)
    return engine.compress(data) + engine.flush()


@pytest.mark.parametrize("step", [1, 7, 1000, 1 << 22])
@pytest.mark.parametrize(
    ("encoding", "data", "expected"),
    [
        ("", TEXT[:5000], TEXT[:5000]),
        ("identity", b"", b""),
        ("gzip", gzip.compress(TEXT, mtime=0), TEXT),
        ("GZip ", gzip.compress(TEXT, mtime=0), TEXT),
        ("x-gzip", gzip.compress(b"", mtime=0), b""),
        ("gzip", gzip.compress(b"one", mtime=0) + gzip.compress(b"two", mtime=0), b"onetwo"),
        ("gzip", gzip.compress(b"one", mtime=0) + b"\0\0\0", b"one"),
        ("deflate", zlib.compress(TEXT), TEXT),
        ("deflate", bare(TEXT), TEXT),
        ("gzip", b"", b""),
    ],
)
def test_every_offered_encoding_is_read(encoding: str, data: bytes, expected: bytes, step: int) -> None:
    assert read(encoding, data, step=step) == expected


def test_a_bomb_stops_at_the_bound_not_at_its_end() -> None:
    bomb = gzip.compress(b"\0" * (200 << 20))
    reader = BodyReader("gzip", max_wire_bytes=1 << 20, max_bytes=8 << 20, max_ratio=5000)
    with pytest.raises(TooLarge, match="when decompressed"):
        reader.feed(bomb)
    assert sum(map(len, reader._parts)) <= 8 << 20


def test_a_ratio_beyond_belief_is_refused_before_the_size_is() -> None:
    with pytest.raises(TooLarge, match="200 to 1"):
        read("gzip", gzip.compress(b"\0" * (4 << 20)), ratio=200)


def test_the_wire_is_bounded_too() -> None:
    with pytest.raises(TooLarge, match="100 bytes"):
        read("", b"x" * 101, step=10, max_wire=100)


@pytest.mark.parametrize(
    ("encoding", "data"),
    [
        ("gzip", gzip.compress(TEXT, mtime=0)[:-20]),
        ("gzip", gzip.compress(TEXT, mtime=0)[:10]),
        ("gzip", gzip.compress(b"one", mtime=0)[:-8] + b"\xff" * 8),
        ("gzip", gzip.compress(b"one", mtime=0) + b"junk"),
        ("gzip", b"not gzip at all"),
        ("deflate", b"\x78\x9cnot deflate"),
    ],
)
def test_damage_is_an_error_never_a_shorter_answer(encoding: str, data: bytes) -> None:
    with pytest.raises(BadEncoding):
        read(encoding, data)


@pytest.mark.parametrize("encoding", ["br", "zstd", "gzip, gzip", "compress"])
def test_an_encoding_that_was_not_asked_for(encoding: str) -> None:
    with pytest.raises(BadEncoding):
        read(encoding, b"x")
