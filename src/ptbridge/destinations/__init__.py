"""Destinations: one file per billing platform, found by listing this folder (files that start with `_` are not platforms).

Each file declares `INFO: DestinationInfo` and one function, which takes of the parts what its platform needs:

    def build(parts: DestinationParts) -> Destination

`INFO.needs` says which of `base_url` and `folder` must be set; `build` raises ConfigError when one is missing or an option
is unknown. The destination owns `parts.http` from then on: `close` closes it. docs/destinations.md has a whole example.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from ptbridge.errors import ConfigError
from ptbridge.specs.clinic import NO_CLAIMS, BillingProviderSpec, ClaimsSpec, DestinationSpec
from ptbridge.wire.http import HttpClient


@dataclass(frozen=True, slots=True, kw_only=True)
class DestinationParts:
    """What a destination is built from, for one clinic and one run.

    `http` already holds the base URL, the credential and the rate; None where the address is no http:// or https:// one.
    `folder` is `destination.folder`, from the config folder on; None where the clinic file gives none. `run_id` names this
    run without patient data and is unique over the runs of a clinic.
    """

    spec: DestinationSpec  # the clinic file's `destination`
    clinic: str  # the clinic's short name
    billing: BillingProviderSpec  # the clinic file's `billing_provider`
    run_id: str
    claims: ClaimsSpec = NO_CLAIMS  # the clinic file's `claims`: what a claim states on the clinic's word
    http: HttpClient | None = field(default=None, repr=False)
    folder: Path | None = None

    @property
    def options(self) -> Mapping[str, str]:
        """The platform's settings, as the clinic file gives them; `INFO.refuse_unknown` holds them to what there is."""
        return self.spec.options

    def needed_http(self, what: str) -> HttpClient:
        """The client of a platform that has an address. Raises ConfigError without one, with `what` belongs there."""
        if self.http is None:
            raise ConfigError(f"destination {self.spec.platform} needs `base_url`: {what}.", where="destination")
        return self.http

    def needed_folder(self, what: str) -> Path:
        """The folder of a platform that takes files. Raises ConfigError without one, with `what` belongs there."""
        if self.folder is None:
            raise ConfigError(f"destination {self.spec.platform} needs `folder`: {what}.", where="destination")
        return self.folder
