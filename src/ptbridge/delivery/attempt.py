"""One attempt of one item: send, replay or look up, and turn whatever happens into an Outcome."""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Callable
from dataclasses import replace

from ptbridge.delivery import verdict
from ptbridge.delivery.clock import Clock
from ptbridge.delivery.pace import Gate, RetryBudget
from ptbridge.delivery.policy import RetryPolicy
from ptbridge.delivery.quoted import unquoted
from ptbridge.delivery.report import DeliveryReport
from ptbridge.delivery.verdict import Step, Waits
from ptbridge.errors import LedgerError, OutcomeUnknown, PeerRefused, PeerUnavailable
from ptbridge.model import Acknowledgement, Disposition
from ptbridge.ports import Destination, OutboxItem, Outcome

logger = logging.getLogger(__name__)

_TOO_EARLY = "not-there-yet"
_REFUSED_AGAIN = "Sent again after a lost answer, and refused; the first attempt may be booked. Ask the biller."


class Attempts:
    """Makes attempts at one destination. Never raises for a peer's trouble; a broken item is held, not passed on."""

    def __init__(
        self,
        destination: Destination,
        clock: Clock,
        policy: RetryPolicy,
        gate: Gate,
        budget: RetryBudget,
        report: DeliveryReport,
        random: Callable[[], float],
    ) -> None:
        self._destination = destination
        self._clock = clock
        self._policy = policy
        self._gate = gate
        self._budget = budget
        self._report = report
        self._random = random
        self._run_started_at = clock.now()
        self._doubt_at: dict[int, float] = {}  # item id -> when this run lost its answer, Unix seconds
        self._in_vain: Counter[int] = Counter()  # item id -> times that this run found no connection for it
        self.resting: dict[int, float] = {}  # item id -> monotonic second before which this run does not try it again

    async def make(self, item: OutboxItem) -> Outcome:
        """Try once. The start is already durable; the caller makes the outcome so."""
        if item.attempts == 0:
            self._budget.first_call()
        outcome = await self.settle(item)
        if outcome is not None:
            return outcome
        try:
            return self.conclude(item, await self._send(item))
        except LedgerError:
            raise
        except Exception as error:  # D16: one bad item never takes the others with it
            return self.conclude(item, error)

    async def settle(self, item: OutboxItem) -> Outcome | None:
        """Settle a doubt without sending. None: the same bytes may be sent, for the first time or again."""
        step = verdict.next_step(item, self._destination.capabilities, self._policy, now=self._clock.now())
        if step in (Step.SEND, Step.REPLAY):
            return None
        if step is Step.HOLD:
            return verdict.held_in_doubt(item, "no-way-to-know")
        try:
            answer = await self._look_up(item)
        except LedgerError:
            raise
        except Exception as error:  # D16
            return self.conclude(item, error)
        return None if answer is None else self.conclude(item, answer)

    def conclude(self, item: OutboxItem, result: Acknowledgement | Exception) -> Outcome:
        """What an attempt's answer, or its trouble, means."""
        match result:
            case Acknowledgement():
                return self._answered(item, unquoted(result, item.submission.body))
            case PeerUnavailable():
                return self._unreached(item, result)
            case PeerRefused():
                self._report.refusal = str(result)
                return verdict.back_in_queue(item, str(result.status or "refused"))
            case OutcomeUnknown():
                lost = Acknowledgement(disposition=Disposition.IN_DOUBT, native_code="lost-answer")
                return self._answered(item, lost)
            case _:  # a fault in the destination's own code: what it did is unknown
                logger.error("submission %d: %s in the destination; held in doubt", item.id, type(result).__name__)
                return verdict.held_in_doubt(item, type(result).__name__)

    # ------------------------------------------------------------ calls

    async def _send(self, item: OutboxItem) -> Acknowledgement:
        """Send, or replay with the same key and bytes. A refused replay is looked up: the earlier attempt may be why."""
        can = self._destination.capabilities
        answer = await self._destination.submit(item.submission)
        if item.in_doubt and answer.disposition is Disposition.REJECTED and can.find:
            return await self._find(item) or answer
        if answer.disposition is Disposition.ACCEPTED and can.read_back:
            return await self._read_back(item, answer)
        return answer

    async def _read_back(self, item: OutboxItem, answer: Acknowledgement) -> Acknowledgement:
        """What the platform has, not what it said: only the whole charge counts as taken, anything else is settled later."""
        try:
            found = await self._find(item)
        except (PeerUnavailable, PeerRefused, OutcomeUnknown) as error:
            logger.warning("submission %d: accepted and not read back (%s)", item.id, type(error).__name__)
            found = None
        if found is None:
            lag_seconds = self._destination.capabilities.find_lag_seconds
            return Acknowledgement(
                disposition=Disposition.IN_DOUBT, native_code="not-read-back", retry_after_seconds=lag_seconds
            )
        if found.disposition is Disposition.ACCEPTED and found.destination_id is None:
            return replace(found, destination_id=answer.destination_id)
        return found

    def _refused_again(self, item: OutboxItem, answer: Acknowledgement) -> bool:
        """A replay was refused and nobody can be asked what became of the attempt before: it may well stand there."""
        return item.in_doubt and answer.disposition is Disposition.REJECTED and not self._destination.capabilities.find

    async def _look_up(self, item: OutboxItem) -> Acknowledgement | None:
        """Found: settled. Surely not there: None. Not there, but too early to believe it: still in doubt, for a while."""
        found = await self._find(item)
        if found is not None:
            return found
        believed_at = verdict.absence_believed_at(
            item,
            self._destination.capabilities,
            self._policy,
            doubt_at=self._doubt_at.get(item.id),
            run_started_at=self._run_started_at,
        )
        wait_seconds = believed_at - self._clock.now()
        if wait_seconds <= 0:
            return None
        return Acknowledgement(disposition=Disposition.IN_DOUBT, native_code=_TOO_EARLY, retry_after_seconds=wait_seconds)

    async def _find(self, item: OutboxItem) -> Acknowledgement | None:
        self._report.look_ups += 1
        return await self._destination.find(item.submission)

    # ------------------------------------------------------------ outcomes

    def _answered(self, item: OutboxItem, answer: Acknowledgement) -> Outcome:
        now = self._clock.now()
        if answer.disposition in (Disposition.ACCEPTED, Disposition.REJECTED):
            self._gate.answered()
            self._doubt_at.pop(item.id, None)
            if self._refused_again(item, answer):
                return verdict.held_in_doubt(item, answer.native_code, f"{_REFUSED_AGAIN} {answer.native_text}".strip())
            return verdict.outcome(item, answer, Waits(backoff=0, budget=0), self._policy, now=now)
        waits, to_all = self._waits(verdict.answered(item)), False
        if answer.disposition is Disposition.RETRY:
            self._gate.busy(item.id, self._clock.monotonic(), waits.asked(answer, self._policy))
            to_all = self._gate.is_busy
        elif answer.native_code != _TOO_EARLY:
            self._doubt_at[item.id] = now
            if verdict.is_failure(answer):
                self._gate.failing(item.id, self._clock.monotonic())
                to_all = self._gate.is_busy
        return verdict.outcome(item, answer, waits, self._policy, now=now, to_all=to_all)

    def _unreached(self, item: OutboxItem, error: PeerUnavailable) -> Outcome:
        """No connection; or, with a status, a look-up that was told to come back later, which is an answer."""
        if error.status is not None:
            busy = Acknowledgement(
                disposition=Disposition.RETRY,
                native_code=str(error.status),
                retry_after_seconds=error.retry_after_seconds,
            )
            return self._answered(item, busy)
        now = self._clock.monotonic()
        self._gate.unreachable(item.id, now)
        outcome = verdict.unreached(item, self._policy, now=self._clock.now())
        if self._gate.is_open:  # the breaker waits for all of them, and then each has its place
            self.resting.clear()
        elif outcome.hold_reason is None:
            self.resting[item.id] = self._waits(self._in_vain[item.id]).after(now)
            self._in_vain[item.id] += 1
        return outcome

    def _waits(self, attempts: int) -> Waits:
        """Book the retry that will follow, after so many attempts before this one."""
        backoff = self._policy.delay_seconds(attempts + 1, self._random())
        return Waits(backoff=backoff, budget=self._budget.book(self._clock.monotonic()))
