"""The table of commands that destroy a database, and the words around them.

Each from its tool's documentation; `proxy.migrations.scan_commands` says how a line
fits. A new one is a row here, and its lines in `tests/unit/migrations/scan_corpus.py`.
"""

from __future__ import annotations

from typing import Final

from msgspec import Struct


class Said(Struct, frozen=True):
    """What a command is called in a report: rule, what it does, what to do instead."""

    rule: str
    message: str
    hint: str = ""


class Rule(Struct, frozen=True):
    """How a command of one tool is recognised.

    Attributes:
        said: what it is.
        words: what follows the tool, options left out; `*` stands for anything.
        options: of these at least one, where there are any.
        but_not: of these none.
        is_anywhere: the words may stand behind others.
    """

    said: Said
    words: tuple[str, ...] = ()
    options: frozenset[str] = frozenset()
    but_not: frozenset[str] = frozenset()
    is_anywhere: bool = False


_DEPLOY: Final = "To apply pending migrations use `prisma migrate deploy`."
_FORWARD: Final = "Write a migration that goes forward."
_BY_HAND: Final = "A database that is to go is dropped by hand, once."


def _rules(
    rule: str, message: str, *several: str, hint: str = "", anywhere: bool = False
) -> tuple[Rule, ...]:
    said = Said(rule, message, hint)
    return tuple(
        Rule(said, tuple(words.split()), is_anywhere=anywhere) for words in several
    )


_ACCEPTS: Final = Said(
    "accept-data-loss",
    "--accept-data-loss lets a tool drop columns and tables",
    _DEPLOY,
)
_FORCES: Final = Said("force-reset", "--force-reset drops all data", _DEPLOY)
ANYWHERE: Final = {"--accept-data-loss": _ACCEPTS, "--force-reset": _FORCES}
"""Options that say it all, whatever script passes them on."""

_PRISMA: Final = (
    *_rules(
        "prisma-migrate-reset",
        "`prisma migrate reset` drops all data",
        "migrate reset",
        hint=_DEPLOY,
    ),
    *_rules(
        "prisma-db-push",
        "`prisma db push` changes the schema without a migration, and may drop columns",
        "db push",
        hint=_DEPLOY,
    ),
)
_DJANGO: Final = (
    *_rules("django-flush", "`flush` empties every table", "flush"),
    *_rules("django-reset-db", "`reset_db` drops the database", "reset_db"),
    *_rules(
        "django-migrate-zero",
        "`migrate APP zero` takes back every migration of the app",
        "migrate * zero",
        hint=_FORWARD,
    ),
)
_RAILS: Final = _rules(
    "rails-db-drop",
    "the task drops or empties the database",
    "db:drop*",
    "db:reset*",
    "db:purge*",
    "db:truncate_all*",
    "db:migrate:reset*",
    "db:schema:load*",
    "db:structure:load*",
    "db:seed:replant*",
    "app:db:drop*",
    "app:db:reset*",
    hint="To apply pending migrations use `rails db:migrate`.",
    anywhere=True,
)
_FLYWAY: Final = _rules(
    "flyway-clean",
    "`flyway clean` drops everything in the schemas",
    "clean",
    hint="To apply pending migrations use `flyway migrate`.",
    anywhere=True,
)
_LIQUIBASE: Final = _rules(
    "liquibase-drop-all",
    "`liquibase drop-all` drops everything in the schema",
    "drop-all*",
    "dropall*",
    "dropAll*",
    anywhere=True,
)
_BUILDS: Final = (
    *_rules(
        "flyway-clean",
        "`flyway clean` drops everything in the schemas",
        "*flyway*:clean",
        "flywayClean",
        "*:flywayClean",
        anywhere=True,
    ),
    *_rules(
        "liquibase-drop-all",
        "`liquibase dropAll` drops everything in the schema",
        "*liquibase*:dropAll",
        "dropAll",
        "*:dropAll",
        anywhere=True,
    ),
)
_ALEMBIC: Final = (
    *_rules(
        "alembic-downgrade-base",
        "`downgrade base` takes back every migration",
        "downgrade base",
        "downgrade *:base",
        hint=_FORWARD,
    ),
)
_FLASK: Final = _rules(
    "alembic-downgrade-base",
    "`downgrade base` takes back every migration",
    "db downgrade base",
    hint=_FORWARD,
)
_SEQUELIZE: Final = (
    *_rules(
        "sequelize-db-drop", "`db:drop` drops the database", "db:drop", hint=_BY_HAND
    ),
    *_rules(
        "sequelize-undo-all",
        "`db:migrate:undo:all` takes back every migration",
        "db:migrate:undo:all",
        hint=_FORWARD,
    ),
)
_TYPEORM: Final = (
    *_rules("typeorm-schema-drop", "`schema:drop` drops every table", "schema:drop"),
    *_rules(
        "typeorm-schema-sync",
        "`schema:sync` changes the schema without a migration, and may drop columns",
        "schema:sync",
        hint="To apply pending migrations use `typeorm migration:run`.",
    ),
)
_KNEX: Final = (
    Rule(
        Said(
            "knex-rollback-all",
            "`migrate:rollback --all` takes back every migration",
            _FORWARD,
        ),
        ("migrate:rollback",),
        options=frozenset({"--all"}),
    ),
)
_DRIZZLE: Final = _rules(
    "drizzle-push",
    "`drizzle-kit push` changes the schema without a migration, and may drop columns",
    "push",
    "push:*",
    hint="To apply pending migrations use `drizzle-kit migrate`.",
)
_LARAVEL: Final = _rules(
    "laravel-migrate-fresh",
    "it drops every table, or takes back every migration",
    "migrate:fresh",
    "migrate:refresh",
    "migrate:reset",
    "db:wipe",
    hint="To apply pending migrations use `artisan migrate`.",
)
_GOLANG: Final = (
    *_rules("migrate-drop", "`migrate drop` drops everything in the database", "drop"),
    Rule(
        Said("migrate-down-all", "`migrate down -all` takes back every migration"),
        ("down",),
        options=frozenset({"-all", "--all"}),
    ),
)
_MIKRO: Final = _rules(
    "mikro-orm-drop",
    "it drops every table",
    "schema:drop",
    "schema:fresh",
    "migration:fresh",
)
_ECTO: Final = (
    *_rules("ecto-drop", "it drops the database", "ecto.drop*", "ecto.reset*"),
    Rule(
        Said("ecto-rollback-all", "it takes back every migration", _FORWARD),
        ("ecto.rollback",),
        options=frozenset({"--all"}),
    ),
)
_DROPS_IT: Final = "it drops the database"

RULES: Final[dict[str, tuple[Rule, ...]]] = {
    "prisma": _PRISMA,
    "manage.py": _DJANGO,
    "django-admin": _DJANGO,
    "django-admin.py": _DJANGO,
    "django": _DJANGO,
    "rails": _RAILS,
    "rake": _RAILS,
    "flyway": _FLYWAY,
    "liquibase": _LIQUIBASE,
    "mvn": _BUILDS,
    "mvnw": _BUILDS,
    "gradle": _BUILDS,
    "gradlew": _BUILDS,
    "alembic": _ALEMBIC,
    "flask": _FLASK,
    "sequelize": _SEQUELIZE,
    "sequelize-cli": _SEQUELIZE,
    "typeorm": _TYPEORM,
    "typeorm-ts-node-commonjs": _TYPEORM,
    "typeorm-ts-node-esm": _TYPEORM,
    "knex": _KNEX,
    "drizzle-kit": _DRIZZLE,
    "artisan": _LARAVEL,
    "console": _rules(
        "doctrine-drop",
        "it drops the database or its tables",
        "doctrine:database:drop",
        "doctrine:schema:drop",
    ),
    "ace": _rules(
        "adonis-fresh",
        "it drops every table, or takes back every migration",
        "migration:fresh",
        "migration:refresh",
        "migration:reset",
        "db:wipe",
    ),
    "migrate": _GOLANG,
    "dbmate": _rules("dbmate-drop", _DROPS_IT, "drop"),
    "goose": _rules(
        "goose-reset",
        "it takes back every migration",
        "reset",
        "down-to 0",
        hint=_FORWARD,
        anywhere=True,
    ),
    "atlas": _rules(
        "atlas-schema-clean", "`atlas schema clean` drops everything", "schema clean"
    ),
    "sqitch": (
        Rule(
            Said(
                "sqitch-revert-all",
                "`sqitch revert` without a target takes back every change",
                "Name the change to go back to, or write one that goes forward.",
            ),
            ("revert",),
            but_not=frozenset({"--to", "--to-change", "--to-target", "-t"}),
        ),
    ),
    "mikro-orm": _MIKRO,
    "mikro-orm-esm": _MIKRO,
    "mix": _ECTO,
    "diesel": _rules("diesel-reset", _DROPS_IT, "database reset", "database drop"),
    "sqlx": _rules("sqlx-drop", _DROPS_IT, "database drop", "database reset"),
    "sea-orm-cli": _rules(
        "sea-orm-fresh",
        "it drops every table, or takes back every migration",
        "migrate fresh",
        "migrate refresh",
        "migrate reset",
    ),
    "dotnet": _rules("ef-database-drop", _DROPS_IT, "ef database drop"),
    "dotnet-ef": _rules("ef-database-drop", _DROPS_IT, "database drop"),
    "supabase": _rules(
        "supabase-db-reset", "`supabase db reset` drops all", "db reset"
    ),
    "heroku": _rules("heroku-pg-reset", "`heroku pg:reset` drops all data", "pg:reset"),
    "dropdb": (Rule(Said("dropdb", _DROPS_IT, _BY_HAND)),),
    "pg_restore": (
        Rule(
            Said("pg-restore-clean", "`pg_restore --clean` drops before it restores"),
            options=frozenset({"--clean", "-c"}),
        ),
    ),
}
"""By the tool's name."""

SETTINGS: Final = (
    (
        "disable_database_environment_check=?*",
        Said(
            "rails-no-check",
            "it switches off the check that keeps Rails from dropping production",
        ),
    ),
    (
        "prisma_user_consent_for_dangerous_ai_action=?*",
        Said(
            "prisma-ai-consent",
            "it gives a coding assistant leave to run `prisma migrate reset`",
        ),
    ),
    *(
        (pattern, Said("flyway-clean-enabled", "it lets `flyway clean` run"))
        for pattern in (
            "flyway_clean_disabled=false",
            "-cleandisabled=false",
            "-dflyway.cleandisabled=false",
            "-pflyway.cleandisabled=false",
            "flyway.cleandisabled=false",
        )
    ),
)
"""Lower-case patterns of whole words."""
