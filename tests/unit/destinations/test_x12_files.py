"""837P files against a clearinghouse that keeps its own books: control numbers, crashes, lines that are cut, delivery."""

from __future__ import annotations

import asyncio
import fcntl
import os
import stat
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from ptbridge_sandbox.clearinghouse import Clearinghouse, FileFaults
from ptbridge_sandbox.sftp_server import PASSWORD, USER, SftpSandbox

from ptbridge.delivery import RetryPolicy, SystemClock, deliver
from ptbridge.destinations import x12_837p
from ptbridge.destinations._sftp_drop import over_sftp
from ptbridge.destinations._x12_claim import patient_control_number
from ptbridge.destinations._x12_file import next_control_number
from ptbridge.errors import OutcomeUnknown, PeerUnavailable
from ptbridge.model import Disposition, Standing, Submission
from ptbridge.ports import AnsweringDestination, BatchDestination, DemandingDestination
from ptbridge.wire.sftp import SftpServer
from tests.rigs import build, submission
from tests.rigs.x12_837p import OPTIONS
from tests.unit.delivery.conftest import MemoryOutbox, VirtualClock
from tests.unit.wire.test_x12 import ISA

NOW = datetime(2026, 11, 3, 17, 0, tzinfo=UTC)


def destination(folder: Path, clinic: str = "oak", **options: str) -> x12_837p.X12Claims:
    return build("x12_837p", {**OPTIONS, **options}, folder=folder, clinic=clinic)


def sent_to(made, number: int = 1, **more) -> Submission:
    return submission(made, reference=f"pt-{number:024x}", **more)


async def news(made, cursor=None):
    """All answers, and the cursor behind them."""
    answers, cursor = [], dict(cursor or {})
    async for page in made.answers(cursor):
        answers += page.answers
        cursor = dict(page.cursor) if page.cursor is not None else cursor
    return answers, cursor


# ---------------------------------------------------------------- control numbers


def test_a_control_number_never_repeats(tmp_path):
    numbers = [next_control_number(tmp_path, NOW) for _ in range(3)]
    assert numbers == sorted(set(numbers))
    later = next_control_number(tmp_path, NOW + timedelta(days=1))
    assert later == numbers[0] + 43_200
    assert next_control_number(tmp_path, NOW - timedelta(days=3)) == later + 1, "a clock that goes back repeats nothing"
    (tmp_path / "control-number").unlink()
    assert next_control_number(tmp_path, NOW + timedelta(days=2)) > later, "nor does a folder that was lost"
    (tmp_path / "control-number").write_bytes(b"\x00" * 10)
    assert next_control_number(tmp_path, NOW + timedelta(days=3)) > later, "nor a file that a power cut emptied"
    assert stat.S_IMODE((tmp_path / "control-number").stat().st_mode) == 0o600


def test_control_numbers_of_two_writers_differ(tmp_path):
    code = (
        "import sys; from pathlib import Path; from datetime import datetime, UTC;"
        "from ptbridge.destinations._x12_file import next_control_number as n;"
        "print([n(Path(sys.argv[1]), datetime(2026, 11, 3, tzinfo=UTC)) for _ in range(40)])"
    )

    async def run() -> list[int]:
        import sys

        made = [
            await asyncio.create_subprocess_exec(sys.executable, "-c", code, str(tmp_path), stdout=asyncio.subprocess.PIPE)
            for _ in range(2)
        ]
        told = [(await one.communicate())[0].decode() for one in made]
        return [int(number) for text in told for number in text.strip("[]\n").split(",")]

    numbers = asyncio.run(run())
    assert len(numbers) == len(set(numbers)) == 80


def test_a_number_is_not_given_while_another_writer_has_the_file(tmp_path):
    first = next_control_number(tmp_path, NOW)
    with (tmp_path / "control-number").open("rb") as held, ThreadPoolExecutor(1) as other:
        fcntl.flock(held, fcntl.LOCK_EX)
        waiting = other.submit(next_control_number, tmp_path, NOW)
        with pytest.raises(TimeoutError):
            waiting.result(timeout=0.2)
        (tmp_path / "control-number").write_bytes(b"%09d\n" % (first + 5))
        fcntl.flock(held, fcntl.LOCK_UN)
        assert waiting.result() == first + 6


def test_no_number_is_given_when_the_clock_is_past_all_of_them(tmp_path):
    with pytest.raises(OSError, match="clock"):
        next_control_number(tmp_path, datetime(2090, 1, 1, tzinfo=UTC))


def test_two_clinics_in_one_folder_share_the_numbers_and_see_their_own_news(tmp_path):
    house = Clearinghouse(tmp_path / "drop", tmp_path / "answers")
    oak, elm = destination(tmp_path / "drop"), destination(tmp_path / "drop", "elm")

    async def scene():
        await oak.submit_batch([sent_to(oak, 1 << 60)])
        await elm.submit_batch([sent_to(elm, 2 << 60)])
        assert house.work() == 2 and house.remit() == 2 and house.books.violations == []
        return (await news(oak))[0], (await news(elm))[0]

    for number, answers in zip((1, 2), asyncio.run(scene()), strict=True):
        assert {answer.reference for answer in answers} == {f"pt-{number << 60:024x}"}
        assert answers[-3].standing is Standing.PAID


# ---------------------------------------------------------------- files, and a machine that fails at any step


class Crash(BaseException):
    """The process is gone here."""


def crash_at(monkeypatch, step: int) -> None:
    """The n-th call that changes the disk does not happen."""
    left = [step]

    def guarded(call):
        def instead(*args, **named):
            left[0] -= 1
            if left[0] == 0:
                raise Crash
            return call(*args, **named)

        return instead

    for owner, name in ((os, "fsync"), (os, "pwrite"), (Path, "rename"), (Path, "replace"), (os, "open")):
        monkeypatch.setattr(owner, name, guarded(getattr(owner, name)))


@pytest.mark.parametrize("step", range(1, 40))
def test_a_crash_at_any_step_charges_once(step, tmp_path, monkeypatch):
    house = Clearinghouse(tmp_path / "drop", tmp_path / "answers")
    first = destination(tmp_path / "drop")
    sent = [sent_to(first, number) for number in (1 << 60, 2 << 60)]
    crashed = False
    with monkeypatch.context() as patched:
        crash_at(patched, step)
        try:
            asyncio.run(first.submit_batch(sent))
        except Crash:
            crashed = True
    house.work()
    again = destination(tmp_path / "drop")

    async def settle():
        missing = [one for one in sent if await again.find(one) is None]
        if missing:
            await again.submit_batch(missing)

    asyncio.run(settle())
    house.work()
    assert house.books.totals() == {"claims": 2, "lines": 4, "units": 6, "amount_cents": 18000}
    assert house.books.violations == []
    assert crashed or step > 20, "the steps really go through the whole write"


def test_a_folder_that_cannot_be_written_leaves_everything_queued(tmp_path):
    (tmp_path / "drop").write_text("a file stands where the folder should")
    made = destination(tmp_path / "drop")
    with pytest.raises(PeerUnavailable, match="Nothing was dropped"):
        asyncio.run(made.submit_batch([sent_to(made)]))
    with pytest.raises(PeerUnavailable):
        asyncio.run(made.check())


def test_files_are_for_their_owner_and_carry_no_totals_beside_them(tmp_path):
    made = destination(tmp_path / "drop")
    asyncio.run(made.submit(sent_to(made)))
    assert asyncio.run(made.submit_batch([])) == []
    (file,) = [path for path in (tmp_path / "drop").iterdir() if path.is_file()]
    assert file.suffix == ".837" and stat.S_IMODE(file.stat().st_mode) == 0o600


def test_what_check_says(tmp_path):
    (tmp_path / "answers").mkdir()
    told = asyncio.run(destination(tmp_path / "drop").check())
    assert any("answer files there: 0" in one for one in told) and any("test data" in one for one in told)
    silent = asyncio.run(destination(tmp_path / "drop", answers="", usage="P").check())
    assert any("no folder for answers" in one for one in silent) and not any("test data" in one for one in silent)
    assert asyncio.run(news(destination(tmp_path / "drop", answers=""))) == ([], {})
    with pytest.raises(PeerUnavailable, match="option answers"):
        asyncio.run(news(destination(tmp_path / "drop", answers="../nowhere")))


# ---------------------------------------------------------------- delivery, with everything going wrong


def test_a_bad_month_at_the_clearinghouse_loses_and_doubles_nothing(tmp_path):
    """Delivery, the real writer and a clearinghouse that loses, repeats, damages and halves its answers."""
    faults = FileFaults(
        lose=0.05, late=0.2, repeat=0.3, damage=0.1, halve=0.2, refuse_claim=0.1, refuse_transaction=0.05, seed=7
    )
    house = Clearinghouse(tmp_path / "drop", tmp_path / "answers", faults=faults)
    outbox = MemoryOutbox(VirtualClock())
    policy = RetryPolicy(first_delay_seconds=0.01, max_delay_seconds=0.05)
    answers, cursor = [], {}

    async def scene():
        nonlocal answers, cursor
        for evening in range(12):
            made = destination(tmp_path / "drop")
            for number in range(10):
                name = (evening * 10 + number) * 7919 << 40
                outbox.put(replace(sent_to(made, name), order_key=f"k{name}"))
            await deliver(outbox, made, in_flight=1, clock=SystemClock(), policy=policy, deadline_seconds=60)
            house.work()
            house.remit(deny={"97161": "CO-50"} if evening % 3 == 0 else {})
            more, cursor = await news(made, cursor)
            answers += more
        faults.late = faults.halve = faults.lose = faults.damage = 0
        house.work()
        more, cursor = await news(made, cursor)
        answers += more

    asyncio.run(scene())
    assert house.books.violations == [] and house.taken == 12
    claims = house.books.claims
    live = {one.control for one in house.books.live()}
    assert len(claims) + 3 * faults.counts["refuse_transaction"] >= 120 > len(live) > 80
    by_control = {
        patient_control_number(answer.reference, 1, 1): answer for answer in answers if answer.reference and not answer.line
    }
    told_refused = {
        patient_control_number(answer.reference, 1, 1)
        for answer in answers
        if answer.standing is Standing.REJECTED and answer.reference
    }
    assert told_refused and not told_refused & live, "what was told as turned away is not at the payer"
    paid = [answer for answer in answers if answer.standing is Standing.PAID and answer.line is None]
    assert paid and len({answer.key for answer in paid}) == len({answer.reference for answer in paid}), (
        "repeated files say one thing"
    )
    assert all(patient_control_number(answer.reference, 1, 1) in live for answer in paid) and by_control
    assert [answer.codes[0].code for answer in answers if not answer.reference and answer.codes[0].system == "x12"], (
        "a damaged file is told as one"
    )


# ---------------------------------------------------------------- read back


def test_a_file_that_reads_back_otherwise_gets_no_name(tmp_path, monkeypatch):
    made, fsync = destination(tmp_path / "drop"), os.fsync

    def half(descriptor: int) -> None:
        fsync(descriptor)
        if stat.S_ISREG(os.fstat(descriptor).st_mode) and (size := os.fstat(descriptor).st_size) > 200:
            os.ftruncate(descriptor, size // 2)

    monkeypatch.setattr(os, "fsync", half)
    with pytest.raises(PeerUnavailable, match=r"reads back otherwise.*Nothing was dropped"):
        asyncio.run(made.submit(sent_to(made)))
    assert list((tmp_path / "drop").glob("*.837")) == [] and asyncio.run(made.find(sent_to(made))) is None
    monkeypatch.undo()
    assert asyncio.run(made.submit(sent_to(made))).disposition is Disposition.ACCEPTED


def test_a_file_that_is_altered_as_it_gets_its_name_is_in_doubt_and_never_accepted(tmp_path, monkeypatch):
    made, rename = destination(tmp_path / "drop"), Path.rename

    def half(path: Path, target: Path) -> Path:
        rename(path, target)
        os.truncate(target, target.stat().st_size // 2)
        return target

    monkeypatch.setattr(Path, "rename", half)
    with pytest.raises(OutcomeUnknown):
        asyncio.run(made.submit(sent_to(made)))
    monkeypatch.undo()
    again = destination(tmp_path / "drop")
    found = asyncio.run(again.find(sent_to(again)))
    assert found.disposition is Disposition.IN_DOUBT and found.native_code == "file-altered"
    (file,) = (tmp_path / "drop").glob("*.837")
    assert file.name in found.native_text
    file.unlink()
    assert asyncio.run(again.find(sent_to(again))).disposition is Disposition.ACCEPTED, "the biller took it"


# ---------------------------------------------------------------- over SFTP


def server_of(sandbox: SftpSandbox) -> SftpServer:
    return SftpServer(host="127.0.0.1", port=sandbox.port, user=USER, host_keys=(sandbox.fingerprint,), password=PASSWORD)


def remote(sandbox: SftpSandbox, tmp_path: Path, clinic: str = "oak"):
    outbound = tmp_path / "outbound" / clinic
    return over_sftp(destination(outbound, clinic, answers="answers"), server_of(sandbox), "claims", outbound)


@pytest.mark.parametrize("cut", ["", "upload", "before", "after"])
def test_over_sftp_a_line_cut_at_any_point_charges_once(cut, tmp_path):
    async def scene():
        async with SftpSandbox(tmp_path / "server") as sandbox:
            house = Clearinghouse(tmp_path / "server" / "claims", tmp_path / "server" / "answers")
            made = remote(sandbox, tmp_path)
            assert isinstance(made, AnsweringDestination) and isinstance(made, DemandingDestination)
            sent = sent_to(made, 1 << 60)
            sandbox.faults.cut_upload_after = 200 if cut == "upload" else None
            sandbox.faults.cut_rename = cut if cut in ("before", "after") else ""
            try:
                answer = (await made.submit_batch([sent]))[0].disposition
            except OutcomeUnknown:
                answer = Disposition.IN_DOUBT
            assert (answer is Disposition.ACCEPTED) == (not cut)
            if cut == "after":  # taken away before we could see that it has its name, and nothing is said of it yet
                (file,) = (tmp_path / "server" / "claims").glob("*.837")
                content = file.read_bytes()
                file.unlink()
                unknown = await remote(sandbox, tmp_path).find(sent)
                assert unknown.disposition is Disposition.IN_DOUBT, "a person asks"
                file.write_bytes(content)
            house.work()  # half a file has no name that it takes
            found = await remote(sandbox, tmp_path).find(sent)
            house.work()
            assert house.remit() == 1 and house.books.violations == []
            assert house.books.totals()["claims"] == 1
            told, cursor = await news(remote(sandbox, tmp_path))
            assert (await news(remote(sandbox, tmp_path), cursor))[0] == []
            return found, told

    found, told = asyncio.run(scene())
    assert found.disposition is Disposition.ACCEPTED, "its answers show that it arrived"
    assert [answer.standing for answer in told if answer.line is None][-1] is Standing.PAID


async def dropped(made, sent: Submission) -> Disposition:
    """What became of the upload, as delivery would count it."""
    try:
        return (await made.submit_batch([sent]))[0].disposition
    except OutcomeUnknown:
        return Disposition.IN_DOUBT


@pytest.mark.parametrize(("spoil", "closed"), [("cut", ()), ("alter", ()), ("cut", ("read",))])
def test_over_sftp_an_upload_that_the_server_spoils_gets_no_name_and_goes_again(spoil, closed, tmp_path):
    async def scene():
        async with SftpSandbox(tmp_path / "server") as sandbox:
            house = Clearinghouse(tmp_path / "server" / "claims", tmp_path / "server" / "answers")
            sandbox.faults.spoil = spoil
            sandbox.faults.forbidden |= set(closed)
            made = remote(sandbox, tmp_path)
            sent = sent_to(made, 1 << 60)
            assert await dropped(made, sent) is Disposition.IN_DOUBT
            assert house.work() == 0, "half of it has no name"
            found = await remote(sandbox, tmp_path).find(sent)
            assert house.work() == 1 and house.books.violations == [] and house.books.totals()["claims"] == 1
            return found

    assert asyncio.run(scene()).disposition is Disposition.ACCEPTED


@pytest.mark.parametrize("closed", [(), ("read",)])
def test_over_sftp_a_file_that_is_spoiled_under_its_name_is_in_doubt_until_an_answer_speaks_of_it(closed, tmp_path):
    async def scene():
        async with SftpSandbox(tmp_path / "server") as sandbox:
            house = Clearinghouse(tmp_path / "server" / "claims", tmp_path / "server" / "answers")
            sandbox.faults.spoil = "rename"
            sandbox.faults.forbidden |= set(closed)
            made = remote(sandbox, tmp_path)
            sent = sent_to(made, 1 << 60)
            assert await dropped(made, sent) is Disposition.IN_DOUBT
            found = await remote(sandbox, tmp_path).find(sent)
            assert found.disposition is Disposition.IN_DOUBT and found.native_code == "file-altered"
            other = sent_to(made, 2 << 60)
            assert await dropped(remote(sandbox, tmp_path), other) is Disposition.ACCEPTED, "it stands in nobody's way"
            sandbox.faults.forbidden.clear()
            house.work()
            assert house.books.violations == ["half a file: no ISA, or nothing ends it"]
            assert (await remote(sandbox, tmp_path).find(sent)).disposition is Disposition.IN_DOUBT
            (control,) = [one.split("-")[2] for one in sent_files(tmp_path) if one in found.native_text]
            (tmp_path / "server" / "answers" / "one.x12").write_bytes(
                (ISA + f"TA1*{control[:9]}*261102*1405*R*022~IEA*0*000000007~").encode()
            )
            return await remote(sandbox, tmp_path).find(sent)

    assert asyncio.run(scene()).disposition is Disposition.ACCEPTED, "they have received it; what they say of it follows"


def sent_files(tmp_path: Path) -> list[str]:
    """The files that were made here, by their receipts."""
    receipts = sorted((tmp_path / "outbound" / "oak" / ".ptbridge" / "oak").glob("*.json"))
    return [path.name.partition("-")[2].removesuffix(".json") for path in receipts]


def test_over_sftp_a_server_that_lets_us_see_nothing_is_believed(tmp_path):
    async def scene():
        async with SftpSandbox(tmp_path / "server") as sandbox:
            (tmp_path / "server" / "claims").mkdir(parents=True)
            sandbox.faults.tells_size = False
            sandbox.faults.forbidden.add("read")
            made = remote(sandbox, tmp_path)
            return (await made.submit_batch([sent_to(made, 1 << 60)]))[0].disposition

    assert asyncio.run(scene()) is Disposition.ACCEPTED


def test_over_sftp_news_of_what_was_just_sent_is_linked(tmp_path):
    async def scene():
        async with SftpSandbox(tmp_path / "server") as sandbox:
            house = Clearinghouse(tmp_path / "server" / "claims", tmp_path / "server" / "answers")
            made = remote(sandbox, tmp_path)
            assert (await news(made))[0] == [], "before the first file"
            await made.submit_batch([sent_to(made, 1 << 60)])
            house.work()
            assert any("answer files there: 3" in one for one in await made.check())
            return (await news(made))[0]

    assert {answer.submission_key for answer in asyncio.run(scene())} == {f"pt-{1 << 60:024x}-r1"}


def test_over_sftp_two_clinics_share_the_control_numbers(tmp_path):
    async def scene():
        async with SftpSandbox(tmp_path / "server") as sandbox:
            house = Clearinghouse(tmp_path / "server" / "claims", tmp_path / "server" / "answers")
            for clinic, name in (("oak", 1 << 60), ("elm", 2 << 60)):
                made: BatchDestination = remote(sandbox, tmp_path, clinic)
                await made.submit_batch([sent_to(made, name)])
            assert house.work() == 2 and house.remit() == 2
            told = (await news(remote(sandbox, tmp_path, "elm")))[0]
            return house.books, {answer.reference for answer in told}

    books, references = asyncio.run(scene())
    assert books.violations == [] and books.totals()["claims"] == 2
    assert references == {f"pt-{2 << 60:024x}"}
