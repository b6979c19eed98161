"""A clinic whose EMR speaks HL7 v2, to measure with: its config folder, and charge messages no two of which are alike."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from random import Random
from tempfile import TemporaryDirectory

import ptbridge_sandbox.demo
from ptbridge_sandbox.day import BILLING_NPI, DIAGNOSES, STAFF
from ptbridge_sandbox.demo import PAYERS, SECOND, TIME_ZONE
from ptbridge_sandbox.people import person

from ptbridge.cli.init import write
from ptbridge.cli.init_files import Answers
from ptbridge.specs.config import Config, load_config

CHARGES = 10
_CODES = ("97110", "97112", "97116", "97140", "97530", "97535", "97150", "G0283", "97161", "97164")
_TIMED = 6
_PLACE_OF_SERVICE = 'visit:\n  place_of_service: {fixed: "11"}\n'


@contextmanager
def hl7_folder() -> Iterator[Config]:
    """A config folder as `ptbridge init` writes it for such a clinic, gone afterwards."""
    answers = Answers(
        clinic=SECOND,
        name="Harbor",
        time_zone=TIME_ZONE,
        npi=BILLING_NPI,
        connector="hl7v2",
        mapping="emrs/hl7v2_generic",
        emr_auth="none",
        biller_url="http://127.0.0.1:9",
        biller_auth="none",
        payers=tuple(PAYERS.items()),
        options={"address": "127.0.0.1:0"},
    )
    with TemporaryDirectory(prefix="ptbridge-bench-") as name:
        folder = Path(name)
        write(folder, answers)
        fees = Path(ptbridge_sandbox.demo.__file__).with_name("fees.csv")
        shutil.copyfile(fees, folder / "fees" / f"{SECOND}.csv")
        with (folder / "mappings" / f"{SECOND}.yaml").open("a", encoding="utf-8") as mapping:
            mapping.write(_PLACE_OF_SERVICE)
        yield load_config(folder)


def charge_messages(count: int, seed: int = 1) -> list[bytes]:
    """A DFT message of ten FT1 about a patient, a visit, minutes and diagnoses of its own."""
    """DFT messages of ten FT1 each, every one about a patient, a visit, minutes and diagnoses of its own."""
    random = Random(seed)
    return [charge_message(number, random) for number in range(1, count + 1)]


def charge_message(number: int, random: Random) -> bytes:
    """A DFT message of ten FT1 about a patient, a visit, minutes and diagnoses of its own."""
    who, therapist, physician = person(random, over_65=False), random.choice(STAFF[:3]), random.choice(STAFF[8:])
    diagnoses = random.choice(DIAGNOSES["PT"])
    on = f"202603{random.randrange(1, 29):02d}"
    doing, asking = (f"{one.npi}^{one.family}^{one.given}^^^^{one.credential}^^NPI^L^^^NPI" for one in (therapist, physician))
    born = who.birth_date.replace("-", "")
    pid = f"PID|1||M{number:06d}^^^BENCH^MR||{who.family}^{who.given}||{born}|F|||{who.street}^^Chicago^IL"
    lines = [
        f"MSH|^~\\&|BENCH-EMR|BENCH|PTBRIDGE|HUB|{on}170000-0600||DFT^P03^DFT_P03|B{number:07d}|P|2.5.1||||||UNICODE UTF-8",
        f"EVN|P03|{on}170000",
        f"{pid}^{who.postal_code}||{who.phone}",
        f"PV1|1|O|||||{doing}|{asking}||PT|||||||||V{number}^^^BENCH^VN|||||||||||||||||||||||||{on}1500",
    ]
    for place, code in enumerate(_CODES, 1):
        minutes = random.randrange(15, 40)
        units = str(random.randrange(1, 3)) if place <= _TIMED else "1"
        shown = "~".join(f"{one}^^I10" for one in diagnoses)
        lines.append(
            f"FT1|{place}|B{number}-{place}||{on}|{on}|CG|{code}^^C4|||{units}|||||||||{shown}|{doing}|{asking}||||{code}^^C4|GP"
        )
        lines.append(f"PR1|1||{code}^^C4||{on}||{minutes}")
    lines += [f"DG1|{place}||{code}^^I10|||F" for place, code in enumerate(diagnoses, 1)]
    payer = random.choice(list(PAYERS))
    lines.append(f"IN1|1|{payer}|{payer}^^^BENCH|{payer}||||||||||||{who.family}^{who.given}|SEL|{'|' * 18}SBX{number:07d}")
    return "".join(f"{line}\r" for line in lines).encode()
