"""A world to test in: a sandbox EMR and a sandbox biller on loopback, and a config folder that points to them."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import date
from pathlib import Path
from typing import Any

from ptbridge_sandbox import demo
from ptbridge_sandbox.biller import SandboxBiller
from ptbridge_sandbox.day import BILLING_NPI
from ptbridge_sandbox.emr import SandboxEmr
from ptbridge_sandbox.maker import clinic_day
from ptbridge_sandbox.store import Store

from ptbridge import jobs
from ptbridge.cli.init import write
from ptbridge.cli.init_files import Answers
from ptbridge.jobs import RunReport
from ptbridge.specs.config import Config, load_config

TOKEN = "sandbox-token"
DAY = date(2026, 11, 19)


@dataclass
class World:
    """Both servers run in a thread of their own; the test drives ptbridge as a user's process would."""

    folder: Path
    emr: SandboxEmr
    biller: SandboxBiller
    store: Store
    options: dict[str, str] = field(default_factory=dict)
    loop: asyncio.AbstractEventLoop | None = field(default=None, repr=False)

    def in_servers(self, change: Callable[[], Any]) -> Any:
        """Make a change in the servers' own thread, between two of their answers: safe while ptbridge asks them."""

        async def make() -> Any:
            return change()

        assert self.loop is not None
        return asyncio.run_coroutine_threadsafe(make(), self.loop).result(timeout=30)

    @property
    def config(self) -> Config:
        return load_config(self.folder)

    @property
    def clinic_file(self) -> Path:
        return self.folder / "clinics" / f"{demo.CLINIC}.yaml"

    @property
    def mapping_file(self) -> Path:
        return self.folder / "mappings" / f"{demo.CLINIC}.yaml"

    def sync(self, **options: Any) -> RunReport:
        (report,) = jobs.sync(self.config, **options)
        return report

    def books(self) -> dict[str, Any]:
        """What the biller itself counts; its auditor must never have found anything."""
        summary = self.biller.summary()
        assert summary["violations"] == []
        return summary

    def agrees(self) -> None:
        """Biller and ledger, counted by each for itself, are the same to the cent."""
        (answer,) = jobs.reconcile(self.config).values()
        books = self.books()
        assert answer["agrees"], answer["differences"]
        assert answer["ours"] == {key: books[key] for key in ("charges", "units", "amount_cents")}


@contextmanager
def running(folder: Path, store: Store | None = None, **emr_options: Any) -> Iterator[World]:
    """A world with the clinic's day, or with a store of your own."""
    store = store if store is not None else Store(clinic_day(DAY))
    loop = asyncio.new_event_loop()
    emr, biller = SandboxEmr(store, **emr_options), SandboxBiller(token=TOKEN)
    thread = threading.Thread(target=loop.run_forever, daemon=True)
    thread.start()

    def there(coroutine: Any) -> Any:
        return asyncio.run_coroutine_threadsafe(coroutine, loop).result(timeout=30)

    there(emr.__aenter__())
    there(biller.__aenter__())
    try:
        config_folder(folder, emr.base_url, biller.base_url)
        yield World(folder=folder, emr=emr, biller=biller, store=store, loop=loop)
    finally:
        there(emr.__aexit__(None, None, None))
        there(biller.__aexit__(None, None, None))
        loop.call_soon_threadsafe(loop.stop)
        thread.join()
        loop.close()


def config_folder(folder: Path, emr_url: str, biller_url: str) -> None:
    """The config folder that `ptbridge init` writes, with the sandbox's fees and token."""
    answers = Answers(
        clinic=demo.CLINIC,
        name="Riverside",
        time_zone=demo.TIME_ZONE,
        npi=BILLING_NPI,
        mapping="emrs/sandbox_emr",
        emr_url=emr_url,
        emr_auth="none",
        biller_url=biller_url,
        payers=tuple(demo.PAYERS.items()),
    )
    write(folder, answers)
    fees = Path(demo.__file__).with_name("fees.csv").read_text("utf-8")
    (folder / "fees" / f"{demo.CLINIC}.csv").write_text(fees, "utf-8")
    secret = folder / "secrets" / "biller_token"
    secret.write_text(TOKEN, "utf-8")
    secret.chmod(0o600)
