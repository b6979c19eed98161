"""What a FHIR server's answer to a change means, and whether what stands there is what was sent. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from ptbridge.destinations import _fhir_claim_items as items
from ptbridge.destinations._document import Document
from ptbridge.destinations._fhir_claim_document import totals
from ptbridge.destinations._fhir_claim_parts import identified, own_system, read
from ptbridge.model import Acknowledgement, Disposition
from ptbridge.wire.http import Response

BUSY = frozenset({408, 425, 429, 503})
_DEAD = frozenset({"cancelled", "entered-in-error"})
_TEXTS = {
    "reference-exists": "the server has another Claim or ChargeItem under our identifier",
    "totals-differ": "what stands at the server under our identifier says another day, code, number of units or amount",
    "multiple-matches": "the server has several resources under one identifier of ours",
    items.BILLED: "the biller has billed a ChargeItem of this day; agree with them on the correction",
    "not-billable": "a person at the biller has set a ChargeItem of this day as not billable; agree with them first",
    "aborted": "a person at the biller has stopped a ChargeItem of this day; agree with them first",
}


def rejected(code: str) -> Acknowledgement:
    """A person decides."""
    return Acknowledgement(disposition=Disposition.REJECTED, native_code=code, native_text=_TEXTS[code])


def in_doubt(code: str, text: str = "") -> Acknowledgement:
    """It may have been taken, whole or in part."""
    return Acknowledgement(disposition=Disposition.IN_DOUBT, native_code=code, native_text=text)


def accepted(id_: str | None, status: str) -> Acknowledgement:
    """All of it stands there as it was sent."""
    return Acknowledgement(disposition=Disposition.ACCEPTED, destination_id=id_, native_code=status)


def turned_away(response: Response) -> Acknowledgement:
    """An answer without what we sent. Busy: not taken. Other 4xx with issues, a 412 for two matches too: rejected."""
    if response.status in BUSY:
        code, wait = str(response.status), response.retry_after_seconds
        return Acknowledgement(disposition=Disposition.RETRY, native_code=code, retry_after_seconds=wait)
    issues = [row for row in object_of(response).get("issue") or [] if isinstance(row, dict)]
    if 400 <= response.status < 500 and issues:
        return refused(issues)
    return in_doubt(str(response.status))


def refused(issues: Iterable[Mapping[str, Any]]) -> Acknowledgement:
    """The server's own codes and words."""
    rows = list(issues)
    codes = ",".join(dict.fromkeys(str(row.get("code") or "unknown") for row in rows))
    return Acknowledgement(disposition=Disposition.REJECTED, native_code=codes, native_text=words(rows))


def words(issues: Iterable[Mapping[str, Any]]) -> str:
    """The server's words for a person; `diagnostics`, which may quote the whole resource, are left out."""
    return "; ".join(str(row["details"]["text"]) for row in issues if (row.get("details") or {}).get("text"))


def object_of(response: Response) -> Document:
    """The resource in an answer; empty where there is none."""
    try:
        return read(response.content)
    except ValueError:
        return {}


# ---------------------------------------------------------------- what stands there


def difference(there: Document, sent: Document, system: str) -> str:
    """Why what stands there is not what was sent, as a code; empty when it is.

    `mismatched-answer` is another resource than ours, `reference-exists` ours with another content. A ChargeItem that was
    billed since is what was sent, and further on its way.
    """
    own = own_system(sent, system)
    ours, theirs = identified(sent, own), identified(there, own)
    if theirs != ours:
        return "reference-exists" if theirs[0] == ours[0] else "mismatched-answer"
    if sent["resourceType"] == "Claim":
        return "" if totals(there) == totals(sent) else "totals-differ"
    if items.held(there) != items.held(sent):
        return "totals-differ"
    status = str(there.get("status") or "")
    if status == sent["status"] or (status == items.BILLED and sent["status"] == items.BILLABLE):
        return ""
    return status if status in items.SET_ASIDE else "totals-differ"


def is_dead(there: Mapping[str, Any]) -> bool:
    """It was taken back: another content of ours may come in its place."""
    return there.get("status") in _DEAD


def in_the_way(charge_items: Iterable[Mapping[str, Any]], *, withdraw: bool) -> str:
    """The status of a ChargeItem that the biller has gone on with, so that a correction must not overwrite it; else empty."""
    stops = {items.BILLED} if withdraw else {items.BILLED, *items.SET_ASIDE}
    found = (str(one.get("status") or "") for one in charge_items)
    return next((status for status in found if status in stops), "")
