"""Inputs to start from, made here and by the sandbox, and what is done to their bytes."""

from __future__ import annotations

import tempfile
from functools import cache
from pathlib import Path
from random import Random

from ptbridge_sandbox.clearinghouse import Clearinghouse
from ptbridge_sandbox.extract_maker import ADDED, STANDARD, pretend_extract, workbook
from ptbridge_sandbox.hl7_day import hl7_day
from ptbridge_sandbox.maker import bench_page

MOST_BYTES = 200_000
_TOKENS = (
    *(
        b"|",
        b"^",
        b"~",
        b"\\",
        b"&",
        b"\r",
        b"\n",
        b"\r\n",
        b"\x0b",
        b"\x1c",
        b"\x1c\r",
        b"\x0bMSH|",
        b'""',
        b"\\X41\\",
        b"\\.br\\",
    ),
    *(b"\rFT1|", b"\rPR1|", b"\rMSH|^~\\&|", b"\rBTS|9", b"FHS|^~\\&\r", b"\rOBX|1|TX|", b"\rNTE|1||", b"\rZZZ|"),
    *(b"\xef\xbb\xbf", b"\xff\xfe", b"\x00", b"\xc3", b"UNICODE UTF-16", b"BIG5", b'"', b",", b"\t", b";", b"1e999", b"-1"),
    *(b"*", b"~SE*", b"~IEA*", b"~SVC*", b"~CAS*CO*", b"~HL*9*", b"~STC*", b"ISA*"),
    *(b"{", b"}", b"[", b"]", b":", b"null", b'{"resource":', b'"entry":[', b"\\ud800", b"9" * 400, b"A" * 5000),
)


_CLAIMS = (
    b"ISA*00*          *00*          *ZZ*OAKPT          *ZZ*CLEARSANDBOX   *261102*1405*^*00501*000000123*0*T*:~"
    b"GS*HC*OAKPT*CLEARSANDBOX*20261102*1405*123*X*005010X222A1~ST*837*0001*005010X222A1~"
    b"BHT*0019*00*000000123-0001*20261102*1405*CH~NM1*85*2*OAK*****XX*1234567893~SBR*P*18*GRP******MB~"
    b"NM1*IL*1*FAMQXZ*GIVQXZ****MI*MEMQXZ7~NM1*PR*2*PAYER*****PI*15202~"
    b"CLM*0123456789ABCDEAA*90***11:B:1*Y*A*Y*Y~HI*ABK:M5450~"
    b"LX*1~SV1*HC:97110:GP*60*UN*2***1~DTP*472*D8*20261102~REF*6R*PT-0123456789ABCDEF01234567-1~"
    b"LX*2~SV1*HC:97530:GP*30*UN*1***1~DTP*472*D8*20261102~REF*6R*PT-0123456789ABCDEF01234567-2~"
    b"SE*17*0001~GE*1*123~IEA*1*000000123~"
)


@cache
def messages() -> tuple[bytes, ...]:
    """One HL7 v2 message of each kind, and the longest ones of the pretend day."""
    told = hl7_day()
    kinds = {one.kind: one.raw for one in told}
    return (*kinds.values(), *sorted((one.raw for one in told), key=len)[-5:])


@cache
def extract() -> bytes:
    """A charge extract as CSV."""
    return pretend_extract(6).text().encode()


@cache
def sheet() -> bytes:
    """The same extract as a workbook."""
    columns = [*STANDARD, *ADDED]
    return workbook([columns, *([row[name] for name in columns] for row in pretend_extract(3).rows)])


@cache
def x12_files() -> tuple[bytes, ...]:
    """One file of each kind that a clearinghouse answers with, for a claim of every kind of line."""
    with tempfile.TemporaryDirectory() as folder:
        house = Clearinghouse(Path(folder) / "claims", Path(folder) / "answers")
        (house.inbound / "a.837").write_bytes(_CLAIMS)
        house.work()
        house.remit(deny={"97530": "CO-50"}, provider_adjustment_cents=700)
        return tuple(path.read_bytes() for path in sorted(house.outbound.iterdir()))


@cache
def bundle() -> bytes:
    """A page of FHIR resources."""
    return bench_page(3)


def mutated(raw: bytes, random: Random) -> bytes:
    """Up to eight changes: bytes flipped, cut, doubled, moved, replaced by what means something to a reader."""
    found = bytearray(raw)
    for _ in range(random.choice((0, 1, 1, 2, 3, 8))):
        at, end = sorted(random.randrange(len(found) + 1) for _ in range(2))
        end = min(end, at + random.choice((1, 4, 40, 4000)))
        match random.randrange(6):
            case 0 if found:
                found[at % len(found)] = random.randrange(256)
            case 1:
                del found[at:end]
            case 2 if len(found) < MOST_BYTES:
                found[at:at] = found[at:end] * random.choice((1, 2, 9))
            case 3:
                found[at:at] = random.choice(_TOKENS)
            case 4:
                found[at:end] = random.choice(_TOKENS)
            case _:
                found = found[at:] + found[:at]
    return bytes(found[:MOST_BYTES])
