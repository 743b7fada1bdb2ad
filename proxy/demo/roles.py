"""The least-privilege roles of the demo, as SQL text: a reader and a migrator.

Lock (c) of the design: whatever slips through the proxy, the reader's own role can't
write. Pure text, so that the demo (asyncpg) and the tests (psycopg) run the very same
statements. Imports `proxy.auth.secrets` and `proxy.doctor.risky`.
Next: `proxy.demo.sample`.
"""

from __future__ import annotations

import secrets
from dataclasses import dataclass, field
from typing import Final

from proxy.auth.secrets import SALT_LENGTH, make_secret
from proxy.doctor.quoting import quote_name, quote_text
from proxy.doctor.risky import LOCKING_FUNCTIONS, RISKY_FUNCTIONS

READER: Final = "pgwarden_reader"
MIGRATOR: Final = "pgwarden_migrator"
WRITER: Final = "pgwarden_writer"

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


def create_writer(login: Login) -> str:
    """The role that is lent for minutes: it changes rows, never the schema."""
    name = quote_name(login.user)
    return f"""
        CREATE ROLE {name} LOGIN {_PLAIN} NOINHERIT PASSWORD {_secret(login)};
        ALTER ROLE {name} SET idle_in_transaction_session_timeout = '5min';
    """


def reset_password(login: Login) -> str:
    """A role that is there already gets the password that we know."""
    return f"ALTER ROLE {quote_name(login.user)} PASSWORD {_secret(login)};"


def grant_writing(login: Login, migrator: Login) -> str:
    """The writer may change rows of what there is, and of what the migrator adds.

    No TRUNCATE, nothing of the schema, no temporary table.
    """
    writer, owner = quote_name(login.user), quote_name(migrator.user)
    rows = "SELECT, INSERT, UPDATE, DELETE"
    defaults = f"ALTER DEFAULT PRIVILEGES FOR ROLE {owner} GRANT"
    return f"""
        {_for_user_schemas("GRANT USAGE ON SCHEMA", writer)}
        {_for_user_schemas(f"GRANT {rows} ON ALL TABLES IN SCHEMA", writer)}
        {_for_user_schemas("GRANT SELECT, USAGE ON ALL SEQUENCES IN SCHEMA", writer)}
        {defaults} USAGE ON SCHEMAS TO {writer};
        {defaults} {rows} ON TABLES TO {writer};
        {defaults} SELECT, USAGE ON SEQUENCES TO {writer};
    """


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
        {_for_routines(RISKY_FUNCTIONS, "REVOKE EXECUTE ON", "FROM PUBLIC")}
        {_for_routines(LOCKING_FUNCTIONS, "GRANT EXECUTE ON", f"TO {migrator}")}
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
        mine: The roles that the demo created itself.
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
