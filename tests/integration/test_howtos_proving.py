"""How-to pages about proven migrations, followed word by word.

Next: `proving_pages` for both sides and the shell, `following`; the pages that need
Node or Django are followed in `tests/clients/test_howtos_proving_tools.py`.
"""

from __future__ import annotations

import sys
import threading
from typing import TYPE_CHECKING, Any

import psycopg
import pytest
import yaml

from tests.integration.following import page, whole_page
from tests.integration.proving_pages import SETTINGS, SHOP, desk, program
from tests.integration.rig import eventually

if TYPE_CHECKING:
    from pathlib import Path

    from proxy.demo.postgres import Cluster
    from tests.fix_proxy import StartProxy
    from tests.integration.proving_pages import Desk

pytestmark = [pytest.mark.postgres, pytest.mark.slow, pytest.mark.timeout(400)]

ENV = """
import os
import sqlalchemy
from alembic import context

url = os.environ["DATABASE_URL"].replace("postgresql://", "postgresql+psycopg://")
with sqlalchemy.create_engine(url).connect() as connection:
    context.configure(connection=connection, transaction_per_migration=True)
    with context.begin_transaction():
        context.run_migrations()
"""
UPGRADE = "alembic upgrade head"
INI = "[alembic]\nscript_location = migrations\n"


def revision(folder: Path, number: int, *statements: str) -> Path:
    """Write one more."""
    body = "".join(f"    op.execute({each!r})\n" for each in statements)
    file = folder / "migrations" / "versions" / f"a{number}.py"
    file.write_text(
        f"from alembic import op\nrevision = 'a{number}'\n"
        f"down_revision = 'a{number - 1}'\n\n\ndef upgrade():\n{body}"
        "\n\ndef downgrade():\n    op.execute('SELECT 1')\n"
    )
    return file


def alembic(at: Desk) -> Path:
    """A project in the reader's folder; where its revisions are."""
    program(at.reader, "alembic", sys.executable, "-m", "alembic.config")
    versions = at.folder / "migrations" / "versions"
    versions.mkdir(parents=True)
    (at.folder / "alembic.ini").write_text(INI)
    (at.folder / "migrations" / "env.py").write_text(ENV)
    return versions


HISTORY = """
CREATE TABLE alembic_version (version_num varchar(32) NOT NULL,
    CONSTRAINT alembic_version_pkc PRIMARY KEY (version_num));
INSERT INTO alembic_version VALUES ('a0');
"""
BUILDS = "SELECT count(*) FROM pg_stat_progress_create_index"


def test_set_up(tmp_path: Path, start_proxy: StartProxy, postgres17: Cluster) -> None:
    """From nothing to a policy that requires proofs, and a run that was killed."""
    at = desk(tmp_path, start_proxy, postgres17, proofs="accept", script=SHOP + HISTORY)
    versions = alembic(at)
    first = "revision = 'a0'\ndown_revision = None\n\n\ndef upgrade():\n    pass\n"
    (versions / "a0.py").write_text(first)
    with whole_page("prove-migrations") as text:
        assert [text.take("yaml", n) for n in (0, 1)] == SETTINGS
        at.prepare(text)
        assert yaml.safe_load(text.take("yaml", 2)) == says(at)
        at.reader.follow(text.part("## 3. Policies"))
        at.reader.follow(text.part("## 4. Sign what is there"))
        revision(tmp_path, 1, "ALTER TABLE customer DROP COLUMN balance")
        at.prove(UPGRADE)
        done = at.reader.run(f"DATABASE_URL=$PRODUCTION {UPGRADE}")
        assert done.returncode == 0, done.stdout
        asked = {"proofs": "require"}
        assert yaml.safe_load(text.take("yaml", 3)) == {"migrations": asked}
        at.demand("require")
        done = at.reader.run('psql "$PRODUCTION" -c "CREATE TABLE mine (id int)"')
        assert "ERROR:  no proven migration begins with it" in done.stdout
        killed_amid(at)
        at.names("3f9a1207c4d8", "a2")
        at.reader.follow(text.part("## A run whose end nobody saw"))
        permitted = yaml.safe_load(text.take("yaml", 4))["migrations"]
        assert permitted == asked | {"commands": ["alembic stamp"]}


def says(at: Desk) -> dict[str, Any]:
    """What production's policy says of the migrator's migrations."""
    role = yaml.safe_load(at.policy.read_text())["roles"]["migrator"]
    return {"migrations": {"proofs": role["migrations"]["proofs"]}}


def killed_amid(at: Desk) -> None:
    """An index that is built CONCURRENTLY, and waits, when pgwarden is killed."""
    index = "CREATE INDEX CONCURRENTLY customer_names ON customer (name)"
    file = revision(at.folder, 2, index)
    block = "    with op.get_context().autocommit_block():\n        op.execute"
    file.write_text(file.read_text().replace("    op.execute", block, 1))
    at.prove(UPGRADE)
    with psycopg.connect(at.reader.environment["PRODUCTION_URL"]) as other:
        other.execute("LOCK TABLE customer IN ROW EXCLUSIVE MODE")
        deploy = threading.Thread(
            target=at.reader.run, args=(f"DATABASE_URL=$PRODUCTION {UPGRADE}",)
        )
        deploy.start()
        eventually(lambda: at.production.value(BUILDS) == 1, 30)
        at.production.proxy.kill()
        deploy.join()


def test_alembic(tmp_path: Path, start_proxy: StartProxy, postgres17: Cluster) -> None:
    at = desk(tmp_path, start_proxy, postgres17)
    at.prepare(page("prove-migrations"))
    versions = alembic(at)
    with whole_page("prove-migrations-alembic") as text:
        (versions / "a1_points.py").write_text(text.take("python"))
        part = text.part("## Deploy to staging, approve, bring it over")
        at.reader.follow(part.console())
        at.names("3f9a1207c4d8", "a1")
        at.reader.follow(part.console(1))
        at.reader.follow(text.part("## Deploy to production"))
        assert at.production.value("SELECT sum(points) FROM customer") == 460

        index = "CREATE INDEX customer_points ON customer (points)"
        file = revision(tmp_path, 2, "ALTER TABLE customer ADD a int", index)
        at.prove(UPGRADE)
        proven = file.read_text()
        file.write_text(proven.replace("(points)", "(name)"))
        at.reader.follow(text.part("## Edited since"), {UPGRADE: 1})
        file.write_text(proven)
        at.reader.follow(text.part("## Back"), {"downgrade base": 1})
        assert at.production.value("SELECT sum(points) FROM customer") == 460

        revision(tmp_path, 3, "CREATE UNIQUE INDEX customer_name ON customer (name)")
        at.prove(UPGRADE)
        at.names("5d0c77a1e2b9", "a3")
        twice = "INSERT INTO customer (name) VALUES ('c1')"
        at.reader.run(f'psql "$PRODUCTION_URL" -c "{twice}"')
        failing = text.part("## It fails in production")
        at.reader.follow(failing.console(), {UPGRADE: 1})
        mend = "DELETE FROM customer WHERE name = 'c1' AND id > 100"
        at.reader.run(f'psql "$PRODUCTION_URL" -c "{mend}"')
        at.reader.follow(failing.console(1))
        at.reader.follow(text.part("## `alembic stamp`"), {"stamp": 1})
        versioned = "SELECT version_num FROM alembic_version"
        assert at.production.value(versioned) == "a3"
        at.demand("require", "alembic stamp")
        done = at.reader.run("DATABASE_URL=$PRODUCTION alembic stamp a2")
        assert done.returncode == 0, done.stdout
        assert at.production.value(versioned) == "a2"
