"""Which claim a line goes into: it stays where it is, and whichever claims are turned away, nothing is at the payer twice."""

from __future__ import annotations

import asyncio
from collections import Counter
from dataclasses import replace
from itertools import chain, product

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ptbridge.destinations._x12_correction import claims_in, sendable, waiting_in
from ptbridge.destinations._x12_split import Claim, Kept, Service, Standing, Wanted, fresh, kept, without_room
from ptbridge.model import Frequency
from tests.rigs import submission
from tests.unit.destinations.test_x12_writer import REFERENCE, day_of, destination, line, visits_of

A, B = "HC:97110:GP", "HC:97530:GP"


def wanted(*lines: tuple[str, int, str], pointed: tuple[frozenset[int], ...] = ()) -> list[Wanted]:
    """Lines as code, units and authorization; each points to the first diagnosis unless said otherwise."""
    points = (*pointed, *[frozenset({1})] * (len(lines) - len(pointed)))
    return [
        Wanted(at, Service(code, units), number, to)
        for at, ((code, units, number), to) in enumerate(zip(lines, points, strict=True), start=1)
    ]


def has(number: str, *services: tuple[str, int]) -> Standing:
    return Standing(number, tuple(Service(*one) for one in services))


def places(found: Kept | None) -> tuple[list[list[int]], list[list[int]], tuple[int, ...]]:
    assert found is not None
    return [one.lines if one else [] for one in found.claims], [one.lines for one in found.new], found.waiting


def test_a_line_stays_in_its_claim_and_a_new_one_goes_where_there_is_room() -> None:
    there = [has("A1", (A, 1)), has("A2", (B, 2))]
    lines = wanted((B, 2, "A2"), (A, 3, "A1"), ("HC:97140:GP", 1, "A2"), ("HC:97140:GP", 1, "A3"))
    assert places(kept(lines, there, 1)) == ([[2], [1, 3]], [[4]], ())


def test_a_claim_that_nothing_is_left_of_is_taken_back() -> None:
    found = kept(wanted((A, 1, "A1")), [has("A1", (A, 1)), has("A1", (B, 1))], 1)
    assert found is not None and found.claims[1] is None and places(found) == ([[1], []], [], ())


def test_a_claim_whose_lines_all_get_another_authorization_keeps_them() -> None:
    found = kept(wanted((A, 1, "A9"), (B, 1, "A9")), [has("A1", (A, 1), (B, 1))], 1)
    assert places(found) == ([[1, 2]], [], ()) and found is not None and found.claims[0].authorization == "A9"  # type: ignore[union-attr]


def test_a_line_that_gets_another_authorization_waits_until_it_has_left() -> None:
    lines = wanted((A, 1, "A1"), (B, 1, "A2"))
    assert places(kept(lines, [has("A1", (A, 1), (B, 1))], 1)) == ([[1]], [], (2,))
    assert places(kept(lines, [has("A1", (A, 1))], 1)) == ([[1]], [[2]], ())


def test_of_two_authorizations_the_claims_own_stays_else_the_most() -> None:
    there = [has("A1", (A, 1), (A, 2), (B, 1))]
    assert places(kept(wanted((A, 1, "A2"), (A, 2, "A2"), (B, 1, "A1")), there, 1)) == ([[3]], [], (1, 2))
    assert places(kept(wanted((A, 1, "A2"), (A, 2, "A3"), (B, 1, "A3")), there, 1)) == ([[2, 3]], [], (1,))


def test_a_line_whose_diagnoses_have_no_room_any_longer_waits() -> None:
    full, other = frozenset(range(1, 13)), frozenset({13})
    lines = wanted((A, 1, ""), (B, 1, ""), pointed=(full, other))
    assert places(kept(lines, [has("", (A, 1), (B, 1))], 13)) == ([[1]], [], (2,))
    assert places(kept(lines, [has("", (A, 1))], 13)) == ([[1]], [[2]], ())


def test_another_code_in_place_of_one_stays_in_that_claim() -> None:
    there = [has("A1", (A, 1), ("HC:97140:GP", 1)), has("A2", (B, 1))]
    recoded = wanted(("HC:97112:GP", 1, "A1"), ("HC:97140:GP", 1, "A1"), (B, 1, "A2"))
    assert places(kept(recoded, there, 1)) == ([[1, 2], [3]], [], ())
    elsewhere = wanted(("HC:97112:GP", 1, "A2"), ("HC:97140:GP", 1, "A1"), (B, 1, "A2"))
    assert places(kept(elsewhere, there, 1)) == ([[2], [3]], [], (1,)), "it may be the same service: first the old one goes"


def test_units_that_change_claims_fall_before_they_rise() -> None:
    there = [has("A1", (A, 3), (B, 1)), has("A2", (A, 1))]
    assert places(kept(wanted((A, 1, "A1"), (B, 1, "A1"), (A, 3, "A2")), there, 1)) == ([[1, 2], []], [], (3,))
    assert places(kept(wanted((A, 1, "A1"), (B, 1, "A1"), (A, 1, "A2")), there, 1)) == ([[1, 2], [3]], [], ())
    assert places(kept(wanted((A, 4, "A1"), (B, 1, "A1"), (A, 2, "A2")), there, 1)) == ([[1, 2], [3]], [], ())


def test_where_nothing_could_go_first_a_person_corrects() -> None:
    assert kept(wanted((A, 4, "A1")), [has("A1", (A, 1)), has("A1", (A, 2))], 1) is None


def test_of_a_claim_whose_lines_are_not_known_only_all_of_the_day_is_safe() -> None:
    unknown = Standing("A1", None)
    assert places(kept(wanted((A, 1, "A1"), (B, 1, "A1")), [unknown], 1)) == ([[1, 2]], [], ())
    assert kept(wanted((A, 1, "A1"), (B, 1, "A2")), [unknown], 1) is None
    assert kept(wanted((A, 1, "A1")), [unknown, has("A2", (B, 1))], 1) is None


def test_what_the_payer_has_nothing_of_goes_as_a_fresh_day() -> None:
    lines = wanted((A, 1, "A2"), (B, 1, "A1"), (A, 1, "A2"))
    assert places(kept(lines, [], 1)) == ([], [one.lines for one in fresh(lines, 1)], ()) == ([], [[1, 3], [2]], ())


def test_diagnoses_of_a_line_that_waits_ask_for_no_room() -> None:
    lines = wanted((A, 1, ""), (B, 1, ""), pointed=(frozenset(range(1, 13)), frozenset({13})))
    found = kept(lines, [has("", (A, 1), (B, 1))], 14)
    assert found is not None and found.claims[0] == Claim("", [1], set(range(1, 13)), set())
    assert without_room([found.claims[0]], lines, 14) == 1, "the fourteenth, to which no line points"


NUMBERS, CODES = st.sampled_from(["", "A1", "A2"]), st.sampled_from([A, B, "HC:97110:GP:59", "HC:97140:GP"])
SERVICES = st.builds(Service, CODES, st.integers(1, 3))
CLAIMS = st.builds(Standing, NUMBERS, st.lists(SERVICES, min_size=1, max_size=4).map(tuple))
LINES = st.lists(
    st.tuples(SERVICES, NUMBERS, st.frozensets(st.integers(1, 20), min_size=1, max_size=4)), min_size=1, max_size=8
)


def units(services: list[Service]) -> Counter[str]:
    found: Counter[str] = Counter()
    for one in services:
        found[one.procedure] += one.units
    return found


@settings(max_examples=400, deadline=None)
@given(st.lists(CLAIMS, max_size=3), LINES)
def test_whichever_claims_are_turned_away_nothing_is_there_twice(there: list[Standing], drawn: list[tuple]) -> None:
    lines = [Wanted(at, *one) for at, one in enumerate(drawn, start=1)]
    found = kept(lines, there, 20)
    if found is None:
        return
    went = sorted(place for claim in (*found.claims, *found.new) if claim for place in claim.lines)
    assert sorted((*went, *found.waiting)) == [one.place for one in lines] and went, "each line goes once or waits"
    of = {one.place: one.service for one in lines}
    before = [list(one.services or ()) for one in there] + [[] for _ in found.new]
    after = [[of[place] for place in claim.lines] if claim else [] for claim in (*found.claims, *found.new)]
    had, now = [*chain(*before)], list(of.values())
    for taken in product((True, False), repeat=len(after)):
        has_now = [*chain(*(new if yes else old for yes, old, new in zip(taken, before, after, strict=True)))]
        assert units(has_now) <= units(had) | units(now)
        assert len(has_now) <= max(len(had), len(now))
    for claim in (*found.claims, *found.new):
        assert claim is None or {lines[place - 1].authorization for place in claim.lines} == {claim.authorization}


# ---------------------------------------------------------------- what stands in the bytes


ONE = day_of([line(1), replace(line(2), procedure="97530")])


def corrected(day, live: bytes, told: str | None) -> bytes:
    body, media_type = destination().encode_replacement(day, live, reference=REFERENCE, original_id=told)
    assert "withheld" not in media_type
    return body


def frequencies(body: bytes) -> list[str]:
    return [one.frequency for one in claims_in(body)]


def test_what_the_payer_had_is_noted_and_does_not_leave(tmp_path) -> None:
    made = destination(tmp_path)
    live, _ = made.encode(ONE, reference=REFERENCE, frequency="1", original_id=None)
    body = corrected(day_of([line(1)]), live, "ICN1")
    assert body.endswith(b"~had*HC:97110:GP*1~had*HC:97530:GP*1~") and b"had*" not in sendable(body)
    assert claims_in(body)[0].had == (Service("HC:97110:GP", 1), Service("HC:97530:GP", 1))
    sent = replace(submission(made, reference=REFERENCE), body=body, frequency=Frequency.REPLACEMENT)
    asyncio.run(made.submit_batch([sent]))
    (file,) = tmp_path.glob("*.837")
    assert sendable(body) in file.read_bytes() and b"~had" not in file.read_bytes()
    void, _ = made.encode_void(body, reference=REFERENCE, original_id="ICN2")
    assert void.endswith(b"~had*HC:97110:GP*1~") and void.count(b"~had*") == 1, "what the payer took last"


@pytest.mark.parametrize("told", ["ICN1", "-"])
def test_a_correction_that_was_turned_away_leaves_what_was_there(told) -> None:
    live, _ = destination().encode(ONE, reference=REFERENCE, frequency="1", original_id=None)
    without = corrected(day_of([line(1)]), live, "ICN1")
    elsewhere = day_of(
        [line(1), replace(line(2, visit="e2"), procedure="97530")], visits=visits_of(authorization_number="OTHER1")
    )
    again = corrected(elsewhere, without, told)
    assert frequencies(again) == ["7"] and waiting_in(again) == (2,), "the payer still has it in the first claim"
    after = corrected(elsewhere, again, "ICN5")
    assert frequencies(after) == ["7", "1"] and waiting_in(after) == ()
    taken = corrected(elsewhere, without, "ICN2")
    assert frequencies(taken) == ["7", "1"], "where it was taken, the line is new"


def test_a_correction_of_an_earlier_version_says_nothing_of_what_was_there() -> None:
    made = destination()
    live, _ = made.encode(ONE, reference=REFERENCE, frequency="7", original_id="ICN1")
    for told in ("-", "ICN1"):
        assert frequencies(corrected(day_of([line(1)]), live, told)) == ["7"], "all in the one claim is safe"
        two = day_of([line(1), line(2, visit="e2")], visits=visits_of(authorization_number="OTHER1"))
        _, media_type = made.encode_replacement(two, live, reference=REFERENCE, original_id=told)
        assert media_type.endswith("withheld=by-hand")
        (answer,) = asyncio.run(made.submit_batch([replace(submission(made), body=live, media_type=media_type)]))
        assert answer.native_code == "by-hand" and "correct it with the payer" in answer.native_text


def test_a_refused_void_leaves_its_claim_with_its_lines() -> None:
    two = day_of([line(1), replace(line(2, visit="e2"), procedure="97530")], visits=visits_of(authorization_number="OTHER1"))
    live, _ = destination().encode(two, reference=REFERENCE, frequency="1", original_id=None)
    fewer = corrected(day_of([line(1)]), live, "ICN1 ICN2")
    assert frequencies(fewer) == ["8", "7"]
    assert frequencies(corrected(two, fewer, "- ICN3")) == ["7", "7"], "it was not taken back: it is replaced"
    assert frequencies(corrected(two, fewer, "void ICN3")) == ["7", "1"]
