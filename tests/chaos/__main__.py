"""`python -m tests.chaos`: play the scenarios until the time is up. A failed round says how to play it again."""

from __future__ import annotations

import argparse
import multiprocessing
import os
import secrets
import sys
import time
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from itertools import count
from pathlib import Path

from tests.chaos.rounds import SCENARIOS, play

SABOTAGES = sorted(path.name for path in (Path(__file__).parent / "sabotage").iterdir())


def main() -> int:
    """Play; the exit code is 1 when a round failed."""
    asked = _arguments()
    names = asked.only or list(SCENARIOS)
    first = asked.seed if asked.seed is not None else secrets.randbelow(1_000_000)
    length = f"{asked.rounds} rounds" if asked.rounds else f"{asked.seconds:.0f} s"
    print(f"chaos from seed {first}: {len(names)} scenarios, {length}, {asked.at_once} at once", flush=True)
    rounds = _rounds(names, first, asked.rounds, time.monotonic() + asked.seconds)
    counts = Counter[str]()
    for result, told in _played(rounds, asked.sabotage, asked.at_once):
        counts[result] += 1
        print(told, flush=True)
    print(", ".join(f"{number} {what}" for what, number in sorted(counts.items())), flush=True)
    return 1 if counts["failed"] else 0


def _rounds(names: list[str], first: int, turns: int, until: float) -> Iterator[tuple[str, int]]:
    """Each scenario in every turn: so many turns, or until the time is up."""
    for number in count(first):
        if number > first and not turns and time.monotonic() >= until:
            return
        yield from ((name, number) for name in names)
        if turns and number - first + 1 >= turns:
            return


def _played(rounds: Iterator[tuple[str, int]], sabotage: str, at_once: int) -> Iterator[tuple[str, str]]:
    """Play some at once, each in a process of its own: most of a round is waiting."""
    with ProcessPoolExecutor(at_once, multiprocessing.get_context("spawn")) as pool:
        playing: set[Future[tuple[str, str]]] = set()
        for name, number in rounds:
            playing.add(pool.submit(play, name, number, sabotage))
            while len(playing) >= at_once:
                done, playing = wait(playing, return_when=FIRST_COMPLETED)
                yield from (one.result() for one in done)
        while playing:
            done, playing = wait(playing, return_when=FIRST_COMPLETED)
            yield from (one.result() for one in done)


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m tests.chaos", description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--only", action="append", choices=sorted(SCENARIOS), help="this scenario; may be given several times")
    parser.add_argument("--seed", type=int, help="the first round's integer (default: any)")
    parser.add_argument("--sabotage", choices=SABOTAGES, default="", help="break ptbridge on purpose: rounds must fail")
    parser.add_argument("--seconds", type=float, default=120, help="start no further turn after so long (default 120)")
    parser.add_argument("--rounds", type=int, default=0, help="so many turns instead, whatever the time")
    cores = os.cpu_count() or 1
    parser.add_argument(
        "--at-once", type=int, default=cores + (cores + 1) // 2, help="so many side by side (default: 3 on 2 cores)"
    )
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(main())
