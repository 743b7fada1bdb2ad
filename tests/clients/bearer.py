"""libpq 18 with a token of ours: `python -m tests.clients.bearer DSN`, token on stdin.

psycopg's bundled libpq 18 knows OAUTHBEARER but comes without libpq-oauth, which would
open a browser flow. Its documented hook (PQsetAuthDataHook) takes a token from
anywhere: here it is set by ctypes, in a process of its own, as it holds for all of one.
Prints as JSON what libpq was told by the server and what came of it.
https://www.postgresql.org/docs/18/libpq-oauth.html
"""

from __future__ import annotations

import ctypes
import json
import sys
from pathlib import Path

import psycopg
import psycopg_binary

BEARER_TOKEN = 1
"""PQAUTHDATA_OAUTH_BEARER_TOKEN (libpq-fe.h)."""


class Request(ctypes.Structure):
    """PGoauthBearerRequest (libpq-fe.h)."""


Request._fields_ = [
    ("openid_configuration", ctypes.c_char_p),
    ("scope", ctypes.c_char_p),
    ("poll", ctypes.c_void_p),
    ("cleanup", ctypes.c_void_p),
    ("token", ctypes.c_char_p),
    ("user", ctypes.c_void_p),
]


HOOK = ctypes.CFUNCTYPE(
    ctypes.c_int, ctypes.c_int, ctypes.c_void_p, ctypes.POINTER(Request)
)


def main() -> None:
    token = sys.stdin.buffer.read()
    told: list[tuple[str, str]] = []

    def hook(kind: int, _connection: object, request: ctypes._Pointer[Request]) -> int:
        if kind != BEARER_TOKEN:
            return 0
        asked = request.contents
        url, scope = asked.openid_configuration or b"", asked.scope or b""
        told.append((url.decode(), scope.decode()))
        asked.token = token
        return 1

    folder = Path(psycopg_binary.__file__).parent.parent / "psycopg_binary.libs"
    libpq = ctypes.CDLL(str(next(folder.glob("libpq-*"))))
    kept = HOOK(hook)
    libpq.PQsetAuthDataHook(kept)
    try:
        with psycopg.connect(sys.argv[1]) as connection:
            row = connection.execute("select count(*) from customers").fetchone()
            came = {"rows": row[0] if row else None}
    except psycopg.Error as error:
        came = {"error": str(error)}
    answer = {"told": told, "version": psycopg.pq.version()} | came
    sys.stdout.write(json.dumps(answer))


if __name__ == "__main__":
    main()
