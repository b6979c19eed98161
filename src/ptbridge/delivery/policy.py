"""The numbers of delivery: how often, how long, how far apart. Sources: delivery contract D12, D13, D14, D29."""

from __future__ import annotations

from dataclasses import dataclass

DAY_SECONDS = 86_400.0


@dataclass(frozen=True, slots=True, kw_only=True)
class RetryPolicy:
    """When to try again and when to stop. All times in seconds.

    `max_attempts` bounds attempts that were answered (or lost); those that found no connection, a refused credential or a
    platform that turned everybody away, or had an error for everybody, count by age only, since an outage is not the item's
    fault (a clearinghouse was away for 37 days in 2024: a biller's outage must not turn every charge into a hold).
    `replays_before_look_up`: a key replayed that often without an answer is looked up instead, because a platform may replay
    a saved 500 for ever (D11).
    """

    first_delay_seconds: float = 1.0
    max_delay_seconds: float = 300.0
    max_attempts: int = 12
    max_age_seconds: float = 60 * DAY_SECONDS
    idle_seconds: float = 60.0  # a run waits no longer for a retry, or for who turns everybody away; the next run does
    max_retry_after_seconds: float = 3_600.0
    replays_before_look_up: int = 3
    key_margin_seconds: float = 300.0  # a replay must reach the platform this long before its key window closes
    extra_calls_share: float = 0.10  # calls beyond the first of an item, as a share of first calls
    extra_calls_reserve: float = 10.0  # so that a small clinic's day can retry at all
    extra_calls_per_second: float = 2.0  # so that the last few retries of a run do not wait for ever
    breaker_failures: int = 5  # different items in a row without a connection
    probe_seconds: float = 30.0
    end_when_open: bool = True  # a sync run leaves the rest queued; False: probe until the deadline
    busy_answers: int = 5  # different items in a row told to come back: everyone pauses
    error_answers: int = 10  # answers in a row that are errors of its own (5xx), to more than one item: everyone pauses
    stop_grace_seconds: float = 5.0  # after a stop, how long the calls in flight may take before they are in doubt (D29)
    longest_call_seconds: float = 300.0  # no call lasts longer; also how long after its start one may still take effect
    batch_limit: int = 20_000  # submissions in one file

    def delay_seconds(self, attempts: int, random: float) -> float:
        """Capped exponential backoff with full jitter: uniform in (0, min(cap, first * 2**(attempts-1))].

        `attempts` made so far, at least 1; `random` in [0, 1).
        """
        ceiling = min(self.max_delay_seconds, self.first_delay_seconds * 2.0 ** min(attempts - 1, 30))
        return ceiling * (1.0 - random)
