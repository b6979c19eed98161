"""Purge: what is settled and old loses its payloads, bodies and texts; the accounting stays (contract S12)."""

from __future__ import annotations

import getpass
from collections.abc import Mapping
from dataclasses import asdict
from datetime import UTC, date, datetime, timedelta
from typing import Any

from ptbridge.edits.filing import last_day_to_file
from ptbridge.errors import ConfigError
from ptbridge.inbox import INBOX_FILE
from ptbridge.inbox.purge import purge as purge_inbox
from ptbridge.jobs.kit import policies_of
from ptbridge.jobs.standing import clinic_names
from ptbridge.ledger import Ledger
from ptbridge.ledger.purge import Purged, Settled
from ptbridge.policy import Policy
from ptbridge.specs.clinic import ClinicSpec
from ptbridge.specs.config import Config

LEAST_DAYS = 30  # the source is asked again about the last 30 days: what is younger would come back at once
FILING_DAYS = 366  # where a payer's limit is not known: Medicare's calendar year (42 CFR 424.44)
_CHUNK = 200  # days in one transaction


def purge(
    config: Config,
    clinic: str | None = None,
    *,
    older_than_days: int,
    really: bool = False,
    actor: str | None = None,
    now: datetime | None = None,
) -> dict[str, Any]:
    """Per clinic: what was purged, or without `really` would be, and the days that stay because they may still be filed.

    A treatment day goes when its service date and everything that happened to it are older than `older_than_days`, nothing of
    it is open, held, in doubt or unreadable, and its payer takes no claim for it any more. With the days go the inbox's
    messages of that age and the error texts of runs. Raises ConfigError for an age below 30 days.
    """
    if older_than_days < LEAST_DAYS:
        raise ConfigError(f"--older-than {older_than_days}: less than {LEAST_DAYS} days; the EMR would be asked for it again.")
    at = now or datetime.now(UTC)
    policies = policies_of(config)
    answer: dict[str, Any] = {}
    with Ledger.open(config.state, now=lambda: at) as ledger:
        for name in clinic_names(config, clinic):
            job = _Job(config, ledger, config.clinics[name], policies, at, older_than_days)
            answer[name] = {**job.run(really, actor or getpass.getuser()), "purged": really}
    return answer


class _Job:
    """One clinic's purge."""

    def __init__(
        self, config: Config, ledger: Ledger, spec: ClinicSpec, policies: Mapping[str, Policy], at: datetime, days: int
    ) -> None:
        self._config, self._ledger, self._spec, self._policies = config, ledger, spec, policies
        self._at = at
        self._days = days
        self._instant = (at - timedelta(days=days)).isoformat(timespec="milliseconds")

    def run(self, really: bool, actor: str) -> dict[str, Any]:
        """Count, or count and empty. Each chunk of days is durable by itself: cut off, it goes on with the next call."""
        clinic, today = self._spec.clinic, self._at.astimezone(self._config.time_zone(self._spec)).date()
        settled = self._ledger.purge.settled(
            clinic, today - timedelta(days=self._days), self._instant, (self._at - timedelta(days=self._days)).timestamp()
        )
        going = [day for day in settled if self._too_late_to_file(day, today)]
        found = Purged()
        if really:
            for start in range(0, len(going), _CHUNK):
                found.add(self._ledger.purge.empty(clinic, going[start : start + _CHUNK], actor))
            found.run_texts = self._ledger.purge.empty_runs(clinic, self._instant)
        else:
            with self._ledger.rehearsal():
                found.add(self._ledger.purge.empty(clinic, going, actor))
                found.run_texts = self._ledger.purge.empty_runs(clinic, self._instant)
        found.messages = self._messages(really)
        if really:
            self._noted(found, actor)
        return {**asdict(found), "may_still_be_filed": len(settled) - len(going)}

    def _too_late_to_file(self, day: Settled, today: date) -> bool:
        policy = self._policies.get(day.payer)
        last = last_day_to_file(policy.terms(day.service_date), day.service_date) if policy else None
        return today > (last or day.service_date + timedelta(days=FILING_DAYS))

    def _messages(self, really: bool) -> int:
        """The inbox's messages that the source has read and that nothing since belongs to."""
        if not (self._config.state / INBOX_FILE).exists():
            return 0
        read = self._ledger.cursor(self._spec.clinic, self._spec.source.connector).get("message", "")
        if not read.isdecimal():
            return 0
        return purge_inbox(self._config.state, self._spec.clinic, self._instant, int(read), really=really)

    def _noted(self, found: Purged, actor: str) -> None:
        """Who purged what, in the history; then the old pages leave the log."""
        counts = " ".join(f"{name}={count}" for name, count in asdict(found).items() if count)
        with self._ledger.transaction():
            detail = f"older than {self._days} days: {counts or 'nothing'}"
            self._ledger.history.add(self._spec.clinic, "ledger", 0, "purged", detail, actor)
        self._ledger.purge.wipe()
