"""What happened in a pretend visit, before it becomes FHIR: a compact plan and the short notation for its lines."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import date, datetime

TIMED = frozenset({"97110", "97112", "97116", "97140", "97530", "97535"})
"""The 15-minute codes that the maker uses (CMS Pub. 100-04, ch. 5, section 20.2); all others it uses count once."""

EIGHT_MINUTE_PAYERS = frozenset({"MCR-B", "BLUE8"})

_LINE = re.compile(
    r"(?P<code>[A-Z0-9-]+)(?:=(?P<therapist>\d+)(?:\+(?P<assistant>\d+))?)?(?P<wrong>!error)?(?:x(?P<units>\d+))?"
)


@dataclass(frozen=True, slots=True)
class Line:
    """One documented service. `minutes` None: the therapist wrote none. `assistant_minutes` None: not split."""

    code: str
    minutes: int | None = None
    assistant_minutes: int | None = None
    units: int | None = None  # the EMR's own count, when it shows one
    entered_in_error: bool = False

    @property
    def timed(self) -> bool:
        """True for a 15-minute code."""
        return self.code in TIMED

    @property
    def local(self) -> bool:
        """True for a word of the clinic's own that is no procedure code."""
        return "-" in self.code


def lines(text: str) -> tuple[Line, ...]:
    """Read `97110=24 97140=13+10 G0283=15 97116=9!error 97112=20x2`: minutes (therapist+assistant), error mark, EMR units.

    Raises ValueError for anything else.
    """
    return tuple(_line(word) for word in text.split())


def _line(word: str) -> Line:
    match = _LINE.fullmatch(word)
    if match is None:
        raise ValueError(f"{word!r} is not a line; write it as 97110=24, 97110=13+10 or 97110")
    therapist, assistant = match["therapist"], match["assistant"]
    return Line(
        code=match["code"],
        minutes=None if therapist is None else int(therapist) + int(assistant or 0),
        assistant_minutes=None if assistant is None else int(assistant),
        units=int(match["units"]) if match["units"] else None,
        entered_in_error=bool(match["wrong"]),
    )


def emr_units(documented: tuple[Line, ...], payer: str) -> dict[str, int]:
    """How this pretend EMR counts a visit's timed units: by the day's total, or each code alone for midpoint payers.

    It is an EMR of its own and shares no code with ptbridge, so the two counts check each other.
    """
    minutes: dict[str, int] = {}
    for line in documented:
        if line.timed and line.minutes is not None and not line.entered_in_error:
            minutes[line.code] = minutes.get(line.code, 0) + line.minutes
    if payer not in EIGHT_MINUTE_PAYERS:
        return {code: (count + 7) // 15 for code, count in minutes.items()}
    units = {code: count // 15 for code, count in minutes.items()}
    left = (sum(minutes.values()) + 7) // 15 - sum(units.values())
    for code in sorted(minutes, key=lambda code: -(minutes[code] % 15))[: max(left, 0)]:
        units[code] += 1
    return units


@dataclass(frozen=True, slots=True, kw_only=True)
class Care:
    """The plan of care that a visit is under. `certified_on` None: the physician's signature has not come back."""

    ordered_on: date
    start: date
    end: date
    certified_on: date | None


@dataclass(frozen=True, slots=True, kw_only=True)
class VisitPlan:
    """One pretend visit. `start` carries the clinic's offset; `note` is a docStatus, None when nothing was written.

    `appointment` is its appointment's status. `in_utc`: the EMR wrote this visit's times in UTC, as some do for all.
    """

    id: str
    patient_id: str
    discipline: str
    visit_type: str
    payer: str
    clinician: str
    assistant: str | None
    referring: str
    lines: tuple[Line, ...]
    diagnoses: tuple[str, ...]
    start: datetime
    status: str = "finished"
    appointment: str = "fulfilled"
    note: str | None = "final"
    authorization: str | None = None
    in_utc: bool = False
    shows_units: bool = True  # the EMR shows its billing columns: units and the line's place in the order
    care: Care | None = None  # with it, the EMR has the order and the plan of care as resources
    episode: str | None = None  # the visit whose Conditions this one refers to, where they are recorded once an episode

    @property
    def conditions_of(self) -> str:
        """The id of the visit that this visit's Conditions are named for."""
        return self.episode or self.id

    @property
    def kept_lines(self) -> tuple[Line, ...]:
        """The lines that count towards the totals: what was entered in error does not."""
        return tuple(line for line in self.lines if not line.entered_in_error)

    @property
    def timed_minutes_total(self) -> int | None:
        """Minutes of the timed codes; None when a timed line has none."""
        return _total(line for line in self.kept_lines if line.timed)

    @property
    def treatment_minutes_total(self) -> int | None:
        """Minutes of all lines, timed and untimed; None when a line has none."""
        return _total(self.kept_lines)


def _total(kept: Iterable[Line]) -> int | None:
    minutes = 0
    for line in kept:
        if line.minutes is None:
            return None
        minutes += line.minutes
    return minutes
