"""What the pretend HL7 biller has booked, and what it noticed: an auditor of its own that shares no code with the sender."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True, slots=True)
class BookedLine:
    """One live charge line, by its FT1-2."""

    transaction_id: str
    visit: str  # PV1-19
    service_date: str  # YYYYMMDD
    procedure: str
    modifiers: tuple[str, ...]
    units: int
    amount_cents: int


@dataclass(slots=True)
class Hl7Books:
    """`by_visit`: a message of charges replaces its visit. `ignores_repeats`: a charge whose FT1-2 is live changes nothing."""

    by_visit: bool = False
    ignores_repeats: bool = False
    lines: list[BookedLine] = field(default_factory=list)
    events: Counter[str] = field(default_factory=Counter)
    violations: list[str] = field(default_factory=list)

    def book(self, message: str) -> str:
        """Take a DFT message. Returns the reason why it can never be booked, empty when it was."""
        separator = message[3]
        segments = [text.split(separator) for text in message.replace("\n", "\r").split("\r") if text]
        visit = next((at(one, 19) for one in segments if one[0] == "PV1"), "")
        charges = [one for one in segments if one[0] == "FT1"]
        if not charges or not visit:
            return "no FT1 or no visit number"
        if self.by_visit and all(at(one, 6) == "CG" for one in charges):
            self.lines = [line for line in self.lines if line.visit != visit]
            self.events["visit-replaced"] += 1
        for one in charges:
            self._line(one, visit, message[4])
        self.events["messages"] += 1
        return ""

    def totals(self) -> dict[str, Any]:
        """Live lines, units, cents, what happened, and what should never have happened."""
        return {
            "lines": len(self.lines),
            "units": sum(line.units for line in self.lines),
            "amount_cents": sum(line.amount_cents for line in self.lines),
            "events": dict(self.events),
            "violations": list(self.violations),
        }

    def _line(self, fields: list[str], visit: str, component: str) -> None:
        line = BookedLine(
            transaction_id=at(fields, 2),
            visit=visit,
            service_date=at(fields, 4),
            procedure=at(fields, 25).split(component)[0],
            modifiers=tuple(filter(None, at(fields, 26).split("~"))),
            units=abs(int(at(fields, 10))),
            amount_cents=abs(round(float(at(fields, 11).split("&")[0] or 0) * 100)),
        )
        if at(fields, 6) == "CG":
            self._charge(line)
        else:
            self._credit(line)

    def _charge(self, line: BookedLine) -> None:
        if any(one.transaction_id == line.transaction_id for one in self.lines):
            if self.ignores_repeats:
                self.events["repeat-ignored"] += 1
                return
            self.violations.append(f"booked twice: {line.transaction_id}")
        self.lines.append(line)
        self.events["charged"] += 1

    def _credit(self, line: BookedLine) -> None:
        matching = [one for one in self.lines if one.transaction_id == line.transaction_id]
        if not matching:
            self.violations.append(f"credit without a charge: {line.transaction_id}")
            return
        if (matching[0].procedure, matching[0].units, matching[0].amount_cents) != (
            line.procedure,
            line.units,
            line.amount_cents,
        ):
            self.violations.append(f"credit differs from its charge: {line.transaction_id}")
        self.lines.remove(matching[0])
        self.events["credited"] += 1


def at(fields: list[str], number: int) -> str:
    """Field `number` of a split segment; empty when the segment ends before it."""
    return fields[number] if number < len(fields) else ""
