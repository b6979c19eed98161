"""Twice the input may cost three times the CPU at most: inputs that made other readers quadratic, at two sizes each."""

from __future__ import annotations

import gc
import time
from collections.abc import Callable

from ptbridge.destinations._x12_answers import answers_in
from ptbridge.destinations._x12_sent import Sent
from ptbridge.wire.extract_file import cut
from ptbridge.wire.fhir_bundle import split_bundle
from ptbridge.wire.hl7_batch import split_batch
from ptbridge.wire.hl7v2 import Message
from ptbridge.wire.mllp_frames import FrameReader, framed
from tests.fuzz.mutations import extract, messages
from tests.fuzz.targets import WEBPT

MOST = 3.0
SIZE = 200_000  # bytes; then twice as many
_HEAD = b"MSH|^~\\&|A|B|C|D|1||DFT^P03|1|P|2.5\r"


def _read(raw: bytes) -> None:
    message = Message.parse(raw)
    for group in message.groups():
        group.get("PR1-7"), group.get("NTE-3")
    for path in ("FT1-7", "FT1[*]-26[*]", "FT1-7[*].2", "NTE[*]-3"):
        message.get_all(path)


def _framed(raw: bytes) -> None:
    reader = FrameReader(1 << 30)
    for at in range(0, len(raw), 1460):
        reader.feed(raw[at : at + 1460])


def _cut(raw: bytes) -> None:
    cut("charges.csv", raw, WEBPT, None)


def _rows(size: int) -> bytes:
    heading, _, body = extract().partition(b"\n")
    return heading + b"\n" + body * (size // len(body))


def _answered(raw: bytes) -> None:
    list(answers_in(raw, Sent([], "oak"), {}))


def _x12(repeated: bytes, size: int, *, once: bool = False) -> bytes:
    """A remittance with these segments as often as they fit, its SE counted right."""
    times = 1 if once else size // len(repeated) if repeated else 0
    body = [b"BPR*I*0*C*NON************20261110~", b"TRN*1*T*1~", b"CLP*0123456789ABCDEAA*1*0*0**MB*ICN~", repeated * times]
    count = b"".join(body).count(b"~") + 2
    isa = b"ISA*00*          *00*          *ZZ*A              *ZZ*B              *261102*1405*^*00501*000000001*0*T*:~"
    head = isa + b"GS*HP*A*B*20261102*1405*1*X*005010X221A1~ST*835*0001~"
    return head + b"".join(body) + b"SE*%d*0001~GE*1*1~IEA*1*000000001~" % count


_RESOURCE = b'{"resource":{"resourceType":"Basic","id":"1"}},'
INPUTS: dict[str, tuple[Callable[[int], bytes], Callable[[bytes], object]]] = {
    "charges": (lambda n: _HEAD + b"FT1|1||||||97110\rPR1|1\r" * (n // 24), _read),
    "separators": (lambda n: _HEAD + b"FT1" + b"|" * n, _read),
    "repetitions": (lambda n: _HEAD + b"FT1|1||||||" + b"~" * n, _read),
    "escapes": (lambda n: _HEAD + b"FT1|1||||||" + b"\\" * n, _read),
    "open hexadecimal": (lambda n: _HEAD + b"FT1|1||||||\\X" + b"41" * (n // 2), _read),
    "lines that are no segments": (lambda n: _HEAD + b"abcd\n" * (n // 5), _read),
    "frames": (lambda n: framed(messages()[0]) * (n // len(messages()[0])), _framed),
    "one frame": (lambda n: framed(b"MSH|" + b"a" * n), _framed),
    "frames begun": (lambda n: b"\x0bMSH" * (n // 4), _framed),
    "frame ends": (lambda n: b"\x0b" + _HEAD + b"\x1c" * n, _framed),
    "batch": (lambda n: b"BHS|^~\\&\r" + messages()[0] * (n // len(messages()[0])), split_batch),
    "x12 segments": (lambda n: _x12(b"SVC*HC:97110:GP*60*60~CAS*CO*45*0~", n), _answered),
    "x12 elements": (lambda n: _x12(b"", 0).replace(b"TRN*1", b"TRN" + b"*1" * (n // 2)), _answered),
    "x12 components": (lambda n: _x12(b"SVC*" + b"HC:" * (n // 3) + b"*60*60~", 0, once=True), _answered),
    "x12 claims": (lambda n: _x12(b"CLP*0123456789ABCDEAA*1*0*0**MB*ICN~", n), _answered),
    "extract rows": (_rows, _cut),
    "bundle": (
        lambda n: b'{"resourceType":"Bundle","entry":[' + (_RESOURCE * (n // len(_RESOURCE)))[:-1] + b"]}",
        split_bundle,
    ),
}


def ratio(name: str, size: int = SIZE, rounds: int = 5) -> float:
    """CPU of twice the size over CPU of the size: the least of some rounds each, so that a busy machine means little."""
    make, read = INPUTS[name]
    small, large = make(size), make(2 * size)
    seconds = [_least(lambda raw=raw: read(raw), rounds) for raw in (small, large)]  # type: ignore[misc]
    return seconds[1] / max(seconds[0], 1e-4)


def _least(work: Callable[[], object], rounds: int) -> float:
    found = []
    for _ in range(rounds):
        gc.collect()
        started = time.process_time()
        work()
        found.append(time.process_time() - started)
    return min(found)
