"""The pretend HL7 biller as a process, and its auditor: what it would notice."""

from __future__ import annotations

import re
import socket
import subprocess
import sys

from ptbridge_sandbox.hl7_books import Hl7Books


def message(kind: str = "CG", units: int = 2) -> str:
    charge = {0: "FT1", 1: "1", 2: "T1", 4: "20261102", 6: kind, 10: str(units), 11: "60.00&USD", 25: "97110^^C4", 26: "GP~KX"}
    return "\r".join(
        (
            "MSH|^~\\&|A|B|C|D|20261102||DFT^P03|1|P|2.5.1",
            "PV1|1|O|||||||||||||||||V1",
            "|".join(charge.get(number, "") for number in range(27)),
            "",
        )
    )


def test_as_a_process_it_says_where_it_listens_and_answers():
    command = [sys.executable, "-m", "ptbridge_sandbox.hl7_biller", "--port", "0"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        try:
            ready = re.fullmatch(r"ready mllp://127\.0\.0\.1:(\d+)\n", process.stdout.readline())
            with socket.create_connection(("127.0.0.1", int(ready[1])), timeout=10) as connection:
                connection.sendall(b"\x0b" + message().encode() + b"\x1c\r")
                answer = b""
                while not answer.endswith(b"\x1c\r"):
                    answer += connection.recv(4096)
            assert b"\rMSA|AA|1\r" in answer
        finally:
            process.kill()


def test_the_books_notice_a_line_that_is_booked_twice():
    books = Hl7Books()
    assert books.book(message()) == "" and books.totals()["violations"] == []
    (line,) = books.lines
    assert (line.visit, line.procedure, line.modifiers, line.units, line.amount_cents) == ("V1", "97110", ("GP", "KX"), 2, 6000)
    books.book(message())
    assert books.totals()["violations"] == ["booked twice: T1"] and books.totals()["units"] == 4


def test_the_books_notice_a_credit_that_fits_no_charge():
    books = Hl7Books()
    books.book(message("CD"))
    books.book(message())
    books.book(message("CD", units=3))
    assert books.violations == ["credit without a charge: T1", "credit differs from its charge: T1"]


def test_what_is_no_charge_is_refused():
    assert Hl7Books().book("MSH|^~\\&|A|B|C|D|20261102||ADT^A04|1|P|2.5.1\rPID|1\r")
