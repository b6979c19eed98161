"""All edits over priced treatment days of five lines: without official files, and with whole ones loaded."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import date, timedelta

from ptbridge_sandbox.demo import CLINIC
from ptbridge_sandbox.maker import Scale
from ptbridge_sandbox.plan import lines

from ptbridge.intake import group
from ptbridge.model import PricedDay
from ptbridge.pipeline import Kit, charge, check, normalize
from ptbridge.policy.history import OtherLine, PatientHistory
from ptbridge.policy.reference import load
from tests.bench.clinic import clinic_folder, kit_of, record_of
from tests.bench.runner import Figure, Settings, interleaved, parse_page, rate
from tests.make_reference_files import whole_quarter

DAYS_PER_SECOND = 3_000  # issue 3
PAIRS = 2_300_000  # rows of a quarter's pair table; those below of a quarter's unit maximums and add-on codes
MAXIMUMS = 13_000
FIVE_LINES = (
    "97110=24 97112=15 97140=16 97530=15 G0283=15",
    "97110=18 97116=13 97140=10 97535=23 G0283=15",
    "97112=30 97110=15 97140=15 97116=17 97530=16",
)


def run(settings: Settings) -> list[Figure]:
    """Treatment days a second through every edit, on one core."""
    pairs = settings.size(PAIRS, 2_000)
    with clinic_folder() as config:
        bare = kit_of(config)
    with loaded_kit(pairs, settings.size(MAXIMUMS, 100)) as kit:
        days = five_line_days(kit, settings.size(300, 6))
        past = a_past(days[0].day.service_date or date(2026, 3, 2))
        work = {
            "page": parse_page,
            "bare": lambda: [check(day, bare) for day in days],
            "loaded": lambda: [check(day, kit) for day in days],
            "history": lambda: [check(day, kit, past) for day in days],
        }
        rounds = interleaved(settings.size(15, 2), work)
    told = {
        "bare": f"{len(kit.edits)} edits, 5 lines, nothing loaded",
        "loaded": f"{len(kit.edits)} edits, 5 lines, {pairs:,} pairs and MUE",
        "history": "the same, with the patient's past",
    }
    found = {"bare": (bare, None), "loaded": (kit, None), "history": (kit, past)}
    return [
        _figure(what, len(days), rounds.seconds(name), rounds.seconds("page"), days, *found[name])
        for name, what in told.items()
    ]


def _figure(
    what: str, count: int, seconds: float, page: float, days: list[PricedDay], kit: Kit, past: PatientHistory | None
) -> Figure:
    figure = rate(what, count / seconds, DAYS_PER_SECOND, page, "days/s")
    findings = sum(len(check(day, kit, past)) for day in days)
    return replace(figure, note=f"{figure.note}; {findings} findings on {count} days")


@contextmanager
def loaded_kit(pairs: int, maximums: int) -> Iterator[Kit]:
    """A clinic's kit with a whole quarter's pairs, unit maximums and add-on codes, loaded as a person would load them."""
    with clinic_folder() as config:
        downloads = config.folder / "downloads"
        downloads.mkdir()
        load(whole_quarter(downloads, pairs, maximums), config.folder / "reference")
        yield kit_of(config)


def a_past(on: date) -> PatientHistory:
    """Of a patient in the middle of an episode, with occupational therapy on the same day."""
    days = tuple(on - timedelta(days=3 * back) for back in range(8, 0, -1))
    other = OtherLine(procedure="97530", modifiers=("GO",), units=1, discipline="OT", reference="pt-other")
    return PatientHistory(
        treatment_days=days,
        progress_reports=days[:1],
        evaluations=((days[0], "97161"),),
        accrued_cents=81_245,
        visits_in_plan_year={},
        other_lines=(other, replace(other, procedure="97535")),
    )


def five_line_days(kit: Kit, count: int) -> list[PricedDay]:
    """Clean days of five priced lines, of three payers, all different visits."""
    plans = Scale(count, days=10)
    visits = []
    for number in range(count):
        documented = lines(FIVE_LINES[number % len(FIVE_LINES)])
        plan = replace(plans.plan(number), discipline="PT", clinician="pr-pt1", lines=documented)
        visits.append(normalize(record_of(plan), kit))
    days = [charge(day, kit) for day in group(visits, clinic=CLINIC, billing_npi=kit.clinic.billing_provider.npi)]
    assert all(len(day.charges) == 5 for day in days), "each day has five priced lines"
    return days
