"""SCRAM secrets in Postgres' own format, and the password preparation behind them.

`SCRAM-SHA-256$<iterations>:<salt>$<StoredKey>:<ServerKey>`, so that a secret can be
copied from `pg_authid` and the other way round. A secret proves a password without
holding it. Imports hashlib, hmac, stringprep and `proxy.errors`; salts are passed in.
Next: `proxy.auth.scram`, which uses them.
https://www.rfc-editor.org/rfc/rfc5802#section-3 and RFC 7677 (SHA-256).
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
import stringprep
import unicodedata
from dataclasses import dataclass, field
from typing import Final

from proxy.errors import ConfigError

DEFAULT_ITERATIONS: Final = 4096
"""Postgres' own default (scram_iterations) and the least RFC 7677 allows."""
MAX_ITERATIONS: Final = 10_000_000
"""Ceiling for stored secrets: a typing error, not a choice, lies above it. The server
side never runs PBKDF2, the client would for seconds."""
SALT_LENGTH: Final = 16
"""SCRAM_DEFAULT_SALT_LEN (common/scram-common.h)."""
MAX_SALT: Final = 256
KEY_LENGTH: Final = 32
_SCHEME: Final = "SCRAM-SHA-256"
_MAX_DIGITS: Final = 10

_PROHIBITED: Final = (
    stringprep.in_table_c12,
    stringprep.in_table_c21_c22,
    stringprep.in_table_c3,
    stringprep.in_table_c4,
    stringprep.in_table_c5,
    stringprep.in_table_c6,
    stringprep.in_table_c7,
    stringprep.in_table_c8,
    stringprep.in_table_c9,
    stringprep.in_table_a1,
)


def _is_prohibited(text: str) -> bool:
    if any(is_in(character) for character in text for is_in in _PROHIBITED):
        return True
    if not any(stringprep.in_table_d1(character) for character in text):
        return False
    # RFC 3454 section 6: right-to-left text holds no left-to-right character, and
    # begins and ends right-to-left.
    if any(stringprep.in_table_d2(character) for character in text):
        return True
    return not (stringprep.in_table_d1(text[0]) and stringprep.in_table_d1(text[-1]))


def prepare_password(password: str) -> bytes:
    """SASLprep as Postgres does it, which is not quite RFC 4013.

    Pure ASCII stays as it is, control characters too; the prohibited characters are
    looked for before normalisation; and what may not be prepared is used raw instead
    of being refused (pg_saslprep in common/saslprep.c and its callers).
    """
    if password.isascii():
        return password.encode()
    mapped = "".join(
        " " if stringprep.in_table_c12(character) else character
        for character in password
        if stringprep.in_table_c12(character) or not stringprep.in_table_b1(character)
    )
    if not mapped or _is_prohibited(mapped):
        return password.encode(errors="surrogatepass")
    return unicodedata.normalize("NFKC", mapped).encode()


def salted_password(prepared: bytes, salt: bytes, iterations: int) -> bytes:
    """PBKDF2, the slow step: about 0.4 microseconds an iteration, without the GIL."""
    return hashlib.pbkdf2_hmac("sha256", prepared, salt, iterations)


def client_key(salted: bytes) -> bytes:
    """What the client proves to have."""
    return hmac.digest(salted, b"Client Key", "sha256")


def server_key(salted: bytes) -> bytes:
    """What the server proves to have."""
    return hmac.digest(salted, b"Server Key", "sha256")


@dataclass(frozen=True, slots=True)
class ScramSecret:
    """One parsed secret; never printed."""

    iterations: int
    salt: bytes = field(repr=False)
    stored_key: bytes = field(repr=False)
    server_key: bytes = field(repr=False)

    def encode(self) -> str:
        """The secret as Postgres stores it."""
        salt, stored, server = (
            base64.b64encode(part).decode()
            for part in (self.salt, self.stored_key, self.server_key)
        )
        return f"{_SCHEME}${self.iterations}:{salt}${stored}:{server}"


def decode_base64(text: str | bytes) -> bytes | None:
    """Canonical base64 or None: no white space, right padding, no spare bits."""
    raw = text.encode(errors="replace") if isinstance(text, str) else text
    try:
        decoded = base64.b64decode(raw, validate=True)
    except (binascii.Error, ValueError):
        return None
    return decoded if base64.b64encode(decoded) == raw else None


def parse_secret(text: str) -> ScramSecret:
    """Read a secret in Postgres' format.

    Raises:
        ConfigError: it is something else; the message never repeats the text.
    """
    scheme, _, rest = text.partition("$")
    parameters, _, keys = rest.partition("$")
    if scheme != _SCHEME:
        raise ConfigError(
            "a secret must begin with SCRAM-SHA-256$",
            hint="a password itself or an md5 hash is never stored",
        )
    digits, _, salt_text = parameters.partition(":")
    stored_text, _, server_text = keys.partition(":")
    salt = decode_base64(salt_text)
    stored, server = decode_base64(stored_text), decode_base64(server_text)
    if not (digits.isascii() and digits.isdigit() and len(digits) <= _MAX_DIGITS):
        raise ConfigError("the iteration count of a SCRAM secret is not a number")
    iterations = int(digits)
    if not 1 <= iterations <= MAX_ITERATIONS:
        raise ConfigError(
            f"the iteration count of a SCRAM secret is not in 1..{MAX_ITERATIONS}"
        )
    if not salt or len(salt) > MAX_SALT:
        raise ConfigError("the salt of a SCRAM secret is not valid base64")
    if stored is None or server is None:
        raise ConfigError("a key of a SCRAM secret is not valid base64")
    if len(stored) != KEY_LENGTH or len(server) != KEY_LENGTH:
        raise ConfigError(f"a key of a SCRAM secret is not {KEY_LENGTH} bytes long")
    return ScramSecret(iterations, salt, stored, server)


def make_secret(
    password: str, *, salt: bytes, iterations: int = DEFAULT_ITERATIONS
) -> ScramSecret:
    """The secret of a password; `salt` is 16 fresh random bytes."""
    salted = salted_password(prepare_password(password), salt, iterations)
    stored = hashlib.sha256(client_key(salted)).digest()
    return ScramSecret(iterations, salt, stored, server_key(salted))


def mock_secret(
    name: str,
    key: bytes,
    *,
    iterations: int = DEFAULT_ITERATIONS,
    salt_length: int = SALT_LENGTH,
) -> ScramSecret:
    """The secret shown for an unknown name, always the same one for that name.

    A salt that changed from try to try would tell unknown names from known ones. The
    keys are as good as random, so no password fits, and the caller treats the exchange
    as doomed anyway. Same idea as mock_scram_secret() in libpq/auth-scram.c.

    Args:
        name: the name the client gave.
        key: 32 random bytes, the same in every worker and best kept over restarts.
        iterations: as the real secrets have it.
        salt_length: as the real secrets have it.
    """
    raw = name.encode(errors="surrogatepass")
    salt = b"".join(
        hmac.digest(key, b"salt%d\0" % block + raw, "sha256")
        for block in range(-(-salt_length // KEY_LENGTH))
    )
    return ScramSecret(
        iterations,
        salt[:salt_length],
        hmac.digest(key, b"stored\0" + raw, "sha256"),
        hmac.digest(key, b"server\0" + raw, "sha256"),
    )
