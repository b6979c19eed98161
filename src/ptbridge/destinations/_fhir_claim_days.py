"""Two ways to send a treatment day to a FHIR server: one Claim by itself, or one transaction of all its resources.

Either counts as taken only when all of it stands there as it was sent. A transaction is all or nothing by the standard; servers
differ, so every entry of its answer is read, and half an answer is a doubt that a look-up of every resource settles.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from ptbridge.destinations import _fhir_claim_verdict as verdict
from ptbridge.destinations._document import Document
from ptbridge.destinations._fhir_claim_api import FhirClaimApi
from ptbridge.destinations._fhir_claim_bundle import CHARGE_ITEM, CLAIM, Said, answered, resources_of, updating
from ptbridge.destinations._fhir_claim_parts import read, written
from ptbridge.errors import PeerRefused, PeerUnavailable
from ptbridge.model import Acknowledgement, Frequency, Submission


def is_bundle(submission: Submission) -> bool:
    """Whether these bytes are a transaction."""
    return read(submission.body).get("resourceType") == "Bundle"


async def submit_claim(api: FhirClaimApi, submission: Submission) -> Acknowledgement:
    """Create or update the one Claim of the day. Raises OutcomeUnknown, PeerUnavailable and PeerRefused."""
    sent, body = read(submission.body), submission.body
    original = submission.frequency is Frequency.ORIGINAL
    response = await (api.create(sent, body) if original else api.update(sent, body))
    if original and response.status == 200 and verdict.is_dead(verdict.object_of(response)):  # billed again after a void
        response = await api.update(sent, body)
    if response.status not in (200, 201):
        return verdict.turned_away(response)
    there = verdict.object_of(response)
    wrong = verdict.difference(there, sent, api.naming.system)
    if wrong == "mismatched-answer" or (wrong == "reference-exists" and response.status == 201):
        return verdict.in_doubt("mismatched-answer")
    return verdict.rejected(wrong) if wrong else _all_there([there])


async def submit_bundle(api: FhirClaimApi, submission: Submission) -> Acknowledgement:
    """Make or change all of a day in one transaction. Raises OutcomeUnknown, PeerUnavailable and PeerRefused."""
    bundle = read(submission.body)
    if submission.frequency is not Frequency.ORIGINAL:
        there = await api.standing(entry["resource"] for entry in bundle["entry"])
        charge_items = [one for one in there if one["resourceType"] == CHARGE_ITEM]
        if stop := verdict.in_the_way(charge_items, withdraw=submission.frequency is Frequency.VOID):
            return verdict.rejected(stop)
    answer = await _transact(api, bundle, submission.body)
    if answer is None:  # some stand there from before they were taken back: the same resources, over them
        again = updating(bundle)
        answer = await _transact(api, again, written(again))
    return answer or verdict.in_doubt("mismatched-answer")


async def _transact(api: FhirClaimApi, bundle: Document, body: bytes) -> Acknowledgement | None:
    """One transaction and what came of it; None when a create met what was taken back once."""
    response = await api.transact(body)
    if response.status not in (200, 201):
        return verdict.turned_away(response)
    entries: list[Document] = bundle["entry"]
    said = answered(verdict.object_of(response), entries)
    if not said or not all(one.is_done and one.id for one in said):
        return _half(said)
    try:
        there = [await _there(api, one, entry) for one, entry in zip(said, entries, strict=True)]
    except (PeerRefused, PeerUnavailable):  # it was taken: what stands there is looked up later
        return verdict.in_doubt("not-read-back")
    return _compared(api, said, there, entries)


def _half(said: Sequence[Said]) -> Acknowledgement:
    """Not every entry is told as done: rejected when none was and every one for good, else in doubt."""
    issues = [issue for one in said if not one.is_done for issue in one.issues]
    if said and all(one.is_refused for one in said):
        return verdict.refused(issues or [{"code": said[0].status}])
    codes = ",".join(dict.fromkeys(one.status for one in said if not one.is_done)) or "incomplete"
    return verdict.in_doubt(f"half-answer:{codes}", verdict.words(issues))


async def _there(api: FhirClaimApi, said: Said, entry: Mapping[str, Any]) -> Document:
    """What stands at an entry's place: as the answer shows it, else as the server reads it out."""
    shown = said.resource or await api.at(entry["resource"]["resourceType"], said.id)
    return shown or {}


def _compared(
    api: FhirClaimApi, said: Sequence[Said], there: Sequence[Document], entries: Sequence[Document]
) -> Acknowledgement | None:
    wrong = [verdict.difference(one, entry["resource"], api.naming.system) for one, entry in zip(there, entries, strict=True)]
    if not any(wrong):
        return _all_there(there)
    found = zip(said, there, entries, wrong, strict=True)
    met = [one for answer, one, entry, why in found if why == "reference-exists" and _is_met(answer, entry)]
    if met and all(verdict.is_dead(one) for one in met) and wrong.count("reference-exists") == len(met):
        stop = verdict.in_the_way(there, withdraw=False)
        return verdict.rejected(stop) if stop else None
    first = next(why for why in wrong if why)
    if first == "mismatched-answer" or (first == "reference-exists" and not met):
        return verdict.in_doubt("mismatched-answer")
    return verdict.rejected(first)


def _is_met(said: Said, entry: Mapping[str, Any]) -> bool:
    """A create that found one already there."""
    return said.status == "200" and entry["request"]["method"] == "POST"


# ---------------------------------------------------------------- looking


async def find(api: FhirClaimApi, submission: Submission) -> Acknowledgement | None:
    """Whether each resource of a submission stands there as it was sent; None when one does not. Raises PeerError.

    A resend after None is harmless: every entry is conditional on our identifier.
    """
    sent = resources_of(submission.body)
    names = {api.naming.name(one): one for one in sent}
    standing: dict[str, Document] = {}
    for one in await api.standing(sent):
        name = api.naming.name(one)
        if name in standing and name in names:
            return verdict.rejected("multiple-matches")
        standing[name] = one
    if not names.keys() <= standing.keys():
        return None
    wrong = [verdict.difference(standing[name], one, api.naming.system) for name, one in names.items()]
    if "reference-exists" in wrong:
        return None
    first = next((why for why in wrong if why), "")
    return verdict.rejected(first) if first else _all_there([standing[name] for name in names])


def _all_there(there: Sequence[Document]) -> Acknowledgement:
    """Accepted, under the id of the Claim, else of the first ChargeItem."""
    first = there[0]
    id_ = str(first.get("id") or "")
    if first["resourceType"] != CLAIM:
        id_ = f"{CHARGE_ITEM}/{id_}" if id_ else ""
    return verdict.accepted(id_ or None, str(first.get("status")))
