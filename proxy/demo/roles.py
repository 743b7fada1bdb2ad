"""The least-privilege roles of the demo, as SQL text: a reader and a migrator.

Lock (c) of the design: whatever slips through the proxy, the reader's own role can't
write. Pure text, so that the demo (asyncpg) and the tests (psycopg) run the very same
statements. Imports `proxy.auth.secrets`. Next: `proxy.demo.sample`.
"""

from __future__ import annotations

import secrets
from dataclasses import dataclass, field
from typing import Final

from proxy.auth.secrets import SALT_LENGTH, make_secret

READER: Final = "pgwarden_reader"
MIGRATOR: Final = "pgwarden_migrator"

# What PUBLIC may call on a fresh server although it changes something, ends another
# session, holds locks that block the application, or runs SQL out of a string. A read-
# only transaction stops none of them on every version; the names that a version lacks
# are skipped.
_RISKY_FUNCTIONS: Final = (
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
# Migration tools take an advisory lock so that two deploys don't run at once.
_MIGRATOR_FUNCTIONS: Final = tuple(
    name for name in _RISKY_FUNCTIONS if "advisory" in name
)

_PLAIN: Final = "NOSUPERUSER NOCREATEDB NOCREATEROLE NOREPLICATION NOBYPASSRLS"


@dataclass(frozen=True, slots=True)
class Login:
    """A role that pgwarden logs in with, and its password."""

    user: str
    password: str | None = field(repr=False)


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
    """The role developers read with: its settings are a default, its grants a wall."""
    name = quote_name(login.user)
    return f"""
        CREATE ROLE {name} LOGIN {_PLAIN} NOINHERIT PASSWORD {_secret(login)};
        ALTER ROLE {name} SET default_transaction_read_only = on;
        ALTER ROLE {name} SET idle_in_transaction_session_timeout = '10min';
    """


def create_migrator(login: Login) -> str:
    """The role deploy jobs change the schema with."""
    name = quote_name(login.user)
    return f"CREATE ROLE {name} LOGIN {_PLAIN} PASSWORD {_secret(login)};"


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
    """The part of the fence that lives inside the database and is copied with it."""
    migrator = quote_name(logins.migrator.user)
    return f"""
        REVOKE CREATE ON SCHEMA public FROM PUBLIC;
        GRANT USAGE, CREATE ON SCHEMA public TO {migrator};
        {_for_routines(_RISKY_FUNCTIONS, "REVOKE EXECUTE ON", "FROM PUBLIC")}
        {_for_routines(_MIGRATOR_FUNCTIONS, "GRANT EXECUTE ON", f"TO {migrator}")}
        ALTER DEFAULT PRIVILEGES FOR ROLE {migrator}
            REVOKE EXECUTE ON ROUTINES FROM PUBLIC;
    """


def grant_reading(logins: Logins) -> str:
    """The reader may read every relation there is, and what the migrator adds.

    Not by membership in pg_read_all_data: that one also reads pg_authid and
    pg_statistic.
    """
    reader, migrator = quote_name(logins.reader.user), quote_name(logins.migrator.user)
    return f"""
        {_for_user_schemas("GRANT USAGE ON SCHEMA", reader)}
        {_for_user_schemas("GRANT SELECT ON ALL TABLES IN SCHEMA", reader)}
        {_for_user_schemas("GRANT SELECT ON ALL SEQUENCES IN SCHEMA", reader)}
        ALTER DEFAULT PRIVILEGES FOR ROLE {migrator} GRANT USAGE ON SCHEMAS TO {reader};
        ALTER DEFAULT PRIVILEGES FOR ROLE {migrator} GRANT SELECT ON TABLES TO {reader};
        ALTER DEFAULT PRIVILEGES FOR ROLE {migrator}
            GRANT SELECT ON SEQUENCES TO {reader};
    """


def grant_migrating(logins: Logins) -> str:
    """In a database of somebody else: the migrator may do what its tables' owners may.

    Only owners that are no superusers lend their rights. A membership in a superuser
    would be a way to become one, so the tables of such an owner stay out of the
    migrator's reach.
    """
    migrator = quote_name(logins.migrator.user)
    return f"""
        {_for_user_schemas("GRANT USAGE, CREATE ON SCHEMA", migrator)}
        DO $grant$ DECLARE owner name; BEGIN
          FOR owner IN
            SELECT DISTINCT r.rolname
            FROM pg_class c JOIN pg_roles r ON r.oid = c.relowner
            WHERE NOT r.rolsuper AND r.rolname !~ '^pg_'
              AND c.relkind IN ('r', 'p', 'v', 'm')
              AND r.rolname <> {quote_text(logins.migrator.user)}
          LOOP
            EXECUTE format('GRANT %I TO {_inside_format(migrator)}', owner);
          END LOOP;
        END $grant$;
    """


def grant_connect(database: str, users: tuple[str, ...]) -> str:
    """Let roles in where the database's owner took that from PUBLIC."""
    names = ", ".join(quote_name(name) for name in users)
    return f"GRANT CONNECT ON DATABASE {quote_name(database)} TO {names};"


def remove_from_database(logins: Logins, heir: str, mine: tuple[str, ...]) -> str:
    """Undo the grants in a database that stays; what the migrator made goes to `heir`.

    Args:
        logins: Whose grants.
        heir: The database's owner.
        mine: The roles that the demo created itself, a subset of the two.
    """
    # One by one: of two roles named in the same default privileges, DROP OWNED BY both
    # fails with "could not find tuple for default ACL" (seen on 17).
    drops = "".join(f"DROP OWNED BY {quote_name(name)};" for name in mine)
    migrator = quote_name(logins.migrator.user)
    return f"REASSIGN OWNED BY {migrator} TO {quote_name(heir)}; {drops}"


def drop_roles(mine: tuple[str, ...]) -> str:
    """Drop the roles that the demo created itself."""
    return f"DROP ROLE IF EXISTS {', '.join(quote_name(name) for name in mine)};"


def _secret(login: Login) -> str:
    """The SCRAM secret: a password in clear could end up in the server's log."""
    secret = make_secret(login.password or "", salt=secrets.token_bytes(SALT_LENGTH))
    return quote_text(secret.encode())


def _for_user_schemas(grant: str, grantee: str) -> str:
    return f"""
        DO $each$ DECLARE place name; BEGIN
          FOR place IN SELECT nspname FROM pg_namespace
                       WHERE nspname !~ '^pg_' AND nspname <> 'information_schema' LOOP
            EXECUTE format('{grant} %I TO {_inside_format(grantee)}', place);
          END LOOP;
        END $each$;
    """


def _for_routines(names: tuple[str, ...], before: str, after: str) -> str:
    listed = ", ".join(quote_text(name) for name in names)
    return f"""
        DO $each$ DECLARE routine regprocedure; BEGIN
          FOR routine IN SELECT oid FROM pg_proc
                         WHERE pronamespace = 'pg_catalog'::regnamespace
                           AND proname IN ({listed}) LOOP
            EXECUTE format('{before} ROUTINE %s {_inside_format(after)}', routine);
          END LOOP;
        END $each$;
    """


def _inside_format(text: str) -> str:
    """For a part of a format() string inside single quotes."""
    return text.replace("%", "%%").replace("'", "''")


def quote_name(name: str) -> str:
    """An SQL identifier; the names here are ours or the operator's."""
    return '"' + name.replace('"', '""') + '"'


def quote_text(text: str) -> str:
    """An SQL string, whatever standard_conforming_strings says (quote_literal_cstr)."""
    doubled = text.replace("'", "''")
    return (
        " E'" + doubled.replace("\\", "\\\\") + "'" if "\\" in text else f"'{doubled}'"
    )
