"""From the bytes of an HL7 v2 message to text: what was configured, then MSH-18, then UTF-8, then cp1252 with a remark.

Declared character sets are often wrong (of 356 public headers 238 are empty, and `8859/1` stands over UTF-8 bytes), so each
candidate must decode strictly or the next is tried, and the choice is recorded. The last resort, Latin-1, takes any byte.
"""

from __future__ import annotations

import codecs
from typing import NamedTuple

# HL7 table 0211 (v2.8.2, chapter 2C), and the names that senders really write. A closed list: a name that comes over the
# wire must not reach codecs such as punycode or unicode_escape.
_TABLE_0211 = {
    "ASCII": "ascii",
    "ISOIR6": "ascii",
    "USASCII": "ascii",
    **{f"8859/{part}": f"iso8859-{part}" for part in (1, 2, 3, 4, 5, 6, 7, 8, 9, 15)},
    **{f"ISO8859{part}": f"iso8859-{part}" for part in (1, 2, 3, 4, 5, 6, 7, 8, 9, 15)},
    "ISOIR14": "iso2022_jp",
    "ISOIR87": "iso2022_jp",
    "ISOIR159": "iso2022_jp_1",
    "GB180302000": "gb18030",
    "GB18030": "gb18030",
    "KSX1001": "euc_kr",
    "CNS116431992": "big5",
    "BIG5": "big5",
    "SHIFTJIS": "shift_jis",
    "UNICODE": "utf-8",
    "UNICODEUTF8": "utf-8",
    "UTF8": "utf-8",
    "UNICODEUTF16": "utf-16",
    "UTF16": "utf-16",
    "UNICODEUTF32": "utf-32",
    "UTF32": "utf-32",
    "WINDOWS1252": "cp1252",
    "CP1252": "cp1252",
    "LATIN1": "iso8859-1",
}
_WIDE = {codecs.BOM_UTF16_LE: "utf-16", codecs.BOM_UTF16_BE: "utf-16", b"M\0S\0": "utf-16-le", b"\0M\0S": "utf-16-be"}
_LEAD = b"\xef\xbb\xbf\x0b\r\n\t "


class Remark(NamedTuple):
    """Something odd that reading survived. `code` is a stable word, `where` a path; never content of a message."""

    code: str
    where: str
    text: str


class Decoded(NamedTuple):
    """Text, the Python codec that gave it, and what was odd on the way."""

    text: str
    charset: str
    remarks: tuple[Remark, ...]


def codec_for(name: str) -> str | None:
    """The Python codec for a name from table 0211 or one of the spellings in use; None when it is not known."""
    key = "".join(letter for letter in name.upper() if letter.isalnum() or letter == "/")
    return _TABLE_0211.get(key)


def is_wide(raw: bytes) -> bool:
    """True for UTF-16, with or without a byte-order mark."""
    return raw.startswith((*_WIDE, b"F\0H\0", b"\0F\0H", b"B\0H\0", b"\0B\0H"))


def decode(raw: bytes, configured: str | None) -> Decoded:
    """The text of one message. Never fails and drops nothing but the byte-order mark; `configured` is a name for `codec_for`.

    Raises ValueError when `configured` is not a known character set.
    """
    if configured is None and b"\x1b" not in raw and raw.isascii() and not raw.startswith(_NUL_FIRST):
        return Decoded(raw.decode("ascii"), "ascii", ())
    return _first_that_decodes(raw, _candidates(raw, configured))


_NUL_FIRST = (b"M\0", b"\0M", b"\x0b\0", b"\0\x0b")


def _candidates(raw: bytes, configured: str | None) -> list[tuple[str, str]]:
    """(source, codec) in the order to try; `source` says whose word it is."""
    found: list[tuple[str, str]] = []
    if configured is not None:
        codec = codec_for(configured)
        if codec is None:
            raise ValueError("unknown character set; use a name from HL7 table 0211 such as `UNICODE UTF-8` or `8859/1`")
        found.append(("configured", codec))
    start = raw.lstrip(b"\x0b\0")[:4] if raw[:2] in _NUL_FIRST[2:] else raw[:4]
    for mark, codec in _WIDE.items():
        if start.startswith(mark) or raw.startswith(mark):
            return [*found, ("bytes", codec)]
    declared = _declared(raw)
    if declared:
        found.append(("MSH-18", codec_for(declared) or ""))
    return [*found, ("default", "utf-8"), ("guess", "cp1252")]


def _declared(raw: bytes) -> str:
    """What MSH-18 says: the first repetition that is not plain ASCII, since later ones name what the text switches to."""
    start = len(raw) - len(raw.lstrip(_LEAD))
    if raw[start : start + 3] != b"MSH":
        return ""
    ends = [end for end in (raw.find(b"\r", start), raw.find(b"\n", start)) if end >= 0]
    header = raw[start : min(ends, default=len(raw))]
    fields = header.split(header[3:4], 18) if header[3:4] else []
    if len(fields) < 18:
        return ""
    names = [name.strip() for name in fields[17].decode("latin-1").split(fields[1].decode("latin-1")[1:2] or "~")]
    return next((name for name in names if codec_for(name) not in ("ascii", None)), names[0])


def _first_that_decodes(raw: bytes, candidates: list[tuple[str, str]]) -> Decoded:
    remarks: list[Remark] = []
    for source, codec in candidates:
        if not codec:
            remarks.append(Remark("charset-unknown", "MSH-18", "the declared character set is not in HL7 table 0211"))
            continue
        try:
            text = raw.decode(codec)
        except UnicodeError:
            if source in ("configured", "MSH-18"):
                remarks.append(Remark("charset-contradicted", "MSH-18", f"the bytes are not {codec}, which is {source}"))
            continue
        remarks += _doubts(raw, source, codec)
        return Decoded(text.removeprefix("\ufeff"), codec, tuple(remarks))
    remarks.append(_guessed("iso8859-1"))
    return Decoded(raw.decode("iso8859-1"), "iso8859-1", tuple(remarks))


def _doubts(raw: bytes, source: str, codec: str) -> list[Remark]:
    if source == "guess":
        return [_guessed(codec)]
    if source == "MSH-18" and codec.startswith("iso8859") and not raw.isascii() and _is_utf8(raw):
        text = f"declared {codec} but the bytes are well-formed UTF-8: set the sender's character set in its profile"
        return [Remark("charset-doubtful", "MSH-18", text)]
    return []


def _is_utf8(raw: bytes) -> bool:
    try:
        raw.decode("utf-8")
    except UnicodeDecodeError:
        return False
    return True


def _guessed(codec: str) -> Remark:
    return Remark("charset-guessed", "MSH-18", f"neither declared nor UTF-8: read as {codec}; set the sender's character set")
