"""docs/modifiers.md names what exists: settings, findings, files."""

import re
from pathlib import Path

from ptbridge.coding.findings import KINDS
from ptbridge.coding.modifiers import ordered
from ptbridge.policy.reference import Reference
from ptbridge.specs.payer import SETTINGS

ROOT = Path(__file__).parents[3]
PAGE = (ROOT / "docs" / "modifiers.md").read_text(encoding="utf-8")


def test_every_setting_and_finding_of_the_page_exists():
    table = [row.split("|") for row in PAGE.splitlines() if row.startswith("| ")][1:]
    named = {word for row in table for word in re.findall(r"`(\w+)`", row[3])}
    assert named <= set(SETTINGS) and {"kx", "own_pairs", "telehealth_audio"} <= named
    edits = {path.name[:4].upper() for path in (ROOT / "src" / "ptbridge" / "edits").glob("[a-z][a-z][0-9][0-9]_*.py")}
    codes = set(re.findall(r"\b(?:KX|MD|NC)\d\d\b", PAGE))
    assert codes <= set(KINDS) | edits
    assert {code for code in KINDS if code[:2] in ("KX", "MD")} >= {"KX10", "MD20", "MD24"}


def test_the_amount_on_the_page_is_the_tables():
    assert Reference().threshold("OT", 2026).kx_cents == 248_000
    assert "$2,480 in 2026" in PAGE


def test_the_modifiers_of_the_page_have_a_place_in_the_order():
    first = [
        word for row in PAGE.splitlines() if row.startswith("| ") for word in re.findall(r"\b[A-Z0-9]{2}\b", row.split("|")[1])
    ]
    assert {"GP", "CQ", "KX", "59", "GZ", "95"} <= set(first)
    assert ordered(("KX", "GP", "59"), ("payment", "discipline", "information")) == ("59", "GP", "KX")
