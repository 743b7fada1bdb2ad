"""How-to pages about proven migrations that need Node or Django, followed word by word.

Next: `tests.integration.proving_pages` and `test_howtos_proving` there.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.clients.prisma_project import PrismaProject
from tests.integration.following import page, whole_page
from tests.integration.proving_pages import SHOP, desk, program
from tests.transcripts.python_tools import python

if TYPE_CHECKING:
    from pathlib import Path

    from proxy.demo.postgres import Cluster
    from tests.fix_proxy import StartProxy
    from tests.integration.following import Page
    from tests.integration.proving_pages import Desk

pytestmark = [pytest.mark.postgres, pytest.mark.slow, pytest.mark.timeout(400)]

HISTORY = """
CREATE TABLE _prisma_migrations (id varchar(36) PRIMARY KEY NOT NULL,
    checksum varchar(64) NOT NULL, finished_at timestamptz,
    migration_name varchar(255) NOT NULL, logs text, rolled_back_at timestamptz,
    started_at timestamptz NOT NULL DEFAULT now(),
    applied_steps_count integer NOT NULL DEFAULT 0);
"""
NPX = """#!/bin/sh
# Bare: with variables that give away an agent the CLI itself would stop at a reset.
shift
exec env -i PATH="$PATH" HOME="$PWD" DATABASE_URL="$DATABASE_URL" NO_COLOR=1 \\
  CHECKPOINT_DISABLE=1 PRISMA_HIDE_UPDATE_MESSAGE=1 \\
  PRISMA_SCHEMA_ENGINE_BINARY="$PWD/programs/engine" \\
  node --require ./unref.cjs node_modules/prisma/build/index.js "$@"
"""
"""`migrate resolve --rolled-back` asks a native engine first whether the server is
there, also where all else is done by the one in JavaScript: `engine` says yes."""
DEPLOY = "npx prisma migrate deploy"
POINTS = "SELECT sum(points) FROM customer"


@pytest.mark.client("prisma")
def test_prisma(
    tmp_path: Path, start_proxy: StartProxy, postgres17: Cluster, node_modules: Path
) -> None:
    at = desk(tmp_path, start_proxy, postgres17, script=SHOP + HISTORY)
    at.prepare(page("prove-migrations"))
    (tmp_path / "npx.sh").write_text(NPX)
    program(at.reader, "npx", "sh", tmp_path / "npx.sh")
    program(at.reader, "engine", "sh", "-c", ":")
    migrations = PrismaProject.create(tmp_path, node_modules).migrations
    for each in migrations.glob("2*/migration.sql"):
        each.unlink()
        each.parent.rmdir()

    def write(name: str, text: str) -> Path:
        file = migrations / name / "migration.sql"
        file.parent.mkdir(exist_ok=True)
        file.write_text(text)
        return file

    with whole_page("prove-migrations-prisma") as text:
        write("20270101000000_points", text.take("sql"))
        one_round(at, text, "20270101000000_points")
        assert at.production.value(POINTS) == 460

        proven = 'CREATE INDEX "customer_points" ON "customer"("points");\n'
        file = write("20270201000000_index", proven)
        at.prove(DEPLOY)
        write("20270201000000_index", proven.replace('("points")', '("name")'))
        at.reader.follow(text.part("## Edited since"), {DEPLOY: 1})
        file.write_text(proven)
        at.reader.follow(text.part("## Reset"), {"npx": 1})
        assert at.production.value(POINTS) == 460

        write(
            "20270301000000_unique",
            'CREATE UNIQUE INDEX "customer_name" ON "customer"("name");\n',
        )
        at.prove(DEPLOY)
        at.names("5d0c77a1e2b9", "20270301000000_unique")
        past(at, "INSERT INTO customer (name) VALUES ('c1')")
        failing = text.part("## It fails in production")
        at.reader.follow(failing.console(), {DEPLOY: 1})
        at.reader.follow(failing.console(1), {"resolve": 1})
        assert "--rolled-back" in failing.take("yaml")
        at.demand("require", "prisma migrate resolve --rolled-back")
        past(at, "DELETE FROM customer WHERE name = 'c1' AND id > 100")
        at.reader.follow(failing.console(2))


def one_round(at: Desk, text: Page, migration: str) -> None:
    """To staging, approved, brought over, to production."""
    part = text.part("## Deploy to staging, approve, bring it over")
    at.reader.follow(part.console())
    at.names("3f9a1207c4d8", migration)
    at.reader.follow(part.console(1))
    at.reader.follow(text.part("## Deploy to production"))


def past(at: Desk, statement: str) -> None:
    """As somebody with the superuser's password."""
    done = at.reader.run(f'psql "$PRODUCTION_URL" -c "{statement}"')
    assert done.returncode == 0, done.stdout


MANAGE = """
import os, sys
from urllib.parse import unquote, urlsplit
from django.conf import settings
from django.core.management import execute_from_command_line

at = urlsplit(os.environ["DATABASE_URL"])
settings.configure(
    SECRET_KEY="x", USE_TZ=True, DEFAULT_AUTO_FIELD="django.db.models.BigAutoField",
    INSTALLED_APPS=["django.contrib.contenttypes", "django.contrib.auth", "shop"],
    DATABASES={"default": {
        "ENGINE": "django.db.backends.postgresql", "NAME": at.path[1:],
        "HOST": at.hostname, "PORT": at.port, "USER": unquote(at.username),
        "PASSWORD": unquote(at.password)}})
execute_from_command_line(sys.argv)
"""
MODELS = """
from django.db import models
class Note(models.Model):
    body = models.TextField()
    key = models.UUIDField(null=True)
    points = models.IntegerField(default=0)
    starred = models.BooleanField(default=False)
"""
FIRST = """
from django.db import migrations, models
class Migration(migrations.Migration):
    initial = True
    operations = [migrations.CreateModel("Note", [
        ("id", models.BigAutoField(primary_key=True)), ("title", models.TextField()),
        ("body", models.TextField()), ("key", models.UUIDField(null=True))])]
"""
NEXT = """
from django.db import migrations, models
class Migration(migrations.Migration):
    dependencies = [("shop", "{before}")]
    operations = [{operation}]
"""
STARRED = 'migrations.AddField("note", "starred", models.BooleanField(default=False))'
UNIQUE = (
    'migrations.AddConstraint("note", models.UniqueConstraint("body", name="one_body"))'
)
MIGRATE = "manage.py migrate"
NOTES = "SELECT count(*) FROM shop_note"


@pytest.mark.client("django")
def test_django(tmp_path: Path, start_proxy: StartProxy, postgres17: Cluster) -> None:
    at = desk(tmp_path, start_proxy, postgres17, script="SELECT 1")
    at.prepare(page("prove-migrations"))
    program(at.reader, "python", python() / "python")
    folder = tmp_path / "shop" / "migrations"
    folder.mkdir(parents=True)
    (tmp_path / "manage.py").write_text(MANAGE)
    for file in (tmp_path / "shop" / "__init__.py", folder / "__init__.py"):
        file.write_text("")
    (tmp_path / "shop" / "models.py").write_text(MODELS)
    (folder / "0001_initial.py").write_text(FIRST)
    at.prove("python manage.py migrate")
    done = at.reader.run("DATABASE_URL=$PRODUCTION python manage.py migrate")
    assert done.returncode == 0, done.stdout
    past(at, "INSERT INTO shop_note (title, body) VALUES ('t', 'abc')")

    def write(name: str, before: str, operation: str) -> Path:
        path = folder / f"{name}.py"
        path.write_text(NEXT.format(before=before, operation=operation))
        return path

    with whole_page("prove-migrations-django") as text:
        first = text.part("## The migration").take("python")
        (folder / "0002_points.py").write_text(first)
        one_round(at, text, "shop.0002_points")
        assert at.production.value("SELECT sum(points) FROM shop_note") == 3

        varying = text.part("## Values that vary")
        (folder / "0003_welcome.py").write_text(varying.take("python"))
        at.prove("python manage.py migrate")
        at.names("77b1c0d94e2a", "shop.0003_welcome")
        at.reader.follow(varying.console(), {MIGRATE: 1})
        at.reader.follow(varying.console(1))
        assert at.production.value(NOTES) == 2

        file = write("0004_starred", "0003_welcome", STARRED)
        at.prove("python manage.py migrate")
        proven = file.read_text()
        file.write_text(proven.replace("default=False", "default=True"))
        at.reader.follow(text.part("## Edited since"), {MIGRATE: 1})
        file.write_text(proven)
        at.reader.follow(text.part("## Back, and flush"), {"manage.py": 1})
        assert at.production.value(NOTES) == 2

        write("0005_unique", "0004_starred", UNIQUE)
        at.prove("python manage.py migrate")
        at.names("5d0c77a1e2b9", "shop.0005_unique")
        more = "INSERT INTO shop_note (body, points) VALUES ('abc', 0)"
        past(at, more)
        failing = text.part("## It fails in production")
        at.reader.follow(failing.console(), {MIGRATE: 1})
        past(at, "DELETE FROM shop_note WHERE id = (SELECT max(id) FROM shop_note)")
        at.reader.follow(failing.console(1))

        write("0006_more", "0005_unique", 'migrations.RunSQL("SELECT 1")')
        at.reader.follow(text.part("## `--fake`"), {"--fake": 1})
        at.demand("require", "manage.py migrate --fake")
        done = at.reader.run(
            "DATABASE_URL=$PRODUCTION python manage.py migrate --fake shop 0006"
        )
        assert done.returncode == 0, done.stdout
