"""FHIR R4 over HTTP: search with paging, read, capability. Resources keep their bytes exactly as received.

A fault never looks like "no encounters": a page is either read whole or an exception is raised.
"""

from __future__ import annotations

import re
from collections.abc import AsyncIterator, Callable, Sequence
from datetime import UTC, datetime
from functools import partial
from typing import Any, TypeVar
from urllib.parse import quote

from ptbridge.errors import PeerRefused, PeerUnavailable
from ptbridge.wire.answers import Response
from ptbridge.wire.egress import shown_url
from ptbridge.wire.fhir_bundle import Entry, Gone, Page, UnreadableBody, parse_resource, split_bundle, unseen
from ptbridge.wire.fhir_outcome import is_poisoned, is_transient, is_verdict, issues_in, issues_of, shown
from ptbridge.wire.http import HttpClient
from ptbridge.wire.pacing import http_date_seconds

__all__ = ["Entry", "FhirClient", "Gone", "Page"]

Params = Sequence[tuple[str, str]]
T = TypeVar("T")

_ACCEPT = {"accept": "application/fhir+json, application/json;q=0.9"}
# HAPI answers a repeated search from a result list up to a minute old unless told not to.
_FRESH = {**_ACCEPT, "cache-control": "no-cache"}
_EXPIRED = frozenset({400, 404, 410})
_LOGICAL_ID = re.compile(r"[A-Za-z0-9.-]{1,64}")  # FHIR R4 datatype `id`


class _LinkExpired(Exception):
    """A `next` link that the server no longer knows."""


class FhirClient:
    """Reads one FHIR endpoint. `base_url` is the endpoint (`https://host/fhir/r4`), on the origin of `http`.

    `page_size` is asked for with `_count`; the server may give less or more. `max_pages` bounds one search.
    """

    def __init__(self, http: HttpClient, base_url: str, page_size: int = 100, *, max_pages: int = 100_000) -> None:
        self.http = http
        self.base_url = base_url.rstrip("/")
        self.page_size = page_size
        self.max_pages = max_pages

    async def capability(self) -> dict[str, Any]:
        """The server's CapabilityStatement. Raises PeerRefused, PeerUnavailable."""
        found = await self._get(f"{self.base_url}/metadata")
        if not isinstance(found, Entry) or found.resource["resourceType"] not in {"CapabilityStatement", "Conformance"}:
            raise PeerRefused(
                f"{self.base_url}/metadata: no CapabilityStatement. Check base_url: it must be the FHIR endpoint."
            )
        return found.resource

    async def read(self, resource_type: str, id: str) -> Entry | Gone | None:
        """One resource: the Entry, Gone when the server says it was deleted (410), None when it knows none (404).

        The Entry may be of another type than asked; the caller looks. Raises PeerRefused, PeerUnavailable.
        """
        if id in {"", ".", ".."}:  # from a reference in a record; would name another path
            return None
        found = await self._get(f"{self.base_url}/{quote(resource_type, safe='')}/{quote(id, safe='')}", id)
        return Gone(resource_type, id) if isinstance(found, Gone) else found

    async def _get(self, url: str, id: str = "metadata") -> Entry | Gone | None:
        async def attempt() -> Entry | Gone | None:
            response = await self.http.exchange("GET", url, headers=_ACCEPT)
            if response.status == 410:
                return Gone("", "")
            if response.status == 404 or (response.status == 400 and not _LOGICAL_ID.fullmatch(id)):
                return None
            entry = _body(response, parse_resource)
            _refuse_outcome(response, entry)
            return entry

        return await self.http.retrying(attempt)

    async def search(self, resource_type: str, params: Params) -> AsyncIterator[Page]:
        """All pages of a search, in the server's order, each entry once (by type, id and version, else by its bytes).

        An expired `next` link restarts the search once from its beginning; what was already given is not given again.
        Pages may be empty; the walk goes on while there is a `next`.
        Raises PeerUnavailable (outage, loop of pages, links that keep expiring) and PeerRefused (a search that this server
        does not know, a link to another origin).
        """
        asked = [*params] if any(name == "_count" for name, _ in params) else [*params, ("_count", str(self.page_size))]
        start = self.http.absolute(f"{self.base_url}/{resource_type}", asked)
        names = frozenset(name.partition(":")[0] for name, _ in asked)
        seen: set[str] = set()
        for last_try in (False, True):
            try:
                async for page in self._walk(start, names):
                    yield Page(unseen(page.entries, seen), page.server_time, page.warnings, page.url, page.next_url)
                return
            except _LinkExpired:
                if last_try:
                    raise PeerUnavailable(f"GET {shown_url(start)}: its next links expire before they are followed.") from None

    async def _walk(self, start: str, names: frozenset[str]) -> AsyncIterator[Page]:
        """Pages from `start` along the `next` links, each link followed word for word and once."""
        visited: set[str] = set()
        url: str | None = start
        while url:
            if len(visited) >= self.max_pages:
                raise PeerUnavailable(f"GET {shown_url(start)}: more than {self.max_pages} pages. Ask for a smaller window.")
            is_next = bool(visited)
            visited.add(url)
            page = await self.http.retrying(partial(self._page, url, names, visited, is_next=is_next))
            yield page
            url = page.next_url

    async def _page(self, url: str, names: frozenset[str], visited: set[str], *, is_next: bool) -> Page:
        """One page, one attempt. Raises _LinkExpired, PeerUnavailable (worth another attempt), PeerRefused.

        A page that links to itself or an earlier one is read again like any passing fault; if it insists, it is a loop.
        """
        response = await self.http.exchange("GET", url, headers=_ACCEPT if is_next else _FRESH)
        if is_next and response.status in _EXPIRED:
            raise _LinkExpired
        bundle = _body(response, split_bundle, names)
        if bundle is None:
            _refuse_outcome(response, _body(response, parse_resource))
            raise PeerUnavailable(f"{_where(response)}: JSON that is no Bundle.", status=response.status)
        onward = self.http.egress.resolve(response.url, bundle.next_link).url if bundle.next_link else None
        if onward in visited:
            raise PeerUnavailable(f"{_where(response)}: paging loop; page {len(visited)} links to itself or an earlier one.")
        return Page(bundle.entries, bundle.last_updated or _server_date(response), bundle.warnings, response.url, onward)


def _where(response: Response) -> str:
    return f"GET {shown_url(response.url)}: HTTP {response.status}"


def _body(response: Response, parse: Callable[[bytes], T], names: frozenset[str] = frozenset()) -> T:
    """The body of a 2xx, parsed; any other answer raises: PeerUnavailable when asking again may help, else PeerRefused.

    `names` are the parameters that were asked with.
    """
    if not 200 <= response.status < 300:
        raise _error(response, names)
    if response.looks_like_html:
        raise PeerUnavailable(f"{_where(response)} with an HTML page where FHIR was asked.", status=response.status)
    try:
        return parse(response.content)
    except UnreadableBody as error:
        raise PeerUnavailable(f"{_where(response)}: {error}.", status=response.status) from None


def _error(response: Response, names: frozenset[str]) -> PeerRefused | PeerUnavailable:
    issues = issues_in(response.content)
    message = f"{_where(response)}{shown(issues)}."
    if is_poisoned(response.status, issues):
        return PeerRefused(
            f"{message} One stored record seems to be broken. Narrow the search to find it.", status=response.status
        )
    if response.is_outage or (response.status == 400 and not is_verdict(issues, names)):
        return PeerUnavailable(message, status=response.status, retry_after_seconds=response.retry_after_seconds)
    asked = f" Asked with {', '.join(sorted(names))}." if names else ""
    return PeerRefused(
        f"{message}{asked} The server does not take this request; see `ptbridge connector check`.", status=response.status
    )


def _refuse_outcome(response: Response, entry: Entry) -> None:
    """A 2xx whose whole body is an OperationOutcome is no answer: "no" when it holds an error, otherwise "later"."""
    if entry.resource.get("resourceType") != "OperationOutcome":
        return
    issues = issues_of(entry.resource)
    message = f"{_where(response)}, but the body is an OperationOutcome{shown(issues)}."
    if any(issue.is_error for issue in issues) and not is_transient(issues):
        raise PeerRefused(message, status=response.status)
    raise PeerUnavailable(message, status=response.status)


def _server_date(response: Response) -> str | None:
    """The Date header as an ISO 8601 instant."""
    seconds = http_date_seconds(response.header("date"))
    return None if seconds is None else datetime.fromtimestamp(seconds, UTC).isoformat().replace("+00:00", "Z")
