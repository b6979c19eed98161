"""News about one of a day's claims, as news about the day: the last word on each claim is kept, and what they come to is told.

The payer's number of the day is a word for each claim (`_x12_correction`). A claim that was refused while the payer may have
another one is told as its lines, each denied: the day is no original again, and only those lines are at stake. Only when all
claims are refused the whole day is. Each news of one claim says again which lines of the others are refused, so that the
newest word on the day is the whole of it.
"""

from __future__ import annotations

from collections.abc import Iterator, MutableMapping, Sequence
from dataclasses import replace
from hashlib import sha256

import msgspec

from ptbridge.destinations._x12_correction import REFUSED, TAKEN_BACK, Part
from ptbridge.destinations._x12_sent import Named
from ptbridge.model import Answer, Frequency, NativeCode, Stage, Standing

Words = MutableMapping[str, str]  # the last word on each claim of a day in several; kept in the cursor

_NOT_TAKEN = (Standing.REJECTED, Standing.DENIED)
_WORST_FIRST = (Standing.PENDING, Standing.ACCEPTED, Standing.PAID)
_Codes = tuple[tuple[str, str], ...]


class _Word(msgspec.Struct, frozen=True):
    """The last word on one claim. `lines`: its refused lines, each with procedure and codes."""

    stage: Stage
    standing: Standing
    number: str
    said_at: str
    codes: _Codes
    lines: dict[int, tuple[str | None, _Codes]]

    @classmethod
    def of(cls, told: Sequence[Answer], part: Part) -> _Word:
        """From the news of one claim and of its lines. A claim that is refused whole is all its lines, but for paid ones."""
        claim, *lines = told
        codes = _plain(claim)
        refused = {line.line or 0: (line.procedure, _plain(line)) for line in lines if line.standing in _NOT_TAKEN}
        if claim.standing in _NOT_TAKEN:
            spoken = {line.line for line in lines}
            refused |= {place: (None, codes) for place in part.lines if place not in spoken}
        return cls(claim.stage, claim.standing, claim.payer_claim_number or "", claim.said_at, codes, refused)

    def number_of(self, part: Part) -> str:
        """What the payer has of the claim, as a word; empty while that is not known."""
        if self.standing is Standing.REJECTED:
            return REFUSED
        if part.frequency == Frequency.VOID:
            return TAKEN_BACK if self.stage.place >= Stage.PAYER.place else ""
        return self.number


def of_whole_day(told: Sequence[Answer], named: Named, words: Words) -> Iterator[Answer]:
    """One claim's news, its own first and then its lines', as the news of the day that it is a part of."""
    claim, *lines = told
    parts = named.parts or (Part("", ()),) * named.claims
    known = _remembered(told, named, words, parts)
    refused = {at for at, word in known.items() if word.standing in _NOT_TAKEN}
    whole = len(refused) == len(parts) or any(not parts[at].lines for at in refused)
    about = replace(
        claim,
        stage=max((word.stage for word in known.values()), key=lambda stage: stage.place),
        said_at=max(word.said_at for word in known.values()),
        payer_claim_number=_numbers(known, parts),
        text="; ".join(filter(None, (f"claim {named.claim} of {len(parts)}", claim.text))),
    )
    if whole:
        yield replace(about, standing=_refusal(known, refused, parts), codes=_codes(known, refused))
        yield from lines
        return
    if claim.standing in _NOT_TAKEN:  # its codes stand with its lines
        about = replace(about, codes=(), text=f"{about.text}; it was refused: see its lines")
    yield replace(about, standing=_standing(known, refused, parts))
    yield from (line for line in lines if line.standing not in _NOT_TAKEN)
    yield from _refused_lines(about, known)


def numbers_of_none(named: Named) -> str | None:
    """The payer's number of a day in several claims that was turned away whole, before any of them was looked at."""
    return " ".join([REFUSED] * len(named.parts)) or None


def _remembered(told: Sequence[Answer], named: Named, words: Words, parts: Sequence[Part]) -> dict[int, _Word]:
    """The last word on each claim that anything was said of, this one taken in; an earlier word that comes late is not."""
    names = [f"claim:{named.key or named.reference}:{at}" for at in range(1, len(parts) + 1)]
    known = {at: msgspec.json.decode(words[name], type=_Word) for at, name in enumerate(names) if name in words}
    mine = named.claim - 1
    word, before = _Word.of(told, parts[mine]), known.get(mine)
    if before is None or (before.stage.place, before.said_at) <= (word.stage.place, word.said_at):
        known[mine] = msgspec.structs.replace(word, number=word.number or (before.number if before else ""))
        words[names[mine]] = msgspec.json.encode(known[mine]).decode()
    return dict(sorted(known.items()))


def _numbers(known: dict[int, _Word], parts: Sequence[Part]) -> str | None:
    """A word for each claim, once there is one for each; nothing for a day that was turned away as an original."""
    told = [known[at].number_of(part) if at in known else "" for at, part in enumerate(parts)]
    gone = {REFUSED} == set(told) and {part.frequency for part in parts} <= {Frequency.ORIGINAL, ""}
    return " ".join(told) if all(told) and not gone else None


def _standing(known: dict[int, _Word], refused: set[int], parts: Sequence[Part]) -> Standing:
    """Of the claims that are not refused; what is taken back says nothing of what is billed."""
    taken = {at: word.standing for at, word in known.items() if at not in refused}
    billed = [standing for at, standing in taken.items() if parts[at].frequency != Frequency.VOID] or list(taken.values())
    return min(billed, key=_WORST_FIRST.index, default=Standing.PENDING)


def _refusal(known: dict[int, _Word], refused: set[int], parts: Sequence[Part]) -> Standing:
    """Turned away only when all of it is: as long as the payer may have a part, it is no original again."""
    gone = len(refused) == len(parts) and all(word.standing is Standing.REJECTED for word in known.values())
    return Standing.REJECTED if gone else Standing.DENIED


def _refused_lines(about: Answer, known: dict[int, _Word]) -> Iterator[Answer]:
    for word in known.values():
        for place, (procedure, codes) in word.lines.items():
            yield Answer(
                key=sha256(f"{about.key}\x1f{place}".encode()).hexdigest()[:40],
                stage=about.stage,
                standing=Standing.DENIED,
                reference=about.reference,
                submission_key=about.submission_key,
                line=place,
                procedure=procedure,
                codes=tuple(NativeCode(system=system, code=code) for system, code in codes),
                said_at=about.said_at,
            )


def _codes(known: dict[int, _Word], refused: set[int]) -> tuple[NativeCode, ...]:
    found = dict.fromkeys(code for at in sorted(refused) for code in known[at].codes)
    return tuple(NativeCode(system=system, code=code) for system, code in found)


def _plain(answer: Answer) -> _Codes:
    return tuple((code.system, code.code) for code in answer.codes)
