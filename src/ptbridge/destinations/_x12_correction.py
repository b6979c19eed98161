"""Claims that were sent, read back from a submission's bytes, and what a correction makes of them.

Where a day is several claims, the payer's claim number of the day is a word for each of them, in their order:

    ICN00000012   the payer has it under this number
    -             it was turned away: the payer has what it was to correct, or nothing where it was an original
    void          it took a claim back, and the payer did so

A correction names each claim that the payer has. One claim more is an original, one fewer is taken back (frequency 8), all in
one submission: what is taken back goes first, then what is replaced, then what is new.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

from ptbridge.destinations._x12_claim import DAY_PART, DayClaims, claim_letters
from ptbridge.destinations._x12_text import COMPONENT, ELEMENT, SEGMENT, Problem, spelled
from ptbridge.model import Frequency

REFUSED, TAKEN_BACK = "-", "void"
_LINE = re.compile(r"-([0-9]+)$")


@dataclass(frozen=True, slots=True)
class SentClaim:
    """One CLM with its segments. `names`: REF*F8, the payer's number of what it corrects. `lines`: places in the day."""

    segments: tuple[str, ...]
    frequency: str
    names: str
    authorization: str
    lines: tuple[int, ...]


def claims_in(body: bytes) -> list[SentClaim]:
    """The claims of a submission's bytes."""
    _, *loops = _loops(body)
    return [_claim(loop) for loop in loops]


def _loops(body: bytes) -> list[list[str]]:
    """The segments before the first CLM, then those of each claim."""
    found: list[list[str]] = [[]]
    for segment in body.decode("ascii").split(SEGMENT)[:-1]:
        if segment.startswith(f"CLM{ELEMENT}"):
            found.append([])
        found[-1].append(segment)
    return found


def _claim(loop: Sequence[str]) -> SentClaim:
    references = [segment.split(ELEMENT) for segment in loop if segment.startswith(f"REF{ELEMENT}")]
    by_kind = {elements[1]: elements[2] for elements in references}
    lines = [_LINE.search(elements[2]) for elements in references if elements[1] == "6R"]
    return SentClaim(
        segments=tuple(loop),
        frequency=loop[0].split(ELEMENT)[5].split(COMPONENT)[2],
        names=by_kind.get("F8", ""),
        authorization=by_kind.get("G1", ""),
        lines=tuple(int(match[1]) for match in lines if match),
    )


def filing_in(body: bytes) -> str:
    """SBR09 of a submission's bytes."""
    found = re.search(rb"~SBR\*([^~]*)~", body)
    elements = found[1].decode("ascii").split(ELEMENT) if found else []
    return elements[8] if len(elements) > 8 else ""


# ---------------------------------------------------------------- what the payer has


def payer_has(claims: Sequence[SentClaim], told: str | None) -> list[str] | None:
    """The payer's number of each of these claims, empty where it has none; None when it is not known of each.

    A single claim whose word is missing is a correction that was turned away whole: the payer has what it named.
    """
    words = (told or "").split()
    if len(claims) == 1 and claims[0].names and len(words) != 1:
        words = [REFUSED] if words else []
    if len(words) != len(claims):
        return None
    try:
        return [_number(claim, word) for claim, word in zip(claims, words, strict=True)]
    except Problem:
        return None


def _number(claim: SentClaim, word: str) -> str:
    if word == REFUSED:
        return claim.names
    if word == TAKEN_BACK or claim.frequency == Frequency.VOID:
        return ""
    return spelled(word, 50)


# ---------------------------------------------------------------- correcting and taking back


def replaced(day: DayClaims, live: bytes, told: str | None, *, reference: str) -> bytes | None:
    """What turns the claims of `live` into those of this day; None when it is not known how the payer names them.

    A claim replaces the one under its authorization where there is one, else the next that is left.
    """
    claims = claims_in(live)
    numbers = payer_has(claims, told)
    if numbers is None:
        return None
    left = [(claim, number) for claim, number in zip(claims, numbers, strict=True) if number]
    taken = [_taken(left, authorization) for authorization in day.authorizations]
    taken = [number or _taken(left) for number in taken]
    most = len(left) + day.count
    return day.corrected(
        reference=reference,
        each=[
            *((at, Frequency.REPLACEMENT, number) for at, number in enumerate(taken) if number),
            *((at, Frequency.ORIGINAL, "") for at, number in enumerate(taken) if not number),
        ],
        before=[_voiding(claim, number, at, most) for at, (claim, number) in enumerate(left, start=1)],
    )


def voided(live: bytes, told: str | None) -> bytes | None:
    """The claims of `live` that the payer has, with frequency 8 and its number; None when it is not known how it names them."""
    head, *_ = _loops(live)
    claims = claims_in(live)
    numbers = payer_has(claims, told)
    if numbers is None:
        return None
    going = [(claim, number) for claim, number in zip(claims, numbers, strict=True) if number]
    loops = [_voiding(claim, number, at, len(going)) for at, (claim, number) in enumerate(going, start=1)]
    return (SEGMENT.join([*head, ""]) + "".join(loops)).encode("ascii")


def _voiding(claim: SentClaim, number: str, at: int, most: int) -> str:
    """The same claim with frequency 8, naming the payer's number of it (REF*F8 before HI): the n-th of so many."""
    written = []
    for segment in claim.segments:
        name, _, rest = segment.partition(ELEMENT)
        if name == "CLM":
            elements = segment.split(ELEMENT)
            elements[1] = f"{elements[1][:DAY_PART]}{claim_letters(at, most)}"
            elements[5] = COMPONENT.join((*elements[5].split(COMPONENT)[:2], Frequency.VOID.value))
            segment = ELEMENT.join(elements)
        elif name == "REF" and rest.startswith(f"F8{ELEMENT}"):
            continue
        elif name == "HI":
            written.append(f"REF{ELEMENT}F8{ELEMENT}{number}")
        written.append(segment)
    return SEGMENT.join([*written, ""])


def _taken(left: list[tuple[SentClaim, str]], authorization: str | None = None) -> str:
    """The number of the first claim that is left, under this authorization if one is named; empty when there is none."""
    fits = (at for at, (claim, _) in enumerate(left) if authorization in (None, claim.authorization))
    at = next(fits, None)
    return "" if at is None else left.pop(at)[1]


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
