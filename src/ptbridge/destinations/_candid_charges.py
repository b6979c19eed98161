"""Charge captures v1: a charge is created `planned`, read back, and made `billable` only when Candid has just what we sent.

`charge_external_id` is our reference, unique in the organization: a repeated create is refused with 409 and settled by
looking. A correction is a PATCH of the same charge, a withdrawal makes it `entered-in-error`. Once Candid has made a claim
of it, a PATCH arrives as a change that a person at Candid resolves.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from typing import Any

import orjson

from ptbridge.destinations._candid_agrees import disagreement
from ptbridge.destinations._candid_api import CandidApi, Params, rejected
from ptbridge.destinations._candid_document import ORIGIN, with_nulls
from ptbridge.destinations._document import Document
from ptbridge.destinations._listed import summed
from ptbridge.errors import PeerUnavailable
from ptbridge.model import Acknowledgement, Disposition, Frequency, Submission

_PATH = "api/charge_captures/v1"
_SUMMARY = "api/charge_capture_claim_creation/v1/all/summary"
_WAITING = {
    "charge_capture_charges_not_linked_to_claims_count": "charges that are in no claim",
    "charge_capture_claim_creations_not_started_count": "bundles not started",
    "charge_capture_held_claim_creations_count": "bundles held",
    "charge_capture_claim_creations_in_error_count": "bundles in error",
    "charge_capture_unresolved_change_count": "changes after the claim that wait for a person",
}
_CONFLICT = "ChargeExternalIdConflictError"
_LIVE, _GONE = "billable", "entered-in-error"
_SET_ASIDE = frozenset({"aborted", "not-billable"})  # by a person at Candid


def charge_document(data: Document, reference: str, frequency: str) -> Document:
    """The body of the create (1) or of the PATCH that corrects (7)."""
    patient_id = data["patient"]["external_id"]
    if frequency == Frequency.ORIGINAL:
        return {
            "data": data,
            "charge_external_id": reference,
            "patient_external_id": patient_id,
            "status": "planned",
            "originating_system": ORIGIN,
        }
    return {
        "data": with_nulls(data),
        "charge_external_id": reference,
        "patient_external_id": patient_id,
        "status": _LIVE,
    }


def void_document(reference: str) -> Document:
    """The body of the PATCH that takes a charge back."""
    return {"charge_external_id": reference, "status": _GONE}


class Charges:
    """The charges of one billing provider at Candid."""

    def __init__(self, api: CandidApi, billing_npi: str) -> None:
        self._api = api
        self._billing_npi = billing_npi

    async def submit(self, submission: Submission) -> Acknowledgement:
        """Create, correct or withdraw, and confirm from what Candid says it has. Raises PeerError, OutcomeUnknown."""
        if submission.frequency is Frequency.ORIGINAL:
            reply = await self._api.write("POST", _PATH, submission.body)
            if reply.error != _CONFLICT:
                return reply.refused or await self._make_billable(submission, reply.document)
            return await self._taken_before(submission)
        standing = await self._standing(submission.reference)
        if standing is None:
            return rejected("unknown-reference", "Candid has no charge of this reference")
        return await self._change(submission, standing, submission.body)

    async def find(self, submission: Submission) -> Acknowledgement | None:
        """The charge, if it stands just as this submission wants it."""
        standing = await self._standing(submission.reference)
        if standing is None or standing.get("status") != _wanted_status(submission):
            return None
        return None if _differs(submission, standing) else _accepted(standing)

    async def live(self, service_dates: tuple[str, str]) -> dict[str, tuple[int, int]]:
        """Our billable charges of those service dates: reference -> (units, cents)."""
        first, last = service_dates
        wanted = [
            ("date_of_service_min", first),
            ("date_of_service_max", last),
            ("status", _LIVE),
            ("billing_provider_npis", self._billing_npi),
        ]
        return summed(
            [
                (str(charge.get("id")), str(charge["charge_external_id"]), totals(charge.get("charge_capture_data")))
                async for charge in self._listed(wanted)
                if charge.get("originating_system") == ORIGIN and charge.get("status") == _LIVE
            ]
        )

    async def check(self) -> list[str]:
        """What waits at Candid between charges and claims, over all clinics of the organization. Raises PeerError."""
        counts = await self._api.get(_SUMMARY) or {}
        return [f"{what}: {counts[name]}" for name, what in _WAITING.items() if isinstance(counts.get(name), int)]

    # ------------------------------------------------------------ steps

    async def _make_billable(self, submission: Submission, made: Mapping[str, Any]) -> Acknowledgement:
        """The second step of a create: only a charge that stands as it was sent is for billing."""
        if made.get("charge_external_id") != submission.reference:
            return Acknowledgement(disposition=Disposition.IN_DOUBT, native_code="mismatched-answer")
        place = _differs(submission, made)
        if place is not None:
            return rejected("differs", f"Candid has something else than was sent at {place}; the charge waits there as planned")
        return await self._change(submission, made, orjson.dumps({"status": _LIVE}))

    async def _taken_before(self, submission: Submission) -> Acknowledgement:
        """The reference is in use: by an earlier attempt of this, by a charge taken back, or by one that is not this."""
        standing = await self._standing(submission.reference)
        if standing is None:
            return Acknowledgement(disposition=Disposition.IN_DOUBT, native_code=_CONFLICT)
        if _differs(submission, standing) is None:
            return await self._make_billable(submission, standing)
        if standing.get("status") == _LIVE:
            return rejected("differs", "a billable charge of this reference stands at Candid with other content")
        wanted = orjson.loads(submission.body)
        return await self._change(
            submission, standing, orjson.dumps(charge_document(wanted["data"], submission.reference, Frequency.REPLACEMENT))
        )

    async def _change(self, submission: Submission, standing: Mapping[str, Any], body: bytes) -> Acknowledgement:
        """PATCH, unless it stands so already; then compare what Candid says it has."""
        if standing.get("status") == _wanted_status(submission) and _differs(submission, standing) is None:
            return _accepted(standing)
        if standing.get("status") in _SET_ASIDE and submission.frequency is not Frequency.VOID:
            return rejected(str(standing["status"]), "a person at Candid set this charge aside; agree with them first")
        reply = await self._api.write("PATCH", f"{_PATH}/{standing.get('id')}", body)
        if reply.refused:
            return reply.refused
        if reply.document.get("charge_external_id") != submission.reference:
            return Acknowledgement(disposition=Disposition.IN_DOUBT, native_code="mismatched-answer")
        place = _differs(submission, reply.document)
        if place is not None:
            return rejected("differs", f"Candid kept something else than was sent at {place}")
        if reply.document.get("status") != _wanted_status(submission):
            return Acknowledgement(disposition=Disposition.IN_DOUBT, native_code="status-differs")
        return _accepted(reply.document)

    async def _standing(self, reference: str) -> dict[str, Any] | None:
        """The charge of this reference; None when there is none. Raises PeerUnavailable when there are several."""
        page = await self._api.get(_PATH, [("charge_external_id", reference), ("limit", "2")]) or {}
        items = page.get("items")
        if not isinstance(items, list):
            raise PeerUnavailable("Candid's look-up of a charge answered without a list.")
        ours = [item for item in items if isinstance(item, dict) and item.get("charge_external_id") == reference]
        if len(ours) > 1:
            raise PeerUnavailable("Candid has several charges of one charge_external_id.")
        return ours[0] if ours else None

    async def _listed(self, wanted: Params) -> AsyncIterator[dict[str, Any]]:
        async for page in self._api.pages(_PATH, wanted):
            for charge in page:
                yield charge


def _wanted_status(submission: Submission) -> str:
    return _GONE if submission.frequency is Frequency.VOID else _LIVE


def _differs(submission: Submission, standing: Mapping[str, Any]) -> str | None:
    """Where the charge says something else than was sent; a withdrawal wants nothing of its content."""
    if submission.frequency is Frequency.VOID:
        return None
    sent = orjson.loads(submission.body)
    wanted = {"patient_external_id": sent["patient_external_id"], "charge_capture_data": with_nulls(sent["data"])}
    return disagreement(wanted, standing)


def _accepted(charge: Mapping[str, Any]) -> Acknowledgement:
    """`native_text` says so when Candid made a claim already and a person there resolves the change."""
    updates = charge.get("updates")
    waits = isinstance(updates, list) and any(isinstance(one, dict) and not one.get("resolved") for one in updates)
    text = "Candid has made a claim of it: a person there resolves this change" if waits else ""
    return Acknowledgement(
        disposition=Disposition.ACCEPTED,
        destination_id=str(charge["id"]),
        native_code=str(charge.get("status")),
        native_text=text,
    )


def totals(data: Any) -> tuple[int, int]:
    """Units and cents of a charge's or a claim's lines. Raises PeerUnavailable when a line does not say both."""
    lines = data.get("service_lines") if isinstance(data, dict) else None
    try:
        units = sum(int(float(line["quantity"])) for line in lines or [])
        return units, sum(int(line["charge_amount_cents"]) for line in lines or [])
    except (KeyError, TypeError, ValueError):
        raise PeerUnavailable("Candid's list has a charge whose lines say no quantity or amount.") from None
