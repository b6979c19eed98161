"""The HL7 v2 benches measure what they say: whole charges, and the same fields read by each library. No clock here."""

from __future__ import annotations

from ptbridge_sandbox.demo import SECOND

from ptbridge.pipeline import check
from tests.bench.clinic import kit_of
from tests.bench.hl7_clinic import CHARGES, charge_messages, hl7_folder
from tests.bench.hl7_hot_path import priced, read, read_hl7apy, read_python_hl7


def test_every_message_becomes_ten_priced_charges_and_none_is_alike() -> None:
    messages = charge_messages(30)
    assert len(set(messages)) == 30 and messages == charge_messages(30)
    with hl7_folder() as config:
        kit = kit_of(config, SECOND)
    days = priced(messages, kit)
    assert len(days) == 30
    for day in days:
        assert len(day.charges) == CHARGES and all(one.amount_cents and one.line.units for one in day.charges)
        assert [one for visit in day.day.visits for one in visit.findings] == []
        assert day.day.visits[0].diagnoses and day.day.visits[0].patient
    held = {finding.code for day in days for finding in check(day, kit) if finding.holds}
    assert not {code for code in held if code.startswith(("MP", "CV", "PR", "PX"))}, "everything of the message is read"


def test_the_three_readers_read_the_same() -> None:
    for raw in charge_messages(3):
        found = read(raw)
        assert len(found) == CHARGES and all(None not in line for line in found)
        assert found == read_python_hl7(raw) == read_hl7apy(raw)
