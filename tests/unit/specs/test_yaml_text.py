"""What a person writes is read as text; every mistake is named with its file and line, all of them at once."""

import pytest

from ptbridge.errors import ConfigError
from ptbridge.specs.files import load_clinic, load_payer
from ptbridge.specs.payer import PayerSpec
from ptbridge.specs.yaml_text import MAX_BYTES, MAX_DEPTH, convert, load, parse

CLINIC = """clinic: lakeside
name: Lakeside Therapy
time_zone: America/Chicago
billing_provider: {npi: '1234567893', name: Lakeside Therapy LLC}
source: {connector: fhir_r4, options: {encounter_status: [finished], page: 02}}
destination: {platform: charge_api, in_flight: 8}
"""


def refusal(text: str) -> str:
    with pytest.raises(ConfigError) as caught:
        parse(text, name="a.yaml")
    return str(caught.value)


@pytest.mark.parametrize("word", ["02", "8:30", "NO", "on", "1e3", "~", "null", "0x1F", "2026-01-31", "1_000", ".inf"])
def test_no_value_is_guessed(word):
    assert parse(f"key: {word}\nlist: [{word}]").data == {"key": word, "list": [word]}


def test_quoted_empty_text_is_text():
    assert parse("key: ''").data == {"key": ""}


def test_lines_of_keys_and_items():
    document = parse("a:\n  b:\n    - one\n    - c: two\n", name="x.yaml")
    assert document.where("a", "b", 1, "c") == "x.yaml:4"
    assert document.where("a", "b", 0) == "x.yaml:3"
    assert document.where("a", "missing") == "x.yaml:1"


def test_every_duplicate_is_named():
    message = refusal("a: 1\nb: 2\na: 3\nc:\n  d: 1\n  d: 2\n")
    assert "a.yaml:1: a: written twice, in lines 1 and 3. Keep one." in message
    assert "c.d: written twice, in lines 5 and 6" in message


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("a: &x 1\nb: *x", "a.yaml:2: b: anchors and aliases"),
        ("a: !!python/object:os.system x", "a.yaml:1: a: the tag"),
        ("a: !!int 3", "a.yaml:1: a: the tag"),
        ("base: 1\n<<: {a: b}", "a.yaml:2: <<: anchors, tags and merges"),
        ("a:\nb: 1", "a.yaml:1: a: has no value"),
        ("a: [1", "not readable as YAML"),
        ("a: 1\n---\nb: 1", "a.yaml:2: a second document starts here"),
        ("? [a]\n: b", "a key must be text"),
        ("[" * (MAX_DEPTH + 2) + "]" * (MAX_DEPTH + 2), "nested deeper than"),
    ],
)
def test_what_can_be_read_in_two_ways_is_refused(text, expected):
    assert expected in refusal(text)


def test_unknown_key_names_file_line_and_known_keys(tmp_path):
    path = tmp_path / "clinic.yaml"
    path.write_text(CLINIC + "timezone: x\n")
    with pytest.raises(ConfigError) as caught:
        load_clinic(path)
    assert str(caught.value).startswith(f"{path}:7: unknown key 'timezone'. Known keys: clinic, name, time_zone,")


def test_all_problems_of_a_file_in_one_error_in_order():
    document = parse(
        "payer: p\nstanding: complete\nsettings:\n  counting_rule:\n    - {use: x, from: soon, source: s}\n"
        "    - {use: x, fron: 2026-01-01, source: s}\n  place_of_service: 11\n",
        name="p.yaml",
    )
    with pytest.raises(ConfigError) as caught:
        convert(document, PayerSpec)
    assert str(caught.value).split("\n") == [
        "p.yaml:1: the key 'title' is missing. Add it.",
        "p.yaml:5: settings.counting_rule[0].from: 'soon' is not a date such as 2026-01-31.",
        "p.yaml:6: settings.counting_rule[1]: unknown key 'fron'. Known keys: use, from, to, source.",
        "p.yaml:6: settings.counting_rule[1]: the key 'from' is missing. Add it.",
        "p.yaml:7: settings.place_of_service: must be a list. Write it as [first, second].",
    ]


def test_a_clinic_file(tmp_path):
    path = tmp_path / "clinic.yaml"
    path.write_text(CLINIC)
    spec = load_clinic(path)
    assert spec.destination.in_flight == 8
    assert spec.source.options == {"encounter_status": ("finished",), "page": "02"}


def test_an_unknown_time_zone_is_refused(tmp_path):
    path = tmp_path / "clinic.yaml"
    path.write_text(CLINIC.replace("America/Chicago", "Central"))
    with pytest.raises(ConfigError, match=r"clinic.yaml:3: time_zone: 'Central' is not an IANA time zone"):
        load_clinic(path)


def test_a_payer_file_with_an_unknown_setting_and_turned_dates(tmp_path):
    path = tmp_path / "payer.yaml"
    path.write_text(
        "payer: p\ntitle: P\nstanding: done\nsettings:\n  counting_rul: []\n  counting_rule:\n"
        "    - {use: eight_minute_total, from: 2026-02-01, to: 2026-01-01, source: s}\n"
    )
    with pytest.raises(ConfigError) as caught:
        load_payer(path)
    lines = str(caught.value).split("\n")
    assert "payer.yaml:3: standing: 'done' is not one of complete, starting_point." in lines[0]
    assert "payer.yaml:5: settings: unknown key 'counting_rul'. Known keys: counting_rule," in lines[1]
    assert "settings.counting_rule[0]: ends on 2026-01-01, before it starts on 2026-02-01" in lines[2]


def test_files_that_cannot_be_read(tmp_path):
    with pytest.raises(ConfigError, match="cannot be read"):
        load(tmp_path / "absent.yaml")
    large = tmp_path / "large.yaml"
    large.write_bytes(b"a: " + b"x" * MAX_BYTES)
    with pytest.raises(ConfigError, match="at most"):
        load(large)
    latin = tmp_path / "latin.yaml"
    latin.write_bytes("a: é".encode("latin-1"))
    with pytest.raises(ConfigError, match="byte 3 is not UTF-8"):
        load(latin)
