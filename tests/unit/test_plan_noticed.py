"""Places where a small wrong change of a plan once passed every other test (tests/mutate.py)."""

from __future__ import annotations

from hashlib import sha256

import pytest

from ptbridge.ledger import LiveCharge
from ptbridge.model import Frequency, ShownLine, Stage
from ptbridge.plan import Say, key_of, plan, reference_of, still_billed
from ptbridge.ports import Capabilities
from ptbridge.routes import Route, route_of
from tests.rigs import a_day
from tests.unit.test_plan import CLAIMS, FULL, Biller, a_row, made

LINES = (ShownLine(procedure="97110", modifiers=("GP",), units=2, amount_cents=6000),)


def test_a_key_is_of_everything_that_names_a_revision_and_of_nothing_else() -> None:
    whole = key_of("x", "r", 1, Frequency.ORIGINAL, b"c")
    assert whole == key_of("x", "r", 1, Frequency.ORIGINAL, b"c") and len(whole) == 40
    others = [
        key_of("y", "r", 1, Frequency.ORIGINAL, b"c"),
        key_of("x", "s", 1, Frequency.ORIGINAL, b"c"),
        key_of("x", "r", 2, Frequency.ORIGINAL, b"c"),
        key_of("x", "r", 1, Frequency.VOID, b"c"),
        key_of("x", "r", 1, Frequency.ORIGINAL, b"d"),
    ]
    assert len({whole, *others}) == 6


def test_a_reference_is_of_a_clinic_and_a_day() -> None:
    assert reference_of("oak", "k") != reference_of("elm", "k") != reference_of("oak", "j")
    assert len(reference_of("oak", "k")) == 27 and reference_of("oak", "k").startswith("pt-")


def test_what_a_platform_names_is_its_own_id_whatever_the_payer_says() -> None:
    assert made(FULL, a_row(payer_claim_number="ICN", stage="payer")).submission.body.endswith(b" 7 B1")
    own = Capabilities(replace=True, void=True, payer_number=True, open_until=Stage.PAYER)
    assert made(own, a_row(payer_claim_number="ICN")).submission.body.endswith(b" 7 B1"), "still open there"
    claims = Capabilities(replace=True, void=True, open_until=None)
    assert made(claims, a_row(payer_claim_number="ICN")).submission.body.endswith(b" 7 B1"), "that takes no payer's number"


def test_a_submission_counts_its_revision_lines_units_and_cents() -> None:
    sent = made(FULL, a_row(revision=4)).submission
    assert (sent.revision, sent.lines, sent.units, sent.service_date) == (5, 2, a_day(3).units, "2026-11-02")
    void = made(FULL, a_row(revision=4), bills=False).submission
    assert (void.revision, void.lines, void.units, void.amount_cents) == (5, 0, 2, 9000)
    assert void.service_date == "2026-11-02" and made(FULL, a_row(service_date=None)).submission.service_date == ""


@pytest.mark.parametrize(
    ("can", "bills", "closes", "judged_after"),
    [
        (FULL, True, False, False),
        (Capabilities(void=True), True, True, True),
        (Capabilities(void=True), False, True, False),
        (FULL, False, False, False),
    ],
)
def test_what_ends_a_reference(can: Capabilities, bills: bool, closes: bool, judged_after: bool) -> None:
    found = made(can, a_row(), bills=bills)
    assert (found.closes_reference, found.judge_after) == (closes, judged_after)
    assert not (found.gone or found.by_hand or found.undone)


def test_what_was_done_by_hand_ends_a_reference_only_where_nothing_is_left_and_none_can_replace() -> None:
    done = Say(done_by_hand=True)
    changed = made(Capabilities(), a_row(), done)
    assert (changed.state, changed.closes_reference, changed.by_hand) == ("sent", False, True)
    late = Capabilities(replace=True, task_after=Stage.CLAIM_MADE)
    assert not made(late, a_row(stage="payer"), done, bills=False).closes_reference
    assert made(Capabilities(), a_row(), done, bills=False).submission.frequency is Frequency.VOID


def test_a_task_says_why_it_is_one() -> None:
    late = Capabilities(replace=True, void=True, task_after=Stage.CLAIM_MADE)
    changed, gone = made(late, a_row(stage="payer")), made(late, a_row(stage="payer"), bills=False)
    for found, code, what in ((changed, "SB01", "changed after"), (gone, "SB02", "nothing is left to bill after")):
        assert found.finding.code == code and found.finding.message.startswith(f"{what}")
        assert found.action == "a person must decide"
        assert "and at the stage payer only a person at the biller can change it;" in found.finding.message
    assert "and test takes no replacement;" in made(Capabilities(void=False), a_row(stage="payer")).finding.message
    assert "and test takes no void;" in made(Capabilities(replace=True), a_row(), bills=False).finding.message
    assert "takes no void" in made(Capabilities(replace=True), a_row(stage="payer"), bills=False).finding.message
    assert "takes no replacement" in made(Capabilities(void=False), a_row()).finding.message


def test_a_stage_up_to_the_last_one_is_nobodys_task() -> None:
    can = Capabilities(replace=True, void=True, task_after=Stage.PAYER, open_until=Stage.PAYER)
    assert route_of(a_row(stage="payer"), can, withdraw=False) is Route.UPDATE
    assert route_of(a_row(stage="remittance"), can, withdraw=False) is Route.TASK


def test_what_waits_for_a_number_or_a_person_says_so_under_its_code() -> None:
    waits = made(CLAIMS, a_row())
    assert waits.finding.code == "SB04" and "payer's claim number" in waits.finding.message
    assert waits.action == "waits for the payer's answer"
    asked = made(FULL, a_row(), Say(confirm=frozenset({"replacement"})))
    assert (asked.finding.code, asked.finding.where) == ("SB05", "replacement")
    assert "+2 units" in asked.finding.message and "confirm: replacement" in asked.finding.message
    found = still_billed(["pt-a", "pt-b"])
    assert found.code == "SB06" and "pt-a, pt-b" in found.message and "Settle pt-a first" in found.fix


@pytest.mark.parametrize(
    ("can", "facts"), [(FULL, {}), (CLAIMS, {"stage": "clearinghouse", "standing": "rejected"})], ids=["cancel", "forget"]
)
def test_taking_back_is_a_void_to_the_clinic_whichever_way_it_goes(can: Capabilities, facts: dict[str, object]) -> None:
    assert made(can, a_row(**facts), Say(confirm=frozenset({"void"})), bills=False).change.confirm == ("void",)


def test_another_payer_is_a_word_of_its_own_and_words_are_in_order() -> None:
    say = Say(confirm=frozenset({"payer-changed", "decrease-after-paid", "after-decision", "replacement"}))

    def asked(payer: str | None, **facts: object) -> tuple[str, ...]:
        live = LiveCharge(body=b"live", lines=LINES, payer=payer)
        return plan(a_row(**facts), a_day(3), Biller(FULL), "test", live, say).change.confirm  # type: ignore[arg-type,union-attr]

    assert asked("ACME") == ("payer-changed", "replacement") and asked("MCR-B") == asked(None) == ("replacement",)
    paid = {"standing": "paid", "live_cents": a_day(3).amount_cents}
    assert asked("MCR-B", **paid) == ("after-decision", "replacement"), "not a cent less"
    more = {"standing": "paid", "live_cents": a_day(3).amount_cents + 1}
    assert asked("ACME", **more) == ("after-decision", "decrease-after-paid", "payer-changed", "replacement")


@pytest.mark.parametrize(("cents", "asked"), [(0, ()), (1, ("decrease-after-paid",))])
def test_what_nothing_is_left_of_is_a_decrease(cents: int, asked: tuple[str, ...]) -> None:
    say = Say(confirm=frozenset({"decrease-after-paid"}))
    assert made(FULL, a_row(standing="paid", live_cents=cents), say, bills=False).change.confirm == asked


@pytest.mark.parametrize(("state", "after"), [("voided", "voided"), ("open", "excluded")])
def test_with_nothing_live_and_nothing_to_bill_nothing_is_sent(state: str, after: str) -> None:
    found = plan(a_row(state=state, live_sha256=None), None, Biller(FULL), "test", None)  # type: ignore[arg-type]
    assert (found.state, found.submission) == (after, None)


def test_the_first_that_is_sent_is_an_original() -> None:
    found = plan(a_row(state="open", live_sha256=None, revision=0), a_day(2), Biller(FULL), "test", None)  # type: ignore[arg-type]
    assert found.state == "queued" and found.submission is not None
    assert (found.submission.frequency, found.submission.revision) == (Frequency.ORIGINAL, 1)
    assert found.submission.body.endswith(b" 1 None")
    assert not (found.closes_reference or found.judge_after or found.gone or found.by_hand or found.undone)


def test_a_payer_is_the_same_unless_said() -> None:
    assert route_of(a_row(payer_claim_number="ICN"), CLAIMS, withdraw=False) is Route.REPLACEMENT


def test_the_words_of_routes_are_those_that_people_and_clinic_files_use() -> None:
    assert [route.value for route in Route] == [
        "update",
        "cancel",
        "replacement",
        "void",
        "void-and-new",
        "original-again",
        "forget",
        "wait-for-payer-number",
        "task",
    ]


def test_what_was_turned_away_and_is_not_billed_any_more_is_forgotten_without_a_word_to_the_biller() -> None:
    found = made(CLAIMS, a_row(stage="clearinghouse", standing="rejected"), bills=False)
    assert (found.state, found.gone, found.submission) == ("voided", True, None)


def test_what_a_person_has_seen_there_is_taken_over_as_it_is_judged() -> None:
    seen = Say(seen_there=True)
    live = LiveCharge(body=b"live", lines=LINES)
    found = plan(a_row(revision=4), a_day(3), Biller(Capabilities()), "test", live, seen)  # type: ignore[arg-type]
    assert (found.state, found.by_hand, found.finding, found.closes_reference) == ("sent", True, None, False)
    assert found.action == "a person has seen that the biller has exactly this"
    sent = found.submission
    assert sent is not None and (sent.frequency, sent.revision, sent.units) == (Frequency.REPLACEMENT, 5, a_day(3).units)
    assert sent.body.split()[1:2] == [b"1"] and found.content_sha256 == sha256(sent.body).digest()
    first = plan(a_row(live_sha256=None), a_day(3), Biller(FULL), "test", None, seen)  # type: ignore[arg-type]
    assert first.submission is not None and first.submission.frequency is Frequency.ORIGINAL
    gone = a_row(stage="clearinghouse", standing="rejected", live_frequency="1")
    entered = plan(gone, a_day(3), Biller(CLAIMS), "test", live, seen)  # type: ignore[arg-type]
    assert entered.submission is not None and entered.submission.frequency is Frequency.ORIGINAL


@pytest.mark.parametrize("live", [None, LiveCharge(body=b"live", lines=LINES)])
def test_nothing_that_bills_cannot_have_been_seen_there(live: LiveCharge | None) -> None:
    row = a_row(live_sha256=None) if live is None else a_row()
    found = plan(row, None, Biller(FULL), "test", live, Say(seen_there=True))  # type: ignore[arg-type]
    assert not found.by_hand
