"""Interface profiles: every problem with its file and line, and samples that cannot drift from what is sent."""

from __future__ import annotations

from pathlib import Path

import pytest

from ptbridge.destinations._dft_sample import compare_samples, samples
from ptbridge.destinations.hl7v2_dft import sample_text
from ptbridge.errors import ConfigError
from ptbridge.specs.interface_profile import load_interface, shipped_interfaces
from tests.unit.destinations.profiles import SHIPPED


def edited(tmp_path: Path, old: str, new: str, shipped: str = "sandbox_biller") -> str:
    """A shipped profile with one text replaced, samples untouched."""
    text = (SHIPPED / f"{shipped}.yaml").read_text("utf-8")
    assert old in text, old
    file = tmp_path / f"{shipped}.yaml"
    file.write_text(text.replace(old, new, 1), "utf-8")
    return str(file)


def line_of(path: str, text: str) -> int:
    lines = Path(path).read_text("utf-8").splitlines()
    return next(number for number, line in enumerate(lines, start=1) if text in line)


@pytest.mark.parametrize("name", shipped_interfaces())
def test_the_samples_of_a_shipped_profile_are_what_we_write_byte_for_byte(name):
    interface = load_interface(name)
    for key, segments in samples(interface.spec).items():
        assert list(getattr(interface.spec, key)) == segments, key
    compare_samples(interface)


def test_every_shipped_profile_is_a_starting_point_until_a_biller_confirms_it():
    assert {load_interface(name).spec.standing for name in shipped_interfaces()} == {"starting_point"}


@pytest.mark.parametrize(
    ("old", "new", "what"),
    [
        ("interface: sandbox_biller", "interface: other", "differs from the file's name"),
        ('version: "2.5.1"', 'version: "2.9"', "is not one of"),
        ("  modifiers: repeats\n", "", "'modifiers' is missing"),
        ("corrections: credit_and_charge", "correction: credit_and_charge", "unknown key 'correction'"),
        (r"separators: '|^~\&'", "separators: '|^~'", "not a set of 5 or 6 different signs"),
        (r"separators: '|^~\&'", r"separators: '||~\&'", "not a set of 5 or 6 different signs"),
        (r"separators: '|^~\&'", r"separators: '.^~\&'", "not a set of 5 or 6 different signs"),
        ("transaction_code: procedure", "transaction_code: charge_codes", "charge_codes: transaction_code asks for it"),
        ("  procedure_field: FT1-25", "  charge_codes: {'97110': X}\n  procedure_field: FT1-25", "is not used while"),
        ("diagnoses: codes", "diagnoses: pointers\n  extra: x", "unknown key 'extra'"),
        ("segments: [PR1, DG1,", "segments: [PR1, DG2,", "is not one of ACC, DG1, GT1, IN1, PR1"),
        ("z_segments: []", "z_segments: [{segment: FT1, follows: line, fields: {'1': minutes}}]", "is not a Z segment"),
        ("z_segments: []", "z_segments: [{segment: ZPT, follows: line, fields: {'1': mood}}]", "'mood' is not known here"),
        ("z_segments: []", "z_segments: [{segment: ZPT, follows: patient, fields: {'1': minutes}}]", "not known here"),
        ("z_segments: []", "z_segments: [{segment: ZPT, follows: line, fields: {'0': minutes}}]", "is not a field number"),
        ("voids: credit", "voids: hold", "hold while corrections are made with credits"),
        ("credit: {type: CD", "credit: {type: CG", "CG is a charge"),
        ("timeout_seconds: 30", "timeout_seconds: 0", "not between 0.1 and 300"),
        ("resend_safe_days: 0", "resend_safe_days: -1", "below 0"),
        ("connections: 1", "connections: 0", "not between 1 and 32"),
        ("\nsample_void:", "\nsample_correction:", "written twice"),
    ],
)
def test_what_cannot_work_is_refused_with_its_line(tmp_path, old, new, what):
    with pytest.raises(ConfigError) as caught:
        load_interface(edited(tmp_path, old, new))
    assert what in str(caught.value)
    assert "sandbox_biller.yaml:" in str(caught.value)


def test_the_line_is_where_the_key_stands(tmp_path):
    file = edited(tmp_path, "credit: {type: CD", "credit: {type: CG")
    with pytest.raises(ConfigError, match=rf"sandbox_biller\.yaml:{line_of(file, 'type: CG')}: credit\.type"):
        load_interface(file)


@pytest.mark.parametrize(
    ("version", "segments", "event", "what"),
    [
        ("2.3.1", "segments: [PR1, DG1, GT1, IN1]", "credit_event: P03", "PR1-6 is required"),
        ("2.3.1", "segments: [DG1, GT1, IN1]", "credit_event: P11", "P11 exists from version 2.4 on"),
    ],
)
def test_what_a_version_does_not_have(tmp_path, version, segments, event, what):
    text = (SHIPPED / "sandbox_biller.yaml").read_text("utf-8")
    text = text.replace('version: "2.5.1"', f'version: "{version}"').replace("segments: [PR1, DG1, GT1, IN1]", segments, 1)
    file = tmp_path / "sandbox_biller.yaml"
    file.write_text(text.replace("credit_event: P03", event), "utf-8")
    with pytest.raises(ConfigError, match=what):
        load_interface(str(file))


def test_pointers_need_something_to_point_to(tmp_path):
    file = edited(tmp_path, "segments: [DG1, IN1]", "segments: [IN1]", "charge_master_p11")
    with pytest.raises(ConfigError, match="no DG1 to point to"):
        load_interface(file)


def test_charge_codes_need_a_field_for_the_procedure(tmp_path):
    file = edited(tmp_path, "procedure_field: FT1-25", "procedure_field: none", "charge_master_p11")
    with pytest.raises(ConfigError, match="no field names the procedure"):
        load_interface(file)


# ---------------------------------------------------------------- the samples


@pytest.mark.parametrize(
    ("old", "new", "what"),
    [
        ("modifiers: repeats", "modifiers: joined", r"sample\[\d+\]: FT1-26: ptbridge writes 'GPCQ', the sample has 'GP~CQ'"),
        ("diagnosis_dots: kept", "diagnosis_dots: dropped", r"FT1-19: ptbridge writes 'M5450"),
        ("processing_id: P", "processing_id: T", r"MSH-11: ptbridge writes 'T', the sample has 'P'"),
        ("credit: {type: CD", "credit: {type: CR", r"sample_void\[\d+\]: FT1-6: ptbridge writes 'CR'"),
        ("credit_event: P03", "credit_event: P11", r"sample_void\[0\]: MSH-9: ptbridge writes 'DFT\^P11"),
        ("amounts: positive", "amounts: negative", r"sample_void\[\d+\]: FT1-10: ptbridge writes '-2'"),
        ("segments: [PR1, DG1", "segments: [DG1", r"sample\[\d+\]: ptbridge writes 'FT1"),
        ("escapes: standard", "escapes: spaces", r"PID-11: ptbridge writes '1 Oak   Elm"),
    ],
)
def test_a_changed_agreement_shows_in_its_sample(tmp_path, old, new, what):
    file = edited(tmp_path, old, new)
    with pytest.raises(ConfigError, match=what) as caught:
        compare_samples(load_interface(file))
    number = int(str(caught.value).split("sandbox_biller.yaml:")[1].partition(":")[0])
    shown = Path(file).read_text("utf-8").splitlines()[number - 1]
    assert shown.startswith("  - '"), "the line of the sample's segment"


def test_a_sample_that_is_too_short_or_too_long(tmp_path):
    interface = load_interface("full_day")
    last = interface.spec.sample[-1]
    with pytest.raises(ConfigError, match=r"sample\[\d+\]: ends here; ptbridge writes 'IN1"):
        compare_samples(load_interface(edited(tmp_path, f"  - '{last}'\n", "", "full_day")))
    with pytest.raises(ConfigError, match=r"sample\[\d+\]: 'ZZZ\|1' is not written by ptbridge"):
        compare_samples(load_interface(edited(tmp_path, f"  - '{last}'\n", f"  - '{last}'\n  - 'ZZZ|1'\n", "full_day")))


@pytest.mark.parametrize("name", shipped_interfaces())
def test_the_text_of_the_samples_is_what_the_file_says(name):
    assert (SHIPPED / f"{name}.yaml").read_text("utf-8").endswith("\n" + sample_text(name))
