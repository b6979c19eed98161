"""What `ptbridge doctor` checks without asking anybody: the folder, its files, the secrets, the ledger."""

from __future__ import annotations

import shutil
import stat
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Literal

from ptbridge.errors import ConfigError, LedgerError, PeerError, PtbridgeError
from ptbridge.specs.clinic import AuthSpec, ClinicSpec
from ptbridge.specs.config import Config, load_config

Status = Literal["ok", "warn", "fail"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Check:
    """One line of the doctor's answer. `peer`: it is about the other side, not about this set-up."""

    subject: str
    status: Status
    what: str
    do: str = ""
    peer: bool = False


Found = tuple[Status, str, str]  # status, what, what to do
FolderCheck = Callable[[Config], Iterator[Found]]
ClinicCheck = Callable[[Config, ClinicSpec], Iterator[Found]]


def ok(what: str) -> Found:
    """It is as it should be."""
    return "ok", what, ""


def warn(what: str, do: str) -> Found:
    """It works, and a person should look."""
    return "warn", what, do


def fail(what: str, do: str) -> Found:
    """It will not work."""
    return "fail", what, do


def all_checks(folder: Path, clinic: str | None, *, offline: bool) -> Iterator[Check]:
    """Every check in turn; one that fails does not stop the others, except a config that cannot be read at all."""
    try:
        config = load_config(folder)
        clinics = [config.clinic(clinic)] if clinic else list(config.clinics.values())
    except ConfigError as error:
        yield Check(subject=str(folder), status="fail", what=str(error))
        return
    subject = str(config.folder)
    yield Check(subject=subject, status="ok", what=f"config read: {', '.join(config.clinics)}")
    for folder_check in (_permissions, _sqlite, _encryption, _ledger, _disk, _reference):
        yield from _guarded(subject, folder_check, config)
    from ptbridge.cli.platform_checks import claims, platforms

    for spec in clinics:
        found = [check for one in (_place, platforms) for check in _guarded(spec.clinic, one, config, spec)]
        yield from found
        for clinic_check in (_environment, _read_elsewhere, _secrets, _mapping, _payers, claims, _fees):
            yield from _guarded(spec.clinic, clinic_check, config, spec)
        if not offline and all(check.status != "fail" for check in found):  # else there is nobody to ask
            from ptbridge.cli.peer_checks import biller, emr

            yield from _guarded(spec.clinic, emr, config, spec)
            yield from _guarded(spec.clinic, biller, config, spec)


def _guarded(subject: str, check: Callable[..., Iterator[Found]], *arguments: object) -> Iterator[Check]:
    """A check's lines; what it raises becomes a line too. Only our own errors have words that are safe to show."""
    peer = check.__module__.endswith("peer_checks")
    try:
        for status, what, do in check(*arguments):
            yield Check(subject=subject, status=status, what=what, do=do, peer=peer)
    except PtbridgeError as error:
        ours = isinstance(error, (ConfigError, LedgerError)) or not isinstance(error, PeerError)
        yield Check(subject=subject, status="fail", what=str(error), peer=peer and not ours)
    except Exception as error:  # a doctor that dies of one patient's illness helps nobody
        what = f"{check.__name__.strip('_')}: unexpected {type(error).__name__}"
        yield Check(subject=subject, status="fail", what=what, do="Report it.", peer=peer)


# ---------------------------------------------------------------- the folder


def _permissions(config: Config) -> Iterator[Found]:
    """Keys and patient data are for their owner; nobody else may write what decides a bill (45 CFR 164.312(a)(1))."""
    for folder in (config.folder / "secrets", config.state):
        if not folder.exists():
            continue
        mode = stat.S_IMODE(folder.stat().st_mode)
        if mode & 0o077:
            yield fail(f"{folder.name}/ has mode {mode:04o}: other users can look in", f"chmod 700 {folder}")
        else:
            yield ok(f"{folder.name}/ is private")
    kinds = ("clinics/*.yaml", "mappings/*.yaml", "payers/*.yaml", "fees/*.csv")
    files = [file for kind in kinds for file in sorted(config.folder.glob(kind))]
    loose = [file for file in files if stat.S_IMODE(file.stat().st_mode) & 0o022]
    for file in loose:
        yield warn(f"{file.relative_to(config.folder)} can be changed by other users", f"chmod go-w {file}")
    if files and not loose:
        yield ok(f"{len(files)} files can be changed by their owner only")


def _sqlite(config: Config) -> Iterator[Found]:
    import apsw

    from ptbridge.ledger.database import SAFE_SQLITE

    version = apsw.sqlite_lib_version()
    if tuple(int(part) for part in version.split(".")) < SAFE_SQLITE:
        yield fail(f"SQLite {version} can lose committed data (WAL reset)", "pip install --upgrade apsw-sqlite3mc")
    else:
        yield ok(f"SQLite {version}, without the WAL-reset defect")


def _encryption(config: Config) -> Iterator[Found]:
    """45 CFR 164.312(a)(2)(iv): addressable, so a clinic decides; a key beside the data keeps nobody out."""
    from ptbridge.specs import at_rest

    spec = config.settings.encryption
    if spec is None:
        yield warn(
            "ledger and inbox are not encrypted at rest",
            "ptbridge encrypt --new-key FILE, with FILE away from this folder; or keep the folder on an encrypted volume.",
        )
        return
    master = at_rest.master_key(spec.key, base=config.folder)
    at_rest.data_key(config.state)
    kind, _, name = spec.key.partition(":")
    if kind == "file" and config.path(name).resolve().is_relative_to(config.state.resolve()):
        yield fail("the key lies beside the data that it encrypts", "Move it, and name its new place in ptbridge.yaml.")
    else:
        yield ok(f"encrypted at rest under key {at_rest.key_name(master)}")


def _ledger(config: Config) -> Iterator[Found]:
    from ptbridge.ledger import Ledger

    if not config.ledger_file.exists():
        yield ok("no ledger yet; the first sync makes it")
        return
    with Ledger.open(config.state, write=False) as ledger:
        problems = ledger.integrity()
    for problem in problems:
        yield fail(f"ledger: {problem}", "Stop syncing and restore the last backup.")
    if not problems:
        yield ok(f"ledger is sound ({config.ledger_file.stat().st_size / 1e6:,.1f} MB)")


def _disk(config: Config) -> Iterator[Found]:
    free = shutil.disk_usage(config.folder).free
    if free < 500_000_000:
        yield warn(f"{free / 1e6:,.0f} MB free on the disk", "Make room; a full disk stops every run.")
    else:
        yield ok(f"{free / 1e9:,.1f} GB free on the disk")


def _reference(config: Config) -> Iterator[Found]:
    """Which of CMS's files answer for today, and until when; one line, because `ptbridge reference check` has the rest."""
    from ptbridge.policy.reference import Reference, coverage

    today = datetime.now().astimezone().date()
    found = coverage(Reference.open(config.folder / "reference"), today)
    told = [
        f"{one.kind} until {one.until}" if one.until else f"{one.kind} missing" for one in found if one.state != "not_loaded"
    ]
    line = f"official files: {', '.join(told)}"
    if any(one.asks_for_a_person for one in found):
        yield warn(line, "ptbridge reference check says which to load; without one a small shipped table answers, or nothing.")
    else:
        yield ok(line)


# ---------------------------------------------------------------- a clinic


def _place(config: Config, spec: ClinicSpec) -> Iterator[Found]:
    now = datetime.now(config.time_zone(spec))
    yield ok(f"time zone {spec.time_zone}: {now:%Y-%m-%d %H:%M} there now")
    if not npi_is_well_formed(spec.billing_provider.npi):
        yield fail(
            f"billing_provider.npi {spec.billing_provider.npi!r} has a wrong check digit", "Correct it in the clinic file."
        )
    else:
        yield ok(f"billing NPI {spec.billing_provider.npi}")


def _environment(config: Config, spec: ClinicSpec) -> Iterator[Found]:
    """Made-up patients never reach a production biller, and real ones should not reach a sandbox."""
    from ptbridge.jobs.environments import mixed_up
    from ptbridge.specs.environment import destination_environment, source_environment

    if problem := mixed_up(spec, from_sandbox=_read_a_sandbox(config, spec)):
        yield fail(problem, "")
        return
    source, destination = source_environment(spec.source), destination_environment(spec.destination)
    sides = f"source {source.environment} ({source.because}), destination {destination.environment} ({destination.because})"
    if destination.sandbox and not source.sandbox and source.written:
        yield warn(f"{sides}: real patients' charges go where nobody bills them", "Point the destination to the biller.")
    else:
        yield ok(sides)


def _read_a_sandbox(config: Config, spec: ClinicSpec) -> bool:
    """Whether the ledger says so; one that cannot be opened is told by the check of the ledger."""
    from ptbridge.ledger import Ledger

    try:
        with Ledger.open(config.state, write=False) as ledger:
            return ledger.provenance.from_sandbox(spec.clinic)
    except LedgerError:
        return False


def _read_elsewhere(config: Config, spec: ClinicSpec) -> Iterator[Found]:
    """A place in one server's list is none in another's, so that a changed address is read from the beginning."""
    from ptbridge.jobs.addresses import begins_anew
    from ptbridge.ledger import Ledger

    try:
        with Ledger.open(config.state, write=False) as ledger:
            for source in (True, False):
                for words in begins_anew(ledger, spec, source=source):
                    yield warn(words, "Nothing to do where that is meant; else put the address back before the next sync.")
    except LedgerError:
        return  # told by the check of the ledger


def npi_is_well_formed(npi: str) -> bool:
    """Ten digits whose Luhn sum with the prefix 80840 is a multiple of ten (45 CFR 162.406; ISO 7812)."""
    if len(npi) != 10 or not npi.isascii() or not npi.isdecimal():
        return False
    digits = [int(digit) for digit in "80840" + npi]
    doubled = (sum(divmod(2 * digit, 10)) for digit in digits[-2::-2])
    return (sum(digits[-1::-2]) + sum(doubled)) % 10 == 0


def _secrets(config: Config, spec: ClinicSpec) -> Iterator[Found]:
    """Each reference leads to a secret, and a private key is one."""
    checked = 0
    for place, auth in (("source", spec.source.auth), ("destination", spec.destination.auth)):
        for name in ("secret", "private_key"):
            reference = getattr(auth, name)
            if reference is None:
                continue
            try:
                value = config.secret(reference) or ""
                if name == "private_key" and auth.method == "ssh_key":
                    _read_ssh_key(value)
                elif name == "private_key":
                    _read_key(value, auth)
                checked += 1
            except ConfigError as error:
                yield fail(f"{place}.auth.{name}: {error}", "")
    if checked:
        yield ok(f"{checked} secret{'' if checked == 1 else 's'} found where the clinic file says")


def _read_ssh_key(text: str) -> None:
    from ptbridge.wire.sftp import read_private_key  # loads the SSH library

    read_private_key(text)


def _read_key(text: str, auth: AuthSpec) -> None:
    from ptbridge.wire.keys import jwks

    try:
        jwks(text, auth.algorithm)
    except ConfigError:
        raise
    except Exception as error:  # the library's text may quote the key
        raise ConfigError(f"not a private key for {auth.algorithm} ({type(error).__name__}). Give a PEM or JWK.") from None


def _mapping(config: Config, spec: ClinicSpec) -> Iterator[Found]:
    from ptbridge.jobs.kit import mapping_of

    mapping_of(config, spec)
    yield ok(f"mapping {spec.source.mapping or 'of the connector'} compiles")


def _payers(config: Config, spec: ClinicSpec) -> Iterator[Found]:
    """Each route has a policy, and the policy says how to count units today; what does not is held, so say so now."""
    from ptbridge.cli.payer_policies import policies_for

    policies = policies_for(config.folder)
    today = datetime.now(config.time_zone(spec)).date()
    if not spec.payers:
        yield warn("no payers: every visit will be held", f"Name them under `payers` in {config.files[spec.clinic].name}.")
    for route in spec.payers:
        who = ", ".join((*route.ids, *route.names))
        policy = policies.get(route.policy)
        if policy is None:
            yield fail(f"payer {who}: there is no policy {route.policy!r}", f"Known policies: {', '.join(sorted(policies))}.")
        elif policy.setting("counting_rule", today) is None:
            yield warn(
                f"payer {who}: {policy.name} has no counting rule today",
                "Its visits are held; ask the payer and set counting_rule.",
            )
        elif policy.standing != "complete":
            yield warn(
                f"payer {who}: {policy.name} is a starting point",
                "Check it against the contract, then extend it in payers/ with standing: complete.",
            )
        else:
            yield ok(f"payer {who}: {policy.name}")


def _fees(config: Config, spec: ClinicSpec) -> Iterator[Found]:
    from ptbridge.policy.fees import load_fees

    named = dict.fromkeys([spec.fees, *(route.fees for route in spec.payers)])
    files = [name for name in named if name]
    if not files:
        yield warn("no fee schedule: every charge will be held", "Name one under `fees` in the clinic file.")
    for name in files:
        rows = len(load_fees(config.path(name)))
        if rows:
            yield ok(f"{name}: {rows} price{'' if rows == 1 else 's'}")
        else:
            yield warn(
                f"{name} has no prices: every charge will be held", "Enter procedure, amount and the day from which it holds."
            )
