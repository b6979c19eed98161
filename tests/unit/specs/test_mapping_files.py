"""Mapping files: joined over `extends`, refused with file and line, and described by a published schema."""

import json
from pathlib import Path

import jsonschema_rs
import pytest
import yaml

from ptbridge.errors import ConfigError
from ptbridge.intake.normalize import compile_mapping
from ptbridge.intake.trial import check_mapping
from ptbridge.specs.mapping import json_schema
from ptbridge.specs.mapping_files import load_mapping, shipped_mappings

MAPPINGS = Path(__file__).parents[3] / "mappings"


def written(folder, name, text):
    path = folder / name
    path.write_text(text)
    return path


def refusal(path):
    with pytest.raises(ConfigError) as caught:
        compile_mapping(load_mapping(path))
    return str(caught.value)


@pytest.mark.parametrize("name", shipped_mappings())
def test_every_shipped_mapping_is_sound(name):
    assert check_mapping(name) == []
    assert load_mapping(name).spec.mapping == name


def test_the_shipped_mappings():
    assert {"standards/fhir_r4", "emrs/fhir_r4", "emrs/medplum", "emrs/openemr", "emrs/sandbox_emr"} <= set(shipped_mappings())


def test_unknown_key_with_file_line_and_known_keys(tmp_path):
    path = written(
        tmp_path,
        "acme.yaml",
        "mapping: acme\nextends: standards/fhir_r4\nvisit:\n  place_of_service:\n    take: Encounter.x\n\n    fxied: '11'\n",
    )
    expected = f"{path}:7: visit.place_of_service: unknown key 'fxied'. Known keys: take, lookup, fixed, unit, required."
    assert refusal(path) == expected


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        ("visit: {discipline: {take: a, fixed: PT}}", ":3: visit.discipline: `fixed` stands alone"),
        ("visit: {discipline: {required: true}}", ":3: visit.discipline: says neither `take` nor `fixed`"),
        ("visit: {discipline: {take: a, unit: min}}", ":3: visit.discipline: `unit` is for minutes only"),
        ("interventions: {minutes: {take: a}}", ":3: interventions.minutes: a number of minutes needs `unit`"),
        ("interventions: {minutes: {fixed: '15', unit: min}}", "minutes are never fixed"),
        ("interventions: {minutes: {take: a, unit: hours}}", "interventions.minutes.unit: 'hours' is not one of"),
        ("visit: {discipline: {take: a, lookup: nowhere}}", ":3: visit.discipline: there is no look-up table 'nowhere'"),
        ("visit: {discipline: {take: \"a.where(b='c'\"}}", ":3: visit.discipline: \"a.where(b='c'\": '(' is never closed"),
        ("visit: {discipline: {take: a..b}}", ":3: visit.discipline: 'a..b': not readable as FHIRPath"),
        ("lookups: {services: {x: {code: '97110', not_billable: true}}}", ":3: lookups.services.x: needs exactly one of"),
        ("lookups: {services: {x: {hold: [], modifiers: [GP]}}}", "`modifiers` belong to a `code`"),
        (
            "lookups: {services: {x: {code: '97110', when: {moon: full}}}}",
            "`when` does not know 'moon'. Known facts: discipline",
        ),
        ("visit: {discipline: {take: a}}\nvisit: {status: {take: b}}", "visit: written twice"),
        ("sections: {}", "unknown key 'sections'. Known keys: mapping, standard, extends"),
    ],
)
def test_what_cannot_work_is_refused_before_anything_is_pulled(tmp_path, body, expected):
    path = written(tmp_path, "m.yaml", f"mapping: m\nextends: standards/fhir_r4\n{body}\n")
    message = refusal(path)
    assert str(path) in message
    assert expected in message


def test_a_mistake_in_the_extended_file_names_that_file(tmp_path):
    written(tmp_path, "base.yaml", "mapping: base\nvisit: {statsu: {take: a}}\n")
    path = written(tmp_path, "m.yaml", "mapping: m\nextends: base\n")
    assert refusal(path).startswith(f"{tmp_path / 'base.yaml'}:2: visit: unknown key 'statsu'")


def test_all_mistakes_of_a_file_at_once(tmp_path):
    path = written(tmp_path, "m.yaml", "mapping: m\nvisit:\n  a: {take: x}\n  status: {tkae: y}\npatience: {}\n")
    assert [line.split(": ")[0] for line in refusal(path).split("\n")] == [f"{path}:{line}" for line in (3, 4, 5)]


def test_fields_replace_and_tables_grow(tmp_path):
    written(
        tmp_path,
        "base.yaml",
        "mapping: base\nstandard: FHIR R4\ncode_systems: {procedure: [CPT]}\n"
        "visit: {discipline: {take: [a, b], required: true}, status: {take: s}}\nlookups: {t: {A: '1', B: '2'}}\n",
    )
    path = written(
        tmp_path,
        "m.yaml",
        "mapping: m\nextends: base\ncode_systems: {procedure: [C4]}\nvisit: {discipline: {fixed: PT}}\n"
        "lookups: {t: {B: '3', C: '4'}}\n",
    )
    mapping = load_mapping(path)
    assert mapping.spec.visit.discipline.fixed == "PT"
    assert mapping.spec.visit.discipline.take == ()
    assert not mapping.spec.visit.discipline.required
    assert mapping.spec.visit.status.take == "s"
    assert mapping.spec.lookups == {"t": {"A": "1", "B": "3", "C": "4"}}
    assert mapping.spec.code_systems.procedure == ("C4", "CPT")
    assert mapping.where("lookups", "t", "B") == f"{path}:5"
    assert mapping.where("lookups", "t", "A") == f"{tmp_path / 'base.yaml'}:5"


def test_a_circle_is_refused(tmp_path):
    written(tmp_path, "a.yaml", "mapping: a\nextends: b\n")
    path = written(tmp_path, "b.yaml", "mapping: b\nextends: a\n")
    assert "leads back in a circle" in refusal(path)


@pytest.mark.parametrize("parent", ["../base", "/etc/passwd", "a/../../base"])
def test_extends_never_leaves_its_folder(tmp_path, parent):
    inner = tmp_path / "inner"
    inner.mkdir()
    written(tmp_path, "base.yaml", "mapping: base\n")
    path = written(inner, "m.yaml", f"mapping: m\nextends: {parent}\n")
    assert f"{path}:2: extends: the mapping" in refusal(path)


def test_an_unknown_name_lists_the_shipped_ones(tmp_path):
    with pytest.raises(ConfigError, match=r"there is no mapping 'emrs/acme'. Shipped: emrs/[a-z0-9_]+,"):
        load_mapping("emrs/acme", folder=tmp_path)


def test_a_file_beside_the_clinic_file_comes_before_a_shipped_one(tmp_path):
    (tmp_path / "emrs").mkdir()
    written(tmp_path, "emrs/fhir_r4.yaml", "mapping: ours\n")
    assert load_mapping("emrs/fhir_r4", folder=tmp_path).spec.mapping == "ours"
    assert load_mapping("emrs/fhir_r4").spec.mapping == "emrs/fhir_r4"


def test_the_published_schema_is_not_stale():
    assert json.loads((MAPPINGS / "mapping.schema.json").read_text()) == json_schema()


@pytest.mark.parametrize("name", shipped_mappings())
def test_the_published_schema_takes_the_shipped_mappings_as_an_editor_reads_them(name):
    validator = jsonschema_rs.validator_for(json_schema())
    as_editor = yaml.safe_load((MAPPINGS / f"{name}.yaml").read_text())
    assert [error.message for error in validator.iter_errors(as_editor)] == []
    assert not validator.is_valid({**as_editor, "vist": {}})
    assert not validator.is_valid({**as_editor, "visit": {"discipline": {"taek": "x"}}})
