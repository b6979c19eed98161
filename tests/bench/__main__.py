"""`python -m tests.bench [--only NAME]… [--quick] [--long] [--json]`: run the benches and print what they found.

Exit code 0 whether targets are met or not; a bench that cannot run raises.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Callable, Sequence

from tests.bench import (
    edits,
    hl7_acks,
    hl7_hot_path,
    hot_path,
    ledger,
    note_to_charge,
    push,
    restore_drill,
    soak,
    start_up,
    sync_scale,
    trouble,
    units,
)
from tests.bench.runner import Figure, Settings

BENCHES: dict[str, Callable[[Settings], list[Figure]]] = {
    "hot_path": hot_path.run,
    "hl7_hot_path": hl7_hot_path.run,
    "hl7_acks": hl7_acks.run,
    "units": units.run,
    "edits": edits.run,
    "push": push.run,
    "trouble": trouble.run,
    "note_to_charge": note_to_charge.run,
    "ledger": ledger.run,
    "start_up": start_up.run,
    "soak": soak.run,
    "restore_drill": restore_drill.run,
    "sync_scale": sync_scale.run,
}
LONG = frozenset({"sync_scale"})  # only when asked for: minutes to half an hour


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the chosen benches, printing each as it ends."""
    parser = argparse.ArgumentParser(prog="python -m tests.bench", description=main.__doc__)
    parser.add_argument("--only", action="append", choices=sorted(BENCHES), help="this bench; may be given several times")
    parser.add_argument("--quick", action="store_true", help="tiny sizes: does it run? The figures mean nothing")
    parser.add_argument("--long", action="store_true", help="also sync of up to 100,000 encounters")
    parser.add_argument("--json", action="store_true", help="one JSON document instead of tables")
    chosen = parser.parse_args(arguments)
    settings = Settings(quick=chosen.quick, long=chosen.long)
    names = chosen.only or [name for name in BENCHES if settings.long or settings.quick or name not in LONG]
    found = []
    for name in names:
        figures = BENCHES[name](settings)
        found += [figure.as_data(name) for figure in figures]
        if not chosen.json:
            show(name, figures)
    if chosen.json:
        sys.stdout.write(json.dumps(found, indent=2) + "\n")
    return 0


def show(name: str, figures: Sequence[Figure]) -> None:
    """A bench's figures as a table: what, figure, target, met."""
    wide = max(44, *(len(figure.what) for figure in figures))
    lines = [f"\n{name:<{wide}}  {'figure':>16}  {'target':>12}  met"]
    for figure in figures:
        sign = ">=" if figure.at_least else "<="
        target = "" if figure.target is None else f"{sign} {figure.target:,g}"
        met = {True: "yes", False: "no", None: ""}[figure.met]
        value = f"{_number(figure.value)} {figure.unit}"
        lines.append(f"{figure.what:<{wide}}  {value:>16}  {target:>12}  {met:<3}  {figure.note}".rstrip())
    sys.stdout.write("\n".join(lines) + "\n")
    sys.stdout.flush()


def _number(value: float) -> str:
    return f"{value:,.0f}" if value >= 1000 else f"{value:,.2f}"


if __name__ == "__main__":
    sys.exit(main())
