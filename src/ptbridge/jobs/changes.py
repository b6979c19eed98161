"""What changed after it was sent, or waits before it is: before and after, what the source did, what happens, who must act."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

import msgspec

from ptbridge.jobs.owners import PTBRIDGE, owner_of
from ptbridge.jobs.standing import clinic_names
from ptbridge.ledger import UNDONE, DayRow, Ledger, shown_lines
from ptbridge.model import line_changes
from ptbridge.specs.config import Config

Page = Mapping[str, Any]

CORRECTION, WINDOW = "correction", "hold-window"


def changes(config: Config, clinic: str | None = None) -> list[dict[str, Any]]:
    """Every day whose live charge differs from what is judged now, or that waits in the hold window; by service date.

    `before` and `after`: lines, units, cents. `source`: what changed there, and when it came here. `route` and `action`: how
    the correction goes. `who` must act: clinic, biller, integrator, ptbridge. No patient data.
    """
    with Ledger.open(config.state, write=False) as ledger:
        rows = (_row(ledger, day) for name in clinic_names(config, clinic) for day in ledger.days.changing(name))
        return [row for row in rows if row is not None]


def _row(ledger: Ledger, day: DayRow) -> dict[str, Any] | None:
    """One day; None when what is held is not a change of what was sent."""
    page, before = _decoded(ledger.days.judgement(day)), _decoded(ledger.days.live_judgement(day))
    is_live = day.live_sha256 is not None
    change = page.get("change")
    after = _after(page, day, change)
    difference = change["lines"] if change else line_changes(shown_lines(before), shown_lines(page))
    source = list(source_changes(before, page, ledger.visits.touching(day.id))) if before else []
    if is_live and change is None and not difference and not source:
        return None
    goes_at = ledger.days.goes_at(day)
    return {
        "id": day.reference,
        "clinic": day.clinic,
        "service_date": day.service_date,
        "discipline": page["discipline"],
        "visits": [visit["visit_id"] for visit in page["visits"]],
        "kind": CORRECTION if is_live else WINDOW,
        "state": day.state,
        "stage": day.stage,
        "standing": day.standing,
        "before": _totals(before, day.live_units, day.live_cents) if is_live else None,
        "after": after,
        "difference": {
            "lines": [str(line) for line in difference],
            "units": after["units"] - day.live_units,
            "amount_cents": after["amount_cents"] - day.live_cents,
            "payer_changed": bool(change and change["payer_changed"]) or _another_payer(before, page),
        },
        "source": source,
        "route": change["route"] if change else None,
        "action": page["action"],
        "confirm": list(change["confirm"]) if change else [],
        "reasons": reasons_of(day, page),
        "who": who_acts(day),
        "held_since": day.held_since,
        "goes_at": _iso(goes_at),
    }


def _after(page: Page, day: DayRow, change: Page | None) -> dict[str, Any]:
    """What the biller is to have: nothing where all is taken back, whatever the visits of an excluded day would bill."""
    if change and day.live_units + change["units"] == day.live_cents + change["amount_cents"] == 0:
        return {"lines": [], "units": 0, "amount_cents": 0}
    return _totals(page, page["units"], page["amount_cents"])


def _another_payer(before: Page, now: Page) -> bool:
    """Whether the primary payer is another one than when it was sent; also of a day that a finding holds."""
    old, new = before.get("payer_as_given"), now.get("payer_as_given")
    return None not in (old, new) and old != new


def who_acts(day: DayRow) -> str:
    """Who must act next about this day: clinic, biller, integrator, or ptbridge itself."""
    return owner_of((day.reason or "").split()) if day.state == "held" else PTBRIDGE


def reasons_of(day: DayRow, page: Page) -> list[dict[str, str]]:
    """The findings that hold the day, with what to do; or a person's word that took it back."""
    if day.state != "held":
        return []
    if day.reason == UNDONE:
        return [{"code": UNDONE, "message": "a person took it back before it was sent", "fix": "retry or exclude it"}]
    return [
        {"code": finding["code"], "message": finding["message"], "fix": finding["fix"]}
        for finding in page["findings"]
        if finding["severity"] == "error"
    ]


def _totals(page: Page, units: int, amount_cents: int) -> dict[str, Any]:
    return {"lines": [str(line) for line in shown_lines(page)], "units": units, "amount_cents": amount_cents}


def _decoded(body: bytes | None) -> Page:
    page: Page = msgspec.json.decode(body) if body else {}
    return page


def _iso(at: float | None) -> str | None:
    return None if at is None else datetime.fromtimestamp(at, UTC).isoformat(timespec="seconds")


# ---------------------------------------------------------------- what the source did


def source_changes(before: Page, now: Page, touching: Sequence[tuple[str, str, bool, str]]) -> Iterator[dict[str, str]]:
    """What differs at the source between two judgements: visit, what (no patient data), when it came here (ISO 8601)."""
    at = {visit_id: when for visit_id, _, _, when in touching}
    standing = {visit_id: (state, here) for visit_id, state, here, _ in touching}
    old, new = _visits(before), _visits(now)
    for visit_id in [*old, *(one for one in new if one not in old)]:
        if visit_id not in new:
            words = [_left(*standing.get(visit_id, ("gone", False)))]
        elif visit_id not in old:
            words = ["visit added to this day"]
        else:
            words = list(_edits(visit_id, before, now))
        for what in words:
            yield {"visit_id": visit_id, "what": what, "at": at.get(visit_id, "")}


def _visits(page: Page) -> list[str]:
    return [visit["visit_id"] for visit in page.get("visits", ())]


def _left(state: str, here: bool) -> str:
    if state == "gone":
        return "deleted at the source"
    return "its newest record cannot be read" if here else "moved to another treatment day or patient"


def _edits(visit_id: str, before: Page, now: Page) -> Iterator[str]:
    status, status_now = _status(before, visit_id), _status(now, visit_id)
    if status != status_now:
        yield f"status {status} became {status_now}"
    yield from _insured(visit_id, before, now)
    old, new = _documented(before, visit_id), _documented(now, visit_id)
    for key in [*old, *(one for one in new if one not in old)]:
        if key not in new:
            yield f"line {_named(old[key])} removed"
        elif key not in old:
            yield f"line {_named(new[key])} added"
        elif differing := [name for name in _SHOWN if old[key].get(name) != new[key].get(name)]:
            words = ", ".join(
                f"{_SHOWN[name]} {_said(old[key].get(name))} became {_said(new[key].get(name))}" for name in differing
            )
            yield f"line {_named(old[key])}: {words}"


def _insured(visit_id: str, before: Page, now: Page) -> Iterator[str]:
    """What differs in the visit's insurances; nothing where a judgement is older than these facts, or purged."""
    old, new = (page.get("coverages", {}).get(visit_id) for page in (before, now))
    if None in (old, new) or old == new:
        return
    names, names_now = ([_insurance(one) for one in coverages] for coverages in (old, new))
    if names != names_now:
        yield f"insurance {', '.join(names) or 'none'} became {', '.join(names_now) or 'none'}"
        return
    for name, one, other in zip(names, old, new, strict=True):
        parts = [_OF_COVERAGE[key] for key in _OF_COVERAGE if one[key] != other[key]]
        if parts:
            yield f"insurance {name}: {', '.join(parts)} changed"


def _insurance(coverage: Mapping[str, Any]) -> str:
    rank = _RANKS.get(coverage["order"])
    return (coverage["payer"] or "of an unknown payer") + (f" ({rank})" if rank else "")


_RANKS = {2: "secondary", 3: "tertiary"}
_OF_COVERAGE = {"status": "status", "relationship": "relationship", "mark": "member id, group, plan or subscriber"}
_SHOWN = {
    "procedure": "procedure",
    "minutes": "minutes",
    "therapist_minutes": "the therapist's minutes",
    "assistant_minutes": "the assistant's minutes",
    "units": "units in the EMR",
    "modifiers": "modifiers",
    "not_done": "not done",
}


def _status(page: Page, visit_id: str) -> str:
    return next(str(visit["status"]) for visit in page["visits"] if visit["visit_id"] == visit_id)


def _documented(page: Page, visit_id: str) -> dict[str, dict[str, Any]]:
    return {line["line_key"]: line for line in page["documented"] if line["line_key"].startswith(f"{visit_id}/")}


def _named(line: Mapping[str, Any]) -> str:
    return str(line.get("procedure") or "without a code")


def _said(value: object) -> str:
    if value is None:
        return "none"
    return "-".join(map(str, value)) or "none" if isinstance(value, list) else str(value)
