"""Tries each way back: up, down, and the schema must be what it was.

On databases of its own making, which are gone at the end. Each way back is tried on a
copy, so that one that fails does not spoil the next. What reaches beyond its database
is not run at all. Schemas are compared as pg_dump writes them.
Next: `proxy.cli.migration_rollback`.
"""

from __future__ import annotations

import asyncio
import difflib
import os
import re
import secrets
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Final
from urllib.parse import parse_qsl, unquote, urlencode, urlsplit, urlunsplit

import asyncpg
from msgspec import Struct

from proxy.errors import ConfigError
from proxy.migrations.check_statements import read_statements
from proxy.migrations.rollback import BOOKKEEPING, Source, WayBack, pieces
from proxy.sql.facts import Effect, Flag, Kind, Trouble

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Sequence

COMMAND_S: Final = 300.0
"""Of one script on an empty database."""
DUMP_S: Final = 120.0
_PREFIX: Final = "pgwarden_scratch_"
_NOISE: Final = re.compile(
    r"^(?:--.*|\\(?:un)?restrict .*|SET .*|SELECT pg_catalog\.set_config.*|)$"
)


class Proof(Struct, frozen=True):
    """Whether a way back was tried and held; `trouble` says what went wrong."""

    holds: bool
    trouble: str = ""


async def prove(url: str, pg_dump: str, ways: Sequence[WayBack]) -> dict[str, Proof]:
    """What came of each way back, by the migration's file.

    Those behind a migration that does not run were not tried, and are not in it.

    Raises:
        ConfigError: the server can't be reached, or makes no database.
    """
    proofs: dict[str, Proof] = {}
    async with _database(url) as line:
        for way in ways:
            why = unfit(way)
            if why:
                told = f"it was not run: {why}"
                proofs[way.file] = Proof(holds=False, trouble=told)
                break
            if way.source is not Source.NONE:
                async with _database(url, template=line) as trial:
                    proofs[way.file] = await _tried(trial, pg_dump, way)
            async with _connected(line) as connection:
                trouble = await _run(connection, way.up)
            if trouble:
                told = f"it does not run: {trouble}"
                proofs[way.file] = Proof(holds=False, trouble=told)
                break
    return proofs


async def _tried(trial: str, pg_dump: str, way: WayBack) -> Proof:
    before = await _schema(trial, pg_dump)
    # Each in a session of its own, as in earnest: no setting of one helps the other.
    for texts in (way.up, _pieces(way.script)):
        async with _connected(trial) as connection:
            trouble = await _run(connection, texts)
        if trouble:
            return Proof(holds=False, trouble=f"its way back does not run: {trouble}")
    after = await _schema(trial, pg_dump)
    if after != before:
        return Proof(holds=False, trouble=_difference(before, after))
    return Proof(holds=True)


_BEYOND: Final = frozenset({Kind.DATABASE, Kind.SYSTEM, Kind.COPY_FILE})
_BEYOND_EFFECTS: Final = frozenset({Effect.FILE, Effect.NETWORK, Effect.SIGNAL})
_BEYOND_FLAGS: Final = frozenset({Flag.SERVER_FILE, Flag.SERVER_PROGRAM})


def unfit(way: WayBack) -> str:
    """Why a migration is not run at all, or ""."""
    if not way.up:
        return "only its tool can read it"
    return next(filter(None, map(_beyond, (*way.up, way.script))), "")


def _beyond(text: str) -> str:
    """Whether a text reaches other databases, roles or the machine; "": it does not."""
    statements = read_statements(text.encode())
    if isinstance(statements, Trouble):
        return "it can't be read"
    for each in statements:
        facts = each.facts
        reaches = (
            not facts.kinds.isdisjoint(_BEYOND)
            or not facts.flags.isdisjoint(_BEYOND_FLAGS)
            or any(each.effect in _BEYOND_EFFECTS for each in facts.functions)
            # roles are the server's
            or any(
                act.endswith((" role", "role set", "owned")) for act in facts.actions
            )
        )
        if reaches:
            return f"{facts.actions[0].upper()} reaches beyond its database"
    return ""


def _pieces(script: str) -> tuple[str, ...]:
    text = script.encode()
    statements = read_statements(text)
    return (script,) if isinstance(statements, Trouble) else pieces(text, statements)


async def _run(
    connection: asyncpg.Connection[asyncpg.Record], texts: Sequence[str]
) -> str:
    """What went wrong, or "". A failed transaction is not left open."""
    try:
        for text in texts:
            await connection.execute(text, timeout=COMMAND_S)
    except (asyncpg.PostgresError, TimeoutError) as error:
        await connection.execute("ROLLBACK")
        return str(error) or "it took too long"
    return ""


async def _schema(url: str, pg_dump: str) -> list[str]:
    """The schema as pg_dump writes it, without its comments and settings."""
    place = urlsplit(url)
    env = {**os.environ, "PGPASSWORD": unquote(place.password or "")}  # no argument
    public = urlunsplit(place._replace(netloc=_without_password(place.netloc)))
    words = ["--schema-only", "--no-owner", "--no-privileges", f"--dbname={public}"]
    words += [f"--exclude-table={name}" for name in sorted(BOOKKEEPING)]
    process = await asyncio.create_subprocess_exec(
        pg_dump,
        *words,
        env=env,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    try:
        async with asyncio.timeout(DUMP_S):
            said, wrong = await process.communicate()
    except TimeoutError:
        process.kill()
        await process.wait()
        raise ConfigError("pg_dump took too long") from None
    if process.returncode:
        last = wrong.decode("utf-8", "replace").strip().splitlines()[-1:]
        raise ConfigError(f"pg_dump: {last[0] if last else 'failed'}")
    lines = said.decode("utf-8", "replace").splitlines()
    return [line for line in lines if not _NOISE.fullmatch(line)]


def _without_password(netloc: str) -> str:
    login, at, host = netloc.rpartition("@")
    return login.partition(":")[0] + at + host


def _difference(before: list[str], after: list[str]) -> str:
    changed = [
        line
        for line in difflib.unified_diff(before, after, lineterm="", n=0)
        if line[:1] in "+-" and line[:3] not in {"+++", "---"}
    ]
    first = " ".join(changed[0].split()) if changed else ""
    return f"the schema is not what it was: {first}"


@asynccontextmanager
async def _connected(
    url: str,
) -> AsyncIterator[asyncpg.Connection[asyncpg.Record]]:
    try:
        connection = await asyncpg.connect(url, statement_cache_size=0)
    except (OSError, asyncpg.PostgresError, ValueError) as error:
        raise ConfigError(f"the scratch server can't be reached: {error}") from None
    try:
        yield connection
    finally:
        await connection.close()


@asynccontextmanager
async def _database(url: str, template: str = "") -> AsyncIterator[str]:
    """The URL of a new database on that server; it is dropped at the end."""
    name = f"{_PREFIX}{secrets.token_hex(8)}"
    like = urlsplit(template).path[1:] or "template1"
    async with _connected(url) as connection:
        try:
            await connection.execute(f"CREATE DATABASE {name} TEMPLATE {like}")
        except asyncpg.PostgresError as error:
            raise ConfigError(
                f"the scratch server makes no database: {error}",
                hint="Give a login that may CREATE DATABASE, on a server that is not "
                "production's.",
            ) from None
        try:
            made = _at(url, name)
            await _check(made, name)
            yield made
        finally:
            await connection.execute(f"DROP DATABASE {name} WITH (FORCE)")


def _at(url: str, database: str) -> str:
    """The same server's other database; a `dbname` in the query would win over it."""
    place = urlsplit(url)
    query = [
        (key, value)
        for key, value in parse_qsl(place.query)
        if key not in {"dbname", "database"}
    ]
    return urlunsplit(place._replace(path=f"/{database}", query=urlencode(query)))


async def _check(url: str, name: str) -> None:
    """Nothing may ever run anywhere else."""
    async with _connected(url) as connection:
        if await connection.fetchval("SELECT current_database()") != name:
            raise ConfigError("the URL leads to another database than the scratch one")
