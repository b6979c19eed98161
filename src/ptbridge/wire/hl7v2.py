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
from collections.abc import Mapping, Sequence
from itertools import chain

from ptbridge.errors import RecordError
from ptbridge.wire.hl7_charset import Remark, decode
from ptbridge.wire.hl7_delimiters import RECOMMENDED, Delimiters
from ptbridge.wire.hl7_groups import Group, groups_of, owners_of
from ptbridge.wire.hl7_paths import compile_path
from ptbridge.wire.hl7_segment import HEADERS, NULL, HeaderSegment, Segment

__all__ = ["NULL", "RECOMMENDED", "Delimiters", "Group", "Message", "Remark", "Segment", "compile_path"]

MAX_LINES = 200_000  # keeps the worst message under 300 MB of memory

_FRAMING = "\x0b\x1c\ufeff"
_LEAD = _FRAMING + "\r\n\t "
_LINE_END = re.compile(r"\r\n|\r|\n")
_OF_BATCHES = frozenset({"FHS", "BHS", "BTS", "FTS"})
_ByName = dict[str, list[Segment]]
_NAME = re.compile(r"[A-Z][A-Z0-9]{2}")


class Message:
    """One message. `raw` are the bytes as received, `text` what they say, `charset` the codec that read them.

    `remarks` is what was odd: charset-unknown, charset-contradicted, charset-doubtful, charset-guessed, delimiters-assumed,
    line-joined (a line that is no segment), line-ends-mixed, charges-and-diagnoses-mixed.
    """

    __slots__ = ("_by_name", "_event", "_groups", "_owners", "charset", "delimiters", "raw", "remarks", "segments_all", "text")

    def __init__(self, raw: bytes, text: str, delimiters: Delimiters, segments: list[Segment], by_name: _ByName) -> None:
        self.raw, self.text, self.delimiters, self.charset = raw, text, delimiters, delimiters.charset
        self.segments_all, self._by_name = segments, by_name
        self.remarks: tuple[Remark, ...] = ()
        self._groups: dict[str, tuple[Group, ...]] = {}
        self._owners: list[Segment | None] | None = None
        self._event: tuple[str, str] | None = None

    def __repr__(self) -> str:
        return f"<Message of {len(self.segments_all)} segments, {len(self.raw)} bytes>"

    @classmethod
    def parse(cls, raw: bytes, charset: str | None = None) -> Message:
        """Read one message. `charset` is the sender's, as configured: a name from HL7 table 0211.

        Raises RecordError for what is not one message, and ValueError for a `charset` that is not known.
        """
        text, used, remarks = decode(raw, charset)
        found = list(remarks)
        start = text.lstrip(_LEAD)
        _check_start(start)
        delimiters = Delimiters.of(start[:64], used)
        if delimiters.assumed:
            found.append(Remark("delimiters-assumed", "MSH-2", "MSH-2 is empty: ^~\\& is assumed"))
        segments, by_name = _segments(text, delimiters, found)
        message = cls(raw, text, delimiters, segments, by_name)
        message.remarks = tuple(found)
        _check_single(by_name)
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
            found, remarks = groups_of(self.segments_all, self._by_name, anchor, f"{self.code}^{self.trigger}")
            self._groups[anchor] = tuple(found)
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
        return (self._event or self._read_event())[0]

    @property
    def trigger(self) -> str:
        """MSH-9.2 in capitals: P03, A04 …; without it the end of MSH-9.3, else EVN-1; empty when none says."""
        return (self._event or self._read_event())[1]

    def _read_event(self) -> tuple[str, str]:
        header = self.header
        trigger = header.value(9, 2) or (header.value(9, 3) or "").partition("_")[2] or self.get("EVN-1") or ""
        self._event = (header.value(9) or "").upper(), trigger.upper()
        return self._event

    @property
    def control_id(self) -> str | None:
        """MSH-10."""
        return self.header.value(10)


def _segments(text: str, delimiters: Delimiters, remarks: list[Remark]) -> tuple[list[Segment], _ByName]:
    """The segments, in order and by name. Nearly always all lines are segments; else `_joined` sorts them out."""
    separator, made, by_name = delimiters.separator, list[Segment](), dict[str, list[Segment]]()
    with_cr = _line_ends_as_cr(text)
    if with_cr.count("\r") > MAX_LINES:
        raise RecordError(f"more than {MAX_LINES} lines; no sender means that", where="MSH")
    known: dict[str, tuple[str, type[Segment], list[Segment]]] = {}  # by name and separator
    for number, line in enumerate(with_cr.split("\r"), 1):
        met = known.get(line[:4])
        if met is None:
            if not line:
                continue
            name = line[:3]
            if line[3:4] != separator or _NAME.fullmatch(name) is None:
                return _numbered(_joined(text, separator, remarks), delimiters)
            by_name[name] = []
            met = known[line[:4]] = (name, _kind(name), by_name[name])
        name, kind, own = met
        segment = kind(line, name, len(own) + 1, number, len(made), delimiters)
        own.append(segment)
        made.append(segment)
    if "\n" in text and text.count("\r") != text.count("\r\n") and text.count("\n") != text.count("\r\n"):
        remarks.append(Remark("line-ends-mixed", "MSH", "segments end with CR and with LF in one message"))
    return made, by_name


def _kind(name: str) -> type[Segment]:
    return HeaderSegment if name in HEADERS else Segment


def _numbered(lines: list[tuple[int, str]], delimiters: Delimiters) -> tuple[list[Segment], _ByName]:
    made: list[Segment] = []
    by_name: _ByName = {}
    for number, line in lines:
        own = by_name.setdefault(line[:3], [])
        own.append(_kind(line[:3])(line, line[:3], len(own) + 1, number, len(made), delimiters))
        made.append(own[-1])
    return made, by_name


def _joined(text: str, separator: str, remarks: list[Remark]) -> list[tuple[int, str]]:
    """(line number, text) of each segment, for framing bytes at the edges of lines and for line ends inside a field.

    A line that is no segment joins the one before, with the line end between them. Blank lines between segments are left out.
    """
    found: list[list[int]] = []  # line number, start, end, lines that joined
    start = 0
    for number, end in enumerate(chain((match.span() for match in _LINE_END.finditer(text)), [(len(text), 0)]), 1):
        line, begin, start = text[start : end[0]].rstrip(_FRAMING), start, end[1]
        bare = line.lstrip(_FRAMING if found else _LEAD)
        if not bare.strip():
            continue
        if not found or ((bare[3:4] == separator or len(bare) == 3) and _NAME.fullmatch(bare[:3])):
            found.append([number, begin + len(line) - len(bare), begin + len(line), 0])
        else:
            found[-1][2:] = [begin + len(line), found[-1][3] + 1]
    for number, begin, _, joined in found:
        if joined:
            name = text[begin : begin + 3]
            remarks.append(
                Remark("line-joined", name, f"{joined} lines after line {number} are no segments: read as part of it")
            )
    return [(number, text[begin:end]) for number, begin, end, _ in found]


def _line_ends_as_cr(text: str) -> str:
    return text.replace("\r\n", "\r").replace("\n", "\r") if "\n" in text else text


def _check_start(start: str) -> None:
    name = start[:3]
    if not name:
        raise RecordError("nothing in it", where="MSH")
    if name in ("FHS", "BHS"):
        raise RecordError("a batch, not a message; split it first", where=name)
    if name != "MSH":
        raise RecordError("the message does not start with MSH", where="MSH")


def _check_single(by_name: Mapping[str, Sequence[Segment]]) -> None:
    """Two messages read as one would give a patient's charges to another."""
    if len(by_name["MSH"]) == 1 and by_name.keys().isdisjoint(_OF_BATCHES):
        return
    for name, allowed in (("MSH", 1), ("FHS", 0), ("BHS", 0), ("BTS", 0), ("FTS", 0)):
        found = by_name.get(name, ())
        if len(found) > allowed:
            text = f"a second message or a batch segment on line {found[-1].line}; split it first"
            raise RecordError(text, where=found[-1].label)
