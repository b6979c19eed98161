"""Unit counting against an independent brute force that knows only the manual's sentences."""

from datetime import date
from itertools import product

from hypothesis import given
from hypothesis import strategies as st

from ptbridge.coding import code
from ptbridge.model import Discipline, Intervention, Patient, TreatmentDay, Visit, VisitStatus
from ptbridge.policy import load_codes, shipped_payers
from ptbridge.policy.assistants import timed_split
from ptbridge.policy.counting import allocate

CODES = load_codes()
NAMES = ["97110", "97112", "97140", "97530", "97116", "97035"]
EIGHT, MIDPOINT = "eight_minute_total", "midpoint_each_code"
days = st.lists(st.integers(0, 64), min_size=1, max_size=5).map(lambda minutes: list(zip(NAMES, minutes, strict=False)))


def interval_table(total):
    """The manual's table, written as its intervals: 8 through 22, 23 through 37, and so on."""
    units, low = 0, 8
    while total >= low:
        units, low = units + 1, low + 15
    return units


def brute_force(day):
    """Every allocation in which no sentence of section 20.2.C is broken.

    The units are those of the day's total; a code has one for each full 15 minutes and at most one more; no code gets a
    left-over unit while another with more left-over minutes goes without.
    """
    whole = [minutes // 15 for _, minutes in day]
    rest = [minutes - 15 * full for (_, minutes), full in zip(day, whole, strict=True)]
    cap = interval_table(sum(minutes for _, minutes in day))
    found = set()
    for extra in product((0, 1), repeat=len(day)):
        if sum(whole) + sum(extra) != cap:
            continue
        given_up = [rest[i] for i in range(len(day)) if extra[i]]
        passed_over = [rest[i] for i in range(len(day)) if not extra[i]]
        if given_up and passed_over and min(given_up) < max(passed_over):
            continue
        found.add(frozenset((day[i][0], whole[i] + extra[i]) for i in range(len(day))))
    return found


def count(rule, day):
    return allocate(rule, [(CODES.get(code), minutes) for code, minutes in day])


def as_set(allocation):
    return {frozenset(answer) for answer in allocation.acceptable}


@given(days)
def test_the_acceptable_set_is_the_brute_force_set(day):
    allocation = count(EIGHT, day)
    assert as_set(allocation) == brute_force(day)
    assert allocation.units == allocation.acceptable[0]


@given(days)
def test_accepts_and_covers_agree_with_the_listed_set(day):
    allocation = count(EIGHT, day[:3])
    answers = [dict(answer) for answer in allocation.acceptable]
    for guess in product(range(6), repeat=len(day[:3])):
        units = {code: given for (code, _), given in zip(day[:3], guess, strict=True)}
        assert allocation.accepts(units) == (units in answers)
        assert allocation.covers(units) == any(all(answer[code] >= units[code] for code in units) for answer in answers)


@given(days, st.randoms(use_true_random=False))
def test_order_never_matters_for_the_acceptable_set(day, random):
    shuffled = random.sample(day, len(day))
    for rule in (EIGHT, MIDPOINT):
        assert as_set(count(rule, day)) == as_set(count(rule, shuffled))


@given(days, st.integers(0, 4))
def test_more_minutes_never_give_fewer_units(day, position):
    position %= len(day)
    more = [(code, minutes + (place == position)) for place, (code, minutes) in enumerate(day)]
    name = day[position][0]
    for rule in (EIGHT, MIDPOINT):
        before, after = count(rule, day), count(rule, more)
        assert sum(units for _, units in after.units) >= sum(units for _, units in before.units)
        best = max(dict(answer)[name] for answer in before.acceptable)
        assert max(dict(answer)[name] for answer in after.acceptable) >= best


@given(days, st.integers(1, 60))
def test_a_code_written_in_two_parts_counts_as_one(day, cut):
    code, minutes = day[0]
    parts = [(code, min(cut, minutes)), *day[1:], (code, minutes - min(cut, minutes))]
    for rule in (EIGHT, MIDPOINT):
        assert count(rule, parts).acceptable == count(rule, day).acceptable


@given(days)
def test_midpoint_has_one_answer_and_every_code_stands_alone(day):
    allocation = count(MIDPOINT, day)
    assert len(allocation.acceptable) == 1
    for name, units in allocation.units:
        minutes = dict(day)[name]
        # the n-th unit counts once 15 (n - 1) minutes and more than half of 15 have passed
        assert units == sum(1 for n in range(1, 10) if minutes > 15 * (n - 1) + 7.5)


@given(st.integers(0, 90), st.integers(0, 90), st.booleans(), st.sampled_from(["percentage", "simple"]))
def test_a_split_bills_exactly_the_counted_units(therapist, assistant, lifted, method):
    full, rest = divmod(therapist + assistant, 15)
    units = full + (lifted and rest > 0)
    split = timed_split(units, therapist, assistant, 15, method)
    assert split.with_modifier + split.without == units
    assert min(split.with_modifier, split.without) >= 0
    assert split.with_modifier >= assistant // 15 or units < therapist // 15 + assistant // 15
    if not assistant:
        assert split.with_modifier == 0
    if not therapist:
        assert split.without == 0


# ---------------------------------------------------------------- the coding of a whole day

ON = date(2026, 11, 20)
POLICIES = shipped_payers()
documented = st.builds(
    lambda name, therapist, assistant, units: {
        "documented": name,
        "code": name,
        "minutes": therapist + assistant,
        "therapist_minutes": therapist,
        "assistant_minutes": assistant,
        "units_documented": units,
    },
    st.sampled_from([*NAMES, "97010", "97129", "97130", "97150", "97161", "97550", "97598"]),
    st.integers(0, 40),
    st.integers(0, 40),
    st.none() | st.integers(0, 4),
)


def coded(lines, policy="medicare_part_b"):
    visit = Visit(
        clinic="c",
        source="s",
        visit_id="v",
        status=VisitStatus.FINISHED,
        service_date=ON,
        patient=Patient(id="p"),
        interventions=tuple(Intervention(line_key=str(place), **fields) for place, fields in enumerate(lines)),
    )
    day = TreatmentDay(
        clinic="c", key="k", patient_id="p", discipline=Discipline.PT, service_date=ON, billing_npi="1", visits=(visit,)
    )
    return code(day, policy=POLICIES[policy], codes=CODES)


@given(st.lists(documented, max_size=6), st.sampled_from(sorted(POLICIES)))
def test_every_documented_line_is_billed_or_excluded_or_held(lines, policy):
    found = coded(lines, policy)
    billed = {key for line in found.lines for key in line.line_keys}
    excluded = [exclusion.line_key for exclusion in found.exclusions]
    every = {f"v/{place}" for place in range(len(lines))}
    assert billed | set(excluded) <= every
    assert billed.isdisjoint(excluded)
    assert len(excluded) == len(set(excluded))
    assert billed | set(excluded) == every or any(finding.holds for finding in found.findings)
    assert all(line.units >= 1 and line.because for line in found.lines)


@given(days)
def test_every_acceptable_answer_passes_unchanged_when_the_emr_gives_it(day):
    for answer in count(EIGHT, day).acceptable:
        units = dict(answer)
        found = coded([{"documented": name, "code": name, "minutes": m, "units_documented": units[name]} for name, m in day])
        assert not found.findings
        assert {line.procedure: line.units for line in found.lines} == {name: units[name] for name in units if units[name]}


@given(days, st.lists(st.none() | st.integers(0, 5), min_size=5, max_size=5))
def test_what_is_billed_never_exceeds_what_the_minutes_bear(day, units):
    lines = [
        {"documented": name, "code": name, "minutes": minutes, "units_documented": given_units}
        for (name, minutes), given_units in zip(day, units, strict=False)
    ]
    billed = {line.procedure: line.units for line in coded(lines).lines}
    answers = [dict(answer) for answer in brute_force(day)]
    assert any(all(answer.get(name, 0) >= number for name, number in billed.items()) for answer in answers)


@given(st.lists(documented, max_size=6))
def test_minutes_of_the_lines_add_up_to_what_was_documented(lines):
    found = coded(lines)
    by_key = {f"v/{place}": fields["minutes"] for place, fields in enumerate(lines)}
    keys = {key for line in found.lines for key in line.line_keys}
    if not found.findings and not {"97129", "97130"} & {fields["code"] for fields in lines}:
        assert sum(line.minutes or 0 for line in found.lines) == sum(by_key[key] for key in keys)
