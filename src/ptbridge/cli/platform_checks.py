"""What `ptbridge doctor` checks of connector and destination without asking them: are they there, is nothing missing."""

from __future__ import annotations

from collections.abc import Iterator

from ptbridge.cli.checks import Found, fail, ok, warn
from ptbridge.specs.clinic import ClinicSpec, DestinationSpec
from ptbridge.specs.config import Config


def platforms(config: Config, spec: ClinicSpec) -> Iterator[Found]:
    """The connector and the destination are there, and have the options that they cannot do without. Raises ConfigError."""
    from ptbridge import plugins

    file = config.files[spec.clinic].name
    connector = plugins.connector(spec.source.connector).INFO
    for name in connector.required:
        if name not in spec.source.options:
            yield fail(f"connector {connector.name} needs source.options.{name}", f"Add it to {file}.")
    info = plugins.destination(spec.destination.platform).INFO
    info.refuse_unknown(spec.destination.options)
    missing = [f"options.{name}" for name in info.required if not spec.destination.options.get(name)]
    missing += [name for name in info.needs if not _placed(spec.destination, name)]
    for name in missing:
        yield fail(f"destination {info.name} needs destination.{name}", f"Add it to {file}.")


def _placed(spec: DestinationSpec, name: str) -> bool:
    """A folder may lie on an SFTP server."""
    return bool(getattr(spec, name)) or (name == "folder" and spec.base_url.startswith("sftp://"))


def claims(config: Config, spec: ClinicSpec) -> Iterator[Found]:
    """What each claim of this platform states on the clinic's word is there, for each of its payers. Raises ConfigError."""
    from ptbridge import plugins

    info = plugins.destination(spec.destination.platform).INFO
    if not info.states:
        return
    missing = [key for key in info.states if key != "claims.payers" and not _given(spec, key)]
    named = spec.claims.payers
    if "claims.payers" in info.states:
        missing += [
            f"claims.payers.{(*route.ids, *route.names)[0]}"
            for route in spec.payers
            if not any(word in named for word in (*route.ids, *route.names))
        ]
        if not named and not spec.payers:
            missing.append("claims.payers")
    for key in missing:
        yield warn(f"no {key}: each claim needs it, so its days will be held (SB03)", _advice(config, spec))
    if not missing:
        yield ok("what each claim states is in the clinic file")


def _given(spec: ClinicSpec, key: str) -> bool:
    place, _, name = key.partition(".")
    return bool(getattr(getattr(spec, place), name))


def _advice(config: Config, spec: ClinicSpec) -> str:
    return f"Add it to {config.files[spec.clinic].name}; docs/destinations.md has a sample for {spec.destination.platform}."
