"""Paging: every resource exactly once, whatever else happens meanwhile, and every fault of a page can be seen."""

from __future__ import annotations

import pytest
from ptbridge_sandbox.day import DAY, encounter_id
from ptbridge_sandbox.emr import SandboxEmr
from ptbridge_sandbox.faults import Fault, Faults
from ptbridge_sandbox.maker import Scale, clinic_day
from ptbridge_sandbox.store import Store

EVERYONE = [encounter_id(position) for position in range(len(DAY))]


@pytest.fixture
def store() -> Store:
    return Store(clinic_day())


@pytest.mark.parametrize("count", [1, 7, 33, 66, 67, 500])
def test_pages_hold_everything_exactly_once(talk, store: Store, count: int):
    async def conversation(http):
        pages = await http.walk(f"/Encounter?_sort=_lastUpdated&_count={count}")
        assert sorted(id_ for page in pages for id_ in page) == EVERYONE
        assert [len(page) for page in pages[:-1]] == [count] * (len(pages) - 1)

    talk(SandboxEmr(store), conversation)


def test_many_visits_by_many_pages(talk):
    store = Store()
    store.add_visits(Scale(2_000, days=30))

    async def conversation(http):
        pages = await http.walk("/Encounter?_lastUpdated=ge2020&_sort=_lastUpdated&_count=150")
        assert sorted(id_ for page in pages for id_ in page) == [f"v{number:07d}" for number in range(2_000)]

    talk(SandboxEmr(store), conversation)


def test_a_change_between_two_pages_moves_nothing(talk, store: Store):
    async def conversation(http):
        first = await http.get("/Encounter?_sort=_lastUpdated&_count=30")
        store.edit("Encounter", first.ids[0], lambda resource: None)
        rest = await http.walk(first.next_url)
        assert sorted(first.ids + [id_ for page in rest for id_ in page]) == EVERYONE

    talk(SandboxEmr(store), conversation)


def test_a_page_can_be_fetched_again(talk, store: Store):
    async def conversation(http):
        first = await http.get("/Encounter?_count=30")
        assert (await http.get(first.next_url)).ids == (await http.get(first.next_url)).ids

    talk(SandboxEmr(store), conversation)


def test_total_only_when_asked_and_count_is_capped(talk, store: Store):
    async def conversation(http):
        assert "total" not in (await http.get("/Encounter")).json
        assert (await http.get("/Encounter?_total=accurate")).json["total"] == len(DAY)
        assert len((await http.get("/Encounter?_count=5000")).ids) == 20
        assert "entry" not in (await http.get("/Encounter?_id=nobody")).json

    talk(SandboxEmr(store, largest_page=20), conversation)


def test_the_bundle_carries_the_servers_time(talk, store: Store):
    async def conversation(http):
        answer = await http.get("/Encounter")
        assert answer.json["meta"]["lastUpdated"].startswith(store.now().isoformat()[:13])
        assert answer.headers["Date"].endswith("GMT")

    talk(SandboxEmr(store), conversation)


def test_all_next_links_can_be_made_invalid(talk, store: Store):
    async def conversation(http):
        first = await http.get("/Encounter?_count=30")
        http.emr.expire_pages()
        assert (await http.get(first.next_url)).status == 410

    talk(SandboxEmr(store), conversation)


def test_a_search_by_post_finds_the_same(talk, store: Store):
    async def conversation(http):
        async with http.http.post(f"{http.emr.base_url}/Encounter/_search", data={"_id": "enc-0002,enc-0001"}) as response:
            posted = await response.read()
        assert posted.count(b'"fullUrl"') == 2
        assert list(http.emr.requests) == ["POST /fhir/Encounter/_search"]

    talk(SandboxEmr(store), conversation)


@pytest.mark.parametrize("token", ["", "x", "bm90LWhlcmU6NQ", "Ä"])
def test_a_token_that_the_server_does_not_know_has_expired(talk, store: Store, token: str):
    async def conversation(http):
        answer = await http.get(f"/?_getpages={token}".replace("/?", "?"))
        assert answer.status == 410 and answer.json["issue"][0]["code"] == "expired"

    talk(SandboxEmr(store), conversation)


class TestFaultsOfPages:
    def test_empty_page_with_next_loses_nothing(self, talk, store: Store):
        faults = Faults()
        faults.plan(Fault.EMPTY_PAGE, times=2)

        async def conversation(http):
            pages = await http.walk("/Encounter?_count=30")
            assert [len(page) for page in pages] == [0, 0, 30, 30, 6]
            assert sorted(id_ for page in pages for id_ in page) == EVERYONE

        talk(SandboxEmr(store, faults=faults), conversation)

    def test_repeated_next_names_the_page_itself(self, talk, store: Store):
        faults = Faults()

        async def conversation(http):
            second_url = (await http.get("/Encounter?_count=20")).next_url
            faults.plan(Fault.REPEATED_NEXT)
            assert (await http.get(second_url)).next_url == second_url
            assert (await http.get(second_url)).next_url != second_url

        talk(SandboxEmr(store, faults=faults), conversation)

    def test_foreign_next_leads_to_another_origin(self, talk, store: Store):
        faults = Faults(foreign_origin="http://thief.invalid")
        faults.plan(Fault.FOREIGN_NEXT)

        async def conversation(http):
            assert (await http.get("/Encounter?_count=20")).next_url.startswith("http://thief.invalid/fhir?")

        talk(SandboxEmr(store, faults=faults), conversation)

    def test_expired_next_waits_for_a_next_link(self, talk, store: Store):
        faults = Faults()
        faults.plan(Fault.EXPIRED_NEXT)

        async def conversation(http):
            first = await http.get("/Encounter?_count=20")
            assert first.status == 200
            assert (await http.get(first.next_url)).status == 410
            assert (await http.get(first.next_url)).status == 200

        talk(SandboxEmr(store, faults=faults), conversation)

    def test_a_warning_among_the_entries(self, talk, store: Store):
        faults = Faults()
        faults.plan(Fault.OUTCOME_ENTRY)

        async def conversation(http):
            answer = await http.get("/Encounter?_count=20")
            assert len(answer.ids) == 20
            assert answer.json["entry"][-1]["search"]["mode"] == "outcome"

        talk(SandboxEmr(store, faults=faults), conversation)
