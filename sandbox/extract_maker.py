"""A maker of pretend charge extracts in WebPT's layout: its standard columns, and those that a clinic adds for a biller.

    extract = pretend_extract(40)
    extract.write(folder / "charges-2026-11-19.csv", totals=True)

Deterministic. A row is a plain dict that a test may edit; nothing here shares code with what reads it.
"""

from __future__ import annotations

import csv
import io
import json
import zipfile
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, timedelta
from pathlib import Path
from random import Random
from xml.sax.saxutils import escape

from .day import STAFF
from .maker import SEED, Scale
from .people import person
from .plan import VisitPlan, emr_units

STANDARD = (
    *("record_id", "record_pointer", "visit_id", "visit_date", "case_id", "clinic_id", "patient_id", "therapist_id"),
    *("cosign_therapist_id", "insurance_id", "insurance_type_id", "cpt", "cpt_prefix", "cpt_suffix", "cpt_modifier", "units"),
    *("charge_amount", "note_type", "note_finalized_date", "modified_date"),
)
"""The columns of WebPT's "Charges: Standard Extract"."""

ADDED = (
    *("patient_last", "patient_first", "patient_dob", "patient_sex", "patient_street", "patient_city", "patient_state"),
    *("patient_zip", "member_id", "relationship", "minutes", "dx1", "dx2", "referring_npi"),
)
"""What a clinic adds to its export so that a biller can work with it."""

MAPPING = """\
# The clinic's own words on top of WebPT's extract: the columns that it added, and its therapists.
mapping: {clinic}
extends: emrs/webpt_extract
extract:
  holds: {holds}
  absent: {absent}
{totals}visit:
  place_of_service: {{fixed: "11"}}
patient:
  family: {{take: patient_last}}
  given: {{take: patient_first}}
  birth_date: {{take: patient_dob}}
  sex: {{take: patient_sex}}
  address: {{take: patient_street | patient_city | patient_state | patient_zip}}
coverages:
  member_id: {{take: member_id}}
  relationship: {{take: relationship}}
  order: {{fixed: "1"}}
referring:
  each: referring_npi
  npi: {{take: referring_npi}}
diagnoses:
  each: dx1
  code: {{take: dx1 | dx2}}
interventions:
  minutes: {{take: minutes, unit: min}}
lookups:
"""

TOTALS = """\
  control_totals:
    {place: sidecar, ending: .totals.json, rows: rows, visits: visits, sums: {units: units, charge_amount: amount}}
"""

_PRICES = {"97110": 4400, "97112": 4600, "97116": 4200, "97140": 4100, "97530": 5000, "97535": 4800, "G0283": 1500}
_AFTER = timedelta(hours=3)

Row = dict[str, str]


@dataclass
class Extract:
    """The rows of a file, in its order."""

    rows: list[Row] = field(default_factory=list)

    def visits(self) -> list[str]:
        """The ids of the visits, in order."""
        return list(dict.fromkeys(row["visit_id"] for row in self.rows))

    def of(self, visit_id: str) -> list[Row]:
        """A visit's rows."""
        return [row for row in self.rows if row["visit_id"] == visit_id]

    def without(self, visit_id: str) -> Extract:
        """The file after the visit was deleted in the EMR."""
        return Extract([row for row in self.rows if row["visit_id"] != visit_id])

    def text(self, delimiter: str = ",") -> str:
        """As a delimited file with its heading line."""
        out = io.StringIO()
        writer = csv.DictWriter(out, [*STANDARD, *ADDED], delimiter=delimiter, lineterminator="\r\n")
        writer.writeheader()
        writer.writerows(self.rows)
        return out.getvalue()

    def write(self, path: Path, *, totals: bool = False, **wrong: int) -> Path:
        """Write the file by its ending, control totals first. `wrong` are totals that lie."""
        if totals:
            path.with_suffix(".totals.json").write_text(json.dumps({**self.totals(), **wrong}), "utf-8")
        if path.suffix == ".xlsx":
            path.write_bytes(
                workbook([[*STANDARD, *ADDED], *([row[name] for name in (*STANDARD, *ADDED)] for row in self.rows)])
            )
        else:
            path.write_text(self.text("\t" if path.suffix == ".tsv" else ","), "utf-8")
        return path

    def totals(self) -> dict[str, object]:
        """What the sender says the file holds."""
        amount = sum(int(row["charge_amount"].replace(".", "")) for row in self.rows)
        return {
            "rows": len(self.rows),
            "visits": len(self.visits()),
            "units": sum(int(row["units"]) for row in self.rows),
            "amount": f"{amount // 100}.{amount % 100:02d}",
        }


def pretend_extract(count: int, *, last_day: date = date(2026, 11, 19), days: int = 4, seed: int = SEED) -> Extract:
    """`count` clean visits of three or four charges over `days` days up to `last_day`, as WebPT would export them."""
    scale = Scale(count, days=days, seed=seed, last_day=last_day)
    pointer = 70_000
    rows: list[Row] = []
    for number in range(count):
        plan = scale.plan(number)
        rows += _rows(plan, pointer, Random(f"{seed} {plan.patient_id}"))
        pointer += len(plan.lines)
    return Extract(rows)


def mapping_text(clinic: str, *, holds: str = "changed-visits", absent: str = "kept", totals: bool = False) -> str:
    """The clinic's mapping file: the columns that it added, and its therapists in WebPT's look-up tables."""
    text = MAPPING.format(clinic=clinic, holds=holds, absent=absent, totals=TOTALS if totals else "")
    staff = [who for who in STAFF if who.credential in ("PT", "OT", "SLP")]
    tables = {
        "therapist_disciplines": {_therapist(who.id): who.credential for who in staff},
        "therapist_npis": {_therapist(who.id): who.npi for who in staff},
        "therapist_credentials": {_therapist(who.id): who.credential for who in staff},
        "therapist_assistants": {_therapist(who.id): "false" for who in staff},
    }
    for name, words in tables.items():
        text += f"  {name}:\n" + "".join(f'    "{word}": "{value}"\n' for word, value in words.items())
    return text


def _therapist(staff_id: str) -> str:
    """WebPT's ids are numbers."""
    return str(500 + [who.id for who in STAFF].index(staff_id))


def _rows(plan: VisitPlan, pointer: int, random: Random) -> Iterable[Row]:
    who = person(random, over_65=plan.payer == "MCR-B")
    units = emr_units(plan.lines, plan.payer)
    member_id = f"SBX{random.randint(0, 99_999_999):08d}"
    patient_id = f"88{plan.patient_id.removeprefix('pat-')}"
    referring = next(one.npi for one in STAFF if one.id == plan.referring)
    for position, line in enumerate(plan.lines):
        count = units.get(line.code, 1)
        amount = count * _PRICES[line.code]
        yield {
            "record_id": plan.id.removeprefix("v"),  # the visit's, on each of its rows: not unique
            "record_pointer": str(pointer + position),
            "visit_id": f"9{plan.id.removeprefix('v')}",
            "visit_date": f"{plan.start:%m/%d/%Y}",
            "case_id": f"{patient_id}1",
            "clinic_id": "31",
            "patient_id": patient_id,
            "therapist_id": _therapist(plan.clinician),
            "cosign_therapist_id": "",
            "insurance_id": plan.payer,
            "insurance_type_id": "1",
            "cpt": line.code,
            "cpt_prefix": "",
            "cpt_suffix": "",
            "cpt_modifier": {"PT": "GP", "OT": "GO", "SLP": "GN"}[plan.discipline],
            "units": str(count),
            "charge_amount": f"{amount // 100}.{amount % 100:02d}",
            "note_type": plan.visit_type,
            "note_finalized_date": f"{plan.start + _AFTER:%m/%d/%Y %I:%M:%S %p}",
            "modified_date": f"{plan.start + _AFTER:%m/%d/%Y %I:%M:%S %p}",
            "patient_last": who.family,
            "patient_first": who.given,
            "patient_dob": who.birth_date,
            "patient_sex": who.gender,
            "patient_street": who.street,
            "patient_city": "Chicago",
            "patient_state": "IL",
            "patient_zip": who.postal_code,
            "member_id": member_id,
            "relationship": "self",
            "minutes": str(line.minutes),
            "dx1": plan.diagnoses[0],
            "dx2": plan.diagnoses[1] if len(plan.diagnoses) > 1 else "",
            "referring_npi": referring,
        }


# ---------------------------------------------------------------- workbooks

_PARTS = {
    "[Content_Types].xml": '<Types xmlns="http://schemas.openxmlformats.org/package/2006/content-types">'
    '<Default Extension="xml" ContentType="application/xml"/></Types>',
    "xl/workbook.xml": '<workbook xmlns="http://schemas.openxmlformats.org/spreadsheetml/2006/main" '
    'xmlns:r="http://schemas.openxmlformats.org/officeDocument/2006/relationships">'
    '<sheets><sheet name="Charges" sheetId="1" r:id="rId1"/></sheets></workbook>',
    "xl/_rels/workbook.xml.rels": '<Relationships xmlns="http://schemas.openxmlformats.org/package/2006/relationships">'
    '<Relationship Id="rId1" Target="worksheets/sheet1.xml"/></Relationships>',
    "xl/styles.xml": '<styleSheet xmlns="http://schemas.openxmlformats.org/spreadsheetml/2006/main">'
    '<numFmts><numFmt numFmtId="164" formatCode="m/d/yyyy\\ h:mm"/></numFmts>'
    '<cellXfs><xf numFmtId="0"/><xf numFmtId="14"/><xf numFmtId="164"/></cellXfs></styleSheet>',
}


def workbook(
    rows: Sequence[Sequence[str]], cells: Mapping[str, str] | None = None, parts: Mapping[str, str] | None = None
) -> bytes:
    """A minimal .xlsx of text cells. `cells` replaces a cell's XML by its reference; `parts` replaces whole parts."""
    lines = []
    for number, row in enumerate(rows, start=1):
        shown = "".join((cells or {}).get(f"{_letters(place)}{number}", _text(f"{_letters(place)}{number}", cell))
                        for place, cell in enumerate(row, start=1))  # fmt: skip
        lines.append(f'<row r="{number}">{shown}</row>')
    sheet = (
        '<worksheet xmlns="http://schemas.openxmlformats.org/spreadsheetml/2006/main"><sheetData>'
        + "".join(lines)
        + "</sheetData></worksheet>"
    )
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, text in {**_PARTS, "xl/worksheets/sheet1.xml": sheet, **(parts or {})}.items():
            archive.writestr(name, text)
    return out.getvalue()


def _text(reference: str, cell: str) -> str:
    return f'<c r="{reference}" t="inlineStr"><is><t>{escape(cell)}</t></is></c>' if cell else ""


def _letters(place: int) -> str:
    letters = ""
    while place:
        place, letter = divmod(place - 1, 26)
        letters = chr(65 + letter) + letters
    return letters
