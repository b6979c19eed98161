"""`ptbridge listen`, killed while an EMR sends: what was acknowledged is kept, what is sent again is no second charge."""

from __future__ import annotations

import os
import re
import signal
import socket
import subprocess
import time
from pathlib import Path

from ptbridge.inbox import ClinicInbox
from tests.chaos.ground import DONE, HANGS_SECONDS, Ground
from tests.chaos.kills import SYSTEM_CALLS, cannot_trace, traced
from tests.hl7_clinic import CLINIC, Hl7World, a_visit, lakeside

PATIENTS = 8
TURNS = 15  # then it is left in peace until all is acknowledged
ANSWER_SECONDS = 120  # only against hanging
_CONTROL = re.compile(rb"MSA\|A[AER]\|([^\r|]+)")


def killed_while_messages_come(ground: Ground) -> None:
    """An EMR that sends until it is told AA; a listener killed at any moment or at a disk's sync; a sync beside it."""
    with lakeside(ground.folder / "hl7") as clinic:
        messages = [raw for number in range(PATIENTS) for raw in a_visit(f"V{number}", f"M{number}")]
        told: set[bytes] = set()
        for turn in range(TURNS + 1):
            waiting = [raw for raw in messages if _control(raw) not in told]
            if not waiting:
                break
            told |= _send_until_killed(ground, clinic, waiting, calm=turn == TURNS)
            assert not told or told <= _stored(clinic), "a message was acknowledged and is not in the inbox"
            if ground.dice.random() < 0.5:
                _sync(ground, clinic.world.folder)
        assert len(told) == len(messages), "the listener does not come back"
        for _ in range(2):
            assert _sync(ground, clinic.world.folder) == DONE, ground.said()
        books = clinic.live()
        assert books["charges"] == PATIENTS, f"{books['charges']} charges of {PATIENTS} visits"


def _send_until_killed(ground: Ground, clinic: Hl7World, messages: list[bytes], *, calm: bool) -> set[bytes]:
    """Start the listener, send, kill it; the control ids that were acknowledged."""
    before: list[str] = []
    many = len(messages) if calm else ground.dice.randint(1, 8)
    if not calm and ground.dice.random() < 0.5 and not cannot_trace():
        before = traced("fdatasync", f"signal=KILL:when={ground.dice.randint(1, SYSTEM_CALLS['fdatasync'] // 2)}")
    command = ground.command("listen", "--port", "0", before=before)
    command[command.index("--config") + 1] = str(clinic.world.folder)
    told: set[bytes] = set()
    environment = {**os.environ, **ground.environment}
    quiet = subprocess.DEVNULL
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=quiet, env=environment, start_new_session=True) as process:
        assert process.stdout is not None
        place = re.search(rb"127\.0\.0\.1:(\d+)", process.stdout.readline())
        try:
            if place is not None:
                told = _send(int(place[1]), messages[:many], messages[many : many + 1])
                time.sleep(ground.dice.uniform(0.0, 0.03))
        finally:
            os.killpg(process.pid, signal.SIGKILL)  # under strace there are two
    ground.note(f"killed after {len(told)} of {len(messages)} messages were acknowledged")
    return told


def _send(port: int, messages: list[bytes], unheard: list[bytes]) -> set[bytes]:
    """What was acknowledged of `messages`. What `unheard` is answered, nobody listens to: it is killed meanwhile."""
    told: set[bytes] = set()
    try:
        with socket.create_connection(("127.0.0.1", port), timeout=ANSWER_SECONDS) as connection:
            for raw in messages:
                connection.sendall(b"\x0b" + raw + b"\x1c\r")
                answer = b""
                while not answer.endswith(b"\x1c\r"):
                    more = connection.recv(65536)
                    if not more:
                        return told
                    answer += more
                told.update(_CONTROL.findall(answer))
            for raw in unheard:
                connection.sendall(b"\x0b" + raw + b"\x1c\r")
    except OSError:
        pass  # it was killed: what is not acknowledged is sent again
    return told


def _control(raw: bytes) -> bytes:
    return raw.split(b"|", 10)[9]


def _stored(clinic: Hl7World) -> set[bytes]:
    with ClinicInbox.open(clinic.config.state, CLINIC) as inbox:
        return {_control(inbox.raw(seq)) for seq in range(1, inbox.last() + 1)}


def _sync(ground: Ground, folder: Path) -> int:
    command = ground.command("sync")
    command[command.index("--config") + 1] = str(folder)
    with (ground.folder / "said.txt").open("ab") as said:
        return subprocess.run(command, check=False, stdout=said, stderr=said, timeout=HANGS_SECONDS).returncode
