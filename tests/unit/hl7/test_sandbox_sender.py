"""The pretend EMR's day, through a real listener, whatever the sender's habits."""

from __future__ import annotations

import asyncio
from collections import Counter
from datetime import UTC, datetime

import pytest
from hl7apy.parser import parse_message
from ptbridge_sandbox.day import DAY
from ptbridge_sandbox.hl7_day import hl7_day
from ptbridge_sandbox.maker import clinic_day
from ptbridge_sandbox.mllp_sender import HABITS, MllpPlayer, day_messages

from ptbridge.wire.hl7_ack import Verdict, acknowledge, codes_due
from ptbridge.wire.hl7v2 import Message
from ptbridge.wire.mllp import MllpLimits, MllpListener, Peer

NOW = datetime(2026, 3, 12, 18, tzinfo=UTC)


@pytest.mark.parametrize("habit", [None, *HABITS])
def test_every_message_of_the_day_arrives_whole_and_is_answered(habit):
    messages = day_messages(out_of_order=habit == "out-of-order")[:40]
    arrived: list[bytes] = []

    async def on_message(raw: bytes, peer: Peer) -> bytes:
        arrived.append(raw)
        message = Message.parse(raw)
        return acknowledge(message, codes_due(message, Verdict.ACCEPT)[0], control_id=f"A{len(arrived)}", now=NOW)

    async def conversation():
        async with MllpListener("127.0.0.1", 0, on_message, limits=MllpLimits(lone_end_seconds=0.01)) as listener:
            return await MllpPlayer("127.0.0.1", listener.port, habits=[habit] if habit else []).play(messages)

    played = asyncio.run(conversation())
    times = 2 if habit == "twice" else 1
    assert arrived == [raw for raw in messages for _ in range(times)]
    assert (played.codes, played.unanswered) == (Counter(AA=len(messages) * times), [])


def test_silence_is_tried_again_and_then_reported():
    async def conversation():
        async def silent(raw: bytes, peer: Peer) -> None:
            return None

        async with MllpListener("127.0.0.1", 0, silent) as listener:
            player = MllpPlayer("127.0.0.1", listener.port, answer_seconds=0.05, attempts=3)
            return await player.play(day_messages()[:1]), listener.counts["received"]

    played, received = asyncio.run(conversation())
    assert (played.unanswered, received, played.codes) == (["SBX000001"], 3, Counter())


def test_the_day_holds_everything_that_a_clinic_sends():
    told = hl7_day()
    assert told == hl7_day()
    kinds = Counter(one.kind[:7] for one in told)
    assert kinds["SIU^S12"] == len(DAY)
    assert kinds["SIU^S26"] == kinds["SIU^S15"] == kinds["ADT^A40"] == 1
    assert kinds["DFT^P03"] > 50
    assert len({Message.parse(one.raw).control_id for one in told}) == len(told)
    credits = [one for one in told if "CD" in Message.parse(one.raw).get_all("FT1[*]-6")]
    assert len(credits) == 1


def test_the_judge_accepts_each_kind_of_message():
    by_kind = {one.kind: one.raw for one in hl7_day()}
    assert len(by_kind) >= 6
    for kind, raw in by_kind.items():
        assert parse_message(raw.decode()).name == kind.split("^")[2]


def test_the_dependents_of_the_day_are_those_of_the_clinic_that_speaks_fhir():
    day = list(clinic_day())
    people = {one["patient"]["reference"][8:]: one for one in day if one["resourceType"] == "RelatedPerson"}
    told = {one["beneficiary"]["reference"][8:]: one["relationship"]["coding"][0]["code"] for one in day if "subscriber" in one}
    words = {"self": "SEL", "spouse": "SPO", "child": "CHD"}
    written: dict[str, set[str]] = {}
    for one in hl7_day():
        message = Message.parse(one.raw)
        for insurance in message.segments("IN1"):
            patient = (message.get("PID-3") or "").removesuffix("-B")
            written.setdefault(patient, set()).add(str(insurance.value(17)))
            if insurance.value(17) == "SEL":
                assert patient not in people and not message.segments("GT1")
                continue
            other = people[patient]
            assert insurance.value(16) == other["name"][0]["family"]
            assert insurance.value(18) == other["birthDate"].replace("-", "") and insurance.value(43)
            assert bool(message.segments("GT1")) == (insurance.value(17) == "CHD")
    assert {patient: next(iter(said)) for patient, said in written.items()} == {
        patient: words[told[patient]] for patient in written
    }
    assert {"SPO", "CHD"} <= {word for said in written.values() for word in said}
    assert all(len(said) == 1 for said in written.values())
