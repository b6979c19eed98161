"""A plan's limits of visits: pools that one or several disciplines share within a plan year."""

from __future__ import annotations

from dataclasses import dataclass

_DISCIPLINES = ("PT", "OT", "SLP")
_SHAPE = "a name, its disciplines, a number of visits and perhaps `soft`, such as `therapy PT OT 60`"


@dataclass(frozen=True, slots=True)
class VisitPool:
    """One pool. `soft`: past the limit the plan reviews instead of denying, so a day past it is a warning, not a hold."""

    name: str
    disciplines: frozenset[str]
    visits: int
    soft: bool = False


def pool_problem(written: str) -> str | None:
    """What is wrong with `therapy PT OT 60`; None when it can be read."""
    words = written.split()
    if words[-1:] == ["soft"]:
        words.pop()
    if len(words) < 3 or not words[-1].isdecimal():
        return f"{written!r} needs {_SHAPE}"
    unknown = [word for word in words[1:-1] if word not in _DISCIPLINES]
    return f"{written!r} names {unknown[0]!r}, which is not one of {', '.join(_DISCIPLINES)}" if unknown else None


def read_pool(written: str) -> VisitPool:
    """Read `therapy PT OT 60 soft`. Raises ValueError when it cannot be read."""
    if (problem := pool_problem(written)) is not None:
        raise ValueError(problem)
    words = written.split()
    soft = words[-1] == "soft"
    if soft:
        words.pop()
    return VisitPool(words[0], frozenset(words[1:-1]), int(words[-1]), soft)
