"""Search results as pages: a snapshot of what was found, opaque next links, and the faults that pages have."""

from __future__ import annotations

import base64
import secrets
from collections import OrderedDict
from typing import Any

import orjson

from .charting import instant
from .faults import Fault, Faults
from .search import Parameters, SearchRefused
from .shelf import Entry
from .store import Store

_KEPT_SEARCHES = 512
"""Older searches are forgotten: their next links are then expired, as on real servers."""


class Pages:
    """Cuts what searches found into pages. `base_url` is set once the server knows its port."""

    def __init__(self, store: Store, faults: Faults, *, page_size: int, largest_page: int, totals: bool) -> None:
        self.base_url = ""
        self._store, self._faults = store, faults
        self._page_size, self._largest, self._totals = page_size, largest_page, totals
        self._searches: OrderedDict[str, tuple[list[Entry], int, bool]] = OrderedDict()

    def first(self, type_: str, parameters: Parameters, found: list[Entry], url: str) -> bytes:
        """The first page. Raises SearchRefused for a `_count` that is no number."""
        asked = dict(parameters)
        if asked.get("_summary") == "count" or asked.get("_count") == "0":
            return self._bundle(b"", len(found), url, None)
        size = self._size(asked.get("_count"))
        search_id = secrets.token_urlsafe(9)
        total = self._totals or asked.get("_total") == "accurate"
        if len(found) > size:
            self._searches[search_id] = (found, size, total)
            if len(self._searches) > _KEPT_SEARCHES:
                self._searches.popitem(last=False)
        return self._page(search_id, found, size, 0, total=total, url=url)

    def following(self, token: str) -> bytes | None:
        """The page that a next link names; None when the server no longer knows it."""
        search_id, _, offset = _unseal(token).partition(":")
        if search_id not in self._searches or not offset.isdigit():
            return None
        found, size, total = self._searches[search_id]
        self._searches.move_to_end(search_id)
        return self._page(search_id, found, size, int(offset), total=total, url=f"{self.base_url}?_getpages={token}")

    def forget(self) -> None:
        """Expire every next link given out so far."""
        self._searches.clear()

    def _size(self, asked: str | None) -> int:
        if asked is None:
            return self._page_size
        if not asked.isdigit():
            raise SearchRefused(f"_count: {asked!r} is no number.", code="invalid")
        return min(int(asked), self._largest)

    def _page(self, search_id: str, found: list[Entry], size: int, offset: int, *, total: bool, url: str) -> bytes:
        end = offset + size
        following = end if end < len(found) else None
        fault = None
        if following is not None:
            fault = self._faults.strikes(Fault.EMPTY_PAGE, Fault.REPEATED_NEXT, Fault.FOREIGN_NEXT)
        if fault is Fault.EMPTY_PAGE:
            end, following = offset, offset
        entries = [self._entry(entry) for entry in found[offset:end] if not entry.gone and not entry.hidden]
        if self._faults.strikes(Fault.OUTCOME_ENTRY):
            entries.append(_OUTCOME_ENTRY)
        next_url = None if following is None else f"{self.base_url}?_getpages={_seal(search_id, following)}"
        if next_url is not None and fault is Fault.REPEATED_NEXT:
            next_url = url
        elif next_url is not None and fault is Fault.FOREIGN_NEXT:
            next_url = self._faults.foreign_origin + "/fhir" + next_url.removeprefix(self.base_url)
        return self._bundle(b",".join(entries), len(found) if total else None, url, next_url)

    def _entry(self, entry: Entry) -> bytes:
        url = orjson.dumps(f"{self.base_url}/{entry.type}/{entry.id}")
        return b'{"fullUrl":' + url + b',"resource":' + self._store.body(entry) + b',"search":{"mode":"match"}}'

    def _bundle(self, entries: bytes, total: int | None, url: str, next_url: str | None) -> bytes:
        links = [{"relation": "self", "url": url}]
        if next_url is not None:
            links.append({"relation": "next", "url": next_url})
        head: dict[str, Any] = {
            "resourceType": "Bundle",
            "meta": {"lastUpdated": instant(self._store.now())},
            "type": "searchset",
            "link": links,
        }
        if total is not None:
            head["total"] = total
        shell = orjson.dumps(head)
        # FHIR JSON has no empty arrays: a page without entries has no `entry`.
        return shell if not entries else shell[:-1] + b',"entry":[' + entries + b"]}"


def outcome(severity: str, code: str, text: str) -> dict[str, Any]:
    """An OperationOutcome with one issue."""
    return {"resourceType": "OperationOutcome", "issue": [{"severity": severity, "code": code, "diagnostics": text}]}


_OUTCOME_ENTRY = orjson.dumps(
    {"resource": outcome("warning", "suppressed", "Some data was withheld."), "search": {"mode": "outcome"}}
)


def _seal(search_id: str, offset: int) -> str:
    """An opaque token: clients must follow it, not read it."""
    return base64.urlsafe_b64encode(f"{search_id}:{offset}".encode()).decode().rstrip("=")


def _unseal(token: str) -> str:
    try:
        return base64.urlsafe_b64decode(token + "=" * (-len(token) % 4)).decode()
    except ValueError:
        return ""
