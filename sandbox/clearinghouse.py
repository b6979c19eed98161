"""A pretend clearinghouse with a payer behind it: takes 837P files from a folder, answers with TA1, 999, 277CA and 835 files.

    house = Clearinghouse(inbound, outbound)
    house.work()                 # takes every whole file, and puts its answers into `outbound`
    house.remit(deny={"97110": "CO-50"})
    house.books.totals(), house.books.violations

With an `SftpSandbox` over the folder that holds both it is one that is reached by SFTP. As a process: `--folder`, `--every`.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from random import Random

from .clearinghouse_books import Books, Claim, Line, Segment, Unreadable, claims_of, segments_of, transactions_of

NAME, ID, PAYER_ADDRESS = "SANDBOX CLEARINGHOUSE", "CLEARSANDBOX", ("1 PAYER PLAZA", "COLUMBUS*OH*432150000")


@dataclass(slots=True, kw_only=True)
class FileFaults:
    """What goes wrong with files. Shares between 0 and 1, rolled with a fixed seed; may be changed at any time.

    Of what comes in: `refuse_file` (TA1 R), `refuse_transaction` (999 R), `refuse_claim` (277CA U; a share or a predicate).
    Of each answer file: `lose` it never comes, `late` it comes at the next `work`, `repeat` it comes twice under two names,
    `damage` a part is missing for good, `halve` one half now, all of it at the next `work`.
    """

    refuse_file: float = 0.0
    refuse_transaction: float = 0.0
    refuse_claim: float | Callable[[Claim], bool] = 0.0
    lose: float = 0.0
    late: float = 0.0
    repeat: float = 0.0
    damage: float = 0.0
    halve: float = 0.0
    seed: int = 1
    counts: dict[str, int] = field(default_factory=dict)
    _random: Random = field(init=False, repr=False)

    def __post_init__(self) -> None:
        self._random = Random(self.seed)

    def happens(self, name: str, claim: Claim | None = None) -> bool:
        """Roll the dice for one fault, and count it."""
        share = getattr(self, name)
        happened = share(claim) if callable(share) else share > 0 and self._random.random() < share
        self.counts[name] = self.counts.get(name, 0) + happened
        return bool(happened)


class Clearinghouse:
    """One mailbox: files for it in `inbound`, its answers in `outbound`. Both are made if they are missing."""

    def __init__(self, inbound: Path, outbound: Path, *, faults: FileFaults | None = None, strict: bool = True) -> None:
        self.inbound, self.outbound = inbound, outbound
        self.faults = faults or FileFaults()
        self.books = Books(strict=strict)
        self.taken = 0
        self._number = 0  # of our own interchanges, and of the names of our files
        self._later: list[tuple[str, bytes]] = []
        for folder in (inbound, outbound):
            folder.mkdir(parents=True, exist_ok=True)

    def work(self) -> int:
        """Put what was kept back, then take every file that lies there. How many were taken."""
        later, self._later = self._later, []
        for name, content in later:
            (self.outbound / name).write_bytes(content)
        files = [path for path in sorted(self.inbound.glob("[!.]*")) if path.is_file() and path.suffix == ".837"]
        for path in files:
            self._take(path.read_bytes())
            path.unlink()
            self.taken += 1
        return len(files)

    def number_of(self, control: str) -> str | None:
        """The payer's number of the live claim with this patient control number."""
        return next((one.number for one in reversed(self.books.live()) if one.control == control), None)

    # ------------------------------------------------------------ taking

    def _take(self, raw: bytes) -> None:
        try:
            segments = segments_of(raw)
        except Unreadable as problem:
            self.books.violations.append(str(problem))
            return
        isa, gs = segments[0], segments[1]
        refused = "025" if not self.books.opened(isa[13]) else "022" if self.faults.happens("refuse_file") else ""
        self._put("ta1", self._ta1(isa, refused))
        if refused:
            return
        verdicts, claims = [], []
        for control, transaction in transactions_of(segments):
            refused_here = self.faults.happens("refuse_transaction")
            verdicts.append((control, refused_here))
            if not refused_here:
                found = claims_of(transaction)
                self.books.comes(found)
                claims += found
        self._put("999", self._999(gs, verdicts))
        answered = [(claim, self._answer(claim)) for claim in claims]
        if answered:
            self._put("277ca", self._277ca(answered))

    def _answer(self, claim: Claim) -> str:
        """Take a claim, or refuse it before the payer sees it."""
        if self.faults.happens("refuse_claim", claim):
            claim.state = "refused"
            self.books.claims.append(claim)
            return "A7:562:85"
        return self.books.take(claim)

    # ------------------------------------------------------------ paying

    def remit(self, *, deny: Mapping[str, str] | None = None, provider_adjustment_cents: int = 0, off_cents: int = 0) -> int:
        """An 835 over every live claim that is not decided yet: 80 % is paid, the rest is CO-45; how many claims.

        `deny`: procedure -> group and CARC, such as `CO-50`. `off_cents`: a payment that does not agree with its claims.
        """
        due = [claim for claim in self.books.live() if not claim.decided]
        if not due:
            return 0
        for claim in due:
            claim.decided = True
        self._put("835", self._835(due, deny or {}, provider_adjustment_cents, off_cents))
        return len(due)

    # ------------------------------------------------------------ answer files

    def _put(self, kind: str, content: bytes) -> None:
        self._number += 1
        name = f"{self._number:06d}-{kind}.x12"
        if self.faults.happens("lose"):
            return
        if self.faults.happens("late"):
            self._later.append((name, content))
            return
        if self.faults.happens("damage"):
            content = content[: len(content) // 3] + content[len(content) // 2 :]
        if self.faults.happens("halve"):
            self._later.append((name, content))
            content = content[: len(content) // 2]
        (self.outbound / name).write_bytes(content)
        if self.faults.happens("repeat"):
            (self.outbound / f"{self._number:06d}-{kind}-again.x12").write_bytes(content)

    def _envelope(self, kind: str, version: str, sets: list[list[str]]) -> bytes:
        """ISA to IEA around transaction sets, each given without ST and SE."""
        now = datetime.now(UTC)
        control = f"{self._number + 1:09d}"
        text = _isa(now, control)
        if sets:
            code = {"999": "FA", "277": "HN", "835": "HP"}[kind]
            text += f"GS*{code}*{ID}*OAKPT*{now:%Y%m%d}*{now:%H%M}*{int(control)}*X*{version}~"
            for at, body in enumerate(sets, start=1):
                st = f"ST*{kind}*{at:04d}" + ("" if kind == "835" else f"*{version}")
                text += "~".join([st, *body, f"SE*{len(body) + 2}*{at:04d}"]) + "~"
            text += f"GE*{len(sets)}*{int(control)}~"
        return (text + f"IEA*{int(bool(sets))}*{control}~").encode()

    def _ta1(self, isa: Segment, refused: str) -> bytes:
        whole = self._envelope("999", "", [])
        verdict = f"R*{refused}" if refused else "A*000"
        return whole.replace(b"IEA*", f"TA1*{isa[13]}*{isa[9]}*{isa[10]}*{verdict}~IEA*".encode())

    def _999(self, gs: Segment, verdicts: list[tuple[str, bool]]) -> bytes:
        body = [f"AK1*HC*{gs[6]}*005010X222A1"]
        for control, refused in verdicts:
            body.append(f"AK2*837*{control}*005010X222A1")
            body += ["IK3*CLM*22*2300*8", "IK4*5:1*1331*7*ZZ", "IK5*R*5"] if refused else ["IK5*A"]
        good = sum(not refused for _, refused in verdicts)
        verdict = "A" if good == len(verdicts) else "P" if good else "R"
        body.append(f"AK9*{verdict}*{len(verdicts)}*{len(verdicts)}*{good}")
        return self._envelope("999", "005010X231A1", [body])

    def _277ca(self, answered: list[tuple[Claim, str]]) -> bytes:
        """One transaction set for each batch (BHT03), as each came in one."""
        sets = []
        for batch in dict.fromkeys(claim.batch for claim, _ in answered):
            here = [(claim, refused) for claim, refused in answered if claim.batch == batch]
            sets.append(_batch(batch, here, f"{datetime.now(UTC):%Y%m%d}"))
        return self._envelope("277", "005010X214", sets)

    def _835(self, due: list[Claim], deny: Mapping[str, str], adjustment: int, off: int) -> bytes:
        today = f"{datetime.now(UTC):%Y%m%d}"
        claims = [_decided(claim, deny) for claim in due]
        paid = sum(cents for _, cents in claims)
        name, identifier = due[0].payer
        street, city = PAYER_ADDRESS
        amount = _dollars(paid - adjustment + off)
        method = "CHK" if paid - adjustment + off > 0 else "NON"
        body = [
            f"BPR*I*{amount}*C*{method}" + "*" * 12 + today,
            f"TRN*1*TRACE{self._number + 1:06d}*1512345678",
            f"DTM*405*{today}",
            f"N1*PR*{name}*XV*{identifier}",
            f"N3*{street}",
            f"N4*{city}",
            "PER*BL*EDI DESK*TE*8005550100",
            f"N1*PE*OAK STREET PHYSICAL THERAPY*XX*{due[0].npi}",
            "LX*1",
            *(segment for segments, _ in claims for segment in segments),
        ]
        if adjustment:
            body.append(f"PLB*{due[0].npi}*{today[:4]}1231*WO:TAKEBACK*{_dollars(adjustment)}")
        return self._envelope("835", "005010X221A1", [body])


# ---------------------------------------------------------------- pure parts


def _isa(now: datetime, control: str) -> str:
    sender, receiver = f"{ID:<15}", f"{'OAKPT':<15}"
    empty = " " * 10
    return f"ISA*00*{empty}*00*{empty}*ZZ*{sender}*ZZ*{receiver}*{now:%y%m%d}*{now:%H%M}*^*00501*{control}*0*T*:~"


def _dollars(cents: int) -> str:
    sign, cents = ("-", -cents) if cents < 0 else ("", cents)
    whole, part = divmod(cents, 100)
    return f"{sign}{whole}" + (f".{part:02d}".rstrip("0") if part else "")


def _batch(batch: str, answered: list[tuple[Claim, str]], today: str) -> list[str]:
    first = answered[0][0]
    total = _dollars(sum(claim.amount_cents for claim, _ in answered))
    body = [
        f"BHT*0085*08*{batch}*{today}*1200*TH",
        "HL*1**20*1",
        f"NM1*PR*2*{first.payer[0]}*****PI*{first.payer[1]}",
        f"TRN*1*{batch}",
        f"DTP*050*D8*{today}",
        f"DTP*009*D8*{today}",
        "HL*2*1*21*1",
        "NM1*41*2*OAK STREET PHYSICAL THERAPY*****46*OAKPT",
        f"TRN*2*{batch}",
        f"STC*A1:19:PR*{today}*WQ*{total}",
        "HL*3*2*19*1",
        f"NM1*85*2*OAK STREET PHYSICAL THERAPY*****XX*{first.npi}",
        "TRN*1*0",
        f"STC*A1:19:PR**WQ*{total}",
    ]
    for at, (claim, refused) in enumerate(answered, start=4):
        body += [
            f"HL*{at}*3*PT",
            f"NM1*QC*1*{claim.patient[3]}*{claim.patient[4]}****MI*{claim.patient[9]}",
            f"TRN*2*{claim.control}",
            f"STC*{refused or 'A2:20:PR'}*{today}*{'U' if refused else 'WQ'}*{_dollars(claim.amount_cents)}",
            *([] if refused else [f"REF*1K*{claim.number}"]),
            f"DTP*472*D8*{claim.lines[0].date}",
        ]
    return body


def _decided(claim: Claim, deny: Mapping[str, str]) -> tuple[list[str], int]:
    """A claim's CLP loop, and what is paid for it."""
    lines = [_line(line, deny.get(line.procedure.split(":")[1])) for line in claim.lines]
    paid = sum(cents for _, cents in lines)
    head = [
        f"CLP*{claim.control}*1*{_dollars(claim.amount_cents)}*{_dollars(paid)}**{claim.filing}*{claim.number}*11*{claim.frequency}",
        f"NM1*QC*1*{claim.patient[3]}*{claim.patient[4]}****MI*{claim.patient[9]}",
    ]
    return head + [segment for segments, _ in lines for segment in segments], paid


def _line(line: Line, denied: str | None) -> tuple[list[str], int]:
    group, _, reason = (denied or "CO-45").partition("-")
    lowered = line.amount_cents if denied else line.amount_cents // 5
    paid = line.amount_cents - lowered
    segments = [
        f"SVC*{line.procedure}*{_dollars(line.amount_cents)}*{_dollars(paid)}**{0 if denied else line.units}",
        f"DTM*472*{line.date}",
        f"CAS*{group}*{reason}*{_dollars(lowered)}",
        f"REF*6R*{line.control}",
        *(["LQ*HE*N130"] if denied else []),
    ]
    return segments, paid


def main() -> None:
    """Work until the process is ended. Folders: `claims` and `answers` in `--folder`."""
    parser = argparse.ArgumentParser(
        prog="ptbridge_sandbox.clearinghouse", description="A pretend clearinghouse over a folder."
    )
    parser.add_argument("--folder", type=Path, required=True)
    parser.add_argument("--every", type=float, default=5.0, help="seconds between two looks")
    parser.add_argument("--pay", action="store_true", help="also pay what was taken")
    arguments = parser.parse_args()
    house = Clearinghouse(arguments.folder / "claims", arguments.folder / "answers")
    while True:
        house.work()
        if arguments.pay:
            house.remit()
        time.sleep(arguments.every)


if __name__ == "__main__":
    main()
