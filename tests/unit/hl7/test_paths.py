"""Paths as the standard writes them."""

from __future__ import annotations

import pytest
from hl7_messages import HEADER, PATIENT, charge, lines
from hl7apy import load_library

from ptbridge.wire.hl7_paths import _EI, _XCN, _XON, PathSyntaxError, compile_path
from ptbridge.wire.hl7v2 import Message

MESSAGE = Message.parse(
    lines(
        HEADER,
        PATIENT,
        "PV1|1|O|||||1234^LOCAL^L~1999999984^KNEEWELL^PAULA^^^^^^NPI&2.16.840.1.113883.4.6&ISO^^^^NPI",
        "OBX|1|NM|HR^heart||61",
        "OBX|2|NM|MIN^minutes^L||25",
        "OBX|3|TX|NOTE||W&W^O|",
        "OBX|4|CE|X||A^B|",
        "NTE|1||slow & steady ^ sure~really",
        charge(1, modifiers="GP~~59"),
        charge(2, code="97530", modifiers=""),
    )
)


@pytest.mark.parametrize(
    ("path", "one", "every"),
    [
        ("FT1-7", "LOCAL1", ("LOCAL1",)),
        ("FT1-7.2", "THERAPY", ("THERAPY",)),
        ("FT1-11.1.1", "120.00", ("120.00",)),
        ("FT1-11.1.2", None, ()),
        ("FT1-26[*]", "GP", ("GP", "59")),
        ("FT1-26", "GP", ("GP",)),
        ("FT1-26[2]", None, ()),
        ("FT1-26[3]", "59", ("59",)),
        ("FT1[2]-25", "97530", ("97530",)),
        ("FT1[*]-25.1", "97110", ("97110", "97530")),
        ("FT1[*]-26[*]", "GP", ("GP", "59")),
        ("FT1[3]-25", None, ()),
        ("FT1[25=97530]-2", "T2", ("T2",)),
        ("PID-3", "100", ("100",)),
        ("PID-3[authority=CLINIC]", "100", ("100",)),
        ("PID-3[authority=2.16.840.1].1", "123", ("123",)),
        ("PID-3[type=SS]", "123", ("123",)),
        ("PID-3[type=SS][authority=CLINIC]", None, ()),
        ("PID-3[4.3=ISO]", "123", ("123",)),
        ("PID-3[5=MR].5", "MR", ("MR",)),
        ("PV1-7[authority=NPI]", "1999999984", ("1999999984",)),
        ("PV1-7[type=NPI].2", "KNEEWELL", ("KNEEWELL",)),
        ("OBX[3=MIN]-5", "25", ("25",)),
        ("OBX[3.2=minutes]-5", "25", ("25",)),
        ("OBX[3]-5", "W&W^O", ("W&W^O",)),  # text: the delimiters are only characters
        ("OBX[4]-5", "A", ("A",)),
        ("NTE-3", "slow & steady ^ sure~really", ("slow & steady ^ sure~really",)),
        ("NTE-3.1", "slow ", ("slow ",)),
        ("ZFT-3", None, ()),
        ("PID-99", None, ()),
    ],
)
def test_a_path_finds(path, one, every):
    assert MESSAGE.get(path) == one
    assert MESSAGE.get_all(path) == every


@pytest.mark.parametrize(
    "path",
    ["", "FT1", "FT1.7", "ft1-7", "FT1-0", "FT1-7.0", "FT1-7.1.1.1", "FT1-7[", "FT1-7[]", "FT1-7[0]", "FT1-7[x=1]", "FT1-7[5=]",
     "FT1[authority=X]-7", "FT1-7 ", "FT1-7-1", "PID-3[type]", "1FT-3", "FT1-1000", "FT1-" + "7" * 500, "FT1-7[[1]]"],
)  # fmt: skip
def test_what_is_no_path_is_refused_with_examples(path):
    with pytest.raises(PathSyntaxError, match=r"Examples: FT1-7\.1"):
        compile_path(path)


@pytest.mark.parametrize(
    ("table", "types"), [(_XCN, {"XCN", "CN", "PPN"}), (_XON, {"XON"}), (_EI, {"EI", "CM_EI", "EIP", "CM"})]
)
def test_the_places_of_authorities_agree_with_the_segment_tables(table, types):
    known = load_library("2.8").SEGMENTS
    older = load_library("2.5").SEGMENTS
    for segment, fields in table.items():
        for field in fields:
            rows = [row for lib in (known, older) for row in lib[segment][1] if row[0] == f"{segment}_{field}"]
            found = {row[1][2] for row in rows}
            assert found & types, f"{segment}-{field} is {found}"
