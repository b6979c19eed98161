"""What the biller says later, end to end: the sandbox biller's feed, the ledger, and the days that wait for a person."""

from __future__ import annotations

from typing import Any

import pytest

from ptbridge import jobs
from ptbridge.delivery import RetryPolicy
from ptbridge.ledger import Ledger
from tests.world import World


def day(world: World, visit: str) -> dict[str, Any]:
    (found,) = jobs.explain(world.config, visit)["days"]
    return found


def of_visit(world: World, visit: str) -> Any:
    """A predicate over the biller's documents: the charge of this visit."""
    reference = day(world, visit)["reference"]
    return lambda document: document["reference"] == reference


def counts(world: World) -> dict[tuple[str, str], int]:
    with Ledger.open(world.folder / "state", write=False) as ledger:
        rows = ledger.standings.counts("riverside-pt")
    return {(row["stage"], row["standing"]): row["days"] for row in rows}


def codes_that_hold(world: World, visit: str) -> set[str]:
    rows = [row for row in jobs.held(world.config) if visit in row["visits"]]
    return {reason["code"] for row in rows for reason in row["reasons"]}


def test_the_stages_of_a_charge_are_taken_in_with_the_next_run_and_only_once(world: World) -> None:
    world.sync()
    assert counts(world) == {("received", "accepted"): 56}
    world.sync()
    assert counts(world) == {("claim-made", "accepted"): 56}
    assert world.biller.news.adjudicate() == {"rejected": 0, "denied": 0, "paid": 56}
    assert world.sync().answers["remittance/paid"] == 56
    assert counts(world) == {("remittance", "paid"): 56}
    with Ledger.open(world.folder / "state", write=False) as ledger:
        ((rows,),) = ledger._connection.execute("SELECT count(*) FROM answer")
    assert rows == len(world.biller.news.feed) == 56 * 5
    world.sync()
    assert codes_that_hold(world, "enc-0002") == set()
    world.agrees()


def test_a_rejected_charge_is_held_with_the_codes_word_for_word_and_the_edits_that_let_it_through(world: World) -> None:
    world.sync()
    world.biller.news.adjudicate(reject=of_visit(world, "enc-0002"))
    report = world.sync()
    (row,) = (row for row in jobs.held(world.config) if "enc-0002" in row["visits"])
    (reason,) = row["reasons"]
    assert reason["code"] == "RJ01" and "277CA A7:562:85" in reason["message"] and "clearinghouse" in reason["message"]
    assert "sandbox: billing provider id" not in reason["message"]
    assert report.exit_code == 3 and world.books()["charges"] == 56


def test_a_denied_line_is_named_and_what_was_corrected_goes_by_itself(world: World) -> None:
    world.sync()
    world.biller.news.adjudicate(deny=of_visit(world, "enc-0002"))
    world.sync()
    (row,) = (row for row in jobs.held(world.config) if "enc-0002" in row["visits"])
    (reason,) = row["reasons"]
    line = day(world, "enc-0002")["lines"][0]
    assert reason["code"] == "RJ02" and f"line 1, {line['procedure']}: CARC CO-197, RARC N54" in reason["message"]
    world.store.edit_visit("enc-0002", {"97112": 40}, bump_encounter=False)
    world.sync()
    after = day(world, "enc-0002")
    assert after["state"] == "sent" and [row["frequency"] for row in after["submissions"]] == ["1", "7"]
    assert codes_that_hold(world, "enc-0002") == set()
    world.agrees()


def test_what_was_said_of_an_earlier_version_changes_nothing(world: World) -> None:
    world.sync()
    reference = day(world, "enc-0002")["reference"]
    old = world.biller.books.latest[reference]
    world.store.edit_visit("enc-0002", {"97112": 40}, bump_encounter=False)
    world.sync()
    assert len(day(world, "enc-0002")["submissions"]) == 2
    world.biller.news.say(old, "clearinghouse", "rejected", codes=[{"system": "277CA", "code": "A3"}])
    world.sync()
    assert codes_that_hold(world, "enc-0002") == set()
    assert [answer["revision"] for answer in day(world, "enc-0002")["answers"] if answer["standing"] == "rejected"] == [1]


def test_a_release_settles_a_denial_until_the_next_bad_news(world: World) -> None:
    world.sync()
    world.biller.news.adjudicate(deny=of_visit(world, "enc-0002"))
    world.sync()
    jobs.release(world.config, "enc-0002", "the biller appeals", actor="owner")
    world.sync()
    assert day(world, "enc-0002")["state"] == "sent" and codes_that_hold(world, "enc-0002") == set()
    world.sync()
    charge = world.biller.books.latest[day(world, "enc-0002")["reference"]]
    world.biller.news.say(charge, "remittance", "denied", codes=[{"system": "CARC", "code": "CO-50"}])
    world.sync()
    (row,) = (row for row in jobs.held(world.config) if "enc-0002" in row["visits"])
    assert "CARC CO-50" in row["reasons"][0]["message"]
    world.biller.news.say(charge, "remittance", "paid", paid_cents=charge.amount_cents)
    world.sync()
    assert day(world, "enc-0002")["state"] == "sent" and codes_that_hold(world, "enc-0002") == set()
    world.agrees()


def test_a_feed_that_forgot_is_made_up_for_charge_by_charge(world: World) -> None:
    world.sync()
    world.sync()
    world.biller.news.adjudicate(reject=of_visit(world, "enc-0002"))
    world.biller.news.keep = 3
    world.sync()
    assert counts(world) == {("clearinghouse", "rejected"): 1, ("remittance", "paid"): 55}
    looked_up = world.biller.requests["answers looked up"]
    assert looked_up == 55  # the feed still told that one was paid
    world.sync()
    assert world.biller.requests["answers looked up"] == looked_up


@pytest.mark.usefixtures("retried_at_once")
def test_a_feed_that_fails_is_noted_and_the_run_goes_on(world: World) -> None:
    world.sync()
    world.biller.faults.html_answer = 1.0
    report = world.sync()
    world.biller.faults.html_answer = 0.0
    assert report.exit_code == 5 and len(report.errors) == 1
    world.biller.faults.answer_twice = 1.0
    assert world.sync().exit_code == 3
    assert counts(world) == {("claim-made", "accepted"): 56}


def test_a_biller_of_the_first_contract_has_no_feed_and_nothing_breaks(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    from ptbridge_sandbox.biller_books import Refusal

    def none(after: str, limit: int) -> dict[str, Any]:
        raise Refusal(404, "not-found", "no such address")

    monkeypatch.setattr(type(world.biller.news), "page", lambda self, after, limit: none(after, limit))
    assert world.sync().errors == [] and world.sync().errors == []
    assert counts(world) == {("received", "accepted"): 56}


def test_news_of_a_charge_whose_own_answer_was_lost_counts_once_it_is_known(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    world.biller.faults.lose_answer = 1.0
    with monkeypatch.context() as patch:  # a run that ends as soon as everything is in doubt: it settles nothing
        patch.setattr("ptbridge.jobs.run.RetryPolicy", lambda: RetryPolicy(idle_seconds=0, extra_calls_reserve=1e9))
        done = world.sync().delivery
    assert done["doubts"] >= 56 and not done["accepted"] and not done["look_ups"]
    world.biller.faults.lose_answer = 0.0
    reference = next(iter(world.biller.books.latest))
    world.biller.news.adjudicate(reject=lambda document: document["reference"] == reference)
    world.sync()  # takes the news in while everything is in doubt, then settles the doubts
    world.sync()
    assert counts(world)[("clearinghouse", "rejected")] == 1
    assert {row["id"] for row in jobs.held(world.config) if "RJ01" in {one["code"] for one in row["reasons"]}} == {reference}
    world.agrees()
