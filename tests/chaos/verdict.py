"""What is right, told from the biller's side: its books against those of a biller that saw only one undisturbed run."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from typing import Any

from ptbridge_sandbox.biller_books import Books

from ptbridge import jobs
from tests.chaos.ground import DIFFERS, DONE, Ground
from tests.chaos.tampering import WAYS, tamper
from tests.world import running

Live = dict[str, tuple[int, int, int]]  # reference -> lines, units, cents


@dataclass
class Verdict:
    """The four ways to be wrong, each with the references concerned; none of them holds patient data."""

    lost: list[str] = field(default_factory=list)
    doubled: list[str] = field(default_factory=list)
    stale: list[str] = field(default_factory=list)  # still there, or still as it was before an edit
    sums: list[str] = field(default_factory=list)

    @property
    def troubles(self) -> list[str]:
        """One sentence each; empty when all is right."""
        words = {"lost": self.lost, "doubled": self.doubled, "stale or wrong": self.stale, "sums": self.sums}
        return [f"{kind}: {', '.join(found)}" for kind, found in words.items() if found]


def judge(ground: Ground) -> Verdict:
    """Compare after calm: what stands at the biller, what should, and what ptbridge itself says stands there."""
    should, held = _undisturbed(ground)
    books = ground.world.biller.books
    stands = _live(books)
    verdict = Verdict(
        lost=sorted(should.keys() - stands.keys()),
        doubled=sorted({*(said.partition(":")[0] for said in books.violations), *_twice(books)}),
        stale=sorted(
            name for name in stands.keys() - held if stands[name] != should.get(name)
        ),  # a held day keeps what was sent before it was held
    )
    verdict.sums = _sums(ground, books)
    if not verdict.troubles:
        verdict.sums = _sabotage(ground, books)
    return verdict


def _sums(ground: Ground, books: Books) -> list[str]:
    """What `reconcile` says against the biller's own books: counts, units and cents, from both sides."""
    code, answer = _reconciled(ground)
    totals = {name: count for name, count in books.totals().items() if name != "lines"}
    named = ", ".join(f"{row['reference']} {row['why']}" for row in answer["differences"][:3])
    found = [f"reconcile ended with exit code {code}: {named}"] if code != DONE else []
    found += [f"{side} {answer[side]}, in the books {totals}" for side in ("ours", "theirs") if answer[side] != totals]
    return found if answer["agrees"] else [*found, "it does not agree"]


def _sabotage(ground: Ground, books: Books) -> list[str]:
    """The biller's data is changed behind everybody's back: one reconcile must name the charge."""
    way = ground.dice.choice(sorted(WAYS))
    reference = tamper(books, way, ground.dice)
    code, answer = _reconciled(ground)
    named = [row["reference"] for row in answer["differences"]]
    if code == DIFFERS and named == [reference]:
        return []
    return [f"a charge was {way} at the biller ({reference}): reconcile ended with exit code {code} and named {named}"]


def _reconciled(ground: Ground) -> tuple[int, dict[str, Any]]:
    code, told = ground.told("reconcile", "--json", "--no-schedule")
    (answer,) = json.loads(told).values()
    return code, answer


def _undisturbed(ground: Ground) -> tuple[Live, set[str]]:
    """What one run over the EMR as it is now sends to a biller without faults, and which days it holds."""
    with running(ground.folder / "undisturbed", ground.world.store) as world:
        report = world.sync()
        assert not report.errors, report.errors
        held = {row["id"] for row in jobs.held(world.config)}
        return _live(world.biller.books), held


def _twice(books: Books) -> set[str]:
    return {name for name, live in books.live.items() if len(live) > 1}


def _live(books: Books) -> Live:
    return {
        name: (sum(one.lines for one in live), sum(one.units for one in live), sum(one.amount_cents for one in live))
        for name, live in books.live.items()
        if live
    }
