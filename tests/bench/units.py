"""Unit counting alone: `policy.counting.allocate` over a spread of treatment days, each worked out afresh."""

from __future__ import annotations

from random import Random

from ptbridge.policy import load_codes
from ptbridge.policy.counting import RULES, Allocation, Line, allocate
from tests.bench.runner import Figure, Settings, interleaved, parse_page, rate

DAYS_PER_SECOND = 50_000  # issue 2
TIMED = ("97110", "97112", "97116", "97140", "97530", "97535", "97542")
UNTIMED = ("97161", "G0283", "97150")


def run(settings: Settings) -> list[Figure]:
    """Treatment days a second under each counting rule, the answer spelled out each time."""
    days = spread(settings.size(20_000, 200))
    work = {rule: (lambda rule=rule: [allocate(rule, lines).units for lines in days]) for rule in RULES}  # type: ignore[misc]
    rounds = interleaved(settings.size(9, 2), {"page": parse_page, **work})
    page = rounds.seconds("page")
    return [rate(rule, len(days) / rounds.seconds(rule), DAYS_PER_SECOND, page, "days/s") for rule in RULES]


def spread(count: int) -> list[tuple[Line, ...]]:
    """Days of two to six services, minutes from one to 45, some untimed, no two alike."""
    random, codes = Random(20), load_codes()
    days: dict[tuple[Line, ...], None] = {}  # a set that keeps its order
    while len(days) < count:
        names = random.sample(TIMED, random.randint(1, 5)) + random.sample(UNTIMED, random.randint(0, 1))
        rows = [codes.get(name) for name in names]
        days[tuple((row, random.randint(1, 45) if row.timed else None) for row in rows if row is not None)] = None
    return list(days)


def allocations(days: list[tuple[Line, ...]], rule: str) -> list[Allocation]:
    """What was counted, for the test that the bench counts what it says."""
    return [allocate(rule, lines) for lines in days]
