"""Built-in functions that a fresh server leaves to PUBLIC, and a reader must not have.

The one list behind the finding `public-functions`, `deploy/roles.sql` and the roles of
the demo. Pure. Next: `proxy.doctor.script`.
"""

from __future__ import annotations

from typing import Final

RISKY_FUNCTIONS: Final = (
    "lo_creat", "lo_create", "lo_from_bytea", "lo_open", "lo_put", "lo_truncate",
    "lo_truncate64", "lo_unlink", "lowrite", "lo_import", "lo_export",
    "pg_logical_emit_message", "pg_notify", "pg_terminate_backend", "pg_cancel_backend",
    "pg_advisory_lock", "pg_advisory_lock_shared", "pg_advisory_xact_lock",
    "pg_advisory_xact_lock_shared", "pg_try_advisory_lock",
    "pg_try_advisory_lock_shared", "pg_try_advisory_xact_lock",
    "pg_try_advisory_xact_lock_shared", "query_to_xml", "query_to_xmlschema",
    "query_to_xml_and_xmlschema", "cursor_to_xml", "cursor_to_xmlschema", "ts_stat",
    "pg_import_system_collations",
)  # fmt: skip
"""They change something, end another session, hold locks that block the application, or
run SQL out of a string. A read-only transaction stops none of them on every version;
the names that a version lacks are skipped."""

LOCKING_FUNCTIONS: Final = tuple(name for name in RISKY_FUNCTIONS if "advisory" in name)
"""Migration tools take an advisory lock so that two deploys don't run at once."""
