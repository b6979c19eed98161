"""Which way a correction goes: the table of what a platform can do and how far a charge has come; and what is shown of it."""

from __future__ import annotations

from dataclasses import replace

import pytest

from ptbridge.ledger import DayRow, LiveCharge
from ptbridge.model import Frequency, LineChange, ShownLine, Stage, Standing, line_changes
from ptbridge.plan import SAID_NOTHING, Say, plan, reference_now
from ptbridge.ports import Capabilities
from ptbridge.routes import Route, route_of
from tests.rigs import a_day

FULL = Capabilities(replace=True, void=True)
CLAIMS = Capabilities(replace=True, void=True, open_until=None, payer_number=True, rejected_is_gone=True)


def a_row(**facts: object) -> DayRow:
    plain = {
        "id": 1,
        "clinic": "oak",
        "day_key": "k",
        "reference": "pt-" + "0" * 24,
        "service_date": "2026-11-02",
        "state": "sent",
    }
    plain |= {"reason": None, "held_since": None, "revision": 1, "live_sha256": b"x", "live_id": "B1", "live_units": 2}
    return DayRow(**{**plain, "live_cents": 9000, "version_id": 1, "live_frequency": "1", **facts})  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("can", "facts", "withdraw", "payer_changed", "route"),
    [
        (FULL, {}, False, False, Route.UPDATE),
        (FULL, {"stage": "remittance", "standing": "paid"}, False, True, Route.UPDATE),
        (FULL, {}, True, False, Route.CANCEL),
        (Capabilities(void=True), {}, False, False, Route.VOID_AND_NEW),
        (Capabilities(replace=True), {}, True, False, Route.TASK),
        (Capabilities(), {}, False, False, Route.TASK),
        (Capabilities(), {}, True, False, Route.TASK),
        (CLAIMS, {}, False, False, Route.WAIT),
        (CLAIMS, {}, True, False, Route.WAIT),
        (CLAIMS, {"payer_claim_number": "I"}, False, False, Route.REPLACEMENT),
        (CLAIMS, {"payer_claim_number": "I"}, True, False, Route.VOID),
        (CLAIMS, {"payer_claim_number": "I"}, False, True, Route.VOID_AND_NEW),
        (CLAIMS, {"stage": "clearinghouse", "standing": "rejected"}, False, False, Route.AGAIN),
        (CLAIMS, {"stage": "clearinghouse", "standing": "rejected"}, True, False, Route.FORGET),
        (CLAIMS, {"stage": "payer", "standing": "rejected", "live_frequency": "7"}, False, False, Route.TASK),
        (
            CLAIMS,
            {"stage": "payer", "standing": "rejected", "live_frequency": "7", "payer_claim_number": "I"},
            False,
            False,
            Route.REPLACEMENT,
        ),
        (CLAIMS, {"stage": "remittance", "standing": "denied", "payer_claim_number": "I"}, False, False, Route.REPLACEMENT),
        (Capabilities(replace=True, open_until=None), {}, False, True, Route.TASK),
        (Capabilities(replace=True, open_until=None), {}, True, False, Route.TASK),
        (Capabilities(void=True, open_until=None), {}, False, False, Route.VOID_AND_NEW),
        (
            Capabilities(replace=True, void=True, task_after=Stage.CLAIM_MADE, open_until=Stage.CLAIM_MADE),
            {"stage": "payer"},
            False,
            False,
            Route.TASK,
        ),
    ],
)
def test_the_route_follows_the_platform_and_the_stage(
    can: Capabilities, facts: dict[str, object], withdraw: bool, payer_changed: bool, route: Route
) -> None:
    assert route_of(a_row(**facts), can, withdraw=withdraw, payer_changed=payer_changed) is route


class Biller:
    """A destination that only encodes; `plan` never asks more of one."""

    def __init__(self, capabilities: Capabilities) -> None:
        self.capabilities = capabilities

    def encode(self, priced: object, *, reference: str, frequency: str, original_id: str | None) -> tuple[bytes, str]:
        return f"{reference} {frequency} {original_id}".encode(), "text/plain"

    def encode_void(self, live: bytes, *, reference: str, original_id: str | None) -> tuple[bytes, str]:
        return f"{reference} void {original_id}".encode(), "text/plain"


def made(can: Capabilities, row: DayRow, say: Say = SAID_NOTHING, units: int = 3, bills: bool = True):  # type: ignore[no-untyped-def]
    live = LiveCharge(body=b"live", lines=(ShownLine(procedure="97110", modifiers=("GP",), units=2, amount_cents=6000),))
    return plan(row, a_day(units) if bills else None, Biller(can), "test", live, say)  # type: ignore[arg-type]


def test_a_claim_names_the_payers_number_and_a_platform_its_own() -> None:
    assert made(FULL, a_row()).submission.body.endswith(b" 7 B1")
    numbered = a_row(payer_claim_number="ICN", stage="payer")
    assert made(CLAIMS, numbered).submission.body.endswith(b" 7 ICN")
    void = made(CLAIMS, numbered, bills=False)
    assert void.submission.body.endswith(b"void ICN") and void.submission.frequency is Frequency.VOID
    assert void.submission.units == 2 and not void.judge_after and not void.closes_reference


def test_a_rejected_original_goes_again_under_its_reference_even_unchanged() -> None:
    again = made(CLAIMS, a_row(stage="clearinghouse", standing="rejected"))
    assert again.submission.frequency is Frequency.ORIGINAL and again.submission.reference == a_row().reference
    same = a_row(stage="clearinghouse", standing="rejected", live_sha256=again.content_sha256)
    assert made(CLAIMS, same).change.route is Route.AGAIN, "after a release that nothing here was wrong"
    assert made(CLAIMS, a_row(live_sha256=again.content_sha256)).state == "sent"


def test_references_of_generations_differ_are_stable_and_27_characters() -> None:
    names = [reference_now(a_row(live_sha256=None, generation=number)) for number in range(4)]
    assert len(set(names)) == 4 and names[0] == a_row().reference and {len(name) for name in names} == {27}
    assert names == [reference_now(a_row(live_sha256=None, generation=number)) for number in range(4)]
    assert reference_now(a_row(live_reference="pt-live", generation=3)) == "pt-live"


@pytest.mark.parametrize(
    ("confirm", "facts", "asked"),
    [
        ({"replacement"}, {}, ("replacement",)),
        ({"void", "decrease-after-paid"}, {}, ()),
        ({"after-decision"}, {"standing": "denied"}, ("after-decision",)),
        ({"decrease-after-paid"}, {"standing": "paid", "live_cents": 99_000}, ("decrease-after-paid",)),
        ({"decrease-after-paid"}, {"standing": "paid", "live_cents": 10}, ()),
    ],
)
def test_the_clinics_words_decide_what_needs_a_person(
    confirm: set[str], facts: dict[str, object], asked: tuple[str, ...]
) -> None:
    found = made(FULL, a_row(**facts), Say(confirm=frozenset(confirm)))
    assert found.change.confirm == asked and (found.state == "held") is bool(asked)
    agreed = made(FULL, a_row(**facts), Say(confirm=frozenset(confirm), confirmed=frozenset(confirm)))
    assert agreed.state == "queued"


def test_a_task_says_line_by_line_what_the_biller_must_make_of_it() -> None:
    found = made(Capabilities(), a_row())
    assert found.finding.code == "SB01"
    assert "97110-GP x2 $60.00 becomes 97110-GP x3 $90.00; add 97161-GP x1 $30.00 (+2 units, $60.00)" in found.finding.message
    gone = made(Capabilities(), a_row(), bills=False)
    assert gone.finding.code == "SB02" and "take off 97110-GP x2 $60.00 (-2 units, -$60.00)" in gone.finding.message
    by_hand = made(Capabilities(), a_row(), Say(done_by_hand=True), bills=False)
    assert by_hand.by_hand and by_hand.state == "voided" and by_hand.closes_reference
    assert made(Capabilities(), a_row(), Say(done_by_hand=True)).submission.frequency is Frequency.REPLACEMENT


def line(procedure: str, units: int, *modifiers: str) -> ShownLine:
    return ShownLine(procedure=procedure, modifiers=modifiers or ("GP",), units=units, amount_cents=units * 3000)


def test_lines_are_paired_by_what_they_are_and_equal_ones_are_left_out() -> None:
    before = [line("97110", 2), line("97110", 1, "GP", "CQ"), line("97140", 1), line("97112", 1)]
    after = [line("97112", 1), line("97110", 1, "GP", "CQ"), line("97110", 3), line("97530", 2), line("97140", 1, "GP", "59")]
    assert [str(change) for change in line_changes(before, after)] == [
        "97110-GP x2 $60.00 becomes 97110-GP x3 $90.00",
        "97140-GP x1 $30.00 becomes 97140-GP-59 x1 $30.00",
        "add 97530-GP x2 $60.00",
    ]
    taken = LineChange(before=line("97110", 2), after=None)
    assert (taken.units, taken.amount_cents, str(taken)) == (-2, -6000, "take off 97110-GP x2 $60.00")
    unpriced = ShownLine(procedure="97110", units=1)
    assert LineChange(before=None, after=unpriced).amount_cents == 0 and str(unpriced) == "97110 x1"


def test_nothing_that_a_line_shows_differs_is_said_in_words() -> None:
    live = LiveCharge(
        body=b"",
        lines=(line("97110", 3), ShownLine(procedure="97161", modifiers=("GP",), units=1, amount_cents=3000)),
        payer="MCR-B",
    )
    found = plan(a_row(), a_day(3), Biller(Capabilities()), "test", live)  # type: ignore[arg-type]
    assert "no line differs" in found.finding.message  # type: ignore[union-attr]
    other = LiveCharge(body=b"", lines=live.lines, payer="ACME")
    found = plan(a_row(stage="payer", standing=Standing.ACCEPTED.value), a_day(3), Biller(FULL), "test", other)  # type: ignore[arg-type]
    assert found.change.payer_changed and "another primary payer" in str(found.change)  # type: ignore[union-attr]


class Correcting(Biller):
    """A destination that needs to see what it was sent to correct it."""

    def encode_replacement(self, priced: object, live: bytes, *, reference: str, original_id: str | None) -> tuple[bytes, str]:
        return b"credit " + live, "text/plain"

    async def submit(self, submission: object) -> None: ...
    async def find(self, submission: object) -> None: ...
    async def list_references(self, dates: object) -> None: ...
    async def check(self) -> None: ...
    async def close(self) -> None: ...


def test_a_platform_that_needs_to_see_what_it_was_sent_does() -> None:
    live = LiveCharge(body=b"live")
    found = plan(a_row(), a_day(3), Correcting(FULL), "test", live)  # type: ignore[arg-type]
    assert found.submission is not None and found.submission.body == b"credit live"


class Stepping(Correcting):
    """A destination whose corrections leave a line for later: the places stand in the bytes."""

    left = b""

    def encode_replacement(self, priced: object, live: bytes, *, reference: str, original_id: str | None) -> tuple[bytes, str]:
        return self.left, "text/plain"

    def waiting_lines(self, body: bytes) -> tuple[int, ...]:
        return tuple(int(place) for place in body.split())


SPLITS = Capabilities(replace=True, void=True, splits=True)


def test_a_correction_in_two_steps_counts_what_it_sends_and_has_the_day_judged_again() -> None:
    destination = Stepping(SPLITS)
    destination.left = b"2"
    found = plan(a_row(), a_day(3), destination, "test", LiveCharge(body=b""))  # type: ignore[arg-type]
    sent = found.submission
    assert sent is not None and (sent.units, sent.amount_cents, sent.lines) == (3, 9000, 1), "97110 x3, and not 97161"
    assert found.judge_after and found.state == "queued" and found.action.startswith("replace what the biller has")
    assert found.action.endswith("; lines that change claims follow when the payer has it without them")
    day = a_day(3)
    unpriced = replace(day, charges=(day.charges[0], replace(day.charges[1], amount_cents=None)))
    found = plan(a_row(), unpriced, destination, "test", LiveCharge(body=b""))  # type: ignore[arg-type]
    assert found.submission is not None and found.submission.amount_cents == 9000, "a line without a price takes nothing off"
    destination.left = b""
    found = plan(a_row(), a_day(3), destination, "test", LiveCharge(body=b""))  # type: ignore[arg-type]
    assert found.submission is not None and found.submission.lines == 2 and not found.judge_after
    assert found.action == "replace what the biller has (frequency 7)"
    gone = plan(a_row(), None, destination, "test", LiveCharge(body=b"2"))  # type: ignore[arg-type]
    assert gone.submission is not None and gone.submission.frequency is Frequency.VOID and not gone.judge_after


def test_what_a_first_step_left_follows_though_the_day_is_the_same() -> None:
    destination = Stepping(SPLITS)
    lines = (line("97110", 3), ShownLine(procedure="97161", modifiers=("GP",), units=1, amount_cents=3000))
    first = plan(a_row(live_sha256=None), a_day(3), destination, "test", None)  # type: ignore[arg-type]
    row = a_row(live_sha256=first.content_sha256)
    whole, part = (LiveCharge(body=body, lines=lines, payer="MCR-B") for body in (b"", b"2"))
    same = plan(row, a_day(3), destination, "test", whole)  # type: ignore[arg-type]
    assert same.submission is None and same.action == "unchanged: the biller has exactly this"
    follows = plan(row, a_day(3), destination, "test", part)  # type: ignore[arg-type]
    assert follows.state == "queued" and follows.submission is not None and follows.submission.lines == 2
    assert str(follows.change) == "add 97161-GP x1 $30.00", "the line that the first step left out"
    other = Stepping(FULL)
    assert plan(row, a_day(3), other, "test", part).submission is None, "only one that splits days is asked"  # type: ignore[arg-type]
    assert plan(row, a_day(3), Correcting(SPLITS), "test", part).submission is None  # type: ignore[arg-type]
