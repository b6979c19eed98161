"""What is said later about something that was sent: by the hop, the clearinghouse, the payer, the remittance."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum


class Stage(StrEnum):
    """How far a charge has come, in this order. X12 names in brackets where one is the usual bearer of the news."""

    RECEIVED = "received"  # the hop has it (TA1)
    CLAIM_MADE = "claim-made"  # the platform made a claim of the charge
    SYNTAX = "syntax"  # its form was checked (999)
    CLEARINGHOUSE = "clearinghouse"  # its content was checked before the payer (277CA of the clearinghouse)
    PAYER = "payer"  # it came into the payer's adjudication, or was turned away at its door (277CA of the payer, 277)
    REMITTANCE = "remittance"  # the payer decided (835)

    @property
    def place(self) -> int:
        """0 for the first stage; later stages have higher places."""
        return list(Stage).index(self)


class Standing(StrEnum):
    """What the news says.

    `REJECTED`: turned away before adjudication, so the payer has no claim; corrected, it goes again as frequency 1.
    `DENIED`: adjudicated and not paid; it exists at the payer.
    """

    ACCEPTED = "accepted"
    PENDING = "pending"
    REJECTED = "rejected"
    DENIED = "denied"
    PAID = "paid"


@dataclass(frozen=True, slots=True, kw_only=True)
class NativeCode:
    """A code word for word as it came, with the name of its list: `CARC`, `RARC`, `277CA`, `999`, `candid.claim_status`."""

    system: str
    code: str
    text: str = field(default="", repr=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """One piece of news about one submission, or about one line of it.

    `key` is the platform's own id of this news, or made from its content: the same news again has the same key. The charge
    is named by `reference` (ours) or `destination_id` (the platform's), whichever came. `line` is the place of the line in
    what was sent, from 1; None: the whole claim. Cents are integers, adjustments are positive when they lower the payment.
    """

    key: str
    stage: Stage
    standing: Standing
    reference: str | None = None
    destination_id: str | None = None
    submission_key: str | None = None  # our key of the submission it is about, or its first 16 characters or more, where told
    payer_claim_number: str | None = field(default=None, repr=False)  # ICN, DCN: what frequency 7 and 8 must name (REF*F8)
    line: int | None = None
    procedure: str | None = None
    codes: tuple[NativeCode, ...] = ()
    charged_cents: int | None = None
    paid_cents: int | None = None
    adjusted_cents: int | None = None
    patient_cents: int | None = None
    said_at: str = ""  # as the platform says it, ISO 8601 where it can be read
    text: str = field(default="", repr=False)
