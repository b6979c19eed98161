"""What a claim states on the clinic's word, as `ptbridge init` asks for it and writes it. A fact that is not given is left out.

Which of these a platform's claims need, its file declares (`DestinationInfo.states`); each is a statement to a payer, so
none has a default.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable
from dataclasses import dataclass

from ptbridge.errors import ConfigError

_ADDRESS = re.compile(r"(?P<lines>.+?),\s*(?P<city>[^,]+),\s*(?P<state>[A-Z]{2})\s+(?P<zip>\d{5}(?:-?\d{4})?)")
_PLAIN = re.compile(r"[A-Za-z][A-Za-z0-9_./-]*")

STATED = {
    "accepts_assignment": "A",
    "benefits_assigned": "Y",
    "release_of_information": "Y",
    "signature_on_file": "Y",
}
"""Keys of `claims` -> the usual word, for a comment; nobody's default."""


def quoted(text: str) -> str:
    """A YAML scalar that reads back as this very text. JSON's quoting is YAML's."""
    return text if _PLAIN.fullmatch(text) else json.dumps(text, ensure_ascii=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class Street:
    """A postal address in its parts."""

    lines: tuple[str, ...]
    city: str
    state: str
    postal_code: str

    @classmethod
    def read(cls, text: str) -> Street:
        """`100 Oak Street, Suite 2, Columbus, OH 43215-1234`. Raises ConfigError."""
        found = _ADDRESS.fullmatch(text.strip())
        if found is None:
            raise ConfigError(f"{text!r} is not an address. Write it as 100 Oak Street, Columbus, OH 43215-1234.")
        lines = tuple(part.strip() for part in found["lines"].split(","))
        return cls(lines=lines, city=found["city"].strip(), state=found["state"], postal_code=found["zip"])

    def text(self) -> str:
        """As the clinic file has it."""
        lines = ", ".join(map(quoted, self.lines))
        rest = {"city": quoted(self.city), "state": quoted(self.state), "postal_code": f'"{self.postal_code}"'}
        return f"{{lines: [{lines}], " + ", ".join(f"{key}: {value}" for key, value in rest.items()) + "}"


@dataclass(frozen=True, slots=True, kw_only=True)
class ClaimPayer:
    """How a claim names one payer: its id at the platform, its filing indicator (X12 element 1032) and its name."""

    payer: str  # the payer's id as the EMR gives it
    id: str
    filing: str
    name: str

    @classmethod
    def read(cls, text: str) -> ClaimPayer:
        """`MCR-B=15202,MB,MEDICARE PART B OHIO`. Raises ConfigError."""
        payer, equals, rest = text.partition("=")
        parts = [part.strip() for part in rest.split(",", 2)]
        if not equals or not payer.strip() or len(parts) != 3 or not all(parts):
            raise ConfigError(
                f"--claim-payer {text!r} is not ID=PLATFORM-ID,FILING,NAME, such as MCR-B=15202,MB,MEDICARE OHIO."
            )
        return cls(payer=payer.strip(), id=parts[0], filing=parts[1].upper(), name=parts[2])


def claims_text(stated: dict[str, str], payers: Iterable[ClaimPayer], needed: Iterable[str]) -> str:
    """The `claims` of a clinic file for a platform that needs these keys; empty for one that makes no claims."""
    wanted = [key.removeprefix("claims.") for key in needed if key.startswith("claims.")]
    if not wanted:
        return ""
    lines = ["claims:  # what each claim states on the clinic's word; without one of these every day is held (SB03)"]
    for key, usual in STATED.items():
        if key in wanted or key in stated:
            lines.append(f"  {key}: {quoted(stated[key])}" if key in stated else f"  # {key}: {usual}")
    found = list(payers)
    lines.append("  payers:" if found else "  # payers:  # by the payer's id as the EMR gives it")
    lines += [
        f"    {quoted(one.payer)}: {{id: {quoted(one.id)}, name: {quoted(one.name)}, filing: {quoted(one.filing)}}}"
        for one in found
    ]
    if not found:
        lines.append('  #   MCR-B: {id: "15202", name: MEDICARE PART B OHIO, filing: MB}')
    only_comments = all(line.lstrip().startswith("#") for line in lines[1:])
    head = "# claims:" + lines[0].removeprefix("claims:") if only_comments else lines[0]
    return "\n".join([head, *lines[1:]]) + "\n\n"


def unstated(needed: Iterable[str], given: Iterable[str], payers: Iterable[str], named: Iterable[str]) -> list[str]:
    """Keys of the clinic file that each claim needs and nobody gave; `named` are the payers that a claim has a name for."""
    missing = [key for key in needed if key not in set(given) and key != "claims.payers"]
    if "claims.payers" in needed:
        without = [payer for payer in payers if payer not in set(named)]
        missing += [f"claims.payers.{payer}" for payer in without] or ([] if list(named) else ["claims.payers"])
    return missing
