"""Interface profiles of a test's own: a shipped one with changes, and the samples that follow from them."""

from __future__ import annotations

from pathlib import Path

import ptbridge_mappings

from ptbridge.destinations._dft_sample import samples
from ptbridge.specs.interface_profile import InterfaceSpec
from ptbridge.specs.yaml_text import convert, load

SHIPPED = Path(ptbridge_mappings.__file__).parent / "interfaces"


def profile(folder: Path, changes: dict[str, str], *, shipped: str = "sandbox_biller") -> str:
    """The path of a copy with each text replaced; its samples are written anew."""
    text = (SHIPPED / f"{shipped}.yaml").read_text("utf-8")
    for old, new in {f"interface: {shipped}": "interface: ours", **changes}.items():
        assert old in text, old
        text = text.replace(old, new)
    head = text[: text.index("\nsample:") + 1]
    file = folder / "ours.yaml"
    folder.mkdir(exist_ok=True, parents=True)
    file.write_text(f"{head}sample: []\n", "utf-8")
    file.write_text(head + sample_text(convert(load(file), InterfaceSpec)), "utf-8")
    return str(file)


def sample_text(spec: InterfaceSpec) -> str:
    """The samples of a profile as its YAML writes them."""
    quoted = {key: ["  - '" + one.replace("'", "''") + "'\n" for one in segments] for key, segments in samples(spec).items()}
    return "".join(f"{key}:\n{''.join(lines)}" for key, lines in quoted.items())
