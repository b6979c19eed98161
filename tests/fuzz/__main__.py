"""`python -m tests.fuzz [--seconds N] [--seed N] [--replay N] [--only TARGET]…`: damaged input into every reader.

A case is one integer: it decides target and input. What fails is told with the command that runs it again. FUZZ_SECONDS sets
the time (60). Exit code 1 when a property does not hold.
"""

from __future__ import annotations

import argparse
import os
import secrets
import sys
import time
import traceback
from collections import Counter
from collections.abc import Sequence
from random import Random

from tests.fuzz.scaling import INPUTS, MOST, ratio
from tests.fuzz.targets import TARGETS

_MOST_FAILURES = 5


def run_case(case: int, only: Sequence[str] = ()) -> str:
    """Run one case. Returns the target's name; raises whatever its reader should not have raised."""
    random = Random(case)
    name = list(TARGETS)[random.randrange(len(TARGETS))]
    if not only or name in only:
        TARGETS[name](random)
    return name


def fuzz(seed: int, seconds: float, only: Sequence[str] = (), most: int | None = None) -> tuple[Counter[str], list[int]]:
    """Cases seed, seed + 1 … until the time is over, or `most` ran. Returns how many by target, and those that failed."""
    ran: Counter[str] = Counter()
    failed: list[int] = []
    ends = time.monotonic() + seconds
    case = seed
    while time.monotonic() < ends and len(failed) < _MOST_FAILURES and (most is None or case - seed < most):
        try:
            ran[run_case(case, only)] += 1
        except Exception:
            failed.append(case)
            sys.stderr.write(f"\ncase {case} failed; again: python -m tests.fuzz --replay {case}\n{traceback.format_exc()}")
        case += 1
    return ran, failed


def scaling() -> list[str]:
    """The inputs that cost more than three times the CPU when they are twice as long."""
    wrong = []
    for name in INPUTS:
        found = ratio(name)
        if found > MOST:
            found = min(found, ratio(name))  # once more: the machine may have been busy
        sys.stdout.write(f"  {name:<28} x{found:.2f}\n")
        wrong += [name] if found > MOST else []
    return wrong


def main(arguments: Sequence[str] | None = None) -> int:
    """Fuzz, then compare sizes. 0 when everything holds."""
    parser = argparse.ArgumentParser(prog="python -m tests.fuzz", description=__doc__)
    parser.add_argument("--seconds", type=float, default=float(os.environ.get("FUZZ_SECONDS", "60")))
    parser.add_argument("--seed", type=int, default=None, help="the first case; chosen by chance otherwise, and told")
    parser.add_argument("--replay", type=int, metavar="CASE", help="this case alone, its exception going through")
    parser.add_argument("--only", action="append", default=[], choices=list(TARGETS))
    chosen = parser.parse_args(arguments)
    if chosen.replay is not None:
        sys.stdout.write(f"case {chosen.replay} holds: {run_case(chosen.replay)}\n")
        return 0
    seed = chosen.seed if chosen.seed is not None else secrets.randbelow(1 << 48)
    sys.stdout.write(f"cases from {seed} on, {chosen.seconds:g} seconds\n")
    ran, failed = fuzz(seed, chosen.seconds, chosen.only)
    for name, count in ran.most_common():
        sys.stdout.write(f"  {name:<28} {count:,} cases\n")
    sys.stdout.write("CPU of twice the input over once:\n")
    wrong = scaling()
    if wrong:
        sys.stderr.write(f"more than linear: {', '.join(wrong)}\n")
    return 1 if failed or wrong else 0


if __name__ == "__main__":
    sys.exit(main())
