"""MLLP framing as bytes arrive: VT, message, FS, CR. No sockets here.

What real senders do, and what comes of it:

- FS and CR in different reads, several frames in one read, LF after the CR, bytes between frames: read.
- no CR after FS: the frame ends when VT or LF follows, or when the owner calls `end_of_pause` after a short silence.
- FS or VT inside a message (old editors leave them in notes): an FS that is not followed by CR, LF or VT, and a VT that is
  not followed by MSH, are content.
- a new frame before the end of the last: the unfinished one is dropped as `cut-off`. It was never answered, so its sender
  still has it.
- framing in UTF-16 (VT and FS as two bytes each): `wide-frame` is raised, and the connection closes without an answer.
  A UTF-16 message in a frame of single bytes is one message; what becomes of it, its reader says.
- no framing at all: never taken for a message. `unframed` is raised and the owner closes the connection without an answer.
"""

from __future__ import annotations

import re

from ptbridge.errors import RecordError

START, END, CARRIAGE_RETURN = b"\x0b", b"\x1c", b"\r"
_RESTART = b"\x0bMSH"
_WIDE_STARTS = (b"\0M\0", b"\0\xff\xfe", b"\0\xfe\xff")  # what follows the VT of a stream that is UTF-16 as a whole
_TAIL = b"\x1c\r"
_FRAME_END = re.compile(rb"\x1c[\r\n\x0b]")
_MAX_STRAY_BYTES = 65_536


class FrameError(RecordError):
    """The stream cannot go on: `code` is `frame-too-large`, `unframed` or `wide-frame`. Close without an answer."""

    def __init__(self, code: str, message: str) -> None:
        super().__init__(message, where="frame")
        self.code = code


def framed(message: bytes) -> bytes:
    """The message in its frame."""
    return b"".join((START, message, END, CARRIAGE_RETURN))


def _is_one_frame(data: bytes) -> bool:
    """Exactly one message in its frame and nothing else, as nearly every read is."""
    return data[:4] == _RESTART and data.endswith(_TAIL) and data.find(END) == len(data) - 2 and data.rfind(START) == 0


class FrameReader:
    """Collects frames from chunks. `cut_off` counts unfinished frames that a new one replaced, `stray_bytes` those outside."""

    def __init__(self, max_frame_bytes: int) -> None:
        self.max_frame_bytes = max_frame_bytes
        self.cut_off = self.stray_bytes = 0
        self._buffer = bytearray()
        self._inside = False
        self._searched = 0  # of a frame: what before this place holds no end

    @property
    def buffered_bytes(self) -> int:
        """Bytes of the frame that is not finished yet."""
        return len(self._buffer)

    @property
    def inside(self) -> bool:
        """True while a frame has begun and not ended."""
        return self._inside

    @property
    def ends_in_pause(self) -> bool:
        """True when the last byte so far is an FS: the end of the frame, unless more content follows."""
        return self._inside and self._buffer.endswith(END)

    def feed(self, data: bytes) -> list[bytes]:
        """Take one chunk and give the messages that it completes. Raises FrameError."""
        if not self._buffer and not self._inside and _is_one_frame(data) and len(data) - 3 <= self.max_frame_bytes:
            return [data[1:-2]]
        self._buffer += data
        found: list[bytes] = []
        start = 0
        while True:
            if not self._inside:
                place = self._buffer.find(START, start)
                self._skip(start, place if place >= 0 else len(self._buffer))
                if place < 0:
                    self._buffer.clear()
                    return found
                start, self._inside, self._searched = place + 1, True, place + 1
            if self._buffer[start : start + 3] in _WIDE_STARTS:
                raise FrameError("wide-frame", "the framing itself is UTF-16; MLLP frames with single bytes")
            end = self._end(start)
            if end < 0:
                break
            self._keep(found, start, end)
            start, self._inside = end + 1, False
        del self._buffer[:start]
        self._searched -= start
        self._drop_restarted()
        if len(self._buffer) > self.max_frame_bytes:
            raise self._too_large()
        return found

    def end_of_pause(self) -> bytes | None:
        """Nothing followed the FS: it was the end. The message, or None when the frame does not end with FS."""
        if not self.ends_in_pause:
            return None
        found: list[bytes] = []
        self._keep(found, 0, len(self._buffer) - 1)
        self._buffer.clear()
        self._inside, self._searched = False, 0
        return found[0] if found else None

    def _end(self, start: int) -> int:
        """Where the FS that ends the frame stands, or -1 when it is not here yet."""
        found = _FRAME_END.search(self._buffer, max(self._searched, start))
        self._searched = len(self._buffer) - self._buffer.endswith(END)
        return found.start() if found else -1

    def _keep(self, found: list[bytes], start: int, end: int) -> None:
        """Take out one message; an empty frame, which some senders use to keep the line open, is none."""
        begin = self._begin(start, end)
        if end - begin > self.max_frame_bytes:
            raise self._too_large()
        message = bytes(self._buffer[begin:end])
        if message.strip(b"\r\n\t "):
            found.append(message)

    def _too_large(self) -> FrameError:
        return FrameError("frame-too-large", f"a frame is larger than {self.max_frame_bytes} bytes")

    def _begin(self, start: int, end: int) -> int:
        """Where the message really begins: behind the last VT that starts a new MSH inside what looked like one frame."""
        place = self._buffer.rfind(_RESTART, start, end)
        if place < 0:
            return start
        self.cut_off += self._buffer.count(_RESTART, start, end)
        return place + 1

    def _drop_restarted(self) -> None:
        """Keep only the newest start in an unfinished frame, so that dead ones do not fill the memory."""
        if self._inside and len(self._buffer) > self.max_frame_bytes:
            begin = self._begin(0, len(self._buffer))
            del self._buffer[:begin]
            self._searched = max(self._searched - begin, 0)

    def _skip(self, start: int, end: int) -> None:
        stray = bytes(self._buffer[start:end]).strip(b"\r\n\t \0")
        self.stray_bytes += len(stray)
        if stray.startswith(b"MSH") or self.stray_bytes > _MAX_STRAY_BYTES:
            raise FrameError("unframed", "bytes outside any frame: the peer does not speak MLLP, or lost its place")
