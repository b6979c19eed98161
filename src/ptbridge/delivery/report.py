"""What a delivery did, counted."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field

from ptbridge.model import Disposition
from ptbridge.ports import Outcome


@dataclass(slots=True, kw_only=True)
class DeliveryReport:
    """Counts of one `deliver`. `held` is by reason. `ended` says why it stopped; `done` means that nothing waits.

    `ended`: done, later (what is left is due too late to wait for), deadline, stopped, breaker-open, refused, failing (the
    platform has an error for everybody).
    `refusal` is the peer's refusal in our words (no secret).
    """

    accepted: int = 0
    accepted_units: int = 0
    accepted_cents: int = 0
    held: Counter[str] = field(default_factory=Counter)
    postponed: int = 0  # outcomes that went back to the queue, retries of one item counted each
    doubts: int = 0  # attempts that ended in doubt
    attempts: int = 0
    retries: int = 0  # attempts of an item after its first
    look_ups: int = 0
    ended: str = "done"
    refusal: str = ""

    @property
    def auth_failed(self) -> bool:
        """True when the biller refused our credential; everything not yet sent is still queued."""
        return self.ended == "refused"

    def count(self, outcome: Outcome) -> None:
        """Add one recorded outcome."""
        self.attempts += 1
        self.retries += outcome.item.attempts > 0
        disposition = outcome.acknowledgement.disposition
        self.doubts += disposition is Disposition.IN_DOUBT
        if disposition is Disposition.ACCEPTED:
            self.accepted += 1
            self.accepted_units += outcome.item.submission.units
            self.accepted_cents += outcome.item.submission.amount_cents
        elif outcome.hold_reason is not None:
            self.held[outcome.hold_reason] += 1
        else:
            self.postponed += 1
