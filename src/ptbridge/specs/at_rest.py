"""Encryption at rest (contract S4): which key opens the databases of a state folder.

The master key is the clinic's: `ptbridge.yaml` names it and it lies elsewhere. It wraps a data key that ptbridge made, and
`state/keys.json` holds the wrapped one. The data key encrypts every page of ledger, inbox, their WAL files and backups
(AES-256-CBC with HMAC-SHA512, the format of SQLCipher 4). So a new master key rewrites one small file and no data.

The state folder is `state` of its config folder; both databases ask here, so that neither can forget.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import os
import secrets
from contextlib import suppress
from pathlib import Path

import msgspec

from ptbridge.errors import ConfigError, LedgerError
from ptbridge.specs.folder import FILE_NAME, load_folder
from ptbridge.specs.secrets import resolve

KEYS_FILE = "keys.json"
UNFINISHED_RESTORE = "restore-unfinished"  # a file of the state folder: while it is there, neither database is opened
PLAIN_HEADER = b"SQLite format 3\x00"
_KEY_BYTES, _NONCE_BYTES = 32, 12
_FORMAT = 1
_NEW_KEY = "Make one with `ptbridge encrypt --new-key FILE`, or `openssl rand -base64 32`."


class WrappedKey(msgspec.Struct, kw_only=True, forbid_unknown_fields=True, frozen=True):
    """`keys.json`: the data key under AES-256-GCM with the master key. `master` names that key without giving it away."""

    format: int
    master: str
    nonce: str
    wrapped: str


def pragmas(key: bytes, *, word: str = "key") -> str:
    """The statements that open a database under a data key (`rekey`: that change it). Run them first; never log them."""
    assert len(key) == _KEY_BYTES
    return f"PRAGMA cipher = 'sqlcipher'; PRAGMA legacy = 4; PRAGMA {word} = \"x'{key.hex()}'\""


def data_key(state: Path, *, make: bool = False) -> bytes | None:
    """The key of this state folder's databases; None when they are not encrypted. With `make`, a missing one is made.

    Raises ConfigError or LedgerError when the configuration and the folder disagree, or the master key is not the right one.
    """
    spec = load_folder(state.parent)
    path = state / KEYS_FILE
    if spec.encryption is None:
        if path.exists():
            raise ConfigError(
                f"{state} is encrypted and no key is named. Set encryption.key as before.", where=str(state.parent / FILE_NAME)
            )
        return None
    if not path.exists():
        _refuse_without_keys_file(state)
        if not make:
            return None
        store(path, wrap(new_data_key(), master_key(spec.encryption.key, base=state.parent)), replace=False)
    sealed = read(path)
    try:
        return unwrap(sealed, master_key(spec.encryption.key, base=state.parent))
    except ConfigError as error:
        if sealed.master in str(error):
            raise
        raise ConfigError(
            f"{error} {state} is encrypted, and key {sealed.master} alone opens it: bring that one back from where its copy is"
            " kept. A new key opens nothing of this."
        ) from None


def _refuse_without_keys_file(state: Path) -> None:
    """Databases and no keys file: they were never encrypted, or the file was lost. Raises LedgerError."""
    for file in sorted(state.glob("*.sqlite")):
        with file.open("rb") as content:
            start = content.read(len(PLAIN_HEADER))
        if start == PLAIN_HEADER:
            raise LedgerError(f"{file}: not encrypted, and {FILE_NAME} names a key. Run `ptbridge encrypt` once.")
        if start:
            raise LedgerError(
                f"{file}: encrypted, and {KEYS_FILE} beside it is gone; the key that {FILE_NAME} names does not open it without"
                " that file. Restore the last backup, which has it (`ptbridge restore FILE --replace`)."
            )


def check_header(path: Path, key: bytes | None, what: str) -> None:
    """Raise LedgerError when a database is plain and should not be, or the other way round. A missing one is neither."""
    if not path.exists() or not path.stat().st_size:
        return
    with path.open("rb") as file:
        plain = file.read(len(PLAIN_HEADER)) == PLAIN_HEADER
    if plain and key is not None:
        raise LedgerError(f"{path}: not encrypted, and {FILE_NAME} names a key. Run `ptbridge encrypt` once.")
    if not plain and key is None:
        raise LedgerError(
            f"{path}: not a ptbridge {what}, or its first page is damaged, or it is encrypted and {FILE_NAME} names no key. "
            "Name the key, or restore the last backup."
        )


def master_key(reference: str, *, base: Path) -> bytes:
    """The 32 bytes behind a reference. Raises ConfigError; no text ever shows a part of them."""
    text = resolve(reference, base=base)
    with suppress(binascii.Error, ValueError):
        key = base64.b64decode(text.strip(), validate=True)
        if len(key) == _KEY_BYTES:
            return key
    raise ConfigError(f"{reference}: not 32 bytes as base64. {_NEW_KEY}")


def new_data_key() -> bytes:
    """A fresh data key."""
    return secrets.token_bytes(_KEY_BYTES)


def new_master_key() -> str:
    """A fresh master key as base64 text."""
    return base64.b64encode(secrets.token_bytes(_KEY_BYTES)).decode()


def key_name(master: bytes) -> str:
    """A name for a master key that tells nothing about it."""
    return hashlib.sha256(b"ptbridge master key\n" + master).hexdigest()[:16]


def wrap(key: bytes, master: bytes) -> WrappedKey:
    """The data key sealed under the master key."""
    from cryptography.hazmat.primitives.ciphers.aead import AESGCM

    nonce, name = os.urandom(_NONCE_BYTES), key_name(master)
    sealed = AESGCM(master).encrypt(nonce, key, name.encode())
    return WrappedKey(
        format=_FORMAT, master=name, nonce=base64.b64encode(nonce).decode(), wrapped=base64.b64encode(sealed).decode()
    )


def unwrap(sealed: WrappedKey, master: bytes) -> bytes:
    """The data key. Raises ConfigError when it was wrapped by another master key, or the file was changed."""
    from cryptography.exceptions import InvalidTag
    from cryptography.hazmat.primitives.ciphers.aead import AESGCM

    if sealed.master != key_name(master):
        raise ConfigError(
            f"encryption.key is key {key_name(master)}; the data was encrypted under key {sealed.master}. Name that one, "
            "or bring the data over with `ptbridge rotate-key --from REFERENCE`."
        )
    with suppress(InvalidTag, binascii.Error, ValueError):
        nonce, wrapped = base64.b64decode(sealed.nonce), base64.b64decode(sealed.wrapped)
        return AESGCM(master).decrypt(nonce, wrapped, sealed.master.encode())
    raise ConfigError(f"{KEYS_FILE} is damaged. Take it from the last backup of this state folder.")


def read(path: Path) -> WrappedKey:
    """Read a keys file. Raises ConfigError when it is damaged or of a newer ptbridge."""
    return parse(path.read_bytes(), str(path))


def parse(content: bytes, where: str) -> WrappedKey:
    """As `read`, from bytes."""
    try:
        sealed = msgspec.json.decode(content, type=WrappedKey)
    except msgspec.MsgspecError:
        raise ConfigError("damaged. Take it from the last backup of this state folder.", where=where) from None
    if sealed.format != _FORMAT:
        raise ConfigError(f"format {sealed.format} is of a newer ptbridge. Use that one.", where=where)
    return sealed


def store(path: Path, sealed: WrappedKey, *, replace: bool) -> None:
    """Write a keys file, durably and as a whole. Without `replace`, one that is there already stays."""
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    partial = path.with_name(f"{path.name}.{os.getpid()}.part")
    descriptor = os.open(partial, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600)
    try:
        os.write(descriptor, msgspec.json.format(msgspec.json.encode(sealed), indent=2) + b"\n")
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
    if replace:
        partial.replace(path)
    else:
        with suppress(FileExistsError):  # two processes may start at once: the first one's key is the key
            path.hardlink_to(partial)
        partial.unlink()
    folder = os.open(path.parent, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)
