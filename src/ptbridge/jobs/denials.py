"""What was rejected or denied, grouped so that a pattern shows: by the payer's reason, procedure, payer or therapist."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

from ptbridge.errors import ConfigError
from ptbridge.jobs.standing import clinic_names
from ptbridge.ledger import Ledger, RefusedDay
from ptbridge.model import Standing
from ptbridge.specs.config import Config

BY = ("reason", "code", "payer", "therapist")


@dataclass(frozen=True, slots=True)
class _Share:
    """What one refused day puts into one group."""

    units: int
    amount_cents: int


@dataclass(slots=True)
class _Group:
    """One reason, code, payer or therapist, over all the days that it met."""

    key: str
    days: list[str] = field(default_factory=list)
    rejected: int = 0
    denied: int = 0
    units: int = 0
    amount_cents: int = 0
    oldest: str | None = None
    let_through: Counter[str] = field(default_factory=Counter)

    def add(self, day: RefusedDay, share: _Share) -> None:
        self.days.append(day.reference)
        self.rejected += day.standing is Standing.REJECTED
        self.denied += day.standing is Standing.DENIED
        self.units += share.units
        self.amount_cents += share.amount_cents
        self.oldest = min(filter(None, (self.oldest, day.service_date)), default=None)
        self.let_through.update(day.let_through)

    def told(self) -> dict[str, Any]:
        """As the command prints it; `let_through` by how often, most often first."""
        return {
            "key": self.key,
            "days": len(self.days),
            "rejected": self.rejected,
            "denied": self.denied,
            "units": self.units,
            "amount_cents": self.amount_cents,
            "oldest_service_date": self.oldest,
            "let_through": dict(self.let_through.most_common()),
            "references": self.days,
        }


def denials(config: Config, clinic: str | None = None, by: str = "reason") -> dict[str, Any]:
    """Per clinic: every day whose newest charge is rejected or denied, grouped, most money first.

    `amount_cents` is what is at stake: the charges of the refused lines, or of the whole day where the claim was refused. A day
    with two reasons stands in both groups, so groups can add up to more than `total`. `settled` counts days that a person has
    released since. Raises ConfigError for another `by`.
    """
    if by not in BY:
        raise ConfigError(f"cannot group by {by!r}. Known: {', '.join(BY)}.")
    found: dict[str, Any] = {}
    with Ledger.open(config.state, write=False) as ledger:
        for name in clinic_names(config, clinic):
            refused = [
                (day_id, day) for day_id in ledger.standings.refused_days(name) if (day := ledger.standings.refused(day_id))
            ]
            found[name] = _grouped(ledger, refused, by)
    return found


def _grouped(ledger: Ledger, refused: list[tuple[int, RefusedDay]], by: str) -> dict[str, Any]:
    groups: dict[str, _Group] = {}
    total = _Group("total")
    for day_id, day in refused:
        total.add(day, _at_stake(day))
        for key, share in _keys(ledger, day_id, day, by):
            groups.setdefault(key, _Group(key)).add(day, share)
    rows = sorted(groups.values(), key=lambda group: (-group.amount_cents, group.key))
    return {
        "by": by,
        "total": {key: value for key, value in total.told().items() if key not in ("key", "references")},
        "settled": sum(day.settled for _, day in refused),
        "groups": [group.told() for group in rows],
    }


def _keys(ledger: Ledger, day_id: int, day: RefusedDay, by: str) -> Iterator[tuple[str, _Share]]:
    if by == "payer":
        yield day.payer or "not known", _at_stake(day)
    elif by == "therapist":
        yield _therapist(ledger, day_id), _at_stake(day)
    elif by == "code":
        yield from _by_procedure(day)
    else:
        yield from _by_reason(day)


def _therapist(ledger: Ledger, day_id: int) -> str:
    """The rendering NPIs of the day's visits, as one group: which of two treated a refused line is not told."""
    npis = sorted({stored.visit.rendering.npi or "" for stored in ledger.visits.of_day(day_id) if stored.visit.rendering})
    return " ".join(filter(None, npis)) or "not known"


def _at_stake(day: RefusedDay) -> _Share:
    """The refused lines, or the whole day where the claim was refused."""
    return _of_lines(day, {part.line for part in day.parts})


def _of_lines(day: RefusedDay, lines: set[int | None]) -> _Share:
    """What these lines were charged with; the whole day for the whole claim (None), or for a line that was never sent."""
    places = sorted(line for line in lines if line is not None)
    if None in lines or not all(1 <= place <= len(day.lines) for place in places):
        return _Share(day.units, day.amount_cents)
    chosen = [day.lines[place - 1] for place in places]
    return _Share(sum(units for _, units, _ in chosen), sum(cents or 0 for _, _, cents in chosen))


def _by_procedure(day: RefusedDay) -> Iterator[tuple[str, _Share]]:
    refused = {part.line for part in day.parts}
    sums: dict[str, _Share] = {}
    for place, (procedure, units, cents) in enumerate(day.lines, 1):
        if None in refused or place in refused:
            before = sums.get(procedure, _Share(0, 0))
            sums[procedure] = _Share(before.units + units, before.amount_cents + (cents or 0))
    if not sums:
        sums["not known"] = _at_stake(day)
    yield from sums.items()


def _by_reason(day: RefusedDay) -> Iterator[tuple[str, _Share]]:
    """Each native code once a day, with the lines that it was said of; a code of the whole claim has the whole day."""
    places: dict[str, set[int | None]] = {}
    for part in day.parts:
        for code in part.codes:
            places.setdefault(f"{code.system} {code.code}", set()).add(part.line)
    for key, lines in places.items():
        yield key, _of_lines(day, lines)
    if not places:
        yield "no code was given", _at_stake(day)
