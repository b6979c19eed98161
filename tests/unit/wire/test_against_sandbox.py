"""The client against the sandbox EMR with its faults on: whatever the server does wrong, nothing is missing or doubled."""

from __future__ import annotations

import asyncio
from types import SimpleNamespace

import pytest
from ptbridge_sandbox.emr import SandboxEmr
from ptbridge_sandbox.faults import Fault
from ptbridge_sandbox.maker import clinic_day
from ptbridge_sandbox.smart import Authority, Client
from ptbridge_sandbox.store import Store

from ptbridge.errors import PeerRefused
from ptbridge.wire.fhir import FhirClient
from ptbridge.wire.http import HttpClient
from ptbridge.wire.smart_auth import authorizer_from, generate_private_key, jwks

KEY = generate_private_key("ES384")
SEARCH = [("_sort", "_lastUpdated")]


@pytest.fixture(scope="module")
def day() -> list[dict]:
    return list(clinic_day())


async def walk(emr: SandboxEmr, still, scopes: tuple[str, ...] = ("system/*.read",)) -> list[tuple[str, str]]:
    """Every entry of the search as (type, id), through private_key_jwt."""
    auth = SimpleNamespace(
        method="private_key_jwt", token_url=None, client_id="demo", algorithm="ES384", kid=None, scopes=scopes, audience=None
    )
    authorizer = authorizer_from(auth, base_url=emr.base_url, private_key=KEY, clock=still.seams)
    async with HttpClient(emr.base_url, authorizer=authorizer, clock=still.seams) as http:
        fhir = FhirClient(http, emr.base_url, page_size=15)
        pages = [page async for page in fhir.search("Procedure", SEARCH)]
    return [(entry.resource["resourceType"], entry.resource["id"]) for page in pages for entry in page.entries]


def emr_for(day: list[dict], **options) -> SandboxEmr:
    client = Client(id="demo", jwks=jwks(KEY))
    return SandboxEmr(Store(day), authority=Authority(clients=(client,), clock=options.pop("clock")), **options)


PASSING = [
    (Fault.TOO_MANY_REQUESTS, 2),
    (Fault.SERVER_ERROR, 3),
    (Fault.BAD_REQUEST_OUTAGE, 2),
    (Fault.HTML, 2),
    (Fault.OUTCOME_ENTRY, 3),
    (Fault.TRUNCATED, 3),
    (Fault.EMPTY_PAGE, 2),
    (Fault.REPEATED_NEXT, 2),
    (Fault.EXPIRED_NEXT, 1),
]


@pytest.mark.parametrize(("fault", "times"), PASSING, ids=[fault.value for fault, _ in PASSING])
@pytest.mark.parametrize("retry_after", [None, "1", "0", "tomorrow"])
def test_a_passing_fault_costs_time_and_nothing_else(
    day: list[dict], still, fault: Fault, times: int, retry_after: str | None
) -> None:
    async def run() -> None:
        async with emr_for(day, clock=still.seams.wall) as emr:
            clean = await walk(emr, still)
            assert len(clean) == len(set(clean)) == sum(resource["resourceType"] == "Procedure" for resource in day)
            emr.faults.retry_after = retry_after
            emr.faults.plan(fault, times)
            assert await walk(emr, still) == clean
            assert emr.faults.happened[fault] == times

    asyncio.run(run())


def test_a_foreign_next_link_ends_the_walk(day: list[dict], still) -> None:
    async def run() -> None:
        async with emr_for(day, clock=still.seams.wall) as emr:
            emr.faults.plan(Fault.FOREIGN_NEXT)
            with pytest.raises(PeerRefused, match=r"foreign\.invalid"):
                await walk(emr, still)

    asyncio.run(run())
