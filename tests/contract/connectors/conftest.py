"""A small FHIR server on loopback: strict (an undeclared search parameter is refused), with its own clock and knobs."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from datetime import UTC, date, datetime, timedelta
from types import ModuleType
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from aiohttp import web

from ptbridge.plugins import connector
from ptbridge.sdk import FhirClient, Pulled, SourceClient
from ptbridge.wire.http import HttpClient
from ptbridge.wire.pacing import RetryPolicy

ZONE = ZoneInfo("America/Chicago")
EVENING = datetime(2026, 11, 20, 23, 30, tzinfo=ZONE)  # already the next day in UTC
CPT = "http://www.ama-assn.org/go/cpt"

US_CORE = {
    "Encounter": {"_id", "patient", "date", "_lastUpdated"},
    "Procedure": {"patient", "date"},
    "Condition": {"patient"},
    "DocumentReference": {"_id", "patient"},
    "Coverage": {"patient"},
    "Patient": {"_id", "identifier"},
    "Practitioner": {"_id", "identifier"},
    "PractitionerRole": {"_id"},
    "Location": {"_id", "identifier"},
    "Organization": {"_id"},
    "Group": {"_id"},
}
FULL = {name: words | {"_id", "_lastUpdated"} for name, words in US_CORE.items()} | {
    "Encounter": {"_id", "patient", "date", "_lastUpdated", "appointment", "identifier"},
    "Procedure": {"_id", "patient", "date", "_lastUpdated", "encounter"},
    "Condition": {"_id", "patient", "_lastUpdated", "encounter"},
    "DocumentReference": {"_id", "patient", "date", "_lastUpdated", "encounter"},
    "ChargeItem": {"_id", "patient", "context", "occurrence", "_lastUpdated"},
    "Appointment": {"_id", "location", "practitioner", "date"},
}

# Where each search parameter looks; the server knows no other.
REFERENCES = {
    "patient": ("subject", "beneficiary"),
    "encounter": ("encounter", "context.encounter"),
    "context": ("context",),
    "appointment": ("appointment",),
    "location": ("participant.actor",),
    "practitioner": ("participant.actor",),
}
DATES = {
    "date": ("period.start", "performedPeriod.start", "performedDateTime", "date", "start"),
    "occurrence": ("occurrenceDateTime",),
}


class FhirServer:
    """Its store, its clock and its knobs. `asked` lists each request as (type, parameters)."""

    def __init__(self, params: dict[str, set[str]] | None = None, page_size: int = 100) -> None:
        self.params = params if params is not None else FULL
        self.page_size = page_size
        self.now = datetime(2026, 11, 21, 5, 0, tzinfo=UTC)
        self.tells_time = True
        self.store: dict[tuple[str, str], bytes] = {}
        self.updated: dict[tuple[str, str], datetime] = {}
        self.deleted: set[tuple[str, str]] = set()
        self.extra: dict[str, list[bytes]] = {}  # given with every first page of a search of that type
        self.repeat = False  # every page starts with the last entry of the page before
        self.asked: list[tuple[str, dict[str, list[str]]]] = []
        self.refuse: Callable[[str, dict[str, list[str]]], bool] = lambda kind, query: False
        self.base_url = ""

    # ------------------------------------------------------------ what a test does

    def put(self, resource: dict[str, Any], *, at: datetime | None = None, stamp: bool = True) -> bytes:
        """Store a resource, in bytes that no JSON library would write again the same way."""
        key = (resource["resourceType"], resource["id"])
        self.updated[key] = at or self.now
        meta = {"meta": {"versionId": str(hash(str(resource)) % 9999), "lastUpdated": self.updated[key].isoformat()}}
        text = json.dumps({**resource, **(meta if stamp else {})}, indent=1).replace('": "', '"  :  "')
        self.store[key] = text.encode()
        self.deleted.discard(key)
        return self.store[key]

    def delete(self, kind: str, identity: str) -> None:
        del self.store[kind, identity]
        self.deleted.add((kind, identity))

    def searches(self, kind: str) -> list[dict[str, list[str]]]:
        return [query for asked, query in self.asked if asked == kind and "page" not in query]

    # ------------------------------------------------------------ what it answers

    @asynccontextmanager
    async def running(self) -> AsyncIterator[FhirServer]:
        app = web.Application()
        app.router.add_get("/fhir/metadata", self._metadata)
        app.router.add_get("/fhir/{kind}", self._search)
        app.router.add_get("/fhir/{kind}/{id}", self._read)
        runner = web.AppRunner(app, access_log=None)
        await runner.setup()
        site = web.TCPSite(runner, "127.0.0.1", 0)
        await site.start()
        port = site._server.sockets[0].getsockname()[1]  # type: ignore[union-attr]
        self.base_url = f"http://127.0.0.1:{port}/fhir"
        try:
            yield self
        finally:
            await runner.cleanup()

    async def _metadata(self, request: web.Request) -> web.Response:
        resources = [
            {"type": kind, "searchParam": [{"name": name} for name in sorted(names)]} for kind, names in self.params.items()
        ]
        statement = {"resourceType": "CapabilityStatement", "software": {"name": "Tiny"}, "rest": [{"resource": resources}]}
        return web.json_response(statement)

    async def _read(self, request: web.Request) -> web.Response:
        key = (request.match_info["kind"], request.match_info["id"])
        self.asked.append((f"{key[0]}/", {"id": [key[1]]}))
        if key in self.deleted:
            return web.json_response({"resourceType": "OperationOutcome"}, status=410)
        if key not in self.store:
            return web.json_response({"resourceType": "OperationOutcome"}, status=404)
        return web.Response(body=self.store[key], content_type="application/fhir+json")

    async def _search(self, request: web.Request) -> web.Response:
        kind = request.match_info["kind"]
        query: dict[str, list[str]] = {}
        for name, value in request.query.items():
            query.setdefault(name, []).append(value)
        self.asked.append((kind, query))
        unknown = [name for name in query if name not in {*self.params.get(kind, ()), "_sort", "_count", "page"}]
        if unknown or kind not in self.params or self.refuse(kind, query):
            issue = {"severity": "error", "code": "not-supported", "expression": unknown or [kind]}
            return web.json_response({"resourceType": "OperationOutcome", "issue": [issue]}, status=400)
        return web.Response(body=self._page(kind, query), content_type="application/fhir+json", headers=self._headers())

    def _headers(self) -> dict[str, str]:
        return {"Date": self.now.strftime("%a, %d %b %Y %H:%M:%S GMT") if self.tells_time else "never"}

    def _page(self, kind: str, query: dict[str, list[str]]) -> bytes:
        found = sorted(key for key in self.store if key[0] == kind and self._matches(key, query))
        if query.get("_sort") == ["_lastUpdated"]:
            found.sort(key=lambda key: self.updated[key])
        start = int(query.get("page", ["0"])[0])
        size = min(int(query["_count"][0]), self.page_size)
        shown = found[max(0, start - self.repeat) : start + size]
        bodies = [self.store[key] for key in shown] + (self.extra.get(kind, []) if start == 0 else [])
        entries = b",".join(b'{"resource": ' + body + b"}" for body in bodies)
        head: dict[str, Any] = {"resourceType": "Bundle", "type": "searchset", "link": []}
        if start + size < len(found):
            rest = "&".join(f"{name}={value}" for name, values in query.items() if name != "page" for value in values)
            head["link"] = [{"relation": "next", "url": f"{self.base_url}/{kind}?{rest}&page={start + size}"}]
        return json.dumps(head)[:-1].encode() + b', "entry": [' + entries + b"]}"

    def _matches(self, key: tuple[str, str], query: dict[str, list[str]]) -> bool:
        resource = json.loads(self.store[key])
        return all(
            self._fits(key, resource, name, value)
            for name, values in query.items()
            for value in values
            if not (name.startswith("_") and name not in ("_id", "_lastUpdated")) and name != "page"
        )

    def _fits(self, key: tuple[str, str], resource: dict[str, Any], name: str, value: str) -> bool:
        if name == "_id":
            return key[1] in value.split(",")
        if name == "identifier":
            return value in {f"{one.get('system', '')}|{one.get('value')}" for one in resource.get("identifier", ())}
        if name == "_lastUpdated":
            assert value.startswith("ge")
            return self.updated[key] >= datetime.fromisoformat(value[2:])
        if name in REFERENCES:
            wanted = {one.rpartition("/")[2] for one in value.split(",")}
            references = {
                str(one.get("reference", "")).rpartition("/")[2] for path in REFERENCES[name] for one in at(resource, path)
            }
            return bool(wanted & references)
        if name == "category":
            return value in at(resource, "category")
        days = [one[:10] for path in DATES[name] for one in at(resource, path) if len(one) >= 10]
        return bool(days) and (days[0] >= value[2:12] if value.startswith("ge") else days[0] <= value[2:12])


def at(resource: Any, path: str) -> list[Any]:
    values = [resource]
    for name in path.split("."):
        values = [child for one in values if isinstance(one, dict) and (child := one.get(name)) is not None]
        values = [one for value in values for one in (value if isinstance(value, list) else [value])]
    return values


# ---------------------------------------------------------------- a clinic


def visit(server: FhirServer, number: int, *, patient: str = "pat-1", day: str = "2026-11-20", linked: bool = True) -> str:
    """One visit with a note, a diagnosis and two procedures; returns the Encounter's id."""
    identity = f"enc-{number}"
    start = f"{day}T18:30:00-06:00"
    subject = {"subject": {"reference": f"Patient/{patient}"}}
    encounter = {"encounter": {"reference": f"Encounter/{identity}"}} if linked else {}
    server.put({"resourceType": "Patient", "id": patient})
    server.put({"resourceType": "Practitioner", "id": "prac-1", "identifier": [{"system": "npi", "value": "1"}]})
    server.put({"resourceType": "Location", "id": "loc-1"})
    server.put({"resourceType": "Coverage", "id": f"cov-{patient}", "beneficiary": {"reference": f"Patient/{patient}"}})
    server.put({"resourceType": "Condition", "id": f"con-{number}", **subject, **encounter})
    server.put(
        {
            "resourceType": "Encounter",
            "id": identity,
            "status": "finished",
            **subject,
            "period": {"start": start},
            "participant": [{"individual": {"reference": "Practitioner/prac-1"}}],
            "location": [{"location": {"reference": "Location/loc-1"}}],
            "diagnosis": [{"condition": {"reference": f"Condition/con-{number}"}}],
        }
    )
    for line in (1, 2):
        procedure(server, f"proc-{number}-{line}", patient, start, **encounter)
    note = {"resourceType": "DocumentReference", "id": f"note-{number}", "docStatus": "final", "date": start, **subject}
    server.put({**note, "context": {"encounter": [{"reference": f"Encounter/{identity}"}]}} if linked else note)
    return identity


def procedure(server: FhirServer, identity: str, patient: str, start: str | None, **more: Any) -> bytes:
    resource = {
        "resourceType": "Procedure",
        "id": identity,
        "status": "completed",
        "code": {"coding": [{"system": CPT, "code": "97110"}]},
        "subject": {"reference": f"Patient/{patient}"},
        "performer": [{"actor": {"reference": "Practitioner/prac-1"}}],
    }
    when = {"performedPeriod": {"start": start}} if start else {}
    return server.put({**resource, **when, **more})


# ---------------------------------------------------------------- running a connector

Pull = Callable[..., Awaitable[list[Pulled]]]


def source(server: FhirServer, http: HttpClient, options: dict[str, Any] | None = None, **more: Any) -> SourceClient:
    settings: dict[str, Any] = {"clinic": "acme", "source": "emr", "time_zone": ZONE, "clock": lambda: EVENING, **more}
    return SourceClient(fhir=FhirClient(http, server.base_url), options=options or {}, **settings)


async def pull_all(module: ModuleType, client: SourceClient, cursor: dict[str, str] | None = None) -> list[Pulled]:
    """Every batch; holds the connector to where a cursor may stand."""
    pulled = [one async for one in module.pull(client, cursor or {})]
    assert [one.cursor is not None for one in pulled] == [False] * (len(pulled) - 1) + [True]
    return pulled


@asynccontextmanager
async def http_to(server: FhirServer) -> AsyncIterator[HttpClient]:
    async with HttpClient(server.base_url, retry=RetryPolicy(attempts=1)) as http:
        yield http


class Bench:
    """One connector against one server: `pull` and `check` from a test that is not async."""

    def __init__(self, module: ModuleType) -> None:
        self.module = module
        self.server = FhirServer()
        self.cursor: dict[str, str] = {}

    def pull(self, options: dict[str, Any] | None = None, **more: Any) -> list[Pulled]:
        """Pull from where the last pull ended; the cursor moves only when the pull ends well."""

        async def run() -> list[Pulled]:
            async with self.server.running(), http_to(self.server) as http:
                return await pull_all(self.module, source(self.server, http, options, **more), self.cursor)

        self.server.asked.clear()
        pulled = asyncio.run(run())
        self.cursor = dict(pulled[-1].cursor or {})
        return pulled

    def check(self, options: dict[str, Any] | None = None) -> list[str]:
        async def run() -> list[str]:
            async with self.server.running(), http_to(self.server) as http:
                return list(await self.module.check(source(self.server, http, options)))

        return asyncio.run(run())

    def settle(self) -> None:
        """A first pull, half an hour after the last change: nothing of it lies in the next poll's overlap."""
        self.later(minutes=30)
        self.pull()

    def later(self, **delta: float) -> None:
        self.server.now += timedelta(**delta)


@pytest.fixture
def bench() -> Bench:
    """The generic connector against a full server."""
    return Bench(connector("fhir_r4"))


@pytest.fixture
def us_core(bench: Bench) -> Bench:
    """The generic connector against the US Core floor."""
    bench.server.params = US_CORE
    return bench


@pytest.fixture
def tools() -> Any:
    """Makers of visits and readers of what was pulled, for tests (this folder is no package)."""

    class Tools:
        FULL, US_CORE, FhirServer, Bench, ZONE, EVENING = FULL, US_CORE, FhirServer, Bench, ZONE, EVENING
        visit = staticmethod(visit)
        procedure = staticmethod(procedure)

        @staticmethod
        def keys(pulled: list[Pulled]) -> list[str]:
            return [record.record_key for one in pulled for record in one.records]

        @staticmethod
        def contents(pulled: list[Pulled], key: str) -> list[str]:
            record = [record for one in pulled for record in one.records if record.record_key == key][-1]
            return [f"{one['resource']['resourceType']}/{one['resource']['id']}" for one in json.loads(record.payload)["entry"]]

        @staticmethod
        def unreadable(pulled: list[Pulled]) -> dict[str, str]:
            return {record.record_key: reason for one in pulled for record, reason in one.unreadable}

        @staticmethod
        def day(text: str) -> date:
            return date.fromisoformat(text)

    return Tools
