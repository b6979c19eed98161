"""What is right, told from the biller's side: its books against those of a biller that saw only one undisturbed run."""

from __future__ import annotations

from dataclasses import dataclass, field

from ptbridge_sandbox.biller_books import Books

from ptbridge.ledger import Ledger
from tests.chaos.ground import Ground
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
        doubled=sorted({*books.violations, *(name for name, live in books.live.items() if len(live) > 1)}),
        stale=sorted(
            name for name in stands.keys() - held if stands[name] != should.get(name)
        ),  # a held day keeps what was sent before it was held
    )
    code = ground.run("reconcile")
    if code != 0:
        verdict.sums.append(f"reconcile ended with exit code {code}")
    return verdict


def _undisturbed(ground: Ground) -> tuple[Live, set[str]]:
    """What one run over the EMR as it is now sends to a biller without faults, and which days it holds."""
    with running(ground.folder / "undisturbed", ground.world.store) as world:
        report = world.sync()
        assert not report.errors, report.errors
        with Ledger.open(world.config.state, write=False) as ledger:
            held = {row[1] for row in ledger.accounts.in_state(report.clinic, "held")}
        return _live(world.biller.books), held


def _live(books: Books) -> Live:
    return {
        name: (sum(one.lines for one in live), sum(one.units for one in live), sum(one.amount_cents for one in live))
        for name, live in books.live.items()
        if live
    }
