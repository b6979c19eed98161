"""Questions to the ledger: what stands where, what is held and why, how a line came about."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

import msgspec

from ptbridge.errors import ConfigError, LedgerError
from ptbridge.inbox import INBOX_FILE, ClinicInbox
from ptbridge.jobs.alarms import alarms, source_standing
from ptbridge.jobs.owners import goes_by_itself
from ptbridge.ledger import UNDONE, DayRow, Ledger, shown_lines
from ptbridge.ledger.judging import IN_DOUBT
from ptbridge.ledger.restored import HELD_REASON
from ptbridge.model import dollars
from ptbridge.specs.config import Config


def clinic_names(config: Config, clinic: str | None) -> list[str]:
    """The one clinic that was named, or all. Raises ConfigError for an unknown one."""
    return [config.clinic(clinic).clinic] if clinic else list(config.clinics)


def status(config: Config, clinic: str | None = None) -> dict[str, Any]:
    """Per clinic: days by state with units and cents, what waits, how old it is, source, cursor, last run, alarms.

    `held_by_delivery`: held days that no finding holds: refused, in doubt, since a restore, or not taken in any attempt.
    """
    found: dict[str, Any] = {}
    now = datetime.now(UTC)
    with Ledger.open(config.state, write=False) as ledger:
        for name in clinic_names(config, clinic):
            last = ledger.accounts.last_run(name)
            if last and last["summary"]:
                last["summary"] = msgspec.json.decode(str(last["summary"]))
            spec = config.clinics[name]
            found[name] = {
                "days": ledger.accounts.days_by_state(name),
                "quarantined": len(ledger.accounts.quarantined(name)),
                "waiting": ledger.accounts.waiting(name),
                "answers": ledger.standings.counts(name),
                "oldest": ledger.accounts.oldest(name, now.timestamp()),
                "source": source_standing(config, ledger, spec),
                "cursor": ledger.cursor(name, spec.source.connector),
                "last_run": last,
                "messages": _messages(config, name),
            }
            held_for = ledger.accounts.held_days(name)
            found[name]["held_by_delivery"] = sum(days for reason, days in held_for.items() if _is_deliverys(reason))
            found[name]["alarms"] = list(alarms(ledger, spec, found[name], now))
    return found


def _messages(config: Config, clinic: str) -> dict[str, int]:
    """HL7 messages received, by state and kind; what is not handled is counted, never dropped. Empty without an inbox."""
    if not (config.state / INBOX_FILE).exists():
        return {}
    with ClinicInbox.open(config.state, clinic) as inbox:
        return inbox.counts()


def held(config: Config, clinic: str | None = None) -> list[dict[str, Any]]:
    """Every held treatment day and quarantined record: id, visits, reasons with what to do, since when, amount in cents.

    `goes_by_itself`: it needs nobody. `was`: of a day without a visit, what it billed while it had one; None otherwise.
    """
    with Ledger.open(config.state, write=False) as ledger:
        return [row for name in clinic_names(config, clinic) for row in held_rows(ledger, name)]


def newly_held(ledger: Ledger, clinic: str, since: str, limit: int) -> list[dict[str, Any]]:
    """At most `limit` held days that need a person, those held since that time first: what the report of a run shows."""
    by_itself = [reason for reason in ledger.accounts.held_days(clinic) if goes_by_itself(reason)]
    return [
        _held_row(ledger, clinic, reference, reason, held_since, msgspec.json.decode(body))
        for reference, reason, held_since, body in ledger.accounts.held_first(clinic, since, limit, but=by_itself)
    ]


def held_rows(ledger: Ledger, clinic: str) -> Iterator[dict[str, Any]]:
    """The worklist of one clinic, oldest service date first."""
    for _, reference, reason, since, body in ledger.accounts.held(clinic):
        yield _held_row(ledger, clinic, reference, reason or "", since, msgspec.json.decode(body))
    for record in ledger.accounts.quarantined(clinic):
        yield {
            "id": record["visit_id"],
            "clinic": clinic,
            "service_date": None,
            "discipline": None,
            "visits": [record["visit_id"]],
            "payer": None,
            "reasons": [
                {
                    "code": "MP90",
                    "severity": "error",
                    "message": record["reason"],
                    "fix": "Correct the record at its source, or the mapping; it is read again at the next sync.",
                }
            ],
            "held_since": record["first_seen_at"],
            "amount_cents": None,
            "quarantined": True,
            "goes_by_itself": False,
            "was": None,
        }


def _held_row(
    ledger: Ledger, clinic: str, reference: str, reason: str, since: str | None, page: dict[str, Any]
) -> dict[str, Any]:
    reasons = [finding for finding in page["findings"] if finding["severity"] == "error"]
    if not set(reason.split()) & {finding["code"] for finding in reasons}:
        # the biller's doing: the judgement was clean when it was sent
        reasons = [{"code": "SB03", "severity": "error", "message": delivery_reason(reason), "fix": delivery_fix(reason)}]
    visits = [visit["visit_id"] for visit in page["visits"]]
    was = None if visits else _what_it_was(ledger, clinic, reference)
    known = was or page
    return {
        "id": reference,
        "clinic": clinic,
        "service_date": page["service_date"],
        "discipline": known["discipline"],
        "visits": visits,
        "payer": known["payer"],
        "reasons": [
            {key: finding.get(key, "") for key in ("code", "severity", "message", "fix", "where")} for finding in reasons
        ],
        "held_since": since,
        "units": page["units"],
        "amount_cents": page["amount_cents"] if page["lines"] else None,  # what cannot be counted has no amount
        "quarantined": False,
        "goes_by_itself": goes_by_itself(reason),
        "was": was,
    }


def _what_it_was(ledger: Ledger, clinic: str, reference: str) -> dict[str, Any] | None:
    """A day that lost its last visit (deleted, moved, another patient's): what it billed, or was to bill, while it had one."""
    (day,) = (day for day in ledger.days.named(reference) if day.clinic == clinic and day.reference == reference)
    body = ledger.days.before_it_was_empty(day)
    if body is None:
        return None
    page = msgspec.json.decode(body)
    visits, lines = [visit["visit_id"] for visit in page["visits"]], [str(line) for line in shown_lines(page)]
    at_biller = day.live_sha256 is not None
    total = f"{page['units']} units, {dollars(page['amount_cents'])}" + ("; the biller has it" if at_biller else "")
    return {
        "text": f"{' '.join(visits)}: {', '.join(lines) or 'nothing billed'}: {total}",
        "visits": visits,
        "discipline": page["discipline"],
        "payer": page["payer"],
        "lines": lines,
        "units": page["units"],
        "amount_cents": page["amount_cents"],
        "at_biller": at_biller,
    }


_REASON = ("code", "severity", "message", "fix", "where", "visit_id", "line_key")
_DELIVERY_FIX = (
    "See the answer with `ptbridge explain`; correct the cause, then `ptbridge retry`. Where the biller has something else than"
    " this ledger says, `ptbridge settle ID` takes your word for it."
)
_NOT_THERE = ("not-live", "unknown-reference")  # of a correction: the words of charge_api's contract, and ours for Candid
_NOT_THERE_FIX = (
    "Find out who took it back: the biller, or ptbridge after the backup that a ledger was restored from. Then `ptbridge settle"
    " ID --biller-has nothing` has the day billed as an original again, and `ptbridge exclude ID --reason` takes it out here"
    " too: what the EMR changes after that goes as an original."
)
_FIXES = {
    UNDONE: "`ptbridge retry ID --reason` sends it after all, `ptbridge exclude` never bills it; an edit is judged anew.",
    IN_DOUBT: "Look whether the biller has the charge, and say what you saw: `ptbridge settle ID` shows what can be said."
    " `ptbridge retry ID` looks it up once more where that can be done, and `ptbridge exclude ID --reason` never bills it.",
    HELD_REASON: "Look what the biller has of this day, and say what you saw: `ptbridge settle ID` shows what can be said."
    " Where it has something else, have it made right there first; `ptbridge exclude ID --reason` never bills it.",
}


def delivery_reason(reason: str) -> str:
    """A machine-readable reason of delivery, or of the person who took it back, in words."""
    kind, _, code = reason.partition(":")
    if kind == "rejected" and code in _NOT_THERE:
        return f"the biller no longer has what this corrects ({code})"
    return {
        "rejected": f"the biller rejected it ({code or 'no code'})",
        "in-doubt": "the answer was lost and the biller cannot be asked: it may or may not have the charge",
        HELD_REASON: "held since the ledger was restored from a backup: the biller has this already, or may have it",
        UNDONE: "a person took it back before it was sent",
        "attempts-exhausted": "the biller did not take it in as many attempts as are allowed",
    }.get(kind, f"delivery stopped: {reason}")


def _is_deliverys(reason: str) -> bool:
    """Whether it is delivery that holds a day for this: somebody looks what the biller has of it."""
    return reason.partition(":")[0] in ("rejected", IN_DOUBT, HELD_REASON, "attempts-exhausted")


def delivery_fix(reason: str) -> str:
    """What a person does about a day that is held for such a reason."""
    if reason.removeprefix("rejected:") in _NOT_THERE:
        return _NOT_THERE_FIX
    return _FIXES.get(reason, _DELIVERY_FIX)


def explain(config: Config, name: str) -> dict[str, Any]:
    """A treatment day by our reference or by one of its visit ids: lines with their reasons, findings, submissions, history."""
    with Ledger.open(config.state, write=False) as ledger:
        days = ledger.days.named(name)
        if not days:
            quarantined = [row for clinic in config.clinics for row in held_rows(ledger, clinic) if row["id"] == name]
            if quarantined:
                return {"days": [], "quarantined": quarantined}
            raise ConfigError(f"there is no visit, treatment day or edit {name!r}. Try an id from `ptbridge held`.")
        return {"days": [_explained(ledger, day) for day in days], "quarantined": []}


def _explained(ledger: Ledger, day: DayRow) -> dict[str, Any]:
    body = ledger.days.judgement(day)
    if body is None:
        raise LedgerError(f"{day.reference}: not judged yet. Run `ptbridge sync`.")
    return {
        **msgspec.json.decode(body),
        "state": day.state,
        "reason": day.reason,
        "submissions": ledger.accounts.submissions_of(day.id),
        "answers": ledger.standings.of_day(day.id),
        "decisions": ledger.accounts.decisions_of(day.id),
        "history": ledger.history.of("day", day.id),
    }
