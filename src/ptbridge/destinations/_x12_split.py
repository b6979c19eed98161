"""Which claim each line of a treatment day goes into, so that no line is ever at the payer twice.

A day that the payer has nothing of is filled into claims in its order (`fresh`). One that it has is kept where it is (`kept`):

    a line that is in a claim stays in that claim, in every later correction
    a line that is new goes where there is room, else into a claim of its own
    a line that cannot stay (its authorization is another, its diagnoses have no room) waits: first the claim that it leaves
        is corrected without it, and only when the payer has that, the line goes with its new claim

Any of the claims of one correction may be turned away and the others taken. So of one procedure the units never fall in one
claim and rise in another at once: what would rise waits as well. Whichever claims are turned away, the payer then has of each
procedure at most what it had before or what the day has now, and never both.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Hashable, Iterable, Sequence
from dataclasses import dataclass, field

from ptbridge.destinations._x12_tables import MOST_DIAGNOSES, MOST_LINES


@dataclass(frozen=True, slots=True)
class Service:
    """What a payer knows of a line: SV101 (`HC:97110:GP`) and the units."""

    code: str
    units: int

    @property
    def procedure(self) -> str:
        """Without its modifiers."""
        return ":".join(self.code.split(":")[:2])


@dataclass(frozen=True, slots=True)
class Wanted:
    """A line of the day: its place (from 1), and the places of the diagnoses that it points to."""

    place: int
    service: Service
    authorization: str
    pointed: frozenset[int]


@dataclass(frozen=True, slots=True)
class Standing:
    """A claim that the payer has. `services` None: which lines it has is not known."""

    authorization: str
    services: tuple[Service, ...] | None


@dataclass(slots=True)
class Claim:
    """The part of a day that goes into one CLM: the places of its lines, and of their diagnoses, in the day (from 1).

    `along` are diagnoses that none of its lines points to.
    """

    authorization: str = ""
    lines: list[int] = field(default_factory=list)
    pointed: set[int] = field(default_factory=set)
    along: set[int] = field(default_factory=set)

    def takes(self, line: Wanted) -> bool:
        """Whether this line fits beside the others."""
        return len(self.lines) < MOST_LINES and len(self.pointed | line.pointed) <= MOST_DIAGNOSES

    def add(self, line: Wanted) -> None:
        """One more line."""
        self.lines.append(line.place)
        self.pointed |= line.pointed

    def diagnoses(self, most: int) -> list[int]:
        """In the order of HI: the day's, where the claim carries all of them; else those of its lines come first."""
        if most <= MOST_DIAGNOSES:
            return sorted(self.pointed | self.along)
        return [*sorted(self.pointed), *sorted(self.along)]


@dataclass(frozen=True, slots=True)
class Kept:
    """What becomes of the payer's claims: `claims[n]` replaces the n-th, None takes it back; `new` are originals.

    `waiting`: the places of the lines that go only when the payer has the rest.
    """

    claims: list[Claim | None]
    new: list[Claim]
    waiting: tuple[int, ...]


def fresh(lines: Sequence[Wanted], diagnoses: int) -> list[Claim]:
    """Lines by authorization in the order of the day, each into the first claim that takes it; then the other diagnoses."""
    found = _filled(lines, [])
    _add_diagnoses(found, lines, diagnoses)
    return found


def kept(lines: Sequence[Wanted], standing: Sequence[Standing], diagnoses: int) -> Kept | None:
    """The day in the claims that the payer has of it. None: no correction is safe, and a person corrects at the payer.

    Where it is not known which lines a claim of the payer has, it is safe only when that is its only one, before and after.
    """
    if any(one.services is None for one in standing):
        return _blind(lines, standing, diagnoses)
    going, waiting = list(lines), set[int]()
    while True:
        claims, leaving = _stayed(going, standing)
        taken = {place for claim in claims for place in claim.lines}
        new = _filled([line for line in going if line.place not in taken | leaving], claims)
        leaving = leaving or _rising(going, standing, [*claims, *new])
        if not leaving:
            break
        waiting |= leaving
        going = [line for line in going if line.place not in leaving]
    if not going:
        return None
    filled = [claim for claim in (*claims, *new) if claim.lines]
    _add_diagnoses(filled, lines, diagnoses)
    return Kept([claim if claim.lines else None for claim in claims], new, tuple(sorted(waiting)))


def _blind(lines: Sequence[Wanted], standing: Sequence[Standing], diagnoses: int) -> Kept | None:
    found = fresh(lines, diagnoses)
    return Kept([*found], [], ()) if len(found) == len(standing) == 1 else None


def _filled(lines: Iterable[Wanted], claims: Sequence[Claim]) -> list[Claim]:
    """Put lines into the first of these claims, or of the new ones, that is of their authorization and takes them."""
    groups: dict[str, list[Claim]] = {}
    for line in lines:
        new = groups.setdefault(line.authorization, [])
        there = (one for one in claims if one.lines and one.authorization == line.authorization)
        claim = next((one for one in (*there, *new) if one.takes(line)), None)
        if claim is None:
            new.append(claim := Claim(line.authorization))
        claim.add(line)
    for claim in claims:
        claim.lines.sort()
    return [claim for new in groups.values() for claim in new]


def _stayed(lines: Sequence[Wanted], standing: Sequence[Standing]) -> tuple[list[Claim], set[int]]:
    """The payer's claims with the lines that stay in them, and the places of those that have to leave."""
    homes = _homes(lines, standing)
    leaving: set[int] = set()
    claims = []
    for at, one in enumerate(standing):
        here = [line for line in lines if homes.get(line.place) == at]
        numbers = [line.authorization for line in here]
        most = max(numbers, key=lambda number: (number == one.authorization, numbers.count(number)), default="")
        claims.append(claim := Claim(most))
        for line in here:
            if line.authorization == most and claim.takes(line):
                claim.add(line)
            else:
                leaving.add(line.place)
    return claims, leaving


# The same line is the one that is alike in most. What nothing is like stands where another line stood: it may be the same
# service under another code.
_Key = Callable[[Service, str], Hashable]
_LIKENESS: tuple[_Key, ...] = (
    lambda service, authorization: (service, authorization),
    lambda service, authorization: (service.code, authorization),
    lambda service, authorization: (service.procedure, authorization),
    lambda service, _: service,
    lambda service, _: service.code,
    lambda service, _: service.procedure,
    lambda _, authorization: authorization,
    lambda _, __: None,
)


def _homes(lines: Sequence[Wanted], standing: Sequence[Standing]) -> dict[int, int]:
    """The claim (from 0) that has each line already, by the line's place."""
    there = [(service, one.authorization, at) for at, one in enumerate(standing) for service in one.services or ()]
    homes: dict[int, int] = {}
    for key in _LIKENESS:
        waiting: dict[Hashable, list[tuple[Service, str, int]]] = {}
        for had in there:
            waiting.setdefault(key(had[0], had[1]), []).append(had)
        for line in lines:
            alike = waiting.get(key(line.service, line.authorization)) if line.place not in homes else None
            if alike:
                homes[line.place] = alike.pop(0)[2]
        there = [had for alike in waiting.values() for had in alike]
    return homes


def _rising(lines: Sequence[Wanted], standing: Sequence[Standing], claims: Sequence[Claim]) -> set[int]:
    """The lines of a procedure that has more units than before in their claim, and fewer in another."""
    by_place = {line.place: line for line in lines}
    fewer: set[str] = set()
    more: list[tuple[str, Claim]] = []
    for at, claim in enumerate(claims):
        before = _units(standing[at].services or ()) if at < len(standing) else Counter[str]()
        now = _units(by_place[place].service for place in claim.lines)
        fewer |= {procedure for procedure in before if now[procedure] < before[procedure]}
        more += [(procedure, claim) for procedure in now if now[procedure] > before[procedure]]
    return {
        place
        for procedure, claim in more
        if procedure in fewer
        for place in claim.lines
        if by_place[place].service.procedure == procedure
    }


def _units(services: Iterable[Service]) -> Counter[str]:
    found: Counter[str] = Counter()
    for service in services:
        found[service.procedure] += service.units
    return found


def _add_diagnoses(claims: Sequence[Claim], lines: Sequence[Wanted], diagnoses: int) -> None:
    """Each claim carries all of the day where they fit; else what no line points to goes once, where there is room."""
    pointed = {position for line in lines for position in line.pointed}
    for position in range(1, diagnoses + 1):
        if diagnoses > MOST_DIAGNOSES and position in pointed:
            continue
        for claim in claims:
            if position not in claim.pointed and len(claim.pointed) + len(claim.along) < MOST_DIAGNOSES:
                claim.along.add(position)
                if diagnoses > MOST_DIAGNOSES:
                    break


def without_room(claims: Iterable[Claim], lines: Iterable[Wanted], diagnoses: int) -> int:
    """How many of the day's diagnoses stand in no claim, and are no line's."""
    carried = {position for claim in claims for position in claim.pointed | claim.along}
    carried |= {position for line in lines for position in line.pointed}
    return len(set(range(1, diagnoses + 1)) - carried)
