"""A payer's own short list of code pairs, in the terms of the official tables (`reference.PairEdit`)."""

from __future__ import annotations

from dataclasses import dataclass

PAIR_MODIFIERS = ("59", "XE", "XP", "XS", "XU")


@dataclass(frozen=True, slots=True)
class Pair:
    """Column 1 is paid, column 2 is not, unless `indicator` is 1 and a modifier says why (0: never)."""

    column1: str
    column2: str
    indicator: int
    source: str


def read_pair(written: str, source: str) -> Pair:
    """Read `97140 97530 1`: column 1, column 2, indicator. Raises ValueError when it cannot be read."""
    words = written.split()
    if len(words) != 3 or any(len(code) != 5 for code in words[:2]) or words[2] not in ("0", "1") or words[0] == words[1]:
        raise ValueError(f"{written!r} needs column 1, column 2 and indicator 0 or 1, such as `97140 97530 1`")
    return Pair(words[0].upper(), words[1].upper(), int(words[2]), source)
