"""The edges of the policies' arithmetic and of what their files may say."""

from datetime import date

import pytest

from ptbridge.errors import ConfigError
from ptbridge.policy import load_codes, load_fees, load_payers, shipped_payers
from ptbridge.policy.assistants import over_tenth_simple
from ptbridge.policy.counting import allocate
from ptbridge.policy.history import Authorization
from ptbridge.policy.pairs import Pair
from ptbridge.policy.visit_pools import VisitPool, read_pool

CODES = load_codes()
ON = date(2026, 11, 20)
HEADER = "procedure,modifiers,amount,from,to,source\n"


def fees(tmp_path, *rows):
    file = tmp_path / "fees.csv"
    file.write_text(HEADER + "\n".join(rows) + "\n")
    return load_fees(file)


def allocated(rule, **minutes):
    return allocate(rule, [(CODES.get(name[1:]), given) for name, given in minutes.items()])


def policy(tmp_path, **settings):
    rows = "".join(f"  {name}: [{{use: '{use}', from: 2020-01-01, source: s}}]\n" for name, use in settings.items())
    (tmp_path / "p.yaml").write_text(f"payer: p\ntitle: P\nstanding: complete\nsettings:\n{rows}")
    return load_payers([tmp_path])["p"]


def test_a_tenth_plus_a_minute_is_of_whole_minutes_half_up():
    assert over_tenth_simple(6, 54) and not over_tenth_simple(6, 55)
    assert over_tenth_simple(7, 60) and not over_tenth_simple(6, 60)


def test_a_documented_add_on_is_in_the_answer_with_zero_units():
    assert dict(allocated("eight_minute_total", _97129=2, _97130=2).units) == {"97129": 0, "97130": 0}
    assert dict(allocated("eight_minute_total", _97129=10, _97130=5).units) == {"97129": 1, "97130": 0}


def test_the_midpoint_rule_tells_the_pooled_minutes_and_units_too():
    found = allocated("midpoint_each_code", _97110=24, _97140=23, _97550=38, _97161=None)
    assert (found.pool_minutes, found.pool_units) == (47, 4)


def test_a_price_of_nothing_is_a_price(tmp_path):
    assert fees(tmp_path, "97110,,0,2026-01-01,,").price("97110", (), ON) == 0


def test_a_row_that_ends_meets_the_next_only_on_a_common_day(tmp_path):
    assert len(fees(tmp_path, "97110,,60,2026-03-02,,", "97110,,61,2026-01-01,2026-03-01,")) == 2
    with pytest.raises(ConfigError, match="two prices on the same day"):
        fees(tmp_path, "97110,,60,2026-03-01,,", "97110,,61,2026-01-01,2026-03-01,")


def test_what_is_left_of_an_authorization_is_less_what_is_used_and_in_flight():
    assert Authorization(number="secret", allowed=12, used=7, in_flight=3).left == 2
    assert Authorization(number="secret", allowed=2, used=3).left == -1
    bare = Authorization(number="secret")
    assert (bare.counts, bare.allowed, bare.used, bare.in_flight) == ("visits", 0, 0, 0)
    assert "secret" not in repr(bare)


def test_a_code_table_knows_how_many_codes_it_has():
    assert len(CODES) == len(list(CODES)) > 100


def test_the_table_says_always_sometimes_or_no_therapy():
    assert [CODES.get(code).therapy for code in ("97110", "97597", "97169")] == ["always", "sometimes", "no"]


def test_a_pool_of_visits_is_read_with_its_disciplines_and_whether_it_is_soft():
    assert read_pool("therapy PT OT 60") == VisitPool("therapy", frozenset({"PT", "OT"}), 60)
    assert read_pool("speech SLP 20 soft") == VisitPool("speech", frozenset({"SLP"}), 20, soft=True)


@pytest.mark.parametrize(
    "written", ["", "soft", "therapy 60", "therapy PT", "therapy PT many", "therapy PT soft", "therapy DC 60"]
)
def test_a_pool_that_cannot_be_read_is_refused(written):
    with pytest.raises(ValueError, match=r"needs a name, its disciplines|which is not one of PT, OT, SLP"):
        read_pool(written)


@pytest.mark.parametrize(
    ("name", "use", "words"),
    [
        ("own_pairs", "97140 97530", "needs column 1, column 2 and indicator 0 or 1"),
        ("own_pairs", "97140 97530 1, 97140 97140 1", "'97140 97140 1' needs column 1"),
        ("exclude_visits", "cash, free", "'free' is not one of cash, maintenance, no-charge"),
        ("visit_limits", "therapy PT 60, all DC 10", "names 'DC', which is not one of PT, OT, SLP"),
        ("covered_diagnoses", "G0283 M17, 97014", "needs the beginnings of diagnoses after each code"),
        ("invalid_codes", "97014", "needs what to do after each code"),
        ("timely_filing_months", "a year", "is not a number of months"),
        ("progress_report_days", "ten", "is not a number of days"),
        ("late_signature_days", "", "is not a number of days"),
    ],
)
def test_a_setting_that_cannot_be_read_is_refused(tmp_path, name, use, words):
    with pytest.raises(ConfigError) as caught:
        policy(tmp_path, **{name: use})
    assert words in str(caught.value) and f"p.yaml:5: settings.{name}: " in str(caught.value)


LISTS = {
    "modifier_order": ("discipline, payment, information", ("discipline", "payment", "information")),
    "place_of_service": ("11, 12", frozenset({"11", "12"})),
    "bundled_codes": ("97010, 97026", frozenset({"97010", "97026"})),
    "invalid_codes": ("97014 report G0283 instead", {"97014": "report G0283 instead"}),
    "exclude_visits": ("cash, no-charge", frozenset({"cash", "no-charge"})),
    "visit_limits": ("therapy PT 60", (VisitPool("therapy", frozenset({"PT"}), 60),)),
    "covered_diagnoses": ("G0283 M17 M25.5", {"G0283": ("M17", "M25.5")}),
    "own_pairs": ("97140 97530 1", (Pair("97140", "97530", 1, "s"),)),
    "statutory_codes": ("97537", frozenset({"97537"})),
    "denial_expected_codes": ("97110", frozenset({"97110"})),
    "timely_filing_days": ("365", 365),
    "timely_filing_months": ("12", 12),
    "progress_report_days": ("10", 10),
    "late_signature_days": ("30", 30),
}


@pytest.mark.parametrize("name", LISTS)
def test_every_setting_reaches_the_terms_under_its_own_name(tmp_path, name):
    use, expected = LISTS[name]
    found = policy(tmp_path, **{name: use}).terms(ON)
    assert getattr(found, name) == expected
    assert found.sources == {name: "s"}
    assert [other for other in LISTS if other != name and getattr(found, other)] == []


def test_every_word_of_a_shipped_policy_reaches_the_terms():
    for shipped in shipped_payers().values():
        for on in (date(2019, 12, 31), date(2025, 6, 1), ON):
            for name in set(shipped.settings) - set(LISTS):
                entry = shipped.setting(name, on)
                assert getattr(shipped.terms(on), name) == (entry and entry.use), name


@pytest.mark.parametrize(("to", "refused"), [("2025-12-31", False), ("2026-01-01", True)])
def test_an_older_entry_that_is_written_second_meets_the_first_only_on_a_common_day(tmp_path, to, refused):
    entries = f"{{use: '90', from: 2026-01-01, source: s}}, {{use: '60', from: 2020-01-01, to: {to}, source: s}}"
    text = f"payer: p\ntitle: P\nstanding: complete\nsettings:\n  timely_filing_days: [{entries}]\n"
    (tmp_path / "p.yaml").write_text(text)
    if refused:
        with pytest.raises(ConfigError, match="overlaps"):
            load_payers([tmp_path])
    else:
        assert load_payers([tmp_path])["p"].terms(ON).timely_filing_days == 90


def test_one_beginning_of_a_diagnosis_is_enough(tmp_path):
    assert policy(tmp_path, covered_diagnoses="G0283 M17").terms(ON).covered_diagnoses == {"G0283": ("M17",)}
