"""What a correction changes, line by line: what is live at the biller beside what the day bills now."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from ptbridge.model.money import dollars


@dataclass(frozen=True, slots=True, kw_only=True)
class ShownLine:
    """A billed line as a person is shown it: procedure, modifiers, units, cents. No minutes: a biller has none."""

    procedure: str
    modifiers: tuple[str, ...] = ()
    units: int = 0
    amount_cents: int | None = None

    def __str__(self) -> str:
        modifiers = "".join(f"-{modifier}" for modifier in self.modifiers)
        amount = "" if self.amount_cents is None else f" {dollars(self.amount_cents)}"
        return f"{self.procedure}{modifiers} x{self.units}{amount}"


@dataclass(frozen=True, slots=True, kw_only=True)
class LineChange:
    """One line that differs. `before` None: the line is new. `after` None: it is billed no longer."""

    before: ShownLine | None
    after: ShownLine | None

    @property
    def units(self) -> int:
        """Units more (less: negative) than before."""
        return (self.after.units if self.after else 0) - (self.before.units if self.before else 0)

    @property
    def amount_cents(self) -> int:
        """Cents more (less: negative) than before; a line without a price counts as nothing."""
        return ((self.after and self.after.amount_cents) or 0) - ((self.before and self.before.amount_cents) or 0)

    def __str__(self) -> str:
        if self.before is None:
            return f"add {self.after}"
        return f"take off {self.before}" if self.after is None else f"{self.before} becomes {self.after}"


def line_changes(before: Sequence[ShownLine], after: Sequence[ShownLine]) -> list[LineChange]:
    """The lines that differ, in the order of `before`, then the new ones.

    Equal lines are set aside first. What is left is paired by procedure and modifiers, then by procedure alone, in order,
    so that changed units or modifiers read as one change of one line.
    """
    old, new = list(before), list(after)
    for line in before:
        if line in new:
            new.remove(line)
            old.remove(line)
    pairs: dict[int, ShownLine] = {}
    for same in (_procedure_and_modifiers, _procedure):
        for place, line in enumerate(old):
            match = next((one for one in new if same(one) == same(line)), None) if place not in pairs else None
            if match is not None:
                pairs[place] = match
                new.remove(match)
    changed = [LineChange(before=line, after=pairs.get(place)) for place, line in enumerate(old)]
    return changed + [LineChange(before=None, after=line) for line in new]


def _procedure_and_modifiers(line: ShownLine) -> tuple[str, frozenset[str]]:
    return line.procedure, frozenset(line.modifiers)


def _procedure(line: ShownLine) -> str:
    return line.procedure
