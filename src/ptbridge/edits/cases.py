"""The cases of an edit's manual page: what a row says, and the treatment day that it stands for.

A row under `Cases (<payer policy>)` is one day and what the edit finds on it:

    97110-GP x2 @22, 97140-GP x1 @9 | on=2026-03-02 | note_signed=no  -> 2 timed units billed; 22 timed minutes allow 1

Left of `->`: service lines as everywhere in ptbridge, separated by commas. `x0` is documented and not billed; `*51` after a
line repeats it. Then facts, each after a bar, as in `FACTS` below; what is not said is as on a clean day. Right of it: `ok`,
or the beginning of each finding's message (`&&` between several), with `warning:` or `information:` before it when it is
not an error. A line that is indented further continues the row above it. A `Cases (none)` day has no payer policy.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from datetime import date

from ptbridge.edits import case_facts, case_reference
from ptbridge.model import (
    Charge,
    CodedDay,
    Coverage,
    Diagnosis,
    Discipline,
    Finding,
    Intervention,
    Patient,
    PricedDay,
    Provider,
    ServiceLine,
    Severity,
    TreatmentDay,
    Visit,
    VisitStatus,
)
from ptbridge.policy.codes import CodeTable
from ptbridge.policy.facts import Facts
from ptbridge.policy.payers import Policy
from ptbridge.ports import Edit

FACTS = {
    "on": ("2026-03-02", "service date, or none"),
    "today": ("2026-03-03", "the day at the clinic when the edits run"),
    "discipline": ("PT", "PT, OT, SLP or none"),
    "status": ("finished", "of the visit at the source"),
    "note_signed": ("yes", "yes, no or none (the source does not say)"),
    "documented": ("as billed", "lines of the note, such as 97110@24, 97140; otherwise those billed, `x0` included"),
    "by_assistant": ("as billed", "yes, no; otherwise yes on lines with CQ or CO"),
    "timed_total": ("as documented", "the note's timed minutes total, or none"),
    "treatment_total": ("as documented", "the note's treatment minutes total, or none"),
    "diagnoses": ("M54.50", "in billing order, or none"),
    "pointers": ("1", "of every line, separated by blanks, or none"),
    "rendering": (
        "1245319599 as the discipline",
        "NPI and credential of the rendering provider, such as 1245319599 PTA, or none",
    ),
    "billing_npi": ("1234567893", "NPI of the billing provider"),
    "referring_npi": ("1234567893", "NPI of the referring provider, or none"),
    "supervising_npi": ("none", "NPI of the supervising provider, or none"),
    "place": ("11", "place of service, or none"),
    "authorization": ("none", "authorization number of the visit"),
    "second_visit": (
        "none",
        "place, and perhaps authorization, of a second visit that documented the last line, such as 12 A2",
    ),
    "coverages": ("1", "order of each coverage, separated by blanks; ? when unsaid; or none"),
    "coverage_status": ("active", "of the first coverage"),
    "coverage_period": ("2026-01-01..2026-12-31", "of the first coverage; either end may be absent"),
    "member_id": ("yes", "yes, or none, on the first coverage"),
    "relationship": ("self", "patient to subscriber on the first coverage, or none"),
    "patient_lacks": ("nothing", "what the patient's record lacks: family, given, birth_date, sex"),
    "unit_price_cents": ("5000", "of every line, or none"),
    "amount_cents": ("as priced", "of every line"),
    "splits": ("no", "yes: the destination sends a day that is larger than one claim as several"),
    **case_facts.FACTS,
    **case_reference.FACTS,
}
"""Every fact that a row may state: its value on a clean day, and what it is."""

_HEADER = re.compile(r"Cases \((?P<payer>[a-z0-9_]+)\)")
_CONTINUED = re.compile(r"\n {6,}(?=\S)")
_LINE = re.compile(r"(?P<line>[^*]+?)(?: \*(?P<times>\d+))?")
_DOCUMENTED = re.compile(r"(?P<code>\w{5})(?:@(?P<minutes>\d+))?")
_EXPECTED = re.compile(r"(?:(?P<severity>error|warning|information): )?(?P<message>.+)")


@dataclass(frozen=True, slots=True, kw_only=True)
class Case:
    """One row: the day that it describes and the findings that it promises, as (severity, beginning of the message)."""

    text: str
    payer: str | None
    lines: tuple[ServiceLine, ...]
    facts: Mapping[str, str] = field(default_factory=dict)
    expected: tuple[tuple[Severity, str], ...] = ()


def read_cases(manual: str) -> tuple[Case, ...]:
    """The cases of a manual page. Raises ValueError that quotes the row and says how to write it."""
    return tuple(_read_cases(manual))


def _read_cases(manual: str) -> Iterator[Case]:
    payer: str | None = None
    inside = False
    for row in _CONTINUED.sub(" ", manual).splitlines():
        if match := _HEADER.fullmatch(row.strip()):
            payer, inside = None if match["payer"] == "none" else match["payer"], True
        elif row and not row.startswith(" "):
            inside = False
        elif inside and row.strip():
            yield _read_case(row.strip(), payer)


def _read_case(text: str, payer: str | None) -> Case:
    left, arrow, right = text.partition(" -> ")
    if not arrow:
        raise ValueError(f"{text!r} has no ' -> '; write `lines | fact=value -> ok`")
    lines, *facts = (part.strip() for part in left.split(" | "))
    stated = dict(_read_fact(fact) for fact in facts)
    return Case(
        text=" ".join(text.split()),
        payer=payer,
        lines=tuple(line for item in lines.split(",") for line in _read_lines(item.strip())),
        facts=stated,
        expected=() if right.strip() == "ok" else tuple(map(_read_expected, right.split(" && "))),
    )


def _read_lines(text: str) -> list[ServiceLine]:
    match = _LINE.fullmatch(text)
    if match is None:
        raise ValueError(f"{text!r} is not a service line; write it as 97110-GP x2 @24")
    return [ServiceLine.parse(match["line"])] * int(match["times"] or 1)


def _read_fact(text: str) -> tuple[str, str]:
    name, equals, value = text.partition("=")
    if not equals or name not in FACTS:
        raise ValueError(f"{text!r} is not a fact of a case. Known facts: {', '.join(FACTS)}.")
    return name, value.strip()


def _read_expected(text: str) -> tuple[Severity, str]:
    match = _EXPECTED.fullmatch(text.strip())
    if match is None:
        raise ValueError("a case must promise `ok` or a message after ' -> '")
    return Severity(match["severity"] or "error"), match["message"]


# ---------------------------------------------------------------- the day that a row stands for


def build_day(case: Case, codes: CodeTable) -> PricedDay:
    """The priced treatment day of a case: clean, but for what the row states."""
    fact = _reader(case)
    documented = _documented(case, fact("documented"))
    second = fact("second_visit")
    visit = case_facts.dress(_visit(case, fact, documented[:-1] if second else documented, codes), fact)
    visits = (visit, _second(_visit(case, fact, documented[-1:], codes), second)) if second else (visit,)
    service_date = visit.service_date
    day = TreatmentDay(
        clinic=visit.clinic,
        key="case",
        patient_id=visit.patient.id,
        discipline=visit.discipline,
        service_date=service_date,
        billing_npi=fact("billing_npi") or "",
        visits=visits,
    )
    pointers = tuple(map(int, (fact("pointers") or "").split()))
    lines = tuple(
        replace(line, diagnosis_pointers=pointers, line_keys=(_line_key(case, index),))
        for index, line in enumerate(case.lines)
        if line.units
    )
    coded = CodedDay(day=day, payer=case.payer, lines=lines, diagnoses=visit.diagnoses)
    return PricedDay(coded=coded, charges=tuple(_charge(line, case.payer, fact) for line in lines))


def build_facts(
    case: Case, *, codes: CodeTable, policies: Mapping[str, Policy], icd10: Callable[[str, date], bool | None] | None
) -> Facts:
    """The facts of a case. Raises ValueError when its payer policy is not among `policies`."""
    if case.payer is not None and case.payer not in policies:
        raise ValueError(f"case {case.text!r}: no payer policy {case.payer!r}. Known: {', '.join(sorted(policies))}.")
    today = date.fromisoformat(_reader(case)("today") or "")
    policy = policies[case.payer] if case.payer else None
    if policy is not None and "terms" in case.facts:
        policy = case_facts.with_terms(policy, case.facts["terms"])
    on = _reader(case)("on")
    history = case_facts.read_history(case.facts, date.fromisoformat(on) if on else None)
    return Facts(
        codes=codes,
        policies=policies,
        policy=policy,
        today=today,
        clinic="example",
        icd10=icd10,
        history=history,
        reference=case_reference.read_reference(case.facts),
        splits=_reader(case)("splits") == "yes",
    )


def difference(case: Case, edit: Edit, priced: PricedDay, facts: Facts) -> str | None:
    """What the edit says that the row does not, or the reverse; None when they agree."""
    found = list(edit.check(priced, facts))
    agree = len(found) == len(case.expected) and all(map(_fits, found, case.expected))
    if agree:
        return None
    said = " && ".join(f"{finding.severity.value}: {finding.message}" for finding in found) or "ok"
    return f"{edit.code}: {case.text}\n  found: {said}"


def _fits(finding: Finding, expected: tuple[Severity, str]) -> bool:
    return finding.severity is expected[0] and finding.message.startswith(expected[1])


def _reader(case: Case) -> Callable[[str], str | None]:
    """A fact's value as stated or as on a clean day; None when it says `none`."""

    def fact(name: str) -> str | None:
        value = case.facts.get(name, FACTS[name][0])
        return None if value == "none" else value

    return fact


def _line_key(case: Case, index: int) -> str:
    """Lines of one procedure, such as a split with CQ, bill one documented line."""
    if "second_visit" in case.facts and index == len(case.lines) - 1:
        return f"v2/{index}"
    return f"v1/{case.lines[index].procedure}" if "documented" in case.facts else f"v1/{index}"


def _documented(case: Case, stated: str | None) -> tuple[Intervention, ...]:
    if "documented" in case.facts:
        items = [_DOCUMENTED.fullmatch(item.strip()) for item in (stated or "").split(",") if item.strip()]
        return tuple(_intervention(item["code"], item["code"], item["minutes"]) for item in items if item)
    claimed = case.facts.get("by_assistant")
    lines = enumerate(case.lines)
    return tuple(_intervention(str(index), line.procedure, line.minutes, _assistant(line, claimed)) for index, line in lines)


def _assistant(line: ServiceLine, claimed: str | None) -> bool:
    return claimed == "yes" if claimed else not {"CQ", "CO"}.isdisjoint(line.modifiers)


def _intervention(key: str, code: str, minutes: str | int | None, by_assistant: bool = False) -> Intervention:
    return Intervention(
        line_key=key,
        documented=code,
        code=code,
        minutes=None if minutes is None else int(minutes),
        by_assistant=by_assistant,
    )


def _visit(case: Case, fact: Callable[[str], str | None], documented: tuple[Intervention, ...], codes: CodeTable) -> Visit:
    discipline = fact("discipline")
    signed = fact("note_signed")
    on = fact("on")
    timed = [line for line in documented if (row := codes.get(line.code or "")) is not None and row.timed]
    return Visit(
        clinic="example",
        source="example",
        visit_id="v1",
        status=VisitStatus(fact("status") or "unknown"),
        service_date=date.fromisoformat(on) if on else None,
        discipline=Discipline(discipline) if discipline else None,
        patient=_patient((fact("patient_lacks") or "").replace(",", " ").split()),
        coverages=_coverages(fact),
        rendering=_rendering(fact("rendering"), discipline, stated="rendering" in case.facts),
        referring=_provider(fact("referring_npi")),
        supervising=_provider(fact("supervising_npi")),
        diagnoses=tuple(Diagnosis(code=code.strip()) for code in (fact("diagnoses") or "").split(",") if code.strip()),
        place_of_service=fact("place"),
        authorization_number=fact("authorization"),
        note_signed=None if signed is None else signed == "yes",
        timed_minutes_total=_total(fact("timed_total"), timed, stated="timed_total" in case.facts),
        treatment_minutes_total=_total(fact("treatment_total"), documented, stated="treatment_total" in case.facts),
        interventions=documented,
    )


def _second(visit: Visit, stated: str) -> Visit:
    place, _, authorization = stated.partition(" ")
    return replace(visit, visit_id="v2", place_of_service=place, authorization_number=authorization or None)


def _total(value: str | None, lines: list[Intervention] | tuple[Intervention, ...], *, stated: bool) -> int | None:
    if stated:
        return None if value is None else int(value)
    return sum(line.minutes or 0 for line in lines)


def _rendering(value: str | None, discipline: str | None, *, stated: bool) -> Provider | None:
    if value is None:
        return None
    if not stated:
        return Provider(id="p1", npi="1245319599", credential=discipline)
    npi, _, credential = value.partition(" ")
    return Provider(id="p1", npi=None if npi == "?" else npi, credential=credential or None)


def _provider(npi: str | None) -> Provider | None:
    return None if npi is None else Provider(id=f"npi-{npi}", npi=npi)


def _patient(lacks: list[str]) -> Patient:
    known = {"family": "Testerly", "given": "Ann", "birth_date": date(1960, 1, 1), "sex": "female"}
    return Patient(id="patient", **{name: value for name, value in known.items() if name not in lacks})  # type: ignore[arg-type]


def _coverages(fact: Callable[[str], str | None]) -> tuple[Coverage, ...]:
    orders = (fact("coverages") or "").split()
    start, _, end = (fact("coverage_period") or "..").partition("..")
    first = Coverage(
        id="c0",
        order=None,
        status=fact("coverage_status"),
        payer_id="payer",
        member_id="member" if fact("member_id") else None,
        relationship=fact("relationship"),
        period_start=date.fromisoformat(start) if start else None,
        period_end=date.fromisoformat(end) if end else None,
    )
    rest = replace(first, member_id="member", relationship="self", status="active", period_start=None, period_end=None)
    return tuple(
        replace(rest if index else first, id=f"c{index}", order=None if order == "?" else int(order))
        for index, order in enumerate(orders)
    )


def _charge(line: ServiceLine, payer: str | None, fact: Callable[[str], str | None]) -> Charge:
    price = fact("unit_price_cents")
    amount = fact("amount_cents")
    unit = None if price is None else int(price)
    total = None if unit is None else unit * line.units
    return Charge(
        line=line, payer=payer, unit_price_cents=unit, amount_cents=total if amount in (None, "as priced") else int(amount)
    )
