"""A patient's history from a real ledger: what counts, what does not, in which order, and what a void gives back."""

from __future__ import annotations

from datetime import date, timedelta
from pathlib import Path

import apsw
import msgspec
import pytest

from ptbridge.ledger import BilledLine, Ledger, Opening, Use, Verdict, Whose, patient_key, patient_key_of, shares
from ptbridge.ledger.authorizations import COUNTS
from ptbridge.ledger.database import pack
from ptbridge.model import Acknowledgement, Disposition, Frequency, Submission
from ptbridge.policy import load_codes
from ptbridge.policy.history import Authorization, PatientHistory
from ptbridge.ports import Outcome

CLINIC, PAYER, CODES = "riverside", "medicare_part_b", load_codes()
KEY = patient_key(CLINIC, "pat-1")
ON = date(2026, 11, 20)
MIGRATIONS = Path(__file__).parents[3] / "src" / "ptbridge" / "ledger"


def line(procedure: str = "97110", units: int = 2, allowed: int | None = 5000) -> BilledLine:
    return BilledLine(procedure, ("GP",), units, 9000, allowed)


class Days:
    """Treatment days of one patient, judged and answered as a run does it."""

    def __init__(self, folder: Path) -> None:
        self.ledger = Ledger.open(folder)
        self.ledger.begin_run(CLINIC)

    def day(
        self,
        on: date,
        state: str = "sent",
        discipline: str = "PT",
        lines: tuple[BilledLine, ...] = (line(),),
        visit_type: str = "daily",
        **facts: str,
    ) -> int:
        ledger, key = self.ledger, f"{on}|{discipline}|1234567893|pat-1"
        with ledger.transaction():
            day_id = ledger.days.ensure(CLINIC, key, f"ref-{on}-{discipline}", on.isoformat(), patient_key_of(CLINIC, key))
        self.judge(day_id, "queued" if state == "sent" else state, discipline, lines, visit_type, **facts)
        if state == "sent":
            self.answer()
        return day_id

    def judge(
        self,
        day_id: int,
        state: str,
        discipline: str = "PT",
        lines: tuple[BilledLine, ...] = (line(),),
        visit_type: str = "daily",
        frequency: Frequency = Frequency.ORIGINAL,
        authorization: str | None = None,
        payer: str = PAYER,
    ) -> None:
        row = self.ledger.days.get(day_id)
        assert row is not None
        submission = Submission(
            clinic=CLINIC,
            destination="charge_api",
            key=f"{row.reference}-{row.revision + 1}",
            reference=row.reference,
            order_key=row.reference,
            revision=row.revision + 1,
            frequency=frequency,
            body=b"1",
        )
        verdict = Verdict(
            state=state,
            reason="KX10" if state == "held" else None,
            payer=payer,
            discipline=discipline,
            body=b'{"findings": []}',
            visits_sha256=b"v",
            content_sha256=b"c" if state == "queued" else None,
            submission=submission if state == "queued" else None,
            billed=() if frequency is Frequency.VOID else lines,
            visit_types=(visit_type,),
            authorization_number=authorization,
        )
        with self.ledger.transaction():
            self.ledger.days.record(row, verdict)

    def answer(self) -> None:
        outbox = self.ledger.outbox(CLINIC, "charge_api")
        (item,) = outbox.due(now=2e9, limit=10)
        outbox.start((item,), now=2e9)
        outbox.finish((Outcome(item=item, acknowledgement=Acknowledgement(disposition=Disposition.ACCEPTED)),), now=2e9)

    def dirty(self) -> list[int]:
        return [day.id for day in self.ledger.days.dirty(CLINIC)]

    def asked(self, discipline: str = "PT", on: date = ON, day_id: int = 10**9, live: bool = False) -> PatientHistory:
        whose = Whose(
            clinic=CLINIC,
            patient_key=KEY,
            discipline=discipline,
            on=on,
            day_id=day_id,
            live=live,
            payer=PAYER,
            pools={"therapy": frozenset({"PT", "OT"}), "speech": frozenset({"SLP"})},
        )
        return self.ledger.patients.history(whose, CODES)

    def authorize(self, **facts: object) -> None:
        one = Authorization(**{"number": "A-1", "counts": "visits", "allowed": 12} | facts)  # type: ignore[arg-type]
        with self.ledger.transaction():
            self.ledger.authorizations.put(CLINIC, KEY, one, "letter")


@pytest.fixture
def days(tmp_path: Path) -> Days:
    return Days(tmp_path / "state")


def test_treatment_days_are_dates_of_one_discipline_before_this_one(days: Days) -> None:
    days.day(date(2026, 11, 3), visit_type="evaluation", lines=(line("97161", 1),))
    days.day(date(2026, 11, 5), "held")
    days.day(date(2026, 11, 6), "excluded")
    days.day(date(2026, 11, 9), visit_type="progress")
    days.day(date(2026, 11, 10), discipline="OT")
    days.day(ON, discipline="SLP", lines=(line("92507", 1),))
    days.day(date(2026, 11, 25))
    found = days.asked()
    assert found.treatment_days == (date(2026, 11, 3), date(2026, 11, 5), date(2026, 11, 9))
    assert found.progress_reports == (date(2026, 11, 3), date(2026, 11, 9))
    assert found.evaluations == ((date(2026, 11, 3), "97161"),)
    assert [(other.procedure, other.discipline, other.payer) for other in found.other_lines] == [("92507", "SLP", PAYER)]


def test_the_threshold_counts_pt_with_slp_and_ot_alone_sent_or_queued_in_the_calendar_year(days: Days) -> None:
    days.day(date(2025, 12, 31), lines=(line(allowed=100),))
    days.day(date(2026, 1, 1), lines=(line(allowed=1000), line("97140", 1, None)))
    days.day(date(2026, 1, 2), "queued", "SLP", (line("92507", 1, 200),))
    days.ledger._connection.execute("UPDATE submission SET next_at = 9e9 WHERE state = 'queued'")
    days.day(date(2026, 1, 3), "held", lines=(line(allowed=40_000),))
    days.day(date(2026, 1, 4), discipline="OT", lines=(line(allowed=7),))
    assert days.asked().accrued_cents == days.asked("SLP").accrued_cents == 1200
    assert days.asked("OT").accrued_cents == 7
    assert days.asked(on=date(2025, 12, 31), day_id=0, live=True).accrued_cents == 0


def test_what_is_live_counts_by_date_and_what_is_new_counts_after_everything_sent(days: Days) -> None:
    days.day(date(2026, 3, 1), lines=(line(allowed=100),))
    days.day(date(2026, 5, 1), lines=(line(allowed=20),))
    assert days.asked(on=date(2026, 4, 1), live=True).accrued_cents == 100
    assert days.asked(on=date(2026, 4, 1), live=False).accrued_cents == 120


@pytest.mark.parametrize(("as_of", "accrued"), [(date(2026, 1, 31), 300), (date(2026, 2, 10), 0), (date(2025, 12, 31), 400)])
def test_an_eligibility_answer_already_holds_our_own_claims_before_it(days: Days, as_of: date, accrued: int) -> None:
    days.day(date(2026, 1, 10), lines=(line(allowed=100),))
    days.day(date(2026, 2, 10), lines=(line(allowed=300),))
    with days.ledger.transaction():
        opening = Opening(patient_key=KEY, year=2026, group="PT_SLP", amount_cents=5000, as_of=as_of)
        days.ledger.authorizations.put_opening(CLINIC, opening)
    found = days.asked()
    assert (found.opening_cents, found.accrued_cents) == (5000, accrued)
    assert days.asked("OT").opening_cents is None


def test_our_own_days_count_where_they_are_more_than_the_answer(days: Days) -> None:
    days.day(date(2026, 1, 10), lines=(line(allowed=9000),))
    with days.ledger.transaction():
        opening = Opening(patient_key=KEY, year=2026, group="PT_SLP", amount_cents=5000, as_of=date(2026, 6, 1))
        days.ledger.authorizations.put_opening(CLINIC, opening)
    found = days.asked()
    assert (found.opening_cents or 0) + (found.accrued_cents or 0) == 9000


def test_an_authorization_is_used_in_flight_and_given_back_only_when_the_void_is_accepted(days: Days) -> None:
    days.authorize(allowed=3, discipline="PT", valid_from=date(2026, 11, 1), valid_to=date(2026, 11, 30))
    days.day(date(2026, 10, 31))
    first = days.day(date(2026, 11, 2))
    days.day(date(2026, 11, 3), "held")
    later = days.day(date(2026, 11, 24), "held")
    (one,) = days.asked().authorizations
    assert (one.used, one.in_flight, one.left) == (1, 1, 1)
    days.judge(first, "queued", frequency=Frequency.VOID)
    (one,) = days.asked().authorizations
    assert one.used + one.in_flight == 2
    assert days.dirty() == []
    days.answer()
    (one,) = days.asked().authorizations
    assert (one.used, one.in_flight) == (0, 1)
    assert later in days.dirty()


def test_a_change_of_what_a_day_bills_asks_again_about_held_days_after_it_only(days: Days) -> None:
    before = days.day(date(2026, 11, 1), "held")
    changed = days.day(date(2026, 11, 2))
    after = days.day(date(2026, 11, 3), "held")
    assert days.dirty() == []
    days.judge(changed, "queued", lines=(line(units=1),))
    assert days.dirty() == [after]
    days.judge(changed, "queued", lines=(line(units=1),))
    days.judge(after, "held")
    assert days.dirty() == [] and before != after


def test_days_are_judged_in_the_order_of_their_service_dates(days: Days) -> None:
    late, early = days.day(date(2026, 11, 9), "held"), days.day(date(2026, 11, 2), "held")
    days.ledger.days.mark([late, early])
    assert days.dirty() == [early, late]


def test_visits_in_the_plan_year_are_those_of_the_same_payer_by_pool(days: Days) -> None:
    days.day(date(2026, 2, 1))
    days.day(date(2026, 2, 2), discipline="OT")
    days.day(date(2026, 2, 2), discipline="SLP")
    days.day(date(2026, 2, 3), payer="acme")
    days.day(date(2025, 12, 3))
    assert days.asked().visits_in_plan_year == {"therapy": 2, "speech": 1}


def use(number: str | None = None, on: date = ON, **facts: object) -> Use:
    return Use(
        **{"on": on, "discipline": "PT", "payer": PAYER, "sent": True, "lines": (("97110", 2, 9000), ("97140", 1, 4000))}  # type: ignore[arg-type]
        | {"number": number}
        | facts
    )


COUNTED: list[tuple[dict[str, object], int]] = [
    ({"counts": "visits"}, 3),
    ({"counts": "days"}, 2),
    ({"counts": "units"}, 9),
    ({"counts": "units", "codes": frozenset({"97110"})}, 6),
    ({"counts": "cents"}, 39_000),
    ({"counts": "visits", "discipline": "OT"}, 0),
    ({"counts": "visits", "codes": frozenset({"97530"})}, 0),
    ({"counts": "visits", "payer": "acme"}, 0),
    ({"counts": "visits", "valid_to": ON - timedelta(days=1)}, 0),
    ({"counts": "visits", "valid_to": ON}, 2),
    ({"counts": "visits", "valid_from": ON}, 3),
]


def test_every_way_to_count_is_tried_here() -> None:
    assert {facts["counts"] for facts, _ in COUNTED} == set(COUNTS)


@pytest.mark.parametrize(("facts", "amount"), COUNTED)
def test_what_an_authorization_counts(facts: dict[str, object], amount: int) -> None:
    one = Authorization(**{"number": "A", "allowed": 99} | facts)  # type: ignore[arg-type]
    (parts,) = shares([one], [use(), use(), use(on=ON + timedelta(days=1))])
    assert sum(part for _, part in parts) == amount


def test_each_date_counts_once_where_days_are_counted() -> None:
    one = Authorization(number="A", allowed=99, counts="days")
    (parts,) = shares([one], [use(on=ON + timedelta(days=later)) for later in (0, 1, 1, 2)])
    assert [day.on for day, _ in parts] == [ON + timedelta(days=later) for later in (0, 1, 2)]


def test_a_day_counts_to_the_number_that_it_names_else_to_the_first_with_room() -> None:
    old, new = Authorization(number="A", allowed=1), Authorization(number="B", allowed=5)
    first, second = shares([old, new], [use("B"), use(), use(), use("C"), use("A")])
    assert ([amount for _, amount in first], len(second)) == ([1, 1], 2)


def test_days_of_the_same_date_are_no_earlier_ones(days: Days) -> None:
    """Two billing providers saw the patient on one date: neither was before the other."""
    days.day(ON, visit_type="progress")
    found = days.asked()
    assert found.treatment_days == found.progress_reports == ()


def test_one_evaluation_among_the_codes_of_a_day_reports_progress(days: Days) -> None:
    days.day(date(2026, 11, 3), lines=(line("97110"), line("97164", 1)))
    days.day(date(2026, 11, 4), lines=(line("97110"),))
    assert days.asked().progress_reports == (date(2026, 11, 3),)


@pytest.mark.parametrize("kind", ["evaluation", "re-evaluation", "progress"])
def test_a_visit_that_reports_progress_by_its_type_does(days: Days, kind: str) -> None:
    days.day(date(2026, 11, 3), visit_type=kind)
    assert days.asked().progress_reports == (date(2026, 11, 3),)


def test_what_lies_two_years_back_counts_and_what_lies_further_does_not(days: Days) -> None:
    for back in (731, 732):
        days.day(ON - timedelta(days=back))
    assert days.asked().treatment_days == (ON - timedelta(days=731),)


def test_a_history_is_asked_for_a_day_that_is_not_live_and_that_the_ledger_may_not_have(days: Days) -> None:
    days.day(date(2026, 11, 3))
    days.day(date(2026, 12, 3))
    whose = Whose(clinic=CLINIC, patient_key=KEY, discipline="PT", on=ON)
    assert days.ledger.patients.history(whose, CODES).accrued_cents == 10_000, "also what was sent of a later date"
    first = days.ledger.patients.days(CLINIC, KEY, ON - timedelta(days=40))
    assert [day.on for day in first] == [date(2026, 11, 3), date(2026, 12, 3)] and first[0].id == 1
    assert KEY not in repr(whose)


def test_what_names_a_patient_is_not_printed() -> None:
    opening = Opening(patient_key=KEY, year=2026, group="OT", amount_cents=1, as_of=ON)
    assert KEY not in repr(opening) and "A-77" not in repr(use("A-77"))


def test_a_line_without_a_price_takes_none_of_the_cents_and_accrues_nothing(days: Days) -> None:
    days.authorize(counts="cents", allowed=10_000)
    days.authorize(number="A-2", counts="visits")
    days.day(date(2026, 11, 3), lines=(BilledLine("97110", ("GP",), 2, None, None),), authorization="A-1")
    found = days.asked()
    assert [(one.number, one.used) for one in found.authorizations] == [("A-1", 0), ("A-2", 0)] and found.accrued_cents == 0
    days.day(date(2026, 11, 4), authorization="A-1")
    assert [one.used for one in days.asked().authorizations] == [9000, 0], "one of them counts cents: the lines are read"


def test_what_was_imported_comes_back_whole_and_asks_again_about_what_is_held(days: Days) -> None:
    days.day(date(2026, 11, 2))
    held = days.day(date(2026, 11, 3), "held")
    assert days.dirty() == []
    facts = {"discipline": "PT", "payer": PAYER, "codes": frozenset({"97110", "97140"}), "valid_from": ON, "valid_to": ON}
    days.authorize(**facts)
    assert days.dirty() == [held], "it may have waited for exactly this; what was sent is not touched"
    assert days.ledger.authorizations.of(CLINIC, KEY) == [Authorization(number="A-1", counts="visits", allowed=12, **facts)]  # type: ignore[arg-type]
    days.judge(held, "held")
    assert days.dirty() == []
    opening = Opening(patient_key=KEY, year=2026, group="PT_SLP", amount_cents=5000, as_of=ON, source="271 of November")
    with days.ledger.transaction():
        days.ledger.authorizations.put_opening(CLINIC, opening)
    assert days.dirty() == [held] and days.ledger.authorizations.opening(CLINIC, KEY, "PT_SLP", 2026) == opening


def test_an_older_ledger_is_brought_up_with_what_it_already_has(tmp_path: Path) -> None:
    connection = apsw.Connection(str(tmp_path / "ledger.sqlite"))
    connection.execute((MIGRATIONS / "0001_ledger.sql").read_text(encoding="utf-8"))
    connection.pragma("user_version", 1)
    lines = [{"procedure": "97161", "modifiers": ["GP", "KX"], "units": 1, "amount_cents": 12500}]
    page = msgspec.json.encode({"lines": lines, "visits": [{"type": "evaluation"}, {"type": "daily"}, {"type": None}]})
    for number, (key, state) in enumerate(((f"2026-11-02|PT|1|{'pat-1'}", "sent"), ("visit:e9", "excluded")), 1):
        connection.execute(
            "INSERT INTO treatment_day (id, clinic, day_key, reference, service_date, discipline, state, payer)"
            " VALUES (?, ?, ?, ?, '2026-11-02', 'PT', ?, ?)",
            (number, CLINIC, key, f"ref-{number}", state, PAYER),
        )
        connection.execute("INSERT INTO day_version VALUES (?, ?, 1, '', x'00', ?)", (number, number, pack(page)))
        connection.execute("UPDATE treatment_day SET version_id = ? WHERE id = ?", (number, number))
    connection.close()
    with Ledger.open(tmp_path) as ledger:
        (day,) = ledger.patients.days(CLINIC, KEY, date(2026, 1, 1))
        assert [(one.procedure, one.modifiers, one.units, one.amount_cents) for one in ledger.patients.lines(day)] == [
            ("97161", ("GP", "KX"), 1, 12500)
        ]
        assert day.visit_types == {"evaluation", "daily"}
        other = ledger.days.get(2)
        assert other is not None and other.patient_key is None


def test_one_indexed_search_answers_however_many_patients_there_are(days: Days) -> None:
    days.day(date(2026, 11, 2))
    from ptbridge.ledger.patients import _DAYS

    plan = [str(row[3]) for row in days.ledger._connection.execute(f"EXPLAIN QUERY PLAN {_DAYS}", (CLINIC, KEY, "2026", 0))]
    assert any("treatment_day_by_patient" in step for step in plan), plan
    assert not any(step.startswith("SCAN") for step in plan), plan


def test_units_and_cents_of_an_authorization_are_read_from_the_lines(days: Days) -> None:
    days.day(date(2026, 11, 3), lines=(line("97110", 2), line("97140", 1)))
    days.day(date(2026, 11, 4), "held", lines=(line("97110", 3),))
    for counts, used in (("units", 3), ("cents", 18_000), ("visits", 1)):
        days.authorize(number=counts, counts=counts)
        known = days.ledger.authorizations.of(CLINIC, KEY)[-1]
        others = days.ledger.patients.days(CLINIC, KEY, date(2026, 1, 1))
        (share,) = shares([known], days.ledger.patients.uses([known], others[:1]))
        assert sum(amount for _, amount in share) == used
    assert [(key, one.number) for key, one in days.ledger.authorizations.all(CLINIC)] == [
        (KEY, "units"),
        (KEY, "cents"),
        (KEY, "visits"),
    ]


def test_patients_are_listed_by_one_visit_of_each(book) -> None:  # type: ignore[no-untyped-def]
    assert book.ledger.patients.ids(CLINIC) == {}
    book.visit("e1")
    book.visit("e2")
    assert book.ledger.patients.ids(CLINIC) == {"pat-key": ("pat-1", "M-1")}
