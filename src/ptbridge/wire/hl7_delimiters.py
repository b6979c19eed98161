"""The delimiters that a message declares for itself in MSH-1 and MSH-2, and the escapes that follow from them."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from functools import lru_cache

from ptbridge.errors import RecordError

RECOMMENDED = "^~\\&"


@dataclass(frozen=True, slots=True)
class Delimiters:
    """How one message is written: its delimiters and its character set.

    One character each; None for one that the message does not use, which then is ordinary text.
    `declared` is MSH-2 word for word. `assumed` is True when MSH-2 was empty and the recommended ones stand in.
    """

    separator: str = "|"
    component: str | None = "^"
    repetition: str | None = "~"
    escape: str | None = "\\"
    subcomponent: str | None = "&"
    truncation: str | None = None
    declared: str = RECOMMENDED
    assumed: bool = False
    charset: str = "utf-8"
    cuts: tuple[str, ...] = field(init=False, repr=False, compare=False)  # what may follow the first value of a field
    _known: re.Pattern[str] | None = field(init=False, repr=False, compare=False)
    _plain: dict[str, str] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "cuts", tuple(one for one in (self.repetition, self.component, self.subcomponent) if one))
        names = {"F": self.separator, "S": self.component, "T": self.subcomponent, "R": self.repetition, "E": self.escape}
        plain = {name: char for name, char in {**names, "P": self.truncation}.items() if char is not None}
        object.__setattr__(self, "_plain", {**plain, "H": "", "N": ""})
        object.__setattr__(self, "_known", _escapes(self.escape) if self.escape else None)

    @classmethod
    def of(cls, header: str, charset: str = "utf-8") -> Delimiters:
        """Read them from the start of an MSH, FHS or BHS line. Raises RecordError that names MSH-1 or MSH-2.

        `^~}` (three characters, seen since 1993) has no escape character; after `^~\\` sub-components are not in use.
        """
        name, separator = header[:3], header[3:4]
        if not separator or separator.isalnum() or separator.isspace() or not separator.isprintable():
            raise RecordError("the field separator is missing or is a letter, digit or blank", where=f"{name}-1")
        declared = header[4 : header.find(separator, 4)] if separator in header[4:64] else header[4:64].rstrip()
        if not declared:
            return cls(separator=separator, declared="", assumed=True, charset=charset)
        return _delimiters(separator, declared, charset, f"{name}-2")

    def unescape(self, text: str) -> str:
        """Decode the escapes of one value, once. Unknown ones, and hexadecimal that is not in `charset`, stay as they are."""
        if self._known is None or self.escape is None or self.escape not in text:
            return text
        return self._known.sub(self._replace, text)

    def escaped(self, text: str) -> str:
        """`text` so that it can stand in one sub-component: the reverse of `unescape`. CR and LF become `\\X0D\\`, `\\X0A\\`.

        Raises ValueError when the text holds a delimiter and the message has no escape character.
        """
        chars = {char: name for name, char in self._plain.items() if char}
        codes = {**chars, "\r": "X0D", "\n": "X0A", "\x0b": "X0B", "\x1c": "X1C"}
        if self.escape is None:
            if any(char in text for char in codes):
                raise ValueError("the value holds a delimiter and this message declares no escape character")
            return text
        return "".join(f"{self.escape}{codes[char]}{self.escape}" if char in codes else char for char in text)

    def _replace(self, match: re.Match[str]) -> str:
        code = match[1]
        if code[0] == "X":
            return _hexadecimal(code[1:], self.charset) or match[0]
        if code[0] == ".":
            return "\n" * (int(code[3:] or "1") if code[1:3] == "sp" else 1)
        return self._plain.get(code, match[0])


@lru_cache(maxsize=64)
def _delimiters(separator: str, declared: str, charset: str, where: str) -> Delimiters:
    _check(declared, separator, where)
    unescaped = len(declared) == 3 and declared[2] != "\\"
    roles: list[str | None] = [*declared[:2], None, *declared[2:]] if unescaped else [*declared]
    roles += [None] * (5 - len(roles))
    return Delimiters(separator, roles[0], roles[1], roles[2], roles[3], roles[4], declared, charset=charset)


def _check(declared: str, separator: str, where: str) -> None:
    if len(declared) > 5:
        raise RecordError(f"{len(declared)} encoding characters, at most 5 exist; is MSH-2 missing?", where=where)
    if len(set(declared)) != len(declared) or separator in declared:
        raise RecordError("one character has two roles", where=where)
    if any(char.isalnum() or char.isspace() or not char.isprintable() for char in declared):
        raise RecordError("an encoding character is a letter, digit or blank; is MSH-2 missing?", where=where)


def _escapes(escape: str) -> re.Pattern[str]:
    """Known escapes only, so that a stray escape character cannot swallow the start of the next one. Linear: no overlap."""
    mark = re.escape(escape)
    return re.compile(rf"{mark}([FSTREPHN]|X[0-9A-Fa-f]+|\.br|\.sp[0-9]{{0,2}}){mark}")


def _hexadecimal(digits: str, charset: str) -> str:
    try:
        return bytes.fromhex(digits).decode("utf-8" if charset.startswith(("utf-16", "utf-32")) else charset)
    except (ValueError, UnicodeError):
        return ""
