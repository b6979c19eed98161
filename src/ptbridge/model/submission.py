"""What goes to one destination once, and what came back."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum

from ptbridge.model.made_fast import made_fast


class Frequency(StrEnum):
    """Claim frequency, X12 CLM05-3."""

    ORIGINAL = "1"
    REPLACEMENT = "7"
    VOID = "8"


class Disposition(StrEnum):
    """How the other side answered.

    `ACCEPTED` it has the charge. `REJECTED` it says this charge can never be right: a person decides. `RETRY` it did not
    take it and a later attempt may succeed. `IN_DOUBT` it may or may not have taken it: look up by key, never resend blindly.
    """

    ACCEPTED = "accepted"
    REJECTED = "rejected"
    RETRY = "retry"
    IN_DOUBT = "in-doubt"


@made_fast
@dataclass(frozen=True, slots=True, kw_only=True)
class Submission:
    """One treatment day on its way to one destination. Key and exact bytes are stored before the first byte leaves.

    `reference` names the treatment day at the destination and stays the same over replacements; `key` is the idempotency
    key of this one revision. Neither holds patient data. `order_key` groups what must stay in order.
    """

    clinic: str
    destination: str
    key: str
    reference: str
    order_key: str = field(repr=False)
    revision: int = 1
    frequency: Frequency = Frequency.ORIGINAL
    body: bytes = field(repr=False)
    media_type: str = "application/json"
    units: int = 0
    amount_cents: int = 0
    lines: int = 0
    service_date: str = ""


@made_fast
@dataclass(frozen=True, slots=True, kw_only=True)
class Acknowledgement:
    """The destination's answer. `native_code` and `native_text` are kept word for word, without patient data added by us."""

    disposition: Disposition
    destination_id: str | None = None  # the platform's own id of what it stored
    native_code: str = ""
    native_text: str = field(default="", repr=False)
    retry_after_seconds: float | None = None
    at: datetime | None = None
    comes_within_seconds: float | None = None  # of an IN_DOUBT: its last word comes by itself; until then nobody asks
