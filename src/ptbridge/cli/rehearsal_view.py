"""What a dry run says would go: each submission with its date, route, units and dollars, and the biller's tasks."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from ptbridge.cli import screen
from ptbridge.model import dollars

SHOWN = 20
Row = Mapping[str, Any]


def show_what_would_go(would_send: Sequence[Row], would_ask: Sequence[Row]) -> None:
    """The counts, and the first of each kind; `--json` has them all."""
    screen.say(f"  {screen.count(len(would_send), 'submission')} would go. Nothing was sent, nothing was kept.")
    _show([_cells(row, -1 if row["route"] == "void" else 1, _note(row)) for row in would_send])
    if would_ask:
        screen.say(f"  {screen.count(len(would_ask), 'correction')} would be a task for the biller, by these differences.")
        _show([_cells(row, 1, str(row["reason"])) for row in would_ask])


def _show(rows: Sequence[Sequence[str]]) -> None:
    if rows:
        screen.say(screen.table(rows[:SHOWN], right=(3, 4), indent="    "))
    if len(rows) > SHOWN:
        screen.say(f"    and {len(rows) - SHOWN:,} more: ptbridge sync --dry-run --json")


def _cells(row: Row, sign: int, note: str) -> tuple[str, ...]:
    """A void's units and dollars are shown as what they take away."""
    units, amount = sign * row["units"], dollars(sign * row["amount_cents"])
    return row["service_date"], row["reference"], row["route"], screen.count(units, "unit"), amount, note


def _note(row: Row) -> str:
    """What comes before it goes: a wait, or a question to the biller."""
    if row["state"] != "queued":
        return "the biller is asked first: it may have it"
    return f"not before {row['not_before']}" if row["not_before"] else ""
