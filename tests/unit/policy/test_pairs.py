"""A payer's own pairs: how they are written, and what is refused with file and line."""

from datetime import date

import pytest

from ptbridge.errors import ConfigError
from ptbridge.policy import load_payers
from ptbridge.policy.pairs import Pair, read_pair

FILE = """
payer: acme
title: Acme
standing: starting_point
settings:
  own_pairs:
    - {{use: "{pairs}", from: 2026-01-01, source: contract A}}
"""


def test_a_pair_is_read_with_the_source_of_its_setting(tmp_path):
    (tmp_path / "acme.yaml").write_text(FILE.format(pairs="97140 97530 1, 97124 97140 0"))
    terms = load_payers([tmp_path])["acme"].terms(date(2026, 5, 1))
    assert terms.own_pairs == (Pair("97140", "97530", 1, "contract A"), Pair("97124", "97140", 0, "contract A"))


@pytest.mark.parametrize("written", ["97140 97530", "97140 97530 9", "9714 97530 1", "97140 97140 1", "97140 97530 1 x"])
def test_anything_else_is_refused(tmp_path, written):
    with pytest.raises(ValueError, match="such as `97140 97530 1`"):
        read_pair(written, "")
    (tmp_path / "acme.yaml").write_text(FILE.format(pairs=written))
    with pytest.raises(ConfigError, match=r"acme\.yaml:7: settings\.own_pairs"):
        load_payers([tmp_path])
