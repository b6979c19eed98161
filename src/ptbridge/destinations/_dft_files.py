"""DFT messages as files: one file per run in a folder that the biller reads, whole or not at all.

    ptbridge-<clinic>-<run>.hl7           the messages, each segment ended by CR, in FHS/BHS … BTS/FTS if so agreed
    ptbridge-<clinic>-<run>.totals.json   messages, lines, units and cents (credits count below zero), SHA-256 of the file
    .ptbridge/<clinic>/…                  our receipts: which submission went into which file; leave them there

How a crash leaves nothing half and nothing doubled is written in `csv_drop`; the folder is the same.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from hashlib import sha256

import orjson

from ptbridge.destinations._dft_er7 import Er7, Line, control_id_of, lines_of, stamped
from ptbridge.destinations._dft_message import CHARGE
from ptbridge.destinations._drop_folder import DropFolder, Entry, Receipt
from ptbridge.errors import OutcomeUnknown, PeerUnavailable
from ptbridge.model import Acknowledgement, Disposition, Frequency, Submission
from ptbridge.specs.interface_profile import InterfaceSpec

ENDING = ".hl7"


class DftFiles:
    """One clinic's drop folder for messages."""

    def __init__(self, folder: DropFolder, spec: InterfaceSpec, clinic: str, run_id: str) -> None:
        self._folder = folder
        self._spec = spec
        self._clinic = clinic
        self._run_id = run_id

    def drop(self, submissions: Sequence[Submission]) -> Acknowledgement:
        """Write one file with all of them; returns only when it is on the disk under its name.

        Raises PeerUnavailable when nothing became visible, OutcomeUnknown when the disk gave up at the end.
        """
        messages = [stamped(one.body, control_id_of(one.key)) for one in submissions]
        content = self._enveloped(messages)
        try:
            receipt = Receipt(
                file=self._folder.free_name(f"ptbridge-{self._clinic}-{self._run_id}"),
                sha256=sha256(content).hexdigest(),
                entries=tuple(Entry.of(one) for one in submissions),
            )
            self._folder.prepare(receipt, content, _control_totals(receipt, messages))
        except OSError as error:
            raise PeerUnavailable(f"{self._folder.path}: {_trouble(error)} Nothing was dropped.") from None
        try:
            self._folder.commit(receipt)
        except OSError as error:
            raise OutcomeUnknown(f"{self._folder.path}: {_trouble(error)} The next run looks what stands there.") from None
        return _accepted(receipt.file)

    def find(self, submission: Submission) -> Acknowledgement | None:
        """The file that holds this very submission, by our receipts; a file that a crash left unnamed gets its name."""
        receipt = self._folder.receipt_of(submission.key)
        if receipt is None:
            return None
        try:
            self._folder.give_name(receipt)
        except OSError as error:
            raise PeerUnavailable(f"{self._folder.path}: {_trouble(error)}") from None
        return _accepted(receipt.file)

    def live(self, first: str, last: str) -> dict[str, tuple[int, int]]:
        """What we dropped and did not take back, by our receipts: reference -> (units, cents)."""
        found: dict[str, tuple[int, int]] = {}
        for entry in (entry for receipt in self._folder.receipts() for entry in receipt.entries):
            found.pop(entry.reference, None)
            if entry.frequency != Frequency.VOID and first <= entry.service_date <= last:
                found[entry.reference] = (entry.units, entry.amount_cents)
        return found

    def check(self) -> str:
        """Can we write there. Raises PeerUnavailable when not."""
        try:
            self._folder.probe()
        except OSError as error:
            raise PeerUnavailable(f"{self._folder.path}: {_trouble(error)}") from None
        return f"the folder {self._folder.path} can be written"

    def _enveloped(self, messages: Sequence[bytes]) -> bytes:
        """FHS BHS … BTS FTS with their counts (HL7 v2 chapter 2, 2.10.3); no clock here either, so FHS-7 stays empty."""
        if self._spec.file_envelope == "none":
            return b"".join(messages)
        message = self._spec.message
        er7 = Er7(message.separators)
        parties = (
            message.sending_application,
            message.sending_facility,
            message.receiving_application,
            message.receiving_facility,
        )
        fields = {**{place: er7.text(name) for place, name in enumerate(parties, start=3)}, 11: er7.text(self._run_id)}
        header = er7.header(fields).removeprefix("MSH")
        last = (er7.segment("BTS", {1: str(len(messages))}), er7.segment("FTS", {1: "1"}))
        before = f"FHS{header}\rBHS{header}\r".encode()
        return before + b"".join(messages) + "".join(f"{segment}\r" for segment in last).encode()


def plain(name: str) -> str:
    """A clinic's or run's name as part of a file name."""
    return re.sub(r"[^A-Za-z0-9_-]", "-", name)


def _accepted(file: str) -> Acknowledgement:
    return Acknowledgement(disposition=Disposition.ACCEPTED, destination_id=file, native_code="dropped")


def _trouble(error: OSError) -> str:
    return f"cannot write there ({error.strerror}). Check that it exists, its owner and the space on its disk."


def _control_totals(receipt: Receipt, messages: Sequence[bytes]) -> bytes:
    """What the biller checks the file against: the sums over its lines as they stand in it."""
    lines = [line for message in messages for line in lines_of(message.decode("latin-1")) if line.name == "FT1"]
    totals = {
        "file": receipt.file,
        "sha256": receipt.sha256,
        "messages": len(messages),
        "lines": len(lines),
        "units": sum(_signed(line, line.get(10)) for line in lines),
        "amount_cents": sum(_signed(line, _cents(line.get(11))) for line in lines),
    }
    return orjson.dumps(totals, option=orjson.OPT_INDENT_2 | orjson.OPT_APPEND_NEWLINE)


def _cents(money: str) -> str:
    """`60.00&USD` as `6000`: digits before the first sign that is no part of an amount."""
    match = re.match(r"-?\d+\.\d\d", money)
    return match[0].replace(".", "") if match else ""


def _signed(line: Line, number: str) -> int:
    """A credit counts below zero, whichever way the partner wants it written."""
    size = abs(int(number)) if number else 0
    return size if line.get(6) == CHARGE else -size
