"""READ THIS FIRST. A clinic's day in seven verbs: pull, normalize, code, price, edit, submit, acknowledge.

    EMR ──pull──▶ SourceRecord ──normalize──▶ Visit ──group──▶ TreatmentDay ──code──▶ ServiceLine ──price──▶ Charge
    biller ◀──submit── Submission ◀──plan── (no error Findings) ◀──edit── Findings
       └──acknowledge──▶ ledger

`pull` is a connector's and `submit` and `acknowledge` are delivery's (network, async; `jobs.py` drives them). Everything
between is here, in order: plain, synchronous and pure; the same input and configuration give the same bytes.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import date
from typing import Any
from zoneinfo import ZoneInfo

from ptbridge import intake
from ptbridge.coding import Known, code, price
from ptbridge.edits import run as edit
from ptbridge.intake import CompiledMapping
from ptbridge.judgement import Judgement, verdict_of
from ptbridge.ledger import LETS_PASS, DayRow, Decision, LiveCharge, Refusal, StoredVisit, Verdict
from ptbridge.model import Finding, Frequency, PricedDay, Severity, SourceRecord, TreatmentDay, Visit, VisitStatus
from ptbridge.plan import Plan, Say, plan, reference_now, still_billed
from ptbridge.policy import CodeTable, Facts, FeeSchedule, Policy
from ptbridge.policy.history import PatientHistory
from ptbridge.policy.reference import Reference
from ptbridge.ports import DemandingDestination, Destination, Edit
from ptbridge.refusals import REFUSALS, refusal_finding
from ptbridge.sdk import not_ready
from ptbridge.specs.clinic import ClinicSpec, PayerRouteSpec

# What a person cannot release, because there would be nothing right to send: it must be mended or excluded.
MUST_BE_MENDED = frozenset(
    {
        "MP01",
        "MP02",
        "MP05",
        "MP20",
        "MP90",
        "CV01",
        "UN10",
        "UN11",
        "UN14",
        "PX01",
        "DC03",
        "DC10",
        "DC12",
        "DC13",
        "ED90",
        "SB01",
        "SB02",
        "SB03",
        "SB04",
        "SB06",
    }
)
NEVER_BILLED = {
    VisitStatus.CANCELLED: "cancelled",
    VisitStatus.NO_SHOW: "no-show",
    VisitStatus.ENTERED_IN_ERROR: "entered-in-error",
}


_TEST_DATA = "DC13"
TEST_DATA = b"HTEST"  # http://terminology.hl7.org/CodeSystem/v3-ActReason

ReadHistory = Callable[[TreatmentDay, Policy | None], PatientHistory | None]


@dataclass(frozen=True, slots=True, kw_only=True)
class Kit:
    """Everything a clinic's pipeline needs, read once a run; nothing in it changes while it runs."""

    clinic: ClinicSpec
    time_zone: ZoneInfo
    today: date
    mapping: CompiledMapping
    codes: CodeTable
    policies: dict[str, Policy]
    fees: dict[str, FeeSchedule | None]  # by the file name written in the clinic file; "" is the clinic's own
    routes: dict[str, PayerRouteSpec]  # payer id or name, exactly as the EMR gives it
    edits: Sequence[Edit]
    destination: Destination
    ready_when: Mapping[str, tuple[str, ...]] = field(default_factory=dict)  # the clinic's table, see sdk.not_ready
    icd10: Callable[[str, date], bool | None] | None = None
    reference: Reference | None = None
    demanding: DemandingDestination | None = field(init=False)  # the destination, where it is one: asked once, not for each day
    splits: bool = field(init=False)  # as the destination's capabilities say

    def __post_init__(self) -> None:
        demanding = self.destination if isinstance(self.destination, DemandingDestination) else None
        object.__setattr__(self, "demanding", demanding)
        object.__setattr__(self, "splits", self.destination.capabilities.splits)

    def route(self, day: TreatmentDay) -> PayerRouteSpec | None:
        """Which payer policy the day's primary coverage falls under, by the payer's id, else by its name.

        None when the clinic file names neither, or when they lead to different policies.
        """
        coverage = day.primary_coverage
        if coverage is None:
            return None
        by_id, by_name = self.routes.get(coverage.payer_id or ""), self.routes.get(coverage.payer_name or "")
        if by_id and by_name and by_id.policy != by_name.policy:
            return None
        return by_id or by_name


def normalize(record: SourceRecord, kit: Kit) -> Visit:
    """A source record in our words. Raises RecordError when it cannot be read at all."""
    visit = intake.normalize(record, kit.mapping, time_zone=kit.time_zone)
    if TEST_DATA in record.payload and record.media_type.endswith("json") and _is_test_data(intake.record_resources(record)):
        visit = replace(visit, findings=(*visit.findings, _test_data(visit.visit_id)))
    if not kit.ready_when:
        return visit
    waits = [_not_ready(reason, visit.visit_id) for reason in not_ready(intake.record_resources(record), kit.ready_when)]
    return replace(visit, findings=(*visit.findings, *waits)) if waits else visit


def day_key(visit: Visit, kit: Kit) -> str:
    """Which treatment day the visit belongs to."""
    return intake.day_key(visit, kit.clinic.billing_provider.npi)


def charge(
    day: TreatmentDay, kit: Kit, history: PatientHistory | None = None, confirmed: frozenset[str] = frozenset()
) -> PricedDay:
    """Code and price one treatment day. `confirmed` are proposed modifiers that a person said to add."""
    route = kit.route(day)
    policy = kit.policies[route.policy] if route else None
    allowed = kit.fees[route.allowed] if route and route.allowed else None
    known = Known(
        history=history,
        allowed=allowed,
        reference=kit.reference,
        confirmed=confirmed,
        exclude_visits=frozenset(kit.clinic.exclude_visits),
    )
    coded = code(day, policy=policy, codes=kit.codes, assistant_method=kit.clinic.assistant_method, known=known)
    return price(coded, kit.fees[(route.fees if route else None) or ""])


def check(priced: PricedDay, kit: Kit, history: PatientHistory | None = None) -> list[Finding]:
    """All findings of a priced day: the mapping's, the coding's, the prices', and every edit's."""
    policy = kit.policies.get(priced.coded.payer or "")
    facts = Facts(
        codes=kit.codes,
        policies=kit.policies,
        policy=policy,
        today=kit.today,
        clinic=kit.clinic.clinic,
        icd10=kit.icd10,
        reference=kit.reference,
        history=history,
        splits=kit.splits,
    )
    findings = [finding for visit in priced.day.visits for finding in visit.findings]
    findings += priced.coded.findings
    findings += priced.findings
    findings += edit(priced, facts, kit.edits)
    if kit.demanding is not None and priced.charges:
        findings += kit.demanding.lacks(priced)
    return findings


def judge(
    row: DayRow,
    visits: Sequence[StoredVisit],
    kit: Kit,
    *,
    decision: Decision | None = None,
    unreadable: Sequence[str] = (),
    live: LiveCharge | None = None,
    history: ReadHistory | None = None,
    refused: Refusal | None = None,
    elsewhere: Sequence[str] = (),
    seen_there: bool = False,
) -> Verdict:
    """Judge one treatment day: code, price, edit, then hold, exclude or plan what leaves. Pure, but for `history`.

    `live` is what the biller has now. `history` reads what the ledger knows of the patient; it is called
    once, for a day that may bill.
    `unreadable` are the reasons of visits whose newest record cannot be read: they hold
    the day, because what it would bill is no longer what the source says. `refused` is why what the biller has was rejected or
    denied: it holds the day for as long as the day would send just that again. `elsewhere` are references under which the
    biller still has a visit that moved to this day. `seen_there`: a person has seen that the biller has exactly what the day
    bills, so that nothing of a refusal is left.
    """
    billable = [stored.visit for stored in visits if stored.visit.status not in NEVER_BILLED]
    fingerprint = _content(visits)
    priced: PricedDay | None = None
    findings = [_unreadable(reason) for reason in unreadable]
    if billable:
        (day,) = intake.group(billable, clinic=row.clinic, billing_npi=kit.clinic.billing_provider.npi)
        known = _history(day, kit, history)
        priced = charge(day, kit, known, _added(_released(decision, fingerprint)))
        findings += [one for one in check(priced, kit, known) if not _only_booked(billable) or one.code == _TEST_DATA]
        findings += [_nothing_documented(visit) for visit in billable if not visit.interventions]
        findings += [still_billed(elsewhere)] if elsewhere and priced.charges else []
    if refused is not None and not seen_there and _says_the_same(row, priced, findings, kit):
        findings.append(refusal_finding(refused))
    chosen = _choose(row, priced, findings, decision, fingerprint, kit, live, seen_there)
    if chosen.finding:
        findings.append(chosen.finding)
    judgement = Judgement(
        row=row,
        visits=visits,
        priced=priced,
        findings=findings,
        plan=chosen,
        decision=decision,
        visits_sha256=fingerprint,
        window_seconds=_window_seconds(decision, fingerprint, kit),
    )
    return verdict_of(judgement, NEVER_BILLED)


def _window_seconds(decision: Decision | None, fingerprint: bytes, kit: Kit) -> float:
    """How long what follows waits in the clinic's hold window; not at all when a person asked to send just this."""
    asked = decision is not None and decision.kind == "retry" and decision.visits_sha256 == fingerprint
    return 0.0 if asked else kit.clinic.changes.hold_window_minutes * 60.0


def _says_the_same(row: DayRow, priced: PricedDay | None, findings: Sequence[Finding], kit: Kit) -> bool:
    """Whether the day bills just what the biller took last; after a void that is nothing. What cannot be encoded is held."""
    if row.live_sha256 is None or priced is None or not priced.charges:
        return row.live_sha256 is None
    if any(finding.code == "SB03" for finding in findings):
        return False
    body, _ = kit.destination.encode(priced, reference=reference_now(row), frequency=Frequency.ORIGINAL, original_id=None)
    return hashlib.sha256(body).digest() == row.live_sha256


def unjudged(row: DayRow, visits: Sequence[StoredVisit], kind: str) -> Verdict:
    """The verdict on a day that could not be judged, because of a fault of ours of this kind: held, nothing is sent."""
    finding = Finding(
        code="ED90",
        severity=Severity.ERROR,
        message=f"judging this day stopped with {kind}",
        fix="Report it with the visit id. The day is judged again at the next sync after an update or an edit.",
    )
    held = Plan(state="held", action="a person must decide")
    judgement = Judgement(
        row=row, visits=visits, priced=None, findings=[finding], plan=held, decision=None, visits_sha256=_content(visits)
    )
    return verdict_of(judgement, NEVER_BILLED)


def _content(visits: Sequence[StoredVisit]) -> bytes:
    """Names the content of a day's visits."""
    return hashlib.sha256(b"".join(stored.content_sha256 for stored in visits)).digest()


def _choose(
    row: DayRow,
    priced: PricedDay | None,
    findings: Sequence[Finding],
    decision: Decision | None,
    fingerprint: bytes,
    kit: Kit,
    live: LiveCharge | None,
    seen_there: bool,
) -> Plan:
    platform = kit.clinic.destination.platform
    about_this = decision if decision and decision.visits_sha256 == fingerprint else None
    released = _released(about_this, fingerprint)
    excluded = about_this is not None and about_this.excludes
    by_excluding = frozenset({"void"}) if excluded else frozenset()  # whoever excludes what was sent has it taken back
    say = Say(
        confirm=frozenset(kit.clinic.changes.confirm),
        confirmed=frozenset(word.removeprefix("ok:") for word in released if word.startswith("ok:")) | by_excluding,
        done_by_hand=about_this is not None and about_this.kind == "done" and about_this.counts_at(row.revision),
        seen_there=seen_there,
    )
    if excluded:
        return plan(row, None, kit.destination, platform, live, say)
    if about_this and about_this.kind == "undo":
        return Plan(state="held", action="a person took it back before it was sent", undone=True)
    if any(finding.holds and (finding.code in MUST_BE_MENDED or finding.code not in released) for finding in findings):
        return Plan(state="held", action="a person must decide")
    return plan(row, priced, kit.destination, platform, live, say)


def _released(decision: Decision | None, fingerprint: bytes) -> frozenset[str]:
    """What a person let pass for exactly this content: finding codes, and `+KX` for a proposed modifier to add."""
    if decision is None or decision.kind not in LETS_PASS or decision.visits_sha256 != fingerprint:
        return frozenset()
    return decision.codes - REFUSALS  # the ledger tells whether the refusal came after the release


def _added(released: frozenset[str]) -> frozenset[str]:
    return frozenset(word[1:] for word in released if word.startswith("+"))


def _history(day: TreatmentDay, kit: Kit, read: ReadHistory | None) -> PatientHistory | None:
    """The patient's history under the day's payer; without allowed amounts nothing is known of what accrued."""
    route = kit.route(day)
    policy = kit.policies[route.policy] if route else None
    found = None if read is None else read(day, policy)
    if found is None or (route is not None and route.allowed):
        return found
    return replace(found, accrued_cents=None)


def _is_test_data(resources: Iterable[Mapping[str, Any]]) -> bool:
    """Whether the visit or its patient carries the security label of test data (contract D20)."""
    metas = [one.get("meta") for one in resources if one.get("resourceType") in ("Encounter", "Patient")]
    labels = [label for meta in metas if isinstance(meta, dict) for label in meta.get("security") or ()]
    return any(isinstance(label, dict) and label.get("code") == TEST_DATA.decode() for label in labels)


def _test_data(visit_id: str) -> Finding:
    return Finding(
        code=_TEST_DATA,
        severity=Severity.ERROR,
        message="the source marks the visit or its patient as test data (security label HTEST)",
        fix="Nothing to do: test data is never billed. A real visit needs the label taken off in the EMR.",
        visit_id=visit_id,
    )


def _not_ready(reason: str, visit_id: str) -> Finding:
    return Finding(
        code="DC12",
        severity=Severity.ERROR,
        message=f"not ready to bill: {reason}",
        fix="Finish the visit in the EMR; it goes by itself. The table is `ready_when` in the clinic file.",
        visit_id=visit_id,
    )


def _unreadable(reason: str) -> Finding:
    return Finding(
        code="MP90",
        severity=Severity.ERROR,
        message=f"the newest record of a visit of this day cannot be read: {reason}",
        fix="Correct the record at its source; it is read again at the next sync.",
    )


_BOOKED = "a visit was booked for this day, and nothing says that it took place"
_CHART_IT = "Document what was done, or mark the appointment as missed or cancelled; or exclude the visit with the reason."


def _only_booked(visits: Iterable[Visit]) -> bool:
    """Nothing is known but that somebody was to come: what the day lacks for a claim is no reason yet, DC10 is the one."""
    return all(visit.status is VisitStatus.PLANNED and not visit.interventions for visit in visits)


def _nothing_documented(visit: Visit) -> Finding:
    return Finding(
        code="DC10",
        severity=Severity.ERROR,
        message=_BOOKED if visit.status is VisitStatus.PLANNED else "a visit took place and documents no service",
        fix=_CHART_IT
        if visit.status is VisitStatus.PLANNED
        else "Document what was done, or exclude the visit with the reason.",
        visit_id=visit.visit_id,
    )
