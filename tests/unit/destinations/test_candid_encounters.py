"""Encounters at Candid: a correction converges step by step, from wherever it was cut off, and is read back."""

from __future__ import annotations

import pytest
from ptbridge_sandbox.biller_faults import Faults

from ptbridge.model import Disposition
from tests.rigs import a_day
from tests.rigs.servers import DATES, REFERENCE, Scene
from tests.unit.destinations.candid_judge import Encounter, problems
from tests.unit.destinations.candid_rig import LoseOne, live, play
from tests.unit.destinations.claim_days import full_day, of_visit, two_visits, with_lines

WAY = "encounters"
# Another principal diagnosis, one code gone, one new, a line less and another line changed.
AFTER = with_lines(a_day(), "97110-GP x3 >1", "97530-GP x1 >2,1", diagnoses=("S83.511A", "M25.561"))
TOTALS = {REFERENCE: (4, 12000)}


class BusyFrom(Faults):
    """Turns every change away from the `number`-th on (from 0)."""

    def __init__(self, number: int) -> None:
        super().__init__(busy=1.0)
        self.left = number

    def happens(self, share: float) -> bool:
        if share != 1.0:
            return False
        self.left -= 1
        return self.left < 0


def lines(it: Scene) -> list[tuple[str, str, str]]:
    rows = it.server.books.encounter_of(REFERENCE)["claims"][0]["service_lines"]
    return [(row["external_id"].removeprefix(REFERENCE), row["procedure_code"], row["quantity"]) for row in rows]


def codes(it: Scene) -> list[tuple[str, str]]:
    return [(row["code_type"], row["code"]) for row in it.server.books.encounter_of(REFERENCE)["diagnoses"]]


def test_a_create_is_one_request_and_its_answer_is_read():
    async def scene(it: Scene):
        answer = await it.destination.submit(it.send(full_day()))
        assert (answer.disposition, answer.native_code) == (Disposition.ACCEPTED, "BILLABLE")
        assert [(method, path) for method, path, _ in it.server.seen] == [("POST", "/api/encounters/v4")]
        assert problems(Encounter, it.server.books.encounter_of(REFERENCE)) == []
        assert live(it.server) == {REFERENCE: (4, 12000)}

    play(WAY, scene)


def test_a_correction_converges_in_the_documented_order():
    async def scene(it: Scene):
        await it.destination.submit(it.send(full_day()))
        it.server.seen.clear()
        correction = it.send(AFTER, revision=2, frequency="7")
        assert await it.destination.find(correction) is None
        assert (await it.destination.submit(correction)).disposition is Disposition.ACCEPTED
        asked = [f"{method} {path.split('/')[2]}" for method, path, _ in it.server.seen]
        assert asked == [
            "PATCH diagnoses",  # the old principal one steps down
            "PATCH diagnoses",  # the new one steps up
            "POST diagnoses",
            "PUT service-lines",
            "PUT service-lines",
            "DELETE service-lines",
            "DELETE diagnoses",
            "PATCH encounters",
        ]
        assert codes(it) == [("ABK", "S83.511A"), ("ABF", "M25.561")]
        assert lines(it) == [("-1", "97110", "3"), ("-2", "97530", "1")] and live(it.server) == TOTALS
        assert (await it.destination.find(correction)).disposition is Disposition.ACCEPTED
        assert problems(Encounter, it.server.books.encounter_of(REFERENCE)) == []

    play(WAY, scene)


@pytest.mark.parametrize("number", range(8))
def test_cut_off_after_any_step_it_is_in_doubt_and_converges(number):
    async def scene(it: Scene):
        await it.destination.submit(it.send(full_day()))
        correction = it.send(AFTER, revision=2, frequency="7")
        it.server.faults = LoseOne(number)
        assert (await it.destination.submit(correction)).disposition is Disposition.IN_DOUBT
        found = await it.destination.find(correction)
        assert (found is None) == (number < 7), "half written is never done"
        assert (await it.destination.submit(correction)).disposition is Disposition.ACCEPTED
        assert live(it.server) == TOTALS and len(it.server.books.encounters) == 1
        assert codes(it) == [("ABK", "S83.511A"), ("ABF", "M25.561")]

    play(WAY, scene)


@pytest.mark.parametrize("number", range(8))
def test_refused_at_any_step_it_is_not_done(number):
    async def scene(it: Scene):
        await it.destination.submit(it.send(full_day()))
        left = iter(range(100))
        it.server.faults.refuse = lambda body: next(left) == number
        correction = it.send(AFTER, revision=2, frequency="7")
        answer = await it.destination.submit(correction)
        assert answer.disposition is Disposition.REJECTED and answer.native_text.endswith("refused by a sandbox fault")
        assert ("half way" in answer.native_text) == (number > 0)
        assert await it.destination.find(correction) is None
        assert (await it.destination.submit(correction)).disposition is Disposition.ACCEPTED

    play(WAY, scene)


def test_a_line_that_comes_back_has_a_new_external_id():
    async def scene(it: Scene):
        await it.destination.submit(it.send(with_lines(a_day(), "97110-GP x2", "97140-GP x1")))
        for revision, wanted in ((2, ["97110-GP x2"]), (3, ["97110-GP x2", "97140-GP x1"])):
            sent = it.send(with_lines(a_day(), *wanted), revision=revision, frequency="7")
            assert (await it.destination.submit(sent)).disposition is Disposition.ACCEPTED
        assert lines(it) == [("-1", "97110", "2"), ("-2-r3", "97140", "1")], "a deleted line's id stays reserved"
        assert await it.destination.list_references(DATES) == {REFERENCE: (3, 9000)}

    play(WAY, scene)


def test_a_correction_leaves_nothing_of_the_earlier_version():
    async def scene(it: Scene):
        await it.destination.submit(it.send(full_day()))
        bare = of_visit(with_lines(a_day(), "97110-GP x1"), authorization_number=None)
        assert (await it.destination.submit(it.send(bare, revision=2, frequency="7"))).disposition is Disposition.ACCEPTED
        gone = {"prior_authorization_number", "accident_date", "related_causes_information", "supervising_provider"}
        assert gone & {name for name, value in it.server.books.encounter_of(REFERENCE).items() if value} == set()

    play(WAY, scene)


def test_a_repeated_create_finds_what_stands():
    async def scene(it: Scene):
        sent = it.send(a_day())
        it.server.faults = LoseOne(0)
        assert (await it.destination.submit(sent)).disposition is Disposition.IN_DOUBT
        assert (await it.destination.submit(sent)).disposition is Disposition.ACCEPTED
        other = await it.destination.submit(it.send(a_day(4), revision=2))
        assert (other.disposition, other.native_code) == (Disposition.REJECTED, "differs")
        assert live(it.server) == {REFERENCE: (3, 9000)}

    play(WAY, scene)


def test_taken_back_is_not_billable_and_can_be_billed_again():
    async def scene(it: Scene):
        await it.destination.submit(it.send(a_day()))
        void = it.send(a_day(), revision=2, frequency="8")
        assert (await it.destination.submit(void)).native_code == "NOT_BILLABLE" and live(it.server) == {}
        assert (await it.destination.submit(it.send(full_day(), revision=3))).disposition is Disposition.ACCEPTED
        assert live(it.server) == {REFERENCE: (4, 12000)} and len(it.server.books.encounters) == 1

    play(WAY, scene)


@pytest.mark.parametrize("frequency", ["7", "8"])
def test_what_candid_never_had_cannot_be_changed(frequency):
    async def scene(it: Scene):
        answer = await it.destination.submit(it.send(a_day(), frequency=frequency))
        assert (answer.disposition, answer.native_code) == (Disposition.REJECTED, "unknown-reference")

    play(WAY, scene)


@pytest.mark.parametrize("number", [0, 3])
def test_a_busy_answer_half_way_is_a_doubt_and_before_anything_is_none(number):
    async def scene(it: Scene):
        await it.destination.submit(it.send(full_day()))
        it.server.faults = BusyFrom(number)
        correction = it.send(AFTER, revision=2, frequency="7")
        answer = await it.destination.submit(correction)
        assert answer.disposition is (Disposition.IN_DOUBT if number else Disposition.RETRY)
        it.server.faults = Faults()
        assert (await it.destination.submit(correction)).disposition is Disposition.ACCEPTED

    play(WAY, scene)


def test_authorizations_of_two_visits_stand_on_their_lines_and_are_taken_away_again():
    async def scene(it: Scene):
        await it.destination.submit(it.send(two_visits("AUTH1", "AUTH2")))
        encounter = it.server.books.encounter_of(REFERENCE)
        rows = encounter["claims"][0]["service_lines"]
        assert [row["prior_authorization_number"] for row in rows] == ["AUTH1", "AUTH2"]
        assert "prior_authorization_number" not in encounter
        one = it.send(two_visits("AUTH1", None), revision=2, frequency="7")
        assert (await it.destination.submit(one)).disposition is Disposition.ACCEPTED
        assert not any(row.get("prior_authorization_number") for row in rows)
        assert encounter["prior_authorization_number"] == "AUTH1"

    play(WAY, scene)
