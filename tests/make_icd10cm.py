"""Make `mappings/codes/icd10cm_2026.z`, the list of billable ICD-10-CM codes, from the PyPI package simple-icd-10-cm.

    python -m venv /tmp/icd && /tmp/icd/bin/pip install simple-icd-10-cm==1.5.0
    /tmp/icd/bin/python tests/make_icd10cm.py

A build-time tool: the package (MIT; it carries the public-domain files of CMS and NCHS) is not a dependency of ptbridge,
and importing it takes seconds. Only codes are kept: no descriptions, no notes.
"""

from __future__ import annotations

import json
import zlib
from importlib.metadata import version
from pathlib import Path

TARGET = Path(__file__).parents[1] / "mappings" / "codes" / "icd10cm_2026.z"
RELEASE = {
    "release": "ICD-10-CM fiscal year 2026, release of April 1, 2026",
    "valid_from": "2025-10-01",
    "valid_to": "2026-09-30",
    "source": "CMS and NCHS, ICD-10-CM tabular list (public domain)",
}


def billable_codes() -> list[str]:
    """Every code without children, without its dot: ICD-10-CM takes a code to its last character, or not at all."""
    import simple_icd_10_cm as icd

    return sorted(
        code for code in icd.get_all_codes(with_dots=False) if icd.is_category_or_subcategory(code) and icd.is_leaf(code)
    )


def packed(codes: list[str], made_with: str) -> bytes:
    """The file: zlib over one JSON line about the release, then one code a line."""
    about = {**RELEASE, "made_with": made_with, "codes": len(codes)}
    return zlib.compress("\n".join([json.dumps(about), *codes]).encode("ascii"), 9)


if __name__ == "__main__":
    codes = billable_codes()
    TARGET.write_bytes(packed(codes, f"simple-icd-10-cm {version('simple-icd-10-cm')}"))
    print(f"{TARGET.name}: {len(codes)} codes, {TARGET.stat().st_size} bytes")
