"""Silence, old items and differences that somebody must hear of (contract D4): `ptbridge status` ends with exit code 10."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

from ptbridge.inbox import INBOX_FILE, ClinicInbox
from ptbridge.ledger import Ledger
from ptbridge.specs.clinic import ClinicSpec
from ptbridge.specs.config import Config

_DIFFERENCE = 9  # the exit code of a run whose biller differs


def source_standing(config: Config, ledger: Ledger, spec: ClinicSpec) -> dict[str, str | None]:
    """When the source was last heard of, and when a run last went through without trouble (ISO 8601 UTC; None: never)."""
    received = [ledger.accounts.last_received(spec.clinic, spec.source.connector)]
    if (config.state / INBOX_FILE).exists():
        with ClinicInbox.open(config.state, spec.clinic) as inbox:
            received.append(inbox.last_received())
    known = [_utc(at) for at in received if at]
    return {
        "source": spec.source.connector,
        "last_received_at": max(known).isoformat() if known else None,
        "last_success_at": ledger.accounts.last_success(spec.clinic),
    }


def alarms(ledger: Ledger, spec: ClinicSpec, standing: dict[str, Any], now: datetime) -> Iterator[dict[str, str]]:
    """Each alarm of a clinic: its kind and a sentence. `standing` is what `status` says of it."""
    limits, source, oldest = spec.alarms, standing["source"], standing["oldest"]
    heard = source["last_received_at"] or ledger.accounts.first_started(spec.clinic)
    if (hours := _too_long(heard, limits.silence_hours, now)) is not None:
        yield _alarm(
            "silence", f"nothing received from {source['source']} for {hours:.0f} hours. Ask the EMR's side, then doctor."
        )
    waiting = oldest["waiting_since"]
    since = None if waiting is None else datetime.fromtimestamp(waiting, UTC).isoformat()
    if (hours := _too_long(since, limits.waiting_hours, now)) is not None:
        yield _alarm("waiting", f"a submission has waited {hours:.0f} hours for the biller's answer. Run `ptbridge retry`.")
    if (hours := _too_long(oldest["held_since"], limits.held_hours, now)) is not None:
        yield _alarm("held", f"a treatment day has been held for {hours:.0f} hours. `ptbridge held` lists it.")
    last = standing["last_run"]
    refused_since = (last["summary"] or {}).get("refused_since") if last and isinstance(last["summary"], dict) else ""
    if refused_since:
        yield _alarm(
            "refused", f"our credential is refused since {refused_since}; what is queued waits and goes once it is taken again."
        )
    if last and isinstance(last["summary"], dict) and last["summary"].get("exit_code") == _DIFFERENCE:
        yield _alarm("difference", "the last run found that the biller has something else. `ptbridge reconcile` shows it.")


def _alarm(kind: str, text: str) -> dict[str, str]:
    return {"kind": kind, "text": text}


def _too_long(since: str | None, limit_hours: float, now: datetime) -> float | None:
    """The hours since then, when they are more than the limit; None otherwise, and where there is no limit."""
    if since is None or limit_hours <= 0:
        return None
    hours = (now - _utc(since)).total_seconds() / 3600
    return hours if hours > limit_hours else None


def _utc(text: str) -> datetime:
    at = datetime.fromisoformat(text)
    return at if at.tzinfo else at.replace(tzinfo=UTC)
