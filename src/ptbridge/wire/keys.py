"""Signing keys of SMART Backend Services: make one, publish its public half, sign with it.

RS384 and ES384 only, the two that the standard names (SMART App Launch 2.2, "Backend Services" and "Asymmetric
authentication"). Key material never enters a message or a repr. `joserfc` and `cryptography` are imported here alone.
"""

from __future__ import annotations

from typing import Any, Literal

import orjson
from joserfc import jwt
from joserfc.jwk import ECKey, RSAKey, import_key

from ptbridge.errors import ConfigError

_RSA_BITS = 3072
_LEAST_RSA_BITS = 2048

KeyType = Literal["RSA", "EC"]
_KEY_TYPES: dict[str, KeyType] = {"RS384": "RSA", "ES384": "EC"}


class SigningKey:
    """A private key bound to its algorithm and `kid`. Raises ConfigError when key and algorithm do not fit."""

    def __init__(self, private_key: str, algorithm: str, kid: str | None = None) -> None:
        self._key = _load(private_key, algorithm)
        self.algorithm = algorithm
        own = self._key.get("kid")
        self.kid = kid or (own if isinstance(own, str) else None) or self._key.thumbprint()

    def sign(self, claims: dict[str, Any]) -> str:
        """A compact JWT with `alg`, `typ` and `kid` in its header."""
        header = {"alg": self.algorithm, "typ": "JWT", "kid": self.kid}
        return jwt.encode(header, claims, self._key, algorithms=[self.algorithm])

    def public_jwk(self) -> dict[str, Any]:
        """The public half as a JWK with `kid`, `alg` and `use`."""
        public = self._key.as_dict(private=False)
        return {**public, "kid": self.kid, "alg": self.algorithm, "use": "sig", "key_ops": ["verify"]}


def generate_private_key(algorithm: str = "RS384") -> str:
    """A new private key as PEM (PKCS 8): RSA of 3072 bits for RS384, P-384 for ES384. Raises ConfigError."""
    kind = _key_type(algorithm)
    key = RSAKey.generate_key(_RSA_BITS) if kind == "RSA" else ECKey.generate_key("P-384")
    return key.as_pem(private=True).decode("ascii")


def jwks(private_key: str, algorithm: str | None = None, kid: str | None = None) -> dict[str, Any]:
    """The public JWK Set to register with the EMR. `algorithm` follows from the key when left out. Raises ConfigError."""
    if algorithm is None:
        algorithm = "ES384" if _fits(private_key, "ES384") else "RS384"
    return {"keys": [SigningKey(private_key, algorithm, kid).public_jwk()]}


def _fits(private_key: str, algorithm: str) -> bool:
    try:
        _load(private_key, algorithm)
    except ConfigError:
        return False
    return True


def _key_type(algorithm: str) -> KeyType:
    if algorithm not in _KEY_TYPES:
        raise ConfigError(f"auth.algorithm is {algorithm!r}. Use RS384 or ES384.")
    return _KEY_TYPES[algorithm]


def _load(private_key: str, algorithm: str) -> RSAKey | ECKey:
    kind = _key_type(algorithm)
    text = private_key.strip()
    try:
        key = import_key(orjson.loads(text) if text.startswith("{") else text, kind)
        private = isinstance(key, RSAKey | ECKey) and key.is_private
    except Exception:  # joserfc and cryptography raise many kinds, and some quote the key
        raise ConfigError(f"auth.private_key is no {kind} key in PEM or JWK form, which {algorithm} needs.") from None
    if not isinstance(key, RSAKey | ECKey) or not private:
        raise ConfigError("auth.private_key holds a public key only. Give the private one.")
    if isinstance(key, ECKey) and key.curve_name != "P-384":
        raise ConfigError(f"auth.private_key is on curve {key.curve_name}; ES384 needs P-384.")
    if isinstance(key, RSAKey) and key.raw_value.key_size < _LEAST_RSA_BITS:
        raise ConfigError(f"auth.private_key has {key.raw_value.key_size} bits; RS384 needs at least {_LEAST_RSA_BITS}.")
    return key
