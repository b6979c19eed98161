"""The drop folder of a clinic whose EMR writes HL7 v2 messages into files: on this machine, or on an SFTP server."""

from __future__ import annotations

import asyncio
import logging
from datetime import UTC, datetime

from ptbridge.inbox import Rules, Taken, take_files
from ptbridge.specs.clinic import ClinicSpec
from ptbridge.specs.config import Config
from ptbridge.wire.hl7_options import Hl7Options

log = logging.getLogger(__name__)


def rules_of(options: Hl7Options) -> Rules:
    """How messages are sorted at the door."""
    return Rules(charset=options.charset, charges_from=options.charges_from)


def is_remote(spec: ClinicSpec) -> bool:
    """Whether the drop folder is one of an SFTP server."""
    return Hl7Options.of(spec.source.options).drop_folder.startswith("sftp://")


def check_drop_folder(config: Config, spec: ClinicSpec) -> None:
    """Whether the clinic file says all that its SFTP server needs; nothing is dialled. Raises ConfigError."""
    if is_remote(spec):
        from ptbridge.jobs.sftp import keeps, sftp_server  # loads the SSH library

        sftp_server(config, Hl7Options.of(spec.source.options).drop_folder, spec.source.auth)
        keeps(spec)


def take_drop_folder(config: Config, spec: ClinicSpec) -> Taken:
    """Take the complete files of the clinic's drop folder into the inbox; nothing when it names none.

    Blocks; call it in a thread of its own. Raises ConfigError, LedgerError, PeerUnavailable for a folder that is not there,
    and PeerRefused for a server that is not the pinned one or does not let us in.
    """
    options = Hl7Options.of(spec.source.options)
    if not options.drop_folder:
        return Taken()
    if options.drop_folder.startswith("sftp://"):
        taken = asyncio.run(_take_remote(config, spec, options))
    else:
        folder, now, settle = config.path(options.drop_folder), datetime.now(UTC), options.settle_seconds
        taken = take_files(config.state, spec.clinic, folder, rules_of(options), now=now, settle_seconds=settle)
    if taken.refused:
        log.warning("drop folder: %d files went to %s", len(taken.refused), "errors")
    return taken


def refused_files(config: Config, spec: ClinicSpec, new: int) -> tuple[int, str]:
    """How many files of the clinic's drop folder hold nothing that could be read, and where they lie.

    On this machine all that lie in `errors` still; on a server only the `new` ones of this run, since nobody asks again.
    """
    folder = Hl7Options.of(spec.source.options).drop_folder
    if not folder or folder.startswith("sftp://"):
        return new, f"{folder}/errors"
    errors = config.path(folder) / "errors"
    if not errors.is_dir():
        return 0, str(errors)
    return sum(file.is_file() and not file.name.endswith(".reason.txt") for file in errors.iterdir()), str(errors)


async def _take_remote(config: Config, spec: ClinicSpec, options: Hl7Options) -> Taken:
    from ptbridge.inbox.remote_files import take_remote_files  # loads the SSH library, which few runs need
    from ptbridge.jobs.sftp import keeps, sftp_server

    server, folder = sftp_server(config, options.drop_folder, spec.source.auth)
    return await take_remote_files(
        config.state,
        spec.clinic,
        server,
        folder,
        rules_of(options),
        now=datetime.now(UTC),
        settle_seconds=options.settle_seconds,
        keep=keeps(spec),
    )
