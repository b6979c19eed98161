"""What answer files become: linked by every number that may come back, told once, native codes word for word."""

from __future__ import annotations

import asyncio
import os
from dataclasses import replace
from pathlib import Path

import pytest
from ptbridge_sandbox.clearinghouse import Clearinghouse

from ptbridge.destinations._x12_answers import answers_in
from ptbridge.destinations._x12_claim import patient_control_number
from ptbridge.destinations._x12_inbound import _PAGE
from ptbridge.destinations._x12_sent import Sent
from ptbridge.errors import PeerUnavailable, RecordError
from ptbridge.model import Answer, Stage, Standing
from tests.unit.destinations.test_x12_files import destination, news, sent_to
from tests.unit.destinations.test_x12_writer import day_of, line, visits_of
from tests.unit.wire.test_x12 import ISA, file_of
from tests.x12_judges import by_pyx12

ONE, TWO = f"pt-{1 << 60:024x}", f"pt-{2 << 60:024x}"
ACK, STATUS, REMITTANCE = "005010X231A1", "005010X214", "005010X221A1"


@pytest.fixture
def house(tmp_path: Path) -> Clearinghouse:
    return Clearinghouse(tmp_path / "drop", tmp_path / "answers")


@pytest.fixture
def made(tmp_path: Path, house):
    """Two days of one clinic in one file."""
    one = destination(tmp_path / "drop")
    asyncio.run(one.submit_batch([sent_to(one, 1 << 60), sent_to(one, 2 << 60)]))
    return one


def control_of(tmp_path: Path) -> str:
    (file,) = (tmp_path / "drop").glob("*.837")
    return file.stem[-9:]


def read(tmp_path: Path, raw: bytes, parts=None) -> list[Answer]:
    return list(answers_in(raw, Sent([tmp_path / "drop"], "oak"), {} if parts is None else parts))


def by_line(answers) -> dict[int | None, Answer]:
    return {answer.line: answer for answer in answers}


# ---------------------------------------------------------------- from file to payment


def test_a_claim_is_followed_to_the_cent(made, house, tmp_path):
    assert house.work() == 1
    house.remit(deny={"97161": "CO-97"})
    for file in sorted((tmp_path / "answers").iterdir()):
        assert by_pyx12(file.read_bytes()) == [], f"the sandbox writes right X12: {file.name}"
    answers, _ = asyncio.run(news(made))
    mine = [answer for answer in answers if answer.reference == ONE]
    assert {answer.submission_key for answer in mine} == {f"{ONE}-r1"}
    assert [(answer.stage, answer.standing) for answer in mine] == [
        (Stage.RECEIVED, Standing.ACCEPTED),
        (Stage.SYNTAX, Standing.ACCEPTED),
        (Stage.PAYER, Standing.ACCEPTED),
        (Stage.REMITTANCE, Standing.PAID),
        (Stage.REMITTANCE, Standing.PAID),
        (Stage.REMITTANCE, Standing.DENIED),
    ]
    assert mine[2].payer_claim_number == house.number_of(patient_control_number(ONE, 1, 1)) is not None
    claim, first, second = mine[3:]
    assert (claim.charged_cents, claim.paid_cents, claim.adjusted_cents, claim.patient_cents) == (9000, 4800, 4200, 0)
    assert (first.line, first.procedure, first.paid_cents) == (1, "97110", 4800)
    assert (second.line, second.procedure, second.paid_cents, second.adjusted_cents) == (2, "97161", 0, 3000)
    assert [str(code.code) for code in second.codes] == ["CO-97", "N130"]
    assert [code.system for code in second.codes] == ["CARC", "RARC"]


def test_the_payers_number_makes_a_correction_that_the_payer_takes(made, house):
    house.work()
    answers, cursor = asyncio.run(news(made))
    number = next(answer.payer_claim_number for answer in answers if answer.payer_claim_number and answer.reference == ONE)
    again = sent_to(made, 1 << 60, revision=2, frequency="7", units=4, original_id=number)
    asyncio.run(made.submit(again))
    house.work()
    assert house.books.totals() == {"claims": 2, "lines": 4, "units": 8, "amount_cents": 24000}
    answers, cursor = asyncio.run(news(made, cursor))
    assert {answer.submission_key for answer in answers} == {f"{ONE}-r2"}, "news of the correction is about the correction"
    number = answers[-1].payer_claim_number
    asyncio.run(made.submit(sent_to(made, 1 << 60, revision=3, frequency="8", units=4, original_id=number)))
    house.work()
    assert house.books.totals()["claims"] == 1 and house.books.violations == []


# ---------------------------------------------------------------- each kind


def test_a_ta1_speaks_of_every_day_in_the_file(made, tmp_path):
    raw = (ISA + f"TA1*{control_of(tmp_path)}*261102*1405*R*006~IEA*0*000000007~").encode()
    answers = read(tmp_path, raw)
    assert [(answer.reference, answer.standing, answer.stage) for answer in answers] == [
        (ONE, Standing.REJECTED, Stage.RECEIVED),
        (TWO, Standing.REJECTED, Stage.RECEIVED),
    ]
    assert answers[0].codes[0].code == "R:006" and answers[0].said_at == "2026-11-03T09:15"
    assert read(tmp_path, raw.replace(b"*R*006", b"*A*000"))[0].standing is Standing.ACCEPTED
    assert read(tmp_path, raw.replace(control_of(tmp_path).encode(), b"000000001")) == [], "another file than ours"
    assert {one.standing for one in read(tmp_path, raw.replace(b"*R*006", b"*R*025"))} == {Standing.PENDING}, "they have it"


@pytest.mark.parametrize(
    ("verdicts", "group", "expected"),
    [
        (("A", "R"), "P", [Standing.ACCEPTED, Standing.REJECTED]),
        (("E", "X"), "P", [Standing.ACCEPTED, Standing.REJECTED]),
        (("A", "A"), "R", [Standing.REJECTED, Standing.REJECTED]),
        ((), "A", [Standing.ACCEPTED, Standing.ACCEPTED]),
        ((), "R", [Standing.REJECTED, Standing.REJECTED]),
        (("A",), "P", [Standing.ACCEPTED]),
    ],
)
def test_a_999_turns_away_single_days(verdicts, group, expected, made, tmp_path):
    loops = []
    for at, verdict in enumerate(verdicts, start=1):
        errors = ["IK3*SV1*22*2400*8", "IK4*1:2*1*7*97XXX"] if verdict in "RX" else []
        loops += [f"AK2*837*{at:04d}*005010X222A1", *errors, f"IK5*{verdict}" + ("*5" if errors else "")]
    body = [f"AK1*HC*{int(control_of(tmp_path))}*005010X222A1", *loops, f"AK9*{group}*2*2*1"]
    answers = read(tmp_path, file_of("999", ACK, *body))
    assert [answer.standing for answer in answers] == expected
    assert all(answer.stage is Stage.SYNTAX for answer in answers)
    if verdicts == ("A", "R"):
        assert [(code.code, code.text) for code in answers[1].codes] == [
            ("IK5-R:5", ""),
            ("IK3-04:8", "2400 SV1 at segment 22"),
            ("IK4-03:7", "2400 SV1 at segment 22, element 1-2"),
        ]


def status(*claim: str, source: str = "PR", batch: str = "X", at_receiver: str = "A1:19:PR*20261103*WQ") -> bytes:
    return file_of(
        "277",
        STATUS,
        "BHT*0085*08*B*20261103*0915*TH",
        "HL*1**20*1",
        f"NM1*{source}*2*PAYER*****PI*15202",
        "TRN*1*T",
        "HL*2*1*21*1",
        "NM1*41*2*OAK*****46*OAKPT",
        f"TRN*2*{batch}",
        f"STC*{at_receiver}*90",
        "HL*3*2*19*1",
        "NM1*85*2*OAK*****XX*1234567893",
        *(["HL*4*3*PT", "NM1*QC*1*DOE*JO****MI*M1", *claim] if claim else []),
    )


def test_a_277ca_rejection_never_reached_the_payers_books(made, tmp_path):
    pcn = patient_control_number(ONE, 1, 1)
    claim = (
        f"TRN*2*{pcn}",
        "STC*A7:562:85*20261104*U*90******A8:128",
        "REF*1K*ICN1",
        "SVC*HC:97161:GP*30",
        "STC*A7:453*20261104*U",
        f"REF*FJ*{ONE.upper()}-2",
    )
    (whole, part) = read(tmp_path, status(*claim))
    assert (whole.stage, whole.standing, whole.reference) == (Stage.PAYER, Standing.REJECTED, ONE)
    assert [code.code for code in whole.codes] == ["A7:562:85", "A8:128"] and whole.said_at == "2026-11-04"
    assert whole.payer_claim_number == "ICN1"
    assert (part.line, part.procedure, part.standing, part.codes[0].code) == (2, "97161", Standing.REJECTED, "A7:453")
    (whole, _) = read(tmp_path, status(*claim, source="AY"))
    assert whole.stage is Stage.CLEARINGHOUSE and whole.payer_claim_number is None, "its number is not the payer's"


@pytest.mark.parametrize("code", ["A3:54", "A8:78:PR"])
def test_a_duplicate_is_turned_away_because_they_have_it(code, made, tmp_path):
    claim = (f"TRN*2*{patient_control_number(ONE, 1, 1)}", f"STC*{code}*20261104*U*90")
    assert read(tmp_path, status(*claim))[0].standing is Standing.DENIED, "never an original again"


def test_a_whole_batch_turned_away_is_told_of_the_day_in_it(made, tmp_path):
    refused = {"at_receiver": "A3:24:41*20261103*U", "batch": f"{control_of(tmp_path)}-0002"}
    (answer,) = read(tmp_path, status(**refused))
    assert (answer.reference, answer.standing, answer.codes[0].code) == (TWO, Standing.REJECTED, "A3:24:41")
    assert read(tmp_path, status(batch=refused["batch"])) == [], "let in: its claims follow"
    assert read(tmp_path, status(**{**refused, "batch": "another program's"})) == []


def test_of_several_revisions_the_batch_names_the_right_one(made, tmp_path):
    first = control_of(tmp_path)
    asyncio.run(made.submit(sent_to(made, 1 << 60, revision=2, frequency="7", original_id="ICN1")))
    pcn = patient_control_number(ONE, 1, 1)
    claim = (f"TRN*2*{pcn}", "STC*A2:20*20261104*WQ*90")
    assert read(tmp_path, status(*claim, batch=f"{first}-0001"))[0].submission_key == f"{ONE}-r1"
    assert read(tmp_path, status(*claim))[0].submission_key == f"{ONE}-r2", "without it the last"
    paid = ("BPR*I*90*C*CHK************20261110", "TRN*1*T*1", f"CLP*{pcn}*1*90*90**MB*ICN1*11*1")
    assert read(tmp_path, file_of("835", REMITTANCE, *paid))[0].submission_key == f"{ONE}-r1", "CLP09 says the original"


def remittance(*claims: str, paid: str = "0") -> bytes:
    return file_of("835", REMITTANCE, f"BPR*I*{paid}*C*CHK************20261110", "TRN*1*T*1", *claims)


@pytest.mark.parametrize(
    ("clp", "cas", "standing"),
    [
        ("1*90*90**MB", (), Standing.PAID),
        ("1*90*0*90*MB", ("CAS*PR*1*90",), Standing.PAID),  # deductible: decided, and nothing denied
        ("1*90*0**MB", ("CAS*CO*45*90",), Standing.PAID),
        ("1*90*0*90*MB", ("CAS*PR*96*90",), Standing.DENIED),
        ("1*90*0**MB", ("CAS*CO*50*90",), Standing.DENIED),
        ("4*90*0**MB", ("CAS*CO*31*90",), Standing.DENIED),
        ("2*90*0*18*MB", ("CAS*OA*23*72", "CAS*PR*2*18"), Standing.PAID),
        ("22*-90*-90**MB", (), Standing.PENDING),
    ],
)
def test_what_counts_as_denied(clp, cas, standing, made, tmp_path):
    claim = (f"CLP*{patient_control_number(ONE, 1, 1)}*{clp}*ICN9*11*1", *cas)
    answer = read(tmp_path, remittance(*claim, paid=clp.split("*")[2]))[0]
    assert answer.standing is standing and answer.codes[0].code == f"CLP02:{clp.split('*')[0]}"
    assert answer.payer_claim_number == "ICN9" and len(answer.codes) == 1 + len(cas)


def test_a_taken_back_claim_says_nothing_of_its_lines(made, tmp_path):
    pcn = patient_control_number(ONE, 1, 1)
    lines = ("SVC*HC:97110:GP*-60*-60", f"REF*6R*{ONE.upper()}-1")
    assert len(read(tmp_path, remittance(f"CLP*{pcn}*22*-60*-60**MB*ICN9", *lines, paid="-60"))) == 1


def test_sums_that_do_not_agree_are_a_finding_and_lose_no_claim(made, tmp_path):
    pcn = patient_control_number(ONE, 1, 1)
    answers = read(
        tmp_path, remittance(f"CLP*{pcn}*1*90*80**MB*ICN9", "SVC*HC:97110:GP*90*80", f"REF*6R*{ONE.upper()}-1", paid="81")
    )
    off, claim, part = answers
    assert off.reference is None and off.codes[0].code == "out-of-balance" and "by -$1.00" in off.text
    assert [code.code for code in claim.codes] == ["CLP02:1", "claim-out-of-balance"]
    assert [code.code for code in part.codes] == ["line-out-of-balance"] and part.paid_cents == 8000


def test_claims_that_are_not_ours_are_told_as_nobodys(made, tmp_path):
    answers = read(tmp_path, remittance("CLP*ACCOUNT-77*1*90*90**MB*ICN9", paid="90"))
    assert (answers[0].reference, answers[0].submission_key) == (None, None)
    assert "ACCOUNT-77" in answers[0].text and "ACCOUNT-77" not in repr(answers[0])
    forgotten = read(tmp_path, remittance("CLP*FEDCBA987654321AA*1*90*90**MB*ICN9", paid="90"))
    assert forgotten[0].reference == "pt-fedcba987654321", "without a receipt the name itself still says which day"
    whole = "pt-fedcba9876543210fedcba98"
    lines = ("SVC*HC:97110:GP*90*90", f"REF*6R*{whole.upper()}-4")
    known = read(tmp_path, remittance("CLP*FEDCBA987654321AA*1*90*90**MB*ICN9", *lines, paid="90"))
    assert [(one.reference, one.line) for one in known] == [(whole, None), (whole, 4)], "and its lines the whole name"


def test_a_claim_whose_control_number_was_changed_is_known_by_its_lines(made, tmp_path):
    lines = ("SVC*HC:97110:GP*60*60", f"REF*6R*{ONE.upper()}-1")
    answers = read(tmp_path, remittance("CLP*THEIR-OWN*1*60*60**MB*ICN9", *lines, paid="60"))
    assert [(answer.reference, answer.line, answer.submission_key) for answer in answers] == [
        (ONE, None, f"{ONE}-r1"),
        (ONE, 1, f"{ONE}-r1"),
    ]


def test_lines_are_known_by_either_form_of_their_number(made, tmp_path):
    pcn = patient_control_number(ONE, 1, 1)
    lines = (
        "SVC*HC:97110:GP*60*60",
        f"REF*6R*{ONE}-1",
        "SVC*HC:97161:GP*30*30",
        f"REF*6R*{pcn[:15]}-2",
        "SVC*HC:97161*0*0",
        "REF*6R*X-3",
    )
    answers = read(tmp_path, remittance(f"CLP*{pcn}*1*90*90**MB*ICN9", *lines, paid="90"))
    assert list(by_line(answers)) == [None, 1, 2]


# ---------------------------------------------------------------- a day in several claims


TWO_CLAIMS = day_of([line(1), line(1, visit="e2"), line(2)], visits=visits_of(authorization_number="OTHER1"))
FIRST, SECOND = patient_control_number(ONE, 1, 2), patient_control_number(ONE, 2, 2)


def in_two(made, revision: int = 1, day=TWO_CLAIMS, *, live: bytes = b"", number: str | None = None) -> bytes:
    """Send the day that is two claims, or its correction; its bytes."""
    if live:
        body, media_type = made.encode_replacement(day, live, reference=ONE, original_id=number)
    else:
        body, media_type = made.encode(day, reference=ONE, frequency="1", original_id=None)
    sent = sent_to(made, 1 << 60, revision=revision, frequency="7" if live else "1", original_id=number)
    (answer,) = asyncio.run(made.submit_batch([replace(sent, body=body, media_type=media_type)]))
    assert answer.native_code == "dropped"
    return body


def told(answers) -> list[tuple]:
    return [(answer.line, answer.stage, answer.standing, answer.payer_claim_number) for answer in answers]


def accepted(control: str, number: str = "", on: str = "20261104") -> bytes:
    return status(f"TRN*2*{control}", f"STC*A2:20*{on}*WQ*30", *([f"REF*1K*{number}"] if number else []))


def refused(control: str, source: str = "PR", on: str = "20261104") -> bytes:
    return status(f"TRN*2*{control}", f"STC*A7:562:85*{on}*U*30", source=source)


def test_a_claim_that_was_turned_away_is_told_as_its_lines_while_the_payer_may_have_the_other(tmp_path):
    in_two(destination(tmp_path / "drop"))
    words: dict[str, str] = {}
    one = read(tmp_path, refused(FIRST, "AY"), words)
    denied = [(at, Stage.CLEARINGHOUSE, Standing.DENIED, None) for at in (1, 3)]
    assert told(one) == [(None, Stage.CLEARINGHOUSE, Standing.PENDING, None), *denied], "not gone, and two lines of three"
    assert [code.code for code in one[1].codes] == ["A7:562:85"]
    assert one[0].text == "claim 1 of 2; it was refused: see its lines" and one[0].codes == ()
    other = read(tmp_path, accepted(SECOND, "ICN2"), words)
    assert told(other)[0] == (None, Stage.PAYER, Standing.ACCEPTED, "- ICN2"), "what the payer has of each"
    assert told(other)[1:] == [(at, Stage.PAYER, Standing.DENIED, None) for at in (1, 3)], "said again beside the newest word"
    assert len({answer.key for answer in (*one, *other)}) == 6
    paid = read(tmp_path, remittance(f"CLP*{FIRST}*1*60*60**MB*ICN1", paid="60"), words)
    assert told(paid) == [(None, Stage.REMITTANCE, Standing.ACCEPTED, "ICN1 ICN2")]


def test_a_day_is_turned_away_once_all_its_claims_are(tmp_path):
    in_two(destination(tmp_path / "drop"))
    words: dict[str, str] = {}
    read(tmp_path, refused(FIRST), words)
    gone = read(tmp_path, refused(SECOND), words)
    assert told(gone) == [(None, Stage.PAYER, Standing.REJECTED, None)]
    late = read(tmp_path, accepted(FIRST).replace(b"NM1*PR", b"NM1*AY"), words)
    assert told(late) == [(None, Stage.PAYER, Standing.REJECTED, None)], "an earlier stage that comes late changes nothing"
    duplicate = read(tmp_path, status(f"TRN*2*{SECOND}", "STC*A3:54*20261105*U*30"), words)
    assert told(duplicate) == [(None, Stage.PAYER, Standing.DENIED, None)], "they have that one"


def test_a_denied_line_of_one_claim_is_not_forgotten_when_the_other_is_paid(tmp_path):
    in_two(destination(tmp_path / "drop"))
    words: dict[str, str] = {}
    lines = (
        *("SVC*HC:97110:GP*30*30", f"REF*6R*{ONE.upper()}-1"),
        *("SVC*HC:97110:GP*30*0", "CAS*CO*97*30", f"REF*6R*{ONE.upper()}-3"),
    )
    one = read(tmp_path, remittance(f"CLP*{FIRST}*1*60*30**MB*ICN1", *lines, paid="30"), words)
    assert [(answer.line, answer.standing) for answer in one] == [
        (None, Standing.PAID),
        (1, Standing.PAID),
        (3, Standing.DENIED),
    ]
    later = remittance(f"CLP*{SECOND}*1*30*30**MB*ICN2", paid="30").replace(b"20261110", b"20261120")
    whole, third = read(tmp_path, later, words)
    assert (whole.standing, whole.payer_claim_number, whole.said_at) == (Standing.PAID, "ICN1 ICN2", "2026-11-20")
    assert (third.line, third.standing, third.said_at) == (3, Standing.DENIED, "2026-11-20"), "as new as the newest word"
    assert (third.procedure, [str(code.code) for code in third.codes]) == ("97110", ["CO-97"])
    again = remittance(f"CLP*{FIRST}*1*60*60**MB*ICN1", paid="60").replace(b"20261110", b"20261125")
    assert told(read(tmp_path, again, words)) == [(None, Stage.REMITTANCE, Standing.PAID, "ICN1 ICN2")], "reprocessed"


def test_letters_that_no_claim_of_ours_has_name_none(tmp_path):
    in_two(destination(tmp_path / "drop"))
    (answer,) = read(tmp_path, remittance(f"CLP*{FIRST[:15]}CB*1*30*30**MB*ICN2", paid="30"))
    assert answer.reference is None, "the third of two"


def test_news_without_a_batch_is_about_the_last_submission_of_so_many_claims(tmp_path):
    made = destination(tmp_path / "drop")
    live = in_two(made)
    in_two(made, 2, live=live, number="ICN1 ICN2")
    in_two(made, 3, day_of([line(1)]), live=live, number="ICN1 -")
    assert read(tmp_path, accepted(SECOND))[0].submission_key == f"{ONE}-r2"
    assert read(tmp_path, accepted(patient_control_number(ONE, 1, 1)))[0].submission_key == f"{ONE}-r3"
    paid = remittance(f"CLP*{SECOND}*1*30*30**MB*ICN2*11*1", paid="30")
    assert read(tmp_path, paid)[0].submission_key == f"{ONE}-r1", "CLP09 says the original"


def test_a_claim_that_is_known_by_its_lines_is_the_right_one_of_several(tmp_path):
    in_two(destination(tmp_path / "drop"))
    words: dict[str, str] = {}
    lines = ("SVC*HC:97110:GP*30*30", f"REF*6R*{ONE.upper()}-2")
    assert told(read(tmp_path, remittance("CLP*THEIR-OWN*1*30*30**MB*ICN2", *lines, paid="30"), words))[0][3] is None
    assert told(read(tmp_path, accepted(FIRST, "ICN1"), words))[0][3] == "ICN1 ICN2"


def test_a_file_that_was_turned_away_leaves_what_a_correction_of_several_claims_was_to_correct(tmp_path):
    made = destination(tmp_path / "drop")
    live = in_two(made)
    control = control_of(tmp_path)
    refusal = (ISA + f"TA1*{control}*261102*1405*R*006~IEA*0*000000007~").encode()
    assert read(tmp_path, refusal)[0].payer_claim_number == "- -"
    syntax = file_of("999", ACK, f"AK1*HC*{int(control)}*005010X222A1", "AK2*837*0001", "IK5*R*5", "AK9*R*1*1*0")
    assert read(tmp_path, syntax)[0].payer_claim_number == "- -"
    (tmp_path / "drop" / f"ptbridge-oak-{control}.837").unlink()
    corrected = in_two(made, 2, live=live, number="ICN1 ICN2")
    again, _ = made.encode_replacement(TWO_CLAIMS, corrected, reference=ONE, original_id="- -")
    assert again == corrected, "the payer has what it named"


def test_answers_of_a_day_in_two_claims_by_an_older_receipt_stand_as_the_worst(tmp_path):
    in_two(destination(tmp_path / "drop"))
    (receipt,) = (tmp_path / "drop" / ".ptbridge" / "oak").glob("*.json")
    receipt.write_bytes(receipt.read_bytes().replace(b'"parts":"1:1,3 1:2"', b'"parts":""'))
    words: dict[str, str] = {}
    assert told(read(tmp_path, refused(FIRST), words)) == [(None, Stage.PAYER, Standing.DENIED, None)]
    (whole,) = read(tmp_path, accepted(SECOND, "ICN2"), words)
    assert told([whole]) == [(None, Stage.PAYER, Standing.DENIED, "- ICN2")] and [c.code for c in whole.codes] == ["A7:562:85"]


def test_a_day_in_two_claims_is_corrected_and_taken_back_at_the_payer_to_the_cent(tmp_path, house):
    made = destination(tmp_path / "drop")
    live, cursor = in_two(made), {}

    def numbers() -> str:
        nonlocal cursor
        house.work()
        assert house.books.violations == []
        answers, cursor = asyncio.run(news(made, cursor))
        return [answer.payer_claim_number for answer in answers if answer.payer_claim_number][-1]

    number = numbers()
    assert house.books.totals()["claims"] == 2 and number == "ICN00000001 ICN00000002"
    live = in_two(made, 2, live=live, number=number)
    number = numbers()
    assert house.books.totals()["claims"] == 2 and number == "ICN00000003 ICN00000004"
    single = day_of([line(1), line(2), line(3)])
    live = in_two(made, 3, single, live=live, number=number)
    assert [one.split("*")[5] for one in live.decode().split("~") if one.startswith("CLM*")] == ["11:B:7", "11:B:7"]
    assert live.count(b"REF*G1*AUTHQXZ9") == 2, "each line stays in its claim, also where all are of one authorization now"
    number = numbers()
    assert house.books.totals() == {"claims": 2, "lines": 3, "units": 3, "amount_cents": 9000}
    live = in_two(made, 4, day_of([line(1), line(2)]), live=live, number=number)
    assert [one.split("*")[5] for one in live.decode().split("~") if one.startswith("CLM*")] == ["11:B:8", "11:B:7"]
    number = numbers()
    assert house.books.totals() == {"claims": 1, "lines": 2, "units": 2, "amount_cents": 6000}
    assert number == "void ICN00000008"
    live = in_two(made, 5, live=live, number=number)
    assert [one.split("*")[5] for one in live.decode().split("~") if one.startswith("CLM*")] == ["11:B:7", "11:B:1"]
    number = numbers()
    assert house.books.totals() == {"claims": 2, "lines": 3, "units": 3, "amount_cents": 9000}
    void, media_type = made.encode_void(live, reference=ONE, original_id=number)
    gone = replace(sent_to(made, 1 << 60, revision=6, frequency="8", original_id="X"), body=void, media_type=media_type)
    asyncio.run(made.submit(gone))
    assert numbers() == "void void" and house.books.totals()["claims"] == 0


def test_of_a_claim_that_the_payer_does_not_have_nothing_is_replaced_or_taken_back(tmp_path, house):
    made = destination(tmp_path / "drop")
    live = in_two(made)
    body, media_type = made.encode_replacement(TWO_CLAIMS, live, reference=ONE, original_id="- ICN2")
    assert [one.split("*")[5] for one in body.decode().split("~") if one.startswith("CLM*")] == ["11:B:7", "11:B:1"]
    assert body.index(f"REF*6R*{ONE.upper()}-2".encode()) < body.index(f"REF*6R*{ONE.upper()}-1".encode()), "new ones go last"
    assert body.count(b"REF*F8*ICN2") == 1 == body.count(b"REF*F8*") and "withheld" not in media_type
    void, media_type = made.encode_void(live, reference=ONE, original_id="- ICN2")
    assert void.count(b"CLM*") == 1 and b"REF*F8*ICN2" in void and "withheld" not in media_type
    assert f"CLM*{patient_control_number(ONE, 1, 1)}*".encode() in void
    single, _ = made.encode(day_of([line(1)]), reference=ONE, frequency="7", original_id="ICN7")
    back, _ = made.encode_void(single, reference=ONE, original_id="ICN1 -")
    assert b"REF*F8*ICN7" in back, "turned away whole: the payer has what it named"
    for unknown in ("ICN1", None, "ICN1 *"):
        assert made.encode_replacement(TWO_CLAIMS, live, reference=ONE, original_id=unknown)[1].endswith("no-payer-number")
        assert made.encode_void(live, reference=ONE, original_id=unknown)[1].endswith("no-payer-number")


# ---------------------------------------------------------------- files in the folder


def test_each_file_is_read_once_and_forgotten_when_it_is_taken_away(made, house, tmp_path):
    house.work()
    answers, cursor = asyncio.run(news(made))
    assert len(answers) == 6 and len(cursor) == 3
    assert asyncio.run(news(made, cursor)) == ([], cursor)
    (file,) = (tmp_path / "answers").glob("*-999.x12")
    os.utime(file, (1, 1))
    again, touched = asyncio.run(news(made, cursor))
    assert again == [] and touched != cursor, "touched, and the same"
    file.unlink()
    assert len(asyncio.run(news(made, touched))[1]) == 2


def test_the_same_news_in_another_file_has_the_same_keys(made, house, tmp_path):
    house.work()
    house.remit()
    first, cursor = asyncio.run(news(made))
    for file in list((tmp_path / "answers").iterdir()):
        (tmp_path / "answers" / f"again-{file.name}").write_bytes(file.read_bytes().replace(b"~", b"~\r\n"))
    second, _ = asyncio.run(news(made, cursor))
    assert sorted(answer.key for answer in second) == sorted(answer.key for answer in first)
    assert len({answer.key for answer in first}) == len(first)


def test_half_a_file_waits_until_it_is_whole(made, house, tmp_path):
    house.work()
    (file,) = (tmp_path / "answers").glob("*-277ca.x12")
    whole = file.read_bytes()
    file.write_bytes(whole[: len(whole) // 2])
    answers, cursor = asyncio.run(news(made))
    assert len(answers) == 4
    file.write_bytes(whole)
    more, cursor = asyncio.run(news(made, cursor))
    assert [answer.stage for answer in more] == [Stage.PAYER, Stage.PAYER]


def test_a_file_that_stays_damaged_is_told_once(made, house, tmp_path):
    (tmp_path / "answers" / "damaged.x12").write_bytes(b"ISA*00 FAMQXZ")
    assert asyncio.run(news(made))[0] == [], "it may still be on its way"
    _, cursor = asyncio.run(news(made))
    (told,), cursor = asyncio.run(news(made, cursor))
    assert (told.reference, told.standing, told.codes[0].code) == (None, Standing.PENDING, "unreadable")
    assert told.text.startswith("damaged.x12: interchange 1: is not a whole X12 file") and "FAMQXZ" not in told.text
    assert asyncio.run(news(made, cursor))[0] == []


def test_a_transaction_that_cannot_be_read_hides_no_other(made, tmp_path):
    good = remittance(f"CLP*{patient_control_number(ONE, 1, 1)}*1*90*90**MB*ICN9", paid="90")
    bad = good.replace(b"*1*90*90*", b"*1*9O*90*")
    told, paid = read(tmp_path, bad + good)
    assert told.codes[0].code == "unreadable" and "CLP03" in told.text
    assert paid.standing is Standing.PAID
    (told,) = read(tmp_path, (ISA + "TA1*1*261102*1405*Z*025~IEA*0*000000007~").encode())
    assert told.codes[0].code == "unreadable"


def test_other_transactions_are_not_ours_to_read(made, tmp_path):
    assert read(tmp_path, file_of("277", "005010X212", "BHT*0010*08*X*20261103*0915")) == []
    assert read(tmp_path, file_of("271", "005010X279A1", "BHT*0022*11*X*20261103*0915")) == []
    with pytest.raises(RecordError):
        read(tmp_path, b"hello")


def test_many_answers_come_in_pages_and_the_last_moves_the_cursor(made, tmp_path):
    pcn = patient_control_number(ONE, 1, 1)
    claims = [f"CLP*{pcn}*1*{number}*{number}**MB*ICN{number}" for number in range(1, _PAGE + 20)]
    (tmp_path / "answers").mkdir(exist_ok=True)
    (tmp_path / "answers" / "many.x12").write_bytes(remittance(*claims, paid=str(sum(range(1, _PAGE + 20)))))

    async def pages():
        return [page async for page in made.answers({})]

    first, second = asyncio.run(pages())
    assert len(first.answers) == _PAGE and first.cursor is None
    assert len(second.answers) == 19 and list(second.cursor) == ["file:many.x12"]


def test_a_file_that_goes_away_meanwhile_or_is_too_large_stops_nothing(made, house, tmp_path, monkeypatch):
    house.work()
    files = made._answer_files
    listed = asyncio.run(files.files())
    for file in (tmp_path / "answers").glob("*-999.x12"):
        file.unlink()

    async def stale():
        return listed

    monkeypatch.setattr(files, "files", stale)
    answers, cursor = asyncio.run(news(made))
    assert len(answers) == 4 and len(cursor) == 2
    monkeypatch.undo()
    monkeypatch.setattr("ptbridge.destinations._x12_inbound.MAX_BYTES", 10)
    large, cursor = asyncio.run(news(made))
    large, cursor = asyncio.run(news(made, cursor))
    assert [answer.codes[0].code for answer in large] == ["unreadable"] * 2
    (tmp_path / "answers" / "secret.x12").write_bytes(b"")
    monkeypatch.undo()

    def refuse(self):
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(Path, "read_bytes", refuse)
    with pytest.raises(PeerUnavailable, match="Permission denied"):
        asyncio.run(news(made))


def test_an_answer_shows_that_a_file_arrived_and_silence_shows_nothing(made, house, tmp_path):
    one = sent_to(made, 1 << 60)
    (tmp_path / "answers" / "000-damaged.x12").write_bytes(b"ISA*")
    assert asyncio.run(made.arrived(one)) is False
    house.work()
    assert asyncio.run(made.arrived(one)) is True
    assert asyncio.run(made.arrived(sent_to(made, 3 << 60))) is False
    assert asyncio.run(destination(tmp_path / "drop", answers="").arrived(one)) is False
