"""The config folder: clinics, mappings, payers, fees, secrets and state, read once before anything is pulled.

    ptbridge/
    ├── ptbridge.yaml            what holds for all clinics, such as encryption (specs/folder.py); may be absent
    ├── clinics/<clinic>.yaml    place, time, which EMR, which biller (specs/clinic.py)
    ├── mappings/*.yaml          what the EMR's words mean here; may extend a shipped mapping
    ├── payers/*.yaml            this folder's own payer policies; may extend a shipped one
    ├── fees/*.csv               prices
    ├── secrets/                 mode 0700, files 0600; YAML holds their names only
    └── state/                   mode 0700: ledger.sqlite, inbox.sqlite, keys.json, locks, logs/, reports/

A relative path in any file starts at the config folder, so that the folder can be moved as a whole.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from zoneinfo import ZoneInfo

from ptbridge.errors import ConfigError
from ptbridge.specs.clinic import ClinicSpec, PayerRouteSpec
from ptbridge.specs.clinic_check import clinic_problems
from ptbridge.specs.files import load_clinic
from ptbridge.specs.folder import NOTHING_SET, FolderSpec, load_folder
from ptbridge.specs.secrets import resolve
from ptbridge.specs.yaml_text import display_name, load


@dataclass(frozen=True, slots=True, kw_only=True)
class Config:
    """A config folder as read. `clinics` by name, in alphabetical order; `files` gives each one's file."""

    folder: Path
    clinics: dict[str, ClinicSpec]
    files: dict[str, Path]
    settings: FolderSpec = NOTHING_SET

    @property
    def state(self) -> Path:
        """Where the ledger, the lock, the logs and the reports live."""
        return self.folder / "state"

    @property
    def ledger_file(self) -> Path:
        """The ledger of all clinics of this folder."""
        return self.state / "ledger.sqlite"

    @property
    def lock_file(self) -> Path:
        """What the one writer of the state folder holds."""
        return self.state / "lock"

    @property
    def logs(self) -> Path:
        """Logs without patient data."""
        return self.state / "logs"

    @property
    def reports(self) -> Path:
        """One HTML page for each run."""
        return self.state / "reports"

    @property
    def payers_folder(self) -> Path:
        """This folder's own payer policies; may be absent."""
        return self.folder / "payers"

    def clinic(self, name: str) -> ClinicSpec:
        """One clinic. Raises ConfigError when there is none of that name."""
        if name not in self.clinics:
            raise ConfigError(f"there is no clinic {name!r}. Known clinics: {', '.join(self.clinics)}.", where=str(self.folder))
        return self.clinics[name]

    def path(self, text: str) -> Path:
        """A path as a file here writes it: relative ones start at the config folder."""
        return self.folder / Path(text).expanduser()

    def mapping(self, clinic: ClinicSpec) -> Path | str:
        """The clinic's mapping: a path when it ends in `.yaml`, else the name of a shipped one such as `emrs/fhir_r4`."""
        text = clinic.source.mapping
        return self.path(text) if text.endswith((".yaml", ".yml")) else text

    def fees(self, clinic: ClinicSpec, route: PayerRouteSpec | None = None) -> Path | None:
        """The fee schedule of a payer's route, else the clinic's; None when neither names one."""
        text = (route.fees if route else None) or clinic.fees
        return self.path(text) if text else None

    def time_zone(self, clinic: ClinicSpec) -> ZoneInfo:
        """The zone that decides the clinic's service dates."""
        return ZoneInfo(clinic.time_zone)

    def secret(self, reference: str | None) -> str | None:
        """The secret behind a reference, None for no reference. Raises ConfigError, see `secrets.resolve`."""
        return None if reference is None else resolve(reference, base=self.folder)


def load_config(folder: Path | str) -> Config:
    """Read a config folder. Raises one ConfigError that names every problem of every clinic file, each as file:line.

    Looks at clinic files only: mappings, payers and fees are read by the code that knows them, and a secret is fetched
    when it is needed.
    """
    folder = Path(folder).expanduser().resolve()
    files = sorted((folder / "clinics").glob("*.yaml"))
    if not files:
        raise ConfigError(
            "no clinics/*.yaml here. Run ptbridge init to write a config folder, or name another with --config.",
            where=display_name(folder),
        )
    clinics: dict[str, ClinicSpec] = {}
    problems: list[str] = []
    settings = NOTHING_SET
    try:
        settings = load_folder(folder)
    except ConfigError as error:
        problems.append(str(error))
    for file in files:
        try:
            clinics[file.stem] = _clinic(file)
        except ConfigError as error:
            problems.append(str(error))
    if problems:
        raise ConfigError("\n".join(problems))
    return Config(folder=folder, clinics=clinics, files={file.stem: file for file in files}, settings=settings)


def _clinic(file: Path) -> ClinicSpec:
    spec = load_clinic(file)
    found = list(clinic_problems(spec, file_name=file.stem))
    if found:
        raise load(file).refuse(found)
    return spec
