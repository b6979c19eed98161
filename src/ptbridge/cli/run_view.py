"""What a run, the worklist and the standing look like on a terminal. Takes plain dicts; says nothing of a patient."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

from ptbridge.cli import screen
from ptbridge.model import Fate, Stage, dollars

_ORDER = (Fate.SENT, Fate.UNCHANGED, Fate.QUEUED, Fate.HELD, Fate.QUARANTINED, Fate.EXCLUDED)
_HELD_SHOWN = 25
_COLOURS = {Fate.SENT: "green", Fate.UNCHANGED: "green", Fate.QUEUED: "yellow", Fate.HELD: "yellow", Fate.QUARANTINED: "red"}


def show_run(run: Mapping[str, Any], *, pulls: bool = True) -> None:
    """A run: what was pulled, every fate with its counts, what was sent, what waits for a person, where the report is.

    `pulls`: the run asked the EMR; a retry does not.
    """
    dry_run = bool(run.get("dry_run"))
    what = f"{screen.count(run['pulled_visits'], 'visit')} pulled" if pulls else "what waits here, tried again"
    screen.say(f"{screen.clean(run['clinic'])}: {what}" + (", dry run" if dry_run else ""), bold=True)
    if pulls:
        show_fates(run["visits"], run["lines"], dry_run=dry_run)
    screen.say()
    if dry_run:
        from ptbridge.cli.rehearsal_view import show_what_would_go

        show_what_would_go(run["would_send"], run["would_ask"])
    else:
        screen.say(f"  {screen.count(run['units_sent'], 'unit')}, {dollars(run['amount_cents_sent'])} sent to the biller.")
    if run.get("answers"):
        screen.say(screen.wrapped(f"New answers about what was sent: {news(run['answers'])}.", indent="  ", then="    "))
    _show_waiting(run.get("waiting") or ())
    for note in run.get("notes") or ():
        screen.say(screen.wrapped(note, indent="  note: ", then="    "))
    for error in run.get("errors") or ():
        screen.say(screen.wrapped(error, indent="  error: ", then="    "), fg="red")
    _show_worklist(run)
    if run.get("report_path"):
        screen.say(f"\nReport: {screen.clean(run['report_path'])}")


def _show_waiting(rows: Sequence[Mapping[str, Any]]) -> None:
    """What has no answer yet: in the clinic's hold window, or because of the biller."""
    now = datetime.now(UTC).timestamp()
    window = [row["next_at"] for row in rows if _in_window(row, now)]
    if window:
        until = " to ".join(dict.fromkeys((_when(min(window)), _when(max(window)))))
        many = screen.count(len(window), "submission")
        screen.say(f"  {many} in the hold window until {until}; the first sync or retry after it sends.")
    if len(rows) > len(window):
        screen.say(
            f"  {screen.count(len(rows) - len(window), 'submission')} still waiting for the biller; the next sync goes on."
        )


def _in_window(row: Mapping[str, Any], now: float) -> bool:
    """Never tried and not due yet: only the hold window does that; a biller that refuses work was tried."""
    return row["state"] == "queued" and not row["attempts"] and row["next_at"] > now


def news(counts: Mapping[str, int]) -> str:
    """Answers in words, by how far they come from: `5 rejected (clearinghouse), 47 paid (remittance)`."""
    named = [(name.partition("/"), count) for name, count in counts.items()]
    told = sorted((Stage(stage).place, standing, stage, count) for (stage, _, standing), count in named)
    return ", ".join(f"{count:,} {standing} ({stage})" for _, standing, stage, count in told) or "none"


def _show_worklist(run: Mapping[str, Any]) -> None:
    """What this run held, in full; what was held before, as a number: a person has seen it already."""
    held = run.get("held", ())
    waiting = [*held, *(_quarantined(row) for row in run.get("quarantined") or ())]
    new = [row for row in waiting if (row.get("held_since") or "") >= run["started_at"]]
    if new:
        screen.say(f"\n{screen.count(len(new), 'treatment day')} for a person", bold=True)
        show_held(new[:_HELD_SHOWN])
    more = len(waiting) + run.get("held_days", len(held)) - len(held) - min(len(new), _HELD_SHOWN)
    if more:
        screen.say(f"\n  {screen.count(more, 'treatment day')} {'more ' if new else ''}on the worklist: ptbridge held")
    if alone := run.get("by_itself_days"):
        screen.say(f"\n  {by_itself(alone)}: ptbridge held")


def by_itself(days: int) -> str:
    """How many held days need nobody: `2 treatment days are held and go by themselves`."""
    words = "is held and goes by itself" if days == 1 else "are held and go by themselves"
    return f"{screen.count(days, 'treatment day')} {words}"


def show_fates(visits: Mapping[str, int], lines: Mapping[str, int], *, dry_run: bool = False) -> None:
    """The fates with their counts of visits and documented lines; a fate that nothing has is left out."""
    words = {Fate.QUEUED: "would go"} if dry_run else {}
    present = [fate for fate in _ORDER if visits.get(fate) or lines.get(fate)]
    if not present:
        screen.say("  No visit is new or changed.")
        return
    rows = [(words.get(fate, fate.value), f"{visits.get(fate, 0):,}", f"{lines.get(fate, 0):,}") for fate in present]
    total = ("in all", f"{sum(visits.values()):,}", f"{sum(lines.values()):,}")
    shown = screen.table([*rows, total], headings=("", "visits", "lines"), right=(1, 2)).splitlines()
    screen.say(shown[0], dim=True)
    for fate, row in zip(present, shown[1:], strict=False):
        screen.say(row, fg=_COLOURS.get(fate))
    screen.say(shown[-1])


def _quarantined(row: Mapping[str, Any]) -> dict[str, Any]:
    """A record that could not be read, as a row of the worklist."""
    fix = row.get("fix") or "Correct the record at its source; it is read again."
    reason = {"code": "MP90", "message": row["reason"], "fix": fix}
    return {"id": row["visit_id"], "reasons": [reason], "held_since": row["first_seen_at"]}


def show_held(rows: Sequence[Mapping[str, Any]]) -> None:
    """Each held day: its visits, what it is, every reason with its fix."""
    for row in rows:
        name = " ".join(screen.clean(visit) for visit in row.get("visits") or [row.get("id")])
        facts = [row.get("service_date"), row.get("discipline"), row.get("payer"), amount(row.get("amount_cents") or None)]
        screen.say(f"\n  {name}", bold=True, nl=False)
        screen.say("".join(f"  {screen.clean(fact)}" for fact in facts if fact))
        if row.get("was"):
            screen.say(screen.wrapped(row["was"]["text"], indent="    was ", then=" " * 8))
        told: list[tuple[object, ...]] = []
        for reason in row.get("reasons") or ():
            same = tuple(reason.get(part) for part in ("code", "severity", "message", "fix"))
            if same not in told:  # of two lines, in the same words
                show_finding(reason, indent="    ")
            told.append(same)


def show_finding(finding: Mapping[str, Any], *, indent: str = "  ") -> None:
    """A finding's code and message, and below it what to do."""
    severity = finding.get("severity")
    note = f"({severity}) " if severity and severity != "error" else ""
    hang = indent + " " * 6
    code = f"{screen.clean(finding.get('code')):<6}"
    screen.say(screen.wrapped(f"{note}{finding.get('message', '')}", indent=indent + code, then=hang))
    if finding.get("fix"):
        screen.say(screen.wrapped(finding["fix"], indent=f"{hang}-> ", then=f"{hang}   "))


def amount(amount_cents: int | None) -> str:
    """Cents as dollars; nothing for an amount that is not known."""
    return "" if amount_cents is None else dollars(amount_cents)


def show_status(name: str, standing: Mapping[str, Any]) -> None:
    """A clinic: treatment days by state, what waits and how old it is, how far the cursor is, the last run."""
    screen.say(screen.clean(name), bold=True)
    rows = [
        (state, f"{row['days']:,}", f"{row['units'] or 0:,}", dollars(row["amount_cents"] or 0), row["oldest_service_date"])
        for state, row in standing["days"].items()
    ]
    if rows:
        screen.say(screen.table(rows, headings=("", "days", "units", "amount", "oldest service date"), right=(1, 2, 3)))
    else:
        screen.say("  Nothing in the ledger.")
    if standing.get("quarantined"):
        screen.say(f"  {screen.count(standing['quarantined'], 'record')} quarantined: ptbridge held")
    if standing.get("held_by_delivery"):
        days = screen.count(standing["held_by_delivery"], "treatment day")
        screen.say(f"  {days} held by delivery: ptbridge held; ptbridge settle ID, when you have looked at the biller's")
    _show_open(standing.get("waiting") or (), (standing.get("oldest") or {}).get("waiting_since"))
    if standing.get("answers"):
        from ptbridge.cli.answers import show_standing

        screen.say("  what the biller has, by how far it has come")
        show_standing(standing["answers"])
    if standing.get("messages"):
        screen.say("  messages received")
        screen.say(screen.table([(label, f"{number:,}") for label, number in standing["messages"].items()], right=(1,)))
    _show_cursor(standing.get("cursor") or {})
    for alarm in standing.get("alarms") or ():
        screen.say(screen.wrapped(alarm["text"], indent="  alarm: ", then="    "), fg="red")
    last = standing.get("last_run")
    screen.say(f"  last run {screen.clean(last['finished_at'])}" if last else "  no run has ended yet")


def _show_open(rows: Sequence[Mapping[str, Any]], since: float | None) -> None:
    """What has no answer yet, and since when the oldest of it waits (Unix seconds)."""
    now = datetime.now(UTC).timestamp()
    waiting = [row for row in rows if not _in_window(row, now)]
    if len(rows) > len(waiting):
        screen.say(f"  {screen.count(len(rows) - len(waiting), 'submission')} in the hold window")
    if waiting:
        states = Counter(row["state"] for row in waiting)
        words = ", ".join(f"{number:,} {screen.clean(state)}" for state, number in states.items())
        screen.say(f"  waiting for the biller: {words}" + (f"; the oldest since {_when(since)}" if since else ""))


def _show_cursor(cursor: Mapping[str, str]) -> None:
    """How far the EMR was read: one line for each place, since most parts of a cursor move together."""
    places: dict[str, list[str]] = {}
    for key, value in cursor.items():
        places.setdefault(screen.clean(value), []).append(screen.clean(key))
    for value, keys in places.items():
        screen.say(screen.wrapped(f"read up to {value}: {', '.join(keys)}", indent="  ", then="    "), dim=True)


def _when(value: object) -> str:
    """Unix seconds or an ISO time as text."""
    if isinstance(value, (int, float)):
        return datetime.fromtimestamp(value, UTC).isoformat(sep=" ", timespec="minutes")
    return screen.clean(value)
