"""What the biller says of one day, and which words of a person it speaks against."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import pytest

from ptbridge.errors import PeerUnavailable
from ptbridge.jobs.biller_says import BillerSays, ask
from ptbridge.ledger import Made
from ptbridge.model import Acknowledgement, Disposition, Frequency

WORTH = (2, 9000)
THERE = Acknowledgement(disposition=Disposition.ACCEPTED, native_code="201", native_text="Testerly")
REFUSED = Acknowledgement(disposition=Disposition.REJECTED, native_code="differs", native_text="Testerly")
UNSURE = Acknowledgement(disposition=Disposition.IN_DOUBT, native_code="file-altered", native_text="Testerly")


def submission(revision: int, frequency: Frequency = Frequency.REPLACEMENT) -> Made:
    facts = {"id": revision, "state": "held", "content_sha256": b"", "units": 2, "amount_cents": 9000, "lines": ()}
    return Made(revision=revision, frequency=frequency, **facts)  # type: ignore[arg-type]


def says(**facts: Any) -> BillerSays:
    return BillerSays(**facts)


NOTHING, SECOND, FIRST, ANOTHER = (None, None), (2, WORTH), (1, WORTH), (None, WORTH)
LOOKED_UP = {"looked_up": submission(2)}


@pytest.mark.parametrize(
    ("told", "against"),
    [
        (says(), []),
        (says(lists=True), [SECOND, FIRST, ANOTHER]),
        (says(lists=True, listed=WORTH), [NOTHING]),
        (says(lists=True, listed=(3, 9000)), [NOTHING, SECOND, FIRST, ANOTHER]),
        (says(lists=True, listed=(2, 9001)), [NOTHING, SECOND, FIRST, ANOTHER]),
        (says(lists=True, listed=(2, 9001), own_receipts=True), []),
        (says(**LOOKED_UP, answer=THERE), [NOTHING, FIRST, ANOTHER]),
        (says(**LOOKED_UP, answer=None), [SECOND]),
        (says(**LOOKED_UP, answer=REFUSED), [SECOND]),
        (says(**LOOKED_UP, answer=UNSURE), []),
        (says(**LOOKED_UP, answer=THERE, lists=True, listed=WORTH), [NOTHING, FIRST, ANOTHER]),
        (says(**LOOKED_UP, answer=None, lists=True, listed=WORTH), [NOTHING]),
        (says(**LOOKED_UP, answer=THERE, own_receipts=True), []),
        (says(looked_up=submission(2, Frequency.VOID), answer=THERE), [FIRST, ANOTHER]),
    ],
)
def test_which_words_it_speaks_against(told: BillerSays, against: list[Any]) -> None:
    """The same units and cents are told apart by the key, where the biller knows one."""
    assert [word for word in (NOTHING, SECOND, FIRST, ANOTHER) if told.against(*word)] == against
    assert all(told.against(*word) == f"the biller says otherwise: {told}" for word in against)


@pytest.mark.parametrize(
    ("told", "words"),
    [
        (says(), "it cannot be asked"),
        (says(lag_seconds=60), "it cannot be asked"),
        (says(lists=True), "it lists nothing of this day"),
        (says(lists=True, listed=WORTH), "it lists 2 units, $90.00"),
        (says(lists=True, lag_seconds=60), "it lists nothing of this day; it may tell of something new up to 60 s late"),
        (says(own_receipts=True), "the receipts here list nothing of this day; what the biller did with it, they do not tell"),
        (says(**LOOKED_UP), "of submission 2 it has none under its key"),
        (says(**LOOKED_UP, answer=THERE), "of submission 2 it says that it has it"),
        (says(**LOOKED_UP, answer=REFUSED), "of submission 2 it says that it does not stand (differs)"),
        (
            says(**LOOKED_UP, answer=UNSURE, lists=True),
            "it lists nothing of this day; of submission 2 it cannot tell (file-altered)",
        ),
    ],
)
def test_it_is_told_without_the_other_sides_text(told: BillerSays, words: str) -> None:
    assert str(told) == words


class Biller:
    """A look-up that always fails, beside a list that says what the test wants."""

    capabilities = type("Can", (), {"find": True, "own_receipts": False, "find_lag_seconds": 0})()

    def __init__(self, lists: dict[str, tuple[int, int]] | None) -> None:
        self.lists = lists

    async def find(self, _: object) -> None:
        raise PeerUnavailable("no clear yes or no", status=500)

    async def list_references(self, _: object) -> dict[str, tuple[int, int]] | None:
        return self.lists


@pytest.fixture
def doubted(tmp_path: Path) -> Any:
    """A day in doubt in a real ledger, and what was made of it."""
    from tests.unit.ledger.conftest import Book

    book = Book(tmp_path / "state")
    day = book.visit("e1")
    book.send(day)
    book.answer(Disposition.IN_DOUBT, hold="in-doubt")
    yield book, book.row(day), book.ledger.said.made(book.row(day))[-1]
    book.ledger.close()


def test_a_look_up_that_fails_for_this_one_leaves_what_is_listed(doubted: Any) -> None:
    book, day, made = doubted
    listed = {day.reference: WORTH, "pt-else": (1, 1)}
    told = asyncio.run(ask(book.ledger, Biller(listed), day, made, "charge_api"))  # type: ignore[arg-type]
    assert told == says(lists=True, listed=WORTH)
    with pytest.raises(PeerUnavailable):
        asyncio.run(ask(book.ledger, Biller(None), day, made, "charge_api"))  # type: ignore[arg-type]


def test_a_day_without_a_date_is_on_no_list(doubted: Any) -> None:
    book, _, _ = doubted
    book.connection.execute("UPDATE treatment_day SET service_date = NULL")
    (day,) = book.ledger.days.named("e1")
    told = asyncio.run(ask(book.ledger, Biller({day.reference: WORTH}), day, None, "charge_api"))  # type: ignore[arg-type]
    assert told == says()


def test_two_charges_of_a_day_are_added_up_under_all_its_names(doubted: Any) -> None:
    book, day, _ = doubted
    book.tamper("UPDATE submission SET reference = 'pt-after-a-void'")
    listed = {day.reference: WORTH, "pt-after-a-void": (3, 1)}
    told = asyncio.run(ask(book.ledger, Biller(listed), day, None, "charge_api"))  # type: ignore[arg-type]
    assert told.listed == (5, 9001)
