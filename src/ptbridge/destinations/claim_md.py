"""claim_md: Claim.MD, a clearinghouse. One upload of one JSON claim per treatment day; the response feed says the rest.

Claim.MD remembers no key, so nothing is ever sent again on the chance: after a lost answer the feed is asked for the claim's
own `remote_claimid`, and its absence is believed only after `find_lag_seconds`. A correction is a claim of its own that names
the payer's claim number; a claim that was rejected is gone and goes again as an original.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass, field

import orjson

from ptbridge.destinations import DestinationParts
from ptbridge.destinations import _claim_md_answers as news
from ptbridge.destinations._claim_facts import gather, lacks
from ptbridge.destinations._claim_md_api import ClaimMdApi, document, error_of, rows
from ptbridge.destinations._claim_md_document import (
    claim_document,
    claim_md_lacks,
    file_name,
    read_remote_id,
    units_of_file,
    void_document,
)
from ptbridge.destinations._document import Document
from ptbridge.destinations._listed import still_standing, summed
from ptbridge.errors import OutcomeUnknown, PeerUnavailable
from ptbridge.model import Acknowledgement, Answer, Disposition, Finding, PricedDay, Submission
from ptbridge.model.money import cents
from ptbridge.ports import CLAIM_STATES, AnswerPage, Capabilities, DestinationInfo
from ptbridge.specs.clinic import BillingProviderSpec, ClaimsSpec
from ptbridge.wire.http import HttpClient, Response

INFO = DestinationInfo(
    name="claim_md",
    summary="Uploads each treatment day as a claim to the clearinghouse Claim.MD, and reads its response feed and remittances.",
    needs=("base_url",),
    requests_per_second=1.6,  # of 100 a minute for an account
    options={
        "find_lag_seconds": "how long after an upload the feed may still be silent about it (default 3600)",
        "feed_from": "the ResponseID after which our claims begin; what came before is not read (default 0)",
        "remittances": "yes (default): read the remittances too; no: the response feed alone",
        "accident_date_field": "Claim.MD's JSON field for the date of an accident; without it such days are held",
        "accident_claim_field": "Claim.MD's JSON field for the claim number of an accident; without it such days are held",
    },
    auth=("form_key",),
    address="https://svc.claim.md",
    states=(*CLAIM_STATES, "billing_provider.phone"),
)

_MEDIA_TYPE = "application/json"
_BUSY = frozenset({408, 425, 429, 503})
_LAG_SECONDS = 3600.0
_RESPONSE, _ERA = "response_id", "era_id"


def build(parts: DestinationParts) -> ClaimMd:
    """A destination for one run (see `ptbridge.destinations`). Raises ConfigError for a missing base URL or a bad option."""
    http = parts.needed_http("https://svc.claim.md")
    INFO.refuse_unknown(parts.options)
    INFO.number(parts.options, "find_lag_seconds", _LAG_SECONDS)
    INFO.number(parts.options, "feed_from", 0, whole=True)
    INFO.yes(parts.options, "remittances", default=True)
    return ClaimMd(http, parts.billing, parts.claims, parts.options)


@dataclass(slots=True)
class _Standing:
    """Where a claim of ours stands, as the feed said last."""

    row: Document = field(repr=False)
    accepted: bool


class ClaimMd:
    """One account at Claim.MD. `close` closes the client."""

    def __init__(self, http: HttpClient, billing: BillingProviderSpec, claims: ClaimsSpec, options: Mapping[str, str]) -> None:
        self._api = ClaimMdApi(http)
        self._billing, self._claims, self._options = billing, claims, options
        # remote_claimid -> Claim.MD's id -> what this run has read of the feed, in its order
        self._known: dict[str, dict[str | None, _Standing]] = {}
        self._read_to = options.get("feed_from", "0")

    @property
    def capabilities(self) -> Capabilities:
        """What Claim.MD can do, after the clinic's options."""
        return Capabilities(
            find=True,
            replace=True,
            void=True,
            find_lag_seconds=INFO.number(self._options, "find_lag_seconds", _LAG_SECONDS),
            open_until=None,
            payer_number=True,
            rejected_is_gone=True,
        )

    def lacks(self, priced: PricedDay) -> list[Finding]:
        """A finding SB03 for each fact that the claim cannot do without."""
        facts = gather(priced, self._billing, self._claims)
        return [*lacks(facts), *claim_md_lacks(facts, self._options)]

    def encode(self, priced: PricedDay, *, reference: str, frequency: str, original_id: str | None) -> tuple[bytes, str]:
        """The claim's JSON; the account key goes beside it, never in it. `original_id` is the payer's claim number."""
        facts = gather(priced, self._billing, self._claims)
        claim = claim_document(facts, self._options, reference=reference, frequency=frequency, original_id=original_id)
        return orjson.dumps(claim), _MEDIA_TYPE

    def encode_void(self, live: bytes, *, reference: str, original_id: str | None) -> tuple[bytes, str]:
        """The same claim with frequency 8 and the payer's claim number."""
        return orjson.dumps(void_document(orjson.loads(live), reference=reference, original_id=original_id)), _MEDIA_TYPE

    async def submit(self, submission: Submission) -> Acknowledgement:
        """Upload once. The answer counts only for a claim that it names."""
        try:
            response = await self._api.upload(submission.body, file_name(submission.body))
        except OutcomeUnknown:
            return Acknowledgement(disposition=Disposition.IN_DOUBT, native_code="lost-answer")
        return _acknowledged(response, _remote_id(submission))

    async def find(self, submission: Submission) -> Acknowledgement | None:
        """What the feed says of this very revision; None when it has said nothing. Raises PeerError."""
        await self._read_feed()
        known = self._known.get(_remote_id(submission), {}).values()
        newest = max(known, key=lambda one: one.accepted, default=None)
        return None if newest is None else _of_row(newest.row)

    async def list_references(self, service_dates: tuple[str, str]) -> dict[str, tuple[int, int]] | None:
        """The claims of each reference that stand, of those service dates: reference -> (units, cents), the sums of several."""
        await self._read_feed()
        days: dict[str, list[tuple[str, Document]]] = {}
        for remote_id, known in self._known.items():
            if (named := read_remote_id(remote_id)) is not None:
                days.setdefault(named[0], []).extend((named[1], one.row) for one in known.values() if one.accepted)
        first, last = service_dates
        standing = [(reference, row) for reference, claims in days.items() for row in still_standing(claims)]
        return summed(
            ((row.get("remote_claimid"), news.claimmd_id(row)), reference, _totals(row))
            for reference, row in standing
            if first <= str(row.get("fdos")) <= last
        )

    async def answers(self, cursor: Mapping[str, str]) -> AsyncIterator[AnswerPage]:
        """The feed since the cursor, then the remittances."""
        after = cursor.get(_RESPONSE, self._options.get("feed_from", "0"))
        era = cursor.get(_ERA, "0")
        async for page in self._api.feed(after):
            after = page.last_id
            found = (news.feed_answer(row) for row in page.claims)
            yield AnswerPage(answers=tuple(one for one in found if one), cursor={_RESPONSE: after, _ERA: era})
        if not INFO.yes(self._options, "remittances", default=True):
            return
        async for era_id, answers in self._remittances(era):
            yield AnswerPage(answers=answers, cursor={_RESPONSE: after, _ERA: era_id})

    async def check(self) -> list[str]:
        """Ask for the uploads of a day long gone: needs a connection and our key, changes nothing."""
        await self._api.ask("uploadlist", {"UploadDate": "2000-01-01"})
        return [f"Claim.MD at {self._api.origin} answers and takes our account key"]

    async def close(self) -> None:
        """Close the client."""
        await self._api.close()

    # ------------------------------------------------------------ reading

    async def _read_feed(self) -> None:
        """Read what is new. A claim keeps the place of its first word, so that the newest revision stands last."""
        async for page in self._api.feed(self._read_to):
            for row in page.claims:
                remote_id = row.get("remote_claimid")
                if read_remote_id(remote_id) is not None:
                    claims = self._known.setdefault(str(remote_id), {})
                    before = claims.get(news.claimmd_id(row))
                    whole = {**(before.row if before else {}), **{name: value for name, value in row.items() if value}}
                    claims[news.claimmd_id(row)] = _Standing(whole, news.status_of(row) != news.REJECTED)
            self._read_to = page.last_id

    async def _remittances(self, after: str) -> AsyncIterator[tuple[str, tuple[Answer, ...]]]:
        """Each remittance above an id, in order of their ids."""
        listed = await self._api.ask("eralist", {"ERAID": after})
        ids = sorted(int(str(row["eraid"])) for row in rows(listed, "era") if str(row.get("eraid") or "").isdecimal())
        for era_id in (one for one in ids if one > int(after)):
            data = await self._api.ask("eradata", {"eraid": str(era_id)})
            yield str(era_id), tuple(news.era_answers({"eraid": str(era_id), **data}))


# ---------------------------------------------------------------- answers to an upload


def _remote_id(submission: Submission) -> str:
    return str(orjson.loads(submission.body)["claim"][0]["remote_claimid"])


def _acknowledged(response: Response, remote_id: str) -> Acknowledgement:
    """200 with our claim in it: what it says. Busy: not taken. Everything else may have been taken."""
    answer = document(response)
    if response.status in _BUSY:
        code, wait = str(response.status), response.retry_after_seconds
        return Acknowledgement(disposition=Disposition.RETRY, native_code=code, retry_after_seconds=wait)
    named = [row for row in rows(answer, "claim") if row.get("remote_claimid") == remote_id]
    if response.status == 200 and len(named) == 1:
        return _of_row(named[0])
    code = error_of(answer) if "error" in answer else "mismatched-answer" if response.status == 200 else str(response.status)
    return Acknowledgement(disposition=Disposition.IN_DOUBT, native_code=code)


def _of_row(row: Document) -> Acknowledgement:
    """A claim's row, of an upload's answer or of the feed."""
    status, said = news.status_of(row), news.messages(row)
    if status == news.REJECTED:
        codes = ",".join(dict.fromkeys(code.code for code in said if code.code))
        text = "; ".join(code.text for code in said)
        return Acknowledgement(disposition=Disposition.REJECTED, native_code=codes or status, native_text=text)
    if not status:
        return Acknowledgement(disposition=Disposition.IN_DOUBT, native_code="no-status")
    return Acknowledgement(disposition=Disposition.ACCEPTED, destination_id=news.claimmd_id(row), native_code=status)


def _totals(row: Document) -> tuple[int, int]:
    """Units and cents of a row of the feed. Raises PeerUnavailable when it does not say them."""
    units = units_of_file(row.get("filename"))
    try:
        return int(units if units is not None else "none"), cents(str(row.get("total_charge")))
    except ValueError:
        raise PeerUnavailable("Claim.MD's feed has a claim of ours without its file name or total.") from None
