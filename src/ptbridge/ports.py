"""The shapes of the plugin points: Connector, Edit, Destination. A plugin is one file that declares one of these.

Nothing here knows HTTP, YAML or SQL: `client`, `facts` and what a destination is built from are handed in by the layers above.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime
from typing import Any, Protocol, runtime_checkable

from ptbridge.errors import ConfigError
from ptbridge.model import Acknowledgement, Answer, Finding, PricedDay, Severity, SourceRecord, Stage, Submission
from ptbridge.model.made_fast import made_fast

# ---------------------------------------------------------------- connectors


@dataclass(frozen=True, slots=True, kw_only=True)
class Pulled:
    """One batch from an EMR: made durable as a whole, then acted on.

    `cursor`, when not None, is what the cursor may become once this batch and every one before it are durable: a
    connector sets it only when no earlier page is missing. `gone` names records (record_key) that the source says are
    deleted. `unreadable` are records that could not even be joined: quarantined with the reason.
    """

    records: tuple[SourceRecord, ...] = ()
    cursor: Mapping[str, str] | None = None
    gone: tuple[str, ...] = ()
    unreadable: tuple[tuple[SourceRecord, str], ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class ConnectorInfo:
    """What a connector file declares of its EMR. `parameters` are the options a clinic file may set, each with its help."""

    name: str
    standard: str  # e.g. "FHIR R4"
    summary: str
    mapping: str  # the shipped mapping that reads its records, e.g. "emrs/fhir_r4"
    parameters: Mapping[str, str] = field(default_factory=dict)
    required: tuple[str, ...] = ()


class KnownRecords(Protocol):
    """What the ledger already has of one clinic's source; for sources that tell changes and deletions only by comparison."""

    def latest(self, record_key: str) -> SourceRecord | None:
        """The newest record of a visit as received; None when it was never seen or is deleted."""

    def between(self, first: date, last: date) -> tuple[str, ...]:
        """Keys of the visits, not deleted, whose service date lies from `first` to `last`."""

    def unread(self) -> tuple[str, ...]:
        """Keys of the quarantined records of which no version could ever be read."""

    def sent_at(self, record_key: str) -> datetime | None:
        """When charges of a visit first were on their way to the biller; None when they never were."""


class Connector(Protocol):
    """A module in `connectors/`: `INFO`, `pull` and `check`."""

    INFO: ConnectorInfo

    def pull(self, client: Any, cursor: Mapping[str, str]) -> AsyncIterator[Pulled]:
        """Yield whole payloads, untouched, oldest first. No coding, no defaults, no retries."""

    async def check(self, client: Any) -> list[str]:
        """Plain sentences: what this server can and cannot do, and which fallback will be used."""


@dataclass(frozen=True, slots=True, kw_only=True)
class InboxEntry:
    """What the inbox knows of one received HL7 v2 message without reading it again. `seq` counts arrivals.

    `kind` is `DFT^P03`; `state` is taken, ignored or damaged, with its `reason`; `keys` are the (path, value) pairs under
    which `Inbox.about` finds it.
    """

    seq: int
    received_at: datetime
    kind: str
    state: str
    reason: str = ""
    keys: tuple[tuple[str, str], ...] = field(default=(), repr=False)

    def values(self, path: str) -> list[str]:
        """What it carries at a path that the inbox indexes."""
        return [value for name, value in self.keys if name == path]


class Inbox(Protocol):
    """One clinic's received messages, as a connector reads them. Nothing is taken out by reading."""

    def last(self) -> int:
        """The number of the newest message; 0 when there is none."""

    def arrived(self, *, after: int, upto: int, limit: int) -> list[InboxEntry]:
        """Messages numbered above `after` up to `upto`, in order of arrival, at most `limit` of them."""

    def about(self, path: str, value: str) -> list[InboxEntry]:
        """The messages that carry this value at this path, in order of arrival."""

    def raw(self, seq: int) -> bytes:
        """A message's bytes as received."""

    def counts(self) -> dict[str, int]:
        """How many messages of each state, kind and reason."""


# ---------------------------------------------------------------- edits

CheckFunction = Callable[[PricedDay, Any], Iterable[Finding]]


@dataclass(frozen=True, slots=True)
class Edit:
    """One check of a priced treatment day. `manual` is its docstring: manual page and executed cases in one."""

    code: str
    severity: Severity
    title: str
    manual: str = field(repr=False)
    check: CheckFunction = field(repr=False)


def edit(*, severity: Severity = Severity.ERROR) -> Callable[[CheckFunction], Edit]:
    """Make the `check` function of an edit file an `Edit`; code, title and manual come from the module's docstring."""

    def declare(check: CheckFunction) -> Edit:
        manual = (check.__globals__.get("__doc__") or "").strip()
        code, _, rest = manual.partition(":")
        title = rest.strip().partition("\n")[0].rstrip(".")
        if len(code) != 4 or not title:
            raise ValueError(f"{check.__module__}: the docstring must start with `XX00: what it finds.`")
        return Edit(code=code, severity=severity, title=title, manual=manual, check=check)

    return declare


# ---------------------------------------------------------------- destinations

# What the claims of most platforms state, for `DestinationInfo.states`.
CLAIM_STATES = (
    *("billing_provider.tax_id", "billing_provider.address"),
    *("claims.accepts_assignment", "claims.benefits_assigned", "claims.release_of_information", "claims.payers"),
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Capabilities:
    """What a destination can do, as data; this drives behaviour.

    `idempotency_seconds`: how long a resend with the same key is harmless (0: never safe). `find`: it can look a
    submission up by our reference. `replace`, `void`: it takes a correction or a withdrawal of what it has, frequency 7 and
    8 of a claim included. `find_lag_seconds`: how long after accepting it may still answer a look-up with "not here".

    What is allowed depends on how far the charge has come. `open_until`: up to and including this stage the platform
    overwrites or takes back its own copy; beyond it, or with None at any stage, a correction is a claim of its own.
    `payer_number`: such a claim must name the payer's claim number, `Answer.payer_claim_number`; it is then what `encode`
    and `encode_void` get as `original_id`. `task_after`: beyond this stage nobody can correct it but a person at the
    biller. `rejected_is_gone`: what was rejected before adjudication goes again as an original.

    `read_back`: what it accepts is looked up and compared before it counts as taken; needs `find`. `splits`: a day that is
    larger than one claim goes as several; elsewhere it is held (LN01, DX04). `own_receipts`: what it finds and lists are our
    own receipts of what left here: they never tell what the biller has, and a person's word goes before them.
    """

    idempotency_seconds: float = 0
    find: bool = False
    replace: bool = False
    void: bool = False
    dry_run: bool = False
    find_lag_seconds: float = 0
    open_until: Stage | None = Stage.REMITTANCE
    payer_number: bool = False
    task_after: Stage | None = None
    rejected_is_gone: bool = False
    read_back: bool = False
    splits: bool = False
    own_receipts: bool = False
    batch: bool = False  # True: all submissions of a run go into one file through `BatchDestination.submit_batch`


@dataclass(frozen=True, slots=True, kw_only=True)
class DestinationInfo:
    """What a destination file declares as `INFO`.

    `needs` names the fields of the clinic file's `destination` that it cannot do without: `base_url`, or `folder` (which an
    sftp:// address may stand for). `options` are the settings, each with its help; `required` are those without which it is
    not built. `requests_per_second`: the platform's own limit, kept when the clinic file gives none.

    The rest is what `ptbridge init` and `doctor` go by. `offered`: options that can be left out and should not be forgotten.
    `auth`: how it is proved who we are over HTTP, the usual way first.
    `address`, `token_url`: the platform's published ones; empty where each biller has its own. `states`: keys of the clinic
    file (`billing_provider.…`, `claims.…`) that each claim states: without one every day is held, SB03.
    """

    name: str
    summary: str
    needs: tuple[str, ...]
    options: Mapping[str, str] = field(default_factory=dict)
    requests_per_second: float = 0
    required: tuple[str, ...] = ()
    offered: tuple[str, ...] = ()
    auth: tuple[str, ...] = ("bearer",)
    address: str = ""
    token_url: str = ""
    states: tuple[str, ...] = ()

    def refuse_unknown(self, options: Mapping[str, str]) -> None:
        """Raises ConfigError for an option that this destination does not have, with those that it has."""
        unknown = sorted(set(options) - set(self.options))
        if unknown:
            known = ", ".join(self.options) or "none"
            raise ConfigError(f"{self.name} has no option {unknown[0]!r}. Known options: {known}.", where="destination.options")

    def number(self, options: Mapping[str, str], name: str, default: float, *, whole: bool = False) -> float:
        """An option that is a number from zero up; the default where the clinic file gives none. Raises ConfigError."""
        text = options.get(name)
        if text is None:
            return default
        digits = text if whole else text.replace(".", "", 1)
        if not (digits.isascii() and digits.isdecimal()):
            kind = "whole number" if whole else "number"
            raise ConfigError(f"{text!r} is not a {kind}. Write digits, such as 60.", where=f"destination.options.{name}")
        return float(text)

    def yes(self, options: Mapping[str, str], name: str, *, default: bool = False) -> bool:
        """An option that is yes or no; the default where the clinic file gives none. Raises ConfigError."""
        text = options.get(name, "yes" if default else "no")
        if text not in ("yes", "no"):
            raise ConfigError(f"{text!r} is neither yes nor no.", where=f"destination.options.{name}")
        return text == "yes"


class Destination(Protocol):
    """One billing platform. Built once per clinic and run; `close` is always called."""

    @property
    def capabilities(self) -> Capabilities:
        """What this platform can do, after the clinic's options."""

    def encode(self, priced: PricedDay, *, reference: str, frequency: str, original_id: str | None) -> tuple[bytes, str]:
        """The exact bytes of an original or a replacement, and their media type. Pure: no clock, no randomness."""

    def encode_void(self, live: bytes, *, reference: str, original_id: str | None) -> tuple[bytes, str]:
        """The exact bytes that take back what `live`, the bytes that were accepted, made. Pure."""

    async def submit(self, submission: Submission) -> Acknowledgement:
        """Send these bytes once. Never raises for an answer; a lost answer is `Disposition.IN_DOUBT`.

        Raises PeerUnavailable when surely nothing was taken (no connection), PeerRefused when our credential was refused.
        """

    async def find(self, submission: Submission) -> Acknowledgement | None:
        """Look up by our reference and key: an accepted Acknowledgement, or None when the platform surely has none."""

    async def list_references(self, service_dates: tuple[str, str]) -> dict[str, tuple[int, int]] | None:
        """For reconcile: reference -> (units, cents) of live charges in that range of service dates; None if it cannot tell.

        Two charges of one reference are added up, so that a second one is seen.
        """

    async def check(self) -> list[str]:
        """Plain sentences: is it reachable, does it take our credential. Raises PeerError when not."""

    async def close(self) -> None:
        """Finish files, close connections."""


@runtime_checkable
class CorrectingDestination(Destination, Protocol):
    """A destination whose correction starts from what it has: credits beside the new charges, or claims that a day is split
    into otherwise than before. One submission says both."""

    def encode_replacement(
        self, priced: PricedDay, live: bytes, *, reference: str, original_id: str | None
    ) -> tuple[bytes, str]:
        """The exact bytes that turn `live`, the bytes that were accepted, into this day, and their media type. Pure."""


@runtime_checkable
class SteppingDestination(CorrectingDestination, Protocol):
    """A destination (`Capabilities.splits`) whose correction may need two steps: a line that leaves a claim goes with another
    only when the payer has the first without it. Else it could be charged twice, where only one of both is turned away."""

    def waiting_lines(self, body: bytes) -> tuple[int, ...]:
        """Places (from 1) of the day's lines that a correction of these bytes leaves out, for the next one. Pure."""


@runtime_checkable
class DemandingDestination(Destination, Protocol):
    """A destination that cannot do without facts that a charge may lack, such as a claim's filing indicator."""

    def lacks(self, priced: PricedDay) -> list[Finding]:
        """One error finding (code SB03) for each fact that the day lacks; `encode` is called only when there is none. Pure."""


@dataclass(frozen=True, slots=True, kw_only=True)
class AnswerPage:
    """Some news, and the cursor that covers it and every page before it: both become durable together. None: no move yet.

    `gap`: the platform no longer has what it said after the cursor it was asked with; what is open is then looked up one by
    one, where the destination can (`TellingDestination`).
    """

    answers: tuple[Answer, ...] = ()
    cursor: Mapping[str, str] | None = None
    gap: bool = False


@runtime_checkable
class AnsweringDestination(Destination, Protocol):
    """A destination that tells later what became of what it took."""

    def answers(self, cursor: Mapping[str, str]) -> AsyncIterator[AnswerPage]:
        """The news since `cursor` (empty: from the beginning), oldest first where the platform lets it; overlap is harmless.

        Raises PeerError when the platform cannot be asked; pages yielded before stay.
        """


@runtime_checkable
class TellingDestination(AnsweringDestination, Protocol):
    """An answering destination that can be asked about single charges, for when its feed has forgotten."""

    def answers_about(self, references: Sequence[str]) -> AsyncIterator[AnswerPage]:
        """All that the platform still knows of these charges (our references); no page moves the cursor. Raises PeerError."""


@runtime_checkable
class HearingDestination(AnsweringDestination, Protocol):
    """An answering destination whose platform tells by messages of its own accord, which `ptbridge listen` receives."""

    def hear(self, inbox: Inbox) -> None:
        """Where those messages are. Called once, before `answers` and `heard`, when anything was ever received."""

    def heard(self, submission: Submission) -> Acknowledgement | None:
        """The last word on a submission that is in doubt; None while none has come."""


class BatchDestination(Destination, Protocol):
    """A destination whose `capabilities.batch` is True: many submissions become one file, durable as a whole or not at all."""

    async def submit_batch(self, submissions: Sequence[Submission]) -> list[Acknowledgement]:
        """One acknowledgement for each submission, in order, after all of them are durable together."""


# ---------------------------------------------------------------- the outbox, as delivery sees the ledger


@made_fast
@dataclass(frozen=True, slots=True, kw_only=True)
class OutboxItem:
    """A submission that waits for its answer. `in_doubt`: an earlier attempt may have taken effect. Times are Unix seconds."""

    id: int
    submission: Submission
    attempts: int = 0
    unanswered: int = 0  # of these, how many said nothing about it (see Outcome), since the platform last took anything
    in_doubt: bool = False
    first_attempt_at: float | None = None  # of this key: bounds blind replays by the platform's key window
    last_attempt_at: float | None = None  # latest `start` before this hand-out: a look-up is believed only find_lag after it
    queued_at: float = 0


@made_fast
@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """What became of one attempt: the answer, and when to try again (Unix seconds) unless it ended here.

    `RETRY` with `next_at`: back to the queue, surely not taken. `IN_DOUBT` with `next_at`: waits, and is handed out again
    with `in_doubt`. Without `next_at` it keeps the place that it had. `unanswered`: the attempt says nothing about this item
    (no connection, a refused credential, a platform that turned everybody away) and is not one of those that run out.
    `hold_reason` set: stop trying, a person decides; it is a machine-readable word such as `rejected`, `attempts-exhausted`.
    """

    item: OutboxItem
    acknowledgement: Acknowledgement
    next_at: float | None = None
    hold_reason: str | None = None
    unanswered: bool = False


class Outbox(Protocol):
    """The ledger's face towards delivery. Every call is one durable (fsynced) transaction."""

    def due(self, *, now: float, limit: int) -> list[OutboxItem]:
        """The oldest waiting item of each order key whose time has come, oldest first; never one that is being sent."""

    def next_due_at(self, *, without: Collection[int] = ()) -> float | None:
        """When the next item can be due, those `without` left out (Unix seconds); None when nothing waits."""

    def was_turned_away(self) -> bool:
        """Whether something waits of which an attempt was not answered since the platform last took one: it may be away yet."""

    def start(self, items: tuple[OutboxItem, ...], *, now: float) -> None:
        """Record that these are about to be sent, before their first byte leaves."""

    def finish(self, outcomes: tuple[Outcome, ...], *, now: float) -> None:
        """Record the answers of several items in one commit."""

    def turn(self, outcomes: tuple[Outcome, ...], items: tuple[OutboxItem, ...], *, now: float) -> None:
        """`finish` these and `start` those in one commit: all of it or nothing."""
