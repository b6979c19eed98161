"""DFT messages with ten FT1 each: bytes to priced charges on one core, beside what two HL7 libraries need to read the same.

As in a sync: Python's collector runs rarely, and each message is read for the first time, so that of a patient, a visit or an
insurance nothing is remembered; what a clinic says again and again (its codes, clinicians, diagnoses, days) is.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import UTC, datetime

import hl7
from hl7apy.parser import parse_message
from ptbridge_sandbox.demo import SECOND

from ptbridge.coding import code, price
from ptbridge.intake import group
from ptbridge.jobs.collector import rare_collections
from ptbridge.model import PricedDay, SourceRecord
from ptbridge.pipeline import Kit, normalize
from ptbridge.wire.hl7v2 import Message
from tests.bench.clinic import kit_of
from tests.bench.hl7_clinic import charge_messages, hl7_folder
from tests.bench.runner import Figure, Settings, interleaved, parse_page, rate

MESSAGES_PER_SECOND = 3_000  # issue 4: one core, before the edits
RECEIVED = datetime(2026, 3, 31, tzinfo=UTC)
_READ = ((2, 1), (4, 1), (6, 1), (10, 1), (19, 1), (20, 1), (25, 1), (26, 1))  # of each FT1; and PR1-7


def run(settings: Settings) -> list[Figure]:
    """The promised rate, then reading the same fields with our tokenizer, python-hl7 and hl7apy, in the same rounds."""
    with hl7_folder() as config:
        kit = kit_of(config, SECOND)
    count, rounds = settings.size(1_000, 5), settings.size(9, 1)
    messages = charge_messages(count * rounds)  # no two alike
    fresh = iter([messages[place : place + count] for place in range(0, len(messages), count)])
    several, few, one = messages[:count], messages[: settings.size(100, 2)], messages[:1]
    work: dict[str, Callable[[], object]] = {
        "page": parse_page,
        "priced": lambda: priced(next(fresh), kit),
        "ours": lambda: [read(raw) for raw in several],
        "python-hl7": lambda: [read_python_hl7(raw) for raw in few],
        "hl7apy": lambda: [read_hl7apy(raw) for raw in one],
    }
    with rare_collections():
        taken = interleaved(rounds, work)
    what = f"ten-line DFTs priced ({len(messages[0]):,} bytes each)"
    charges = rate(what, count / taken.seconds("priced"), MESSAGES_PER_SECOND, taken.seconds("page"), "msg/s")
    counts = {"ours": len(several), "python-hl7": len(few), "hl7apy": len(one)}
    readers = [Figure(what=f"  {name} reads them", value=counts[name] / taken.seconds(name), unit="msg/s") for name in counts]
    return [charges, *readers]


def priced(messages: Sequence[bytes], kit: Kit) -> list[PricedDay]:
    """From bytes to priced charges: each message a visit and a treatment day of its own."""
    visits = [normalize(_record(number, raw), kit) for number, raw in enumerate(messages)]
    days = group(visits, clinic=SECOND, billing_npi=kit.clinic.billing_provider.npi)
    found = []
    for day in days:
        route = kit.route(day)
        assert route is not None, "every message has a payer that the clinic knows"
        coded = code(day, policy=kit.policies[route.policy], codes=kit.codes, assistant_method=kit.clinic.assistant_method)
        found.append(price(coded, kit.fees[""]))
    return found


def _record(number: int, raw: bytes) -> SourceRecord:
    return SourceRecord(
        clinic=SECOND,
        source="hl7v2",
        record_key=f"V{number + 1}",
        media_type="application/hl7-v2",
        payload=raw,
        received_at=RECEIVED,
    )


def read(raw: bytes) -> list[list[str | None]]:
    """What a biller needs of each FT1, by our tokenizer; the other two read the same."""
    message = Message.parse(raw)
    return [
        [*(charge.head.value(field, part) for field, part in _READ), charge.get("PR1-7")] for charge in message.groups("FT1")
    ]


def read_python_hl7(raw: bytes) -> list[list[str | None]]:
    """The same with python-hl7."""
    message = hl7.parse(raw.decode())
    charges, procedures = message.segments("FT1"), message.segments("PR1")
    return [
        [*(_first(charge(field)) for field, _ in _READ), str(procedure(7))]
        for charge, procedure in zip(charges, procedures, strict=True)
    ]


def _first(field: object) -> str | None:
    """The first leaf of a python-hl7 field."""
    while isinstance(field, list) and field:
        field = field[0]
    return str(field) if field else None


def read_hl7apy(raw: bytes) -> list[list[str | None]]:
    """The same with hl7apy."""
    message = parse_message(raw.decode(), find_groups=False)
    return [
        [*(_leaf(getattr(charge, f"ft1_{field}")) for field, _ in _READ), procedure.pr1_7.to_er7()]
        for charge, procedure in zip(message.ft1, message.pr1, strict=True)
    ]


def _leaf(field: object) -> str | None:
    """The first component of an hl7apy field's first repetition."""
    found = field[0].to_er7() if len(field) else ""  # type: ignore[arg-type,index]
    return found.split("^")[0] or None
