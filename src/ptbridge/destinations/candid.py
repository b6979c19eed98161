"""candid: Candid Health, by charge captures v1 (`way: charge_captures`) or by encounters v4 (`way: encounters`).

A charge capture is the better fit for a bridge: it is a charge before it is a claim, it can be taken back, and a late
correction reaches a person instead of overwriting a claim. Nothing here resends blindly: Candid refuses a second
`external_id`, and what stands under ours is read and compared before anything counts as accepted.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping

import orjson

from ptbridge.destinations import DestinationParts, _candid_answers, _candid_charges, _candid_encounters
from ptbridge.destinations._candid_api import CandidApi
from ptbridge.destinations._candid_document import candid_lacks, encounter_data
from ptbridge.destinations._claim_facts import gather, lacks
from ptbridge.errors import ConfigError, OutcomeUnknown
from ptbridge.model import Acknowledgement, Disposition, Finding, PricedDay, Stage, Submission
from ptbridge.ports import CLAIM_STATES, AnswerPage, Capabilities, DestinationInfo
from ptbridge.specs.clinic import BillingProviderSpec, ClaimsSpec
from ptbridge.wire.http import HttpClient

INFO = DestinationInfo(
    name="candid",
    summary="Sends each treatment day to Candid Health, as a charge capture or as an encounter, and reads its claims' news.",
    needs=("base_url",),
    requests_per_second=90,  # of 1000 in any 10 seconds from one address, for all who share it
    options={
        "way": "charge_captures (default), or encounters: claims at once",
        "find_lag_seconds": "how long after taking a charge Candid may still say that it is not there (default 0)",
    },
    auth=("client_secret_json",),
    address="https://api.joincandidhealth.com",
    token_url="https://api.joincandidhealth.com/api/auth/v2/token",  # noqa: S106 - an address
    states=CLAIM_STATES,
)

_MEDIA_TYPE = "application/json"
_WAYS = ("charge_captures", "encounters")


def build(parts: DestinationParts) -> Candid:
    """A destination for one run (see `ptbridge.destinations`). Raises ConfigError for a missing base URL or a bad option."""
    http = parts.needed_http("https://api.joincandidhealth.com")
    INFO.refuse_unknown(parts.options)
    way = parts.options.get("way", _WAYS[0])
    if way not in _WAYS:
        raise ConfigError(f"{way!r} is no way. Known ways: {', '.join(_WAYS)}.", where="destination.options.way")
    return Candid(http, parts.billing, parts.claims, _capabilities(way, parts.options))


def _capabilities(way: str, options: Mapping[str, str]) -> Capabilities:
    """How far Candid lets its own copy be changed; what comes after is a task for a person there (canvas-medical issue 436).

    A changed charge capture is taken until the payer has decided: after the claim is made it waits for a person at Candid.
    An encounter is changed in place until it leaves for the payer.
    """
    last = Stage.PAYER if way == _WAYS[0] else Stage.CLAIM_MADE
    return Capabilities(
        find=True,
        replace=True,
        void=True,
        find_lag_seconds=INFO.number(options, "find_lag_seconds", 0),
        open_until=last,
        task_after=last,
    )


class Candid:
    """One organization at Candid, for one clinic's billing provider. `close` closes the client."""

    def __init__(self, http: HttpClient, billing: BillingProviderSpec, claims: ClaimsSpec, capabilities: Capabilities) -> None:
        self._api = CandidApi(http)
        self._billing, self._claims = billing, claims
        self._capabilities = capabilities
        self._by_charge = capabilities.open_until is Stage.PAYER
        kind = _candid_charges.Charges if self._by_charge else _candid_encounters.Encounters
        self._way: _candid_charges.Charges | _candid_encounters.Encounters = kind(self._api, billing.npi)

    @property
    def capabilities(self) -> Capabilities:
        """What this way of Candid's can do."""
        return self._capabilities

    def lacks(self, priced: PricedDay) -> list[Finding]:
        """A finding SB03 for each fact that an encounter cannot do without."""
        facts = gather(priced, self._billing, self._claims)
        return [*lacks(facts), *candid_lacks(facts)]

    def encode(self, priced: PricedDay, *, reference: str, frequency: str, original_id: str | None) -> tuple[bytes, str]:
        """The JSON body; see `_candid_document`. `original_id` is not needed: the reference names what is corrected."""
        data = encounter_data(gather(priced, self._billing, self._claims), reference)
        if self._by_charge:
            return orjson.dumps(_candid_charges.charge_document(data, reference, frequency)), _MEDIA_TYPE
        return orjson.dumps(_candid_encounters.encounter_document(data)), _MEDIA_TYPE

    def encode_void(self, live: bytes, *, reference: str, original_id: str | None) -> tuple[bytes, str]:
        """Entered in error, or not billable; nothing about the patient."""
        way = _candid_charges if self._by_charge else _candid_encounters
        return orjson.dumps(way.void_document(reference)), _MEDIA_TYPE

    async def submit(self, submission: Submission) -> Acknowledgement:
        """Create, correct or withdraw; accepted only when Candid says that it has just this."""
        try:
            return await self._way.submit(submission)
        except OutcomeUnknown:
            return Acknowledgement(disposition=Disposition.IN_DOUBT, native_code="lost-answer")

    async def find(self, submission: Submission) -> Acknowledgement | None:
        """What stands under our reference, if it is what this submission wants; None when it is not, or not there.

        A resend after None is harmless: Candid refuses a second one, and a correction comes to the same.
        """
        return await self._way.find(submission)

    async def list_references(self, service_dates: tuple[str, str]) -> dict[str, tuple[int, int]] | None:
        """What is for billing of those service dates (both days included): reference -> (units, cents)."""
        return await self._way.live(service_dates)

    async def answers(self, cursor: Mapping[str, str]) -> AsyncIterator[AnswerPage]:
        """The news of our claims, and of charges that became none; see `_candid_answers`."""
        async for page in _candid_answers.answers(self._api, cursor, self._billing.npi, bundles=self._by_charge):
            yield page

    async def check(self) -> list[str]:
        """A question that needs a connection and our credential and changes nothing; and what waits at Candid."""
        waiting = await self._way.check()
        return [f"Candid at {self._api.origin} answers and takes our credential", *waiting]

    async def close(self) -> None:
        """Close the client."""
        await self._api.close()
