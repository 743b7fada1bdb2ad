"""The migration tools that are recorded, and the commands of each.

Each is a generator: first the version, then each command once it has run, or nothing
where what ran is not to be kept. All of them
apply two migrations, apply again, look, run into one that fails, do what writes history
without a migration, and destroy. Next: `tests.transcripts.record`.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from tests.clients import npm
from tests.clients.prisma_project import PrismaProject
from tests.clients.tools import program
from tests.corpus.kits import DRIVERS, _install, _install_java, _once
from tests.fix_postgres import bin_dir
from tests.transcripts.python_tools import AlembicProject, DjangoProject, pinned

if TYPE_CHECKING:
    from tests.transcripts.ground import Ground

KITS = Path(__file__).with_name("kits")
Record = Callable[["Ground"], Iterator[str]]

FIRST = "CREATE TABLE notes (id int PRIMARY KEY, body text)"
SECOND = "ALTER TABLE notes ADD COLUMN starred boolean"
BROKEN = "ALTER TABLE nowhere ADD COLUMN x int"
BACK = ("DROP TABLE notes", "ALTER TABLE notes DROP COLUMN starred", "SELECT 1")


# --- Python ------------------------------------------------------------------


def _alembic(driver: str, package: str) -> Record:
    def record(ground: Ground) -> Iterator[str]:
        yield f"{pinned('alembic')} on {driver} {pinned(package)}"
        project = AlembicProject(ground, driver)
        project.revision(1, FIRST, BACK[0])
        project.revision(2, SECOND, BACK[1])
        for arguments in ("upgrade head", "upgrade head (again)", "current"):
            project.alembic(arguments.removesuffix(" (again)"))
            yield f"alembic {arguments}"
        project.revision(3, BROKEN, BACK[2])
        project.alembic("upgrade head", fails=True)
        yield "alembic upgrade head (fails)"
        for arguments in ("stamp a3", "downgrade -1", "downgrade base"):
            project.alembic(arguments)
            yield f"alembic {arguments}"
        ground.fresh()
        project.alembic("stamp a2")
        yield "alembic stamp a2 (empty)"

    return record


def _django(ground: Ground) -> Iterator[str]:
    yield f"{pinned('Django')} on psycopg {pinned('psycopg')}"
    project = DjangoProject(ground)

    def manage(arguments: str, *, fails: bool = False) -> str:
        project.manage(arguments.partition(" (")[0], fails=fails)
        return f"manage.py {arguments}"

    yield manage("migrate")
    yield manage("migrate (again)")
    yield manage("showmigrations")
    project.add_broken(BROKEN)
    yield manage("migrate (fails)", fails=True)
    yield manage("migrate --fake shop")
    yield manage("flush --no-input")
    yield manage("migrate shop zero")


# --- Node --------------------------------------------------------------------


def _node(ground: Ground, package: str) -> tuple[Path, str]:
    modules = npm.node_modules(KITS / "package.json")
    (ground.folder / "node_modules").symlink_to(modules)
    manifest = json.loads((modules / package / "package.json").read_text("utf-8"))
    version: str = manifest["version"]
    return modules, version


def _drizzle(ground: Ground) -> Iterator[str]:
    modules, version = _node(ground, "drizzle-kit")
    yield version
    ground.file(
        "drizzle.config.js",
        "module.exports = {dialect: 'postgresql', schema: './schema.js',"
        " out: './drizzle', dbCredentials: {url: process.env.DATABASE_URL}}",
    )
    ground.file(
        "schema.js",
        "const {pgTable, integer} = require('drizzle-orm/pg-core');"
        "exports.notes = pgTable('notes', {id: integer().primaryKey()})",
    )
    tags = ["0000_first", "0001_second", "0002_broken"]

    def journal(count: int) -> None:
        entries = [
            {"idx": n, "version": "7", "when": 1700000000000 + n, "tag": tags[n],
             "breakpoints": True}
            for n in range(count)
        ]  # fmt: skip
        ground.file(
            "drizzle/meta/_journal.json",
            json.dumps({"version": "7", "dialect": "postgresql", "entries": entries}),
        )

    ground.file(
        "drizzle/0000_first.sql",
        f"{FIRST};\n--> statement-breakpoint\nCREATE INDEX notes_body ON notes (body);",
    )
    ground.file("drizzle/0001_second.sql", f"{SECOND};")
    ground.file("drizzle/0002_broken.sql", f"{BROKEN};")
    kit: list[str | Path] = [program("node"), modules / "drizzle-kit" / "bin.cjs"]
    journal(2)
    ground.run([*kit, "migrate"])
    yield "drizzle-kit migrate"
    ground.run([*kit, "migrate"])
    yield "drizzle-kit migrate (again)"
    journal(3)
    ground.run([*kit, "migrate"], fails=True)
    yield "drizzle-kit migrate (fails)"
    ground.fresh()
    ground.run([*kit, "push", "--force"])
    yield "drizzle-kit push --force"


def _knex(ground: Ground) -> Iterator[str]:
    modules, version = _node(ground, "knex")
    yield version
    ground.file(
        "knexfile.js",
        "module.exports = {client: 'pg', connection: process.env.DATABASE_URL}",
    )

    def migration(name: str, up: str, down: str) -> None:
        ground.file(
            f"migrations/{name}.js",
            f"exports.up = k => k.raw({up!r});exports.down = k => k.raw({down!r})",
        )

    migration("1_first", FIRST, BACK[0])
    migration("2_second", SECOND, BACK[1])
    knex: list[str | Path] = [program("node"), modules / "knex" / "bin" / "cli.js"]
    for arguments in ("migrate:latest", "migrate:latest (again)", "migrate:status"):
        ground.run([*knex, *arguments.removesuffix(" (again)").split()])
        yield f"knex {arguments}"
    migration("3_broken", BROKEN, BACK[2])
    ground.run([*knex, "migrate:latest"], fails=True)
    yield "knex migrate:latest (fails)"
    for arguments in ("migrate:unlock", "migrate:down", "migrate:rollback --all"):
        ground.run([*knex, *arguments.split()])
        yield f"knex {arguments}"


def _dbmate(ground: Ground) -> Iterator[str]:
    modules = npm.node_modules(KITS / "dbmate" / "package.json")
    binary = modules / "@dbmate" / "linux-x64" / "bin" / "dbmate"
    version = ground.run([binary, "--version"]).out.split()[-1]
    yield version
    dbmate: list[str | Path] = [
        *(binary, "--url", f"{ground.url}?sslmode=disable", "--no-dump-schema"),
        *("--migrations-dir", "migrations"),
    ]

    def migration(name: str, up: str, down: str) -> None:
        text = f"-- migrate:up\n{up};\n\n-- migrate:down\n{down};\n"
        ground.file(f"migrations/{name}.sql", text)

    migration("20240101000000_first", FIRST, BACK[0])
    migration("20240102000000_second", SECOND, BACK[1])
    for arguments in ("migrate", "migrate (again)", "status"):
        ground.run([*dbmate, arguments.partition(" ")[0]])
        yield f"dbmate {arguments}"
    migration("20240103000000_broken", BROKEN, BACK[2])
    ground.run([*dbmate, "migrate"], fails=True)
    yield "dbmate migrate (fails)"
    for arguments in ("rollback", "drop"):
        ground.run([*dbmate, arguments])
        yield f"dbmate {arguments}"


def _prisma(ground: Ground) -> Iterator[str]:
    modules = npm.node_modules()
    manifest = json.loads((modules / "prisma" / "package.json").read_text("utf-8"))
    yield f"{manifest['version']} engine js"
    project = PrismaProject.create(ground.folder / "project", modules)

    def prisma(arguments: str, *, code: int = 0) -> str:
        done = project.cli(ground.url, arguments.partition(" (")[0])
        assert bool(done.code) is bool(code), (arguments, done.out, done.err)
        return f"prisma {arguments}"

    yield prisma("migrate deploy")
    yield prisma("migrate deploy (again)")
    yield prisma("migrate status")
    broken = project.migrations / "20240301000000_broken"
    broken.mkdir()
    (broken / "migration.sql").write_text(f"{BROKEN};\n")
    yield prisma("migrate deploy (fails)", code=1)
    # `migrate resolve` is not in the WebAssembly engine.
    shutil.rmtree(broken)
    ground.fresh()
    prisma("migrate deploy")
    yield ""
    project.edit_schema("  note        String?\n", "")
    yield prisma("db push --accept-data-loss --skip-generate")
    yield prisma("db push --force-reset --skip-generate")
    yield prisma("migrate reset --force --skip-seed --skip-generate")
    yield prisma("migrate dev --name more --skip-generate")
    (project.folder / "one.sql").write_text("CREATE TABLE one (id int);")
    yield prisma("db execute --file one.sql --schema prisma/schema.prisma")


# --- Java --------------------------------------------------------------------


def _java(ground: Ground, name: str) -> list[str | Path]:
    jars = _once("java", DRIVERS / "java" / "pom.xml", _install_java)
    path = f"{jars}/*:{ground.folder}"
    files = [DRIVERS / "java" / "Pgjdbc.java", KITS / "java" / f"{name}.java"]
    _install([program("javac"), "-cp", path, "-d", ground.folder, *files])
    return [program("java"), "-cp", path, name]


def _flyway(ground: Ground) -> Iterator[str]:
    flyway = _java(ground, "FlywayCommand")
    yield ground.run([*flyway, "version"]).out.split()[-1]
    ground.file(
        "sql/V1__first.sql", f"{FIRST};\nCREATE INDEX notes_body ON notes (body);"
    )
    ground.file("sql/V2__second.sql", f"{SECOND};")
    for command in ("migrate", "migrate (again)", "info", "validate"):
        ground.run([*flyway, command.partition(" ")[0]])
        yield f"flyway {command}"
    ground.file("sql/V3__broken.sql", f"{BROKEN};")
    ground.run([*flyway, "migrate"], fails=True)
    yield "flyway migrate (fails)"
    ground.file("sql/V2__second.sql", f"{SECOND}; -- edited")
    for command in ("repair", "clean"):
        ground.run([*flyway, command])
        yield f"flyway {command}"
    ground.fresh()
    ground.run([*flyway, "baseline"])
    yield "flyway baseline"


def _liquibase(ground: Ground) -> Iterator[str]:
    liquibase = _java(ground, "LiquibaseCommand")
    yield ground.run([*liquibase, "version"]).out.split()[-1]
    sets = [
        "--liquibase formatted sql",
        f"--changeset x:1\n{FIRST};\n--rollback {BACK[0]};",
        f"--changeset x:2\n{SECOND};\n--rollback {BACK[1]};",
    ]
    ground.file("changes.sql", "\n".join(sets))
    for command in ("update", "update (again)", "status"):
        ground.run([*liquibase, command.partition(" ")[0]])
        yield f"liquibase {command}"
    ground.file(
        "changes.sql",
        "\n".join([*sets, f"--changeset x:3\n{BROKEN};\n--rollback {BACK[2]};"]),
    )
    ground.run([*liquibase, "update"], fails=True)
    yield "liquibase update (fails)"
    for command in ("changelogSync", "rollbackCount", "clearChecksums", "dropAll"):
        ground.run([*liquibase, command])
        yield f"liquibase {command}"


# --- Go, Ruby, Postgres' own -------------------------------------------------


def _golang_migrate(ground: Ground) -> Iterator[str]:
    version = (KITS / "golang-migrate.txt").read_text("utf-8").split()[-1]

    def install(target: Path, _manifest: Path) -> None:
        package = f"github.com/golang-migrate/migrate/v4/cmd/migrate@{version}"
        target.mkdir()
        _install(
            ["env", f"GOBIN={target}", program("go"), "install", "-tags", "postgres",
             package]
        )  # fmt: skip

    binary = _once("golang-migrate", KITS / "golang-migrate.txt", install) / "migrate"
    yield version.removeprefix("v")
    migrate: list[str | Path] = [
        *(binary, "-database", f"{ground.url}?sslmode=disable", "-path", "sql"),
    ]
    for number, (up, down) in enumerate(((FIRST, BACK[0]), (SECOND, BACK[1])), start=1):
        ground.file(f"sql/{number}_step.up.sql", f"{up};\n")
        ground.file(f"sql/{number}_step.down.sql", f"{down};\n")
    for command in ("up", "up (again)", "version"):
        ground.run([*migrate, command.partition(" ")[0]])
        yield f"migrate {command}"
    ground.file("sql/3_broken.up.sql", f"{BROKEN};\n")
    ground.file("sql/3_broken.down.sql", "SELECT 1;\n")
    ground.run([*migrate, "up"], fails=True)
    yield "migrate up (fails)"
    for command in ("force 2", "down 1", "down -all", "up 2", "drop -f"):
        ground.run([*migrate, *command.split()])
        yield f"migrate {command}"


def _rails(ground: Ground) -> Iterator[str]:
    shutil.copy(KITS / "rails.rb", ground.folder)
    ruby = [program("ruby"), "rails.rb"]
    yield ground.run([*ruby, "version"]).out.split()[-1]

    def migration(name: str, class_: str, up: str, down: str) -> None:
        ground.file(
            f"migrate/{name}.rb",
            f"class {class_} < ActiveRecord::Migration[6.1]\n"
            f"  def up; execute {up!r}; end\n  def down; execute {down!r}; end\nend\n",
        )

    migration("1_first", "First", FIRST, BACK[0])
    migration("2_second", "Second", SECOND, BACK[1])
    for task in ("db:migrate", "db:migrate (again)", "db:migrate:status"):
        ground.run([*ruby, task.partition(" ")[0]])
        yield f"rails {task}"
    migration("3_broken", "Broken", BROKEN, BACK[2])
    ground.run([*ruby, "db:migrate"], fails=True)
    yield "rails db:migrate (fails)"
    for task in ("db:rollback", "db:truncate_all", "db:schema:load", "db:purge",
                 "db:drop"):  # fmt: skip
        ground.run([*ruby, task])
        yield f"rails {task}"


def _sqitch(ground: Ground) -> Iterator[str]:
    sqitch: list[str | Path] = [program("sqitch")]
    yield ground.run([*sqitch, "--version"]).out.split()[-1].removeprefix("v")
    more = {
        "SQITCH_FULLNAME": "Ana",
        "SQITCH_EMAIL": "ana@example.com",
        # psql for the scripts: that of Debian, which sqitch depends on
        "SQITCH_TARGET": ground.url.replace("postgresql://", "db:pg://"),
    }
    ground.file("sqitch.conf", "[core]\n\tengine = pg\n")
    plan = "%syntax-version=1.0.0\n%project=app\n\n"

    def change(name: str, up: str, down: str) -> None:
        nonlocal plan
        plan += f"{name} 2024-01-01T00:00:00Z Ana <ana@example.com> # {name}\n"
        ground.file("sqitch.plan", plan)
        ground.file(f"deploy/{name}.sql", f"{up};\n")
        ground.file(f"revert/{name}.sql", f"{down};\n")

    def run(arguments: str, *, fails: bool = False) -> str:
        words = arguments.partition(" (")[0].split()
        ground.run([*sqitch, *words], more=more, fails=fails)
        return f"sqitch {arguments}"

    change("first", FIRST, BACK[0])
    change("second", SECOND, BACK[1])
    yield run("deploy")
    yield run("deploy (again)")
    yield run("status")
    change("broken", BROKEN, BACK[2])
    yield run("deploy (fails)", fails=True)
    yield run("deploy --log-only")
    yield run("revert -y")


def _psql(ground: Ground) -> Iterator[str]:
    psql = bin_dir(17) / "psql"
    yield ground.run([psql, "--version"]).out.split()[2]
    ground.file("first.sql", f"{FIRST};\n{SECOND};\n")
    ground.file("broken.sql", f"{BROKEN};\n")
    ground.run([psql, "-X", "-f", "first.sql"])
    yield "psql -f first.sql"
    ground.run(
        [psql, "-X", "-v", "ON_ERROR_STOP=1", "-1", "-f", "broken.sql"], fails=True
    )
    yield "psql -1 -f broken.sql"


TOOLS: Mapping[str, Record] = {
    "alembic": _alembic("psycopg2", "psycopg2-binary"),
    "alembic:psycopg": _alembic("psycopg", "psycopg"),
    "django": _django,
    "prisma": _prisma,
    "drizzle": _drizzle,
    "knex": _knex,
    "dbmate": _dbmate,
    "golang-migrate": _golang_migrate,
    "flyway": _flyway,
    "liquibase": _liquibase,
    "rails": _rails,
    "sqitch": _sqitch,
    "psql": _psql,
}
