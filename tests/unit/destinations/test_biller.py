"""The sandbox biller: its contract is real, its auditor can fail, and it runs as a process."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import subprocess
import sys
from urllib.request import Request, urlopen

import orjson
import pytest
from ptbridge_sandbox.biller import Faults, SandboxBiller

from ptbridge.wire.http import HttpClient
from tests.rigs import submission
from tests.unit.destinations.test_charge_api import build


def play(scene, **options):
    async def run():
        async with SandboxBiller(**options) as biller, HttpClient(biller.base_url) as http:
            destination = build()
            sent = submission(destination)
            await destination.close()
            return await scene(biller, http, sent)

    return asyncio.run(run())


async def post(http, body, key="k1", path="v1/charges", method="POST"):
    headers = {"content-type": "application/json", "idempotency-key": key} if key else {}
    response = await http.request(method, path, headers=headers, content=body)
    return response.status, response.json()


def test_the_auditor_catches_a_double():
    async def scene(biller, http, sent):
        await post(http, sent.body)
        await post(http, sent.body, key="k2")
        return biller.summary()

    lax = play(scene, strict=False)
    assert lax["violations"] == ["oak-1: 2 live charges"] and lax["units"] == 6
    strict = play(scene)
    assert strict["violations"] == [] and strict["units"] == 3


def test_a_request_worked_on_twice_doubles_only_at_a_biller_without_memory_or_check():
    async def scene(biller, http, sent):
        biller.faults = Faults(process_twice=1.0, forget_keys=True)
        await post(http, sent.body)
        return biller.summary()

    assert play(scene, strict=False)["charges"] == 2
    assert play(scene)["charges"] == 1


def test_a_key_belongs_to_its_bytes():
    async def scene(biller, http, sent):
        other = sent.body.replace(b"M54.50", b"M54.51")
        return [await post(http, sent.body), await post(http, sent.body), await post(http, other)]

    (first, made), (second, replayed), (third, problem) = play(scene)
    assert (first, second, third) == (201, 200, 422)
    assert made == replayed and problem["code"] == "key-reused"


@pytest.mark.parametrize(
    ("change", "where"),
    [
        ({"totals": {"lines": 2, "units": 4, "amount_cents": 9000}}, "/totals/units"),
        ({"totals": {"lines": 2, "units": 3, "amount_cents": 9001}}, "/totals/amount_cents"),
        ({"service_date": "2026-13-02"}, "/service_date"),
        ({"frequency": "7"}, "/frequency"),
        ({"diagnoses": []}, "/diagnoses"),
        ({"surprise": 1}, "/"),
        ({"lines": []}, "/lines"),
        ({"reference": "a/../b"}, "/reference"),
    ],
)
def test_a_charge_that_breaks_the_contract_is_refused_by_place(change, where):
    async def scene(biller, http, sent):
        return await post(http, orjson.dumps({**orjson.loads(sent.body), **change})), biller.summary()

    (status, problem), summary = play(scene)
    assert (status, problem["code"]) == (422, "invalid-charge")
    assert where in [error["where"] for error in problem["errors"]]
    assert summary["charges"] == 0


def test_a_problem_repeats_nothing_of_the_patient():
    async def scene(biller, http, sent):
        return await post(http, sent.body.replace(b'"female"', b'"SEXQXZ"').replace(b"1931-07-09", b"BIRTHQXZ"))

    status, problem = play(scene)
    assert status == 422 and len(problem["errors"]) == 2 and "QXZ" not in json.dumps(problem)


def test_what_cannot_be_done_says_why():
    async def scene(biller, http, sent):
        document = orjson.loads(sent.body)
        seven = orjson.dumps({**document, "frequency": "7"})
        eight = orjson.dumps({"reference": "oak-1", "frequency": "8"})
        return [
            (await post(http, b"{", key="a"))[1]["code"],
            (await post(http, sent.body, key=""))[1]["code"],
            (await post(http, seven, key="b", path="v1/charges/oak-1", method="PUT"))[1]["code"],
            (await post(http, eight, key="c", path="v1/charges/oak-1/void"))[1]["code"],
            (await post(http, sent.body, key="d"))[1]["status"],
            (await post(http, seven, key="e", path="v1/charges/oak-2", method="PUT"))[1]["code"],
            (await post(http, eight, key="f", path="v1/charges/oak-1/void"))[1]["status"],
            (await post(http, seven, key="g", path="v1/charges/oak-1", method="PUT"))[1]["code"],
        ]

    assert play(scene) == [
        "not-json",
        "no-key",
        "unknown-reference",
        "unknown-reference",
        "live",
        "reference-differs",
        "void",
        "not-live",
    ]


def test_bad_parameters_of_the_list_are_refused():
    async def scene(biller, http, sent):
        both = "?service_date_from=2026-11-02&service_date_to="
        queries = ("", f"{both}soon", f"{both}2026-11-02&limit=0")
        return [(await http.request("GET", f"v1/charges{query}")).status for query in queries]

    assert play(scene) == [400, 400, 400]


def test_the_find_lag_hides_a_charge_for_a_while():
    now = [1000.0]

    async def scene(biller, http, sent):
        await post(http, sent.body)
        statuses = [(await http.request("GET", "v1/charges/oak-1")).status]
        now[0] += 31
        statuses.append((await http.request("GET", "v1/charges/oak-1")).status)
        return statuses

    assert play(scene, faults=Faults(find_lag_seconds=30), clock=lambda: now[0]) == [404, 200]


def test_the_busiest_second_is_counted():
    biller = SandboxBiller()
    biller.arrivals = [0.0, 0.1, 0.2, 1.05, 1.1, 1.15, 1.19, 5.0]
    assert biller.peak_per_second() == 5


def test_it_runs_as_a_process_with_a_token_and_knobs():
    environment = {**os.environ, "PTBRIDGE_SANDBOX_TOKEN": "right"}
    command = [sys.executable, "-m", "ptbridge_sandbox.biller", "--port", "0", "--busy", "1.0", "--forget-keys"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, env=environment, text=True) as process:
        try:
            assert process.stdout is not None
            word, base_url = process.stdout.readline().split()
            contract = json.load(urlopen(f"{base_url}/openapi.json"))
            request = Request(f"{base_url}/_sandbox/summary", headers={"Authorization": "Bearer right"})
            summary = json.load(urlopen(request))
        finally:
            process.send_signal(signal.SIGTERM)
        assert process.wait(timeout=20) == 0
    assert word == "ready" and contract["openapi"] == "3.1.0" and summary["charges"] == 0
