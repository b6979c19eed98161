"""Fee schedules: what the clinic charges for one unit, in exact cents."""

from __future__ import annotations

import csv
from dataclasses import dataclass
from datetime import date
from pathlib import Path

from ptbridge.errors import ConfigError
from ptbridge.model import cents

_REQUIRED = {"procedure", "amount", "from"}
_KNOWN = _REQUIRED | {"modifiers", "to", "source"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Fee:
    """The price of one unit between two service dates, both inclusive. `modifiers` empty: any modifiers."""

    procedure: str
    modifiers: frozenset[str] = frozenset()
    amount_cents: int
    from_: date
    to: date | None = None
    source: str = ""
    where: str = ""


class FeeSchedule:
    """Prices by procedure. Of several that fit, the one that names the most of the line's modifiers wins."""

    __slots__ = ("_fees", "name")

    def __init__(self, fees: list[Fee], name: str = "") -> None:
        self.name = name
        self._fees: dict[str, list[Fee]] = {}
        for fee in fees:
            self._fees.setdefault(fee.procedure, []).append(fee)
        for rows in self._fees.values():
            rows.sort(key=lambda fee: -len(fee.modifiers))
            _refuse_overlaps(rows)

    def price(self, procedure: str, modifiers: tuple[str, ...], on: date) -> int | None:
        """Cents for one unit, or None when no row fits; an absent price is never another code's price."""
        for fee in self._fees.get(procedure, ()):
            if fee.from_ > on or (fee.to is not None and fee.to < on):
                continue
            if not fee.modifiers or fee.modifiers.issubset(modifiers):
                return fee.amount_cents
        return None

    def __len__(self) -> int:
        return sum(map(len, self._fees.values()))


def load_fees(path: Path) -> FeeSchedule:
    """Read a CSV with the columns procedure, modifiers, amount, from, to, source (modifiers, to and source may be absent).

    `modifiers` are separated by spaces, `amount` is dollars for one unit. Raises ConfigError with file:line for an unknown
    column, an unreadable amount or date, and two rows of the same procedure and modifiers whose dates overlap.
    """
    try:
        lines = path.read_text(encoding="utf-8-sig").splitlines()
    except OSError as problem:
        raise ConfigError(f"cannot be read ({problem.strerror}); name an existing file under `fees`", where=str(path)) from None
    rows = csv.DictReader(lines)
    columns = set(rows.fieldnames or ())
    if not _REQUIRED <= columns <= _KNOWN:
        raise ConfigError(
            f"columns are {', '.join(sorted(columns)) or 'missing'}; write procedure,modifiers,amount,from,to,source",
            where=f"{path}:1",
        )
    return FeeSchedule([_fee(row, f"{path}:{rows.line_num}") for row in rows], name=path.name)


def _fee(row: dict[str, str], where: str) -> Fee:
    try:
        fee = Fee(
            procedure=row["procedure"].strip().upper(),
            modifiers=frozenset((row.get("modifiers") or "").upper().replace("-", " ").split()),
            amount_cents=cents(row["amount"]),
            from_=date.fromisoformat(row["from"].strip()),
            to=date.fromisoformat(row["to"].strip()) if (row.get("to") or "").strip() else None,
            source=(row.get("source") or "").strip(),
            where=where,
        )
    except (ValueError, AttributeError, TypeError) as problem:
        raise ConfigError(f"{problem}; write dollars as 60.00 and dates as 2026-01-01", where=where) from None
    if len(fee.procedure) != 5 or fee.amount_cents < 0 or (fee.to is not None and fee.to < fee.from_):
        raise ConfigError(
            f"{fee.procedure or 'procedure'}: needs a five-character code, an amount of zero or more, and `to` after `from`",
            where=where,
        )
    return fee


def _refuse_overlaps(rows: list[Fee]) -> None:
    for index, fee in enumerate(rows):
        for other in rows[index + 1 :]:
            if fee.modifiers == other.modifiers and _meet(fee, other):
                raise ConfigError(
                    f"{fee.procedure} has two prices on the same day, here and at {other.where}; end the older one",
                    where=fee.where,
                )


def _meet(one: Fee, other: Fee) -> bool:
    return (other.to is None or one.from_ <= other.to) and (one.to is None or other.from_ <= one.to)
