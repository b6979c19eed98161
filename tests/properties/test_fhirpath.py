"""On the compiled subset, our functions and the full FHIRPath engine give the same answer for any path and any record."""

import copy

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from ptbridge.intake.fhirpath import MAX_LENGTH, PathSyntaxError, compile_path
from ptbridge.intake.fhirpath_full import compile_full
from ptbridge.intake.record_index import RecordIndex

CODES = st.sampled_from(["PT", "PTA", "97110", "MR"])
SYSTEMS = st.sampled_from(["urn:a", "urn:b"])
URLS = st.sampled_from(["urn:x:minutes", "urn:x:units"])


def some(values, size=3):
    return st.lists(values, min_size=1, max_size=size)


def partial(**fields):
    return st.fixed_dictionaries({}, optional=fields)


coding = partial(system=SYSTEMS, code=CODES)
concept = partial(coding=some(coding), text=CODES)
quantity = st.fixed_dictionaries({"value": st.integers(-5, 90)}, optional={"unit": st.just("min")})
extension = st.one_of(
    st.fixed_dictionaries({"url": URLS, "valueInteger": st.integers(0, 90)}),
    st.fixed_dictionaries({"url": URLS, "valueString": CODES}),
    st.fixed_dictionaries({"url": URLS, "valueQuantity": quantity}),
)
reference = st.fixed_dictionaries(
    {"reference": st.sampled_from(["Practitioner/a", "Practitioner/b", "Practitioner/none", "https://e/fhir/Practitioner/a"])}
)
period = partial(start=st.just("2026-03-04T10:00:00Z"), end=st.just("2026-03-04T10:30:00Z"))
performer = partial(function=concept, actor=reference)
identifier = partial(system=SYSTEMS, value=CODES, type=concept)
practitioner = partial(
    identifier=some(identifier), qualification=some(st.fixed_dictionaries({"code": concept})), extension=some(extension)
)
procedure = st.fixed_dictionaries(
    {"resourceType": st.just("Procedure")},
    optional={
        "id": CODES,
        "status": st.sampled_from(["completed", "not-done"]),
        "identifier": some(identifier),
        "code": concept,
        "category": concept,
        "performer": some(performer),
        "extension": some(extension, 4),
        "reasonCode": some(concept),
        "performedPeriod": period,
    },
)

TWO_CODINGS = {
    "resourceType": "Procedure",
    "performer": [{"function": {"coding": [{"code": "PTA"}, {"code": "PT"}], "text": "PT"}, "actor": {"reference": "x/y"}}],
}

PATHS = [
    "Procedure.status",
    "id",
    "Procedure.code.coding.code",
    "Procedure.code.coding[1].code",
    "Procedure.code.coding.first().code",
    "Procedure.reasonCode.coding.last().code",
    "Procedure.reasonCode[1].coding[0].code",
    "Procedure.code.coding.where(system = 'urn:a').code",
    "Procedure.code.coding.where(system = 'urn:a' and code = 'PT').code",
    "Procedure.performer.where(function.coding.code = 'PTA').function.text",
    "Procedure.performer.where(function.coding.where(code = 'PTA').exists()).actor.reference",
    "Procedure.identifier.where(type.coding.where(code = 'MR').exists()).value",
    "Procedure.extension('urn:x:minutes').value",
    "Procedure.extension('urn:x:minutes').value.value",
    "Procedure.extension('urn:x:minutes').value.ofType(Quantity).value",
    "Procedure.extension('urn:x:units').value.ofType(integer)",
    "Procedure.extension.where(url = 'urn:x:units').value",
    "Procedure.extension('urn:x:units').first().value",
    "Procedure.extension('urn:x:units').exists()",
    "Procedure.performed.ofType(Period).start",
    "Procedure.performed.start",
    "Procedure.performer.actor.resolve().identifier.where(system = 'urn:b').value",
    "Procedure.performer.actor.resolve().qualification.code.coding.code",
    "Procedure.performer.actor.resolve().extension('urn:x:units').value",
    "Procedure.performer[0].actor.resolve().ofType(Practitioner).qualification[0].code.text",
    "Procedure.category.coding.exists()",
    "Patient.id",
]
_compiled = {path: compile_path(path) for path in PATHS}
_full = {path: compile_full(path) for path in PATHS}


@pytest.mark.parametrize("path", PATHS)
def test_every_form_is_compiled_by_us(path):
    assert _compiled[path].native


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(resource=procedure, one=practitioner, other=practitioner)
@example(resource=TWO_CODINGS, one={}, other={})  # a collection of two equals nothing
def test_both_engines_agree(resource, one, other):
    index = RecordIndex(
        [resource, {"resourceType": "Practitioner", "id": "a", **one}, {"resourceType": "Practitioner", "id": "b", **other}]
    )
    for text, path in _compiled.items():
        expected = _full[text](resource, index)
        ours = path.every(resource, index) if path.root in (None, "Procedure") else []
        assert ours == expected, text
        first = path.first(resource, index) if path.root in (None, "Procedure") else None
        assert first == (expected[0] if expected else None), text


FALLBACK = [
    ("Procedure.status | Procedure.id", ["completed", "p"]),
    ("Procedure.code.coding.select(system + '|' + code)", ["urn:a|PT"]),
    ("Procedure.code.coding.where(code.startsWith('P')).code", ["PT"]),
    ("Procedure.performer.actor.select(resolve()).id", ["a"]),
    ("iif(Procedure.status = 'completed', Procedure.id, {})", ["p"]),
]


@pytest.mark.parametrize(("text", "expected"), FALLBACK)
def test_what_is_outside_the_subset_goes_to_the_full_engine_on_a_copy(text, expected):
    resource = {
        "resourceType": "Procedure",
        "id": "p",
        "status": "completed",
        "code": {"coding": [{"system": "urn:a", "code": "PT"}]},
        "performer": [{"actor": {"reference": "Practitioner/a"}}],
    }
    before = copy.deepcopy(resource)
    index = RecordIndex([resource, {"resourceType": "Practitioner", "id": "a"}])
    path = compile_path(text)
    assert not path.native
    assert path.every(resource, index) == expected
    assert path.first(resource, index) == expected[0]
    assert resource == before


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("name.where(use='x'", "'(' is never closed"),
        ("name.where(use='x)", "is never closed"),
        ("a)", "closes nothing"),
        ("a[(1])", "closes nothing"),
        ("  ", "is empty"),
        ("a.b..c", "not readable as FHIRPath"),
        ("a b", "not readable as FHIRPath"),
        ("a.matches('(x+)+$')", "matches() is not allowed"),
        ("repeat(item)", "repeat() is not allowed"),
        ("now()", "now() is not allowed"),
        ("a" * (MAX_LENGTH + 1), "at most"),
        ("(" * 20 + "a" + ")" * 20, "nested deeper"),
    ],
)
def test_a_bad_path_is_refused_when_the_mapping_is_loaded(text, why):
    with pytest.raises(PathSyntaxError) as caught:
        compile_path(text)
    assert why in str(caught.value)


def test_resolve_knows_every_form_of_a_reference():
    a = {"resourceType": "Practitioner", "id": "a", "identifier": [{"system": "urn:npi", "value": "1"}]}
    b = {"resourceType": "Practitioner", "id": "b-uuid", "contained": [{"resourceType": "Organization", "id": "o"}]}
    index = RecordIndex([a, b])
    assert index.resolve({"reference": "Practitioner/a"}) is a
    assert index.resolve("Practitioner/a/_history/3") is a
    assert index.resolve("https://emr.example/r4/Practitioner/a") is a
    assert index.resolve("https://emr.example/r4/Practitioner/a/_history/3") is a
    assert index.resolve("urn:uuid:b-uuid") is b
    assert index.resolve("#o") == {"resourceType": "Organization", "id": "o"}
    assert index.resolve("Practitioner?identifier=urn:npi|1") is a
    assert index.resolve({"type": "Practitioner", "identifier": {"system": "urn:npi", "value": "1"}}) is a
    for dangling in (
        "Practitioner/c",
        "Patient/a",
        "#x",
        "urn:uuid:x",
        "Practitioner?identifier=urn:npi|2",
        "",
        5,
        None,
        {},
        [],
    ):
        assert index.resolve(dangling) is None


def test_a_reference_that_could_be_two_resources_leads_nowhere():
    identifier = [{"system": "s", "value": "1"}]
    twice = [
        {"resourceType": "Practitioner", "id": name, "identifier": identifier, "contained": [{"id": "x"}]} for name in "ab"
    ]
    index = RecordIndex(twice)
    assert index.resolve("Practitioner?identifier=s|1") is None
    assert index.resolve("#x") is None
