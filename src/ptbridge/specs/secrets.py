"""Secrets by reference: a config file names a secret, and this module fetches it when it is needed.

Three references: `env:NAME`, `file:path` (readable by its owner only), `keyring:service/name`. An error says which reference
failed and what to do; it never shows a value, and never a text that could be one.
"""

from __future__ import annotations

import os
import re
import stat
from pathlib import Path

from ptbridge.errors import ConfigError

_MAX_BYTES = 64 * 1024  # a PEM key of 4096 bits has about 3 KB
_ENV_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_FILE_NAME = re.compile(r"[^\x00-\x1f\x7f]+")
_KEYRING_NAME = re.compile(r"[\w.@ -]+/[\w.@ -]+")
_KINDS = "env:NAME, file:path (mode 0600) or keyring:service/name"


def is_reference(text: str) -> bool:
    """Whether a text has the form of a reference; nothing is fetched."""
    kind, colon, name = text.partition(":")
    form = {"env": _ENV_NAME, "file": _FILE_NAME, "keyring": _KEYRING_NAME}.get(kind)
    return bool(colon and form and form.fullmatch(name))


def literal_advice() -> str:
    """What to say of a text that is no reference. The text may be the secret itself, so it is never repeated."""
    return f"not a reference to a secret. Write {_KINDS}; if the secret itself stands there, move it out and replace it."


def resolve(reference: str, *, base: Path) -> str:
    """The secret behind a reference; relative file paths start at `base` (the config folder).

    A file's one trailing line end is taken off. Raises ConfigError when the reference is a literal secret, cannot be
    fetched, is empty, or stands in a file that others may read.
    """
    if not is_reference(reference):
        raise ConfigError(literal_advice())
    kind, _, name = reference.partition(":")
    if kind == "env":
        value = _from_environment(name)
    elif kind == "file":
        value = _from_file(base / name)
    else:
        value = _from_keyring(*name.split("/", 1))
    if not value.strip():
        raise ConfigError(f"{reference}: the secret is empty. Put the secret there.")
    return value


def _from_environment(name: str) -> str:
    value = os.environ.get(name)
    if value is None:
        raise ConfigError(f"environment variable {name} is not set. Set it where ptbridge runs (crontab, systemd unit).")
    return value


def _from_file(path: Path) -> str:
    """Read through one descriptor: what was checked is what is read, whatever happens to the name meanwhile."""
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
    except OSError as error:  # a missing file, no permission, a loop of symbolic links
        raise ConfigError(
            f"secret file {path}: {error.strerror}. Create it with mode 0600, owned by the user of ptbridge."
        ) from None
    try:
        _check_private(path, os.fstat(descriptor))
        content = os.read(descriptor, _MAX_BYTES + 1)
    finally:
        os.close(descriptor)
    if len(content) > _MAX_BYTES:
        raise ConfigError(f"secret file {path}: larger than {_MAX_BYTES} bytes; name the file that holds only the secret.")
    try:
        text = content.decode("utf-8")
    except UnicodeDecodeError:
        raise ConfigError(f"secret file {path}: not UTF-8 text; keys are expected as PEM or JWK.") from None
    return text.removesuffix("\n").removesuffix("\r")


def _check_private(path: Path, status: os.stat_result) -> None:
    if not stat.S_ISREG(status.st_mode):
        raise ConfigError(f"secret file {path}: not a regular file.")
    open_bits = stat.S_IMODE(status.st_mode) & 0o077
    if open_bits:
        raise ConfigError(
            f"secret file {path}: mode {stat.S_IMODE(status.st_mode):04o} lets other users at it. Run `chmod 600 {path}`."
        )
    if status.st_uid not in (os.geteuid(), 0):
        raise ConfigError(
            f"secret file {path}: owned by another user (uid {status.st_uid}). Run ptbridge as the owner, or chown it."
        )


def _from_keyring(service: str, name: str) -> str:
    try:
        import keyring
    except ImportError:
        raise ConfigError("keyring: the keyring package is not installed. Run `pip install 'ptbridge[keyring]'`.") from None
    try:
        value = keyring.get_password(service, name)
    except Exception as error:  # each backend raises its own; its text may quote what it found
        raise ConfigError(
            f"keyring:{service}/{name}: the keyring failed ({type(error).__name__}). Unlock it, or use a file."
        ) from None
    if value is None:
        raise ConfigError(f"keyring:{service}/{name}: no such entry. Store it with `keyring set {service} {name}`.")
    return str(value)
