"""`python -m tests.chaos`: play the scenarios until the time is up. A failed round says how to play it again."""

from __future__ import annotations

import argparse
import secrets
import sys
import tempfile
import time
import traceback
from collections import Counter
from collections.abc import Callable
from pathlib import Path

from tests.chaos import kills, listener, machine, network, power
from tests.chaos.ground import Ground, Skipped, ground
from tests.chaos.verdict import judge

SCENARIOS: dict[str, Callable[[Ground], None]] = {
    play.__name__: play
    for play in (
        kills.kill_at_any_moment,
        kills.kill_at_a_system_call,
        kills.a_system_call_fails,
        power.power_cut,
        machine.disk_full_and_back,
        machine.files_that_may_not_grow,
        machine.the_clock_jumps,
        machine.several_at_once,
        machine.an_old_backup_restored,
        machine.an_older_ledger_is_brought_up,
        network.answers_lost_on_the_way,
        network.storms,
        network.a_biller_that_forgets,
        listener.killed_while_messages_come,
    )
}

SABOTAGES = sorted(path.name for path in (Path(__file__).parent / "sabotage").iterdir())


def main() -> int:
    """Play; the exit code is 1 when a round failed."""
    asked = _arguments()
    names = asked.only or list(SCENARIOS)
    first = asked.seed if asked.seed is not None else secrets.randbelow(1_000_000)
    until, number, counts = time.monotonic() + asked.seconds, first, Counter[str]()
    print(f"chaos from seed {first}: {len(names)} scenarios, {asked.seconds} s", flush=True)
    while True:
        for name in names:
            counts[_round(name, number, asked.sabotage)] += 1
            if asked.rounds and number - first + 1 >= asked.rounds and name == names[-1]:
                return _end(counts)
        number += 1
        if not asked.rounds and time.monotonic() >= until:
            return _end(counts)


def _round(name: str, seed: int, sabotage: str = "") -> str:
    """Play one: ok, failed or skipped, with a line that says so."""
    began = time.monotonic()
    with tempfile.TemporaryDirectory(prefix="ptbridge-chaos-") as folder, ground(Path(folder), seed) as place:
        place.sabotage(sabotage)
        try:
            SCENARIOS[name](place)
            place.calm()
            troubles = judge(place).troubles
        except Skipped as missing:
            print(f"skipped  {name}: {missing}", flush=True)
            return "skipped"
        except Exception:
            troubles = [traceback.format_exc(limit=-3)]
        print(f"{'FAILED' if troubles else 'ok':8} {name} --seed {seed}  {time.monotonic() - began:.1f} s", flush=True)
        if troubles:
            told = "\n    ".join(
                [*place.done, *troubles, f"play it again: python -m tests.chaos --only {name} --seed {seed} --rounds 1"]
            )
            print(f"    {told}", flush=True)
    return "failed" if troubles else "ok"


def _end(counts: Counter[str]) -> int:
    print(", ".join(f"{count} {what}" for what, count in sorted(counts.items())), flush=True)
    return 1 if counts["failed"] else 0


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m tests.chaos", description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--only", action="append", choices=sorted(SCENARIOS), help="this scenario; may be given several times")
    parser.add_argument("--seed", type=int, help="the first round's integer (default: any)")
    parser.add_argument("--sabotage", choices=SABOTAGES, default="", help="break ptbridge on purpose: rounds must fail")
    parser.add_argument("--seconds", type=float, default=120, help="start no further turn after so long (default 120)")
    parser.add_argument("--rounds", type=int, default=0, help="so many turns instead, whatever the time")
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(main())
