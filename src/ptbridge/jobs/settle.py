"""The end of a run: counts that add up, the worklist, the report of the day, and the exit code that tells a scheduler."""

from __future__ import annotations

import os
import re
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import asdict
from datetime import UTC, datetime, timedelta
from itertools import islice
from pathlib import Path
from typing import Any

import msgspec

import ptbridge
from ptbridge.delivery import DeliveryReport
from ptbridge.jobs.owners import goes_by_itself
from ptbridge.jobs.report_data import RunReport
from ptbridge.jobs.run_names import free_page
from ptbridge.jobs.standing import newly_held
from ptbridge.jobs.would_go import would_ask, would_send
from ptbridge.ledger import Ledger
from ptbridge.model import Fate
from ptbridge.report import render
from ptbridge.specs.config import Config

DAYS_IN_REPORT = 2000
ANSWER_DAYS = 90  # of service dates; `ptbridge status` counts them all, and a quiet night must not cost what the history costs
HELD_IN_REPORT = 500  # of the worklist; a clinic that holds 70,000 days has one cause, and 300 MB are the whole run's

DONE, PERSON_NEEDED, BILLER_WAITS, PEER_TROUBLE, BILLER_DIFFERS, STOPPED = 0, 3, 4, 5, 9, 130


def settle(
    config: Config,
    ledger: Ledger,
    report: RunReport,
    delivered: DeliveryReport | None,
    errors: Sequence[str],
    refusals: Sequence[str] = (),
) -> None:
    """Fill the report from the ledger, write the HTML page, choose the exit code.

    A refused credential is one line, however many doors it was refused at; `refused_since` is kept from run to run.
    """
    report.set_fates(*ledger.accounts.fates(report.clinic, report.run_id))
    sent = ledger.accounts.sent_in(report.run_id)
    report.submissions_sent, report.units_sent = sent["submissions"], sent["units"]
    report.amount_cents_sent = sent["amount_cents"]
    held = ledger.accounts.held_days(report.clinic)
    report.by_itself_days = sum(days for reason, days in held.items() if goes_by_itself(reason))
    report.held_days = sum(held.values()) - report.by_itself_days
    report.held = newly_held(ledger, report.clinic, report.started_at, HELD_IN_REPORT)
    report.quarantined = [*ledger.accounts.quarantined(report.clinic), *([report.unread_files] if report.unread_files else [])]
    report.waiting = ledger.accounts.waiting(report.clinic)
    refused = [*refusals, *([delivered.refusal] if delivered and delivered.refusal else [])]
    report.errors = [*errors, *_one_for_each_peer(refused)]
    report.refused_since = _refused_since(ledger, report) if refused else ""
    if delivered:
        report.delivery = {**asdict(delivered), "held": dict(delivered.held)}
        if delivered.ended == "breaker-open":
            report.errors.append("the biller could not be reached; what is queued goes with the next run")
        if delivered.ended == "failing":
            report.errors.append("the biller answers everything with an error of its own (5xx); the next run asks again")
    if report.dry_run:
        report.would_send, report.waiting = would_send(report.waiting, datetime.now(UTC)), []
        report.would_ask = list(would_ask(ledger, report.clinic, report.started_at))
    report.finished_at = datetime.now(UTC).isoformat(timespec="seconds")
    report.exit_code = _exit_code(report)
    report.report_path = str(_write_page(config, ledger, report))


def _one_for_each_peer(refusals: Sequence[str]) -> list[str]:
    """The last refusal of each server: the one that a charge met, where one did."""
    found: dict[str, str] = {}
    for text in refusals:
        server = _SERVER.search(text)
        found[server[0] if server else text] = text
    return list(found.values())


_SERVER = re.compile(r"[a-z]+://[^/\s]+")


def _refused_since(ledger: Ledger, report: RunReport) -> str:
    """Since which run our credential has been refused without a break (ISO 8601 UTC)."""
    last = ledger.accounts.last_run(report.clinic)
    summary = msgspec.json.decode(str(last["summary"])) if last and last["summary"] else {}
    return str(summary.get("refused_since") or report.started_at)


def _exit_code(report: RunReport) -> int:
    if report.stopped:
        return STOPPED
    if report.biller and report.biller["agrees"] is False:
        return BILLER_DIFFERS
    if report.errors:
        return PEER_TROUBLE
    if report.waiting:
        return BILLER_WAITS
    return PERSON_NEEDED if report.held_days or report.quarantined else DONE


def summary(report: RunReport) -> dict[str, Any]:
    """What the ledger keeps of a run: counts only."""
    return {
        "visits": report.visits,
        "lines": report.lines,
        "submissions_sent": report.submissions_sent,
        "units_sent": report.units_sent,
        "amount_cents_sent": report.amount_cents_sent,
        "held": report.held_days,
        "held_by_itself": report.by_itself_days,
        "quarantined": len(report.quarantined),
        "waiting": len(report.waiting),
        "exit_code": report.exit_code,
        "errors": report.errors,
        "refused_since": report.refused_since,
    }


def added(total: DeliveryReport | None, more: DeliveryReport) -> DeliveryReport:
    """Two deliveries of one run as one; the later one says how it ended."""
    if total is None:
        return more
    for name in ("accepted", "accepted_units", "accepted_cents", "postponed", "doubts", "attempts", "retries", "look_ups"):
        setattr(more, name, getattr(more, name) + getattr(total, name))
    more.held += total.held
    return more


# ---------------------------------------------------------------- the page


def _write_page(config: Config, ledger: Ledger, report: RunReport) -> Path:
    config.reports.mkdir(mode=0o700, parents=True, exist_ok=True)
    path = free_page(config.reports, report.clinic, report.run_id, dry_run=report.dry_run)
    partial = path.with_suffix(".part")
    descriptor = os.open(partial, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600)
    with os.fdopen(descriptor, "w", encoding="utf-8") as file:
        file.write(render(page_data(config, ledger, report)))
    partial.replace(path)
    return path


def page_data(config: Config, ledger: Ledger, report: RunReport) -> dict[str, Any]:
    """The report's data in the shape that `report.render` takes."""
    spec = config.clinics[report.clinic]
    judged = islice(ledger.accounts.judged_in(report.clinic, report.run_id), DAYS_IN_REPORT)
    days = [_day(state, msgspec.json.decode(body)) for _, state, _, body in judged]
    dates = sorted(day["service_date"] for day in days if day["service_date"])
    return {
        "clinic": {"id": spec.clinic, "name": spec.name, "time_zone": spec.time_zone},
        "service_dates": [dates[0], dates[-1]] if dates else [],
        "run": {
            "run": report.run_id,
            "started": report.started_at,
            "finished": report.finished_at,
            "EMR connector": spec.source.connector,
            "destination": spec.destination.platform,
            "ptbridge": ptbridge.__version__,
        },
        "dry_run": report.dry_run,
        "pulled_visits": report.pulled_visits,
        "visits": report.visits,
        "lines": report.lines,
        "units_sent": report.units_sent,
        "amount_cents_sent": report.amount_cents_sent,
        "queued": len(report.waiting),
        "held": report.held,
        "held_days": report.held_days,
        "by_itself_days": report.by_itself_days,
        "quarantined": report.quarantined,
        "payers": _totals(days, "payer"),
        "disciplines": _totals(days, "discipline"),
        "days": days,
        "biller": _biller(report),
        **_answers(ledger, report, spec.destination.platform),
        "errors": report.errors,
        "notes": report.notes,
    }


def _biller(report: RunReport) -> dict[str, Any] | None:
    """What the biller has for the service dates of this run."""
    if not report.biller or report.biller["theirs"] is None:
        return None
    return {"agrees": report.biller["agrees"], **report.biller["theirs"], "differences": report.biller["differences"]}


def _answers(ledger: Ledger, report: RunReport, platform: str) -> dict[str, Any]:
    """How far the live charges of late have come; nothing where this biller never tells."""
    if not ledger.columns.tells(report.clinic, platform):
        return {}
    since = (datetime.fromisoformat(report.started_at).date() - timedelta(days=ANSWER_DAYS)).isoformat()
    return {"answers": ledger.standings.counts(report.clinic, since), "answers_since": since}


_FATE_OF_STATE = {"held": Fate.HELD, "excluded": Fate.EXCLUDED, "voided": Fate.EXCLUDED, "sent": Fate.SENT}


def _day(state: str, page: dict[str, Any]) -> dict[str, Any]:
    return {
        "service_date": page["service_date"],
        "discipline": page["discipline"],
        "payer": page["payer"],
        "fate": _FATE_OF_STATE.get(state, Fate.QUEUED).value,
        "visits": [visit["visit_id"] for visit in page["visits"]],
        "units": page["units"],
        "amount_cents": page["amount_cents"],
        "because": page["because"],
        "lines": [
            {"text": line["line"], "amount_cents": line["amount_cents"], "because": line["because"]} for line in page["lines"]
        ],
        "exclusions": page["exclusions"],
    }


def _totals(days: Sequence[dict[str, Any]], key: str) -> list[dict[str, Any]]:
    """Days, units and cents that are sent or on their way, and how many are held, by payer or discipline."""
    rows: dict[str, dict[str, Any]] = defaultdict(lambda: {"days": 0, "units": 0, "amount_cents": 0, "held": 0})
    for day in days:
        if day["fate"] == Fate.EXCLUDED:
            continue
        row = rows[day[key] or "not known"]
        if day["fate"] in (Fate.SENT, Fate.QUEUED):
            row["days"] += 1
            row["units"] += day["units"]
            row["amount_cents"] += day["amount_cents"]
        row["held"] += day["fate"] == Fate.HELD
    return [{key: name, **row} for name, row in sorted(rows.items())]
