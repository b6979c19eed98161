"""Two independent counts agree: what coding makes of clean documentation passes every edit, and one unit more does not."""

from __future__ import annotations

from dataclasses import replace
from datetime import date

from hypothesis import assume, given, settings
from hypothesis import strategies as st

from ptbridge import plugins
from ptbridge.coding.code import code
from ptbridge.coding.price import price
from ptbridge.edits import run
from ptbridge.edits.cases import build_day, build_facts, read_cases
from ptbridge.edits.icd10 import load_icd10
from ptbridge.model import Charge, Finding, Intervention, PricedDay, TreatmentDay
from ptbridge.policy.codes import load_codes
from ptbridge.policy.fees import Fee, FeeSchedule
from ptbridge.policy.payers import shipped_payers

CODES = load_codes()
PAYERS = shipped_payers()
EDITS = plugins.edits()
FEES = FeeSchedule([Fee(procedure=row.code, amount_cents=5000, from_=date(2016, 1, 1)) for row in CODES])

TIMED = ("97110", "97112", "97140", "97530", "97116", "97535")
UNTIMED = ("G0283", "97150", "97012")

line = st.builds(
    lambda code, minutes, parts: (code, minutes, min(parts, minutes)),
    st.sampled_from(TIMED + UNTIMED),
    st.integers(1, 50),
    st.sampled_from((0, 0, 0, 5, 10, 50)),
)
documentation = st.lists(line, min_size=1, max_size=6)
payer = st.sampled_from(("medicare_part_b", "commercial_midpoint", "commercial_eight_minute"))


def documented_day(lines: list[tuple[str, int, int]], payer: str) -> TreatmentDay:
    """A clean PT day with these lines as (code, minutes, of these by the assistant)."""
    (case,) = read_cases(f"Cases ({payer})\n    97110-GP x1 @15 -> ok")
    clean = build_day(case, CODES).day
    done = tuple(
        Intervention(
            line_key=str(index),
            documented=code,
            code=code,
            minutes=minutes,
            therapist_minutes=minutes - assistant,
            assistant_minutes=assistant,
            by_assistant=assistant == minutes,
            sequence=index,
        )
        for index, (code, minutes, assistant) in enumerate(lines)
    )
    timed = sum(minutes for code, minutes, _ in lines if code in TIMED)
    visit = replace(
        clean.visits[0],
        interventions=done,
        timed_minutes_total=timed,
        treatment_minutes_total=sum(minutes for _, minutes, _ in lines),
    )
    return replace(clean, visits=(visit,))


def coded_and_edited(lines: list[tuple[str, int, int]], payer: str) -> tuple[PricedDay, list[Finding]]:
    priced = price(code(documented_day(lines, payer), policy=PAYERS[payer], codes=CODES), FEES)
    return priced, findings_of(priced, payer)


def findings_of(priced: PricedDay, payer: str) -> list[Finding]:
    (case,) = read_cases(f"Cases ({payer})\n    97110-GP x1 @15 -> ok")
    return run(priced, build_facts(case, codes=CODES, policies=PAYERS, icd10=load_icd10()), EDITS)


@settings(max_examples=200, deadline=None)
@given(documentation, payer)
def test_what_coding_makes_of_clean_documentation_passes_every_edit(lines: list[tuple[str, int, int]], payer: str) -> None:
    priced, findings = coded_and_edited(lines, payer)
    assume(not any(finding.holds for finding in priced.coded.findings))
    assert [str(finding) for finding in findings if finding.code != "MU01"] == []


@settings(max_examples=200, deadline=None)
@given(documentation, payer, st.integers(0, 20))
def test_one_unit_more_on_any_line_never_passes(lines: list[tuple[str, int, int]], payer: str, place: int) -> None:
    priced, _ = coded_and_edited(lines, payer)
    assume(priced.charges and not any(finding.holds for finding in priced.coded.findings))
    index = place % len(priced.charges)
    charge = priced.charges[index]
    more = Charge(line=replace(charge.line, units=charge.line.units + 1), payer=payer, unit_price_cents=5000)
    padded = replace(priced, charges=(*priced.charges[:index], more, *priced.charges[index + 1 :]))
    assert {finding.code for finding in findings_of(padded, payer) if finding.holds} & {"UN01", "UN03"}
