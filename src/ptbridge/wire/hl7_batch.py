"""Batch files (FHS, BHS, messages, BTS, FTS) as they really are: wrong counts, missing trailers, several batches.

Nothing is refused: every message comes out with the line it starts on, and everything that does not add up is a problem
with its line. HL7 v2.8.2 ch. 2.10.3.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field

from ptbridge.errors import RecordError
from ptbridge.wire.hl7_charset import is_wide

_HEADER = re.compile(rb"(MSH|FHS|BHS|BTS|FTS)(?:([^A-Za-z0-9\s])|$)")
_EDGES = b"\x0b\x1c\xef\xbb\xbf \t\r\n"


@dataclass(frozen=True, slots=True)
class BatchMessage:
    """One message as it stands in the file, byte for byte. `line` counts from 1; `batch` from 1, 0 outside any batch."""

    raw: bytes = field(repr=False)
    line: int
    batch: int


@dataclass(frozen=True, slots=True)
class BatchProblem:
    """What does not add up. `code`: count-wrong, count-unreadable, trailer-missing, header-missing, stray-lines."""

    code: str
    line: int
    text: str


@dataclass(frozen=True, slots=True)
class Batch:
    """What a file holds. `complete` is False when a header has no trailer: the file may be only half written."""

    messages: tuple[BatchMessage, ...]
    problems: tuple[BatchProblem, ...]
    complete: bool


def split_batch(raw: bytes) -> Batch:
    """Split a file, or a frame that holds more than one message, in one pass. Raises RecordError for a UTF-16 file."""
    if is_wide(raw):
        raise RecordError("a UTF-16 batch file; convert it to UTF-8", where="FHS")
    reader = _Reader()
    for number, line in enumerate(raw.splitlines(keepends=True), 1):
        reader.read(number, line)
    return reader.finish()


class _Reader:
    """Where we are in the file: the message that is being collected, and the open file and batch headers."""

    def __init__(self) -> None:
        self.messages: list[BatchMessage] = []
        self.problems: list[BatchProblem] = []
        self.message: list[bytes] | None = None
        self.start = self.batches = 0
        self.stray = -1  # the last line that stood in no message
        self.file_line = self.batch_line = 0  # of the header that is open, 0: none
        self.in_batch = 0
        self.file_batches = 0
        self.complete = True

    def read(self, number: int, line: bytes) -> None:
        bare = line.strip(_EDGES)
        header = _HEADER.match(bare)
        if header is None:
            self._other(number, line, bare)
            return
        self._close_message()
        name, mark = header[1], header[2]
        if name == b"MSH":
            self.message, self.start = [line], number
        elif name == b"FHS":
            self._open_file(number)
        elif name == b"BHS":
            self._open_batch(number)
        elif name == b"BTS":
            self._close_batch(number, _count(bare, mark))
        else:
            self._close_file(number, _count(bare, mark))

    def finish(self) -> Batch:
        self._close_message()
        self._batch_trailer_missing()
        self._file_trailer_missing()
        return Batch(tuple(self.messages), tuple(self.problems), self.complete)

    def _other(self, number: int, line: bytes, bare: bytes) -> None:
        if self.message is not None:
            self.message.append(line)
        elif bare and self.stray != number - 1:
            self._problem("stray-lines", number, "stands in no message; the file may lack its start")
        if self.message is None and bare:
            self.stray = number

    def _close_message(self) -> None:
        if self.message is not None:
            inside = self.batches if self.batch_line else 0
            self.messages.append(BatchMessage(b"".join(self.message), self.start, inside))
            self.in_batch += 1
        self.message = None

    def _open_file(self, number: int) -> None:
        self._batch_trailer_missing()
        self._file_trailer_missing()
        self.file_line, self.file_batches = number, 0

    def _open_batch(self, number: int) -> None:
        self._batch_trailer_missing()
        self.batches += 1
        self.file_batches += 1
        self.batch_line, self.in_batch = number, 0

    def _close_batch(self, number: int, count: int | str) -> None:
        if not self.batch_line:
            self._problem("header-missing", number, "BTS without its BHS")
        self._compare(number, "BTS-1", count, self.in_batch, "messages")
        self.batch_line = self.in_batch = 0

    def _close_file(self, number: int, count: int | str) -> None:
        self._batch_trailer_missing()
        if not self.file_line:
            self._problem("header-missing", number, "FTS without its FHS")
        self._compare(number, "FTS-1", count, self.file_batches, "batches")
        self.file_line = self.file_batches = 0

    def _batch_trailer_missing(self) -> None:
        if self.batch_line:
            self._problem("trailer-missing", self.batch_line, "BHS without its BTS")
            self.complete = False
        self.batch_line = 0

    def _file_trailer_missing(self) -> None:
        if self.file_line:
            self._problem("trailer-missing", self.file_line, "FHS without its FTS")
            self.complete = False
        self.file_line = 0

    def _compare(self, line: int, where: str, said: int | str, found: int, what: str) -> None:
        if isinstance(said, str):
            if said:
                self._problem("count-unreadable", line, f"{where} is not a number")
        elif said != found:
            self._problem("count-wrong", line, f"{where} says {said} {what}, the file holds {found}")

    def _problem(self, code: str, line: int, text: str) -> None:
        self.problems.append(BatchProblem(code, line, f"line {line}: {text}"))


def _count(bare: bytes, mark: bytes | None) -> int | str:
    """Field 1 of a trailer: a number, or "" when it is absent, or another text."""
    value = bare.split(mark, 2)[1].strip() if mark else b""
    return int(value) if value.isdigit() and len(value) < 10 else value.decode("latin-1")
