"""The public FHIR corpus, served as it is: nothing falls over, nothing is changed."""

from __future__ import annotations

from pathlib import Path

import orjson
import pytest
from ptbridge_sandbox.corpus import load_folder
from ptbridge_sandbox.emr import serve_corpus
from ptbridge_sandbox.store import Store

CORPUS = Path(__file__).parents[3] / "../shared/corpus/fhir"
on_the_corpus = pytest.mark.skipif(not CORPUS.is_dir(), reason="the public corpus is not beside the repository")


@on_the_corpus
def test_every_resource_of_the_corpus_is_served_untouched(talk):
    emr = serve_corpus(CORPUS)

    async def conversation(http):
        served = 0
        for type_ in sorted(emr.store.shelves):
            pages = await http.walk(f"/{type_}?_count=400")
            served += sum(map(len, pages))
            for entry in list(emr.store.shelf(type_).by_id.values())[:5]:
                assert (await http.get(f"/{type_}/{entry.id}")).body == entry.body
        return served

    assert talk(emr, conversation) == len(emr.store)
    assert len(emr.store.shelf("Procedure").by_id) >= 2_056
    assert len(emr.store.shelf("Encounter").by_id) >= 1_215


@on_the_corpus
def test_searches_over_the_corpus_do_not_fall_over(talk):
    emr = serve_corpus(CORPUS)

    async def conversation(http):
        for type_ in sorted(emr.store.shelves):
            for query in ("date=ge2000", "status=finished", "identifier=x", "patient=x", "_lastUpdated=ge2000&_sort=-date"):
                assert (await http.get(f"/{type_}?{query}")).status in (200, 400)

    talk(emr, conversation)


def test_odd_files_are_served_or_left_out(tmp_path: Path):
    (tmp_path / "cut.json").write_bytes(b'{"resourceType":"Encounter","id":"cut"')
    (tmp_path / "list.json").write_bytes(b"[1,2]")
    (tmp_path / "nameless.json").write_bytes(b'{"resourceType":"Encounter","period":{"start":"nonsense"},"subject":"x"}')
    (tmp_path / "odd.ndjson").write_bytes(
        b'{"resourceType":"Procedure","id":"a","subject":{"reference":7},"performedDateTime":"2002"}\n\n'
        b'{"resourceType":"Appointment","id":"b","participant":[null,{"actor":"x"}],"start":1}\n'
    )
    bundle = {"resourceType": "Bundle", "id": "c", "entry": [None, {"resource": {"resourceType": "Encounter", "id": "in"}}, {}]}
    (tmp_path / "bundle.json").write_bytes(orjson.dumps(bundle))
    store = Store()
    assert load_folder(store, tmp_path) == len(store) == 5
    assert set(store.shelf("Encounter").by_id) == {"nameless-1", "in"}
    assert b'"id"' not in store.body(store.get("Encounter", "nameless-1"))
