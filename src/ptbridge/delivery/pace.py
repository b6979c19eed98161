"""What slows delivery down: the budget for extra calls, the circuit breaker, the pause of a busy platform (D14)."""

from __future__ import annotations

from dataclasses import dataclass

from ptbridge.delivery.policy import RetryPolicy


@dataclass(frozen=True, slots=True)
class Pace:
    """What all who call one platform share: its breaker and its budget. Clinics of one biller are one load to it."""

    gate: Gate
    budget: RetryBudget

    @classmethod
    def new(cls, policy: RetryPolicy, now: float) -> Pace:
        """Breaker closed, reserve full. `now` is monotonic seconds."""
        return cls(Gate(policy), RetryBudget(policy, now))


class RetryBudget:
    """Extra calls stay within a share of first calls. A retry is booked when it is decided; the booking says how long it waits.

    A token bucket: a first call adds `extra_calls_share` of a token, a booking takes one. Where first calls are few, time
    adds up to `extra_calls_per_second` instead, never both: many first calls have no more than their share beside them. It
    may go into debt; the wait is how long the income so far needs to pay the debt. Once no first calls are left, what was
    booked goes on at that same rate: a tenth of what the platform saw before. Times are monotonic seconds.
    """

    def __init__(self, policy: RetryPolicy, now: float) -> None:
        self._policy = policy
        self._tokens = policy.extra_calls_reserve
        self._started_at = self._at = now
        self._first_calls = 0
        self._earned = 0.0  # by first calls since `_at`

    def first_call(self) -> None:
        """An item was tried for the first time."""
        self._first_calls += 1
        self._earned += self._policy.extra_calls_share
        self._earn(self._policy.extra_calls_share)

    def book(self, now: float) -> float:
        """Take one extra call; how many seconds from now it may be made (0: at once)."""
        self._earn(max((now - self._at) * self._policy.extra_calls_per_second - self._earned, 0.0))
        self._at, self._earned = now, 0.0
        self._tokens -= 1.0
        seconds = max(now - self._started_at, 1.0)
        income = max(self._policy.extra_calls_per_second, self._policy.extra_calls_share * self._first_calls / seconds)
        return max(0.0, -self._tokens / income)

    def _earn(self, tokens: float) -> None:
        """Nothing is saved up beyond the reserve: a long good time does not buy a storm."""
        self._tokens = min(self._tokens + tokens, self._policy.extra_calls_reserve)


class Gate:
    """Circuit breaker and busy pause of one destination. Times are monotonic seconds.

    Only *different* items count, and any clear answer clears the count: one bad item can neither open the breaker nor
    make the others wait (D16). Where there are no others, as many tries of the few that there are count as much: `alone`.
    Once it is shut, one call at a time asks whether the platform works again, at most every `probe_seconds`, until there is
    a clear answer.
    """

    def __init__(self, policy: RetryPolicy) -> None:
        self._policy = policy
        self._unreachable: set[int] = set()
        self._busy: set[int] = set()
        self._in_vain = 0  # tries in a row without a connection
        self._failed: set[int] = set()
        self._errors = 0  # errors of the platform's own in a row
        self._shut_since = self._shut_until = 0.0
        self.is_open = False  # the breaker's word: open means that no calls pass
        self.is_busy = False  # everybody is told to come back later, or meets an error
        self.is_failing = False  # it is an error

    def suspect(self) -> None:
        """Begin with one call: what waits was not answered when it was last tried. Who is known to be busy is not away."""
        self.is_open = not self.is_busy

    def answered(self) -> None:
        """The platform gave a clear answer: it is there and working."""
        self._there()
        self._busy.clear()
        self._failed.clear()
        self._errors = 0
        self.is_open = self.is_busy = self.is_failing = False

    def unreachable(self, item_id: int, now: float) -> None:
        """No connection for this item."""
        self._in_vain += 1
        self._unreachable.add(item_id)
        if self.is_open or len(self._unreachable) >= self._policy.breaker_failures:
            self._open(now)

    def alone(self, now: float) -> None:
        """Nothing else is left to try than what found no connection: the breaker waits for no different items."""
        if self._in_vain >= self._policy.breaker_failures:
            self._open(now)

    def _open(self, now: float) -> None:
        self.is_open = True
        self._shut_since, self._shut_until = now, now + self._policy.probe_seconds

    def _there(self) -> None:
        self._unreachable.clear()
        self._in_vain = 0

    def busy(self, item_id: int, now: float, retry_after_seconds: float) -> None:
        """The platform said to come back later, for this item."""
        self._there()
        self._busy.add(item_id)
        if self._is_asking:
            retry_after_seconds = max(retry_after_seconds, self._policy.probe_seconds)
        elif len(self._busy) < self._policy.busy_answers:
            return
        self._pause(now, retry_after_seconds)

    def failing(self, item_id: int, now: float) -> None:
        """The platform met an error of its own over this item (5xx), and may have taken it.

        Where it does so for whatever comes, each further call would make one more doubt. Of few items, tries count as much.
        """
        self._errors += 1
        self._failed.add(item_id)
        if self._is_asking or (len(self._failed) > 1 and self._errors >= self._policy.error_answers):
            self._pause(now, self._policy.probe_seconds)
            self.is_failing = True

    @property
    def _is_asking(self) -> bool:
        """It was asked whether it works again."""
        return self.is_open or self.is_busy

    def _pause(self, now: float, seconds: float) -> None:
        if not self.is_busy:
            self._shut_since = now
        self._shut_until = max(self._shut_until, now + seconds)
        self.is_open, self.is_busy, self.is_failing = False, True, False

    def wait_seconds(self, now: float) -> float:
        """How long nobody may call; 0 when calls may pass."""
        return max(0.0, self._shut_until - now)

    @property
    def shut_seconds(self) -> float:
        """How long nobody but one who asked will have been let through when the next call may pass."""
        return self._shut_until - self._shut_since

    @property
    def width(self) -> int | None:
        """How many calls may be in flight: one that asks while nobody is served, else no limit of its own (None)."""
        return 1 if self.is_open or self.is_busy else None
