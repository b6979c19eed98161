from pathlib import Path

import pytest

from ptbridge.errors import ConfigError
from ptbridge.specs.config import load_config

CLINIC = """\
clinic: northside
name: Northside Physical Therapy
time_zone: America/Chicago
billing_provider: {npi: "1234567893", name: Northside Physical Therapy}
source:
  connector: fhir_r4
  base_url: https://emr.example/fhir
  mapping: mappings/northside.yaml
  auth: {method: private_key_jwt, client_id: abc, private_key: "file:secrets/key.pem"}
destination:
  platform: charge_api
  base_url: http://127.0.0.1:8080
  auth: {method: bearer, secret: "env:BILLER_TOKEN"}
payers:
  - {policy: medicare_part_b, ids: [MCR-B]}
  - {policy: commercial_midpoint, ids: [ACME], fees: fees/acme.csv}
fees: fees/northside.csv
"""


def folder(tmp_path: Path, text: str = CLINIC, name: str = "northside") -> Path:
    (tmp_path / "clinics").mkdir(exist_ok=True)
    (tmp_path / "clinics" / f"{name}.yaml").write_text(text)
    return tmp_path


def problem(tmp_path: Path, old: str, new: str) -> str:
    assert old in CLINIC
    with pytest.raises(ConfigError) as caught:
        load_config(folder(tmp_path, CLINIC.replace(old, new)))
    return str(caught.value)


def test_paths_start_at_the_config_folder(tmp_path: Path) -> None:
    config = load_config(folder(tmp_path))
    clinic = config.clinic("northside")
    assert config.mapping(clinic) == tmp_path / "mappings/northside.yaml"
    assert config.fees(clinic) == tmp_path / "fees/northside.csv"
    assert config.fees(clinic, clinic.payers[0]) == tmp_path / "fees/northside.csv"
    assert config.fees(clinic, clinic.payers[1]) == tmp_path / "fees/acme.csv"
    assert config.ledger_file == tmp_path / "state/ledger.sqlite"
    assert not config.state.exists()


def test_a_shipped_mapping_is_a_name(tmp_path: Path) -> None:
    config = load_config(folder(tmp_path, CLINIC.replace("mappings/northside.yaml", "emrs/fhir_r4")))
    assert config.mapping(config.clinic("northside")) == "emrs/fhir_r4"


def test_no_clinics_points_to_init(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="ptbridge init"):
        load_config(tmp_path)


def test_unknown_clinic_names_those_that_there_are(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"'southside'. Known clinics: northside"):
        load_config(folder(tmp_path)).clinic("southside")


@pytest.mark.parametrize(
    ("old", "new", "line", "said"),
    [
        ("clinic: northside", "clinic: eastside", 1, "Rename the file to eastside.yaml"),
        ("clinic: northside", "clinic: North Side", 1, "not a short name"),
        ("America/Chicago", "Chicago", 3, "not an IANA time zone"),
        ("https://emr.example/fhir", "http://emr.example/fhir", 7, "not encrypted"),
        ("https://emr.example/fhir", "https://u:p@emr.example/fhir", 7, "user name or password"),
        ("https://emr.example/fhir", "emr.example", 7, "not an address"),
        ("https://emr.example/fhir", "http://127.0.0.1.evil.example/fhir", 7, "not encrypted"),
        ("private_key_jwt", "magic", 9, "not one of none, bearer"),
        ("client_id: abc, ", "", 9, "private_key_jwt needs it"),
        ("ids: [ACME]", "ids: [MCR-B]", 16, "already in payers[0]"),
        (", ids: [MCR-B]", "", 15, "neither ids nor names"),
        ("fees: fees/northside.csv", "fees: f.csv\nassistant_method: guess", 18, "percentage, simple"),
        ("fees: fees/northside.csv", "fees: f.csv\nexclude_visits: [cash, free]", 18, "'free' is not one of cash, maint"),
        ("fees: fees/northside.csv", "fees: f.csv\nfirst_service_date: 2026-02-30", 18, "not a date"),
    ],
)
def test_each_problem_has_its_file_and_line(tmp_path: Path, old: str, new: str, line: int, said: str) -> None:
    text = problem(tmp_path, old, new)
    assert f"northside.yaml:{line}: " in text
    assert said in text


def test_a_literal_secret_is_refused_with_its_line_and_not_repeated(tmp_path: Path) -> None:
    text = problem(tmp_path, "env:BILLER_TOKEN", "hunter2-hunter2")
    assert "northside.yaml:13: destination.auth.secret: not a reference to a secret" in text
    assert "hunter2" not in text


def test_problems_of_all_clinics_are_told_at_once(tmp_path: Path) -> None:
    folder(tmp_path, CLINIC.replace("America/Chicago", "Chicago"))
    with pytest.raises(ConfigError) as caught:
        load_config(folder(tmp_path, CLINIC, name="southside"))
    assert "northside.yaml:3" in str(caught.value)
    assert "southside.yaml:1" in str(caught.value)


def mllp(tmp_path: Path, address: str, options: str = "") -> None:
    old = "  platform: charge_api\n  base_url: http://127.0.0.1:8080\n"
    new = f"  platform: hl7v2_dft\n  base_url: {address}\n{options}"
    assert old in CLINIC
    load_config(folder(tmp_path, CLINIC.replace(old, new)))


def test_mllp_is_an_address_of_a_biller(tmp_path: Path) -> None:
    mllp(tmp_path, "mllps://biller.example:2575")
    mllp(tmp_path, "mllp://127.0.0.1:2575")
    mllp(tmp_path, "mllp://biller.example:2575", "  options: {insecure_plaintext: 'yes'}\n")


@pytest.mark.parametrize(
    ("address", "what"),
    [
        ("mllp://biller.example:2575", "is not encrypted. Use mllps; mllp is taken for this machine only"),
        ("mllps://user:pass@biller.example:2575", "holds a user name or password"),
        ("mllps://", "is not an address. Write it as mllps://biller.example:2575."),
    ],
)
def test_an_mllp_address_that_cannot_be_used(tmp_path: Path, address: str, what: str) -> None:
    with pytest.raises(ConfigError) as caught:
        mllp(tmp_path, address)
    assert what in str(caught.value) and "user:pass" not in str(caught.value)
    assert "northside.yaml:12: destination.base_url" in str(caught.value)
