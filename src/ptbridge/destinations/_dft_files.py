"""DFT messages as files: one file per run in a folder that the biller reads, whole or not at all.

    ptbridge-<clinic>-<run>.hl7           the messages, each segment ended by CR, in FHS/BHS … BTS/FTS if so agreed
    ptbridge-<clinic>-<run>.totals.json   messages, lines, units and cents (credits count below zero), SHA-256 of the file
    .ptbridge/<clinic>/…                  our receipts: which submission went into which file; leave them there

How a crash leaves nothing half and nothing doubled is written in `csv_drop`; the folder is the same.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path

import orjson

from ptbridge.destinations._dft_er7 import Er7, Line, control_id_of, lines_of, stamped
from ptbridge.destinations._dft_message import CHARGE
from ptbridge.destinations._drop_folder import DropFolder, FileDrop, Receipt, plain
from ptbridge.model import Acknowledgement, Submission
from ptbridge.specs.interface_profile import InterfaceSpec

ENDING = ".hl7"


class DftFiles:
    """One clinic's drop folder for messages."""

    def __init__(self, folder: Path, spec: InterfaceSpec, clinic: str, run_id: str) -> None:
        self.files = FileDrop(DropFolder(folder, plain(clinic), ending=ENDING), clinic, run_id)
        self._spec = spec
        self._run_id = plain(run_id)

    def drop(self, submissions: Sequence[Submission]) -> Acknowledgement:
        """Write one file with all of them; returns only when it is on the disk under its name. Raises as `FileDrop.drop`."""
        messages = [stamped(one.body, control_id_of(one.key)) for one in submissions]
        return self.files.drop(submissions, self._enveloped(messages), lambda receipt: _control_totals(receipt, messages))

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
