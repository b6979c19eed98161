"""A destination against its pretend server on loopback: the set-up that rigs and tests of the platforms share."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from typing import Any

from ptbridge_sandbox.biller_faults import Faults
from ptbridge_sandbox.faulty_server import FaultyServer

from ptbridge.delivery import DeliveryReport, RetryPolicy, SystemClock, deliver
from ptbridge.model import Answer, Frequency, PricedDay, Submission
from ptbridge.specs.clinic import AuthSpec
from ptbridge.wire.http import HttpClient
from ptbridge.wire.smart_auth import authorizer_from
from tests.rigs import Rig, a_day, build, submission
from tests.unit.delivery.conftest import MemoryOutbox, VirtualClock

REFERENCE = "pt-0123456789abcdef01234567"
DATES = ("2026-11-02", "2026-11-02")
NOBODY = "http://127.0.0.1:9"
# A tenth of everything going wrong: shares of `Faults`, for a `bad_day`.
TENTH = {
    "busy": 0.1,
    "lose_answer": 0.1,
    "error_after_commit": 0.1,
    "wrong_reference": 0.05,
    "html_answer": 0.05,
    "answer_twice": 0.1,
}


def built(
    name: str, address: str = NOBODY, options: Mapping[str, str] | None = None, *, method: str = "", secret: str = ""
) -> Any:
    """The destination as a run builds it; `method` and `secret` are how it proves who it is."""
    authorizer = authorizer_from(AuthSpec(method=method), base_url=address, secret=secret) if method else None
    return build(name, options, http=HttpClient(address, authorizer=authorizer), base_url=address)


def sent(
    destination: Any,
    day: PricedDay,
    revision: int = 1,
    frequency: str = "1",
    original_id: str | None = None,
    reference: str = REFERENCE,
) -> Submission:
    """The submission of a day, as plan.py makes it; a void takes back what this day made."""
    given = {"reference": reference, "original_id": original_id}
    body, media_type = destination.encode(day, frequency="1" if frequency == "8" else frequency, **given)
    if frequency == "8":
        body, media_type = destination.encode_void(body, **given)
    return replace(
        submission(destination, reference=reference),
        revision=revision,
        key=f"{reference}-r{revision}",
        frequency=Frequency(frequency),
        body=body,
        media_type=media_type,
        units=day.units,
        amount_cents=day.amount_cents,
        lines=len(day.charges),
    )


async def told(destination: Any, cursor: Mapping[str, str] | None = None) -> tuple[list[Answer], dict[str, str]]:
    """All answers after a cursor, and the cursor after them."""
    found, last = [], dict(cursor or {})
    async for page in destination.answers(last):
        found += page.answers
        last = dict(page.cursor or last)
    return found, last


@dataclass
class Scene:
    """The destination, and what it speaks to. `rebuild` gives the same account in another run."""

    destination: Any
    server: Any
    rebuild: Callable[..., Any]
    others: list[Any] = field(default_factory=list)

    def send(self, day: PricedDay, *about: Any, **more: Any) -> Submission:
        """See `sent`."""
        return sent(self.destination, day, *about, **more)

    def reopened(self, **options: str) -> Any:
        """The same account in another run, with other options."""
        self.others.append(self.rebuild(**options))
        return self.others[-1]


def play(server: FaultyServer, rebuild: Callable[..., Any], work: Callable[[Scene], Awaitable[None]]) -> None:
    """Run an async scene; `rebuild` builds the destination once the server listens. The auditor finds nothing in the end."""

    async def whole() -> None:
        async with server:
            made = Scene(rebuild(), server, rebuild)
            try:
                await work(made)
            finally:
                for one in (made.destination, *made.others):
                    await one.close()
        assert server.summary()["violations"] == []

    asyncio.run(whole())


async def bad_day(destination: Any, server: FaultyServer, names: Sequence[str], **policy: Any) -> DeliveryReport:
    """`a_day` under each name through the real delivery, whatever the server's faults: each is there once, to the cent."""
    outbox = MemoryOutbox(VirtualClock())
    for name in names:
        outbox.put(replace(sent(destination, a_day(), reference=name), order_key=name))
    quick = {"first_delay_seconds": 0.01, "max_delay_seconds": 0.05, "extra_calls_share": 9, "extra_calls_reserve": 999}
    report = await deliver(
        outbox,
        destination,
        in_flight=8,
        clock=SystemClock(),
        policy=RetryPolicy(**{**quick, **policy}),
        deadline_seconds=120,
    )
    summary, count = server.summary(), len(names)
    assert (report.accepted, report.ended) == (count, "done"), report
    assert (summary["charges"], summary["units"], summary["amount_cents"]) == (count, count * 3, count * 9000)
    assert summary["violations"] == [] and report.doubts > 5, "the faults really happened"
    return report


@asynccontextmanager
async def rig_at(
    server: FaultyServer,
    build: Callable[[], Any],
    *,
    refusal: tuple[str, str] | None = None,
    before_change: Callable[[Submission], str | None] = lambda sent: None,
    lose_only: frozenset[str] = frozenset(),
) -> AsyncIterator[Rig]:
    """The rig of a platform with a `FaultyServer`; `lose_only` are the methods whose answers `lose` loses, empty: all."""
    async with server:
        destination = build()

        def lose(on: bool) -> None:
            server.lose_only = lose_only
            server.faults = Faults(lose_answer=float(on))

        def refuse(on: bool) -> None:
            server.faults = Faults(refuse=float(on))

        try:
            made = Rig(destination, lose, refuse, before_change=before_change)
            yield replace(made, refusal=refusal) if refusal else made
        finally:
            await destination.close()
