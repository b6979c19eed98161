"""What a case of a manual page may say about a visit's papers and a patient's past, and how it becomes our records.

A clean day has a certified plan of care; nothing is known of the patient's past unless a row says so.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from datetime import UTC, date, datetime, time, timedelta

from ptbridge.model import Accident, Intervention, PlanOfCare, ServiceLine, Visit
from ptbridge.policy.history import Authorization, OtherLine, PatientHistory
from ptbridge.policy.payers import Policy
from ptbridge.specs.payer import SETTINGS, SettingEntry

Fact = Callable[[str], str | None]

VISIT_FACTS = {
    "visit_type": ("none", "evaluation, re-evaluation, daily, progress, discharge or none"),
    "plan": ("2026-02-16..2026-05-15", "dates of the plan of care; either end may be absent; or none"),
    "certified": ("2026-02-20", "when the plan was certified, or none"),
    "order_signed": ("none", "when the order or referral on file was signed"),
    "plan_sent": ("none", "when the plan was sent to the physician"),
    "referral_on": ("none", "date of the referral of the visit"),
    "cosigned": ("none", "yes, no or none (the source does not say)"),
    "signed_at": ("none", "when the note was signed, such as 2026-03-02T10:30"),
    "started_at": ("none", "when the visit began, in the same form"),
    "times": ("none", "begin and end of each documented line, separated by blanks, such as 09:00-09:15 -; - is not said"),
    "reason": ("none", "the source's reason for the service, on every line"),
    "telehealth": ("none", "video, audio or none"),
    "accident": ("none", "kind, and perhaps date, state, number, such as auto on=2026-01-05 state=CA number=yes"),
    "abn": ("none", "when a notice of non-coverage was signed"),
    "billing": ("none", "cash, maintenance, no-charge or none"),
    "plan_name": ("none", "of the first coverage"),
    "taxonomy": ("none", "of the rendering provider"),
}
HISTORY_FACTS = {
    "treatment_days": ("unknown", "earlier treatment days: dates, or a number of days that end the day before"),
    "reports": ("unknown", "dates of progress reports and evaluations"),
    "evaluations": ("unknown", "earlier evaluations, such as 2026-02-16 97161, 2026-02-20 97164"),
    "accrued_cents": ("unknown", "Medicare allowed amount of the year in the KX group so far"),
    "opening_cents": ("unknown", "the same amount from an eligibility answer"),
    "authorizations": ("unknown", "known ones, separated by ;, such as A1 visits=12 used=10 codes=97110+97140 to=2026-06-30"),
    "pools": ("unknown", "visits of the plan year by pool, such as therapy 28, speech 3"),
    "other_lines": (
        "unknown",
        "lines of the same day billed apart, separated by ;, such as OT 97530-GO x2 09:00-09:30 payer=tricare",
    ),
}
FACTS = {
    **VISIT_FACTS,
    **HISTORY_FACTS,
    "terms": ("as the policy", "settings of the payer policy for this row, separated by ;, such as referral=required"),
}


def dress(visit: Visit, fact: Fact) -> Visit:
    """The visit with the papers that the row states."""
    cosigned, plan, accident = fact("cosigned"), fact("plan"), fact("accident")
    rendering, taxonomy = visit.rendering, fact("taxonomy")
    coverages = tuple(replace(coverage, plan_name=fact("plan_name")) for coverage in visit.coverages[:1])
    return replace(
        visit,
        visit_type=fact("visit_type"),
        plan_of_care=None if plan is None else _plan(plan, fact),
        referral_on=_day(fact("referral_on")),
        cosigned=None if cosigned is None else cosigned == "yes",
        note_signed_at=_moment(fact("signed_at")),
        started_at=_moment(fact("started_at")),
        telehealth=fact("telehealth"),
        accident=None if accident is None else _accident(accident),
        abn_signed_on=_day(fact("abn")),
        billing=fact("billing"),
        rendering=replace(rendering, taxonomy=taxonomy) if rendering and taxonomy else rendering,
        coverages=coverages + visit.coverages[1:],
        interventions=_timed(_reasoned(visit.interventions, fact("reason")), fact("times"), visit.service_date),
    )


def read_history(stated: Mapping[str, str], on: date | None) -> PatientHistory | None:
    """The patient's past as a row states it; None when it states nothing of it."""
    known = {name: stated[name] for name in HISTORY_FACTS if name in stated}
    if not known:
        return None
    get = known.get
    accrued, opening = get("accrued_cents"), get("opening_cents")
    return PatientHistory(
        treatment_days=_days(get("treatment_days", ""), on),
        progress_reports=_days(get("reports", ""), on),
        evaluations=tuple((date.fromisoformat(day), code) for day, code in map(str.split, _items(get("evaluations", ""), ","))),
        accrued_cents=int(accrued) if accrued else None,
        opening_cents=int(opening) if opening else None,
        authorizations=tuple(map(_authorization, _items(get("authorizations", ""), ";"))),
        visits_in_plan_year={name: int(count) for name, count in map(str.split, _items(get("pools", ""), ","))},
        other_lines=tuple(_other_line(item, on) for item in _items(get("other_lines", ""), ";")),
    )


def with_terms(policy: Policy, stated: str) -> Policy:
    """The policy with the settings of the row in force on every date. Raises ValueError for an unknown setting."""
    settings = dict(policy.settings)
    for item in _items(stated, ";"):
        name, _, use = item.partition("=")
        if name not in SETTINGS:
            raise ValueError(f"{name!r} is not a setting of a payer policy. Known settings: {', '.join(SETTINGS)}.")
        settings[name] = (SettingEntry(use=use, from_=date.min, source="this case"),)
    return replace(policy, settings=settings, _by_date={})


def _plan(stated: str, fact: Fact) -> PlanOfCare:
    start, _, end = stated.partition("..")
    return PlanOfCare(
        start=_day(start),
        end=_day(end),
        certified_on=_day(fact("certified")),
        order_signed_on=_day(fact("order_signed")),
        sent_on=_day(fact("plan_sent")),
    )


def _accident(stated: str) -> Accident:
    kind, *rest = stated.split()
    said = _pairs(rest)
    return Accident(kind=kind, on=_day(said.get("on")), state=said.get("state"), claim_number=said.get("number"))


def _reasoned(lines: tuple[Intervention, ...], stated: str | None) -> tuple[Intervention, ...]:
    return lines if stated is None else tuple(replace(line, reason=stated) for line in lines)


def _timed(lines: tuple[Intervention, ...], stated: str | None, on: date | None) -> tuple[Intervention, ...]:
    if stated is None or on is None:
        return lines
    spans = [_span(word, on) for word in stated.split()]
    return tuple(replace(line, start=start, end=end) for line, (start, end) in zip(lines, spans, strict=True))


def _authorization(stated: str) -> Authorization:
    number, counted, *rest = stated.split()
    counts, _, allowed = counted.partition("=")
    said = _pairs(rest)
    return Authorization(
        number=number,
        payer=said.get("payer"),
        discipline=said.get("discipline"),
        counts=counts,
        allowed=int(allowed),
        codes=frozenset(said["codes"].split("+")) if "codes" in said else frozenset(),
        valid_from=_day(said.get("from")),
        valid_to=_day(said.get("to")),
        used=int(said.get("used", 0)),
        in_flight=int(said.get("in_flight", 0)),
    )


def _other_line(stated: str, on: date | None) -> OtherLine:
    discipline, rest = stated.split(maxsplit=1)
    text, _, span = rest.partition(" x")
    units, *more = span.split()
    said = _pairs([word for word in more if "=" in word])
    times = next((word for word in more if "=" not in word), "")
    line = ServiceLine.parse(f"{text} x{units}")
    start, end = _span(times, on) if times and on else (None, None)
    return OtherLine(
        procedure=line.procedure,
        modifiers=line.modifiers,
        units=line.units,
        discipline=discipline,
        reference="another-day",
        payer=said.get("payer"),
        start=start,
        end=end,
    )


def _days(stated: str, on: date | None) -> tuple[date, ...]:
    if stated.isdecimal() and on is not None:
        return tuple(on - timedelta(days=back) for back in range(int(stated), 0, -1))
    return tuple(sorted(map(date.fromisoformat, stated.split()))) if stated != "none" else ()


def _items(stated: str, separator: str) -> list[str]:
    return [item.strip() for item in stated.split(separator) if item.strip() not in ("", "none")]


def _pairs(words: list[str]) -> dict[str, str]:
    return dict(word.split("=", 1) for word in words)


def _day(stated: str | None) -> date | None:
    return date.fromisoformat(stated) if stated else None


def _moment(stated: str | None) -> datetime | None:
    return datetime.fromisoformat(stated).replace(tzinfo=UTC) if stated else None


def _span(stated: str, on: date) -> tuple[datetime, datetime] | tuple[None, None]:
    if stated == "-":
        return None, None
    start, end = (datetime.combine(on, time.fromisoformat(clock), UTC) for clock in stated.split("-"))
    return start, end
