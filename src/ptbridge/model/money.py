"""Money is integer cents; dollars are text at the edges only."""

from __future__ import annotations

from decimal import Decimal, InvalidOperation


def cents(text: str) -> int:
    """`$1,234.50` or `1234.5` as integer cents. Raises ValueError for anything else, a fraction of a cent included."""
    cleaned = text.strip().removeprefix("$").replace(",", "")
    try:
        amount = Decimal(cleaned) * 100
        whole = int(amount)
    except (InvalidOperation, OverflowError, ValueError):
        raise ValueError(f"{text!r} is not an amount of money") from None
    if amount != whole:
        raise ValueError(f"{text!r} has a fraction of a cent")
    return whole


def dollars(amount_cents: int) -> str:
    """Integer cents as `$1,234.50`."""
    sign = "-" if amount_cents < 0 else ""
    return f"{sign}${abs(amount_cents) // 100:,}.{abs(amount_cents) % 100:02d}"


def decimal_text(amount_cents: int) -> str:
    """What is charged, in dollars as files and documents write it: `1234.50`. An amount below zero is no charge."""
    assert amount_cents >= 0, "a charge is never below zero"
    return f"{amount_cents // 100}.{amount_cents % 100:02d}"
