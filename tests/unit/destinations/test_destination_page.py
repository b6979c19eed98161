"""docs/destinations.md: each section's clinic file is read, and builds the destination that the section is about."""

from __future__ import annotations

import asyncio
import re
from pathlib import Path

import pytest

from ptbridge import plugins
from ptbridge.destinations import DestinationParts
from ptbridge.specs.clinic_check import clinic_problems
from ptbridge.specs.files import load_clinic
from ptbridge.wire.http import HttpClient

PAGE = (Path(__file__).parents[3] / "docs/destinations.md").read_text("utf-8")
SECTIONS = dict(re.findall(r"^## `(\w+)`\n(.*?)(?=^## |\Z)", PAGE, re.MULTILINE | re.DOTALL))
BASE = """clinic: oak
name: Oak Street Physical Therapy
time_zone: America/New_York
source:
  connector: fhir_r4
  base_url: https://emr.example/fhir
"""
BILLING = """billing_provider:
  npi: "1234567893"
  name: Oak Street Physical Therapy
"""


@pytest.mark.parametrize("name", SECTIONS)
def test_the_sample_of_a_section_is_a_clinic_file_that_works(name: str, tmp_path: Path) -> None:
    blocks = re.findall(r"^```yaml\n(.*?)^```$", SECTIONS[name], re.MULTILINE | re.DOTALL)
    assert blocks, "every destination's section shows the clinic file's part"
    for block in blocks:
        file = tmp_path / "oak.yaml"
        file.write_text(BASE + (block if "billing_provider:" in block else BILLING + block), "utf-8")
        spec = load_clinic(file)
        assert [problem.text for problem in clinic_problems(spec, file_name="oak")] == []
        assert spec.destination.platform == name
        asyncio.run(_builds(name, spec, tmp_path))


async def _builds(name: str, spec, folder: Path) -> None:
    address = spec.destination.base_url
    http = HttpClient(address) if address.startswith(("http://", "https://")) else None
    parts = DestinationParts(
        spec=spec.destination,
        clinic="oak",
        billing=spec.billing_provider,
        run_id="r",
        claims=spec.claims,
        http=http,
        folder=folder,
    )
    made = plugins.destination(name).build(parts)
    assert made.capabilities
    await made.close()


@pytest.mark.parametrize("name", SECTIONS)
def test_every_option_of_a_destination_stands_in_its_section(name: str) -> None:
    missing = [option for option in plugins.destination(name).INFO.options if f"`{option}`" not in SECTIONS[name]]
    assert missing == []
