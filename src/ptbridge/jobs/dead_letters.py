"""Dead letters: submissions that delivery gave up, each with its reason, who must act, and the replay that cannot double it."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from ptbridge.jobs.owners import delivery_owner
from ptbridge.jobs.standing import clinic_names, delivery_reason
from ptbridge.ledger import Ledger
from ptbridge.specs.config import Config


def dead_letters(config: Config, clinic: str | None = None) -> list[dict[str, Any]]:
    """Every submission that stopped for good, oldest first: id, reason, owner, attempts, last answer, how to replay it, and
    how to say what the biller has of it (`settle`), for somebody who has looked.

    `ptbridge retry ID` judges the day anew: what is in doubt is looked up under its own key, what was refused goes with a new
    key only as what the day bills now. No patient data.
    """
    with Ledger.open(config.state, write=False) as ledger:
        return [row for name in clinic_names(config, clinic) for row in _rows(ledger, name)]


def _rows(ledger: Ledger, clinic: str) -> Iterator[dict[str, Any]]:
    for dead in ledger.days.given_up(clinic):
        reason, code = str(dead["reason"]), str(dead["native_code"] or "")
        yield {
            "clinic": clinic,
            **dead,
            "message": delivery_reason(reason),
            "owner": delivery_owner(reason, code),
            "replay": f"ptbridge retry {dead['id']} --reason TEXT",
            "settle": f"ptbridge settle {dead['id']}",
        }
