"""What a run says of itself: counts that add up, what is held and why, what the biller took."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from typing import Any

from ptbridge.model import Fate


@dataclass(slots=True, kw_only=True)
class RunReport:
    """One clinic's run. Amounts are integer cents. `visits` and `lines` by fate add up to `pulled_visits` and `pulled_lines`.

    `would_send` and `would_ask` are filled in a dry run only (jobs/would_go.py). `errors` are sentences about peers and
    configuration, without patient data.
    """

    run_id: int = 0
    clinic: str = ""
    started_at: str = ""
    finished_at: str = ""
    dry_run: bool = False
    stopped: bool = False  # by a signal: what was not done goes with the next run
    pulled_visits: int = 0
    pulled_lines: int = 0
    visits: dict[str, int] = field(default_factory=dict)
    lines: dict[str, int] = field(default_factory=dict)
    submissions_sent: int = 0
    units_sent: int = 0
    amount_cents_sent: int = 0
    held_days: int = 0  # the whole worklist: what needs a person
    by_itself_days: int = 0  # held, and needs nobody
    held: list[dict[str, Any]] = field(default_factory=list)  # at most 500 of it, what this run held first
    quarantined: list[dict[str, str]] = field(default_factory=list)
    unread_files: dict[str, str] = field(default_factory=dict)  # of a drop folder, as one more row of `quarantined`
    waiting: list[dict[str, Any]] = field(default_factory=list)
    would_send: list[dict[str, Any]] = field(default_factory=list)
    would_ask: list[dict[str, Any]] = field(default_factory=list)  # of a person at the biller
    delivery: dict[str, Any] = field(default_factory=dict)
    biller: dict[str, Any] | None = None  # what `reconcile` says about the service dates of this run
    answers: dict[str, int] = field(default_factory=dict)  # news taken in by this run, by `stage/standing`
    errors: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)  # sentences that ask for nobody
    refused_since: str = ""  # our credential is refused since the run that started then; what is queued waits
    report_path: str = ""
    exit_code: int = 0

    def set_fates(self, visits: Counter[Fate], lines: Counter[Fate]) -> None:
        """Take the ledger's counts; every fate is named, also with zero."""
        self.visits = {fate.value: visits[fate] for fate in Fate}
        self.lines = {fate.value: lines[fate] for fate in Fate}
        self.pulled_visits = sum(visits.values())
        self.pulled_lines = sum(lines.values())
