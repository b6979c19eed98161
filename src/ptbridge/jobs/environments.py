"""A sandbox source's charges never reach a production destination (contract D20): refused before a run asks anybody."""

from __future__ import annotations

from ptbridge.errors import ConfigError
from ptbridge.ledger import Ledger
from ptbridge.specs.clinic import ClinicSpec
from ptbridge.specs.config import Config
from ptbridge.specs.environment import destination_environment, source_environment


def keep_apart(config: Config, spec: ClinicSpec, ledger: Ledger) -> None:
    """Refuse a clinic whose made-up patients would be billed, and remember that a sandbox is read. Raises ConfigError.

    What is remembered counts for good: a clinic that read a sandbox keeps what it read, so that it cannot become a real one.
    """
    if problem := mixed_up(spec, from_sandbox=ledger.provenance.from_sandbox(spec.clinic)):
        raise ConfigError(problem, where=str(config.files[spec.clinic]))
    source = source_environment(spec.source)
    if source.sandbox and source.written:
        ledger.provenance.note_sandbox(spec.clinic)


def mixed_up(spec: ClinicSpec, *, from_sandbox: bool) -> str:
    """Why this clinic's charges may not be sent, and what to do; empty when they may. `from_sandbox`: what the ledger says."""
    source, destination = source_environment(spec.source), destination_environment(spec.destination)
    if destination.sandbox:
        return ""
    if source.sandbox:
        return (
            f"the source is a sandbox ({source.because}) and the destination is production ({destination.because}): made-up"
            " patients would be billed. Point both to one side. If an address misleads, write what is true:"
            " `environment: production` under source, or `environment: sandbox` under destination."
        )
    if from_sandbox:
        return (
            "the ledger of this clinic holds records of a sandbox source, and the destination is production"
            f" ({destination.because}). Give the real clinic a name of its own, or a new config folder; its records stay here."
        )
    return ""
