"""csv_drop: one CSV file per run in a folder that the biller reads, with control totals beside it.

One row per service line; every cell is quoted and none can start a formula in a spreadsheet. A run's files:

    ptbridge-<clinic>-<run>.csv           the rows; it appears whole or not at all, and is never overwritten
    ptbridge-<clinic>-<run>.totals.json   rows, submissions, units, cents and the SHA-256 of the CSV
    .ptbridge/<clinic>/…                  our receipts: which submission went into which file; leave them there

How a crash leaves nothing half and nothing doubled: the CSV is written in the hidden folder and fsynced; then the receipt,
fsynced; then the CSV gets its name. After a crash a submission with a receipt is in a whole file, which gets its name if
it has none yet; one without a receipt was never visible. The biller may take the CSV away: the receipts stay.
"""

from __future__ import annotations

import csv
from collections.abc import Sequence
from io import StringIO

import orjson

from ptbridge.destinations import DestinationParts
from ptbridge.destinations._charge_document import charge_document
from ptbridge.destinations._document import Document
from ptbridge.destinations._drop_folder import DropFolder, FileDrop, Receipt, plain
from ptbridge.model import Acknowledgement, Frequency, PricedDay, Submission
from ptbridge.model.money import decimal_text
from ptbridge.ports import Capabilities, DestinationInfo
from ptbridge.specs.clinic import BillingProviderSpec

INFO = DestinationInfo(
    name="csv_drop",
    summary="Writes one CSV file per run, with control totals, into a folder that the biller reads.",
    needs=("folder",),
)

_MEDIA_TYPE = "text/csv; charset=utf-8"
_MAX_DIAGNOSES = 12  # X12 837P loop 2300 HI
_MAX_MODIFIERS = 4  # X12 837P SV101-3 to SV101-6
COLUMNS = (
    "reference",
    "frequency",
    "original_id",
    "clinic",
    "service_date",
    "discipline",
    "place_of_service",
    "billing_npi",
    "billing_name",
    "billing_tax_id",
    "rendering_npi",
    "rendering_name",
    "rendering_credential",
    "supervising_npi",
    "referring_npi",
    "referring_name",
    "patient_id",
    "patient_mrn",
    "patient_family",
    "patient_given",
    "patient_birth_date",
    "patient_sex",
    "patient_phone",
    "patient_address",
    "patient_city",
    "patient_state",
    "patient_postal_code",
    "payer_id",
    "payer_name",
    "plan_name",
    "member_id",
    "group_number",
    "relationship",
    "authorization",
    *(f"diagnosis_{number}" for number in range(1, _MAX_DIAGNOSES + 1)),
    "line",
    "procedure",
    *(f"modifier_{number}" for number in range(1, _MAX_MODIFIERS + 1)),
    "units",
    "minutes",
    "diagnosis_pointers",
    "unit_price",
    "amount",
    *(f"subscriber_{part}" for part in ("family", "given", "birth_date", "sex")),
    *(f"subscriber_{part}" for part in ("address", "city", "state", "postal_code")),
    *(f"other_{part}" for part in ("payer_id", "payer_name", "member_id", "group_number", "relationship")),
)


def build(parts: DestinationParts) -> CsvDrop:
    """A destination for one run (see `ptbridge.destinations`). Raises ConfigError for a missing folder or an option."""
    folder = parts.needed_folder("where the biller reads files")
    INFO.refuse_unknown(parts.options)
    return CsvDrop(FileDrop(DropFolder(folder, plain(parts.clinic)), parts.clinic, parts.run_id), parts.billing)


class CsvDrop:
    """A folder that the biller reads."""

    def __init__(self, files: FileDrop, billing: BillingProviderSpec) -> None:
        self._files = files
        self._billing = billing

    @property
    def capabilities(self) -> Capabilities:
        """A file cannot be taken back, so no key makes a second one harmless; but the receipts can always be asked."""
        return Capabilities(find=True, replace=True, void=True, own_receipts=True, batch=True)

    def encode(self, priced: PricedDay, *, reference: str, frequency: str, original_id: str | None) -> tuple[bytes, str]:
        """The day's rows; dollars with two decimals."""
        document = charge_document(
            priced, self._billing, reference=reference, frequency=frequency, original_id=original_id, with_others=True
        )
        rows = (_row({**_day_cells(document), **_line_cells(line)}) for line in document["lines"])
        return b"".join(rows), _MEDIA_TYPE

    def encode_void(self, live: bytes, *, reference: str, original_id: str | None) -> tuple[bytes, str]:
        """The rows of what is taken back, repeated with frequency 8, as X12 does."""
        rows = csv.DictReader(StringIO(live.decode(), newline=""), fieldnames=COLUMNS, restval="")
        marks = {"frequency": Frequency.VOID.value, "original_id": original_id or "", "reference": reference}
        return b"".join(_row({**row, **marks}) for row in rows), _MEDIA_TYPE

    async def submit(self, submission: Submission) -> Acknowledgement:
        """A file of its own for one submission; a run uses `submit_batch`."""
        return (await self.submit_batch([submission]))[0]

    async def submit_batch(self, submissions: Sequence[Submission]) -> list[Acknowledgement]:
        """Write one file with all of them; accepted only when it is on the disk under its name.

        Raises PeerUnavailable when the folder cannot be written and nothing became visible, OutcomeUnknown when the
        disk gave up at the end: `find` then tells.
        """
        if not submissions:
            return []
        content = _row(dict(zip(COLUMNS, COLUMNS, strict=True))) + b"".join(one.body for one in submissions)
        dropped = self._files.drop(submissions, content, lambda receipt: _control_totals(receipt, content))
        return [dropped for _ in submissions]

    async def find(self, submission: Submission) -> Acknowledgement | None:
        """The file that holds this very submission, by our receipts; a file that a crash left unnamed gets its name."""
        return self._files.find(submission)

    async def list_references(self, service_dates: tuple[str, str]) -> dict[str, tuple[int, int]] | None:
        """What we dropped and did not take back, by our receipts. What the biller did with it, a folder cannot tell."""
        return self._files.live(*service_dates)

    async def check(self) -> list[str]:
        """Can we write there. Raises PeerUnavailable when not."""
        return [self._files.check()]

    async def close(self) -> None:
        """Nothing is open between calls."""


def _control_totals(receipt: Receipt, content: bytes) -> bytes:
    """What the biller checks the file against: the sums over its rows as they stand in it."""
    rows = list(csv.DictReader(StringIO(content.decode(), newline="")))
    totals = {
        "file": receipt.file,
        "sha256": receipt.sha256,
        "submissions": len(receipt.entries),
        "rows": len(rows),
        "units": sum(int(row["units"]) for row in rows),
        "amount_cents": sum(int(row["amount"].replace(".", "")) for row in rows if row["amount"]),
    }
    return orjson.dumps(totals, option=orjson.OPT_INDENT_2 | orjson.OPT_APPEND_NEWLINE)


# ---------------------------------------------------------------- cells

# What a spreadsheet may read as a formula, and the full-width forms that some fold to it (OWASP, CSV Injection).
_FORMULA = tuple("=+-@\t\r\n＝＋－＠")


def _row(cells: dict[str, str]) -> bytes:
    return (",".join(cell(cells.get(column, "")) for column in COLUMNS) + "\r\n").encode()


def cell(text: str) -> str:
    """One quoted cell. Text that a spreadsheet might run gets an apostrophe in front, also behind leading spaces."""
    risky = text.startswith(_FORMULA) or text.lstrip().startswith(_FORMULA)
    doubled = text.replace('"', '""')
    return f'"\'{doubled}"' if risky else f'"{doubled}"'


def _day_cells(document: Document) -> dict[str, str]:
    """The cells that all rows of the day share; an absent fact is an empty cell."""
    patient, coverage, billing = (document.get(part, {}) for part in ("patient", "coverage", "billing_provider"))
    address = patient.get("address", {})
    names = (
        "reference",
        "frequency",
        "original_id",
        "clinic",
        "service_date",
        "discipline",
        "place_of_service",
        "authorization",
    )
    return {
        **_picked(document, "", *names),
        **_picked(billing, "billing_", "npi", "name", "tax_id"),
        **_picked(document.get("rendering_provider", {}), "rendering_", "npi", "name", "credential"),
        **_picked(document.get("supervising_provider", {}), "supervising_", "npi"),
        **_picked(document.get("referring_provider", {}), "referring_", "npi", "name"),
        **_picked(patient, "patient_", "id", "mrn", "family", "given", "birth_date", "sex", "phone"),
        **_picked(address, "patient_", "city", "state", "postal_code"),
        "patient_address": ", ".join(address.get("lines", ())),
        **_picked(coverage, "", "payer_id", "payer_name", "plan_name", "member_id", "group_number", "relationship"),
        **_numbered("diagnosis", document["diagnoses"], _MAX_DIAGNOSES),
        **_subscriber_cells(coverage.get("subscriber", {})),
        **_picked(
            next(iter(document.get("other_coverages", ())), {}),
            "other_",
            *("payer_id", "payer_name", "member_id", "group_number", "relationship"),
        ),
    }


def _subscriber_cells(subscriber: Document) -> dict[str, str]:
    """Whose insurance it is; empty where that is the patient."""
    address = subscriber.get("address", {})
    return {
        **_picked(subscriber, "subscriber_", "family", "given", "birth_date", "sex"),
        **_picked(address, "subscriber_", "city", "state", "postal_code"),
        "subscriber_address": ", ".join(address.get("lines", ())),
    }


def _line_cells(line: Document) -> dict[str, str]:
    cells = {
        "line": line["line_id"],
        **_picked(line, "", "procedure", "units", "minutes"),
        **_numbered("modifier", line["modifiers"], _MAX_MODIFIERS),
        "diagnosis_pointers": " ".join(map(str, line["diagnosis_pointers"])),
        **_picked(line.get("rendering_provider", {}), "rendering_", "npi", "name", "credential"),
    }
    for column, field in (("unit_price", "unit_price_cents"), ("amount", "amount_cents")):
        if field in line:
            cells[column] = decimal_text(line[field])
    return cells


def _picked(part: Document, prefix: str, *names: str) -> dict[str, str]:
    return {prefix + name: str(part[name]) for name in names if name in part}


def _numbered(name: str, values: Sequence[str], most: int) -> dict[str, str]:
    """`name_1`, `name_2`, … The edits hold a day that has more than the columns; this file never drops one."""
    assert len(values) <= most, f"more than {most} of {name}; an edit should have held this day"
    return {f"{name}_{number}": value for number, value in enumerate(values, start=1)}
