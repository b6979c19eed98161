"""HL7 v2 messages: a lazy tokenizer that is linear in its input, loses no byte and believes no version number.

    message = Message.parse(raw)
    message.get("MSH-10")                       one value, or None
    message.get_all("FT1[2]-26[*]")             modifiers of the second FT1
    message.get("PID-3[authority=CLINIC].1")    the paths: see `hl7_paths`
    for charge in message.groups("FT1"): charge.get("PR1-7")     what belongs to which FT1: see `hl7_groups`

Segments end with CR as the standard says, or LF or CRLF as most files do. A line that does not start like a segment belongs
to the one before it. Nothing is repaired silently: what was odd is in `message.remarks`, the bytes are in `message.raw`.
A message that cannot be read raises RecordError, which names segment and field and never quotes content.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

from ptbridge.errors import RecordError
from ptbridge.wire.hl7_charset import Remark, decode
from ptbridge.wire.hl7_delimiters import Delimiters
from ptbridge.wire.hl7_groups import Group, groups_of, owners_of
from ptbridge.wire.hl7_paths import compile_path
from ptbridge.wire.hl7_segment import NULL, Segment

__all__ = ["NULL", "Delimiters", "Group", "Message", "Remark", "Segment", "compile_path"]

_FRAMING = "\x0b\x1c\ufeff"
_LINE_END = re.compile(r"(\r\n|\r|\n)")
_NAME = re.compile(r"[A-Z][A-Z0-9]{2}")


class Message:
    """One message. `raw` are the bytes as received, `text` what they say, `charset` the codec that read them.

    `remarks` is what was odd: charset-unknown, charset-contradicted, charset-doubtful, charset-guessed, delimiters-assumed,
    line-joined (a line that is no segment), line-ends-mixed, charges-and-diagnoses-mixed.
    """

    __slots__ = ("_by_name", "_groups", "_owners", "charset", "delimiters", "raw", "remarks", "segments_all", "text")

    def __init__(self, raw: bytes, text: str, charset: str, delimiters: Delimiters, segments: list[Segment]) -> None:
        self.raw, self.text, self.charset, self.delimiters = raw, text, charset, delimiters
        self.segments_all = segments
        self.remarks: tuple[Remark, ...] = ()
        self._by_name: dict[str, list[Segment]] = {}
        self._groups: dict[str, tuple[Group, ...]] = {}
        self._owners: list[Segment | None] | None = None
        for segment in segments:
            self._by_name.setdefault(segment.name, []).append(segment)

    def __repr__(self) -> str:
        return f"<Message of {len(self.segments_all)} segments, {len(self.raw)} bytes>"

    @classmethod
    def parse(cls, raw: bytes, charset: str | None = None) -> Message:
        """Read one message. `charset` is the sender's, as configured: a name from HL7 table 0211.

        Raises RecordError for what is not one message, and ValueError for a `charset` that is not known.
        """
        text, used, remarks = decode(raw, charset)
        found = list(remarks)
        lines = _lines(text, found)
        delimiters = Delimiters.of(lines[0][1])
        if delimiters.assumed:
            found.append(Remark("delimiters-assumed", "MSH-2", "MSH-2 is empty: ^~\\& is assumed"))
        message = cls(raw, text, used, delimiters, _segments(lines, delimiters, used))
        message.remarks = tuple(found)
        return message

    @property
    def header(self) -> Segment:
        """The MSH segment."""
        return self.segments_all[0]

    def segments(self, name: str) -> Sequence[Segment]:
        """Every segment of that name, in order; Z segments too."""
        return self._by_name.get(name, ())

    @property
    def names(self) -> tuple[str, ...]:
        """The names of all segments, in the order of the message."""
        return tuple(segment.name for segment in self.segments_all)

    def get(self, path: str) -> str | None:
        """The first value at a path, decoded; None when it is absent or null. Raises PathSyntaxError for what is no path."""
        compiled = compile_path(path)
        return compiled.first(self._by_name.get(compiled.segment, ()))

    def get_all(self, path: str) -> tuple[str, ...]:
        """Every value at a path, in order, without the absent and null ones."""
        compiled = compile_path(path)
        return compiled.every(self._by_name.get(compiled.segment, ()))

    def is_null(self, path: str) -> bool:
        """True when the sender orders the value at this path deleted (two quotation marks), which absence never does."""
        compiled = compile_path(path)
        return compiled.is_null(self._by_name.get(compiled.segment, ()))

    def require(self, path: str) -> str:
        """The first value at a path. Raises RecordError that names the path when it is absent."""
        value = self.get(path)
        if value is None:
            raise RecordError("required and absent", where=path)
        return value

    def groups(self, anchor: str = "FT1") -> tuple[Group, ...]:
        """The groups that start with `anchor`, each with the segments that belong to it."""
        if anchor not in self._groups:
            self._groups[anchor], remarks = groups_of(self.segments_all, anchor, self._event())
            self.remarks += remarks
        return self._groups[anchor]

    def owner(self, segment: Segment) -> Segment | None:
        """The segment that an NTE, ROL, PRT, IN2 … stands under; None for one that stands by itself."""
        if self._owners is None:
            self._owners = owners_of(self.segments_all)
        return self._owners[segment.index]

    @property
    def code(self) -> str:
        """MSH-9.1 in capitals: DFT, ADT, SIU …; empty when absent."""
        return (self.header.value(9) or "").upper()

    @property
    def trigger(self) -> str:
        """MSH-9.2 in capitals: P03, A04 …; without it the end of MSH-9.3, else EVN-1; empty when none says."""
        structure = self.header.value(9, 3) or ""
        return (self.header.value(9, 2) or structure.partition("_")[2] or self.get("EVN-1") or "").upper()

    @property
    def control_id(self) -> str | None:
        """MSH-10."""
        return self.header.value(10)

    def _event(self) -> str:
        return f"{self.code}^{self.trigger}"


def _lines(text: str, remarks: list[Remark]) -> list[tuple[int, str]]:
    """(line number, segment text). Framing bytes at the edges of lines are left out; other lines join the one before."""
    ends = text.replace("\r\n", "\r").replace("\n", "\r") if "\n" in text else text
    numbered = [(number, line) for number, line in enumerate(ends.split("\r"), 1) if line]
    if "\x0b" in text or "\x1c" in text or "\ufeff" in text:
        numbered = [(number, bare) for number, line in numbered if (bare := line.strip(_FRAMING))]
    numbered = [(number, line) for number, line in numbered if line[:1] > " " or line.strip()]
    if not numbered:
        raise RecordError("nothing in it", where="MSH")
    numbered[0] = (numbered[0][0], numbered[0][1].lstrip())
    first = numbered[0][1]
    _check_start(first)
    separator = first[3:4]
    if not all(_starts_segment(line, separator) for _, line in numbered):
        numbered = _joined(text, separator, remarks)
    elif "\n" in text and text.count("\r") - text.count("\r\n") and text.count("\n"):
        remarks.append(Remark("line-ends-mixed", "MSH", "segments end with CR and with LF in one message"))
    _check_single(numbered)
    return numbered


def _check_start(first: str) -> None:
    name = first[:3]
    if name in ("FHS", "BHS"):
        raise RecordError("a batch, not a message; split it first", where=name)
    if name != "MSH":
        raise RecordError("the message does not start with MSH", where="MSH")


def _check_single(numbered: list[tuple[int, str]]) -> None:
    for number, line in numbered[1:]:
        if line.startswith(("MSH", "FHS", "BHS", "BTS", "FTS")):
            raise RecordError(f"a second message or a batch segment on line {number}; split it first", where=f"{line[:3]}")


def _starts_segment(line: str, separator: str) -> bool:
    return (line[3:4] == separator or len(line) == 3) and _NAME.match(line) is not None


def _joined(text: str, separator: str, remarks: list[Remark]) -> list[tuple[int, str]]:
    """The slow way, for text with line ends inside a field: a line that is no segment keeps its line end and joins."""
    pieces = _LINE_END.split(text)
    found: list[tuple[int, list[str]]] = []
    for place in range(0, len(pieces), 2):
        line, number = pieces[place].strip(_FRAMING), place // 2 + 1
        if not found:
            line = line.lstrip()
        if _starts_segment(line, separator) if found else line:
            found.append((number, [line]))
        elif found and line.strip():
            found[-1][1].extend((pieces[place - 1], line))
            remarks.append(Remark("line-joined", found[-1][1][0][:3], f"line {number} is no segment: it joins the one before"))
    return [(number, "".join(parts)) for number, parts in found]


def _segments(lines: list[tuple[int, str]], delimiters: Delimiters, charset: str) -> list[Segment]:
    counts: dict[str, int] = {}
    made = []
    for index, (number, line) in enumerate(lines):
        name = line[:3]
        counts[name] = count = counts.get(name, 0) + 1
        made.append(Segment(line, delimiters, charset, number=count, line=number, index=index))
    return made
