"""The public HL7 v2 corpus: every message is read, none is changed, and the known answers come out."""

from __future__ import annotations

from pathlib import Path

import pytest

from ptbridge.wire.hl7_batch import split_batch
from ptbridge.wire.hl7v2 import Message

CORPUS = Path(__file__).parents[3] / "../shared/corpus/hl7v2/microsoft-samples"
pytestmark = pytest.mark.skipif(not CORPUS.is_dir(), reason="the public corpus is not beside the repository")


def test_all_of_it_is_read_and_none_of_it_changed():
    files = sorted(CORPUS.glob("*.hl7"))
    assert len(files) == 139
    for path in files:
        raw = path.read_bytes()
        message = Message.parse(raw)
        assert message.raw == raw
        assert not message.remarks, path.name
        assert len(message.code) == 3, path.name
        assert sum(len(segment.text) for segment in message.segments_all) == len(raw.decode("utf-8-sig").replace("\n", "")), (
            path.name
        )
        assert [one.raw for one in split_batch(raw).messages] == [raw], path.name


def test_the_known_answers():
    message = Message.parse((CORPUS / "DFT-P03-01.hl7").read_bytes())
    first, second = message.groups()
    paths = ("FT1-25", "FT1-26", "FT1-10", "FT1-11", "FT1-11.1.2", "FT1-4", "FT1-20")
    assert [first.get(path) for path in paths] == ["71045", "26", "2", "100", "USD", "20191122", "9941339108"]
    assert first.get_all("FT1-19[*].1") == ("29857009", "68235000")
    assert (second.get("FT1-25"), second.get("FT1-7")) == ("99011", "626.2")


def test_p11_lines_have_their_own_diagnoses():
    message = Message.parse((CORPUS / "DFT-P11-01.hl7").read_bytes())
    first, second = message.groups()
    assert first.get_all("DG1[*]-3") == ("29857009", "68235000")  # of the message
    assert [one.label for one in second.segments("DG1")] == ["DG1[3]"]
    assert first.segments("DG1") == []


def test_ft1_stands_in_other_messages_too():
    with_charges = {path.name for path in CORPUS.glob("*.hl7") if Message.parse(path.read_bytes()).groups()}
    assert len(with_charges) == 17
    assert sum(not name.startswith("DFT") for name in with_charges) == 13
