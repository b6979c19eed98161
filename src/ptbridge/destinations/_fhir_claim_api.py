"""The interactions with a FHIR server that fhir_claim needs: one change, one transaction, look-ups by our identifiers."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from urllib.parse import quote

from ptbridge.destinations._document import Document
from ptbridge.destinations._fhir_claim_bundle import Naming
from ptbridge.wire.fhir import Entry, FhirClient
from ptbridge.wire.http import HttpClient, Response

MEDIA_TYPE = "application/fhir+json"
_NAMES_A_SEARCH = 20  # of identifiers: the address stays well below 4,000 characters


class FhirClaimApi:
    """One server."""

    def __init__(self, http: HttpClient, naming: Naming) -> None:
        self.http, self.fhir, self.naming = http, FhirClient(http, http.base_url), naming

    async def create(self, claim: Document, body: bytes) -> Response:
        """One Claim, unless there is one of its name."""
        return await self._send("POST", "Claim", body, {"if-none-exist": self._named(claim)})

    async def update(self, claim: Document, body: bytes) -> Response:
        """The Claim of its name, made to be this."""
        return await self._send("PUT", f"Claim?{self._named(claim)}", body, {})

    async def transact(self, body: bytes) -> Response:
        """A transaction."""
        return await self._send("POST", "", body, {})

    async def _send(self, method: str, path: str, body: bytes, more: Mapping[str, str]) -> Response:
        headers = {"content-type": MEDIA_TYPE, "accept": MEDIA_TYPE, "prefer": "return=representation", **more}
        return await self.http.request(method, path, headers=headers, content=body, retry=False)

    def _named(self, resource: Document) -> str:
        return f"identifier={quote(self.naming.name(resource), safe='')}"

    # ------------------------------------------------------------ reading

    async def at(self, kind: str, id_: str) -> Document | None:
        """What stands at a place; None when nothing does. Raises PeerError."""
        found = await self.fhir.read(kind, id_)
        return found.resource if isinstance(found, Entry) else None

    async def standing(self, resources: Iterable[Document]) -> list[Document]:
        """What the server has under the names of these, whatever it is. Raises PeerError."""
        found: list[Document] = []
        names: dict[str, list[str]] = {}
        for one in resources:
            names.setdefault(one["resourceType"], []).append(self.naming.name(one))
        for kind, wanted in names.items():
            for start in range(0, len(wanted), _NAMES_A_SEARCH):
                found += await self.search(kind, [("identifier", ",".join(wanted[start : start + _NAMES_A_SEARCH]))])
        return found

    async def search(self, kind: str, params: Sequence[tuple[str, str]]) -> list[Document]:
        """All resources of a kind that fit. Raises PeerError."""
        pages = [page async for page in self.fhir.search(kind, params)]
        every = [entry.resource for page in pages for entry in page.entries]
        return [one for one in every if one.get("resourceType") == kind]
