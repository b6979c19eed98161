"""The shipped list of billable ICD-10-CM codes, as the look-up that the facts of an edit carry.

The file `mappings/codes/icd10cm_2026.z` is made by `tests/make_icd10cm.py`: zlib over one JSON line about the release,
then one code a line without its dot. It is read at the first look-up, not at import.
"""

from __future__ import annotations

import json
import zlib
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import date, timedelta
from functools import cache
from importlib.resources import files

Icd10Lookup = Callable[[str, date], "bool | None"]

# How far past its own dates a release still vouches for a code that it lists. Every October adds hundreds of codes and
# deletes few; a listed code is taken as valid for one fiscal year on either side, an unlisted one is unknown there.
_NEIGHBOUR = timedelta(days=366)


@dataclass(frozen=True, slots=True)
class Icd10Release:
    """One release of ICD-10-CM: its name, its service dates (both inclusive) and its billable codes without dots."""

    name: str
    valid_from: date
    valid_to: date
    codes: frozenset[str] = field(repr=False)

    def billable(self, code: str, on: date) -> bool | None:
        """True: billable on that service date. False: not. None: this release cannot tell."""
        listed = code.replace(".", "").upper() in self.codes
        if self.valid_from <= on <= self.valid_to:
            return listed
        near = self.valid_from - _NEIGHBOUR <= on <= self.valid_to + _NEIGHBOUR
        return True if listed and near else None


def read_release(packed: bytes) -> Icd10Release:
    """Read the packed file. Raises ValueError or zlib.error when it is damaged: the count of codes is checked."""
    head, *codes = zlib.decompress(packed).decode("ascii").split("\n")
    about = json.loads(head)
    if len(codes) != about["codes"]:
        raise ValueError(f"the ICD-10-CM list says {about['codes']} codes and holds {len(codes)}; reinstall ptbridge")
    return Icd10Release(
        about["release"],
        date.fromisoformat(about["valid_from"]),
        date.fromisoformat(about["valid_to"]),
        frozenset(codes),
    )


@cache
def shipped_release() -> Icd10Release:
    """The release that ships with ptbridge (about 75,000 codes; some 30 ms and 8 MB, once)."""
    return read_release(files("ptbridge_mappings").joinpath("codes", "icd10cm_2026.z").read_bytes())


def load_icd10() -> Icd10Lookup:
    """The look-up for `Facts.icd10`: (code with or without its dot, service date) to True, False or None (unknown)."""
    return lambda code, on: shipped_release().billable(code, on)
