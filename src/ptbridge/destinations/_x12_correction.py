"""Claims that were sent, read back from a submission's bytes, and what a correction makes of them.

Where a day is several claims, the payer's claim number of the day is a word for each of them, in their order:

    ICN00000012   the payer has it under this number
    -             it was turned away: the payer has what it was to correct, or nothing where it was an original
    void          it took a claim back, and the payer did so

A correction names each claim that the payer has. Lines stay in the claim that has them (`_x12_split`), one claim more is an
original, one fewer is taken back (frequency 8), all in one submission: what is taken back goes first, then what is replaced,
then what is new.

The bytes of a correction hold notes that are never sent (`sendable`): a correction that is turned away leaves what was there,
and the next one has to know it.

    had*HC:97110:GP*2   behind a claim: a line, with its units, of the claim that it corrects
    waits*3,4           at the end: the places of lines of the day that go when the payer has this
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from ptbridge.destinations._x12_claim import DAY_PART, DayClaims, claim_letters
from ptbridge.destinations._x12_split import Service, Standing
from ptbridge.destinations._x12_text import COMPONENT, ELEMENT, SEGMENT, Problem, spelled
from ptbridge.model import Frequency

REFUSED, TAKEN_BACK = "-", "void"
_LINE = re.compile(r"-([0-9]+)$")
_HAD, _WAITS = "had", "waits"
_NOTE = re.compile(rb"(?<=~)[a-z][^~]*~")


@dataclass(frozen=True, slots=True)
class SentClaim:
    """One CLM with its segments. `names`: REF*F8, the payer's number of what it corrects. `lines`: places in the day.

    `had`: what the payer had of the claim that it corrects; None where that is not noted.
    """

    segments: tuple[str, ...]
    frequency: str
    names: str
    authorization: str
    lines: tuple[int, ...]
    services: tuple[Service, ...]
    had: tuple[Service, ...] | None


def claims_in(body: bytes) -> list[SentClaim]:
    """The claims of a submission's bytes."""
    _, *loops = _loops(body)
    return [_claim(loop) for loop in loops]


def sendable(body: bytes) -> bytes:
    """A submission's bytes without the notes in them: what leaves."""
    return _NOTE.sub(b"", body)


def waiting_in(body: bytes) -> tuple[int, ...]:
    """The places of the day's lines that this correction leaves for the next."""
    found = re.search(rb"~waits\*([0-9,]+)~", body)
    return tuple(int(place) for place in found[1].split(b",")) if found else ()


def _loops(body: bytes) -> list[list[str]]:
    """The segments before the first CLM, then those of each claim."""
    found: list[list[str]] = [[]]
    for segment in body.decode("ascii").split(SEGMENT)[:-1]:
        if segment.startswith(f"CLM{ELEMENT}"):
            found.append([])
        found[-1].append(segment)
    return found


def _claim(loop: Sequence[str]) -> SentClaim:
    rows = [segment.split(ELEMENT) for segment in loop]
    by_kind = {elements[1]: elements[2] for elements in rows if elements[0] == "REF"}
    lines = [_LINE.search(elements[2]) for elements in rows if elements[:2] == ["REF", "6R"]]
    had = tuple(Service(elements[1], int(elements[2])) for elements in rows if elements[0] == _HAD)
    return SentClaim(
        segments=tuple(segment for segment in loop if not segment[:1].islower()),
        frequency=rows[0][5].split(COMPONENT)[2],
        names=by_kind.get("F8", ""),
        authorization=by_kind.get("G1", ""),
        lines=tuple(int(match[1]) for match in lines if match),
        services=tuple(Service(elements[1], int(elements[4])) for elements in rows if elements[0] == "SV1"),
        had=had or None,
    )


def filing_in(body: bytes) -> str:
    """SBR09 of a submission's bytes."""
    found = re.search(rb"~SBR\*([^~]*)~", body)
    elements = found[1].decode("ascii").split(ELEMENT) if found else []
    return elements[8] if len(elements) > 8 else ""


# ---------------------------------------------------------------- what the payer has


@dataclass(frozen=True, slots=True)
class _There:
    """A claim that the payer has: the last that was sent of it, its number, its lines where they are known."""

    sent: SentClaim
    number: str
    services: tuple[Service, ...] | None

    @property
    def standing(self) -> Standing:
        return Standing(self.sent.authorization, self.services)


def _payer_has(claims: Sequence[SentClaim], told: str | None) -> list[_There] | None:
    """Those of these claims that the payer has; None when it is not known of each how it names it.

    A single claim whose word is missing is a correction that was turned away whole: the payer has what it named.
    """
    words = (told or "").split()
    if len(claims) == 1 and claims[0].names and len(words) != 1:
        words = [REFUSED] if words else []
    if len(words) != len(claims):
        return None
    try:
        there = [_there(claim, word, alone=len(claims) == 1) for claim, word in zip(claims, words, strict=True)]
    except Problem:
        return None
    return [one for one in there if one.number]


def _there(claim: SentClaim, word: str, *, alone: bool) -> _There:
    if word == REFUSED:
        return _There(claim, claim.names, claim.had)
    if word == TAKEN_BACK or claim.frequency == Frequency.VOID:
        return _There(claim, "", ())
    number = spelled(word, 50)
    if alone and number == claim.names:  # turned away, or taken under the number that it named: it has the one or the other
        return _There(claim, number, None if claim.had is None else _most(claim.services, claim.had))
    return _There(claim, number, claim.services)


def _most(one: Sequence[Service], other: Sequence[Service]) -> tuple[Service, ...]:
    """Each line that stands in either of both."""
    return tuple((Counter(one) | Counter(other)).elements())


# ---------------------------------------------------------------- correcting and taking back

UNKNOWN, UNSAFE = "no-payer-number", "by-hand"  # why there is no correction to send


def replaced(day: DayClaims, live: bytes, told: str | None, *, reference: str) -> bytes | str:
    """What turns the claims of `live` into those of this day, or the first step to it (`waiting_in`); else why not.

    Whichever of its claims are turned away, no line is at the payer twice (`_x12_split`).
    """
    there = _payer_has(claims_in(live), told)
    if there is None:
        return UNKNOWN
    found = day.kept([one.standing for one in there])
    if found is None:
        return UNSAFE
    pairs = list(zip(there, found.claims, strict=True))
    gone = [one for one, claim in pairs if claim is None]
    most = len(there) + len(found.new)
    notes = f"{_WAITS}{ELEMENT}{','.join(map(str, found.waiting))}{SEGMENT}" if found.waiting else ""
    body = day.corrected(
        reference=reference,
        each=[
            *((claim, Frequency.REPLACEMENT, one.number, _had(one.services)) for one, claim in pairs if claim is not None),
            *((claim, Frequency.ORIGINAL, "", "") for claim in found.new),
        ],
        before=[_voiding(one, at, most) for at, one in enumerate(gone, start=1)],
    )
    return body + notes.encode("ascii")


def voided(live: bytes, told: str | None) -> bytes | None:
    """The claims of `live` that the payer has, with frequency 8 and its number; None when it is not known how it names them."""
    head, *_ = _loops(live)
    there = _payer_has(claims_in(live), told)
    if there is None:
        return None
    loops = [_voiding(one, at, len(there)) for at, one in enumerate(there, start=1)]
    return (SEGMENT.join([*head, ""]) + "".join(loops)).encode("ascii")


def _had(services: Iterable[Service] | None) -> str:
    return "".join(f"{_HAD}{ELEMENT}{one.code}{ELEMENT}{one.units}{SEGMENT}" for one in services or ())


def _voiding(one: _There, at: int, most: int) -> str:
    """The same claim with frequency 8, naming the payer's number of it (REF*F8 before HI): the n-th of so many."""
    written = []
    for segment in one.sent.segments:
        name, _, rest = segment.partition(ELEMENT)
        if name == "CLM":
            elements = segment.split(ELEMENT)
            elements[1] = f"{elements[1][:DAY_PART]}{claim_letters(at, most)}"
            elements[5] = COMPONENT.join((*elements[5].split(COMPONENT)[:2], Frequency.VOID.value))
            segment = ELEMENT.join(elements)
        elif name == "REF" and rest.startswith(f"F8{ELEMENT}"):
            continue
        elif name == "HI":
            written.append(f"REF{ELEMENT}F8{ELEMENT}{one.number}")
        written.append(segment)
    return SEGMENT.join([*written, ""]) + _had(one.services)


# ---------------------------------------------------------------- receipts


@dataclass(frozen=True, slots=True)
class Part:
    """What a receipt tells of one claim of a day in several: its frequency, and the places of its lines in the day.

    A claim that is taken back has no lines in the day as it is now.
    """

    frequency: str
    lines: tuple[int, ...]


def parts_text(body: bytes) -> str:
    """The claims of a submission's bytes as a receipt keeps them, `1:1-50 1:51`; empty for a single one."""
    claims = claims_in(body)
    return " ".join(f"{one.frequency}:{_ranges(one)}" for one in claims) if len(claims) > 1 else ""


def parts_in(text: str) -> tuple[Part, ...]:
    """What `parts_text` wrote."""
    found = []
    for word in text.split():
        frequency, _, spans = word.partition(":")
        ends = [span.partition("-") for span in spans.split(",") if span]
        places = tuple(at for first, _, last in ends for at in range(int(first), int(last or first) + 1))
        found.append(Part(frequency, places))
    return tuple(found)


def _ranges(claim: SentClaim) -> str:
    """`1-50,53`"""
    spans: list[list[int]] = []
    for place in claim.lines if claim.frequency != Frequency.VOID else ():
        if spans and place == spans[-1][1] + 1:
            spans[-1][1] = place
        else:
            spans.append([place, place])
    return ",".join(f"{first}-{last}" if last > first else str(first) for first, last in spans)
