"""Which submission an answer is about: by the control numbers of our files and the names in them, from the receipts."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from ptbridge.destinations._drop_folder import Entry, clinics_of, plain
from ptbridge.destinations._x12_claim import day_name
from ptbridge.destinations._x12_correction import Part, parts_in

_PATIENT_CONTROL = re.compile(r"([0-9A-F]{15})([A-Z])([A-Z])")
_FILE = re.compile(r"-([0-9]{9})\.837")
_REFERENCE = re.compile(r"(pt-[0-9a-f]{24})-[0-9]{1,2}")
_LINE = re.compile(r"(.+)-([0-9]{1,3})")


@dataclass(frozen=True, slots=True, kw_only=True)
class Named:
    """What an answer names: claim `claim` of `claims` of a day. `key` where our receipts tell which submission it was, and
    `parts` what each of its claims is, where there are several."""

    reference: str
    key: str | None = None
    claim: int = 1
    claims: int = 1
    parts: tuple[Part, ...] = ()


@dataclass(frozen=True, slots=True)
class _Place:
    """Where a submission stands in our files, and whose it is."""

    clinic: str
    entry: Entry


class Sent:
    """All receipts of our drop folders, read when first asked; those of other clinics too: what is theirs is not told twice."""

    def __init__(self, folders: Sequence[Path], clinic: str) -> None:
        self._folders, self._clinic = folders, plain(clinic)

    @cached_property
    def _places(self) -> tuple[dict[int, list[_Place]], dict[str, list[_Place]]]:
        """By the file's control number in the order of its transaction sets, and by the day's name, oldest first."""
        by_file: dict[int, list[_Place]] = {}
        by_day: dict[str, list[_Place]] = {}
        for drop in (drop for folder in self._folders for drop in clinics_of(folder)):
            clinic = drop.clinic
            for receipt in drop.receipts():
                number = _FILE.search(receipt.file)
                places = [_Place(clinic, entry) for entry in receipt.entries]
                if number:
                    by_file[int(number[1])] = places
                for place in places:
                    by_day.setdefault(day_name(place.entry.reference), []).append(place)
        return by_file, by_day

    def in_file(self, control: str) -> list[Named]:
        """Everything of this clinic in the interchange or group of that number; none when we made no such file."""
        return [_named(place.entry) for place in self._places[0].get(_number(control), ()) if place.clinic == self._clinic]

    def at(self, control: str, transaction: str) -> Named | None:
        """The submission in a file's transaction set."""
        places = self._places[0].get(_number(control), [])
        at = _number(transaction)
        if not 1 <= at <= len(places) or places[at - 1].clinic != self._clinic:
            return None
        return _named(places[at - 1].entry)

    def of_batch(self, batch: str) -> Named | None:
        """The submission whose BHT03 that is."""
        control, _, transaction = batch.partition("-")
        return self.at(control, transaction) if transaction else None

    def is_anothers(self, control: str, lines: Sequence[str] = ()) -> bool:
        """Whether these control numbers of a claim name a day of another clinic that drops into this folder."""
        found = _names(control, lines)
        places = self._places[1].get(found[0], []) if found else []
        return bool(places) and all(place.clinic != self._clinic for place in places)

    def of_claim(self, control: str, lines: Sequence[str] = (), *, batch: str = "", frequency: str = "") -> Named | None:
        """What a patient control number names, or the line control numbers beside it; None when none is of our form.

        Of several submissions of a day it is the one of that BHT03, else the last that has such a claim of that frequency, else
        the last of that frequency, else the last of so many claims, else the last.
        """
        found = _names(control, lines)
        if found is None:
            return None
        day, claim, claims = found
        ours = [place.entry for place in self._places[1].get(day, ()) if place.clinic == self._clinic]
        if not ours:
            whole = next((match[1] for line in lines if (match := _REFERENCE.fullmatch(line.lower()))), f"pt-{day.lower()}")
            return Named(reference=whole, claim=claim, claims=claims)
        exact = self.of_batch(batch)
        chosen = next((entry for entry in ours if exact and entry.key == exact.key), None)
        if chosen is None:
            chosen = max(enumerate(ours), key=lambda one: (*_likeness(one[1], claim, claims, frequency), one[0]))[1]
        parts = parts_in(chosen.parts)
        if len(parts) != claims:  # known by its lines, or noted by an earlier version
            places = {int(match[2]) for line in lines if (match := _LINE.fullmatch(line))}
            claim = next((at for at, part in enumerate(parts, start=1) if places & set(part.lines)), claim)
            claims = len(parts) or claims
        return Named(reference=chosen.reference, key=chosen.key, claim=min(claim, claims), claims=claims, parts=parts)


def _likeness(entry: Entry, claim: int, claims: int, frequency: str) -> tuple[bool, bool, bool]:
    """How well a submission fits an answer about such a claim."""
    parts = parts_in(entry.parts)
    same = len(parts) == claims if parts else claims == 1
    own = parts[claim - 1].frequency if parts and same else entry.frequency
    return same and own == frequency, own == frequency, same


def _names(control: str, lines: Sequence[str]) -> tuple[str, int, int] | None:
    """The day's name, which claim, of how many. A line's number does not tell the claim: it stands for the whole day."""
    match = _PATIENT_CONTROL.fullmatch(control.upper())
    if match and match[2] <= match[3]:
        return match[1], ord(match[2]) - 64, ord(match[3]) - 64
    for line in lines:
        if match := _REFERENCE.fullmatch(line.lower()):
            return day_name(match[1]), 1, 1
    return None


def line_place(control: str, named: Named) -> int | None:
    """The place of the line in the day that a line control number of ours names; None for another's."""
    match = _LINE.fullmatch(control)
    if match is None:
        return None
    day = day_name(named.reference)
    ours = match[1].lower() == named.reference.lower() or day in (match[1].upper(), day_name(match[1].lower()))
    return int(match[2]) if ours else None


def _named(entry: Entry) -> Named:
    parts = parts_in(entry.parts)
    return Named(reference=entry.reference, key=entry.key, claims=len(parts) or 1, parts=parts)


def _number(text: str) -> int:
    return int(text) if text.isascii() and text.isdecimal() and len(text) <= 9 else -1
