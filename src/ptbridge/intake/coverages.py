"""A patient's coverages, whatever they were read from: one of what a section gives, and those that count on a day."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date
from typing import Any

from ptbridge.intake.fields import Reading
from ptbridge.model import Coverage

# The fields of a section `coverages` in the order in which `coverage_of` takes their values.
ORDER, PERIOD = "order", ("period_start", "period_end")
TEXTS = ("id", "status", "payer_id", "payer_name", "plan_name", "member_id", "group_number", "relationship")


def coverage_of(row: Sequence[Any]) -> Coverage:
    """One coverage of what was read of it. Where the source gives it no id, payer, plan and member tell it from another."""
    order, start, end, identity, status, payer_id, payer_name, plan_name, member_id, group_number, relationship = row
    return Coverage(
        id=identity or f"{payer_id or payer_name or ''}/{plan_name or ''}/{member_id or ''}",
        order=order,
        status=status,
        payer_id=payer_id,
        payer_name=payer_name,
        plan_name=plan_name,
        member_id=member_id,
        group_number=group_number,
        relationship=relationship,
        period_start=start,
        period_end=end,
    )


def in_force(found: list[Coverage], on: date | None, reading: Reading) -> tuple[Coverage, ...]:
    """Those that are in force on the service date, in billing order; reports those that are not, and an impossible order."""
    valid = [coverage for coverage in found if on is None or _covers(coverage, on)]
    if len(valid) < len(found):
        reading.report("MP14", f"{len(found) - len(valid)} of {len(found)} coverages are not in force on {on}")
    if len(valid) > 1:
        valid.sort(key=lambda coverage: (coverage.order is None, coverage.order or 0))
        _check_primary(valid, reading)
    return tuple(valid)


def _covers(coverage: Coverage, on: date) -> bool:
    start, end = coverage.period_start, coverage.period_end
    return (start is None or start <= on) and (end is None or on <= end)


def _check_primary(coverages: list[Coverage], reading: Reading) -> None:
    primaries = sum(coverage.order == 1 for coverage in coverages)
    if primaries > 1:
        reading.report("MP05", f"{primaries} coverages are both primary (order 1)", where="coverages.order")
    elif primaries == 0:
        reading.report("MP05", f"{len(coverages)} coverages, none of them primary (order 1)", where="coverages.order")
