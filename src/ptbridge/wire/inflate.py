"""Decompression with bounds, as the bytes stream in: a small answer must not become a large memory."""

from __future__ import annotations

import zlib

from ptbridge.errors import PtbridgeError

_STEP_BYTES = 1 << 18
_RATIO_FREE_BYTES = 1 << 20


class TooLarge(PtbridgeError):
    """The body passed a size or ratio bound."""


class BadEncoding(PtbridgeError):
    """The body is not what its Content-Encoding says, or was cut off."""


class BodyReader:
    """Collects one response body. `feed` each chunk as received, then `finish`.

    Bounds in bytes: `max_wire_bytes` as received, `max_bytes` after decompression; `max_ratio` between the two once the
    result is above 1 MiB. Understands gzip (also several members), deflate (with and without zlib header) and identity.
    """

    def __init__(self, encoding: str, *, max_wire_bytes: int, max_bytes: int, max_ratio: float) -> None:
        self._encoding = encoding.strip().lower()
        if self._encoding not in {"", "identity", "gzip", "x-gzip", "deflate"}:
            raise BadEncoding("the answer's Content-Encoding was not asked for")
        self._plain = self._encoding in {"", "identity"}
        self._max_wire_bytes, self._max_bytes, self._max_ratio = max_wire_bytes, max_bytes, max_ratio
        self._parts: list[bytes] = []
        self._wire_bytes = self._bytes = 0
        self._engine: zlib._Decompress | None = None

    def feed(self, chunk: bytes) -> None:
        """Take one chunk. Raises TooLarge or BadEncoding."""
        self._wire_bytes += len(chunk)
        if self._wire_bytes > self._max_wire_bytes:
            raise TooLarge(f"the answer is larger than {self._max_wire_bytes} bytes")
        if self._plain:
            self._keep(chunk)
        else:
            self._inflate(chunk)

    def finish(self) -> bytes:
        """The whole body. Raises BadEncoding when the compressed stream was cut off."""
        if self._engine is not None and not self._engine.eof:
            raise BadEncoding("the compressed answer was cut off")
        return self._parts[0] if len(self._parts) == 1 else b"".join(self._parts)

    def _keep(self, data: bytes) -> None:
        self._bytes += len(data)
        if self._bytes > self._max_bytes:
            raise TooLarge(f"the answer is larger than {self._max_bytes} bytes when decompressed")
        if self._bytes > _RATIO_FREE_BYTES and self._bytes > self._max_ratio * self._wire_bytes:
            raise TooLarge(f"the answer decompresses by more than {self._max_ratio:g} to 1")
        if data:
            self._parts.append(data)

    def _inflate(self, data: bytes) -> None:
        try:
            while data:
                if self._engine is None or self._engine.eof:
                    if self._engine is not None and not data.strip(b"\0"):
                        return  # zero padding after the last member
                    self._engine = zlib.decompressobj(self._window_bits(data))
                data = self._drain(self._engine, data)
        except zlib.error:
            raise BadEncoding("the compressed answer is damaged") from None

    def _drain(self, engine: zlib._Decompress, data: bytes) -> bytes:
        """All that `data` holds for this member, a step at a time; what is left belongs to the next member."""
        while True:
            out = engine.decompress(data, _STEP_BYTES)
            self._keep(out)
            if engine.eof:
                return engine.unused_data
            data = engine.unconsumed_tail
            if not data and len(out) < _STEP_BYTES:
                return b""

    def _window_bits(self, data: bytes) -> int:
        if self._encoding != "deflate":
            return 16 + zlib.MAX_WBITS
        # RFC 9110 means zlib, some servers send the bare stream; a zlib header has compression method 8 in its low bits.
        return zlib.MAX_WBITS if data[0] & 0x0F == 8 else -zlib.MAX_WBITS
