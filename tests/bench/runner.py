"""What every bench needs: sizes, figures with their targets, and rounds that are fair to all that is compared."""

from __future__ import annotations

import gc
import time
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from functools import cache
from statistics import median
from typing import Any

import orjson
from ptbridge_sandbox.maker import bench_page

Clock = Callable[[], float]  # seconds


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """How much to measure. `quick`: just enough to see that a bench runs. `long`: also what takes many minutes."""

    quick: bool = False
    long: bool = False

    def size(self, full: int, quick: int) -> int:
        """A size, or the one of a quick run."""
        return quick if self.quick else full


@dataclass(frozen=True, slots=True, kw_only=True)
class Figure:
    """One measured figure. `target` is a ceiling, or a floor with `at_least`; without one the figure is for information."""

    what: str
    value: float
    unit: str
    target: float | None = None
    at_least: bool = False
    note: str = ""

    @property
    def met(self) -> bool | None:
        """Whether the target is met; None where there is none."""
        if self.target is None:
            return None
        return self.value >= self.target if self.at_least else self.value <= self.target

    def as_data(self, bench: str) -> dict[str, Any]:
        """For `--json`."""
        return {"bench": bench, **asdict(self), "met": self.met}


@dataclass(frozen=True, slots=True)
class Rounds:
    """Seconds of each piece of work, one for every round."""

    taken: Mapping[str, list[float]]

    def seconds(self, name: str) -> float:
        """The median."""
        return median(self.taken[name])

    def times(self, name: str, other: str) -> float:
        """How many times as long as the other: the median over the rounds, each pair from one and the same moment."""
        return median(mine / theirs for mine, theirs in zip(self.taken[name], self.taken[other], strict=True))


def interleaved(rounds: int, work: Mapping[str, Callable[[], object]], clock: Clock = time.process_time) -> Rounds:
    """Run each piece of work once in every round, so that a busy moment meets them alike.

    The collector runs before each piece, outside the measurement, and then as Python sets it. What a piece made is freed
    within its time. CPU time by default: other processes then cost a single-threaded piece nothing but its caches.
    """
    taken: dict[str, list[float]] = {name: [] for name in work}
    for _ in range(rounds):
        for name, piece in work.items():
            gc.collect()
            started = clock()
            piece()
            taken[name].append(clock() - started)
    return Rounds(taken)


@cache
def page() -> bytes:
    """The page that everything is held against: 100 encounters with all that belongs to them, about 525 KB."""
    return bench_page(100)


def parse_page() -> object:
    """The calibration: what `orjson.loads` does with the page. A rate is given beside the rate of this."""
    return orjson.loads(page())


def rate(what: str, per_second: float, target: float, page_seconds: float, unit: str) -> Figure:
    """A rate with its floor, and beside it how many fit into the time of parsing the page once on this machine, now."""
    note = f"{per_second * page_seconds:,.0f} in the time of one page parse ({page_seconds * 1000:.2f} ms)"
    return Figure(what=what, value=per_second, unit=unit, target=target, at_least=True, note=note)
