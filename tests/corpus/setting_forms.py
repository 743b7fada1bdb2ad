"""Every way to change a run-time parameter, times every parameter that matters.

`matrix()` gives each as a `Change`: what a client sends, and what must stay as it was.
Used offline (`tests/unit/policy/test_settings_matrix.py`) and against real servers
(`tests/oracle/test_settings_matrix.py`), where each is first shown to work without
pgwarden.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from typing_extensions import override

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

ALL_MAJORS = (15, 17, 18)


@dataclass(frozen=True)
class Setting:
    """A parameter, a value that must not come about, and where else it is special."""

    name: str
    value: str
    words: tuple[str, ...] = ()
    """Statements of the grammar's own for this one."""
    is_local_only: bool = False
    """Exists for one transaction alone."""
    sets_at_start: bool = True
    """Postgres takes it in a startup packet."""
    stores: bool = True
    """Postgres stores it for a role, database or function."""
    is_listed: bool = True
    """Is found in pg_settings."""

    @property
    def look(self) -> str:
        """Reads it, also where it does not exist yet."""
        return f"SELECT current_setting('{self.name}', true)"


SETTINGS = (
    Setting("standard_conforming_strings", "off"),
    Setting("backslash_quote", "on"),
    Setting("escape_string_warning", "off"),
    Setting("transform_null_equals", "on"),
    Setting(
        "client_encoding", "SJIS", ("SET NAMES 'SJIS'", "SET SESSION NAMES 'SJIS'")
    ),
    Setting(
        "default_transaction_read_only",
        "off",
        (
            "SET SESSION CHARACTERISTICS AS TRANSACTION READ WRITE",
            "SET SESSION CHARACTERISTICS AS TRANSACTION"
            " ISOLATION LEVEL SERIALIZABLE, READ WRITE, DEFERRABLE",
        ),
    ),
    Setting(
        "transaction_read_only",
        "off",
        (
            "BEGIN READ WRITE",
            "BEGIN TRANSACTION ISOLATION LEVEL REPEATABLE READ READ WRITE",
            "BEGIN WORK READ ONLY, READ WRITE",
            "START TRANSACTION READ WRITE",
            "START TRANSACTION NOT DEFERRABLE, READ WRITE",
            "BEGIN; SET TRANSACTION READ WRITE",
            "BEGIN; SET LOCAL TRANSACTION READ WRITE",
            "BEGIN READ ONLY; SET TRANSACTION READ WRITE",
            "COMMIT; BEGIN READ WRITE",
            "BEGIN; ROLLBACK AND CHAIN; SET TRANSACTION READ WRITE",
            "COMMIT; START TRANSACTION READ WRITE; SELECT 2",
        ),
        is_local_only=True,
        sets_at_start=False,
        stores=False,
    ),
    Setting("session_replication_role", "replica"),
    Setting(
        "role",
        "pgwarden_migrator",
        (
            "SET ROLE pgwarden_migrator",
            "SET ROLE 'pgwarden_migrator'",
            "SET SESSION ROLE pgwarden_migrator",
            "BEGIN; SET LOCAL ROLE pgwarden_migrator",
            'SET ROLE U&"pgwarden\\005fmigrator"',
        ),
        # Both are refused at that moment: "permission denied", "can't be changed".
        sets_at_start=False,
        is_listed=False,
    ),
    Setting(
        "session_authorization",
        "pgwarden_migrator",
        (
            "SET SESSION AUTHORIZATION pgwarden_migrator",
            "SET SESSION SESSION AUTHORIZATION 'pgwarden_migrator'",
            "BEGIN; SET LOCAL SESSION AUTHORIZATION pgwarden_migrator",
        ),
        sets_at_start=False,
        stores=False,
        is_listed=False,
    ),
    Setting("app.tenant", "42", is_listed=False),
    Setting("search_path", "evil, public", ("SET SCHEMA 'evil'",)),
    Setting("work_mem", "2GB", ("SET sort_mem = '2GB'",)),
    Setting("allow_system_table_mods", "on"),
    Setting("lo_compat_privileges", "on"),
)
"""`search_path` is free in the shipped policy: its tests use one that lists names."""


@dataclass(frozen=True)
class Change:
    """One way to change one setting."""

    form: str
    setting: Setting
    texts: tuple[str, ...] = ()
    values: tuple[str, ...] | None = None
    """Bound to the last text's parameters, which then goes as Parse and Bind."""
    start: dict[str, str] = field(default_factory=dict)
    """In the startup packet, instead of texts."""
    is_stored: bool = False
    """For later sessions: what changes is `STORED`."""
    is_idle: bool = False
    """Postgres itself refuses it, or it changes nothing."""

    @override
    def __str__(self) -> str:
        return f"{self.setting.name}: {self.form}"


STORED = """SELECT (SELECT string_agg(s::text, '|' ORDER BY s::text)
        FROM pg_db_role_setting s),
    (SELECT string_agg(concat(proname, proconfig), '|' ORDER BY oid) FROM pg_proc
        WHERE oid >= 16384),
    (SELECT count(*) FROM pg_file_settings WHERE sourcefile ~ 'auto.conf')"""
"""What later sessions get: by role, by database, by function, by the server's file."""


def _of_words(s: Setting) -> Iterator[Change]:
    for number, text in enumerate(s.words, 1):
        yield Change(f"words {number}", s, (text,))


def _of_set(s: Setting) -> Iterator[Change]:
    name, value = s.name, s.value
    quoted = "'" + "', '".join(value.split(", ")) + "'"
    odd = "".join(f"\\{ord(c):04x}" if c == "_" else c for c in name)
    parts = '"."'.join(name.split("."))
    wide = f'"{parts}"'
    in_parts = "U&" + '".U&"'.join(f'"{odd}"'.split("."))
    forms = {
        "SET =": f"SET {name} = {quoted}",
        "SET TO": f"SET {name} TO {quoted}",
        "SET SESSION": f"SET SESSION {name} = {quoted}",
        "a quoted name": f"SET {wide} = {quoted}",
        "capitals": f"sEt {name.upper()} tO {quoted}",
        "quoted capitals": f"SET {wide.upper()} TO {quoted}",
        "a name in Unicode escapes": f"SET {in_parts} = {quoted}",
        "comments between": f"SET/**/{name}--x\n=/*/*y*/*/{quoted};--",
        "behind a SELECT": f"SELECT 1; SET {name} = {quoted}",
        "between SELECTs": f"SELECT 1; SET {name} = {quoted}; SELECT 2",
        "behind a permitted SET": f"SET jit = off; SET {name} = {quoted}",
        "behind empty statements": f";;;SET {name} = {quoted};;",
        "SET LOCAL in one Query": f"BEGIN; SET LOCAL {name} = {quoted}",
    }
    for form, text in forms.items():
        if s.is_local_only and not text.startswith("BEGIN"):
            yield Change(form, s, ("BEGIN; " + text.replace("SELECT 1; ", ""),))
        else:
            yield Change(form, s, (text,))
    yield Change("SET LOCAL", s, ("BEGIN", f"SET LOCAL {name} = {quoted}"))
    yield Change(
        "SET FROM CURRENT",
        s,
        ("BEGIN", f"SET LOCAL {name} = {quoted}", f"SET LOCAL {name} FROM CURRENT"),
    )


def _of_set_config(s: Setting) -> Iterator[Change]:
    head, tail = s.name[:4], s.name[4:]
    call = f"set_config('{s.name}', '{s.value}', false)"
    computed = f"set_config('{head}' || '{tail}', '{s.value}', false)"
    forms = {
        "constant": f"SELECT {call}",
        "qualified": f"SELECT pg_catalog.{call}",
        "quoted": f"SELECT pg_catalog.\"set_config\"('{s.name}', '{s.value}', false)",
        "Unicode": f"SELECT U&\"set\\005fconfig\"('{s.name}', '{s.value}', false)",
        "casts": f"SELECT set_config('{s.name}'::text, '{s.value}'::varchar, 'f')",
        "capitals": f"SELECT set_config('{s.name.upper()}', '{s.value}', false)",
        "dollar quotes": f"SELECT set_config($${s.name}$$, $x${s.value}$x$, false)",
        "continued": f"SELECT set_config('{head}'\n'{tail}', '{s.value}', false)",
        "escapes": f"SELECT set_config(E'{head}{tail}', '{s.value}', false)",
        "computed name": f"SELECT {computed}",
        "computed value": f"SELECT set_config('{s.name}', '{s.value}' || '', false)",
        "both computed": f"SELECT set_config(lower('{s.name}'), "
        f"trim('{s.value}'), 'f')",
        "name of a row": "SELECT set_config(n, v, false) FROM "
        f"(VALUES ('{s.name}', '{s.value}')) x(n, v)",
        "name of the catalog": f"SELECT set_config(name, '{s.value}', false) "
        f"FROM pg_settings WHERE name = '{s.name}'",
        "in FROM": f"SELECT * FROM {call}",
        "in ROWS FROM": f"SELECT * FROM ROWS FROM ({call}, now())",
        "in WHERE": f"SELECT 1 WHERE {call} IS NOT NULL",
        "in VALUES": f"VALUES ({call})",
        "in ORDER BY": f"SELECT 1 ORDER BY {call}",
        "in LIMIT": f"SELECT 1 LIMIT length({call})",
        "in a sub-select": f"SELECT (SELECT (SELECT {call}))",
        "in a CTE": f"WITH x AS MATERIALIZED (SELECT {call}) SELECT * FROM x",
        "in CASE": f"SELECT CASE WHEN true THEN {call} END",
        "in an aggregate": f"SELECT max({call})",
        "LATERAL": f"SELECT * FROM bait, LATERAL (SELECT {call}) x",
        "EXPLAIN ANALYZE": f"EXPLAIN (ANALYZE) SELECT {call}",
        "COPY": f"COPY (SELECT {call}) TO STDOUT",
        "behind a SELECT": f"SELECT 1; SELECT {call}",
        "PREPARE": f"PREPARE p AS SELECT {call}; EXECUTE p",
        "argument of EXECUTE": f"PREPARE p(text) AS SELECT $1; EXECUTE p({call})",
        "a cursor": f"BEGIN; DECLARE c CURSOR FOR SELECT {call}; FETCH c",
        "CREATE TABLE AS": f"CREATE TEMP TABLE t AS SELECT {call}",
        "DO": f"DO $$BEGIN PERFORM {call}; END$$",
        "UPDATE pg_settings": f"UPDATE pg_settings SET setting = '{s.value}' "
        f"WHERE name = '{s.name}'",
    }
    for form, text in forms.items():
        # The mode of a transaction can't be loosened once a query has a snapshot.
        is_idle = (
            s.is_local_only
            or ("pg_settings" in text and not s.is_listed)
            or (s.name.endswith("read_only") and text.startswith(("CREATE", "UPDATE")))
        )
        yield Change(f"set_config: {form}", s, (text,), is_idle=is_idle)
    local = f"SELECT set_config('{s.name}', '{s.value}', true)"
    yield Change("set_config: local", s, ("BEGIN", local), is_idle=s.is_local_only)
    for form, text, values in (
        ("bound name", f"SELECT set_config($1, '{s.value}', false)", (s.name,)),
        ("bound value", f"SELECT set_config('{s.name}', $1, false)", (s.value,)),
        ("all bound", "SELECT set_config($1, $2, $3)", (s.name, s.value, "f")),
    ):
        yield Change(
            f"set_config: {form}",
            s,
            ("BEGIN", text) if s.is_local_only else (text,),
            values=values,
            is_idle=s.is_local_only,
        )


def _of_the_start(s: Setting) -> Iterator[Change]:
    if not s.sets_at_start:
        return
    escaped = s.value.replace(" ", "\\ ")
    dashed = s.name.replace("_", "-")
    broken = s.name[:3] + "\\" + s.name[3:]
    forms = {
        "-c x=y": f"-c {s.name}={escaped}",
        "-cx=y": f"-c{s.name}={escaped}",
        "--x=y": f"--{s.name}={escaped}",
        "dashes": f"--{dashed}={escaped}",
        "capitals": f"-c {s.name.upper()}={escaped}",
        "escapes": f"-\\c {broken}={escaped}",
        "white space": f" \t-c\n{s.name}={escaped}\v",
        "behind another": f"-c jit=off -c {s.name}={escaped}",
    }
    for form, options in forms.items():
        yield Change(f"options: {form}", s, start={"options": options})


def _stored(s: Setting) -> Iterator[Change]:
    if not s.stores:
        return
    to = f"{s.name} = '{s.value}'" if ", " not in s.value else f"{s.name} = evil"
    forms = {
        "ALTER ROLE": f"ALTER ROLE CURRENT_USER SET {to}",
        "ALTER USER": f"ALTER USER pgwarden_reader SET {to}",
        "ALTER ROLE IN DATABASE": f"ALTER ROLE CURRENT_USER IN DATABASE <DB> SET {to}",
        "ALTER ROLE ALL": f"ALTER ROLE ALL SET {to}",
        "ALTER DATABASE": f"ALTER DATABASE <DB> SET {to}",
        "ALTER SYSTEM": f"ALTER SYSTEM SET {to}",
        "CREATE FUNCTION": "CREATE FUNCTION made() RETURNS int LANGUAGE sql "
        f"SET {to} AS 'SELECT 1'",
        "ALTER FUNCTION": f"ALTER FUNCTION made_before() SET {to}",
    }
    for form, text in forms.items():
        if form == "ALTER SYSTEM" and s.name in {"role", "app.tenant"}:
            continue  # no parameter of the server's file
        yield Change(form, s, (text,), is_stored=True)


FORMS: tuple[Callable[[Setting], Iterator[Change]], ...] = (
    _of_words,
    _of_set,
    _of_set_config,
    _of_the_start,
    _stored,
)


NARROW = "- {name: search_path, items: [public, $user, pg_catalog, warehouse]}"
"""The shipped policy leaves search_path free; a team that does not writes this."""


def narrowed(policy: str) -> str:
    """The text of the production policy, with search_path held to these schemas."""
    assert "    - search_path\n" in policy
    return policy.replace("- search_path\n", NARROW + "\n", 1)


def matrix(*settings: Setting) -> list[Change]:
    """Every form for every setting, or for these."""
    return [
        change
        for setting in settings or SETTINGS
        for form in FORMS
        for change in form(setting)
    ]
