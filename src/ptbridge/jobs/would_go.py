"""What a dry run found that would leave, one row for each, and what only a person at the biller could do. No patient data."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from datetime import UTC, datetime
from typing import Any

import msgspec

from ptbridge.ledger import Ledger
from ptbridge.model import Frequency
from ptbridge.plan import SB01, SB02

_ROUTES = {Frequency.ORIGINAL.value: "original", Frequency.REPLACEMENT.value: "replacement", Frequency.VOID.value: "void"}
_TASKS = frozenset({SB01, SB02})


def would_send(waiting: Iterable[Mapping[str, Any]], now: datetime) -> list[dict[str, Any]]:
    """What waits in the ledger (`Accounts.waiting`), by service date, each with its `route` and `not_before`.

    `units` and `amount_cents` of a void are what it takes back. `not_before` (ISO 8601 UTC) is None where nothing keeps it: the
    clinic's hold window does, or a biller that asked to wait.
    """
    rows = [
        {**row, "route": _ROUTES[row["frequency"]], "not_before": _not_before(float(row["next_at"]), now)} for row in waiting
    ]
    return sorted(rows, key=lambda row: (row["service_date"], row["reference"]))


def _not_before(next_at: float, now: datetime) -> str | None:
    return datetime.fromtimestamp(next_at, UTC).isoformat(timespec="seconds") if next_at > now.timestamp() else None


def would_ask(ledger: Ledger, clinic: str, since: str) -> Iterator[dict[str, Any]]:
    """Corrections held since that time that only a person at the biller can make (SB01, SB02), by service date.

    `units` and `amount_cents` are the difference at the biller: negative takes money back.
    """
    counted = ledger.accounts.held_days(clinic)
    others = [reason for reason in counted if not _TASKS & set(reason.split())]
    for reference, reason, held_since, body in ledger.accounts.held_first(clinic, since, sum(counted.values()), but=others):
        page = msgspec.json.decode(body)
        if held_since >= since and page["change"]:
            yield {
                "reference": reference,
                "service_date": page["service_date"],
                "route": "task",
                "reason": reason,
                "units": page["change"]["units"],
                "amount_cents": page["change"]["amount_cents"],
            }
