"""Taking charges back: credit lines made from the very message that the biller accepted (HL7 v2, FT1-6 and table 0017).

A credit repeats its charge with the original's FT1-2 and another transaction type. Credits in the accepted message itself
(it may have been a correction) concern an older revision and are left out. The work is done on the bytes' Latin-1 reading,
which gives every byte back, so what is taken back is spelled exactly as it was charged, whatever the character set.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from ptbridge.destinations._dft_er7 import CR, Line, lines_of
from ptbridge.destinations._dft_message import ANCILLARY, CHARGE, MEDIA_TYPE, Written, codec_of, dft_bytes, withheld_as
from ptbridge.specs.interface_profile import InterfaceSpec

_LOSSLESS = "latin-1"
_EVENT = 8  # MSH-9, counted as a split line counts
_SAME_WRITING = (1, 11, 17)  # MSH-2, MSH-12, MSH-18
_COUNTED = (10, 11)  # quantity and extended amount; the unit price keeps its sign, or the two would not multiply
_DIAGNOSES = 19
_NO_P11 = "2.3.1"


@dataclass(frozen=True, slots=True)
class Accepted:
    """A message of ours that the biller has, in its parts. Each charge is its FT1 with what follows it."""

    separator: str
    component: str
    head: tuple[Line, ...]
    charges: tuple[tuple[Line, ...], ...]
    ancillary: tuple[Line, ...]

    @classmethod
    def read(cls, body: bytes) -> Accepted:
        """Take it apart."""
        text = body.decode(_LOSSLESS)
        head: list[Line] = []
        groups: list[list[Line]] = []
        ancillary: list[Line] = []
        for line in lines_of(text):
            if line.name in ANCILLARY:
                ancillary.append(line)
            elif line.name == "FT1":
                groups.append([line])
            else:
                (groups[-1] if groups else head).append(line)
        charges = tuple(tuple(group) for group in groups if group[0].get(6) == CHARGE)
        return cls(text[3], text[4], tuple(head), charges, tuple(ancillary))


def void_bytes(live: bytes, spec: InterfaceSpec) -> tuple[bytes, str]:
    """The message that takes back every charge of `live`, and its media type."""
    accepted = Accepted.read(live)
    msh = accepted.head[0]
    event = "P03" if msh.get(11) == _NO_P11 else spec.credit_event
    kind = accepted.component.join(("DFT", event, f"DFT_{event}"))
    head = [_having_event(line, kind, event) for line in accepted.head]
    charges = [line for number, group in enumerate(accepted.charges, start=1) for line in _credit(group, number, spec)]
    ordered = (*accepted.ancillary, *charges) if event == "P11" else (*charges, *accepted.ancillary)
    text = "".join(line.written(accepted.separator) + CR for line in (*head, *ordered))
    return text.encode(_LOSSLESS), MEDIA_TYPE


def replacement_bytes(live: bytes, written: Written, spec: InterfaceSpec) -> tuple[bytes, str]:
    """Credits for every charge of `live`, then the new charges, in one message, so that the two cannot be separated.

    Where the profile writes differently now than when `live` was sent, the message is withheld: a person settles that.
    """
    body, _ = dft_bytes(written, spec, spec.credit_event)
    accepted, new = Accepted.read(live), Accepted.read(body)
    if accepted.separator != new.separator or any(accepted.head[0].get(n) != new.head[0].get(n) for n in _SAME_WRITING):
        return body, withheld_as("profile-changed")
    dropped = (_DIAGNOSES,) if spec.charge.diagnoses == "pointers" else ()  # they would point into the new message's DG1
    taken = [line for number, group in enumerate(accepted.charges, 1) for line in _credit(group, number, spec, dropped)]
    first = len(accepted.charges) + 1
    charges = [line for number, group in enumerate(new.charges, start=first) for line in _numbered(group, number)]
    lines = [line.written(new.separator).encode(_LOSSLESS).decode(codec_of(spec)) for line in (*taken, *charges)]
    return dft_bytes(Written(written.head, tuple(lines), written.ancillary, written.withheld), spec, spec.credit_event)


def _having_event(line: Line, kind: str, event: str) -> Line:
    if line.name == "MSH":
        return line.having({_EVENT: kind})
    return line.having({1: event}) if line.name == "EVN" and line.get(1) else line


def _credit(group: Sequence[Line], number: int, spec: InterfaceSpec, dropped: Sequence[int] = ()) -> Iterator[Line]:
    """The charge's segments again, FT1 with the credit's type and sign and without the `dropped` fields."""
    charge, *others = group
    changes = {1: str(number), 6: spec.credit.type, **dict.fromkeys(dropped, "")}
    if spec.credit.amounts == "negative":
        changes |= {place: f"-{charge.get(place)}" for place in _COUNTED if charge.get(place)}
    yield charge.having(changes)
    yield from others


def _numbered(group: Sequence[Line], number: int) -> Iterator[Line]:
    charge, *others = group
    yield charge.having({1: str(number)})
    yield from others
