"""From a judged treatment day to what happens to it: hold, exclude, send, replace, void, or leave as it is.

What is live at the biller and what the destination can do decide; there is never a second original (contract D17, D19).
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass

from ptbridge.ledger import DayRow
from ptbridge.model import Finding, Frequency, PricedDay, Severity, Submission
from ptbridge.ports import CorrectingDestination, Destination

SB01 = "SB01"  # changed after sending, and the destination takes no replacement
SB02 = "SB02"  # nothing left to bill after sending, and the destination takes no void


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """The next state of a treatment day and, where something must leave, the submission."""

    state: str  # held | excluded | queued | sent | voided
    action: str  # one plain sentence
    submission: Submission | None = None
    content_sha256: bytes | None = None
    finding: Finding | None = None


def reference_of(clinic: str, day_key: str) -> str:
    """Our name for a treatment day at the destination: stable over corrections, without patient data."""
    return "pt-" + hashlib.sha256(f"{clinic}\n{day_key}".encode()).hexdigest()[:24]


def key_of(platform: str, reference: str, revision: int, frequency: Frequency, content: bytes) -> str:
    """The idempotency key: the same revision of the same content (SHA-256) has it again after a crash or a restore."""
    named = f"{platform}\n{reference}\n{revision}\n{frequency.value}\n{content.hex()}"
    return hashlib.sha256(named.encode()).hexdigest()[:40]


def plan(day: DayRow, priced: PricedDay | None, destination: Destination, platform: str, live: bytes | None) -> Plan:
    """What to do with a day that nothing holds. `priced` is None (or without charges) when nothing is left to bill.

    `live` are the bytes of the submission that the biller has now, None when it has none.
    """
    if priced is None or not priced.charges:
        return _withdraw(day, destination, platform, live)
    body, media_type = destination.encode(priced, reference=day.reference, frequency=Frequency.ORIGINAL, original_id=None)
    content = hashlib.sha256(body).digest()
    if day.live_sha256 == content:
        return Plan(state="sent", action="unchanged: the biller has exactly this")
    frequency = Frequency.ORIGINAL
    if day.live_sha256 is not None:
        if not destination.capabilities.replace:
            return _late(SB01, "changed after it was sent", f"{platform} takes no replacement", "correct it with the biller")
        frequency = Frequency.REPLACEMENT
        body, media_type = _replacement(day, priced, destination, live)
    submission = _submission(day, platform, frequency, content, body, media_type, priced)
    action = "send as original" if frequency is Frequency.ORIGINAL else "replace what the biller has (frequency 7)"
    return Plan(state="queued", action=action, submission=submission, content_sha256=content)


def _replacement(day: DayRow, priced: PricedDay, destination: Destination, live: bytes | None) -> tuple[bytes, str]:
    """What turns the live charge into this day; some platforms need to see what they were sent (contract D17)."""
    if isinstance(destination, CorrectingDestination) and live is not None:
        return destination.encode_replacement(priced, live, reference=day.reference, original_id=day.live_id)
    return destination.encode(priced, reference=day.reference, frequency=Frequency.REPLACEMENT, original_id=day.live_id)


def _withdraw(day: DayRow, destination: Destination, platform: str, live: bytes | None) -> Plan:
    if live is None:
        return Plan(state="voided" if day.state == "voided" else "excluded", action="nothing to bill")
    if not destination.capabilities.void:
        return _late(SB02, "nothing is left to bill after it was sent", f"{platform} takes no void", "have the biller void it")
    body, media_type = destination.encode_void(live, reference=day.reference, original_id=day.live_id)
    content = hashlib.sha256(body).digest()
    submission = _submission(day, platform, Frequency.VOID, content, body, media_type, None)
    return Plan(state="queued", action="void what the biller has (frequency 8)", submission=submission, content_sha256=content)


def _late(code: str, what: str, why: str, do: str) -> Plan:
    finding = Finding(
        code=code,
        severity=Severity.ERROR,
        message=f"{what}, and {why}; what the biller has stays as it was",
        fix=f"Decide: {do}, then `ptbridge exclude` or `ptbridge retry` this day with the reason.",
    )
    return Plan(state="held", action="a person must decide", finding=finding)


def _submission(
    day: DayRow,
    platform: str,
    frequency: Frequency,
    content: bytes,
    body: bytes,
    media_type: str,
    priced: PricedDay | None,
) -> Submission:
    revision = day.revision + 1
    return Submission(
        clinic=day.clinic,
        destination=platform,
        key=key_of(platform, day.reference, revision, frequency, content),
        reference=day.reference,
        order_key=day.reference,
        revision=revision,
        frequency=frequency,
        body=body,
        media_type=media_type,
        units=priced.units if priced else day.live_units,
        amount_cents=priced.amount_cents if priced else day.live_cents,
        lines=len(priced.charges) if priced else 0,
        service_date=day.service_date or "",
    )
