"""What Candid says later: its events, each read as the claim stands now, and the charges that it could not make claims of.

Events are kept for 30 days, newest first, and say which encounter changed; the encounter says the rest. A cursor older than
the feed, or none, is caught up by reading every encounter of the billing provider once. One claim may hold several charges:
a charge is told by its lines' external ids.
"""

from __future__ import annotations

import hashlib
from collections.abc import AsyncIterator, Iterator, Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

from ptbridge.destinations._candid_api import CandidApi
from ptbridge.destinations._candid_document import ORIGIN, read_line_id
from ptbridge.destinations._document import Document
from ptbridge.model import Answer, NativeCode, Stage, Standing
from ptbridge.ports import AnswerPage

_EVENTS = "api/events/v1/"
_TYPES = ("CandidApi.Encounter.Created", "CandidApi.Encounter.StatusUpdated")
_ENCOUNTERS = "api/encounters/v4"
_BUNDLES = "api/charge_capture_claim_creation/v1"
_CHARGES = "api/charge_captures/v1"
_KEPT = timedelta(days=29)  # a day less than what Candid keeps
_OVERLAP = timedelta(minutes=10)
_CURSOR = "created_after"

# Candid's claim status -> how far, and what it says. A status that is not here is pending at its claim, with its name kept.
_STATUS = {
    "biller_received": (Stage.CLAIM_MADE, Standing.ACCEPTED),
    "coded": (Stage.CLAIM_MADE, Standing.ACCEPTED),
    "missing_information": (Stage.CLAIM_MADE, Standing.PENDING),
    "waiting_for_provider": (Stage.CLAIM_MADE, Standing.PENDING),
    "held_by_customer": (Stage.CLAIM_MADE, Standing.PENDING),
    "not_billable": (Stage.CLAIM_MADE, Standing.PENDING),
    "submitted_to_payer": (Stage.CLEARINGHOUSE, Standing.PENDING),
    "rejected": (Stage.CLEARINGHOUSE, Standing.REJECTED),
    "era_received": (Stage.REMITTANCE, Standing.PENDING),
    "era_requires_review": (Stage.REMITTANCE, Standing.PENDING),
    "denied": (Stage.REMITTANCE, Standing.DENIED),
    "finalized_denied": (Stage.REMITTANCE, Standing.DENIED),
    "paid": (Stage.REMITTANCE, Standing.PAID),
    "paid_incorrectly": (Stage.REMITTANCE, Standing.PAID),
    "finalized_paid": (Stage.REMITTANCE, Standing.PAID),
}
# Of a bundle, Candid's step between charges and a claim. `successful` is told by the claim itself.
_BUNDLE = {"in-error": Standing.REJECTED, "aborted": Standing.REJECTED, "held": Standing.PENDING}


async def answers(api: CandidApi, cursor: Mapping[str, str], billing_npi: str, *, bundles: bool) -> AsyncIterator[AnswerPage]:
    """The news since `cursor`, oldest first; `bundles`: also of charges that did not become a claim."""
    now = datetime.fromtimestamp(api.wall(), UTC)
    since = _read_time(cursor.get(_CURSOR, ""))
    if bundles:
        async for page in _bundle_news(api, billing_npi):
            yield page
    if since is None or now - since > _KEPT:
        async for page in _catch_up(api, billing_npi):
            yield page
        since = now - _OVERLAP  # what happened before was just read; what happened meanwhile is told by its event
    newest = since
    events = await _events(api, since)
    for event in reversed(events):
        found = await _of_event(api, event)
        newest = max(newest, _read_time(str(event.get("created_at") or "")) or newest)
        if found:
            yield AnswerPage(answers=tuple(found))
    yield AnswerPage(cursor={_CURSOR: _write_time(max(newest - _OVERLAP, since) if events else since)})


async def _events(api: CandidApi, since: datetime) -> list[Document]:
    """The events from `since` on, newest first, one for each encounter: the newest tells how it stands now."""
    found: list[Document] = []
    seen: set[str] = set()
    wanted = [("created_after", _write_time(since)), *(("event_types", name) for name in _TYPES)]
    async for page in api.pages(_EVENTS, wanted):
        for event in page:
            encounter_id = _encounter_id(event)
            if event.get("event_type") in _TYPES and encounter_id and encounter_id not in seen:
                seen.add(encounter_id)
                found.append(event)
    return found


def _encounter_id(event: Mapping[str, Any]) -> str:
    """Where an event's payload names the encounter; its form is not part of Candid's published types."""
    payload = event.get("payload")
    if not isinstance(payload, dict):
        return ""
    inner = payload.get("encounter")
    nested = inner if isinstance(inner, dict) else {}
    return str(payload.get("encounter_id") or nested.get("encounter_id") or nested.get("id") or "")


async def _of_event(api: CandidApi, event: Document) -> list[Answer]:
    encounter = await api.get(f"{_ENCOUNTERS}/{_encounter_id(event)}")
    if encounter is None:
        return []
    said_at = str(event.get("timestamp") or event.get("created_at") or "")
    return list(encounter_answers(encounter, key=str(event.get("id")), said_at=said_at))


async def _catch_up(api: CandidApi, billing_npi: str) -> AsyncIterator[AnswerPage]:
    """Every encounter as it stands: its key is made from what it says, so that nothing is told twice."""
    async for page in api.pages(_ENCOUNTERS, [("billing_provider_npis", billing_npi), ("sort", "created_at:asc")]):
        found = [answer for encounter in page for answer in encounter_answers(encounter, key="", said_at="")]
        if found:
            yield AnswerPage(answers=tuple(found))


async def _bundle_news(api: CandidApi, billing_npi: str) -> AsyncIterator[AnswerPage]:
    """Bundles that did not become a claim, with the charges in them."""
    for status, standing in _BUNDLE.items():
        wanted = [("claim_creation_status", status), ("billing_provider_npis", billing_npi)]
        async for page in api.pages(_BUNDLES, wanted):
            found = [answer for bundle in page for answer in await _of_bundle(api, bundle, standing)]
            if found:
                yield AnswerPage(answers=tuple(found))


async def _of_bundle(api: CandidApi, bundle: Document, standing: Standing) -> list[Answer]:
    errors = [error for error in bundle.get("errors") or [] if isinstance(error, dict) and not error.get("resolved")]
    codes = (
        NativeCode(system="candid.bundle_status", code=str(bundle.get("status"))),
        *(
            NativeCode(
                system="candid.bundle_error", code=str(error.get("field_in_error") or ""), text=str(error.get("message"))
            )
            for error in errors
        ),
    )
    found: list[Answer] = []
    async for page in api.pages(_CHARGES, [("claim_creation_ids", str(bundle.get("id")))]):
        for charge in page:
            if charge.get("originating_system") == ORIGIN:
                reference = str(charge.get("charge_external_id"))
                key = _digest("bundle", reference, str(bundle.get("id")), *(f"{code.code}:{code.text}" for code in codes))
                found.append(
                    Answer(
                        key=key,
                        stage=Stage.CLAIM_MADE,
                        standing=standing,
                        reference=reference,
                        destination_id=str(charge.get("id")),
                        codes=codes,
                        text="; ".join(str(error.get("message")) for error in errors),
                    )
                )
    return found


# ---------------------------------------------------------------- an encounter as answers


def encounter_answers(encounter: Mapping[str, Any], *, key: str, said_at: str) -> Iterator[Answer]:
    """What an encounter's claims say of each charge of ours in them, and of each line once there is a remittance.

    `key` names the news; empty: made from what is said.
    """
    for claim in encounter.get("claims") or []:
        lines = _ours(claim)
        for reference in dict.fromkeys(reference for reference, _, _ in lines):
            own = [(number, line) for name, number, line in lines if name == reference]
            yield from _claim_answers(claim, reference, own, key, said_at)


def _ours(claim: Mapping[str, Any]) -> list[tuple[str, int, Document]]:
    places = ((read_line_id(line.get("external_id")), line) for line in claim.get("service_lines") or [])
    return [(place[0], place[1], line) for place, line in places if place is not None]


def _claim_answers(
    claim: Mapping[str, Any], reference: str, lines: list[tuple[int, Document]], key: str, said_at: str
) -> Iterator[Answer]:
    status = str(claim.get("status"))
    stage, standing = _STATUS.get(status, (Stage.CLAIM_MADE, Standing.PENDING))
    number = claim.get("payer_claim_id")
    news = key or _digest(str(claim.get("claim_id")), status, repr([_money(line) for _, line in lines]))
    yield Answer(
        key=f"{news}/{reference}",
        stage=stage,
        standing=standing,
        reference=reference,
        payer_claim_number=str(number) if number else None,
        codes=(NativeCode(system="candid.claim_status", code=status),),
        said_at=said_at,
        **_sums([line for _, line in lines], stage),
    )
    if stage is Stage.REMITTANCE:
        for place, line in lines:
            yield _line_answer(line, place, f"{news}/{reference}/{place}", reference, standing, said_at)


def _line_answer(line: Document, place: int, key: str, reference: str, claim: Standing, said_at: str) -> Answer:
    """A line that says why it was denied is denied, whatever became of the claim."""
    return Answer(
        key=key,
        stage=Stage.REMITTANCE,
        standing=Standing.DENIED if _reason(line) else claim,
        reference=reference,
        line=place,
        procedure=str(line.get("procedure_code") or "") or None,
        codes=tuple(_codes(line)),
        said_at=said_at,
        **_money(line),
    )


def _codes(line: Mapping[str, Any]) -> Iterator[NativeCode]:
    era = line.get("service_line_era_data") or {}
    for adjustment in era.get("service_line_adjustments") or []:
        reason = "-".join(
            str(part)
            for part in (adjustment.get("adjustment_group_code"), adjustment.get("adjustment_reason_code"))
            if part is not None
        )
        yield NativeCode(system="CARC", code=reason, text=str(adjustment.get("adjustment_note") or ""))
    for remark in era.get("remittance_advice_remark_codes") or []:
        yield NativeCode(system="RARC", code=str(remark))
    if reason := _reason(line):
        yield NativeCode(system="candid.denial_reason", code=reason)


def _reason(line: Mapping[str, Any]) -> str:
    denial = line.get("denial_reason")
    return str(denial.get("reason") or "") if isinstance(denial, dict) else ""


def _money(line: Mapping[str, Any]) -> dict[str, Any]:
    era = line.get("service_line_era_data") or {}
    adjustments = [row.get("adjustment_amount_cents") for row in era.get("service_line_adjustments") or []]
    return {
        "charged_cents": _cents(line.get("charge_amount_cents")),
        "paid_cents": _cents(line.get("paid_amount_cents")),
        "adjusted_cents": sum(adjustments) if adjustments and all(isinstance(cents, int) for cents in adjustments) else None,
        "patient_cents": _cents(line.get("patient_responsibility_cents")),
    }


def _sums(lines: list[Document], stage: Stage) -> dict[str, Any]:
    """The claim's part of one charge; before a remittance there is no money to tell, and a sum with a gap is none."""
    if stage is not Stage.REMITTANCE:
        return {}
    each = [_money(line) for line in lines]
    sums: dict[str, Any] = {}
    for name in each[0]:
        values = [money[name] for money in each]
        sums[name] = None if None in values else sum(values)
    return sums


def _cents(value: Any) -> int | None:
    return value if isinstance(value, int) and not isinstance(value, bool) else None


def _digest(*parts: str) -> str:
    return hashlib.sha256("\n".join(parts).encode()).hexdigest()[:32]


def _read_time(text: str) -> datetime | None:
    """An ISO 8601 time with a zone; None for anything else."""
    try:
        found = datetime.fromisoformat(text)
    except ValueError:
        return None
    return found if found.tzinfo else None


def _write_time(moment: datetime) -> str:
    return moment.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")
