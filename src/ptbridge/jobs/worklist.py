"""A person's decisions about treatment days: release, exclude, undo, confirm, done, reopen. Each is kept with its reason."""

from __future__ import annotations

import getpass
from collections.abc import Collection, Iterable
from typing import Any

import msgspec

from ptbridge.coding.findings import PROPOSALS
from ptbridge.errors import ConfigError
from ptbridge.ledger import LETS_PASS, UNDONE, DayRow, Ledger
from ptbridge.ledger.day_rows import AT, EXCLUDED
from ptbridge.ledger.judging import IN_DOUBT
from ptbridge.ledger.restored import HELD_REASON
from ptbridge.pipeline import MUST_BE_MENDED
from ptbridge.plan import SB01, SB02, SB05
from ptbridge.specs.config import Config

HAS = "has:"  # before what the biller has, among the codes of a decision `settle`


def release(config: Config, name: str, reason: str, actor: str | None = None, add: Iterable[str] = ()) -> dict[str, Any]:
    """Let a held day go in spite of its findings, as it is now. Raises ConfigError for what must be mended instead.

    `add` are modifiers that a finding proposes (KX, 59, GA …): with them the day is coded again. Without, it goes as it is.
    The release holds for exactly this content of the visits: an edit at the source asks for a new decision.
    `hold_window_minutes` of the answer: how long it then waits in the clinic's hold window, which begins anew.
    """
    with Ledger.open(config.state) as ledger:
        day = _held_day(ledger, name)
        codes = holding_codes(ledger, day)
        stuck = sorted(codes & MUST_BE_MENDED)
        if stuck:
            raise ConfigError(
                f"{name}: {', '.join(stuck)} cannot be released: there would be nothing right to send. "
                "Mend the cause (`ptbridge explain`), or exclude the day with a reason."
            )
        if not codes and day.reason in (HELD_REASON, IN_DOUBT):  # the person has asked the biller
            return _release(config, ledger, day, codes, reason, actor)
        if not codes:
            raise ConfigError(f"{name}: held by its delivery, not by a finding. Use `ptbridge retry`.")
        return _release(config, ledger, day, codes | _added(codes, add) | words_to_confirm(ledger, day), reason, actor)


def _release(config: Config, ledger: Ledger, day: DayRow, codes: set[str], reason: str, actor: str | None) -> dict[str, Any]:
    window = config.clinics[day.clinic].changes.hold_window_minutes
    return {**write_decision(ledger, day, "release", codes, reason, actor), "hold_window_minutes": window}


def words_to_confirm(ledger: Ledger, day: DayRow) -> set[str]:
    """What a finding SB05 asks a person to confirm, as a decision keeps it (`ok:replacement`)."""
    return {f"ok:{word}" for finding in _findings(ledger, day) if finding["code"] == SB05 for word in finding["where"].split()}


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
    """Never bill this day as it is now; what is live at the biller is voided where it takes a void.

    For a held day, and for one that was sent or is on its way: the next run takes it back.
    """
    with Ledger.open(config.state) as ledger:
        day = the_day(ledger, name, ("held", "queued", "sent"), "held or sent")
        if day.live_sha256 is not None and ledger.purge.is_purged(day.id):
            raise ConfigError(
                f"{name}: what was sent of it was purged, so that no void can be made from it. Have the biller take it back."
            )
        return write_decision(ledger, day, "exclude", holding_codes(ledger, day), reason, actor)


def undo(config: Config, name: str, reason: str, actor: str | None = None) -> dict[str, Any]:
    """Take back what waits to be sent, in the hold window or for a biller that is away; the day is held for a person.

    An edit at its source is judged anew; without one, `retry` sends it after all and `exclude` never bills it. Raises
    ConfigError for a day of which nothing waits unsent, with what to do instead.
    """
    with Ledger.open(config.state) as ledger:
        day = the_day(ledger, name, ("queued", "sent", "held", "voided", "excluded", "open"), "judged")
        with ledger.transaction():
            done = write_decision(ledger, day, "undo", set(), reason, actor)
            if not ledger.days.take_back(day, done["actor"]):
                raise ConfigError(f"{name}: {_TOO_LATE.get(day.state, _NOTHING_WAITS)}")
        return done


_NOTHING_WAITS = "nothing of it waits to be sent. `ptbridge explain` shows where it stands."
_TOO_LATE = {
    "sent": "it was sent already. To take it back: `ptbridge exclude ID --reason`, and the next run voids it.",
    "queued": "its answer is not known yet, so it may have been sent. Run `ptbridge retry`, then `ptbridge exclude`.",
}


def confirm(config: Config, name: str, reason: str, actor: str | None = None) -> dict[str, Any]:
    """Let a correction go that the clinic's policy holds for a person (SB05), for exactly this content; see `release`."""
    with Ledger.open(config.state) as ledger:
        day = _held_day(ledger, name)
        if SB05 not in holding_codes(ledger, day):
            raise ConfigError(f"{name}: nothing of it waits for a confirmation. `ptbridge changes` lists what does.")
        return _release(config, ledger, day, {SB05} | words_to_confirm(ledger, day), reason, actor)


def done(config: Config, name: str, reason: str, actor: str | None = None) -> dict[str, Any]:
    """A person had the biller make the correction that SB01 or SB02 asks for: the ledger takes over what it has now.

    Nothing is sent. `reconcile` compares it with what the biller says, where it can be asked.
    """
    with Ledger.open(config.state) as ledger:
        day = _held_day(ledger, name)
        codes = holding_codes(ledger, day)
        if not codes or codes - {SB01, SB02}:
            raise ConfigError(f"{name}: it is no task for the biller alone ({day.reason}). `ptbridge changes` lists those.")
        return write_decision(ledger, day, "done", codes | {f"{AT}{day.revision}"}, reason, actor)


def reopen(ledger: Ledger, clinics: Iterable[str], name: str | None, reason: str, actor: str | None) -> list[str]:
    """Days that delivery holds go back for a new judgement: one by name, or all. What is in doubt is looked up again.

    Returns their references. A day that a finding holds is not touched: nothing about it has changed; nor, unless it is
    named, one that a person took back. A named day that waits in the hold window goes now.
    """
    if name:
        day = the_day(ledger, name, ("held", "queued"), "held or waiting")
        if day.state == "queued":
            return _goes_now(ledger, day, name, reason, actor)
        days = [day]
    else:
        rows = [row for clinic in clinics for row in ledger.accounts.held(clinic)]
        found = [ledger.days.get(row[0]) for row in rows]
        days = [day for day in found if day and not holding_codes(ledger, day) and day.reason != UNDONE]
    for day in days:
        write_decision(ledger, day, "retry", set(), reason or "retry", actor)
    return [day.reference for day in days]


def _goes_now(ledger: Ledger, day: DayRow, name: str, reason: str, actor: str | None) -> list[str]:
    with ledger.transaction():
        if not ledger.days.close_window(day):
            raise ConfigError(f"{name}: it is on its way already; it goes as soon as the biller takes it.")
        ledger.history.add(day.clinic, "day", day.id, "window-closed", reason, actor or getpass.getuser())
    return [day.reference]


def _held_day(ledger: Ledger, name: str) -> DayRow:
    return the_day(ledger, name, ("held",), "held")


def the_day(ledger: Ledger, name: str, states: Collection[str], words: str) -> DayRow:
    """The one treatment day of that name in one of these states. Raises ConfigError for none, or several."""
    days = [day for day in ledger.days.named(name) if day.state in states]
    if len(days) == 1:
        return days[0]
    if days:
        named = ", ".join(day.reference for day in days)
        raise ConfigError(f"{name}: several {words} days; name one by its reference: {named}.")
    raise ConfigError(f"{name}: no {words} treatment day of that id. `ptbridge held` and `ptbridge changes` list them.")


def holding_codes(ledger: Ledger, day: DayRow) -> set[str]:
    """The finding codes that hold the day; empty when its delivery does."""
    codes = {finding["code"] for finding in _findings(ledger, day) if finding["severity"] == "error"}
    return codes & set((day.reason or "").split())


def _findings(ledger: Ledger, day: DayRow) -> list[dict[str, Any]]:
    body = ledger.days.judgement(day)
    findings: list[dict[str, Any]] = msgspec.json.decode(body)["findings"] if body else []
    return findings


def write_decision(ledger: Ledger, day: DayRow, kind: str, codes: set[str], reason: str, actor: str | None) -> dict[str, Any]:
    """Keep the decision. What a person let pass of the same content stays let pass until it is excluded; only `undo` takes an
    exclusion back.
    """
    if not reason.strip():
        raise ConfigError('a decision needs a reason: --reason "why".')
    who = actor or getpass.getuser()
    with ledger.transaction():
        before = ledger.days.standing_decision(day)
        if kind in LETS_PASS and before is not None and before.kind in LETS_PASS:
            codes = codes | {code for code in before.codes if not code.startswith((HAS, AT, EXCLUDED))}
        if kind not in ("undo", "exclude") and before is not None and before.excludes:
            codes = codes | {EXCLUDED}
        if kind == "retry":
            ledger.days.reopen_submissions(day)
        ledger.days.decide(day, kind, " ".join(sorted(codes)), reason, who)
    return {"id": day.reference, "decision": kind, "codes": sorted(codes), "reason": reason, "actor": who}
