"""Prisma: `db pull`, `migrate status` and `diff`, and the reads of its client.

The project is that of the client tests. Next: `tests.clients.prisma_project`.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from tests.clients import npm
from tests.clients.prisma_project import PrismaProject

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

READS = ("reads", "raw", "transactions", "reuse", "large")


def drive(_major: int, environment: Mapping[str, str], folder: Path) -> str:
    """A developer's day: pull, look, read."""
    modules = npm.node_modules()
    url = environment["DATABASE_URL"]
    project = PrismaProject.create(folder / "project", modules)
    project.cli(url, "generate").ok()
    for act in READS:
        project.node(url, "client.mjs", act).ok()
    project.cli(url, "migrate status")  # exits 1: there are pending migrations
    project.cli(
        url,
        "migrate diff --script --from-schema-datamodel prisma/schema.prisma"
        " --to-schema-datasource prisma/schema.prisma",
    )
    project.cli(url, "validate").ok()
    project.cli(url, "db pull --force")
    manifest = json.loads((modules / "prisma" / "package.json").read_text("utf-8"))
    version: str = manifest["version"]
    return version
