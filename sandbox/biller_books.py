"""The books of the sandbox biller: what stands under each reference, everything that ever happened, and the auditor.

Pure bookkeeping, no network. A reference holds a *list* of live charges on purpose: with `strict=False` the books behave
like a biller without duplicate protection, and the auditor then catches a double that really stands there.
"""

from __future__ import annotations

from bisect import bisect_right
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

ORIGINAL, REPLACEMENT, VOID = "1", "7", "8"


@dataclass(slots=True, kw_only=True)
class Standing:
    """One charge at the biller."""

    id: str
    reference: str
    status: str
    frequency: str
    idempotency_key: str
    service_date: str
    lines: int
    units: int
    amount_cents: int
    taken_at: float  # monotonic seconds

    def answer(self) -> dict[str, Any]:
        """As the contract's StandingCharge."""
        return {
            "id": self.id,
            "reference": self.reference,
            "status": self.status,
            "frequency": self.frequency,
            "idempotency_key": self.idempotency_key,
            "service_date": self.service_date,
            "totals": {"lines": self.lines, "units": self.units, "amount_cents": self.amount_cents},
        }


class Refusal(Exception):
    """The biller says no: HTTP status and the contract's problem."""

    def __init__(self, status: int, code: str, title: str, **more: Any) -> None:
        super().__init__(code)
        self.status = status
        self.code = code
        self.problem = {"code": code, "status": status, "title": title, **more}


@dataclass(slots=True, kw_only=True)
class Books:
    """All charges, live and past. `violations` is what the auditor found; it stays empty at a biller that is fed well."""

    clock: Callable[[], float]
    strict: bool = True
    live: dict[str, list[Standing]] = field(default_factory=dict)
    latest: dict[str, Standing] = field(default_factory=dict)
    history: list[tuple[str, str, str]] = field(default_factory=list)  # (event, reference, idempotency key)
    events: Counter[str] = field(default_factory=Counter)
    violations: list[str] = field(default_factory=list)
    _taken_keys: set[str] = field(default_factory=set)
    _numbers: int = 0
    _sorted: list[str] | None = None

    def take(self, frequency: str, reference: str, document: dict[str, Any], key: str) -> tuple[Standing, int]:
        """Take an original, a replacement or a void; the charge as it stands now and the HTTP status. Raises Refusal."""
        if frequency == ORIGINAL:
            standing, status = self._original(reference, document, key), 201
        elif frequency == REPLACEMENT:
            standing, status = self._replace(reference, document, key), 200
        else:
            standing, status = self._void(reference, key), 200
        self._sorted = None
        self._taken_keys.add(key)
        self.history.append(({ORIGINAL: "created", REPLACEMENT: "replaced", VOID: "voided"}[frequency], reference, key))
        self.events[self.history[-1][0]] += 1
        self._audit(reference)
        return standing, status

    def _original(self, reference: str, document: dict[str, Any], key: str) -> Standing:
        """A reference that was taken back may be used anew, but never by a key that was taken before."""
        standing = self.latest.get(reference)
        if self.strict and standing is not None and (standing.status == "live" or key in self._taken_keys):
            raise Refusal(409, "reference-exists", "A charge has this reference already.", charge=standing.answer())
        made = self._made(ORIGINAL, reference, document, key)
        self.live.setdefault(reference, []).append(made)
        self.latest[reference] = made
        return made

    def _replace(self, reference: str, document: dict[str, Any], key: str) -> Standing:
        before = self._standing(reference)
        made = self._made(REPLACEMENT, reference, document, key)
        made.id = before.id
        self.live[reference] = [made]
        self.latest[reference] = made
        return made

    def _void(self, reference: str, key: str) -> Standing:
        before = self._standing(reference)
        self.live.pop(reference, None)
        before.status, before.frequency, before.idempotency_key = "void", VOID, key
        before.taken_at = self.clock()
        self.latest[reference] = before
        return before

    def _standing(self, reference: str) -> Standing:
        """The live charge under a reference. Raises Refusal when there is none."""
        standing = self.latest.get(reference)
        if standing is None:
            raise Refusal(404, "unknown-reference", "Nothing was ever taken under this reference.")
        if standing.status != "live":
            raise Refusal(409, "not-live", "The charge was taken back.", charge=standing.answer())
        return standing

    def _made(self, frequency: str, reference: str, document: dict[str, Any], key: str) -> Standing:
        self._numbers += 1
        totals = document["totals"]
        return Standing(
            id=f"B{self._numbers:08d}",
            reference=reference,
            status="live",
            frequency=frequency,
            idempotency_key=key,
            service_date=document["service_date"],
            lines=totals["lines"],
            units=totals["units"],
            amount_cents=totals["amount_cents"],
            taken_at=self.clock(),
        )

    def _audit(self, reference: str) -> None:
        """Contract D2, on every request: at most one live charge under a reference."""
        count = len(self.live.get(reference, ()))
        if count > 1:
            self.violations.append(f"{reference}: {count} live charges")

    def page(self, first: str, last: str, after: str, limit: int) -> tuple[list[Standing], str]:
        """Live charges of those service dates (both included), by reference, and where the next page starts ("" at the end)."""
        if self._sorted is None:
            self._sorted = sorted(self.live)
        found: list[Standing] = []
        for reference in self._sorted[bisect_right(self._sorted, after) :]:
            found.extend(charge for charge in self.live[reference] if first <= charge.service_date <= last)
            if len(found) >= limit:
                return found, reference
        return found, ""

    def totals(self) -> dict[str, int]:
        """Live charges, lines, units and cents."""
        standing = [charge for charges in self.live.values() for charge in charges]
        return {
            "charges": len(standing),
            "lines": sum(charge.lines for charge in standing),
            "units": sum(charge.units for charge in standing),
            "amount_cents": sum(charge.amount_cents for charge in standing),
        }
