"""stedi: Stedi, a clearinghouse. One professional claim in JSON per treatment day; its 277CA and 835 reports say the rest.

A key holds for 24 hours: inside them a lost answer is settled by the same request again, after them only by looking for the
claim's patient control number, never by sending on the chance. A correction is a claim of its own that names the payer's
claim number; a claim that was turned away is gone and goes again as an original.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import AsyncIterator, Mapping
from datetime import UTC, date, datetime, timedelta

import orjson

from ptbridge.destinations import DestinationParts
from ptbridge.destinations import _stedi_answers as news
from ptbridge.destinations._claim_facts import gather, lacks
from ptbridge.destinations._document import Document
from ptbridge.destinations._listed import still_standing, summed
from ptbridge.destinations._stedi_api import StediApi, TokenRefused, Transaction, TransactionPage
from ptbridge.destinations._stedi_document import (
    ControlNumber,
    claim_document,
    day_name,
    stedi_lacks,
    void_document,
)
from ptbridge.errors import ConfigError, OutcomeUnknown, PeerUnavailable
from ptbridge.model import Acknowledgement, Answer, Disposition, Finding, PricedDay, Standing, Submission
from ptbridge.ports import CLAIM_STATES, AnswerPage, Capabilities, DestinationInfo
from ptbridge.specs.clinic import BillingProviderSpec, ClaimsSpec
from ptbridge.wire.http import Response

INFO = DestinationInfo(
    name="stedi",
    summary="Sends each treatment day as a claim in Stedi's JSON, and reads its 277CA and 835 reports.",
    needs=("base_url",),
    requests_per_second=50,  # of 100 for an account's claims
    options={
        "usage": "P: claims for payers; T: test claims, which no payer gets. Required, without a default",
        "core_url": "where Stedi lists transactions (default https://core.us.stedi.com/2023-08-01); it gets the same API key",
        "news_from": "the day from which reports are read at first, such as 2026-11-01 (default: 30 days before that look)",
        "find_lag_seconds": "how long after a claim was sent the list may still be silent about it (default 900)",
        "therapy_dates": "yes: lines say when the plan of care began and was last certified, where known (default no)",
    },
    required=("usage",),
    auth=("api_key",),
    address="https://healthcare.us.stedi.com/2024-04-01",
    states=(*CLAIM_STATES, "billing_provider.contact", "billing_provider.phone", "claims.signature_on_file"),
)

_MEDIA_TYPE = "application/json"
_KEY_SECONDS = 24 * 3600.0
_LAG_SECONDS = 900.0
_CORE = "https://core.us.stedi.com/2023-08-01"
_OVERLAP = timedelta(days=1)
_FIRST_LOOK = timedelta(days=30)
_KINDS = ("277", "835")
_TOKEN, _SEEN = "page_token", "processed_at"


def build(parts: DestinationParts) -> Stedi:
    """A destination for one run (see `ptbridge.destinations`). Raises ConfigError for a missing base URL or a bad option."""
    http = parts.needed_http("https://healthcare.us.stedi.com/2024-04-01")
    INFO.refuse_unknown(parts.options)
    _check(parts.options)
    core = http.sibling(parts.options.get("core_url", _CORE))
    return Stedi(StediApi(http, core), parts.billing, parts.claims, parts.options)


def _check(options: Mapping[str, str]) -> None:
    if options.get("usage") not in ("T", "P"):
        needed = "is T (test claims) or P (claims for payers); there is no default."
        raise ConfigError(needed, where="destination.options.usage")
    INFO.yes(options, "therapy_dates")
    INFO.number(options, "find_lag_seconds", _LAG_SECONDS)
    try:
        date.fromisoformat(options.get("news_from", "2026-11-01"))
    except ValueError:
        text = options["news_from"]
        raise ConfigError(f"{text!r} is not a day. Write it as 2026-11-01.", where="destination.options.news_from") from None


class Stedi:
    """One account at Stedi. `close` closes its clients."""

    def __init__(self, api: StediApi, billing: BillingProviderSpec, claims: ClaimsSpec, options: Mapping[str, str]) -> None:
        self._api, self._billing, self._claims, self._options = api, billing, claims, options
        self._whole: dict[str, str] = {}  # what a control number tells of a reference -> the references that this run names

    @property
    def capabilities(self) -> Capabilities:
        """What Stedi can do, after the clinic's options."""
        return Capabilities(
            idempotency_seconds=_KEY_SECONDS,
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
        return [*lacks(facts), *stedi_lacks(facts)]

    def encode(self, priced: PricedDay, *, reference: str, frequency: str, original_id: str | None) -> tuple[bytes, str]:
        """The claim's JSON. `original_id` is the payer's claim number."""
        claim = claim_document(
            gather(priced, self._billing, self._claims),
            reference=reference,
            frequency=frequency,
            original_id=original_id,
            usage=self._options["usage"],
            therapy_dates=INFO.yes(self._options, "therapy_dates"),
        )
        return orjson.dumps(claim), _MEDIA_TYPE

    def encode_void(self, live: bytes, *, reference: str, original_id: str | None) -> tuple[bytes, str]:
        """The same claim with frequency 8 and the payer's claim number."""
        return orjson.dumps(void_document(orjson.loads(live), reference=reference, original_id=original_id)), _MEDIA_TYPE

    async def submit(self, submission: Submission) -> Acknowledgement:
        """Send once, under the submission's key. The answer counts only for the claim that it names."""
        self._whole[day_name(submission.reference)] = submission.reference
        try:
            response = await self._api.submit(submission.body, submission.key)
        except OutcomeUnknown:
            return Acknowledgement(disposition=Disposition.IN_DOUBT, native_code="lost-answer")
        return _acknowledged(response, _control(submission))

    async def find(self, submission: Submission) -> Acknowledgement | None:
        """What Stedi has under this very revision's control number; None when it has nothing. Raises PeerError."""
        control = _control(submission)
        found = [one async for page in self._api.listed({"businessIdentifier": control}) for one in page]
        words = await self._words([one for one in found if one.inbound and one.kind == "277"])
        turned_away = next((word for word in words if word.control == control and word.standing is Standing.REJECTED), None)
        if turned_away is not None:
            codes = ",".join(code.code for code in turned_away.answers[0].codes)
            text = turned_away.answers[0].text
            return Acknowledgement(disposition=Disposition.REJECTED, native_code=codes, native_text=text)
        if not any(one.kind == "837" or one.inbound for one in found):
            return None
        if all(one.status == "failed" for one in found):
            return Acknowledgement(disposition=Disposition.IN_DOUBT, native_code="transaction-failed")
        return Acknowledgement(disposition=Disposition.ACCEPTED, destination_id=control, native_code="found")

    async def list_references(self, service_dates: tuple[str, str]) -> dict[str, tuple[int, int]] | None:
        """The claims of each day that stand, by Stedi's own 277CA reports: reference -> (units, cents), the sums of several.

        A reference is whole where this run knows it, else as long as the control number tells it. Stedi may report on a claim
        more than once, so claims of one control number are counted by their own ids, less those that were turned away.
        """
        since = date.fromisoformat(service_dates[0]) - _OVERLAP  # a clinic's day may begin before UTC's
        words = [word async for page in self._listed("INBOUND", "277", since) for word in await self._words(page)]
        count = news.still_there(words, await self._made_since(since))
        days: dict[str, dict[str, tuple[ControlNumber, news.ClaimWord]]] = {}
        for word in reversed(words):  # oldest first
            named = ControlNumber.read(word.control)
            if named is not None and not word.by_payer and service_dates[0] <= word.service_date <= service_dates[1]:
                days.setdefault(named.day, {})[word.control] = (named, word)
        standing = (
            claim
            for found in days.values()
            for claim in still_standing((c[0].frequency, (*c, at)) for c in found.values() for at in range(count[c[1].control]))
        )
        return summed(
            ((word.control, at), self._whole.get(named.day, named.day), (named.units, _amount(word)))
            for named, word, at in standing
        )

    async def _made_since(self, since: date) -> Counter[str]:
        """How many 837s Stedi made of claims, by control number: one each, and what failed is none."""
        every = [one async for page in self._listed("OUTBOUND", "837", since) for one in page if one.status != "failed"]
        named = {one.id: one.identifiers for one in every}
        return Counter(control.strip().upper() for controls in named.values() for control in controls)

    def _listed(self, direction: str, kind: str, since: date) -> AsyncIterator[list[Transaction]]:
        wanted = {"direction": direction, "transactionSetIdentifier": kind, "from": f"{since}T00:00:00Z"}
        return self._api.listed(wanted)

    async def answers(self, cursor: Mapping[str, str]) -> AsyncIterator[AnswerPage]:
        """The 277CA and 835 reports since the cursor, oldest first. For a token that Stedi forgot, a day is read again."""
        token, seen = cursor.get(_TOKEN, ""), cursor.get(_SEEN, "")
        try:
            async for page in self._pages(token, seen):
                yield page
            return
        except TokenRefused:
            pass
        async for page in self._pages("", seen):
            yield page

    async def check(self) -> list[str]:
        """Ask for the transactions of a control number that nobody has: needs a connection and our key, changes nothing."""
        async for _ in self._api.listed({"businessIdentifier": "PTBRIDGE"}):
            break
        test = ["claims are marked as test claims (usage T)"] if self._options["usage"] == "T" else []
        return [f"Stedi at {self._api.origin} answers and takes our API key", *test]

    async def close(self) -> None:
        """Close the clients."""
        await self._api.close()

    # ------------------------------------------------------------ reading

    async def _pages(self, token: str, seen: str) -> AsyncIterator[AnswerPage]:
        async for page in self._api.polled(token, self._since(seen)):
            seen = max([seen, *(one.processed_at for one in page.items)])
            yield AnswerPage(answers=await self._told(page), cursor={_TOKEN: page.token, _SEEN: seen})

    async def _told(self, page: TransactionPage) -> tuple[Answer, ...]:
        """Every claim and line of ours in a page's reports. News of test claims says nothing of real ones."""
        testing = self._options["usage"] == "T"
        wanted = [one for one in page.items if one.inbound and one.kind in _KINDS and (testing or one.mode != "test")]
        found: list[Answer] = []
        for one, report in zip(wanted, await self._api.reports(wanted), strict=True):
            if not report.get("transactions"):
                found.append(news.unreadable(one.kind, one.id))
            elif one.kind == "277":
                found += [answer for word in news.words_277(report, one.id, one.processed_at) for answer in word.answers]
            else:
                found += news.answers_835(report, one.id, one.processed_at)
        return tuple(found)

    async def _words(self, transactions: list[Transaction]) -> list[news.ClaimWord]:
        reports = await self._api.reports(transactions)
        pairs = zip(transactions, reports, strict=True)
        return [word for one, report in pairs for word in news.words_277(report, one.id, one.processed_at)]

    def _since(self, seen: str) -> str:
        """Where a poll without a token begins: a day before what was seen last, else the clinic's choice."""
        try:
            return f"{(datetime.fromisoformat(seen) - _OVERLAP):%Y-%m-%dT%H:%M:%SZ}"
        except ValueError:
            first = self._options.get("news_from") or f"{datetime.now(UTC).date() - _FIRST_LOOK}"
            return f"{first}T00:00:00Z"


# ---------------------------------------------------------------- answers to a claim


def _control(submission: Submission) -> str:
    return str(orjson.loads(submission.body)["claimInformation"]["patientControlNumber"])


def _acknowledged(response: Response, control: str) -> Acknowledgement:
    """SUCCESS with our control number: taken. 429, and 409 while the same key is worked on: again later. Edits: rejected.

    Everything else, a 504 above all, may have been taken; the key settles it.
    """
    answer = response.json_object()
    if response.status in (409, 429):
        code, wait = str(response.status), response.retry_after_seconds
        return Acknowledgement(disposition=Disposition.RETRY, native_code=code, retry_after_seconds=wait)
    errors = [row for row in answer.get("errors") or [] if isinstance(row, dict)]
    if 400 <= response.status < 500 and errors:
        codes = ",".join(dict.fromkeys(str(row.get("code") or "unnamed") for row in errors))
        text = "; ".join(_edit(row) for row in errors)
        return Acknowledgement(disposition=Disposition.REJECTED, native_code=codes, native_text=text)
    if response.status == 422:
        return Acknowledgement(disposition=Disposition.IN_DOUBT, native_code="key-of-another-claim")
    if response.status in (400, 413, 415):
        text = str(answer.get("message") or answer.get("error") or "")
        return Acknowledgement(disposition=Disposition.REJECTED, native_code=str(response.status), native_text=text)
    reference = answer.get("claimReference")
    ours = isinstance(reference, dict) and reference.get("patientControlNumber") == control
    if response.status in (200, 201) and ours and answer.get("status") == "SUCCESS" and not errors:
        return Acknowledgement(disposition=Disposition.ACCEPTED, destination_id=control, native_code="SUCCESS")
    code = "mismatched-answer" if response.status in (200, 201) else str(response.status)
    return Acknowledgement(disposition=Disposition.IN_DOUBT, native_code=code)


def _edit(row: Document) -> str:
    """One edit in Stedi's words, without the value that it is about."""
    where = str(row.get("field") or row.get("location") or "")
    said = " ".join(str(row[name]) for name in ("description", "followupAction") if row.get(name))
    return f"{where}: {said}" if where else said


def _amount(word: news.ClaimWord) -> int:
    if word.amount_cents is None:
        raise PeerUnavailable("Stedi's 277CA of a claim of ours does not tell its amount.")
    return word.amount_cents
