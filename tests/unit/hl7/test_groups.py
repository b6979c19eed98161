"""Which segment belongs to which FT1."""

from __future__ import annotations

from hl7_messages import HEADER, PATIENT, VISIT, charge, lines

from ptbridge.wire.hl7v2 import Message

P11 = HEADER.replace("P03", "P11")


def read(*segments: str, header: str = HEADER) -> Message:
    return Message.parse(lines(header, PATIENT, VISIT, *segments))


def labels(message: Message) -> list[list[str]]:
    return [[one.label for one in group.members] for group in message.groups()]


def test_p03_notes_procedures_and_orders_follow_their_charge_and_diagnoses_are_for_all():
    message = read(
        charge(1), "NTE|1||of the charge", "PR1|1||97110||||15", "ROL|1|AD|PP|7^HELPER",
        "ORC|RE", "OBR|1", "NTE|1||of the order", "OBX|1|NM|MIN||23", "NTE|1||of the result", "ZFT|1|x",
        charge(2), "PR1|2||97530||||8",
        "DG1|1||M54.50", "DG1|2||M25.561", "GT1|1", "IN1|1|P1|I1", "IN2|1", "ROL|9|AD|PI|8^OTHER",
    )  # fmt: skip
    first, second = message.groups()
    assert labels(message) == [
        ["NTE[1]", "PR1[1]", "ROL[1]", "ORC[1]", "OBR[1]", "NTE[2]", "OBX[1]", "NTE[3]", "ZFT[1]"],
        ["PR1[2]"],
    ]
    assert [first.get(path) for path in ("NTE-3", "PR1-7", "OBX-5", "ROL-4", "ZFT-2")] == [
        "of the charge",
        "15",
        "23",
        "7",
        "x",
    ]
    assert first.get_all("NTE[*]-3") == ("of the charge",)
    assert [one.field(3) for one in first.under(first.segments("OBX")[0], "NTE")] == ["of the result"]
    assert [second.get(path) for path in ("NTE-3", "PR1-7", "OBX-5", "ROL-4", "ZFT-2")] == [None, "8", None, None, None]
    assert first.get_all("DG1[*]-3") == second.get_all("DG1[*]-3") == ("M54.50", "M25.561")
    assert second.get("IN1-2") == "P1"
    owner = message.owner(message.segments("ROL")[1])
    assert owner is not None and owner.label == "IN1[1]"


def test_a_visits_minutes_never_become_each_lines_minutes():
    message = read("OBX|1|NM|MIN||45", charge(1), charge(2), "DG1|1||M54.50", "PR1|1||97110||||45", "NTE|1||45 min")
    for group in message.groups():
        assert [group.get(path) for path in ("OBX-5", "PR1-7", "NTE-3")] == [None, None, None]
    assert message.get("PR1-7") == "45"


def test_p11_diagnoses_of_the_line_come_before_those_of_the_message():
    message = read(
        "DG1|1||Z00.00", "IN1|1|SHARED",
        charge(1), "DG1|1||M54.50", "DG1|2||M25.561", "GT1|1|OWN", "IN1|1|OWN", "ROL|1|AD|PI|8^OTHER",
        charge(2),
        header=P11,
    )  # fmt: skip
    first, second = message.groups()
    assert first.get_all("DG1[*]-3") == ("M54.50", "M25.561")
    assert second.get_all("DG1[*]-3") == ("Z00.00",)
    assert (first.get("IN1-2"), second.get("IN1-2")) == ("OWN", "SHARED")
    assert first.segments("ROL") == []  # it is the insurance's, not the charge's
    assert message.remarks == ()


def test_a_p03_with_diagnoses_between_its_charges_is_read_like_a_p11_and_remarked():
    message = read(charge(1), "DG1|1||M54.50", charge(2), "DG1|1||M25.561")
    assert [group.get_all("DG1[*]-3") for group in message.groups()] == [("M54.50",), ("M25.561",)]
    assert [one.code for one in message.remarks] == ["charges-and-diagnoses-mixed"]


def test_orders_before_each_charge_go_to_the_charge_after_them():
    message = read("ORC|RE|1", "OBR|1|A", "OBX|1|NM|MIN||23", charge(1), "ORC|RE|2", "OBR|2|B", "OBX|1|NM|MIN||8", charge(2))
    assert [(group.get("OBR-2"), group.get("OBX-5")) for group in message.groups()] == [("A", "23"), ("B", "8")]
    assert [one.code for one in message.remarks] == ["orders-before-charges"]


def test_charges_in_an_order_message_belong_to_their_order():
    header = HEADER.replace("DFT^P03^DFT_P03", "ORM^O01")
    message = read(
        "ORC|NW|1", "OBR|1|A", "DG1|1||M54.50", charge(1), charge(2), "ORC|NW|2", "OBR|2|B", charge(3), header=header
    )
    assert [(group.get("ORC-2"), group.get("OBR-2"), group.get("DG1-3")) for group in message.groups()] == [
        ("1", "A", "M54.50"), ("1", "A", "M54.50"), ("2", "B", "M54.50"),
    ]  # fmt: skip
    assert message.remarks == ()


def test_a_path_on_a_group_is_about_its_own_charge():
    message = read(charge(1, modifiers="GP"), charge(2, modifiers="GP~KX~59"))
    assert [group.get_all("FT1-26[*]") for group in message.groups()] == [("GP",), ("GP", "KX", "59")]
    assert [group.get("FT1-2") for group in message.groups()] == ["T1", "T2"]
    assert [group.get("PV1-7[authority=NPI]") for group in message.groups()] == ["1999999984"] * 2
    assert message.groups("PR1") == ()
