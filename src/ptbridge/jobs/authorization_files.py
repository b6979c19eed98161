"""What a person imports about patients: authorizations and Medicare amounts used, from a CSV or from FHIR ClaimResponses.

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
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import date
from pathlib import Path
from typing import Any

import msgspec

from ptbridge.errors import ConfigError
from ptbridge.ledger import COUNTS, Opening
from ptbridge.model import cents
from ptbridge.policy.history import Authorization

_AUTHORIZATION = ("number", "payer", "discipline", "counts", "allowed", "codes", "from", "to")
_OPENING = ("year", "group", "amount", "as_of")
COLUMNS = ("kind", "patient", "mrn", *_AUTHORIZATION, *_OPENING, "source")
_FHIR_COUNTS = {"visit": "visits", "vs": "visits", "unit": "units", "un": "units", "day": "days", "dy": "days", "d": "days"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Imported:
    """What a file holds: (patient key, authorization, source), openings, and what was left out with the reason."""

    authorizations: list[tuple[str, Authorization, str]] = field(default_factory=list)
    openings: list[Opening] = field(default_factory=list)
    left_out: list[str] = field(default_factory=list)


KeyOf = Callable[[str, str], str | None]  # patient id, record number -> patient key; None for an unknown record number


def read_file(path: Path, key_of: KeyOf, policies: frozenset[str]) -> Imported:
    """Read an import file, all of it or nothing. Raises ConfigError with file:line; it never names a patient."""
    try:
        text = path.read_text(encoding="utf-8-sig")
    except OSError as problem:
        raise ConfigError(f"cannot be read ({problem.strerror}); name an existing file", where=str(path)) from None
    except UnicodeDecodeError:
        raise ConfigError("is not UTF-8 text; save it as UTF-8", where=str(path)) from None
    if path.suffix.lower() in (".json", ".ndjson"):
        return _read_fhir(text, path, key_of)
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


# ---------------------------------------------------------------- FHIR


def _read_fhir(text: str, path: Path, key_of: KeyOf) -> Imported:
    found = Imported()
    for number, resource in enumerate(_resources(text, path), 1):
        if resource.get("resourceType") == "ClaimResponse" and resource.get("use") == "preauthorization":
            _take_response(resource, f"ClaimResponse {number}", found, key_of, path.name)
    return found


def _resources(text: str, path: Path) -> Iterator[dict[str, Any]]:
    """The resources of NDJSON, of a Bundle, or the one resource."""
    documents = text.splitlines() if path.suffix.lower() == ".ndjson" else [text]
    for line, document in enumerate(documents, 1):
        if not document.strip():
            continue
        try:
            resource = msgspec.json.decode(document)
        except msgspec.DecodeError:
            raise ConfigError("is not JSON; nothing was imported", where=f"{path}:{line}") from None
        if not isinstance(resource, dict):
            raise ConfigError("is not a FHIR resource; nothing was imported", where=f"{path}:{line}")
        entries = resource.get("entry") or () if resource.get("resourceType") == "Bundle" else ({"resource": resource},)
        yield from (entry["resource"] for entry in entries if isinstance(entry.get("resource"), dict))


def _take_response(resource: dict[str, Any], name: str, found: Imported, key_of: KeyOf, source: str) -> None:
    """R4: `preAuthRef`, `preAuthPeriod`, and `addItem` with quantity and codes. What lacks one is left out, and said."""
    number = resource.get("preAuthRef")
    patient = str((resource.get("patient") or {}).get("reference") or "").rpartition("Patient/")[2].partition("/")[0]
    key = key_of(patient, "") if patient else None
    if resource.get("status") != "active" or resource.get("outcome") not in ("complete", "partial"):
        found.left_out.append(f"{name}: status and outcome do not say that it is approved")
    elif not number or key is None:
        found.left_out.append(f"{name}: has no preAuthRef, or no patient")
    else:
        items = [item for item in resource.get("addItem") or () if isinstance(item, dict)]
        for item in items or [{}]:
            one = _from_item(item, str(number), resource.get("preAuthPeriod") or {})
            if one is None:
                found.left_out.append(f"{name}: says not how many visits, units or days; write it into a CSV")
            else:
                found.authorizations.append((key, one, source))


def _from_item(item: dict[str, Any], number: str, period: dict[str, Any]) -> Authorization | None:
    quantity = item.get("quantity") or {}
    word = str(quantity.get("code") or quantity.get("unit") or "").strip("{}").lower()
    counts = _FHIR_COUNTS.get(word) or _FHIR_COUNTS.get(word.removesuffix("s"))
    value = quantity.get("value")
    if counts is None or not isinstance(value, int | float) or value != int(value):
        return None
    coding = (item.get("productOrService") or {}).get("coding") or ()
    return Authorization(
        number=number,
        counts=counts,
        allowed=int(value),
        codes=frozenset(str(one["code"]) for one in coding if one.get("code")),
        valid_from=_day(period.get("start")),
        valid_to=_day(period.get("end")),
    )


def _day(text: object) -> date | None:
    return date.fromisoformat(str(text)[:10]) if text and len(str(text)) >= 10 else None
