"""Encounters v4: a claim at once. A correction converges in steps, because a PATCH takes neither lines nor diagnoses.

`external_id` is our reference, unique in the organization: a repeated create is refused with 422 and settled by looking.
The steps, each harmless to repeat: read, add diagnoses, put lines by external id, delete lines, delete diagnoses, PATCH the
encounter, read back and compare. There is no delete: what is taken back is made NOT_BILLABLE.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import orjson

from ptbridge.destinations._candid_agrees import disagreement
from ptbridge.destinations._candid_api import CandidApi, rejected
from ptbridge.destinations._candid_charges import totals
from ptbridge.destinations._candid_document import read_line_id, with_nulls
from ptbridge.destinations._document import Document
from ptbridge.destinations._listed import summed
from ptbridge.errors import PeerRefused, PeerUnavailable
from ptbridge.model import Acknowledgement, Disposition, Frequency, Submission

_PATH = "api/encounters/v4"
_LINES = "api/service-lines/v2"
_DIAGNOSES = "api/diagnoses/v2"
_CONFLICT = "EncounterExternalIdUniquenessError"
_LIVE, _GONE = "BILLABLE", "NOT_BILLABLE"
_SLOTS = ("diagnosis_id_zero", "diagnosis_id_one", "diagnosis_id_two", "diagnosis_id_three")
_STEPS_OF = frozenset({"diagnoses", "service_lines"})  # what the PATCH of an encounter does not take


def encounter_document(data: Document) -> Document:
    """The body of a create, which is also what a correction must come to."""
    return data


def void_document(reference: str) -> Document:
    """The body of the PATCH that takes an encounter back."""
    return {"external_id": reference, "billable_status": _GONE}


class _Stopped(Exception):
    """A step was refused, with this answer."""

    def __init__(self, answer: Acknowledgement) -> None:
        super().__init__(answer.native_code)
        self.answer = answer


class _Steps:
    """The changes of one correction, one after the other. `done` counts those that Candid has made."""

    def __init__(self, api: CandidApi) -> None:
        self._api = api
        self.done = 0

    async def make(self, method: str, path: str, body: bytes | Mapping[str, Any] | None = None) -> Document:
        """One change and what stands after it. Raises _Stopped when it was refused, OutcomeUnknown, PeerError."""
        reply = await self._api.write(method, path, body)
        if reply.refused is not None:
            raise _Stopped(reply.refused)
        self.done += 1
        return reply.document

    def half_made(self, answer: Acknowledgement) -> Acknowledgement:
        """What a correction comes to that stopped here: with a step done, what Candid has is neither version."""
        if not self.done:
            return answer
        if answer.disposition is Disposition.REJECTED:
            return rejected(answer.native_code, f"a correction stopped half way, mend it with Candid: {answer.native_text}")
        return Acknowledgement(disposition=Disposition.IN_DOUBT, native_code=answer.native_code)


class Encounters:
    """The encounters of one billing provider at Candid."""

    def __init__(self, api: CandidApi, billing_npi: str) -> None:
        self._api = api
        self._billing_npi = billing_npi

    async def submit(self, submission: Submission) -> Acknowledgement:
        """Create, converge or withdraw, and confirm from what is read back. Raises PeerError, OutcomeUnknown."""
        if submission.frequency is Frequency.ORIGINAL:
            reply = await self._api.write("POST", _PATH, submission.body)
            if reply.error != _CONFLICT:
                return reply.refused or self._confirm(submission, reply.document)
        standing = await self._standing(submission.reference)
        if standing is None:
            if submission.frequency is Frequency.ORIGINAL:
                return Acknowledgement(disposition=Disposition.IN_DOUBT, native_code=_CONFLICT)
            return rejected("unknown-reference", "Candid has no encounter of this reference")
        if _differs(submission, standing) is None:
            return _accepted(standing)
        if submission.frequency is Frequency.ORIGINAL and standing.get("billable_status") == _LIVE:
            return rejected("differs", "a billable encounter of this reference stands at Candid with other content")
        steps = _Steps(self._api)
        try:
            return await self._change(steps, submission, standing)
        except _Stopped as stopped:
            return steps.half_made(stopped.answer)
        except (PeerUnavailable, PeerRefused) as error:
            if not steps.done:
                raise
            return steps.half_made(Acknowledgement(disposition=Disposition.IN_DOUBT, native_code=type(error).__name__))

    async def find(self, submission: Submission) -> Acknowledgement | None:
        """The encounter, if it stands just as this submission wants it."""
        standing = await self._standing(submission.reference)
        return None if standing is None or _differs(submission, standing) is not None else _accepted(standing)

    async def live(self, service_dates: tuple[str, str]) -> dict[str, tuple[int, int]]:
        """Billable encounters with lines of ours, of those service dates: reference -> (units, cents)."""
        first, last = service_dates
        wanted = [
            ("date_of_service_min", first),
            ("date_of_service_max", last),
            ("billable_status", _LIVE),
            ("billing_provider_npis", self._billing_npi),
        ]
        listed = []
        async for page in self._api.pages(_PATH, wanted):
            for encounter in page:
                reference = str(encounter.get("external_id"))
                if encounter.get("billable_status") == _LIVE and _is_ours(encounter, reference):
                    amounts = totals({"service_lines": _lines(encounter)})
                    listed.append((str(encounter.get("encounter_id")), reference, amounts))
        return summed(listed)

    async def check(self) -> list[str]:
        """Ask for a list that is surely empty. Raises PeerError."""
        await self._api.get(_PATH, [("external_id", "none"), ("limit", "1")])
        return []

    # ------------------------------------------------------------ converging

    async def _change(self, steps: _Steps, submission: Submission, standing: Document) -> Acknowledgement:
        path = f"{_PATH}/{standing['encounter_id']}"
        sent = orjson.loads(submission.body)
        if submission.frequency is Frequency.VOID:
            return self._confirm(submission, await steps.make("PATCH", path, submission.body))
        ids = await _put_diagnoses(steps, standing, sent["diagnoses"])
        await _put_lines(steps, submission, standing, sent, ids)
        for row in _rows(standing, "diagnoses"):
            if str(row.get("diagnosis_id")) not in ids:
                await steps.make("DELETE", f"{_DIAGNOSES}/{row['diagnosis_id']}")
        fields = {name: value for name, value in with_nulls(sent).items() if name not in _STEPS_OF}
        await steps.make("PATCH", path, {**fields, "diagnosis_ids": ids})
        back = await self._api.get(path)
        if back is None:
            return Acknowledgement(disposition=Disposition.IN_DOUBT, native_code="not-there")
        return self._confirm(submission, back)

    # ------------------------------------------------------------ reading

    def _confirm(self, submission: Submission, encounter: Document) -> Acknowledgement:
        if encounter.get("external_id") != submission.reference:
            return Acknowledgement(disposition=Disposition.IN_DOUBT, native_code="mismatched-answer")
        place = _differs(submission, encounter)
        return _accepted(encounter) if place is None else rejected("differs", f"Candid has something else at {place}")

    async def _standing(self, reference: str) -> Document | None:
        """The encounter of this reference; None when there is none."""
        page = await self._api.get(_PATH, [("external_id", reference), ("limit", "1")]) or {}
        items = page.get("items")
        if not isinstance(items, list):
            raise PeerUnavailable("Candid's look-up of an encounter answered without a list.")
        return next((item for item in items if isinstance(item, dict) and item.get("external_id") == reference), None)


async def _put_diagnoses(steps: _Steps, standing: Document, wanted: list[Document]) -> list[str]:
    """The ids of the wanted codes in billing order; what is missing is added, and one stands as principal."""
    there = {_code(row): row for row in _rows(standing, "diagnoses")}
    principal = _code(wanted[0])
    for code, row in there.items():
        if row.get("code_type") == "ABK" and code != principal:
            await steps.make("PATCH", f"{_DIAGNOSES}/{row['diagnosis_id']}", {"code_type": "ABF"})
    ids = []
    for row in wanted:
        known = there.get(_code(row))
        if known is None:
            known = await steps.make("POST", _DIAGNOSES, {**row, "encounter_id": standing["encounter_id"]})
        elif _code(row) == principal and known.get("code_type") != "ABK":
            await steps.make("PATCH", f"{_DIAGNOSES}/{known['diagnosis_id']}", {"code_type": "ABK"})
        ids.append(str(known["diagnosis_id"]))
    return ids


async def _put_lines(steps: _Steps, submission: Submission, standing: Document, sent: Document, ids: list[str]) -> None:
    """Each wanted line by its external id, then away with the others. A deleted line's id is never used again."""
    there = {place[1]: line for line in _lines(standing) if (place := read_line_id(line.get("external_id")))}
    claim_id = _claim(standing)["claim_id"]
    for number, line in enumerate(sent["service_lines"], start=1):
        known = there.pop(number, None)
        external_id = str(known["external_id"]) if known else f"{line['external_id']}-r{submission.revision}"
        body = {name: value for name, value in line.items() if name != "diagnosis_pointers"}
        body |= {"claim_id": claim_id, "external_id": external_id, **_slots(line, ids)}
        body.setdefault("prior_authorization_number", None)
        await steps.make("PUT", f"{_LINES}/external-id/{external_id}", body)
    for line in there.values():
        await steps.make("DELETE", f"{_LINES}/{line['service_line_id']}")


def _differs(submission: Submission, encounter: Mapping[str, Any]) -> str | None:
    """Where the encounter says something else than was sent; a withdrawal wants one field only."""
    sent = orjson.loads(submission.body)
    if submission.frequency is Frequency.VOID:
        return disagreement({"billable_status": _GONE}, encounter)
    encounter = {**encounter, "diagnoses": _in_order(sent, encounter)}
    wanted = {name: value for name, value in with_nulls(sent).items() if name != "service_lines"}
    place = disagreement(wanted, encounter)
    return place if place is not None else _lines_differ(sent, encounter)


def _in_order(sent: Document, encounter: Mapping[str, Any]) -> list[Document]:
    """The encounter's diagnoses in the order of what was sent: which is principal is said by their type, not their place."""
    order = [_code(row) for row in sent["diagnoses"]]
    return sorted(_rows(encounter, "diagnoses"), key=lambda row: order.index(_code(row)) if _code(row) in order else len(order))


def _lines_differ(sent: Document, encounter: Mapping[str, Any]) -> str | None:
    """Lines by their place; a diagnosis pointer is the id of the diagnosis it points at."""
    ids = [str(row.get("diagnosis_id")) for row in _rows(encounter, "diagnoses")]
    there = {place[1]: line for line in _lines(encounter) if (place := read_line_id(line.get("external_id")))}
    if len(_lines(encounter)) != len(sent["service_lines"]) or len(there) != len(sent["service_lines"]):
        return "service_lines"
    for number, line in enumerate(sent["service_lines"], start=1):
        wanted = {name: value for name, value in line.items() if name not in ("external_id", "diagnosis_pointers")}
        wanted |= {"prior_authorization_number": line.get("prior_authorization_number"), **_slots(line, ids)}
        differs = disagreement(wanted, there.get(number), f"service_lines/{number}")
        if differs is not None:
            return differs
    return None


def _slots(line: Mapping[str, Any], ids: list[str]) -> Document:
    """Pointers (0-based) as the four diagnosis ids of a stand-alone line; null where there are fewer."""
    pointed = [ids[pointer] for pointer in line["diagnosis_pointers"]]
    return {name: pointed[place] if place < len(pointed) else None for place, name in enumerate(_SLOTS)}


def _is_ours(encounter: Mapping[str, Any], reference: str) -> bool:
    places = [read_line_id(line.get("external_id")) for line in _lines(encounter)]
    return bool(places) and all(place is not None and place[0] == reference for place in places)


def _rows(document: Mapping[str, Any], name: str) -> list[Document]:
    rows = document.get(name)
    return [row for row in rows if isinstance(row, dict)] if isinstance(rows, list) else []


def _claim(encounter: Mapping[str, Any]) -> Document:
    claims = _rows(encounter, "claims")
    if len(claims) != 1:
        raise PeerUnavailable(f"Candid's encounter has {len(claims)} claims; one was expected.")
    return claims[0]


def _lines(encounter: Mapping[str, Any]) -> list[Document]:
    return [line for claim in _rows(encounter, "claims") for line in _rows(claim, "service_lines")]


def _code(row: Mapping[str, Any]) -> str:
    return str(row.get("code")).replace(".", "").upper()


def _accepted(encounter: Mapping[str, Any]) -> Acknowledgement:
    return Acknowledgement(
        disposition=Disposition.ACCEPTED,
        destination_id=str(encounter["encounter_id"]),
        native_code=str(encounter.get("billable_status")),
    )
