"""From a judged treatment day to what happens to it: hold, exclude, send, replace, void, or leave as it is.

How far the live charge has come and what the destination can do decide (`route_of`); there is never a second original
(contract D17, D19). What nobody here can do becomes a task with the exact difference, and what the clinic wants a person to
see first waits for one.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, replace

from ptbridge.ledger import DayRow, LiveCharge
from ptbridge.model import (
    Finding,
    Frequency,
    LineChange,
    PricedDay,
    Severity,
    ShownLine,
    Standing,
    Submission,
    dollars,
    line_changes,
)
from ptbridge.ports import Capabilities, CorrectingDestination, Destination, SteppingDestination
from ptbridge.routes import Route, is_gone, is_open, route_of

SB01 = "SB01"  # changed after sending, and only a person at the biller can change it there
SB02 = "SB02"  # nothing left to bill after sending, and only a person at the biller can take it back
SB04 = "SB04"  # the correction must name the payer's claim number, which is not known yet
SB05 = "SB05"  # a correction that the clinic wants a person to confirm
SB06 = "SB06"  # a visit of this day is still billed with the day that it left


_ACTIONS = {
    Route.UPDATE: "replace what the biller has (frequency 7)",
    Route.REPLACEMENT: "replace the payer's claim (frequency 7)",
    Route.CANCEL: "void what the biller has (frequency 8)",
    Route.VOID: "void the payer's claim (frequency 8)",
    Route.VOID_AND_NEW: "void what the biller has (frequency 8); a new original follows when that is accepted",
    Route.AGAIN: "send as original again: the one before was rejected before adjudication",
    Route.FORGET: "nothing to bill: what was sent was rejected before adjudication",
}
_IN_TWO_STEPS = "; lines that change claims follow when the payer has it without them"
_CONFIRMED_BY = {Route.UPDATE: "replacement", Route.CANCEL: "void", Route.FORGET: "void"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Change:
    """What a correction would do to the live charge. Cents and units are differences: negative takes money back."""

    route: Route
    lines: tuple[LineChange, ...]
    payer_changed: bool
    confirm: tuple[str, ...] = ()  # words of `changes.confirm` that the clinic wants a person to confirm

    @property
    def units(self) -> int:
        """Units more or less than the biller has."""
        return sum(line.units for line in self.lines)

    @property
    def amount_cents(self) -> int:
        """Cents more or less than the biller has."""
        return sum(line.amount_cents for line in self.lines)

    def __str__(self) -> str:
        words = [str(line) for line in self.lines]
        if self.payer_changed:
            words.append("another primary payer")
        return "; ".join(words) or "no line differs; diagnoses, provider or other facts do"


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """The next state of a treatment day and, where something must leave, the submission.

    `gone`: what was live is no longer, and nothing is sent for it. `by_hand`: the submission records what a person had the
    biller do. `closes_reference`, `judge_after`: what follows when it is accepted (see ledger/0004_changes.sql).
    """

    state: str  # held | excluded | queued | sent | voided
    action: str  # one plain sentence
    submission: Submission | None = None
    content_sha256: bytes | None = None
    finding: Finding | None = None
    change: Change | None = None
    gone: bool = False
    by_hand: bool = False
    closes_reference: bool = False
    judge_after: bool = False
    undone: bool = False  # a person took it back before it was sent


@dataclass(frozen=True, slots=True, kw_only=True)
class Say:
    """What people said about corrections: the clinic's policy, and a person about exactly this content."""

    confirm: frozenset[str] = frozenset()  # words of `changes.confirm` that need a person
    confirmed: frozenset[str] = frozenset()  # those that a person has confirmed
    done_by_hand: bool = False  # a person had the biller do what is asked for
    seen_there: bool = False  # a person has seen that the biller has exactly what the day bills now


SAID_NOTHING = Say()


def reference_of(clinic: str, day_key: str) -> str:
    """Our name for a treatment day at the destination: stable over corrections, without patient data."""
    return "pt-" + hashlib.sha256(f"{clinic}\n{day_key}".encode()).hexdigest()[:24]


def reference_now(day: DayRow) -> str:
    """The name that what is sent next goes under: the live one's, else the day's own, else the next after a void ended one."""
    if day.live_reference is not None:
        return day.live_reference
    if day.generation == 0:
        return day.reference
    return "pt-" + hashlib.sha256(f"{day.reference}\n{day.generation}".encode()).hexdigest()[:24]


def key_of(platform: str, reference: str, revision: int, frequency: Frequency, content: bytes) -> str:
    """The idempotency key: the same revision of the same content (SHA-256) has it again after a crash or a restore."""
    named = f"{platform}\n{reference}\n{revision}\n{frequency.value}\n{content.hex()}"
    return hashlib.sha256(named.encode()).hexdigest()[:40]


def plan(
    day: DayRow,
    priced: PricedDay | None,
    destination: Destination,
    platform: str,
    live: LiveCharge | None,
    say: Say = SAID_NOTHING,
) -> Plan:
    """What to do with a day that nothing holds. `priced` is None (or without charges) when nothing is left to bill.

    `live` is what the biller has now, None when it has nothing.
    """
    billing = priced if priced is not None and priced.charges else None
    if say.seen_there and billing is not None:
        return _seen_there(day, billing, destination, platform)
    if live is None:
        return _first(day, billing, destination, platform)
    content = None
    if billing is not None:
        content, _, _ = _original(billing, destination, reference_now(day))
        same = day.live_sha256 == content and not is_gone(day, destination.capabilities)
        if same and not _waiting(destination, live.body):
            return Plan(state="sent", action="unchanged: the biller has exactly this")
    return _correct(_Case(day, billing, content, destination, platform, live), say)


def _first(day: DayRow, billing: PricedDay | None, destination: Destination, platform: str) -> Plan:
    """Nothing is live: an original, or nothing. A void before the original leaves the day excluded for good (D19)."""
    if billing is None:
        return Plan(state="voided" if day.state == "voided" else "excluded", action="nothing to bill")
    content, body, media_type = _original(billing, destination, reference_now(day))
    submission = _submission(day, platform, Frequency.ORIGINAL, content, body, media_type, billing)
    return Plan(state="queued", action="send as original", submission=submission, content_sha256=content)


def _original(billing: PricedDay, destination: Destination, reference: str) -> tuple[bytes, bytes, str]:
    """What names the content, the bytes of the day as an original, and their media type."""
    body, media_type = destination.encode(billing, reference=reference, frequency=Frequency.ORIGINAL, original_id=None)
    return hashlib.sha256(body).digest(), body, media_type


# ---------------------------------------------------------------- the correction


@dataclass(frozen=True, slots=True)
class _Case:
    """A day whose live charge is not what it bills now. `billing` None: nothing is left to bill."""

    day: DayRow
    billing: PricedDay | None
    content: bytes | None
    destination: Destination
    platform: str
    live: LiveCharge


def _correct(case: _Case, say: Say) -> Plan:
    """The change, what it needs of a person, and the submission that follows."""
    change = _change(case, say)
    if change.route is Route.TASK:
        return _done_by_hand(case, change) if say.done_by_hand else _held(change, _task(case, change))
    if change.route is Route.WAIT:
        return _held(change, _waits(change))
    if change.confirm:
        return _held(change, _unconfirmed(change))
    if change.route is Route.FORGET:
        return Plan(state="voided", action=_ACTIONS[change.route], change=change, gone=True)
    return _sends(case, change)


def _change(case: _Case, say: Say) -> Change:
    day, live, billing = case.day, case.live, case.billing
    payer = payer_as_given(billing) if billing is not None else None
    payer_changed = None not in (payer, live.payer) and payer != live.payer
    waiting = _waiting(case.destination, live.body)
    has = [line for place, line in enumerate(live.lines, start=1) if place not in waiting]
    lines = line_changes(has, shown(billing))
    route = route_of(day, case.destination.capabilities, withdraw=billing is None, payer_changed=payer_changed)
    words = {_CONFIRMED_BY.get(route, route.value)}
    if payer_changed:
        words.add("payer-changed")
    if day.standing in (Standing.PAID, Standing.DENIED):
        words.add("after-decision")
    if day.standing == Standing.PAID and (billing.amount_cents if billing else 0) < day.live_cents:
        words.add("decrease-after-paid")
    wanted = tuple(sorted(words & say.confirm - say.confirmed))
    return Change(route=route, lines=tuple(lines), payer_changed=payer_changed, confirm=wanted)


def _sends(case: _Case, change: Change) -> Plan:
    """What leaves for this change; after a void the day is judged again where a new original follows."""
    day, billing = case.day, case.billing
    named = _named(day, case.destination.capabilities)
    reference = reference_now(day)
    if billing is None or change.route is Route.VOID_AND_NEW:
        frequency, counted = Frequency.VOID, None
        body, media_type = case.destination.encode_void(case.live.body, reference=reference, original_id=named)
        content = hashlib.sha256(body).digest()
    elif change.route is Route.AGAIN:
        frequency, counted = Frequency.ORIGINAL, billing
        content, body, media_type = _original(billing, case.destination, reference)
    else:
        assert case.content is not None, "what bills has content"
        frequency, counted, content = Frequency.REPLACEMENT, billing, case.content
        body, media_type = _replacement(case, billing, named)
    follows = change.route is Route.VOID_AND_NEW
    waiting = _waiting(case.destination, body) if counted else ()
    submission = _submission(day, case.platform, frequency, content, body, media_type, counted)
    return Plan(
        state="queued",
        action=_ACTIONS[change.route] + (_IN_TWO_STEPS if waiting else ""),
        submission=_without(submission, counted, waiting) if counted else submission,
        content_sha256=content,
        change=change,
        closes_reference=follows or not case.destination.capabilities.replace,
        judge_after=follows or bool(waiting),
    )


def _waiting(destination: Destination, body: bytes) -> tuple[int, ...]:
    """Places of the day's lines that a correction of these bytes leaves for the next one."""
    if destination.capabilities.splits and isinstance(destination, SteppingDestination):
        return destination.waiting_lines(body)
    return ()


def _without(submission: Submission, billing: PricedDay, waiting: Sequence[int]) -> Submission:
    """What is sent counts without the lines that wait."""
    left = [billing.charges[place - 1] for place in waiting]
    return replace(
        submission,
        units=submission.units - sum(charge.line.units for charge in left),
        amount_cents=submission.amount_cents - sum(charge.amount_cents or 0 for charge in left),
        lines=submission.lines - len(left),
    )


def _named(day: DayRow, capabilities: Capabilities) -> str | None:
    """How a correction names what it corrects: the payer's claim number for a claim of its own, else the platform's id."""
    by_payer = capabilities.payer_number and not is_open(day, capabilities)
    return day.payer_claim_number if by_payer else day.live_id


def _replacement(case: _Case, billing: PricedDay, named: str | None) -> tuple[bytes, str]:
    """What turns the live charge into this day; some platforms need to see what they were sent (contract D17)."""
    reference = reference_now(case.day)
    if isinstance(case.destination, CorrectingDestination):
        return case.destination.encode_replacement(billing, case.live.body, reference=reference, original_id=named)
    return case.destination.encode(billing, reference=reference, frequency=Frequency.REPLACEMENT, original_id=named)


def _done_by_hand(case: _Case, change: Change) -> Plan:
    """A person had the biller do it: the ledger takes over what the biller has now, and sends nothing."""
    day, billing = case.day, case.billing
    if billing is None:
        body, media_type, content, frequency = b"", "", hashlib.sha256(b"").digest(), Frequency.VOID
    else:
        content, body, media_type = _original(billing, case.destination, reference_now(day))
        frequency = Frequency.REPLACEMENT
    return Plan(
        state="sent" if billing else "voided",
        action="a person had the biller do it",
        submission=_submission(day, case.platform, frequency, content, body, media_type, billing),
        content_sha256=content,
        change=change,
        by_hand=True,
        closes_reference=billing is None and not case.destination.capabilities.replace,
    )


def _seen_there(day: DayRow, billing: PricedDay, destination: Destination, platform: str) -> Plan:
    """A person has seen that the biller has exactly this: the ledger takes it over, and sends nothing."""
    content, body, media_type = _original(billing, destination, reference_now(day))
    corrects = day.live_sha256 is not None and not is_gone(day, destination.capabilities)
    frequency = Frequency.REPLACEMENT if corrects else Frequency.ORIGINAL
    return Plan(
        state="sent",
        action="a person has seen that the biller has exactly this",
        submission=_submission(day, platform, frequency, content, body, media_type, billing),
        content_sha256=content,
        by_hand=True,
    )


def _submission(
    day: DayRow,
    platform: str,
    frequency: Frequency,
    content: bytes,
    body: bytes,
    media_type: str,
    priced: PricedDay | None,
) -> Submission:
    revision, reference = day.revision + 1, reference_now(day)
    return Submission(
        clinic=day.clinic,
        destination=platform,
        key=key_of(platform, reference, revision, frequency, content),
        reference=reference,
        order_key=day.reference,
        revision=revision,
        frequency=frequency,
        body=body,
        media_type=media_type,
        units=priced.units if priced else day.live_units,
        amount_cents=priced.amount_cents if priced else day.live_cents,
        lines=len(priced.charges) if priced else 0,
        service_date=day.service_date or "",
    )


# ---------------------------------------------------------------- what a person is told


def shown(priced: PricedDay | None) -> list[ShownLine]:
    """The billed lines as a person is shown them; none when nothing is billed."""
    return [
        ShownLine(
            procedure=charge.line.procedure,
            modifiers=charge.line.modifiers,
            units=charge.line.units,
            amount_cents=charge.amount_cents,
        )
        for charge in (priced.charges if priced else ())
    ]


def payer_as_given(priced: PricedDay) -> str | None:
    """The primary payer's id, else its name, as the EMR gives it; None when it cannot be told."""
    coverage = priced.day.primary_coverage
    return None if coverage is None else coverage.payer_id or coverage.payer_name


def still_billed(references: Sequence[str]) -> Finding:
    """SB06: a visit of this day is in charges that the biller still has under these references."""
    return Finding(
        code=SB06,
        severity=Severity.ERROR,
        message=f"a visit of this day is still billed under {', '.join(references)}; billing it here would bill it twice",
        fix=f"Settle {references[0]} first (`ptbridge changes`); this day goes by itself after it.",
    )


def _held(change: Change, finding: Finding) -> Plan:
    action = "waits for the payer's answer" if finding.code == SB04 else "a person must decide"
    return Plan(state="held", action=action, finding=finding, change=change)


def _difference(change: Change) -> str:
    """`97110-GP x2 $90.00 becomes 97110-GP x3 $135.00 (+1 units, $45.00)`."""
    return f"{change} ({change.units:+d} units, {dollars(change.amount_cents)})"


def _task(case: _Case, change: Change) -> Finding:
    what = "changed after it was sent" if case.billing else "nothing is left to bill after it was sent"
    can = case.destination.capabilities
    lacks = "void" if case.billing is None else "replacement"
    beyond = (can.void if case.billing is None else can.replace) and case.day.stage
    only = f"at the stage {case.day.stage} only a person at the biller can change it"
    why = only if beyond else f"{case.platform} takes no {lacks}"
    return Finding(
        code=SB01 if case.billing else SB02,
        severity=Severity.ERROR,
        message=f"{what}, and {why}; what the biller has stays as it was. Difference: {_difference(change)}",
        fix="Biller: make it so by hand, then `ptbridge changes done ID --reason`. Or undo the edit at its source.",
    )


def _waits(change: Change) -> Finding:
    return Finding(
        code=SB04,
        severity=Severity.ERROR,
        message=f"waits for the payer's claim number, which a correction must name. Difference: {_difference(change)}",
        fix="Nothing to do: it goes by itself when the payer's answer brings the number. `ptbridge changes` shows its age.",
    )


def _unconfirmed(change: Change) -> Finding:
    return Finding(
        code=SB05,
        severity=Severity.ERROR,
        message=f"the clinic wants a person to confirm: {', '.join(change.confirm)}. Difference: {_difference(change)}",
        fix="Clinic: `ptbridge changes confirm ID --reason`, or undo the edit at its source.",
        where=" ".join(change.confirm),
    )
