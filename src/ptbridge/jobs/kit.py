"""From a config folder to a Kit: everything a clinic's pipeline needs, read and checked before anything is pulled."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from datetime import date
from importlib import resources
from pathlib import Path

import ptbridge
from ptbridge import plugins
from ptbridge.edits.icd10 import load_icd10
from ptbridge.errors import ConfigError
from ptbridge.intake import CompiledMapping, compile_mapping
from ptbridge.pipeline import Kit
from ptbridge.policy import FeeSchedule, Policy, load_codes, load_fees, load_payers
from ptbridge.policy.reference import Reference
from ptbridge.ports import Destination
from ptbridge.sdk import ready_table
from ptbridge.specs.clinic import ClinicSpec, PayerRouteSpec
from ptbridge.specs.config import Config
from ptbridge.specs.mapping_files import load_mapping


def build_kit(config: Config, spec: ClinicSpec, destination: Destination, *, today: date) -> Kit:
    """Read mapping, payers, fees, codes and edits. Raises ConfigError naming the file to edit."""
    policies = policies_of(config)
    reference = Reference.open(config.folder / "reference")
    return Kit(
        clinic=spec,
        time_zone=config.time_zone(spec),
        today=today,
        mapping=mapping_of(config, spec),
        codes=load_codes(),
        policies=policies,
        fees=_fees(config, spec),
        routes=_routes(config, spec, policies),
        edits=plugins.edits(),
        ready_when=_ready_when(spec),
        destination=destination,
        icd10=_icd10(reference),
        reference=reference,
    )


def _icd10(reference: Reference) -> Callable[[str, date], bool | None]:
    """A loaded order file decides for its own dates, the shipped list for the others."""
    shipped = load_icd10()

    def look_up(code: str, on: date) -> bool | None:
        return reference.icd10(code, on) if reference.covers("icd10", on) else shipped(code, on)

    return look_up


def _routes(config: Config, spec: ClinicSpec, policies: dict[str, Policy]) -> dict[str, PayerRouteSpec]:
    """Payer id or name -> route; that none stands in two routes was checked with the file. Raises for an unknown policy."""
    where = str(config.files[spec.clinic])
    routes: dict[str, PayerRouteSpec] = {}
    for route in spec.payers:
        if route.policy not in policies:
            known = ", ".join(sorted(policies))
            raise ConfigError(f"payers: there is no policy {route.policy!r}. Known policies: {known}.", where=where)
        routes |= dict.fromkeys((*route.ids, *route.names), route)
    return routes


def _ready_when(spec: ClinicSpec) -> dict[str, tuple[str, ...]]:
    """The clinic's table of what is ready to bill, over its connector's; only connectors that walk FHIR have one."""
    walked = getattr(plugins.connector(spec.source.connector), "PLAN", None)
    return ready_table(spec.source.options, walked) if walked is not None else {}


def mapping_of(config: Config, spec: ClinicSpec) -> CompiledMapping:
    """The clinic's mapping, or the one its connector ships."""
    named = config.mapping(spec) if spec.source.mapping else plugins.connector(spec.source.connector).INFO.mapping
    return compile_mapping(load_mapping(named))


def policies_of(config: Config) -> dict[str, Policy]:
    """The shipped payer policies, overridden by the config folder's own."""
    own = [config.payers_folder] if config.payers_folder.is_dir() else []
    with resources.as_file(resources.files("ptbridge_mappings") / "payers") as shipped:
        return load_payers([shipped, *own])


def _fees(config: Config, spec: ClinicSpec) -> dict[str, FeeSchedule | None]:
    schedules: dict[str, FeeSchedule | None] = {"": None}
    path = config.fees(spec)
    if path is not None:
        schedules[""] = load_fees(path)
    for route in spec.payers:
        own = config.fees(spec, route) if route.fees else None
        if own is not None:
            schedules[route.fees or ""] = load_fees(own)
        if route.allowed:
            schedules[route.allowed] = load_fees(config.path(route.allowed))
    return schedules


def fingerprint(config: Config, today: date) -> str:
    """What a judgement depends on besides the visits: the configuration and the civil day."""
    return f"{configuration(config)} {today.isoformat()}"


def configuration(config: Config) -> str:
    """Names the person's files as they are, and ptbridge's version."""
    digest = hashlib.sha256(ptbridge.__version__.encode())
    for folder in ("clinics", "mappings", "payers", "fees"):
        for path in sorted((config.folder / folder).rglob("*")):
            if path.is_file():
                digest.update(_named(path, config.folder))
    index = config.folder / "reference" / "index.json"  # it names the look-up files by their content
    if index.is_file():
        digest.update(_named(index, config.folder))
    return digest.hexdigest()


def _named(path: Path, folder: Path) -> bytes:
    return str(path.relative_to(folder)).encode() + b"\0" + path.read_bytes() + b"\0"
