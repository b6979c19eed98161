"""A person's decisions about held treatment days: release, exclude, reopen. Each is kept for good, with its reason."""

from __future__ import annotations

import getpass
from collections.abc import Iterable
from typing import Any

import msgspec

from ptbridge.coding.findings import PROPOSALS
from ptbridge.errors import ConfigError
from ptbridge.ledger import DayRow, Ledger
from ptbridge.ledger.restored import HELD_REASON
from ptbridge.pipeline import MUST_BE_MENDED
from ptbridge.specs.config import Config


def release(config: Config, name: str, reason: str, actor: str | None = None, add: Iterable[str] = ()) -> dict[str, Any]:
    """Let a held day go in spite of its findings, as it is now. Raises ConfigError for what must be mended instead.

    `add` are modifiers that a finding proposes (KX, 59, GA …): with them the day is coded again. Without, it goes as it is.
    The release holds for exactly this content of the visits: an edit at the source asks for a new decision.
    """
    with Ledger.open(config.state) as ledger:
        day = _held_day(ledger, name)
        codes = _holding(ledger, day)
        stuck = sorted(codes & MUST_BE_MENDED)
        if stuck:
            raise ConfigError(
                f"{name}: {', '.join(stuck)} cannot be released: there would be nothing right to send. "
                "Mend the cause (`ptbridge explain`), or exclude the day with a reason."
            )
        if not codes and day.reason == HELD_REASON:  # after a restore: the person has asked the biller
            return _decide(ledger, day, "release", codes, reason, actor)
        if not codes:
            raise ConfigError(f"{name}: held by its delivery, not by a finding. Use `ptbridge retry`.")
        return _decide(ledger, day, "release", codes | _added(codes, add), reason, actor)


def _added(codes: set[str], words: Iterable[str]) -> set[str]:
    """The confirmed modifiers as the decision keeps them (`+KX`). Raises ConfigError for one that nothing proposes."""
    proposed = frozenset[str]().union(*(PROPOSALS.get(code, frozenset()) for code in codes))
    wanted = {word.strip().upper() for word in words}
    if unknown := sorted(wanted - proposed):
        known = f"Proposed here: {', '.join(sorted(proposed))}." if proposed else "Nothing is proposed here."
        raise ConfigError(
            f"--add {unknown[0]}: no finding of this day proposes it. {known} Other modifiers belong into the EMR."
        )
    return {f"+{word}" for word in wanted}


def exclude(config: Config, name: str, reason: str, actor: str | None = None) -> dict[str, Any]:
    """Never bill this day as it is now; what is live at the biller is voided where it takes a void."""
    with Ledger.open(config.state) as ledger:
        day = _held_day(ledger, name)
        return _decide(ledger, day, "exclude", _holding(ledger, day), reason, actor)


def reopen(ledger: Ledger, clinics: Iterable[str], name: str | None, reason: str, actor: str | None) -> list[str]:
    """Days that delivery holds go back for a new judgement: one by name, or all. What is in doubt is looked up again.

    Returns their references. A day that a finding holds is not touched: nothing about it has changed.
    """
    if name:
        days = [_held_day(ledger, name)]
    else:
        rows = [row for clinic in clinics for row in ledger.accounts.in_state(clinic, "held")]
        found = [ledger.days.get(row[0]) for row in rows]
        days = [day for day in found if day and not _holding(ledger, day)]
    for day in days:
        _decide(ledger, day, "retry", set(), reason or "retry", actor)
    return [day.reference for day in days]


def _held_day(ledger: Ledger, name: str) -> DayRow:
    days = [day for day in ledger.days.named(name) if day.state == "held"]
    if len(days) == 1:
        return days[0]
    if days:
        raise ConfigError(f"{name}: several held days; name one by its reference: {', '.join(day.reference for day in days)}.")
    raise ConfigError(f"{name}: no held treatment day of that id. `ptbridge held` lists them.")


def _holding(ledger: Ledger, day: DayRow) -> set[str]:
    """The finding codes that hold the day; empty when its delivery does."""
    body = ledger.days.judgement(day)
    page = msgspec.json.decode(body) if body else {"findings": []}
    codes = {finding["code"] for finding in page["findings"] if finding["severity"] == "error"}
    return codes & set((day.reason or "").split())


def _decide(ledger: Ledger, day: DayRow, kind: str, codes: set[str], reason: str, actor: str | None) -> dict[str, Any]:
    if not reason.strip():
        raise ConfigError('a decision needs a reason: --reason "why".')
    with ledger.transaction():
        if kind == "retry" or day.reason == HELD_REASON:
            ledger.days.reopen_submissions(day)
        ledger.days.decide(day, kind, " ".join(sorted(codes)), reason, actor or getpass.getuser())
    return {"id": day.reference, "decision": kind, "codes": sorted(codes), "reason": reason}
