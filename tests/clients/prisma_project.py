"""A Prisma project in a folder of its own, and its CLI run as a person runs it.

The schema and the migrations are copied from `prisma/`. The environment is built new:
with variables in it that give away an AI agent, the CLI itself would not send the
statements that the tests want to see refused. Next: `test_prisma_destroys`.
"""

from __future__ import annotations

import shutil
from dataclasses import dataclass
from pathlib import Path

from tests.clients.tools import Outcome, bare_environment, program, run

_FILES = Path(__file__).parent / "prisma"


@dataclass(frozen=True, slots=True)
class PrismaProject:
    """A folder with prisma.config.ts, prisma/ and node_modules/."""

    folder: Path

    @classmethod
    def create(cls, folder: Path, node_modules: Path) -> PrismaProject:
        (folder / "prisma").mkdir(parents=True)
        (folder / "node_modules").symlink_to(node_modules)
        shutil.copy(_FILES / "prisma.config.ts", folder)
        shutil.copy(_FILES / "client.mjs", folder)
        shutil.copy(_FILES / "unref.cjs", folder)
        shutil.copy(_FILES / "schema.prisma", folder / "prisma")
        shutil.copytree(_FILES / "migrations", folder / "prisma" / "migrations")
        return cls(folder)

    @property
    def schema_path(self) -> Path:
        return self.folder / "prisma" / "schema.prisma"

    @property
    def migrations(self) -> Path:
        return self.folder / "prisma" / "migrations"

    def cli(self, url: str, command: str, *, text: str = "") -> Outcome:
        """Run `prisma COMMAND` against a database."""
        entry = self.folder / "node_modules" / "prisma" / "build" / "index.js"
        quick = ("--require", "./unref.cjs")
        return self.node(url, *quick, str(entry), *command.split(), text=text)

    def node(self, url: str, *arguments: str, text: str = "") -> Outcome:
        """Run a script of the project."""
        return run(
            [program("node"), *arguments],
            environment={
                **bare_environment(),
                "HOME": str(self.folder),
                "DATABASE_URL": url,
                "CHECKPOINT_DISABLE": "1",
                "PRISMA_HIDE_UPDATE_MESSAGE": "1",
                "NO_COLOR": "1",
            },
            cwd=self.folder,
            text=text,
        )

    def edit_schema(self, old: str, new: str) -> None:
        """Replace a part of the schema that is there exactly once."""
        schema = self.schema_path.read_text("utf-8")
        assert schema.count(old) == 1, old
        self.schema_path.write_text(schema.replace(old, new), "utf-8")
