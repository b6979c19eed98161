"""CQ and CO: which units of a code an assistant furnished "in whole or in part".

Sources: Social Security Act 1834(v); 42 CFR 410.59, 410.60; 84 FR 62702; CY2022 PFS final rule, 86 FR 65169 (midpoint
exception, since 2022-01-01); CMS, "Billing Examples Using CQ/CO Modifiers". Therapist and assistant working together are
therapist minutes. The 10 % has two official computations that disagree on small totals; a clinic chooses one and records it.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Split:
    """Units with and without the assistant modifier. `gap`: no published rule covers this case, a person should look."""

    with_modifier: int
    without: int
    gap: bool = False


def over_tenth_percentage(assistant_minutes: int, total_minutes: int) -> bool:
    """The share rounded to a whole per cent (half up) is 11 or more."""
    return total_minutes > 0 and (200 * assistant_minutes + total_minutes) // (2 * total_minutes) >= 11


def over_tenth_simple(assistant_minutes: int, total_minutes: int) -> bool:
    """At least a tenth of the total, rounded to whole minutes (half up), plus one minute: of 60 minutes, 7."""
    return assistant_minutes >= (total_minutes + 5) // 10 + 1


METHODS: dict[str, Callable[[int, int], bool]] = {"percentage": over_tenth_percentage, "simple": over_tenth_simple}


def timed_split(units: int, therapist_minutes: int, assistant_minutes: int, minutes_per_unit: int, method: str) -> Split:
    """Divide a timed code's counted units between the two people, per unit.

    Full units by one person are that person's. One unit left: none when the therapist alone has more than half of its time
    (8 of 15 minutes), else by the 10 % rule over what is left. Two left with more than half by each: one and one; with less,
    no rule is published: a unit goes without the modifier only where the therapist alone carries it. Units beyond the
    minutes (the note has totals only) go to the one who furnished all; of both, with the modifier, and no rule is published.
    """
    over_tenth = METHODS[method]
    if not therapist_minutes or not assistant_minutes:
        return Split(units, 0) if assistant_minutes else Split(0, units)
    half = minutes_per_unit // 2 + 1
    by_therapist, therapist_left = divmod(therapist_minutes, minutes_per_unit)
    by_assistant, assistant_left = divmod(assistant_minutes, minutes_per_unit)
    left = units - by_therapist - by_assistant
    if left < 0:  # fewer units billed than documented: those kept are the assistant's first, so none is overpaid
        with_modifier = min(by_assistant, units)
        return Split(with_modifier, units - with_modifier)
    if left == 0:
        return Split(by_assistant, by_therapist)
    if left == 1 and therapist_left + assistant_left:
        carried = therapist_left >= half or not over_tenth(assistant_left, therapist_left + assistant_left)
        return Split(by_assistant + (not carried), by_therapist + carried)
    gap = therapist_left < half or assistant_left < half
    carried = therapist_left >= half
    return Split(by_assistant + left - carried, by_therapist + carried, gap)


def whole_split(units: int, therapist_minutes: int, assistant_minutes: int, method: str) -> Split:
    """A service that is not divided into units by time: the modifier on all of it when the assistant has over a tenth."""
    if METHODS[method](assistant_minutes, therapist_minutes + assistant_minutes):
        return Split(units, 0)
    return Split(0, units)
