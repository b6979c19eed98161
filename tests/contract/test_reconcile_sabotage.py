"""Reconcile is right to the cent, and one run of it finds each kind of sabotage in the biller's data."""

from __future__ import annotations

import json
from collections.abc import Iterator
from random import Random
from typing import Any

import pytest

from ptbridge.cli import main
from tests.chaos.tampering import WAYS, tamper
from tests.world import World, running

DIFFERENCE = 9  # exit code


@pytest.fixture(scope="module")
def sent(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    with running(tmp_path_factory.mktemp("sabotage") / "config") as world:
        world.sync()
        yield world


def reconciled(world: World, capsys: pytest.CaptureFixture[str]) -> tuple[int, dict[str, Any]]:
    capsys.readouterr()
    code = main(["reconcile", "--json", "--config", str(world.folder)])
    (answer,) = json.loads(capsys.readouterr().out).values()
    return code, answer


@pytest.mark.parametrize("way", WAYS)
def test_one_reconcile_names_the_charge_that_was_tampered_with(
    sent: World, way: str, capsys: pytest.CaptureFixture[str]
) -> None:
    books = sent.biller.books
    totals = {key: sent.books()[key] for key in ("charges", "units", "amount_cents")}
    code, answer = reconciled(sent, capsys)
    assert (code, answer["agrees"]) == (0, True) and answer["ours"] == answer["theirs"] == totals
    before = {name: list(live) for name, live in books.live.items()}
    counted = {id(one): (one.units, one.amount_cents) for live in before.values() for one in live}
    try:
        named = tamper(books, way, Random(way))
        code, answer = reconciled(sent, capsys)
        assert (code, answer["agrees"]) == (DIFFERENCE, False)
        (difference,) = answer["differences"]
        assert difference["reference"] == named and difference["why"] and difference["owner"] == "biller"
        assert answer["ours"] == totals, "what ptbridge sent is not what was tampered with"
    finally:
        books.live = before
        books._sorted = None
        for live in before.values():
            for one in live:
                one.units, one.amount_cents = counted[id(one)]
