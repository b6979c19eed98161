"""hl7v2_dft against a real MLLP receiver that keeps its own books, with every bad acknowledgement seen in the field."""

from __future__ import annotations

import asyncio
import json
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from ipaddress import ip_address
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID
from hl7apy.consts import VALIDATION_LEVEL
from hl7apy.parser import parse_message
from ptbridge_sandbox.hl7_biller import Hl7Biller
from ptbridge_sandbox.hl7_books import Hl7Books

from ptbridge.delivery import RetryPolicy, SystemClock, deliver
from ptbridge.destinations._dft_er7 import stamped
from ptbridge.errors import ConfigError, PeerUnavailable
from ptbridge.model import Charge, Disposition, Frequency, Guarantor, PricedDay, Submission
from ptbridge.wire.hl7v2 import Message
from ptbridge.wire.mllp import server_tls
from tests.rigs import MARKERS, a_day, build, submission
from tests.unit.delivery.conftest import MemoryOutbox, VirtualClock
from tests.unit.destinations.profiles import profile

SHIPPED = ("charge_master_p11", "full_day", "sandbox_biller")


def link(address: str, file: str = "sandbox_biller", *, in_flight: int = 1, **options: str):
    return build("hl7v2_dft", {"profile": file, **options}, base_url=address, in_flight=in_flight)


def files(folder: Path, file: str = "sandbox_biller"):
    return build("hl7v2_dft", {"profile": file}, folder=folder)


def impatient(tmp_path: Path, **changes: str) -> str:
    """The sandbox's profile, with a biller that must answer at once."""
    return profile(tmp_path, {"timeout_seconds: 30": "timeout_seconds: 0.2", **changes})


def play(scene, *, file: str = "sandbox_biller", books: Hl7Books | None = None, script=(), shares=None, in_flight: int = 1):
    """Run an async scene with a receiver and a destination that sends to it."""

    async def run():
        async with Hl7Biller(script=script, shares=shares, books=books) as biller:
            destination = link(biller.address, file, in_flight=in_flight)
            try:
                return await scene(biller, destination)
            finally:
                await destination.close()

    return asyncio.run(run())


def correction(destination, live: Submission, day: PricedDay, revision: int) -> Submission:
    body, media_type = destination.encode_replacement(day, live.body, reference=live.reference, original_id=None)
    return replace(
        live,
        key=f"{live.reference}-r{revision}",
        revision=revision,
        frequency=Frequency.REPLACEMENT,
        body=body,
        media_type=media_type,
        units=day.units,
        amount_cents=day.amount_cents,
    )


def void(destination, live: Submission, revision: int) -> Submission:
    body, media_type = destination.encode_void(live.body, reference=live.reference, original_id=None)
    return replace(
        live,
        key=f"{live.reference}-r{revision}",
        revision=revision,
        frequency=Frequency.VOID,
        body=body,
        media_type=media_type,
    )


def with_lines(day: PricedDay, *charges: Charge) -> PricedDay:
    return replace(day, charges=charges, coded=replace(day.coded, lines=tuple(charge.line for charge in charges)))


def transaction_ids(destination, day: PricedDay, reference: str = "oak-1") -> list[str]:
    body, _ = destination.encode(day, reference=reference, frequency="1", original_id=None)
    return list(Message.parse(body).get_all("FT1[*]-2"))


# ---------------------------------------------------------------- what is charged, corrected and taken back


@pytest.mark.parametrize("name", SHIPPED)
def test_charge_correct_void_and_charge_again_leave_the_biller_with_exactly_that(name):
    async def scene(biller, destination):
        async def send(one):
            answer = await destination.submit(one)
            assert answer.disposition is Disposition.ACCEPTED, answer.native_text
            totals = biller.books.totals()
            assert totals["violations"] == []
            return totals["lines"], totals["units"], totals["amount_cents"]

        first = submission(destination)
        assert await send(first) == (2, 3, 9000)
        second = correction(destination, first, a_day(4), 2)
        assert await send(second) == (2, 5, 15000)
        fewer = with_lines(a_day(), a_day().charges[1])
        third = correction(destination, second, fewer, 3)
        assert await send(third) == (1, 1, 3000)
        assert await send(void(destination, third, 4)) == (0, 0, 0)
        again = replace(submission(destination), key="oak-1-r5", revision=5)
        assert again.body == first.body and await send(again) == (2, 3, 9000)
        ids = [Message.parse(raw).control_id for raw in biller.received]
        assert ids == [f"oak-1-r{revision}" for revision in (1, 2, 3, 4, 5)]

    play(scene, file=name, books=Hl7Books(by_visit=name == "full_day"))


def test_a_credit_repeats_the_charge_under_its_transaction_id(tmp_path):
    destination = files(tmp_path)
    live = submission(destination)
    charged, taken_back = Message.parse(live.body), Message.parse(void(destination, live, 2).body)
    assert set(taken_back.get_all("FT1[*]-6")) == {"CD"} and set(charged.get_all("FT1[*]-6")) == {"CG"}
    for path in ("FT1[*]-2", "FT1[*]-4", "FT1[*]-7", "FT1[*]-10", "FT1[*]-11", "FT1[*]-12", "FT1[*]-26", "PV1-19", "PID-3"):
        assert taken_back.get_all(path) == charged.get_all(path), path


def test_credits_below_zero_still_multiply(tmp_path):
    destination = files(tmp_path, "charge_master_p11")
    taken_back = Message.parse(void(destination, submission(destination), 2).body)
    assert taken_back.get("MSH-9.2") == taken_back.get("EVN-1") == "P11" and taken_back.get("MSH-9.3") == "DFT_P11"
    assert taken_back.get_all("FT1[*]-10") == ("-2", "-1")
    assert taken_back.get_all("FT1[*]-11") == ("-60.00", "-30.00") and taken_back.get_all("FT1[*]-12") == ("30.00", "30.00")
    assert taken_back.names.index("DG1") < taken_back.names.index("FT1"), "in P11 the charges come last"


def test_a_correction_is_one_message_of_credits_then_charges(tmp_path):
    destination = files(tmp_path)
    message = Message.parse(correction(destination, submission(destination), a_day(4), 2).body)
    assert message.get_all("FT1[*]-6") == ("CD", "CD", "CG", "CG") and message.get_all("FT1[*]-1") == ("1", "2", "3", "4")
    assert message.get_all("FT1[*]-10") == ("2", "1", "4", "1")
    ids = message.get_all("FT1[*]-2")
    assert ids[:2] == ids[2:]


def test_a_correction_without_what_is_live_never_leaves():
    async def scene(biller, destination):
        answer = await destination.submit(submission(destination, frequency="7"))
        assert answer.disposition is Disposition.REJECTED and answer.native_code == "correction-needs-credit"
        assert biller.connections == 0

    play(scene)


def test_a_live_message_in_another_writing_is_not_mixed_into_a_correction(tmp_path):
    old = files(tmp_path, profile(tmp_path, {'version: "2.5.1"': 'version: "2.4"'}))
    live = submission(old)
    changed = correction(files(tmp_path), live, a_day(4), 2)
    assert changed.media_type.endswith("withheld=profile-changed")
    assert Message.parse(void(files(tmp_path), live, 2).body).get("MSH-12") == "2.4", "a void follows what was accepted"


# ---------------------------------------------------------------- FT1-2


def test_a_line_keeps_its_transaction_id_over_corrections(tmp_path):
    destination = files(tmp_path)
    first, second = a_day().charges
    ids = transaction_ids(destination, a_day())
    assert len(set(ids)) == 2 and all(len(one) == 12 for one in ids)
    assert transaction_ids(destination, a_day(7)) == ids
    assert transaction_ids(destination, with_lines(a_day(), second)) == ids[1:]
    marked = replace(first, line=replace(first.line, modifiers=("GP", "KX")))
    assert transaction_ids(destination, with_lines(a_day(), second, marked)) == ids[::-1]
    assert not set(transaction_ids(destination, a_day(), "oak-2")) & set(ids)


def test_two_lines_of_one_documented_line_have_two_transaction_ids(tmp_path):
    charge = a_day().charges[0]
    by_assistant = replace(charge, line=replace(charge.line, modifiers=("GP", "CQ")))
    assert len(set(transaction_ids(files(tmp_path), with_lines(a_day(), charge, by_assistant)))) == 2


# ---------------------------------------------------------------- what must not leave


def test_a_name_that_the_partners_characters_do_not_have_is_held_and_not_mangled():
    day = a_day()
    patient = replace(day.day.patient, family="Łukaszqxz")
    day = replace(day, coded=replace(day.coded, day=replace(day.day, visits=(replace(day.day.visits[0], patient=patient),))))

    async def scene(biller, destination):
        body, media_type = destination.encode(day, reference="oak-1", frequency="1", original_id=None)
        answer = await destination.submit(replace(submission(destination), body=body, media_type=media_type))
        assert answer.disposition is Disposition.REJECTED and answer.native_code == "charset-PID"
        assert "qxz" not in answer.native_text and biller.connections == 0

    play(scene, file="charge_master_p11")
    play(scene, file="full_day")


def test_a_procedure_without_a_charge_code_is_held(tmp_path):
    destination = files(tmp_path / "drop", "charge_master_p11")
    line = replace(a_day().charges[0].line, procedure="97113")
    body, media_type = destination.encode(
        with_lines(a_day(), replace(a_day().charges[0], line=line)), reference="oak-9", frequency="1", original_id=None
    )
    held = replace(submission(destination, reference="oak-9"), body=body, media_type=media_type)
    going = submission(destination)
    answers = asyncio.run(destination.submit_batch([held, going]))
    assert [answer.disposition for answer in answers] == [Disposition.REJECTED, Disposition.ACCEPTED]
    assert answers[0].native_code == "charge-code-97113"
    content = (tmp_path / "drop" / answers[1].destination_id).read_bytes()
    assert content.count(b"\rMSH|") == 1 and b"97113" not in content
    assert asyncio.run(destination.find(held)) is None


def test_nothing_in_a_name_starts_a_segment_or_ends_a_frame():
    day = a_day()
    patient = replace(day.day.patient, family="O\rFT1|9|X||20261102||CG\x1c\r\x0b", given='""')
    day = replace(day, coded=replace(day.coded, day=replace(day.day, visits=(replace(day.day.visits[0], patient=patient),))))

    async def scene(biller, destination):
        body, media_type = destination.encode(day, reference="oak-1", frequency="1", original_id=None)
        answer = await destination.submit(replace(submission(destination), body=body, media_type=media_type))
        assert answer.disposition is Disposition.ACCEPTED
        assert biller.books.totals()["lines"] == 2
        message = Message.parse(biller.received[0])
        assert message.get("PID-5.1") == patient.family and message.get("PID-5.2") == '""' and not message.is_null("PID-5.2")

    play(scene)


# ---------------------------------------------------------------- acknowledgements


@pytest.mark.parametrize(
    ("word", "disposition"),
    [
        ("ok", Disposition.ACCEPTED),
        ("repeated", Disposition.ACCEPTED),
        ("AE", Disposition.REJECTED),
        ("AR", Disposition.RETRY),
        *((word, Disposition.IN_DOUBT) for word in ("silent", "close", "late", "swapped", "wrong-id", "no-id")),
        *((word, Disposition.IN_DOUBT) for word in ("garbage", "unframed", "accepts-anything", "close-before")),
    ],
)
def test_an_acknowledgement_counts_only_for_the_message_that_it_names(word, disposition, tmp_path):
    async def scene(biller, destination):
        answer = await destination.submit(submission(destination))
        assert answer.disposition is disposition
        assert bool(answer.destination_id) is (disposition is Disposition.ACCEPTED)
        following = await destination.submit(submission(destination, reference="oak-2"))
        assert following.disposition is Disposition.ACCEPTED and following.destination_id == "oak-2-r1"

    play(scene, file=impatient(tmp_path), script=[word])


def test_a_late_acknowledgement_is_not_taken_for_the_next_message(tmp_path):
    async def scene(biller, destination):
        assert (await destination.submit(submission(destination))).disposition is Disposition.IN_DOUBT
        following = await destination.submit(submission(destination, reference="oak-2"))
        assert following.disposition is Disposition.IN_DOUBT, "the only answer that came names the first message"
        assert biller.connections == 2

    play(scene, file=impatient(tmp_path), script=["late", "silent"])


def test_after_a_doubt_the_next_message_takes_a_new_connection(tmp_path):
    async def scene(biller, destination):
        for number in range(4):
            await destination.submit(submission(destination, reference=f"oak-{number}"))
        assert biller.connections == 2

    play(scene, file=impatient(tmp_path), script=["ok", "wrong-id", "ok", "ok"])


def test_commit_acknowledgements_are_asked_for_and_taken():
    async def scene(biller, destination):
        answer = await destination.submit(submission(destination))
        message = Message.parse(biller.received[0])
        assert (message.get("MSH-15"), message.get("MSH-16"), answer.native_code) == ("AL", "NE", "CA")
        assert (await destination.submit(submission(destination, reference="oak-2"))).disposition is Disposition.REJECTED

    play(scene, file="charge_master_p11", script=["ok", "AE"])


def test_what_a_refusal_means_is_agreed(tmp_path):
    file = profile(tmp_path, {"error: rejected": "error: retry", "reject: retry": "reject: rejected"})

    async def scene(biller, destination):
        answers = [await destination.submit(submission(destination, reference=f"oak-{number}")) for number in range(2)]
        assert [answer.disposition for answer in answers] == [Disposition.RETRY, Disposition.REJECTED]

    play(scene, file=file, script=["AE", "AR"])


def test_no_connection_means_that_nothing_was_sent():
    async def scene():
        async with Hl7Biller() as biller:
            address = biller.address
        destination = link(address)
        with pytest.raises(PeerUnavailable, match="no connection"):
            await destination.submit(submission(destination))
        with pytest.raises(PeerUnavailable, match="no connection"):
            await destination.check()
        await destination.close()

    asyncio.run(scene())


def test_no_patient_data_outside_the_bytes(tmp_path, caplog):
    seen: list[str] = []

    async def scene(biller, destination):
        for number in range(6):
            sent = submission(destination, reference=f"oak-{number}")
            answer = await destination.submit(sent)
            seen.extend((repr(answer), answer.native_text, repr(sent), repr(destination)))

    play(scene, file=impatient(tmp_path), script=["AE", "AR", "silent", "wrong-id", "garbage", "close"])
    text = "\n".join([*seen, caplog.text])
    assert [marker for marker in MARKERS if marker in text] == []


# ---------------------------------------------------------------- with the engine that delivers


def deliver_days(biller, destination, *, count: int, in_flight: int = 1):
    outbox = MemoryOutbox(VirtualClock())
    for number in range(count):
        sent = submission(destination, reference=f"oak-{number}")
        outbox.put(replace(sent, order_key=f"k{number}"))
    policy = RetryPolicy(first_delay_seconds=0.01, max_delay_seconds=0.02, extra_calls_share=9, extra_calls_reserve=999)
    return deliver(outbox, destination, in_flight=in_flight, clock=SystemClock(), policy=policy, deadline_seconds=60)


BAD_DAY = {"AR": 0.1, "close": 0.05, "wrong-id": 0.03, "unframed": 0.05, "repeated": 0.1, "late": 0.03}


def test_a_bad_day_doubles_nothing_and_leaves_every_doubt_to_a_person(tmp_path):
    async def scene(biller, destination):
        report = await deliver_days(biller, destination, count=60)
        doubts = sum(biller.happened[word] for word in ("close", "wrong-id", "unframed", "late"))
        assert doubts > 3 and biller.happened["AR"] > 3, "the faults really happened"
        assert (report.accepted, report.held.total()) == (60 - doubts, doubts)
        totals = biller.books.totals()
        assert totals["violations"] == [] and (totals["lines"], totals["units"]) == (120, 180)

    play(scene, file=impatient(tmp_path), shares=BAD_DAY)


def test_where_repeats_are_ignored_a_bad_day_needs_nobody(tmp_path):
    file = impatient(tmp_path, **{"resend_safe_days: 0": "resend_safe_days: 30"})

    async def scene(biller, destination):
        report = await deliver_days(biller, destination, count=60)
        totals = biller.books.totals()
        assert (report.accepted, report.held.total()) == (60, 0) and biller.happened["close"] > 1
        assert totals["events"]["repeat-ignored"] > 3
        assert totals["violations"] == [] and (totals["lines"], totals["units"]) == (120, 180)

    play(scene, file=file, shares=BAD_DAY, books=Hl7Books(ignores_repeats=True))


def test_a_replay_that_is_refused_after_a_lost_answer_stays_in_doubt(tmp_path):
    """The first message was booked and its answer lost; the partner refuses the second as a duplicate."""
    file = impatient(tmp_path, **{"resend_safe_days: 0": "resend_safe_days: 30"})

    async def scene(biller, destination):
        report = await deliver_days(biller, destination, count=1)
        assert report.accepted == 0 and dict(report.held) == {"in-doubt": 1}
        assert biller.happened["close"] == biller.happened["AE"] == 1 and biller.books.totals()["lines"] == 2

    play(scene, file=file, script=("close", "AE"))


def test_several_connections_where_they_are_agreed(tmp_path):
    file = profile(tmp_path, {"connections: 1": "connections: 3"})

    async def scene(biller, destination):
        report = await deliver_days(biller, destination, count=30, in_flight=3)
        assert report.accepted == 30 and biller.connections == 3

    play(scene, file=file, in_flight=3)


# ---------------------------------------------------------------- files


def test_a_file_of_messages_with_its_envelope_and_control_totals(tmp_path):
    destination = files(tmp_path)
    first, second = submission(destination), submission(destination, reference="oak-2")
    taken_back = void(destination, submission(destination, reference="oak-3"), 2)
    answers = asyncio.run(destination.submit_batch([first, second, taken_back]))
    assert {answer.destination_id for answer in answers} == {"ptbridge-oak-run-1.hl7"}
    content = (tmp_path / "ptbridge-oak-run-1.hl7").read_bytes()
    segments = content.decode().split("\r")
    assert segments[0] == "FHS|^~\\&|PTBRIDGE|OAKPT|BILLING|SANDBOX|||||run-1" and segments[1].startswith("BHS|^~\\&|")
    assert segments[-3:] == ["BTS|3", "FTS|1", ""]
    assert stamped(first.body, "oak-1-r1") in content
    totals = json.loads((tmp_path / "ptbridge-oak-run-1.totals.json").read_bytes())
    assert {name: totals[name] for name in ("messages", "lines", "units", "amount_cents")} == {
        "messages": 3,
        "lines": 6,
        "units": 3,
        "amount_cents": 9000,
    }


def test_without_an_envelope_a_file_is_its_messages(tmp_path):
    destination = files(tmp_path, "full_day")
    sent = submission(destination)
    answer = asyncio.run(destination.submit(sent))
    assert (tmp_path / answer.destination_id).read_bytes() == stamped(sent.body, "oak-1-r1")


# ---------------------------------------------------------------- clinic files that cannot work


@pytest.mark.parametrize(
    ("address", "options", "what"),
    [
        ("mllp://127.0.0.1", {}, "is not an MLLP address"),
        ("mllps://", {}, "is not an MLLP address"),
        ("mllp://127.0.0.1:99999", {}, "is not an MLLP address"),
        ("ftp://127.0.0.1:1", {}, "is not an MLLP address"),
        ("mllp://biller.example:2575", {}, "insecure_plaintext"),
        ("mllp://127.0.0.1:1", {"profile": "nobody"}, "no interface profile 'nobody'"),
        ("mllps://127.0.0.1:1", {"tls_ca_file": "/nowhere/ca.pem"}, "cannot be read"),
    ],
)
def test_what_cannot_be_used_is_said(address, options, what):
    with pytest.raises(ConfigError, match=what):
        link(address, **options) if "profile" not in options else link(address, options["profile"])


def test_more_in_flight_than_agreed_connections_is_refused():
    with pytest.raises(ConfigError, match="in_flight: 1"):
        link("mllp://127.0.0.1:1", in_flight=16)


def test_plain_mllp_elsewhere_needs_the_words():
    assert link("mllp://biller.example:2575", insecure_plaintext="yes").capabilities.void


# ---------------------------------------------------------------- TLS


def certificate(folder: Path, name: str) -> tuple[Path, Path]:
    """A self-signed certificate for 127.0.0.1 and its key, as PEM files."""
    key = ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
    now = datetime.now(UTC)
    made = (
        x509.CertificateBuilder(subject, subject, key.public_key(), x509.random_serial_number(), now, now + timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.IPAddress(ip_address("127.0.0.1"))]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    shown, secret = folder / f"{name}.pem", folder / f"{name}.key"
    shown.write_bytes(made.public_bytes(serialization.Encoding.PEM))
    secret.write_bytes(
        key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    )
    return shown, secret


def test_over_tls_only_the_right_biller_is_spoken_to(tmp_path):
    (right, key), (wrong, _) = certificate(tmp_path, "biller"), certificate(tmp_path, "stranger")

    async def scene():
        async with Hl7Biller(tls=server_tls(str(right), str(key))) as biller:
            assert biller.address.startswith("mllps://")
            trusting, doubting = (link(biller.address, tls_ca_file=str(file)) for file in (right, wrong))
            assert (await trusting.submit(submission(trusting))).disposition is Disposition.ACCEPTED
            with pytest.raises(PeerUnavailable):
                await doubting.submit(submission(doubting))
            assert len(biller.received) == 1
            for one in (trusting, doubting):
                await one.close()

    asyncio.run(scene())


MOTHER = Guarantor(
    family="Sample", given="Mo", birth_date=date(1960, 1, 2), sex="female", phone="937-555-0101", relationship="parent"
)


def of_guarantors(*named: Guarantor | None, relationship: str = "self") -> PricedDay:
    """A day of as many visits, each of which names one."""
    priced = a_day()
    (visit,) = priced.day.visits[:1]
    coverages = tuple(replace(one, relationship=relationship) for one in visit.coverages)
    visits = tuple(replace(visit, visit_id=f"e{place}", guarantor=one, coverages=coverages) for place, one in enumerate(named))
    return replace(priced, coded=replace(priced.coded, day=replace(priced.day, visits=visits)))


def gt1(tmp_path: Path, priced: PricedDay, **changes: str) -> list[str]:
    file = profile(tmp_path, {"title: The pretend HL7 biller of the sandbox": "title: ours", **changes})
    body, media_type = files(tmp_path, file).encode(priced, reference="pt-1", frequency="1", original_id=None)
    assert "withheld" not in media_type
    assert parse_message(stamped(body, "1").decode(), validation_level=VALIDATION_LEVEL.STRICT).validate()
    return [one for one in body.decode().split("\r") if one.startswith("GT1")]


def test_gt1_is_whom_the_source_names_whoever_is_insured(tmp_path: Path) -> None:
    written = "GT1|1||Sample^Mo|||(937)555-0101||19600102|F||PAR"
    for relationship in ("self", "child"):
        assert gt1(tmp_path, of_guarantors(MOTHER, relationship=relationship)) == [written]
    assert gt1(tmp_path, of_guarantors(MOTHER, None, MOTHER)) == [written]


def test_gt1_is_the_patient_only_where_that_is_agreed_and_the_insurance_is_the_patients_own(tmp_path: Path) -> None:
    (line,) = gt1(tmp_path, of_guarantors(None))
    assert line.endswith("||SEL")
    alone = {"guarantor: source_or_patient": "guarantor: source"}
    assert gt1(tmp_path, of_guarantors(None), **alone) == []
    assert gt1(tmp_path, of_guarantors(None, relationship="child")) == []
    assert gt1(tmp_path, of_guarantors(MOTHER, replace(MOTHER, given="Lee"))) == [], "nobody chooses between two"
