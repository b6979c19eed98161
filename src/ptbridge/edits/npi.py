"""The check digit of a National Provider Identifier."""

from __future__ import annotations

from functools import lru_cache

_DOUBLED = (0, 2, 4, 6, 8, 1, 3, 5, 7, 9)
_PREFIX = 24  # what the constant prefix 80840 adds to the sum


@lru_cache(maxsize=4096)
def is_npi(text: str) -> bool:
    """True for ten digits that start with 1 or 2 and whose last is the Luhn check digit over 80840 and the first nine.

    Source: CMS, "Requirements for NPI and NPI check digit" (ISO 7812; prefix 80840).
    """
    if len(text) != 10 or not text.isascii() or not text.isdigit() or text[0] not in "12":
        return False
    digits = [int(digit) for digit in text]
    return (_PREFIX + sum(_DOUBLED[digit] for digit in digits[0:9:2]) + sum(digits[1:10:2])) % 10 == 0
