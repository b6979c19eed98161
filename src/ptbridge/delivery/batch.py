"""Delivery to a destination that takes one file per run: the same promises, a whole batch at a time."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import cast

from ptbridge.delivery.attempt import Attempts
from ptbridge.delivery.clock import Clock
from ptbridge.delivery.pace import Pace
from ptbridge.delivery.policy import RetryPolicy
from ptbridge.delivery.report import DeliveryReport
from ptbridge.errors import OutcomeUnknown, PeerRefused, PeerUnavailable
from ptbridge.model import Acknowledgement, Disposition
from ptbridge.ports import BatchDestination, Destination, Outbox, OutboxItem, Outcome


async def deliver_batches(
    outbox: Outbox,
    destination: Destination,
    *,
    clock: Clock,
    policy: RetryPolicy,
    on_progress: Callable[[DeliveryReport], None] | None,
    random: Callable[[], float],
    pace: Pace,
) -> DeliveryReport:
    """Everything that is due goes into one file; a second file follows only for what waited behind it in order.

    What is in doubt is looked up first, one by one; what is surely not there joins the batch. A folder that cannot be
    written leaves the batch queued. Raises LedgerError when a start or an outcome cannot be stored.
    """
    report = DeliveryReport()
    files = cast(BatchDestination, destination)
    attempts = Attempts(destination, clock, policy, pace.gate, pace.budget, report, random)
    while items := tuple(outbox.due(now=clock.now(), limit=policy.batch_limit)):
        outbox.start(items, now=clock.now())
        outcomes = await _send(items, files, attempts)
        outbox.finish(outcomes, now=clock.now())
        for outcome in outcomes:
            report.count(outcome)
        if on_progress:
            on_progress(report)
        if report.refusal or report.postponed:
            report.ended = "refused" if report.refusal else "breaker-open"
            break
    return report


async def _send(items: Sequence[OutboxItem], files: BatchDestination, attempts: Attempts) -> tuple[Outcome, ...]:
    settled: list[Outcome] = []
    batch: list[OutboxItem] = []
    for item in items:
        outcome = await attempts.settle(item)
        if outcome is None:
            batch.append(item)
        else:
            settled.append(outcome)
    answers = await _submit(batch, files)
    assert len(answers) == len(batch), "a batch destination answers every submission"
    made = [attempts.conclude(item, answer) for item, answer in zip(batch, answers, strict=True)]
    return tuple(settled + made)


async def _submit(batch: Sequence[OutboxItem], files: BatchDestination) -> Sequence[Acknowledgement | Exception]:
    """One answer or trouble for each item of the batch; the same trouble for all when the file could not be made."""
    if not batch:
        return []
    try:
        return await files.submit_batch([item.submission for item in batch])
    except (PeerUnavailable, PeerRefused) as error:
        return [error] * len(batch)
    except OutcomeUnknown:
        return [Acknowledgement(disposition=Disposition.IN_DOUBT, native_code="lost-answer")] * len(batch)
