"""Control totals: what the sender says a file holds, against what is there. A difference refuses the whole file."""

from __future__ import annotations

import csv
from collections.abc import Iterable, Mapping
from decimal import Decimal, InvalidOperation

import orjson

from ptbridge.wire.extract_profile import ControlTotals
from ptbridge.wire.extract_rows import BrokenFile, Row

MAX_SIDECAR_BYTES = 64 * 1024


def stated_in_sidecar(content: bytes) -> dict[str, str]:
    """Name -> value of a sidecar: a flat JSON object, or a heading line and one line of values. Raises BrokenFile."""
    text = content.decode("utf-8-sig", "replace").strip()
    if text.startswith("{"):
        try:
            document = orjson.loads(text)
        except orjson.JSONDecodeError:
            raise BrokenFile("its control totals are not readable as JSON.") from None
        return {str(name): str(value) for name, value in document.items()}
    lines = [row for row in csv.reader(text.splitlines()) if any(cell.strip() for cell in row)]
    if len(lines) != 2 or len(lines[0]) != len(lines[1]):
        raise BrokenFile("its control totals are not a heading line and one line of values.")
    return {name.strip(): value.strip() for name, value in zip(*lines, strict=True)}


def stated_in_trailer(row: Row) -> dict[str, str]:
    """1-based position -> cell of the trailer row."""
    return {str(place): cell for place, cell in enumerate(row.cells, start=1)}


def check(totals: ControlTotals, stated: Mapping[str, str], header: Mapping[str, int], rows: list[Row], visits: int) -> None:
    """Raise BrokenFile, with all that differs, unless counts and sums are exactly as stated."""
    wrong: list[str] = []
    for what, name, counted in (("rows", totals.rows, len(rows)), ("visits", totals.visits, visits)):
        if name is not None:
            wrong += _differs(what, _amount(stated.get(name)), Decimal(counted))
    for column, name in totals.sums.items():
        wrong += _differs(f"the sum of {column}", _amount(stated.get(name)), _sum(column, header, rows))
    if wrong:
        raise BrokenFile(f"control totals differ: {'; '.join(wrong)}. Nothing of it was taken; ask for the file again.")


def _differs(what: str, stated: Decimal | None, counted: Decimal) -> Iterable[str]:
    if stated is None:
        yield f"{what} is not stated"
    elif stated != counted:
        yield f"{what}: {stated:f} stated, {counted:f} counted"


def _sum(column: str, header: Mapping[str, int], rows: list[Row]) -> Decimal:
    place = header.get(column)
    if place is None:
        raise BrokenFile(f"the column {column!r} of the control totals is missing.")
    total = Decimal(0)
    for row in rows:
        cell = row.cells[place] if place < len(row.cells) else ""
        amount = _amount(cell) if cell else Decimal(0)
        if amount is None:
            raise BrokenFile(f"line {row.line}: {column} is no number, so the control totals cannot be checked.")
        total += amount
    return total


def _amount(written: str | None) -> Decimal | None:
    """`1,234.50`, `$1234.5` or `12`; None for anything else."""
    try:
        amount = Decimal((written or "").strip().removeprefix("$").replace(",", ""))
    except InvalidOperation:
        return None
    return amount if amount.is_finite() else None
