"""What a person imports about patients: authorizations and Medicare amounts used, from a CSV or FHIR (`authorization_fhir`).

CSV columns (absent ones count as empty; `patient` is the EMR's patient id, `mrn` the record number, one of them is needed):

    kind,patient,mrn,number,payer,discipline,counts,allowed,codes,from,to,year,group,amount,as_of,source
    authorization,pat-1,,A-1234,acme,PT,visits,12,97110 97140,2026-01-01,2026-06-30,,,,,letter of 2026-01-03
    kx_opening,pat-1,,,,,,,,,,2026,PT_SLP,1500.00,2026-09-30,271 of 2026-09-30

`counts` is visits (treatment days), units, days or cents (then `allowed` is dollars). Empty `payer` (a policy name),
`discipline`, `codes` and dates: any. `group` is PT_SLP or OT; `amount` is what Medicare counts to the threshold by `as_of`.
"""

from __future__ import annotations

import csv
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import date
from pathlib import Path

from ptbridge.errors import ConfigError
from ptbridge.jobs.authorization_fhir import KeyOf, PayerOf, read_fhir
from ptbridge.ledger import COUNTS, Opening
from ptbridge.model import cents
from ptbridge.policy.history import Authorization

_AUTHORIZATION = ("number", "payer", "discipline", "counts", "allowed", "codes", "from", "to")
_OPENING = ("year", "group", "amount", "as_of")
COLUMNS = ("kind", "patient", "mrn", *_AUTHORIZATION, *_OPENING, "source")


@dataclass(frozen=True, slots=True, kw_only=True)
class Imported:
    """What a file holds: (patient key, authorization, source), openings, and what was left out with the reason."""

    authorizations: list[tuple[str, Authorization, str]] = field(default_factory=list)
    openings: list[Opening] = field(default_factory=list)
    left_out: list[str] = field(default_factory=list)


def _no_route(payer_id: str | None, name: str | None) -> str | None:
    return None


def read_file(path: Path, key_of: KeyOf, policies: frozenset[str], payer_of: PayerOf = _no_route) -> Imported:
    """Read an import file, all of it or nothing. Raises ConfigError with file:line; it never names a patient.

    `key_of` gives None for an unknown record number; `payer_of` is asked about the payers that a FHIR file names.
    """
    try:
        text = path.read_text(encoding="utf-8-sig")
    except OSError as problem:
        raise ConfigError(f"cannot be read ({problem.strerror}); name an existing file", where=str(path)) from None
    except UnicodeDecodeError:
        raise ConfigError("is not UTF-8 text; save it as UTF-8", where=str(path)) from None
    if path.suffix.lower() in (".json", ".ndjson"):
        fhir = read_fhir(text, path, key_of, payer_of)
        authorizations = [(key, one, path.name) for key, one in fhir.found]
        return Imported(authorizations=authorizations, left_out=fhir.left_out)
    return _read_csv(text, path, key_of, policies)


# ---------------------------------------------------------------- CSV


def _read_csv(text: str, path: Path, key_of: KeyOf, policies: frozenset[str]) -> Imported:
    rows = csv.DictReader(text.splitlines())
    columns = set(rows.fieldnames or ())
    if "kind" not in columns or not columns <= set(COLUMNS):
        raise ConfigError(f"columns must be of {','.join(COLUMNS)}; `kind` is needed", where=f"{path}:1")
    found = Imported()
    for row in rows:
        where = f"{path}:{rows.line_num}"
        if None in row:
            raise ConfigError("has more columns than the first line; correct the row", where=where)
        values = {name: (row.get(name) or "").strip() for name in COLUMNS}
        try:
            _take_row(values, found, key_of, policies, path.name)
        except (ValueError, KeyError) as problem:
            raise ConfigError(f"{problem}; nothing was imported", where=where) from None
    return found


def _take_row(row: Mapping[str, str], found: Imported, key_of: KeyOf, policies: frozenset[str], name: str) -> None:
    if row["kind"] not in ("authorization", "kx_opening"):
        raise ValueError(f"kind: {row['kind']!r} is not one of authorization, kx_opening")
    if bool(row["patient"]) == bool(row["mrn"]):
        raise ValueError("patient, mrn: write exactly one of them")
    key = key_of(row["patient"], row["mrn"])
    if key is None:
        raise ValueError("mrn: no visit of a patient with this record number is in the ledger; write `patient`")
    source = row["source"] or name
    if row["kind"] == "kx_opening":
        found.openings.append(_opening(row, key, source))
    else:
        found.authorizations.append((key, _authorization(row, policies), source))


def _opening(row: Mapping[str, str], key: str, source: str) -> Opening:
    _only(row, _AUTHORIZATION)
    if row["group"] not in ("PT_SLP", "OT"):
        raise ValueError(f"group: {row['group']!r} is not one of PT_SLP, OT")
    as_of = date.fromisoformat(row["as_of"])
    if not row["year"].isdecimal() or int(row["year"]) != as_of.year:
        raise ValueError(f"year: {row['year']!r} is not the year of as_of")
    return Opening(
        patient_key=key, year=as_of.year, group=row["group"], amount_cents=_amount(row["amount"]), as_of=as_of, source=source
    )


def _authorization(row: Mapping[str, str], policies: frozenset[str]) -> Authorization:
    _only(row, _OPENING)
    if not row["number"]:
        raise ValueError("number: is missing")
    if row["payer"] and row["payer"] not in policies:
        raise ValueError(f"payer: no policy {row['payer']!r}. Known: {', '.join(sorted(policies))}")
    if row["discipline"] not in ("", "PT", "OT", "SLP"):
        raise ValueError(f"discipline: {row['discipline']!r} is not one of PT, OT, SLP")
    if row["counts"] not in COUNTS:
        raise ValueError(f"counts: {row['counts']!r} is not one of {', '.join(COUNTS)}")
    codes = row["codes"].upper().split()
    if any(not re.fullmatch("[A-Z0-9]{5}", code) for code in codes):
        raise ValueError("codes: write procedure codes separated by blanks")
    first, last = (date.fromisoformat(row[name]) if row[name] else None for name in ("from", "to"))
    if first and last and last < first:
        raise ValueError("to: is before from")
    return Authorization(
        number=row["number"],
        payer=row["payer"] or None,
        discipline=row["discipline"] or None,
        counts=row["counts"],
        allowed=_amount(row["allowed"]) if row["counts"] == "cents" else _whole(row["allowed"]),
        codes=frozenset(codes),
        valid_from=first,
        valid_to=last,
    )


def _only(row: Mapping[str, str], foreign: tuple[str, ...]) -> None:
    if filled := [name for name in foreign if row[name]]:
        raise ValueError(f"{filled[0]}: does not belong to a row of kind {row['kind']}")


def _whole(text: str) -> int:
    if not text.isdecimal():
        raise ValueError(f"allowed: {text!r} is not a whole number")
    return int(text)


def _amount(text: str) -> int:
    amount = cents(text)
    if amount < 0:
        raise ValueError(f"{text!r} is below zero")
    return amount
