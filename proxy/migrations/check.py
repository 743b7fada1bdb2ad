"""All that there is to say of a folder of migrations before any of them runs.

Policy, losses, locks, the way back, and waivers, statement by statement. What the
policy decides comes in as a function; `proxy.migrations.check_squawk` asks Squawk.
Next: `proxy.migrations.check_losses`; `proxy.cli.migration_check` shows it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import TYPE_CHECKING, Protocol

from msgspec import Struct, structs

from proxy.migrations.check_back import is_one_way
from proxy.migrations.check_columns import Columns
from proxy.migrations.check_findings import Finding, Level
from proxy.migrations.check_fresh import Fresh
from proxy.migrations.check_losses import losses
from proxy.migrations.check_squawk import Said as Locked, ask_squawk
from proxy.migrations.check_statements import Statement, read_statements, shown
from proxy.migrations.check_waivers import apply, apply_policy
from proxy.migrations.folder import Migration, Unread
from proxy.migrations.folder_asked import NO_SQL
from proxy.migrations.folder_parts import Around
from proxy.sql.facts import Trouble

if TYPE_CHECKING:
    from datetime import date

    from proxy.policy.model import MigrationWaiver


class Decided(Protocol):
    """What the policy says of one statement, as `pgwarden check` would."""

    @property
    def line(self) -> int: ...  # noqa: D102 - as in `proxy.cli.check.Verdict`
    @property
    def decision(self) -> str: ...  # noqa: D102
    @property
    def rule(self) -> str: ...  # noqa: D102
    @property
    def reason(self) -> str: ...  # noqa: D102
    @property
    def hint(self) -> str: ...  # noqa: D102


Decide = Callable[[bytes, str], Sequence[Decided]]
"""Text and file to one answer a statement, or one on all of it."""
Proven = Callable[[Migration], Iterable[Finding]]
"""What a ledger knows of a migration: changed after it was proven, never proven."""


Read = tuple[Migration, list[Statement] | Trouble]
Locks = dict[int, list[Locked]]
"""What Squawk says, by the number of the statement."""


class Checks(Struct, frozen=True):
    """What to check with.

    Attributes:
        decide: the policy's decision.
        today: the day for which waivers count.
        squawk: path of the program, or None: locks are not looked for.
        proven: asked where there is a ledger.
        waivers: those of the policy.
    """

    decide: Decide
    today: date
    squawk: str | None = None
    proven: Proven | None = None
    waivers: Sequence[MigrationWaiver] = ()


class Checked(Struct, frozen=True):
    """What was looked at, and what there is to say."""

    findings: list[Finding]
    statements: int


def check(
    migrations: Sequence[Migration],
    unread: Sequence[Unread],
    checks: Checks,
    *,
    wanted: Callable[[str], bool] = lambda _: True,
) -> Checked:
    """The findings of the migrations that are wanted; the others are read for context.

    Raises:
        ConfigError: Squawk does not run.
    """
    read = [(each, read_statements(each.up)) for each in migrations]
    locks = _locks(checks.squawk, [each for each in read if wanted(each[0].file)])
    columns = Columns()
    findings: list[Finding] = []
    count = 0
    for migration, statements in read:
        if not wanted(migration.file):
            for each in () if isinstance(statements, Trouble) else statements:
                columns.follow(each)
        elif isinstance(statements, Trouble):
            findings.append(_not_understood(migration, statements))
        else:
            count += len(statements)
            found = locks.get(migration.file, {})
            findings += _of_migration(migration, statements, columns, found, checks)
    findings += [_unread(each) for each in unread if wanted(each.file)]
    placed = _placed(_ordered(findings), migrations)
    return Checked(
        [apply_policy(each, checks.waivers, checks.today) for each in placed], count
    )


def _of_migration(
    migration: Migration,
    statements: list[Statement],
    columns: Columns,
    locks: Locks,
    checks: Checks,
) -> Iterator[Finding]:
    fresh = Fresh()
    decided = checks.decide(migration.up, migration.file)
    is_split = len(decided) == len(statements)
    if not is_split:
        yield from (_refused(migration, each, "") for each in decided)
    for index, statement in enumerate(statements):
        found = [
            Finding(
                migration.file,
                statement.line,
                said.rule,
                said.level,
                said.message,
                said.hint,
                statement.shown,
            )
            for said in losses(statement, fresh, columns)
        ]
        if is_split and decided[index].decision == "deny":
            found.insert(0, _refused(migration, decided[index], statement.shown))
        if is_one_way(statement.facts) and found:
            found.append(_one_way(migration, statement))
        found += [_locked(migration, statement, said) for said in locks.get(index, ())]
        yield from apply(
            found,
            (statement.above + b"\n" + statement.behind).decode("utf-8", "replace"),
            checks.today,
            file=migration.file,
            line=statement.line,
        )
        fresh.follow(statement)
        columns.follow(statement)
    if NO_SQL in migration.up:
        yield Finding(
            migration.file,
            1,
            "not-sql",
            Level.WARNING,
            "a part of it is a program (RunPython), which no one can judge",
            "Keep it apart from changes of the schema, and let staging prove it.",
        )
    if checks.proven is not None:
        yield from checks.proven(migration)


def _refused(migration: Migration, decided: Decided, statement: str) -> Finding:
    return Finding(
        migration.file,
        decided.line,
        f"policy/{decided.rule}",
        Level.ERROR,
        f"production refuses it: {decided.reason}",
        decided.hint,
        statement,
    )


def _one_way(migration: Migration, statement: Statement) -> Finding:
    back = (
        "its down script brings back the schema at most, not what was in it"
        if migration.down is not None
        else "no script brings back what it takes away"
    )
    return Finding(
        migration.file,
        statement.line,
        "no-way-back",
        Level.NOTE,
        back,
        statement=statement.shown,
    )


def _not_understood(migration: Migration, trouble: Trouble) -> Finding:
    before = migration.up.decode("utf-8", "replace")[: max(trouble.position - 1, 0)]
    return Finding(
        migration.file,
        before.count("\n") + 1,
        "not-understood",
        Level.ERROR,
        f"it can't be read as PostgreSQL's SQL: {trouble.message}",
        trouble.hint
        or "Placeholders of a tool and commands of psql are no SQL: check what they "
        "become.",
        shown(migration.up),
    )


def _unread(unread: Unread) -> Finding:
    hint = {
        "alembic": 'Say how to ask it: --ask "alembic -c alembic.ini".',
        "django": 'Say how to ask it: --ask "python manage.py".',
    }.get(unread.tool, "Only a run on staging shows what it does.")
    return Finding(
        unread.file,
        1,
        "unread",
        Level.WARNING,
        f"it is a program of {unread.tool}, so nothing in it was checked",
        hint,
    )


def _locks(program: str | None, read: Sequence[Read]) -> dict[str, Locks]:
    """What Squawk says, by file and by the statement's number."""
    texts = [
        (each, found)
        for each, found in read
        if not isinstance(found, Trouble) and found
    ]
    if program is None or not texts:
        return {}
    answers = ask_squawk(
        program, [(each.up, _is_wrapped(each, found)) for each, found in texts]
    )
    locks: dict[str, Locks] = {}
    for (migration, statements), answer in zip(texts, answers, strict=True):
        of_file = locks.setdefault(migration.file, {})
        for said in answer:
            index = _index_at(statements, said.line + 1)
            of_file.setdefault(index, []).append(said)
    return locks


def _is_wrapped(migration: Migration, statements: list[Statement]) -> bool:
    return migration.around is Around.ALWAYS or (
        migration.around is Around.SEVERAL and len(statements) > 1
    )


def _index_at(statements: list[Statement], line: int) -> int:
    """The last statement that begins on this line or before it."""
    found = 0
    for index, each in enumerate(statements):
        if each.line <= line:
            found = index
    return found


def _locked(migration: Migration, statement: Statement, said: Locked) -> Finding:
    return Finding(
        migration.file,
        said.line + 1,
        f"squawk/{said.rule_name}",
        Level.WARNING,
        said.message[:1].lower() + said.message[1:],
        said.help or "",
        statement.shown,
    )


def _ordered(findings: list[Finding]) -> list[Finding]:
    """By file in the order of the folder, then by line; each only once."""
    files = {file: index for index, file in enumerate(_files(findings))}
    return sorted(
        dict.fromkeys(findings), key=lambda each: (files[each.file], each.line)
    )


def _placed(findings: list[Finding], migrations: Sequence[Migration]) -> list[Finding]:
    """Where the tool wrote the SQL, a line says nothing about the file."""
    written = {each.file: each.tool for each in migrations if each.is_written_by_tool}
    return [
        structs.replace(
            each,
            line=1,
            message=f"{each.message} (line {each.line} of the SQL that "
            f"{written[each.file]} writes)",
        )
        if each.file in written
        else each
        for each in findings
    ]


def _files(findings: Iterable[Finding]) -> dict[str, None]:
    return {each.file: None for each in findings}
