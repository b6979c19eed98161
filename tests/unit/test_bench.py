"""Every bench runs, at tiny sizes, and measures what it says. Nothing here looks at a clock."""

import gc
import json
from collections.abc import Iterator

import pytest

from ptbridge.ledger import Ledger
from ptbridge.pipeline import check
from ptbridge.policy.counting import allowed_units
from tests.bench import clinic, edits, hot_path, ledger, push, runner, units
from tests.bench.__main__ import BENCHES, main

QUICK = runner.Settings(quick=True)


@pytest.fixture(scope="module", autouse=True)
def what_was_imported_stays() -> Iterator[None]:
    yield
    gc.unfreeze()


@pytest.fixture(autouse=True)
def a_small_heap() -> None:
    """A bench collects before every piece of its work: what it made, not thousands of tests and models a hundred times."""
    if not gc.get_freeze_count():  # the first one, or a run in this process has set the collector back
        gc.collect()
        gc.freeze()


@pytest.fixture(scope="module")
def kit():
    with clinic.clinic_folder() as config:
        yield clinic.kit_of(config)


@pytest.mark.parametrize("name", BENCHES)
def test_each_bench_runs_and_says_what_it_found(name, capsys):
    assert main(["--quick", "--json", "--only", name]) == 0
    found = json.loads(capsys.readouterr().out)
    assert found and all(figure["bench"] == name and figure["value"] > 0 for figure in found)
    assert any(figure["target"] for figure in found)


def test_the_table_names_figure_target_and_outcome(capsys):
    assert main(["--quick", "--only", "units"]) == 0
    head, first, *_ = capsys.readouterr().out.strip().splitlines()
    assert head.split() == ["units", "figure", "target", "met"]
    assert first.split()[0] == "eight_minute_total" and ">= 50,000" in first


def test_a_target_is_a_ceiling_unless_it_is_a_floor():
    ceiling = runner.Figure(what="w", value=5.1, unit="x", target=5)
    floor = runner.Figure(what="w", value=5.1, unit="x", target=5, at_least=True)
    assert (ceiling.met, floor.met, runner.Figure(what="w", value=1, unit="x").met) == (False, True, None)


def test_every_round_runs_every_piece_once_in_turn():
    ran: list[str] = []
    ticks = iter(range(100))
    rounds = runner.interleaved(3, {"a": lambda: ran.append("a"), "b": lambda: ran.append("b")}, lambda: float(next(ticks)))
    assert ran == ["a", "b"] * 3
    assert rounds.taken == {"a": [1.0] * 3, "b": [1.0] * 3}


def test_times_compares_within_each_round():
    rounds = runner.Rounds({"ours": [10.0, 9.0, 20.0], "theirs": [1.0, 3.0, 10.0]})
    assert (rounds.seconds("ours"), rounds.times("ours", "theirs")) == (10.0, 3.0)


def test_the_page_is_what_the_promise_is_about(kit):
    way = hot_path.Way(kit)
    assert 480_000 < len(runner.page()) < 560_000
    edited = way.edited()
    assert sum(len(priced.day.visits) for priced, _ in edited) == 100
    assert [finding for _, found in edited for finding in found if finding.holds] == []
    assert all(charge.amount_cents for priced, _ in edited for charge in priced.charges)
    given = way.outputs()
    assert [len(given[name]) for name in ("normalize", "group", "edits")] == [100, 100, 100]


def test_counted_days_differ_and_stay_within_the_minutes():
    days = units.spread(300)
    assert len(set(days)) == 300
    for allocation in units.allocations(days, "eight_minute_total"):
        timed = sum(
            count
            for service in allocation.services
            for code, count in allocation.units
            if code in service.codes and service.minutes is not None
        )
        assert timed == allocation.pool_units == allowed_units(allocation.pool_minutes)


def test_edited_days_have_five_priced_lines_and_nothing_that_holds(kit):
    days = edits.five_line_days(kit, 9)
    assert [len(day.charges) for day in days] == [5] * 9
    assert [finding for day in days for finding in check(day, kit) if finding.holds] == []
    assert len(kit.edits) >= 15


def test_pushed_days_are_all_at_the_biller_and_never_faster_than_configured():
    report, _, peak = push.pushed(30, requests_per_second=20)
    assert report.accepted == report.attempts == 30
    assert peak <= 20


@pytest.mark.parametrize("group", [1, 7])
def test_the_ledger_bench_takes_every_day_to_accepted(tmp_path, group):

    with Ledger.open(tmp_path) as books:
        days = ledger.judged(ledger.new_days(books, 20))
        ledger.through(books, days, group)
        assert books.accounts.days_by_state(clinic.CLINIC)["sent"]["days"] == 20
        assert books.accounts.waiting(clinic.CLINIC) == []
