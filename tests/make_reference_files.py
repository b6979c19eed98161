"""Synthetic reference files in the layouts that CMS publishes: the loaders are tested without the originals.

    python -m tests.make_reference_files FOLDER             small files of 2026 Q4, all of them
    python -m tests.make_reference_files FOLDER --pairs 2300000   the four parts of a pair table of that size, for measuring

No text of the AMA is in them: where an official file has a descriptor, there is DESCRIPTOR. It must never reach a look-up
file.
"""

from __future__ import annotations

import argparse
import io
import random
import zipfile
from collections.abc import Iterable, Sequence
from pathlib import Path

DESCRIPTOR = "PLANTED DESCRIPTOR never to be stored"
COPYRIGHT = "CPT only copyright 2026 American Medical Association.  All rights reserved."

# (column 1, column 2, before 1996, effective, deletion, indicator)
PAIRS: tuple[tuple[str, str, str, str, str, str], ...] = (
    ("97140", "97530", "", "20000701", "20191231", "1"),  # deleted, its last day a quarter's last
    ("97530", "97116", "", "19990701", "20191231", "1"),
    ("97530", "97116", "", "20200101", "20200101", "9"),
    ("97161", "97140", "", "20200101", "20200101", "9"),
    ("97161", "97140", "", "20201001", "20201001", "9"),
    ("97162", "97161", "", "20170101", "*", "0"),
    ("97163", "97161", "", "20170101", "*", "0"),
    ("97163", "97162", "", "20170101", "*", "0"),
    ("97150", "97110", "", "20201001", "*", "1"),  # invented: stands for a pair that a file could have
    ("97124", "97140", "*", "19960101", "20051231", "0"),  # comes back on the next day with another indicator
    ("97124", "97140", "", "20060101", "*", "1"),
    ("99203", "97161", "", "20201001", "20201001", "1"),  # same day, though its indicator is 1
    ("G0283", "97032", "", "20060101", "20261115", "1"),  # ends within the quarter
)
MUES = (("97110", 6, "3 Date of Service Edit: Clinical"), ("97112", 4, "3 Date of Service Edit: Clinical"),
        ("97161", 1, "2 Date of Service Edit: Policy"), ("97530", 5, "3 Date of Service Edit: Clinical"),
        ("97010", 0, "2 Date of Service Edit: Policy"), ("97597", 2, "1 Line Edit"))  # fmt: skip
ADD_ONS = (("97130", "97129", "2020001", "1"), ("97598", "97597", "2013091", "1"), ("99292", "CCCCC", "2013091", "2"))
# code, modifier, status, work, PE non-facility, PE facility, malpractice, total non-facility, total facility, PC/TC, multiple
RVUS = (
    ("97110", "", "A", ".45", ".41", ".41", ".01", ".87", ".87", "7", "5"),
    ("97140", "", "A", "0.43", "0.39", "0.39", "0.01", "0.83", "0.83", "7", "5"),
    ("97010", "", "B", ".06", ".13", "NA", ".01", ".20", "NA", "7", "9"),
    ("77067", "26", "A", "0.76", "0.27", "0.27", "0.05", "1.08", "1.08", "1", "0"),
)
ICD10 = (("A00", 0), ("A000", 1), ("M545", 0), ("M5450", 1), ("M5451", 1), ("M5459", 1), ("M6281", 1), ("S82891A", 1),
         ("S82891D", 1), ("R262", 1), ("R2681", 1), ("Z4789", 1), ("Z7409", 1), ("I69351", 1))  # fmt: skip


def pair_lines(rows: Iterable[Sequence[str]], *, medicaid: bool = False) -> Iterable[str]:
    """A pair file: copyright lines, the stacked header, then rows; Medicaid's has no third column."""
    yield COPYRIGHT
    yield "Column1/Column2 Edits"
    header = (
        ("Column 1", "Column 2", "*=in existence", "Effective", "Deletion", "Modifier", "PTP Edit Rationale"),
        ("", "", "prior to 1996", "Date", "Date", "0=not allowed", ""),
        ("", "", "", "", "*=no data", "1=allowed", ""),
        ("", "", "", "", "", "9=not applicable", ""),
    )
    for row in header:
        yield "\t".join(row[:2] + row[3:] if medicaid else row)
    for one, two, before, effective, deletion, indicator in rows:
        middle = [] if medicaid else [before]
        yield "\t".join([one, two, *middle, effective, deletion, indicator, DESCRIPTOR])


def mue_text(rows: Iterable[tuple[str, int, str]] = MUES, service: str = "Practitioner Services") -> str:
    """A unit maximum table: a copyright row, a header with a line break in its first cell, then rows."""
    head = [f'"{COPYRIGHT}",,,', f'"HCPCS/\nCPT Code","{service} MUE Values","MUE Adjudication Indicator","MUE Rationale"']
    return "\r\n".join([*head, *(f'{code},{units},"{indicator}","{DESCRIPTOR}"' for code, units, indicator in rows), ""])


def add_on_text(rows: Iterable[tuple[str, str, str, str]] = ADD_ONS) -> str:
    """An add-on code file; dates are year and day of the year."""
    names = ("Add-On_Code", "AOC_DelDT", "Primary_Code", "Primary_Code_DelDT", "AOC_Edit_EffDT", "AOC_Edit_DelDT",
             "AOC_Edit_Type", "Special_Instruction/Notes")  # fmt: skip
    lines = ["\t".join(names)]
    lines += ["\t".join([code, "", primary, "", effective, "", kind, DESCRIPTOR]) for code, primary, effective, kind in rows]
    return "\r\n".join([*lines, ""])


def rvu_text(factor: str = "33.4009", rows: Iterable[Sequence[str]] = RVUS) -> str:
    """A relative value file: title rows, a header over three rows, latin-1 text, quoted descriptions."""
    top = [",,2026 National Physician Fee Schedule Relative Value File July Release" + "," * 28,
           f",,{COPYRIGHT}" + "," * 28, "," * 30,
           ",,,,NOT USED FOR" + "," * 26,
           ",,,STATUS,MEDICARE,WORK,NON-FAC,NON-FAC NA,FACILITY,FACILITY NA,MP,NON-FACILITY,FACILITY,PCTC,GLOB,PRE,INTRA,POST,"
           "MULT,BILAT,ASST,CO-,TEAM,ENDO,CONV,PHYSICIAN SUPERVISION OF,CALCULATION,DIAGNOSTIC IMAGING,NON-FACILITY PE USED FOR"
           " OPPS,FACILITY PE USED FOR OPPS,MP USED FOR OPPS",
           "HCPCS,MOD,DESCRIPTION,CODE,PAYMENT,RVU,PE RVU,INDICATOR,PE RVU,INDICATOR,RVU,TOTAL,TOTAL,IND,DAYS,OP,OP,OP,PROC,"
           "SURG,SURG,SURG,SURG,BASE,FACTOR,DIAGNOSTIC PROCEDURES,FLAG,FAMILY INDICATOR,PAYMENT AMOUNT,PAYMENT AMOUNT,"
           "PAYMENT AMOUNT"]  # fmt: skip
    for code, modifier, status, work, pe, facility_pe, mp, total, facility, pctc, multiple in rows:
        top.append(f'{code},{modifier},"{DESCRIPTOR} caf\u00e9, 1",{status},,{work},{pe},,{facility_pe},,{mp},{total},'
                   f"{facility},{pctc},XXX,0.00,0.00,0.00,{multiple},0,0,0,0,,{factor},09,0,99,0.00,0.00,0.00")  # fmt: skip
    return "\r\n".join([*top, ""])


def therapy_text() -> str:
    """A therapy code list as it is believed to look: the layout was never seen."""
    rows = [
        ("97110", "Always therapy"),
        ("97161", "Always therapy"),
        ("97597", "Sometimes therapy"),
        ("98975", "Sometimes therapy"),
    ]
    lines = ["2026 Therapy Code List and Dispositions", COPYRIGHT, "HCPCS Code,Short Descriptor,Disposition"]
    return "\r\n".join([*lines, *(f'{code},"{DESCRIPTOR}",{says}' for code, says in rows), ""])


def icd10_text(rows: Iterable[tuple[str, int]] = ICD10) -> str:
    """An order file: fixed width."""
    return "".join(f"{at:05d} {code:<7} {flag} {DESCRIPTOR:<60} {DESCRIPTOR}\r\n" for at, (code, flag) in enumerate(rows, 1))


def zipped(path: Path, members: dict[str, str | bytes]) -> Path:
    """A zip with these members; text goes in as latin-1."""
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, data in members.items():
            archive.writestr(name, data if isinstance(data, bytes) else data.encode("latin-1"))
    return path


def pair_zips(
    folder: Path, rows: Sequence[Sequence[str]] = PAIRS, *, version: str = "v323r0", quarter: str = "2026q4"
) -> list[Path]:
    """The four zips of a quarter's pairs, in upper and lower case as CMS mixes them."""
    size = -(-len(rows) // 4)
    made = []
    for part in range(1, 5):
        member = f"ccipra-{version}-f{part}.{'TXT' if part % 2 else 'txt'}"
        text = "\r\n".join(pair_lines(rows[(part - 1) * size : part * size])) + "\r\n"
        name = f"medicare-ncci-{quarter}-practitioner-ptp-edits-ccipra-{version}-f{part}.zip"
        made.append(zipped(folder / name, {member: text, f"ccipra-{version}-f{part}.xlsx": b"PK workbook"}))
    return made


def small_files(folder: Path) -> list[Path]:
    """One of each kind for 2026 Q4, as downloaded."""
    return [
        *pair_zips(folder),
        zipped(
            folder / "medicare-ncci-2026-q4-practitioner-services-mue-table.zip",
            {"MCR_MUE_PractitionerServices_Eff_10-01-2026.csv": mue_text(), "readme.pdf": b"%PDF"},
        ),
        zipped(folder / "medicare-ncci-2026q4-add-on-code-edits.zip", {"AOC_V2026Q4-MCR.txt": add_on_text()}),
        zipped(
            folder / "rvu26d.zip",
            {
                "PPRRVU2026_Oct_nonQPP.csv": rvu_text(),
                "PPRRVU2026_Oct_QPP.csv": rvu_text("33.5675"),
                "GPCI2026.csv": "state,locality,work\r\nAL,00,1.0\r\n",
            },
        ),
        zipped(folder / "therapy-code-list-2026.zip", {"TherapyCodeList2026.csv": therapy_text()}),
        zipped(folder / "2027-code-descriptions-tabular-order.zip", {"Code Descriptions/icd10cm_order_2027.txt": icd10_text()}),
    ]


def many_pairs(count: int) -> list[tuple[str, str, str, str, str, str]]:
    """That many rows as the real table has them: sorted, some 15,000 codes, history, one in ten never active."""
    chance = random.Random(323)
    codes = sorted(
        {f"{number:05d}" for number in chance.sample(range(100, 99_999), 14_000)} | {f"G{n:04d}" for n in range(1000)}
    )
    rows: list[tuple[str, str, str, str, str, str]] = []
    each = -(-count // len(codes))
    for one in codes:
        for two in sorted(chance.sample(codes, each)):
            year = chance.randrange(1996, 2026)
            never = chance.random() < 0.1
            begin = f"{year}{chance.choice(('0101', '0401', '0701', '1001'))}"
            end = begin if never else "*" if chance.random() < 0.7 else f"{year + 1}1231"
            rows.append((one, two, "*" if year == 1996 else "", begin, end, "9" if never else chance.choice("01")))
    return rows[:count]


def whole_quarter(folder: Path, pairs: int, maximums: int, *, version: str = "v320r0", quarter: str = "2026q1") -> list[Path]:
    """A quarter's pairs, unit maximums and add-on codes at these sizes, the small tables' own rows among them."""
    many = [*many_pairs(pairs - len(PAIRS)), *PAIRS]
    codes = [code for code in dict.fromkeys(row[0] for row in many) if code not in {code for code, _, _ in MUES}]
    indicator = "3 Date of Service Edit: Clinical"
    values = [*MUES, *((code, 1 + place % 8, indicator) for place, code in enumerate(codes[: maximums - len(MUES)]))]
    table = {f"MCR_MUE_PractitionerServices_Eff_{_first_day(quarter)}.csv": mue_text(values)}
    return [
        *pair_zips(folder, many, version=version, quarter=quarter),
        zipped(folder / f"medicare-ncci-{quarter}-practitioner-services-mue-table.zip", table),
        zipped(folder / f"medicare-ncci-{quarter}-add-on-code-edits.zip", {f"AOC_V{quarter.upper()}-MCR.txt": add_on_text()}),
    ]


def _first_day(quarter: str) -> str:
    year, number = quarter.split("q")
    return f"{3 * int(number) - 2:02d}-01-{year}"


def main() -> None:
    """Write the files and name them."""
    asked = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    asked.add_argument("folder", type=Path)
    asked.add_argument("--pairs", type=int, default=0)
    given = asked.parse_args()
    given.folder.mkdir(parents=True, exist_ok=True)
    made = pair_zips(given.folder, many_pairs(given.pairs)) if given.pairs else small_files(given.folder)
    out = io.StringIO()
    for path in made:
        print(f"{path} ({path.stat().st_size:,} bytes)", file=out)
    print(out.getvalue(), end="")


if __name__ == "__main__":
    main()
