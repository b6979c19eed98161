"""A judged treatment day, written down: the JSON that the ledger keeps, and that `held`, `explain` and the report read."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from hashlib import sha256
from typing import Any

import msgspec

from ptbridge.ledger import UNDONE, BilledLine, DayRow, Decision, StoredVisit, Verdict
from ptbridge.model import Charge, Coverage, Finding, PricedDay, Visit, VisitStatus
from ptbridge.plan import Change, Plan, payer_as_given

_encode = msgspec.json.Encoder().encode


@dataclass(frozen=True, slots=True, kw_only=True)
class Judgement:
    """Everything that was decided about one treatment day, and from what."""

    row: DayRow
    visits: Sequence[StoredVisit]
    priced: PricedDay | None
    findings: Sequence[Finding]
    plan: Plan
    decision: Decision | None
    visits_sha256: bytes
    window_seconds: float = 0.0  # the clinic's hold window

    @property
    def excluded_by_person(self) -> bool:
        """True when a person excluded exactly this content."""
        decision = self.decision
        return decision is not None and decision.excludes and decision.visits_sha256 == self.visits_sha256


def verdict_of(judgement: Judgement, never_billed: Mapping[VisitStatus, str]) -> Verdict:
    """The judgement as the ledger takes it."""
    priced, plan = judgement.priced, judgement.plan
    excluded = _excluded_lines(judgement, never_billed)
    return Verdict(
        state=plan.state,
        reason=_reason(judgement, excluded),
        payer=priced.coded.payer if priced else None,
        discipline=_discipline(judgement),
        lines=len(priced.charges) if priced else 0,
        units=priced.units if priced else 0,
        amount_cents=priced.amount_cents if priced else 0,
        body=_encode(_page(judgement)),
        visits_sha256=judgement.visits_sha256,
        content_sha256=plan.content_sha256,
        submission=plan.submission,
        billed=tuple(_billed(judgement)),
        visit_types=tuple(sorted({stored.visit.visit_type or "" for stored in judgement.visits})),
        authorization_number=_authorization(judgement),
        excluded=excluded,
        window_seconds=judgement.window_seconds,
        closes_reference=plan.closes_reference,
        judge_after=plan.judge_after,
        by_hand=plan.by_hand,
        gone=plan.gone,
    )


def _billed(judgement: Judgement) -> Iterator[BilledLine]:
    """What the day bills, or would while it is held: later days of the patient count it."""
    priced = judgement.priced
    if priced is None or judgement.plan.state not in ("held", "queued", "sent"):
        return
    documented = {
        f"{stored.visit.visit_id}/{line.line_key}": line for stored in judgement.visits for line in stored.visit.interventions
    }
    allowed = priced.coded.allowed_cents or (None,) * len(priced.charges)
    for charge, allowed_cents in zip(priced.charges, allowed, strict=True):
        line = charge.line
        behind = [documented[key] for key in line.line_keys if key in documented]
        starts = [one.start for one in behind if one.start is not None]
        ends = [one.end for one in behind if one.end is not None]
        timed = bool(behind) and len(starts) == len(ends) == len(behind)
        yield BilledLine(
            procedure=line.procedure,
            modifiers=line.modifiers,
            units=line.units,
            amount_cents=charge.amount_cents,
            allowed_cents=allowed_cents,
            start=min(starts).isoformat() if timed else None,
            end=max(ends).isoformat() if timed else None,
        )


def _authorization(judgement: Judgement) -> str | None:
    """The one authorization number of the day's visits; None when there is none, or more than one."""
    numbers = {stored.visit.authorization_number for stored in judgement.visits} - {None}
    return numbers.pop() if len(numbers) == 1 else None


def _reason(judgement: Judgement, excluded: Mapping[int, tuple[int, str | None]]) -> str | None:
    """Machine-readable: the codes that hold, or the rules that exclude."""
    if judgement.plan.state == "held":
        holding = sorted({finding.code for finding in judgement.findings if finding.holds})
        return UNDONE if judgement.plan.undone else " ".join(holding)
    if judgement.plan.state in ("excluded", "voided"):
        if judgement.excluded_by_person:
            return "excluded-by-person"
        rules = {rule for _, rule in excluded.values() if rule}
        return " ".join(sorted(rules)) or "nothing-to-bill"
    return None


def _discipline(judgement: Judgement) -> str | None:
    found = judgement.visits[0].visit.discipline if judgement.visits else None
    return found.value if found else None


def _excluded_lines(judgement: Judgement, never_billed: Mapping[VisitStatus, str]) -> dict[int, tuple[int, str | None]]:
    """For each visit: how many of its lines are not billed, and the rule when that is all of them."""
    by_person = judgement.excluded_by_person
    by_visit: Counter[str] = Counter()
    rules: dict[str, str] = {}
    if judgement.priced:
        for exclusion in judgement.priced.coded.exclusions:
            visit_id = exclusion.line_key.partition("/")[0]
            by_visit[visit_id] += 1
            rules[visit_id] = exclusion.rule
    found: dict[int, tuple[int, str | None]] = {}
    for stored in judgement.visits:
        visit = stored.visit
        total = len(visit.interventions)
        if visit.status in never_billed:
            found[stored.id] = (total, never_billed[visit.status])
        elif by_person:
            found[stored.id] = (total, "excluded-by-person")
        else:
            count = by_visit[visit.visit_id] + sum(line.not_done for line in visit.interventions)
            rule = rules.get(visit.visit_id, "not-done")
            whole = total > 0 and count >= total and judgement.plan.state != "held"  # a held visit is held, whatever its lines
            found[stored.id] = (count, rule if whole else None)
    return found


def _page(judgement: Judgement) -> dict[str, Any]:
    priced, row = judgement.priced, judgement.row
    coded = priced.coded if priced else None
    decision = judgement.decision
    return {
        "reference": row.reference,
        "clinic": row.clinic,
        "service_date": row.service_date,
        "discipline": _discipline(judgement),
        "payer": coded.payer if coded else None,
        "payer_as_given": payer_as_given(priced) if priced else None,
        "state": judgement.plan.state,
        "action": judgement.plan.action,
        "change": _change(judgement.plan.change),
        "visits": [
            {"visit_id": stored.visit.visit_id, "status": stored.visit.status.value, "type": stored.visit.visit_type}
            for stored in judgement.visits
        ],
        "coverages": {stored.visit.visit_id: _coverages(stored.visit, row.reference) for stored in judgement.visits},
        "documented": [
            {
                "line_key": f"{stored.visit.visit_id}/{line.line_key}",
                "documented": line.documented,
                "procedure": line.code,
                "minutes": line.minutes,
                "therapist_minutes": line.therapist_minutes,
                "assistant_minutes": line.assistant_minutes,
                "units": line.units_documented,
                "modifiers": line.modifiers,
                "minutes_source": line.minutes_source,
                "units_source": line.units_source,
                "not_done": line.not_done,
            }
            for stored in judgement.visits
            for line in stored.visit.interventions
        ],
        "lines": [_line(charge) for charge in priced.charges] if priced else [],
        "diagnoses": [diagnosis.code for diagnosis in coded.diagnoses] if coded else [],
        "exclusions": coded.exclusions if coded else [],
        "acceptable": [dict(answer) for answer in coded.acceptable] if coded else [],
        "because": coded.because if coded else [],
        "findings": judgement.findings,
        "units": priced.units if priced else 0,
        "amount_cents": priced.amount_cents if priced else 0,
        "emr_differs": _emr_differs(judgement),
        "decision": {"kind": decision.kind, "reason": decision.reason, "actor": decision.actor} if decision else None,
    }


def _coverages(visit: Visit, reference: str) -> list[dict[str, Any]]:
    """The visit's insurances, the primary first, without the patient's numbers.

    `mark` is 16 bits over them and the day's reference: it tells that one of them changed, and gives none away.
    """
    ranked = sorted(visit.coverages, key=lambda one: (one.order is None, one.order or 0, one.id))
    return [
        {
            "payer": one.payer_id or one.payer_name,
            "order": one.order,
            "status": one.status,
            "relationship": one.relationship,
            "mark": _mark(reference, one),
        }
        for one in ranked
    ]


def _mark(reference: str, coverage: Coverage) -> str:
    other = coverage.subscriber
    facts = [reference, coverage.member_id, coverage.group_number, coverage.plan_name]
    facts += [other.family, other.given, str(other.birth_date)] if other else []
    return sha256("\0".join(fact or "" for fact in facts).encode()).hexdigest()[:4]


def _change(change: Change | None) -> dict[str, Any] | None:
    """How a correction goes, and what it changes at the biller."""
    if change is None:
        return None
    return {
        "route": change.route.value,
        "confirm": change.confirm,
        "payer_changed": change.payer_changed,
        "units": change.units,
        "amount_cents": change.amount_cents,
        "lines": [str(line) for line in change.lines],
    }


def _emr_differs(judgement: Judgement) -> list[dict[str, Any]]:
    """Procedures whose units in the EMR are not those billed: both counts, and billed less EMR in cents where priced.

    The EMR's units are kept and compared, never silently changed. A code with a line that has none is left out.
    """
    emr: Counter[str] = Counter()
    silent: set[str | None] = set()
    for stored in judgement.visits:
        for line in stored.visit.interventions:
            if line.units_documented is None or line.code is None:
                silent.add(line.code)
            elif not line.not_done:
                emr[line.code] += line.units_documented
    ours: Counter[str] = Counter()
    prices: dict[str, int] = {}
    for charge in judgement.priced.charges if judgement.priced else ():
        ours[charge.line.procedure] += charge.line.units
        if charge.unit_price_cents is not None:
            prices[charge.line.procedure] = charge.unit_price_cents
    return [
        {
            "procedure": code,
            "billed": ours[code],
            "emr": emr[code],
            "difference_cents": (ours[code] - emr[code]) * prices[code] if code in prices else None,
        }
        for code in sorted(emr)
        if code not in silent and code in ours and ours[code] != emr[code]
    ]


def _line(charge: Charge) -> dict[str, Any]:
    line = charge.line
    return {
        "line": str(line),
        "procedure": line.procedure,
        "modifiers": line.modifiers,
        "units": line.units,
        "minutes": line.minutes,
        "diagnosis_pointers": line.diagnosis_pointers,
        "unit_price_cents": charge.unit_price_cents,
        "amount_cents": charge.amount_cents,
        "line_keys": line.line_keys,
        "because": line.because,
    }
