"""`ptbridge.yaml`: what holds for the whole config folder, not for one clinic. The file may be absent."""

from __future__ import annotations

from pathlib import Path

import msgspec

from ptbridge.specs.secrets import is_reference, literal_advice
from ptbridge.specs.type_check import Problem
from ptbridge.specs.yaml_text import convert, load

FILE_NAME = "ptbridge.yaml"


class EncryptionSpec(msgspec.Struct, kw_only=True, forbid_unknown_fields=True, frozen=True):
    """Encryption of the state folder's databases and of backups (docs/ledger.md)."""

    key: str  # reference to 32 bytes as base64: `file:path` (mode 0600), `env:NAME`, `keyring:service/name`


class FolderSpec(msgspec.Struct, kw_only=True, forbid_unknown_fields=True, frozen=True):
    """What holds for every clinic of the folder."""

    encryption: EncryptionSpec | None = None


NOTHING_SET = FolderSpec()


def load_folder(folder: Path) -> FolderSpec:
    """Read `ptbridge.yaml` of a config folder; an absent file sets nothing. Raises ConfigError with file:line."""
    path = folder / FILE_NAME
    if not path.exists():
        return NOTHING_SET
    document = load(path)
    spec = convert(document, FolderSpec)
    if spec.encryption and not is_reference(spec.encryption.key):
        raise document.refuse([Problem(("encryption", "key"), f"encryption.key: {literal_advice()}")])
    return spec
