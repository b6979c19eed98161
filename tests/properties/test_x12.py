"""What always holds of X12: a day that lacks nothing is right 837P, each line once; any answer file ends somewhere."""

from __future__ import annotations

import asyncio
import contextlib
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from tempfile import TemporaryDirectory

from hypothesis import Phase, assume, given, settings
from hypothesis import strategies as st
from ptbridge_sandbox.clearinghouse import Clearinghouse

from ptbridge.destinations._x12_answers import answers_in
from ptbridge.destinations._x12_file import file_bytes
from ptbridge.destinations._x12_sent import Sent
from ptbridge.destinations._x12_text import Problem, spelled
from ptbridge.destinations.x12_837p import X12Claims
from ptbridge.errors import RecordError
from ptbridge.model import Address, Answer, Frequency, PricedDay, Provider, ServiceLine, Stage, Standing
from ptbridge.wire.x12 import interchanges
from tests.rigs import a_day, build, submission
from tests.rigs.x12_837p import OPTIONS
from tests.unit.destinations.test_x12_writer import NOON, day_of, destination, line
from tests.unit.wire.test_x12 import GOOD, PAID, STATUS, file_of
from tests.x12_judges import by_pyx12, by_us, by_x12sdk

TEXT = st.text("abcXYZ éñüßØł’–'-.#09", max_size=20).map(lambda text: f"N{text}")
CODES = [f"M25.5{number:02d}" for number in range(20)]
ANSWERS = (GOOD, file_of("277", "005010X214", *STATUS), file_of("835", "005010X221A1", *PAID))
NOWHERE = Sent([Path("/nonexistent")], "oak")


@st.composite
def days(draw) -> PricedDay:
    """Any number of lines, diagnoses, visits and authorizations, names of any letters."""
    (visit,) = a_day().day.visits
    diagnoses = draw(st.integers(1, 20))
    pointers = st.lists(st.integers(1, diagnoses), min_size=1, max_size=4, unique=True).map(tuple)
    modifiers = st.lists(st.sampled_from(["GP", "CQ", "59", "KX"]), max_size=4, unique=True).map(tuple)
    count = draw(st.integers(1, 60))
    lines: list[ServiceLine] = [
        replace(line(number, visit=f"e{draw(st.integers(1, 3))}"), diagnosis_pointers=draw(pointers), modifiers=draw(modifiers))
        for number in range(1, count + 1)
    ]
    therapists = st.sampled_from(
        [visit.rendering, Provider(npi="1245319599", name="Lee, Sam"), Provider(npi="1234567893", name="Oak")]
    )
    visits = tuple(
        replace(
            visit,
            visit_id=f"e{number}",
            rendering=draw(therapists),
            authorization_number=draw(st.sampled_from([None, "A1", "A2"])),
            place_of_service=draw(st.sampled_from(["11", "12"])),
            patient=replace(
                visit.patient,
                family=draw(TEXT),
                given=draw(st.none() | TEXT),
                address=Address(
                    lines=tuple(draw(st.lists(TEXT, min_size=1, max_size=2))), city=draw(TEXT), state="OH", postal_code="43215"
                ),
            ),
        )
        for number in (1, 2, 3)
    )
    return day_of(lines, diagnoses=CODES[:diagnoses], visits=visits)


@settings(max_examples=40, deadline=None, phases=[Phase.explicit, Phase.reuse, Phase.generate])  # a judge is slow: no shrinking
@given(days())
def test_a_day_that_lacks_nothing_is_right_x12_with_each_line_once(day):
    made = destination()
    assume(made.lacks(day) == [])
    body, _ = made.encode(day, reference="pt-0123456789abcdef01234567", frequency="1", original_id=None)
    raw = file_bytes([body], made._parties, made._billing, number=123, now=NOON)
    assert [*by_us(raw), *by_pyx12(raw), *by_x12sdk(raw)] == []
    segments = [one.split("*") for one in body.decode().split("~")]
    numbers = sorted(int(one[2].rpartition("-")[2]) for one in segments if one[:2] == ["REF", "6R"])
    assert numbers == list(range(1, len(day.charges) + 1))
    assert round(sum(float(one[2]) * 100 for one in segments if one[0] == "CLM")) == day.amount_cents
    for one in day.charges:
        pointed = {CODES[at - 1].replace(".", "") for at in one.line.diagnosis_pointers}
        assert pointed <= {code.partition(":")[2] for hi in segments if hi[0] == "HI" for code in hi[1:]}


REFERENCE = "pt-0123456789abcdef01234567"


@dataclass
class AtThePayer:
    """A day on its way to a clearinghouse and back, corrected as the plan corrects: by what the answers say of each claim."""

    made: X12Claims
    house: Clearinghouse
    live: bytes = b""
    told: str | None = None
    gone: bool = True
    revision: int = 0
    refused: bool = False
    cursor: dict[str, str] = field(default_factory=dict)

    def sends(self, day: PricedDay | None, refuse: Sequence[bool] = ()) -> bool:
        """One submission, of which the clearinghouse refuses these claims; then its answers. False: it is for a person."""
        frequency = "8" if day is None else "1" if self.gone else "7"
        if day is None:
            body, media_type = self.made.encode_void(self.live, reference=REFERENCE, original_id=self.told)
        elif self.gone:
            body, media_type = self.made.encode(day, reference=REFERENCE, frequency="1", original_id=None)
        else:
            body, media_type = self.made.encode_replacement(day, self.live, reference=REFERENCE, original_id=self.told)
        if "withheld" in media_type:
            assert media_type.endswith("by-hand")
            return False
        self.revision += 1
        sent = replace(submission(self.made, reference=REFERENCE, revision=self.revision), frequency=Frequency(frequency))
        verdicts = iter(refuse)
        self.house.faults.refuse_claim = lambda _: next(verdicts, False)
        (answer,) = asyncio.run(self.made.submit_batch([replace(sent, body=body, media_type=media_type)]))
        (file,) = self.house.inbound.glob("*.837")
        assert answer.native_code == "dropped" and [*by_us(file.read_bytes())] == []
        self.house.work()
        self.live = body
        self.hears(sent.key, frequency)
        return True

    def hears(self, key: str, frequency: str) -> None:
        """What is live stands by the answers about it; what the ledger does with them is in `ledger/answers.py`."""

        async def read() -> list[Answer]:
            answers: list[Answer] = []
            async for page in self.made.answers(self.cursor):
                answers += page.answers
                self.cursor = dict(page.cursor or self.cursor)
            return answers

        about = [one for one in asyncio.run(read()) if one.submission_key == key and one.stage is Stage.PAYER]
        news = [one for one in about if one.line is None]
        numbers = [one.payer_claim_number for one in news if one.payer_claim_number]
        self.refused = any(one.standing in (Standing.REJECTED, Standing.DENIED) for one in about)
        rejected = news[-1].standing is Standing.REJECTED
        self.gone = rejected and frequency == "1"
        self.told = numbers[-1] if numbers else self.told if rejected else None


@st.composite
def small_days(draw) -> PricedDay:
    """A day under up to three authorizations, of few procedures, with up to twenty diagnoses: one claim or several."""
    (visit,) = a_day().day.visits
    numbers = st.sampled_from([None, "A1", "A2", "A3"])
    visits = tuple(replace(visit, visit_id=f"e{at}", authorization_number=draw(numbers)) for at in (1, 2, 3))
    diagnoses = draw(st.sampled_from([1, 12, 20]))
    pointers = st.lists(st.integers(1, diagnoses), min_size=1, max_size=4, unique=True).map(tuple)
    procedures, modifiers = st.sampled_from(["97110", "97112", "97140", "97530"]), st.sampled_from([("GP",), ("GP", "59")])
    lines = [
        replace(
            line(at, visit=f"e{draw(st.integers(1, 3))}", pointers=draw(pointers)),
            procedure=draw(procedures),
            modifiers=draw(modifiers),
            units=draw(st.integers(1, 3)),
        )
        for at in range(1, draw(st.integers(1, 7)) + 1)
    ]
    assume(destination().lacks(day_of(lines, diagnoses=CODES[:diagnoses], visits=visits)) == [])
    return day_of(lines, diagnoses=CODES[:diagnoses], visits=visits)


def units_of(day: PricedDay) -> Counter[str]:
    found: Counter[str] = Counter()
    for charge in day.charges:
        found[charge.line.procedure] += charge.line.units
    return found


def units_at(house: Clearinghouse) -> Counter[str]:
    found: Counter[str] = Counter()
    for one in (one for claim in house.books.live() for one in claim.lines):
        found[one.procedure.split(":")[1]] += one.units
    return found


def lines_at(house: Clearinghouse) -> int:
    return sum(len(claim.lines) for claim in house.books.live())


@settings(max_examples=60, deadline=None, phases=[Phase.explicit, Phase.reuse, Phase.generate])
@given(
    st.lists(st.tuples(small_days(), st.lists(st.lists(st.booleans(), max_size=5), min_size=1, max_size=2)), max_size=4),
    small_days(),
)
def test_whatever_is_refused_nothing_is_at_the_payer_twice_and_it_ends_with_the_last_day_and_then_with_nothing(steps, last):
    with TemporaryDirectory() as folder:
        house = Clearinghouse(Path(folder) / "drop", Path(folder) / "answers", strict=False)
        way = AtThePayer(build("x12_837p", OPTIONS, folder=house.inbound), house)
        for day, refusals in [*steps, (last, [[]] * 6)]:
            for refuse in refusals:
                before, many = units_at(house), lines_at(house)
                by_hand = not way.sends(day, refuse)
                assert house.books.violations == []
                assert units_at(house) <= before | units_of(day), "of no procedure more than before or than the day has"
                assert lines_at(house) <= max(many, len(day.charges))
                if by_hand:
                    assert units_at(house) == before
                elif units_at(house) != units_of(day):
                    assert way.refused or way.made.waiting_lines(way.live), "nothing is missing that nobody was told of"
                if by_hand or not (way.made.waiting_lines(way.live) or way.refused):
                    break
        assume(not by_hand)
        assert way.made.waiting_lines(way.live) == () and not way.refused
        totals = house.books.totals()
        assert (units_at(house), lines_at(house), totals["amount_cents"]) == (
            units_of(last),
            len(last.charges),
            last.amount_cents,
        )
        assert way.sends(None)
        assert house.books.totals()["claims"] == 0


@given(st.text(max_size=40))
def test_a_text_is_carried_in_x12s_characters_or_refused(text):
    with contextlib.suppress(Problem):
        written = spelled(text, 40)
        assert written.isascii() and not set(written) & set("*:~^\n\r") and written == written.strip()
        assert spelled(written, 40) == written, "what was carried once is carried again"


@settings(max_examples=300, deadline=None)
@given(st.sampled_from(ANSWERS), st.data())
def test_any_damage_ends_in_answers_or_in_a_refusal_that_quotes_nothing(raw, data):
    at = data.draw(st.integers(0, len(raw)))
    cut = data.draw(st.integers(0, 30))
    damaged = raw[:at] + data.draw(st.binary(max_size=20)) + raw[at + cut :]
    try:
        for answer in answers_in(damaged, NOWHERE, {}):
            assert answer.key and answer.stage and answer.standing
    except RecordError as problem:
        assert problem.where and "DOE" not in str(problem)


@given(st.sampled_from(ANSWERS), st.lists(st.integers(0, 5), max_size=5))
def test_whole_files_survive_being_put_together(raw, blanks):
    found = interchanges(b"\r\n".join([raw] * (1 + len(blanks))))
    assert len(found) == 1 + len(blanks) and len({repr(one) for one in found}) == 1
