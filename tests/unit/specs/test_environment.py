"""Sandbox or production: the file's word first, then the address, then the safe side."""

from __future__ import annotations

from pathlib import Path

import pytest

from ptbridge.errors import ConfigError
from ptbridge.specs.clinic import DestinationSpec, SourceSpec
from ptbridge.specs.environment import destination_environment, is_this_machine, source_environment
from ptbridge.specs.files import load_clinic

SANDBOXES = [
    ("http://127.0.0.1:8080/fhir", "this machine"),
    ("https://LOCALHOST/fhir", "this machine"),
    ("http://[::1]:80/fhir", "this machine"),
    ("https://ap22sandbox.fhir.emr.example/v1", "says sandbox"),
    ("https://r4.smarthealthit.org", "public test server"),
    ("https://hapi.fhir.org/baseR4", "public test server"),
]


@pytest.mark.parametrize(("address", "because"), SANDBOXES)
def test_an_address_can_say_sandbox_of_either_side(address: str, because: str) -> None:
    source = source_environment(SourceSpec(connector="fhir_r4", base_url=address))
    destination = destination_environment(DestinationSpec(platform="charge_api", base_url=address))
    for told in (source, destination):
        assert told.sandbox and because in told.because and not told.written


@pytest.mark.parametrize(
    "address", ["", "https://emr.example/fhir", "https://smarthealthit.org.evil.example", "mllps://10.0.0.7:2575"]
)
def test_what_nothing_calls_a_sandbox_counts_as_real(address: str) -> None:
    assert not source_environment(SourceSpec(connector="fhir_r4", base_url=address)).sandbox
    assert not destination_environment(DestinationSpec(platform="charge_api", base_url=address)).sandbox


def test_the_files_word_wins_over_every_address() -> None:
    real = source_environment(SourceSpec(connector="fhir_r4", base_url="http://127.0.0.1/fhir", environment="production"))
    assert not real.sandbox and real.written
    tried = destination_environment(DestinationSpec(platform="csv_drop", folder="out", environment="sandbox"))
    assert tried.sandbox and tried.written


def test_a_source_may_be_an_sftp_server_of_its_options_and_a_destination_may_be_told_to_test() -> None:
    assert source_environment(SourceSpec(connector="csv_charges", options={"folder": "sftp://localhost/out"})).sandbox
    assert not source_environment(SourceSpec(connector="hl7v2", options={"address": "127.0.0.1:2575"})).sandbox
    api = "https://healthcare.us.stedi.com/2024-04-01"
    assert destination_environment(DestinationSpec(platform="stedi", base_url=api, options={"usage": "T"})).sandbox
    assert not destination_environment(DestinationSpec(platform="stedi", base_url=api, options={"usage": "P"})).sandbox


@pytest.mark.parametrize(
    ("host", "is_here"), [("127.0.0.2", True), ("localhost.", True), ("localhost.example", False), ("", False)]
)
def test_this_machine_is_told_by_the_text_alone(host: str, is_here: bool) -> None:
    assert is_this_machine(host) is is_here


def test_another_word_is_refused_with_its_line(tmp_path: Path) -> None:
    file = tmp_path / "oak.yaml"
    file.write_text(
        "clinic: oak\nname: Oak\ntime_zone: America/Chicago\nbilling_provider: {npi: '1234567893', name: Oak}\n"
        "source:\n  connector: fhir_r4\n  environment: testing\ndestination: {platform: charge_api}\n"
    )
    with pytest.raises(ConfigError, match=r"oak\.yaml:7.*environment"):
        load_clinic(file)
