"""`exclude_visits` of a clinic file: from the file through the pipeline to a day that bills nothing and asks for nothing."""

from dataclasses import replace

import pytest
from ptbridge_sandbox.demo import CLINIC
from ptbridge_sandbox.maker import Scale

from ptbridge.intake import group
from ptbridge.pipeline import charge, check, normalize
from ptbridge.specs.config import load_config
from tests.bench.clinic import clinic_folder, kit_of, record_of


@pytest.mark.parametrize(("words", "word", "left_out"), [("[cash]", "cash", True), ("[no-charge]", "cash", False)])
def test_the_clinic_files_word_decides(words, word, left_out):
    with clinic_folder() as config:
        file = config.files[CLINIC]
        file.write_text(f"{file.read_text()}\nexclude_visits: {words}\n")
        kit = kit_of(load_config(config.folder))
    visit = replace(normalize(record_of(Scale(1, days=10).plan(0)), kit), billing=word)
    (day,) = group([visit], clinic=CLINIC, billing_npi=kit.clinic.billing_provider.npi)
    priced = charge(day, kit)
    holding = {finding.code for finding in check(priced, kit) if finding.holds}
    assert bool(priced.charges) is not left_out
    assert {one.rule for one in priced.coded.exclusions} == ({"cash"} if left_out else set())
    assert holding == (set() if left_out else {"NB01"})
