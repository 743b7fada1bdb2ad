"""Alembic and Django with a project each, in an environment of their own.

For the recorder and for the tests that run them through pgwarden. The packages of
`kits/requirements.txt` are installed once, into `.cache/` of the checkout.
"""

from __future__ import annotations

import fcntl
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from tests.clients import npm
from tests.corpus.kits import _install, _once

if TYPE_CHECKING:
    from tests.clients.tools import Outcome
    from tests.transcripts.ground import Ground

_MANIFEST = Path(__file__).parent / "kits" / "requirements.txt"


def python() -> Path:
    """The folder with their programs; installs them the first time."""

    def install(target: Path, manifest: Path) -> None:
        _install([sys.executable, "-m", "venv", target])
        _install([target / "bin" / "pip", "install", "-q", "-r", manifest])

    npm.CACHE.mkdir(exist_ok=True)
    with (npm.CACHE / "migrations.lock").open("w") as lock:
        # test processes run side by side; the first one installs
        fcntl.flock(lock, fcntl.LOCK_EX)
        return _once("migrations", _MANIFEST, install) / "bin"


def pinned(package: str) -> str:
    """The version of a package in the manifest."""
    for line in _MANIFEST.read_text("utf-8").splitlines():
        name, _, version = line.partition("==")
        if name.partition("[")[0] == package:
            return version
    raise AssertionError(package)


_ALEMBIC_ENV = """
import os
import sqlalchemy as sa
from alembic import context

url = os.environ["DATABASE_URL"].replace("://", "+DRIVER://")
with sa.create_engine(url).connect() as connection:
    context.configure(connection=connection, target_metadata=None)
    with context.begin_transaction():
        context.run_migrations()
"""


class AlembicProject:
    """A folder with alembic.ini and revisions a1, a2 and so on."""

    def __init__(self, ground: Ground, driver: str) -> None:
        self._ground = ground
        self._program = python() / "alembic"
        ground.file("alembic.ini", "[alembic]\nscript_location = migrations\n")
        ground.file("migrations/env.py", _ALEMBIC_ENV.replace("DRIVER", driver))
        ground.file("migrations/script.py.mako", "")

    def revision(self, number: int, up: str, down: str) -> None:
        """Add a revision of one statement each way."""
        before = f"'a{number - 1}'" if number > 1 else "None"
        self._ground.file(
            f"migrations/versions/a{number}.py",
            f"from alembic import op\nrevision = 'a{number}'\n"
            f"down_revision = {before}\n"
            f"def upgrade(): op.execute({up!r})\n"
            f"def downgrade(): op.execute({down!r})\n",
        )

    def alembic(self, arguments: str, *, fails: bool = False) -> Outcome:
        """Run `alembic ARGUMENTS`."""
        return self._ground.run([self._program, *arguments.split()], fails=fails)


_DJANGO_SETTINGS = """
import os
SECRET_KEY = "x"
INSTALLED_APPS = ["django.contrib.contenttypes", "django.contrib.auth", "shop"]
DATABASES = {"default": {
    "ENGINE": "django.db.backends.postgresql", "NAME": os.environ["PGDATABASE"],
    "HOST": os.environ["PGHOST"], "PORT": os.environ["PGPORT"],
    "USER": os.environ["PGUSER"], "PASSWORD": os.environ["PGPASSWORD"]}}
USE_TZ = True
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"
"""
_DJANGO_MODELS = """
from django.db import models
class Note(models.Model):
    body = models.TextField()
    starred = models.BooleanField(default=False)
"""
_DJANGO = (
    "from django.db import migrations, models\nclass Migration(migrations.Migration):\n"
)


class DjangoProject:
    """A site with the app "shop" and two migrations of it."""

    def __init__(self, ground: Ground) -> None:
        self._ground = ground
        ground.file("site_settings.py", _DJANGO_SETTINGS)
        ground.file("shop/__init__.py", "")
        ground.file("shop/models.py", _DJANGO_MODELS)
        ground.file("shop/migrations/__init__.py", "")
        ground.file(
            "shop/migrations/0001_initial.py",
            f"{_DJANGO} initial = True\n operations = [migrations.CreateModel('Note', ["
            "('id', models.BigAutoField(primary_key=True)),"
            " ('body', models.TextField())])]",
        )
        ground.file(
            "shop/migrations/0002_starred.py",
            f"{_DJANGO} dependencies = [('shop', '0001_initial')]\n operations = ["
            "migrations.AddField('note', 'starred',"
            " models.BooleanField(default=False))]",
        )

    def add_broken(self, text: str) -> None:
        """Add a third migration, of this statement."""
        self._ground.file(
            "shop/migrations/0003_broken.py",
            f"{_DJANGO} dependencies = [('shop', '0002_starred')]\n operations = ["
            f"migrations.RunSQL({text!r}, 'SELECT 1')]",
        )

    def manage(self, arguments: str, *, fails: bool = False) -> Outcome:
        """Run `manage.py ARGUMENTS`."""
        more = {
            "DJANGO_SETTINGS_MODULE": "site_settings",
            "PYTHONPATH": str(self._ground.folder),
        }
        command: list[str | Path] = [python() / "python", "-m", "django"]
        return self._ground.run([*command, *arguments.split()], more=more, fails=fails)
