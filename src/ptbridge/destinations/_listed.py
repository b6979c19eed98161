"""From a platform's own list to what stands there under each reference, so that `reconcile` sees a second charge as well."""

from __future__ import annotations

from collections.abc import Hashable, Iterable
from typing import TypeVar

from ptbridge.model import Frequency

Amounts = tuple[int, int]  # units, cents
T = TypeVar("T")


def summed(listed: Iterable[tuple[Hashable, str, Amounts]]) -> dict[str, Amounts]:
    """By reference, from each entry's id there, its reference and its amounts.

    An entry that a later page repeats counts once; two entries of one reference are added up.
    """
    seen: set[Hashable] = set()
    found: dict[str, Amounts] = {}
    for id_, reference, (units, cents) in listed:
        if id_ in seen:
            continue
        seen.add(id_)
        before = found.get(reference, (0, 0))
        found[reference] = before[0] + units, before[1] + cents
    return found


def still_standing(claims: Iterable[tuple[str, T]]) -> list[T]:
    """Which of a day's claims stand, from the frequency of each in the order in which they were taken, without refused ones.

    A replacement (7) stands for the claim before it, a void (8) takes that back, an original (1) stands beside what is there.
    """
    standing: list[T] = []
    for frequency, claim in claims:
        if frequency != Frequency.ORIGINAL and standing:
            standing.pop()
        if frequency != Frequency.VOID:
            standing.append(claim)
    return standing
