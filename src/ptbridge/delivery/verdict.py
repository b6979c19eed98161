"""Decides, without doing anything: how to settle a doubt, and what an answer means for its item. Pure functions."""

from __future__ import annotations

import re
from dataclasses import dataclass
from enum import StrEnum

from ptbridge.delivery.policy import RetryPolicy
from ptbridge.model import Acknowledgement, Disposition
from ptbridge.ports import Capabilities, OutboxItem, Outcome

_FAILURE = re.compile(r"5[0-9]{2}")


class Step(StrEnum):
    """What to do with an item next."""

    SEND = "send"
    REPLAY = "replay"
    LOOK_UP = "look-up"
    HOLD = "hold"


def next_step(item: OutboxItem, capabilities: Capabilities, policy: RetryPolicy, *, now: float) -> Step:
    """Contract D11: replay inside the key window, else look up, else hold. `now` is Unix seconds."""
    if not item.in_doubt:
        return Step.SEND
    tired = capabilities.find and answered(item) > policy.replays_before_look_up
    if key_is_fresh(item, capabilities, policy, now=now) and not tired:
        return Step.REPLAY
    return Step.LOOK_UP if capabilities.find else Step.HOLD


def key_is_fresh(item: OutboxItem, capabilities: Capabilities, policy: RetryPolicy, *, now: float) -> bool:
    """True when a replay of the key is surely harmless (D12). An unknown age, or one in the future, is not fresh."""
    if item.first_attempt_at is None:
        return False
    window = capabilities.idempotency_seconds
    margin = min(policy.key_margin_seconds, window / 10)
    return 0 <= now - item.first_attempt_at < window - margin


def absence_believed_at(
    item: OutboxItem, capabilities: Capabilities, policy: RetryPolicy, *, doubt_at: float | None, run_started_at: float
) -> float:
    """From when on "not here" is the truth, since a look-up lags behind what was taken. Unix seconds.

    `doubt_at` is when this run lost the answer. Without it the item comes from an earlier run: its last start plus the
    longest call, or, where that start is unknown, this run's own start, which is later than anything before it.
    """
    if doubt_at is not None:
        since = doubt_at
    elif item.last_attempt_at is not None and capabilities.find_lag_seconds:
        since = min(item.last_attempt_at + policy.longest_call_seconds, run_started_at)
    else:
        since = run_started_at
    return since + capabilities.find_lag_seconds


@dataclass(frozen=True, slots=True, kw_only=True)
class Waits:
    """How long an item waits before its next attempt: its backoff, and the retry budget's booking. Seconds."""

    backoff: float
    budget: float

    def asked(self, answer: Acknowledgement, policy: RetryPolicy) -> float:
        """The backoff, or the platform's own word when that is longer; never longer than the policy lets it ask."""
        return max(self.backoff, min(answer.retry_after_seconds or 0.0, policy.max_retry_after_seconds))

    def after(self, now: float, seconds: float = 0.0) -> float:
        """The Unix time of the next attempt: the longest of the waits."""
        return now + max(self.backoff, self.budget, seconds)


def outcome(
    item: OutboxItem, answer: Acknowledgement, waits: Waits, policy: RetryPolicy, *, now: float, to_all: bool = False
) -> Outcome:
    """What the answer to one attempt means. An item in doubt stays so until an answer settles it.

    A busy answer to a replay says that *this* call was not taken; it says nothing about the earlier one. `to_all`: the
    platform tells everybody to come back, or has an error for everybody, so the answer says nothing about this item.
    """
    if answer.disposition is Disposition.ACCEPTED:
        return Outcome(item=item, acknowledgement=answer)
    if answer.disposition is Disposition.REJECTED:
        return Outcome(item=item, acknowledgement=answer, hold_reason=f"rejected:{answer.native_code}")
    if answer.comes_within_seconds is not None:
        return Outcome(item=item, acknowledgement=answer, next_at=now + answer.comes_within_seconds)
    answer = keep_doubt(item, answer)
    if too_old(item, policy, now=now) if to_all else exhausted(item, policy, now=now):
        return _given_up(item, answer)
    next_at = waits.after(now, waits.asked(answer, policy))
    return Outcome(item=item, acknowledgement=answer, next_at=next_at, unanswered=to_all)


def unreached(item: OutboxItem, policy: RetryPolicy, *, now: float) -> Outcome:
    """There was no connection: nothing was taken by this attempt. It keeps its place; bounded by age, not by attempts."""
    answer = keep_doubt(item, Acknowledgement(disposition=Disposition.RETRY, native_code="no-connection"))
    if too_old(item, policy, now=now):
        return _given_up(item, answer)
    return Outcome(item=item, acknowledgement=answer, unanswered=True)


def back_in_queue(item: OutboxItem, native_code: str) -> Outcome:
    """Back in its place: the platform refused our credential before it looked at the charge."""
    answer = keep_doubt(item, Acknowledgement(disposition=Disposition.RETRY, native_code=native_code))
    return Outcome(item=item, acknowledgement=answer, unanswered=True)


def _given_up(item: OutboxItem, answer: Acknowledgement) -> Outcome:
    reason = "in-doubt" if answer.disposition is Disposition.IN_DOUBT else "attempts-exhausted"
    return Outcome(item=item, acknowledgement=answer, hold_reason=reason)


def cut_off(item: OutboxItem) -> Outcome:
    """The call was ended from our side and may have been taken; it keeps its place, before all that came after it."""
    answer = Acknowledgement(disposition=Disposition.IN_DOUBT, native_code="cut-off")
    return Outcome(item=item, acknowledgement=answer)


def held_in_doubt(item: OutboxItem, native_code: str, native_text: str = "") -> Outcome:
    """Neither a replay nor a look-up can settle it: a person asks the biller. Never resent from here."""
    answer = Acknowledgement(disposition=Disposition.IN_DOUBT, native_code=native_code, native_text=native_text)
    return Outcome(item=item, acknowledgement=answer, hold_reason="in-doubt")


def keep_doubt(item: OutboxItem, answer: Acknowledgement) -> Acknowledgement:
    """`RETRY` for an item that was in doubt before leaves it in doubt; the native code stays."""
    if not item.in_doubt or answer.disposition is not Disposition.RETRY:
        return answer
    return Acknowledgement(
        disposition=Disposition.IN_DOUBT,
        native_code=answer.native_code,
        native_text=answer.native_text,
        retry_after_seconds=answer.retry_after_seconds,
        at=answer.at,
    )


def is_failure(answer: Acknowledgement) -> bool:
    """An error of the platform's own, 500 to 599: it says nothing of what became of the charge, nor of the charge."""
    return answer.disposition is Disposition.IN_DOUBT and _FAILURE.fullmatch(answer.native_code) is not None


def answered(item: OutboxItem) -> int:
    """How many attempts were answered or lost: those that an outage made in vain say nothing about the item."""
    return item.attempts - item.unanswered


def exhausted(item: OutboxItem, policy: RetryPolicy, *, now: float) -> bool:
    """True when the attempt just made was the last one allowed."""
    return answered(item) + 1 >= policy.max_attempts or too_old(item, policy, now=now)


def too_old(item: OutboxItem, policy: RetryPolicy, *, now: float) -> bool:
    """True when the item has been tried for longer than the policy allows; time in the queue before that does not count."""
    return item.first_attempt_at is not None and now - item.first_attempt_at > policy.max_age_seconds
