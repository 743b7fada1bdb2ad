"""The numbers and letters of the PostgreSQL protocol, and the ceilings we hold.

Only constants. Message type bytes are ints, as indexing `bytes` gives them.
Each ceiling says why it is that number and where it comes from. Imports nothing.
Next: `proxy.wire.cursor`, which reads with them.
https://www.postgresql.org/docs/18/protocol-message-formats.html
"""

from __future__ import annotations

from typing import Final

# Versions and request codes: the first int32 of a startup packet (libpq/pqcomm.h).
PROTOCOL_MAJOR: Final = 3
PROTOCOL_MINOR_LATEST: Final = 2
"""3.2 (PostgreSQL 18) is the newest we speak. 3.1 was never used by any server."""
CANCEL_REQUEST: Final = 80877102
SSL_REQUEST: Final = 80877103
GSSENC_REQUEST: Final = 80877104

SSL_ACCEPTED: Final = b"S"
SSL_REFUSED: Final = b"N"
GSSENC_REFUSED: Final = b"N"
ALPN: Final = "postgresql"
"""The name a direct TLS connection must negotiate (protocol section 54.2.10)."""
TLS_HANDSHAKE_RECORD: Final = 0x16
"""First byte of a TLS ClientHello; no startup packet under 10 kB can start so."""

# Frontend message types.
BIND: Final = ord("B")
CLOSE: Final = ord("C")
DESCRIBE: Final = ord("D")
EXECUTE: Final = ord("E")
FUNCTION_CALL: Final = ord("F")
FLUSH: Final = ord("H")
PARSE: Final = ord("P")
QUERY: Final = ord("Q")
SYNC: Final = ord("S")
TERMINATE: Final = ord("X")
COPY_FAIL: Final = ord("f")
PASSWORD: Final = ord("p")
"""PasswordMessage, SASLInitialResponse and SASLResponse share this letter."""

# Both directions.
COPY_DONE: Final = ord("c")
COPY_DATA: Final = ord("d")

# Backend message types.
PARSE_COMPLETE: Final = ord("1")
BIND_COMPLETE: Final = ord("2")
CLOSE_COMPLETE: Final = ord("3")
NOTIFICATION_RESPONSE: Final = ord("A")
COMMAND_COMPLETE: Final = ord("C")
DATA_ROW: Final = ord("D")
ERROR_RESPONSE: Final = ord("E")
COPY_IN_RESPONSE: Final = ord("G")
COPY_OUT_RESPONSE: Final = ord("H")
EMPTY_QUERY_RESPONSE: Final = ord("I")
BACKEND_KEY_DATA: Final = ord("K")
NOTICE_RESPONSE: Final = ord("N")
AUTHENTICATION: Final = ord("R")
PARAMETER_STATUS: Final = ord("S")
ROW_DESCRIPTION: Final = ord("T")
FUNCTION_CALL_RESPONSE: Final = ord("V")
COPY_BOTH_RESPONSE: Final = ord("W")
READY_FOR_QUERY: Final = ord("Z")
NO_DATA: Final = ord("n")
PORTAL_SUSPENDED: Final = ord("s")
PARAMETER_DESCRIPTION: Final = ord("t")
NEGOTIATE_PROTOCOL_VERSION: Final = ord("v")

# Authentication request codes, the int32 of an 'R' message.
AUTH_OK: Final = 0
AUTH_KERBEROS_V5: Final = 2
AUTH_CLEARTEXT: Final = 3
AUTH_MD5: Final = 5
AUTH_GSS: Final = 7
AUTH_GSS_CONTINUE: Final = 8
AUTH_SSPI: Final = 9
AUTH_SASL: Final = 10
AUTH_SASL_CONTINUE: Final = 11
AUTH_SASL_FINAL: Final = 12

# SASL mechanism names.
SCRAM_SHA_256: Final = "SCRAM-SHA-256"
SCRAM_SHA_256_PLUS: Final = "SCRAM-SHA-256-PLUS"

# Transaction status in ReadyForQuery.
IDLE: Final = ord("I")
IN_TRANSACTION: Final = ord("T")
FAILED_TRANSACTION: Final = ord("E")

# Ceilings, in bytes. "Body" is what follows the length word.
MAX_STARTUP_BODY: Final = 10_000
"""MAX_STARTUP_PACKET_LENGTH (libpq/pqcomm.h): Postgres refuses more, before login."""
MAX_SMALL_BODY: Final = 10_000 - 4
"""PQ_SMALL_MESSAGE_LIMIT 10000 (libpq/libpq.h) counts the length word; for messages
with a bounded body (Sync, Flush, Execute, Close, Describe, CopyFail, CopyDone ...)."""
MAX_LARGE_BODY: Final = 0x3FFF_FFFF - 1 - 4
"""PQ_LARGE_MESSAGE_LIMIT is MaxAllocSize - 1 (libpq/libpq.h, utils/memutils.h),
again with the length word; Query, Parse, Bind, CopyData."""
MAX_SASL_BODY: Final = 1024
"""PG_MAX_SASL_MESSAGE_LENGTH (libpq/auth-sasl.c). Our longest real one is 250."""
MAX_PASSWORD_BODY: Final = 65_535
"""PG_MAX_AUTH_TOKEN_LENGTH (libpq/auth.h), the ceiling of a PasswordMessage."""
MAX_CANCEL_KEY: Final = 256
"""The longest key protocol 3.2 allows; Postgres 18 makes 32 (storage/procsignal.h)."""
MIN_CANCEL_KEY: Final = 4
MAX_UPSTREAM_LOGIN_BODY: Final = 30_000
"""MAX_ERRLEN (libpq fe-connect.c): longest message believed before ReadyForQuery."""
MAX_UPSTREAM_LOGIN_TOTAL: Final = 256 * 1024
"""Everything an upstream may say before ReadyForQuery. Postgres 18 says under 2 kB;
room for custom reported parameters and start-up notices, and still flat memory."""
MAX_LEFTOVER: Final = 64 * 1024
"""What a client may pipeline behind its last login message, kept until the upstream
is ready. Real clients send nothing there; Postgres reads 8 kB at a time."""
MAX_NAME: Final = 63
"""NAMEDATALEN - 1 (pg_config_manual.h): role, database and application names."""
