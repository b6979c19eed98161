"""Candid's later news: what became of each charge, once each, and caught up after a silence longer than its feed."""

from __future__ import annotations

import pytest

from ptbridge.model import Answer, NativeCode, Stage, Standing
from tests.rigs import a_day
from tests.rigs.servers import REFERENCE, Scene
from tests.unit.destinations.candid_judge import ChargeCaptureClaimCreation, Encounter, EventScanPage, problems
from tests.unit.destinations.candid_rig import WAYS, play
from tests.unit.destinations.claim_days import with_lines

NOW = 1_795_000_000.0
DAY = 86_400
YESTERDAY = {"created_after": "2026-11-17T00:00:00Z"}
ADJUSTED = {
    "service_line_adjustments": [
        {
            "created_at": "2026-11-20T00:00:00Z",
            "adjustment_group_code": "CO",
            "adjustment_reason_code": "97",
            "adjustment_amount_cents": 3000,
        }
    ],
    "remittance_advice_remark_codes": ["M15"],
}


async def news(it: Scene, cursor: dict[str, str]) -> tuple[list[Answer], dict[str, str]]:
    """All pages, and the cursor after the last."""
    found: list[Answer] = []
    async for page in it.destination.answers(cursor):
        found.extend(page.answers)
        cursor = dict(page.cursor) if page.cursor is not None else cursor
    return found, cursor


async def claimed(it: Scene, way: str, day=None) -> None:
    await it.destination.submit(it.send(day or a_day()))
    if way == "charge_captures":
        it.server.books.make_claim(REFERENCE)


class Clock:
    """Wall time at the pretend Candid and at the client."""

    def __init__(self) -> None:
        self.at = NOW

    def __call__(self) -> float:
        return self.at


def at(clock: Clock, it: Scene) -> None:
    it.destination._api._http.clock = type(it.destination._api._http.clock)(wall=clock)


@pytest.mark.parametrize("way", WAYS)
def test_each_status_is_told_once_with_its_native_name(way):
    clock = Clock()

    async def scene(it: Scene):
        at(clock, it)
        await claimed(it, way)
        told, cursor = await news(it, {})
        assert {(one.stage, one.standing, one.reference) for one in told} == {(Stage.CLAIM_MADE, Standing.ACCEPTED, REFERENCE)}
        seen = {one.key for one in told}
        for status, stage, standing in (
            ("submitted_to_payer", Stage.CLEARINGHOUSE, Standing.PENDING),
            ("rejected", Stage.CLEARINGHOUSE, Standing.REJECTED),
            ("paid", Stage.REMITTANCE, Standing.PAID),
            ("a_new_word", Stage.CLAIM_MADE, Standing.PENDING),
        ):
            clock.at += DAY
            it.server.books.set_status(REFERENCE, status, payer_claim_id="ICN7")
            told, cursor = await news(it, cursor)
            fresh = [one for one in told if one.key not in seen and one.line is None]
            assert [(one.stage, one.standing, one.payer_claim_number) for one in fresh] == [(stage, standing, "ICN7")]
            assert fresh[0].codes == (NativeCode(system="candid.claim_status", code=status),) and fresh[0].said_at
            seen |= {one.key for one in told}

    play(way, scene, wall=clock)


@pytest.mark.parametrize("way", WAYS)
def test_a_remittance_is_told_for_the_claim_and_for_each_line(way):
    clock = Clock()

    async def scene(it: Scene):
        at(clock, it)
        await claimed(it, way, with_lines(a_day(), "97110-GP x2", "97140-GP x1"))
        it.server.books.remit(
            REFERENCE,
            "paid",
            "ICN7",
            [
                {"paid_amount_cents": 4800, "patient_responsibility_cents": 1200},
                {
                    "paid_amount_cents": 0,
                    "patient_responsibility_cents": 0,
                    "service_line_era_data": ADJUSTED,
                    "denial_reason": {"reason": "Duplicate Claim"},
                },
            ],
        )
        assert problems(Encounter, it.server.books.encounter_of(REFERENCE)) == []
        told, _ = await news(it, YESTERDAY)
        whole, first, second = (one for one in told if one.stage is Stage.REMITTANCE)
        assert (whole.charged_cents, whole.paid_cents, whole.patient_cents) == (9000, 4800, 1200)
        assert (first.line, first.procedure, first.standing, first.paid_cents) == (1, "97110", Standing.PAID, 4800)
        assert (second.line, second.standing, second.adjusted_cents) == (2, Standing.DENIED, 3000)
        assert [(code.system, code.code) for code in second.codes] == [
            ("CARC", "CO-97"),
            ("RARC", "M15"),
            ("candid.denial_reason", "Duplicate Claim"),
        ]
        assert len({one.key for one in told}) == len(told)

    play(way, scene, wall=clock)


def test_a_charge_that_became_no_claim_is_told_with_the_field_and_the_words():
    async def scene(it: Scene):
        await it.destination.submit(it.send(a_day()))
        it.server.books.fail_bundle(REFERENCE, "subscriber_primary", "the payer is not enrolled")
        bundle = next(iter(it.server.books.bundles.values()))
        assert problems(ChargeCaptureClaimCreation, bundle) == []
        told, cursor = await news(it, {})
        assert [(one.stage, one.standing, one.reference) for one in told] == [(Stage.CLAIM_MADE, Standing.REJECTED, REFERENCE)]
        assert [(code.system, code.code) for code in told[0].codes] == [
            ("candid.bundle_status", "in-error"),
            ("candid.bundle_error", "subscriber_primary"),
        ]
        again, _ = await news(it, cursor)
        assert [one.key for one in again] == [told[0].key], "the same news has the same key"

    play("charge_captures", scene)


def test_a_feed_of_many_pages_is_read_to_its_end_and_the_last_word_counts():
    clock = Clock()

    async def scene(it: Scene):
        at(clock, it)
        await claimed(it, "encounters")
        for number in range(250):
            it.server.books.set_status(REFERENCE, "coded" if number < 249 else "denied")
        page = {"items": it.server.books.events[-3:]}
        assert problems(EventScanPage, page) == []
        told, cursor = await news(it, YESTERDAY)
        assert [one.standing for one in told if one.line is None] == [Standing.DENIED]
        assert it.server.requests["look-ups"] == 1, "one encounter is read once, however often it changed"
        assert set(cursor) == {"created_after"}

    play("encounters", scene, wall=clock)


@pytest.mark.parametrize("way", WAYS)
def test_after_a_silence_longer_than_the_feed_everything_is_asked_once(way):
    clock = Clock()

    async def scene(it: Scene):
        at(clock, it)
        await claimed(it, way)
        _, cursor = await news(it, {})
        it.server.books.set_status(REFERENCE, "finalized_paid", payer_claim_id="ICN7")
        clock.at += 45 * DAY
        told, later = await news(it, cursor)
        assert (Stage.REMITTANCE, Standing.PAID) in {(one.stage, one.standing) for one in told}, "no event tells of it any more"
        again, _ = await news(it, cursor)
        assert {one.key for one in again} == {one.key for one in told}
        quiet, _ = await news(it, later)
        assert quiet == []

    play(way, scene, wall=clock)


def test_other_systems_encounters_are_not_ours_to_tell():
    async def scene(it: Scene):
        await claimed(it, "encounters")
        for line in it.server.books.encounter_of(REFERENCE)["claims"][0]["service_lines"]:
            line["external_id"] = "theirs"
        it.server.books.set_status(REFERENCE, "paid")
        assert (await news(it, {}))[0] == []

    play("encounters", scene)


def test_nothing_but_the_number_and_the_words_of_the_payer_is_hidden_from_a_repr():
    told = Answer(key="k", stage=Stage.PAYER, standing=Standing.PENDING, payer_claim_number="ICN7", text="words")
    assert "ICN7" not in repr(told) and "words" not in repr(told)
