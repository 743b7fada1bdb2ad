"""Password and MD5 responses, where an upstream's settings allow them; not for clients.

Both give the password away to whoever listens or stores the hash, so
`proxy.session.upstream` asks for verified TLS or loopback first.
Imports hashlib. Next: `proxy.auth.scram`, the way to prefer.
"""

from __future__ import annotations

import hashlib


def _md5(data: bytes) -> bytes:
    # Postgres' own protocol, not a choice of ours; allowed where FIPS mode is on.
    return hashlib.md5(data, usedforsecurity=False).hexdigest().encode()


def md5_response(user: str, password: str, salt: bytes) -> bytes:
    """For AuthenticationMD5Password: "md5" and md5(md5(password + user) + salt)."""
    inner = _md5(password.encode() + user.encode())
    return b"md5" + _md5(inner + salt)


def cleartext_response(password: str) -> bytes:
    """What AuthenticationCleartextPassword wants."""
    return password.encode()
