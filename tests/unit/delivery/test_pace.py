"""Budget, breaker and pause, by themselves."""

from __future__ import annotations

import pytest

from ptbridge.delivery.pace import Gate, RetryBudget
from ptbridge.delivery.policy import RetryPolicy

POLICY = RetryPolicy()


def test_the_budget_lets_a_reserve_through_and_then_makes_retries_wait():
    budget = RetryBudget(POLICY, now=0.0)
    waits = [budget.book(0.0) for _ in range(14)]
    assert waits[:10] == [0.0] * 10 and waits[10:] == [0.5, 1.0, 1.5, 2.0]


def test_first_calls_pay_for_a_tenth_of_retries():
    budget = RetryBudget(POLICY, now=0.0)
    for _ in range(10):
        budget.book(0.0)
    free = 0
    for call in range(1000):
        budget.first_call()
        if call % 10 == 9:
            free += budget.book(0.0) < 1e-6
    assert free == 100


def test_the_budget_does_not_save_up():
    budget = RetryBudget(POLICY, now=0.0)
    for _ in range(10_000):
        budget.first_call()
    assert sum(budget.book(1000.0) == 0.0 for _ in range(50)) == 10


@pytest.mark.parametrize(("ids", "open_"), [([7] * 50, False), ([1, 2, 3, 4], False), ([1, 2, 3, 4, 5], True)])
def test_only_different_items_open_the_breaker(ids, open_):
    gate = Gate(POLICY)
    for id_ in ids:
        gate.unreachable(id_, now=100.0)
    assert gate.is_open is open_ and gate.wait_seconds(100.0) == (30.0 if open_ else 0.0)


def test_an_answer_closes_the_breaker_and_forgets():
    gate = Gate(POLICY)
    for id_ in range(5):
        gate.unreachable(id_, now=100.0)
    assert gate.width == 1
    gate.answered()
    for id_ in range(4):
        gate.unreachable(id_, now=140.0)
    assert not gate.is_open and gate.width is None


@pytest.mark.parametrize(("ids", "pause"), [([7] * 50, 0.0), ([1, 2, 3, 4], 0.0), ([1, 2, 3, 4, 5], 12.0)])
def test_only_different_items_make_everyone_pause(ids, pause):
    gate = Gate(POLICY)
    for id_ in ids:
        gate.busy(id_, now=100.0, retry_after_seconds=12.0)
    assert gate.wait_seconds(100.0) == pause and not gate.is_open


def test_backoff_doubles_to_its_cap_with_full_jitter():
    assert [POLICY.delay_seconds(attempts, 0.0) for attempts in (1, 2, 3, 9, 10, 99)] == [1, 2, 4, 256, 300, 300]
    assert POLICY.delay_seconds(3, 0.75) == 1.0
    assert POLICY.delay_seconds(1, 0.999) > 0
