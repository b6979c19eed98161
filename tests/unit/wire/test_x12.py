"""X12 files as they come: whole or not at all, separators of their own, and every amount and code as it stands."""

from __future__ import annotations

import re

import pytest

from ptbridge.errors import RecordError
from ptbridge.wire import x12
from ptbridge.wire.x12 import cents, interchanges, iso_date
from ptbridge.wire.x12_acknowledgements import read_999, read_ta1
from ptbridge.wire.x12_claim_status import read_277ca
from ptbridge.wire.x12_remittance import read_835

ISA = "ISA*00*          *00*          *ZZ*CLEARSANDBOX   *ZZ*OAKPT          *261103*0915*^*00501*000000007*0*P*:~"


def file_of(kind: str, version: str, *body: str) -> bytes:
    """One interchange with one transaction set."""
    st = f"ST*{kind}*0001*{version}"
    segments = (st, *body, f"SE*{len(body) + 2}*0001")
    return (ISA + f"GS*XX*A*B*20261103*0915*7*X*{version}~" + "~".join(segments) + "~GE*1*7~IEA*1*000000007~").encode()


def transaction(kind: str, version: str, *body: str):
    (found,) = interchanges(file_of(kind, version, *body))[0].transactions()
    return found


GOOD = file_of("999", "005010X231A1", "AK1*HC*5*005010X222A1", "AK9*A*1*1*1")


# ---------------------------------------------------------------- envelopes


def test_an_interchange_names_its_own_separators():
    other = GOOD.decode().replace("*", "|").replace(":", ">").replace("~", "\x1c").replace("^", "!").encode()
    (found,) = interchanges(other)
    assert (found.sender, found.receiver, found.control, found.said_at) == (
        "CLEARSANDBOX",
        "OAKPT",
        "000000007",
        "2026-11-03T09:15",
    )
    (only,) = found.transactions()
    assert [segment.id for segment in only.segments()] == ["ST", "AK1", "AK9", "SE"]
    assert [segment.place for segment in only.segments()] == [1, 2, 3, 4]


@pytest.mark.parametrize("between", ["\n", "\r\n", "\n\n", " \n"])
def test_line_breaks_between_segments_are_nothing(between):
    broken = GOOD.decode().replace("~", f"~{between}")
    assert [one.kind for one in interchanges(broken.encode())[0].transactions()] == ["999"]


def test_several_interchanges_and_what_old_transfers_leave_around_them():
    raw = b"\xef\xbb\xbf" + GOOD + b"\r\n\x00" + GOOD + b"\x1a"
    assert len(interchanges(raw)) == 2


@pytest.mark.parametrize(
    ("damage", "why"),
    [
        (lambda text: "", "it is empty"),
        (lambda text: "HELLO WORLD", "no ISA segment"),
        (lambda text: text[:90], "no ISA segment"),
        (lambda text: text[:-30], "ends before its IEA"),
        (lambda text: text.replace("SE*4*", "SE*5*"), "SE counts otherwise than the 4"),
        (lambda text: text.replace("SE*4*", "SE*x*"), "SE counts otherwise"),
        (lambda text: text.replace("SE*4*0001", "SE*4*0002"), "SE repeats another control number"),
        (lambda text: text.replace("GE*1*7", "GE*2*7"), "GE counts otherwise"),
        (lambda text: text.replace("GE*1*7", "GE*1*8"), "GE repeats another"),
        (lambda text: text.replace("IEA*1*000000007", "IEA*1*000000008"), "IEA repeats another"),
        (lambda text: text.replace("AK9*A*1*1*1~", "GE*1*7~"), "GE stands inside a transaction"),
        (lambda text: text.replace("GS*XX", "GX*XX"), "only GS, TA1 or IEA"),
        (lambda text: text.replace("ST*999", "SX*999"), "only ST or GE"),
        (lambda text: text.replace("^", "^", 1).replace("P*:~", "P**~", 1), "no ISA segment"),
    ],
)
def test_what_is_not_whole_counts_for_nothing(damage, why):
    with pytest.raises(RecordError, match=re.escape(why)):
        interchanges(damage(GOOD.decode()).encode())


def test_a_refusal_quotes_nothing_of_the_file():
    with pytest.raises(RecordError) as caught:
        interchanges(GOOD.replace(b"AK1*HC", b"ISA*JOHNDOE"))
    assert "JOHNDOE" not in f"{caught.value!r}{caught.value.fix}" and caught.value.where.startswith("interchange 1, segment")


def test_a_file_too_large_is_refused_before_it_is_read(monkeypatch):
    monkeypatch.setattr(x12, "MAX_BYTES", len(GOOD) - 1)
    with pytest.raises(RecordError, match="is larger than"):
        interchanges(GOOD)


def test_text_that_is_no_utf8_is_latin1():
    latin = GOOD.replace(b"AK1*HC", "AK1*H\u00d6".encode("latin-1"))
    (found,) = interchanges(latin)[0].transactions()
    assert next(segment.get(1) for segment in found.segments() if segment.id == "AK1") == "HÖ"


@pytest.mark.parametrize(
    ("text", "amount"),
    [("60", 6000), ("60.5", 6050), ("60.25", 6025), (".75", 75), ("-12.3", -1230), ("0", 0), ("60.500", 6050), ("+7", 700)],
)
def test_amounts_are_cents(text, amount):
    assert cents(text) == amount


@pytest.mark.parametrize("text", ["", ".", "-", "6,0", "1e3", "60.255", "0x10", "٣", "9" * 20, "--1", "NaN", " 1"])
def test_what_is_no_amount_is_none(text):
    assert cents(text) is None


def test_dates():
    assert iso_date("20261103") == "2026-11-03"
    assert [iso_date(text) for text in ("20261303", "2026110", "202611-3", "20261100")] == ["", "", "", ""]


# ---------------------------------------------------------------- TA1, 999


def test_a_ta1_names_the_interchange_and_the_verdict():
    raw = (ISA + "TA1*000000123*261102*1405*R*025~IEA*0*000000007~").encode()
    (segment,) = interchanges(raw)[0].acknowledgements
    told = read_ta1(segment)
    assert (told.control, told.verdict, told.note) == ("000000123", "R", "025")
    for broken in (b"*Q*025", b"**025"):
        (segment,) = interchanges(raw.replace(b"*R*025", broken))[0].acknowledgements
        with pytest.raises(RecordError, match="no verdict"):
            read_ta1(segment)


def test_a_999_says_which_transaction_and_where_in_it():
    told = read_999(
        transaction(
            "999",
            "005010X231A1",
            "AK1*HC*123*005010X222A1",
            "AK2*837*0001*005010X222A1",
            "IK5*A",
            "AK2*837*0002*005010X222A1",
            "IK3*SV1*22*2400*8",
            "CTX*CLM01:X",
            "IK4*1:2*1*7*97XXX",
            "IK3*NM1*9**3",
            "IK5*R*5*I5",
            "AK9*P*2*2*1*1",
        )
    )
    assert (told.kind, told.control, told.verdict, told.codes) == ("HC", "123", "P", ("1",))
    first, second = told.transactions
    assert (first.control, first.verdict, first.errors) == ("0001", "A", ())
    assert (second.control, second.verdict, second.codes) == ("0002", "R", ("5", "I5"))
    assert second.errors == (
        ("IK3-04:8", "2400 SV1 at segment 22"),
        ("IK4-03:7", "2400 SV1 at segment 22, element 1-2"),
        ("IK3-04:3", "no loop NM1 at segment 9"),
    )


@pytest.mark.parametrize(
    "body",
    [("AK9*A*1*1*1",), ("AK1*HC*1",), ("AK1*HC*1", "IK5*A", "AK9*A*1*1*1"), ("AK1*HC*1", "AK2*837*1", "IK5", "AK9*A*1*1*1")],
)
def test_a_999_without_its_subject_is_none(body):
    with pytest.raises(RecordError):
        read_999(transaction("999", "005010X231A1", *body))


# ---------------------------------------------------------------- 277CA

STATUS = (
    "BHT*0085*08*B1*20261103*0915*TH",
    "HL*1**20*1",
    "NM1*PR*2*PAYER*****PI*15202",
    "TRN*1*T1",
    "HL*2*1*21*1",
    "NM1*41*2*OAK*****46*OAKPT",
    "TRN*2*000000123-0001",
    "STC*A1:19:PR*20261103*WQ*150",
    "HL*3*2*19*1",
    "NM1*85*2*OAK*****XX*1234567893",
    "TRN*1*0",
    "STC*A1:19:PR**WQ*150",
    "HL*4*3*PT",
    "NM1*QC*1*DOE*JO****MI*M1",
    "TRN*2*PCN1",
    "STC*A2:20:PR*20261103*WQ*90",
    "REF*1K*ICN77",
    "REF*D9*CH55",
    "DTP*472*D8*20261102",
    "TRN*2*PCN2",
    "STC*A7:562:85*20261103*U*60******A7:128:85**BAD NPI",
    "DTP*472*D8*20261102",
    "SVC*HC:97110:GP*60",
    "STC*A7:453*20261103*U",
    "REF*FJ*PT-1-2",
)


def test_a_277ca_tells_each_claim_and_line():
    batch, provider, first, second = read_277ca(transaction("277", "005010X214", *STATUS))
    assert (batch.control, batch.batch, batch.statuses[0].rejects) == ("", "000000123-0001", False)
    assert provider.control == "" and not provider.statuses[0].rejects
    assert (first.control, first.batch, first.by_payer, first.source) == ("PCN1", "000000123-0001", True, "15202")
    assert (first.payer_claim_number, first.clearinghouse_number) == ("ICN77", "CH55")
    assert [(one.codes, one.action, one.said_at) for one in first.statuses] == [(("A2:20:PR",), "WQ", "2026-11-03")]
    assert second.control == "PCN2" and second.payer_claim_number == ""
    assert second.statuses[0].codes == ("A7:562:85", "A7:128:85") and second.statuses[0].text == "BAD NPI"
    (line,) = second.lines
    assert (line.control, line.procedure, line.statuses[0].codes) == ("PT-1-2", "97110", ("A7:453",))
    assert line.statuses[0].rejects


@pytest.mark.parametrize(
    ("code", "rejects"), [("A2:20", False), ("A0:16", False), ("A8:21", True), ("A3:21", True), ("E0:24", True)]
)
def test_without_an_action_the_category_decides(code, rejects):
    body = [text.replace("STC*A2:20:PR*20261103*WQ", f"STC*{code}*20261103*") for text in STATUS]
    assert read_277ca(transaction("277", "005010X214", *body))[2].statuses[0].rejects is rejects


def test_a_clearinghouse_is_no_payer():
    body = [text.replace("NM1*PR*", "NM1*AY*") for text in STATUS]
    assert not read_277ca(transaction("277", "005010X214", *body))[2].by_payer


# ---------------------------------------------------------------- 835

PAID = (
    "BPR*I*113.6*C*CHK************20261110",
    "TRN*1*CHECK9*1512345678",
    "DTM*405*20261109",
    "N1*PR*PAYER*XV*15202",
    "N1*PE*OAK*XX*1234567893",
    "LX*1",
    "TS3*1234567893*11*20261231*1*120",
    "CLP*PCN1*1*150*123.6*6.4*MB*ICN77*11*1",
    "CAS*PR*3*6.4",
    "NM1*QC*1*DOE*JO****MI*M1",
    "MOA***MA01*MA18",
    "SVC*HC:97110:GP*120*100**2",
    "DTM*472*20261102",
    "CAS*CO*45*18**253*2",
    "REF*6R*PT-1-1",
    "LQ*HE*N362",
    "SVC*HC:97161*30*30",
    "REF*6R*PT-1-2",
    "LX*2",
    "CLP*PCN2*4*60*0**MB*ICN78",
    "CAS*CO*50*60",
    "PLB*1234567893*20261231*WO:X*10",
)


def test_an_835_gives_every_cent_its_reason():
    told = read_835(transaction("835", "005010X221A1", *PAID))
    assert (told.trace, told.payer, told.paid_cents, told.said_at) == ("CHECK9", "15202", 11360, "2026-11-10")
    assert told.provider_adjustments == (("WO", 1000),) and told.difference_cents == 0
    first, second = told.claims
    assert (first.control, first.status, first.charged_cents, first.paid_cents, first.patient_cents) == (
        "PCN1",
        "1",
        15000,
        12360,
        640,
    )
    assert (first.payer_claim_number, first.frequency, first.remarks) == ("ICN77", "1", ("MA01", "MA18"))
    assert [(one.group, one.reason, one.cents) for one in first.all_adjustments] == [
        ("PR", "3", 640),
        ("CO", "45", 1800),
        ("CO", "253", 200),
    ]
    line, other = first.lines
    assert (line.control, line.procedure, line.charged_cents, line.paid_cents) == ("PT-1-1", "97110", 12000, 10000)
    assert line.remarks == ("N362",) and line.service_date == "2026-11-02" and line.balances
    assert other.balances and first.balances
    assert (second.status, second.paid_cents, second.patient_cents, second.balances) == ("4", 0, 0, True)
    assert "LX" not in first.raw and first.raw.startswith("CLP*PCN1")


@pytest.mark.parametrize(
    ("old", "new", "claim", "difference"),
    [
        ("BPR*I*113.6", "BPR*I*113.61", True, -1),
        ("*WO:X*10", "*WO:X*-10", True, 2000),
        ("CAS*CO*45*18**253*2", "CAS*CO*45*18", False, 0),
        ("CAS*PR*3*6.4", "CAS*PR*3*6.39", False, 0),
    ],
)
def test_sums_that_contradict_each_other_are_seen(old, new, claim, difference):
    told = read_835(transaction("835", "005010X221A1", *(text.replace(old, new) for text in PAID)))
    assert told.claims[0].balances is claim and told.difference_cents == difference


@pytest.mark.parametrize(
    ("old", "new", "where"),
    [("CLP*PCN1*1*150*", "CLP*PCN1*1**", "CLP03"), ("*45*18**", "*45***", "CAS03"), ("BPR*I*113.6", "BPR*I*1e3", "BPR02")],
)
def test_an_amount_that_is_none_stops_the_remittance(old, new, where):
    with pytest.raises(RecordError, match=where) as caught:
        read_835(transaction("835", "005010X221A1", *(text.replace(old, new) for text in PAID)))
    assert "PCN1" not in str(caught.value)


def test_an_835_without_a_payment_is_none():
    with pytest.raises(RecordError, match="no BPR"):
        read_835(transaction("835", "005010X221A1", *PAID[1:]))


def test_times_that_are_none_are_left_out():
    for clock, said in (("2560", "2026-11-03"), ("09", "2026-11-03")):
        raw = GOOD.replace(b"*261103*0915*", f"*261103*{clock:<4}*".encode(), 1)
        assert interchanges(raw)[0].said_at == said
    assert interchanges(GOOD.replace(b"*261103*0915*", b"*269903*0915*", 1))[0].said_at == ""
