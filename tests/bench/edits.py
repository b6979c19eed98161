"""All edits over priced treatment days of five lines."""

from __future__ import annotations

from dataclasses import replace

from ptbridge_sandbox.demo import CLINIC
from ptbridge_sandbox.maker import Scale
from ptbridge_sandbox.plan import lines

from ptbridge.intake import group
from ptbridge.model import PricedDay
from ptbridge.pipeline import Kit, charge, check, normalize
from tests.bench.clinic import clinic_folder, kit_of, record_of
from tests.bench.runner import Figure, Settings, interleaved, parse_page, rate

DAYS_PER_SECOND = 3_000  # issue 3
FIVE_LINES = (
    "97110=24 97112=15 97140=16 97530=15 G0283=15",
    "97110=18 97116=13 97140=10 97535=23 G0283=15",
    "97112=30 97110=15 97140=15 97116=17 97530=16",
)


def run(settings: Settings) -> list[Figure]:
    """Treatment days a second through every edit, on one core."""
    with clinic_folder() as config:
        kit = kit_of(config)
    days = five_line_days(kit, settings.size(300, 6))
    findings = sum(len(check(day, kit)) for day in days)
    work = {"page": parse_page, "edits": lambda: [check(day, kit) for day in days]}
    rounds = interleaved(settings.size(15, 2), work)
    what = f"{len(kit.edits)} edits over a day of 5 lines"
    figure = rate(what, len(days) / rounds.seconds("edits"), DAYS_PER_SECOND, rounds.seconds("page"), "days/s")
    return [replace(figure, note=f"{figure.note}; {findings} findings on {len(days)} days")]


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
