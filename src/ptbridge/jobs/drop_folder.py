"""The drop folder of a clinic whose EMR writes HL7 v2 messages into files."""

from __future__ import annotations

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


def take_drop_folder(config: Config, spec: ClinicSpec) -> Taken:
    """Take the complete files of the clinic's drop folder into the inbox; nothing when it names none.

    Raises ConfigError, LedgerError, and PeerUnavailable for a folder that is not there.
    """
    options = Hl7Options.of(spec.source.options)
    if not options.drop_folder:
        return Taken()
    folder = config.path(options.drop_folder)
    now = datetime.now(UTC)
    taken = take_files(config.state, spec.clinic, folder, rules_of(options), now=now, settle_seconds=options.settle_seconds)
    if taken.refused:
        log.warning("drop folder: %d files went to %s", len(taken.refused), "errors")
    return taken
