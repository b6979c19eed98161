"""A round: a scenario and one integer, from a fresh ground to the verdict."""

from __future__ import annotations

import tempfile
import time
import traceback
from collections.abc import Callable
from pathlib import Path

from tests.chaos import kills, listener, machine, network, power
from tests.chaos.ground import Ground, Skipped, ground
from tests.chaos.verdict import judge

SCENARIOS: dict[str, Callable[[Ground], None]] = {
    scenario.__name__: scenario
    for scenario in (  # the longest first: they are played some at once
        listener.killed_while_messages_come,
        network.answers_lost_on_the_way,
        kills.kill_at_any_moment,
        machine.an_old_backup_restored,
        machine.several_at_once,
        machine.the_clock_jumps,
        kills.kill_at_a_system_call,
        kills.a_system_call_fails,
        network.a_biller_that_forgets,
        network.storms,
        power.power_cut,
        machine.disk_full_and_back,
        machine.an_older_ledger_is_brought_up,
        machine.files_that_may_not_grow,
    )
}


def play(name: str, seed: int, sabotage: str = "") -> tuple[str, str]:
    """Play one: ok, failed or skipped, and what to say of it."""
    began = time.monotonic()
    with tempfile.TemporaryDirectory(prefix="ptbridge-chaos-") as folder, ground(Path(folder), seed) as place:
        place.sabotage(sabotage)
        try:
            SCENARIOS[name](place)
            place.calm()
            troubles = judge(place).troubles
        except Skipped as missing:
            return "skipped", f"skipped  {name}: {missing}"
        except Exception:
            troubles = [traceback.format_exc(limit=-3)]
    told = f"{'FAILED' if troubles else 'ok':8} {name} --seed {seed}  {time.monotonic() - began:.1f} s"
    if not troubles:
        return "ok", told
    again = f"play it again: python -m tests.chaos --only {name} --seed {seed} --rounds 1"
    return "failed", "\n    ".join([told, *place.done, *troubles, again])
