"""What clinicians change after the fact, as changes of resources: minutes, totals, a signature."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime, timedelta

from .charting import SYSTEM, UCUM, Resource
from .plan import TIMED


def procedure_code(procedure: Resource) -> str:
    """The code of a Procedure that the maker made."""
    code: str = procedure["code"]["coding"][0]["code"]
    return code


def set_minutes(procedure: Resource, minutes: int) -> None:
    """Give a Procedure new minutes, all the therapist's; the EMR's units and the split are dropped: they are stale."""
    dropped = {f"{SYSTEM}/{name}" for name in ("minutes", "therapist-minutes", "assistant-minutes", "units")}
    kept = [extension for extension in procedure.get("extension", []) if extension.get("url") not in dropped]
    quantity = {"value": minutes, "unit": "min", "system": UCUM, "code": "min"}
    procedure["extension"] = [{"url": f"{SYSTEM}/minutes", "valueQuantity": quantity}, *kept]
    period = procedure.get("performedPeriod")
    if period:
        period["end"] = (datetime.fromisoformat(period["start"]) + timedelta(minutes=minutes)).isoformat()


def set_totals(encounter: Resource, procedures: Iterable[Resource]) -> None:
    """Make the Encounter's two totals the sums of its Procedures' minutes; without minutes somewhere they stay away."""
    timed: list[int | None] = []
    untimed: list[int | None] = []
    for procedure in procedures:
        if procedure["status"] == "completed":
            (timed if procedure_code(procedure) in TIMED else untimed).append(_minutes(procedure))
    totals = {"timed-minutes-total": _sum(timed), "treatment-minutes-total": _sum(timed + untimed)}
    urls = {f"{SYSTEM}/{name}": total for name, total in totals.items()}
    kept = [extension for extension in encounter.get("extension", []) if extension.get("url") not in urls]
    written = [{"url": url, "valueInteger": total} for url, total in urls.items() if total is not None]
    encounter["extension"] = [*written, *kept]


def sign(note: Resource) -> None:
    """Sign a note: final, authenticated by its author."""
    note["docStatus"] = "final"
    note["authenticator"] = note["author"][0]


def _minutes(procedure: Resource) -> int | None:
    for extension in procedure.get("extension", []):
        if extension.get("url") == f"{SYSTEM}/minutes":
            minutes: int = extension["valueQuantity"]["value"]
            return minutes
    return None


def _sum(minutes: list[int | None]) -> int | None:
    return None if None in minutes else sum(count for count in minutes if count is not None)
