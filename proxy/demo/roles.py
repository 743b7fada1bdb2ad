"""The least-privilege roles of the demo, as SQL text: a reader and a migrator.

Lock (c) of the design: whatever slips through the proxy, the reader's own role can't write.
Pure text, so that the demo (asyncpg) and the tests (psycopg) run the very same statements.
Imports `proxy.auth.secrets`. Next: `proxy.demo.sample`.
"""

from __future__ import annotations

import secrets
from dataclasses import dataclass, field
from typing import Final

READER: Final = "pgwarden_reader"
MIGRATOR: Final = "pgwarden_migrator"

# What PUBLIC may call on a fresh server although it changes something, ends another session,
# holds locks that block the application, or runs SQL out of a string. A read-only transaction
# stops none of them on every version; the names that a version lacks are skipped.
_RISKY_FUNCTIONS: Final = (
    "lo_creat", "lo_create", "lo_from_bytea", "lo_open", "lo_put", "lo_truncate",
    "lo_truncate64", "lo_unlink", "lowrite", "lo_import", "lo_export",
    "pg_logical_emit_message", "pg_notify",
    "pg_terminate_backend", "pg_cancel_backend",
    "pg_advisory_lock", "pg_advisory_lock_shared", "pg_advisory_xact_lock",
    "pg_advisory_xact_lock_shared", "pg_try_advisory_lock", "pg_try_advisory_lock_shared",
    "pg_try_advisory_xact_lock", "pg_try_advisory_xact_lock_shared",
    "query_to_xml", "query_to_xmlschema", "query_to_xml_and_xmlschema", "cursor_to_xml",
    "cursor_to_xmlschema", "ts_stat", "pg_import_system_collations",
)  # fmt: skip
# Migration tools take an advisory lock so that two deploys don't run at once.
_MIGRATOR_FUNCTIONS: Final = tuple(name for name in _RISKY_FUNCTIONS if "advisory" in name)

_PLAIN: Final = "NOSUPERUSER NOCREATEDB NOCREATEROLE NOREPLICATION NOBYPASSRLS"


@dataclass(frozen=True, slots=True)
class Login:
    """A role that pgwarden logs in with, and its password."""

    user: str
    password: str = field(repr=False)


@dataclass(frozen=True, slots=True)
class Logins:
    """The two upstream logins that a policy's roles name."""

    reader: Login
    migrator: Login


def new_logins(suffix: str = "") -> Logins:
    """Fresh random passwords; a suffix keeps the names apart from roles of others."""
    return Logins(
        Login(READER + suffix, secrets.token_urlsafe(24)),
        Login(MIGRATOR + suffix, secrets.token_urlsafe(24)),
    )


def create_reader(login: Login) -> str:
    """The role developers read with. Its settings are a default, its lack of grants the wall."""
    name = quote_name(login.user)
    return f"""
        CREATE ROLE {name} LOGIN {_PLAIN} NOINHERIT PASSWORD {_secret(login)};
        ALTER ROLE {name} SET default_transaction_read_only = on;
        ALTER ROLE {name} SET idle_in_transaction_session_timeout = '10min';
    """


def create_migrator(login: Login) -> str:
    """The role deploy jobs change the schema with."""
    return f"CREATE ROLE {quote_name(login.user)} LOGIN {_PLAIN} PASSWORD {_secret(login)};"


def fence_database(database: str, logins: Logins) -> str:
    """Take from PUBLIC, in a database of ours, what a reader must not have.

    For databases that we made. One that existed before is served as it is.
    """
    name, migrator = quote_name(database), quote_name(logins.migrator.user)
    both = f"{quote_name(logins.reader.user)}, {migrator}"
    return f"""
        REVOKE ALL ON DATABASE {name} FROM PUBLIC;
        GRANT CONNECT ON DATABASE {name} TO {both};
        GRANT CREATE, TEMPORARY ON DATABASE {name} TO {migrator};
    """


def fence_schema(logins: Logins) -> str:
    """The part of `fence_database` that lives inside the database (and is copied with it)."""
    migrator = quote_name(logins.migrator.user)
    return f"""
        REVOKE CREATE ON SCHEMA public FROM PUBLIC;
        GRANT USAGE, CREATE ON SCHEMA public TO {migrator};
        {_for_functions(_RISKY_FUNCTIONS, "REVOKE EXECUTE ON ROUTINE %s FROM PUBLIC", "pg_catalog")}
        {_for_functions(_MIGRATOR_FUNCTIONS, f"GRANT EXECUTE ON ROUTINE %s TO {migrator}", "pg_catalog")}
        ALTER DEFAULT PRIVILEGES FOR ROLE {migrator} REVOKE EXECUTE ON ROUTINES FROM PUBLIC;
    """  # noqa: E501


def grant_reading(logins: Logins) -> str:
    """The reader may read every relation of every user schema, and what the migrator adds.

    Not by membership in pg_read_all_data: that one also reads pg_authid and pg_statistic.
    """
    reader, migrator = quote_name(logins.reader.user), quote_name(logins.migrator.user)
    return f"""
        DO $grant$ DECLARE place name; BEGIN
          FOR place IN SELECT nspname FROM pg_namespace
                       WHERE nspname !~ '^pg_' AND nspname <> 'information_schema' LOOP
            EXECUTE format('GRANT USAGE ON SCHEMA %I TO {reader}', place);
            EXECUTE format('GRANT SELECT ON ALL TABLES IN SCHEMA %I TO {reader}', place);
            EXECUTE format('GRANT SELECT ON ALL SEQUENCES IN SCHEMA %I TO {reader}', place);
          END LOOP;
        END $grant$;
        ALTER DEFAULT PRIVILEGES FOR ROLE {migrator} GRANT USAGE ON SCHEMAS TO {reader};
        ALTER DEFAULT PRIVILEGES FOR ROLE {migrator} GRANT SELECT ON TABLES TO {reader};
        ALTER DEFAULT PRIVILEGES FOR ROLE {migrator} GRANT SELECT ON SEQUENCES TO {reader};
    """


def quote_name(name: str) -> str:
    """An SQL identifier. The names here are ours or a person's own, never a client's."""
    return '"' + name.replace('"', '""') + '"'


def quote_text(text: str) -> str:
    """An SQL string, whatever standard_conforming_strings says (quote_literal_cstr)."""
    doubled = text.replace("'", "''")
    return " E'" + doubled.replace("\\", "\\\\") + "'" if "\\" in text else f"'{doubled}'"
