"""The desk of who follows the pages about proving migrations: both sides, and a shell.

The settings are those that the page itself shows. Next: `proving`, `following`.
"""

from __future__ import annotations

import json
import re
import shlex
import shutil
import sys
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import yaml
from typer.testing import CliRunner

from proxy.cli.main import app
from tests.integration.following import Reader, page
from tests.integration.proving import Side, create, recording, requiring
from tests.integration.rig import events, eventually

if TYPE_CHECKING:
    import os
    from pathlib import Path

    from proxy.demo.postgres import Cluster
    from tests.fix_proxy import Proxy, StartProxy
    from tests.integration.following import Page

SHOP = """
CREATE TABLE customer (id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    name text NOT NULL, balance integer NOT NULL DEFAULT 0);
INSERT INTO customer (name, balance) SELECT 'c' || n, n FROM generate_series(1, 100) n;
"""
SETTINGS = page("prove-migrations").blocks("yaml")[:2]
NAMES = {"staging": "shop_staging", "production": "shop"}


@dataclass(slots=True)
class Desk:
    """Both sides, in one folder with their settings, and somebody at a terminal."""

    folder: Path
    staging: Side
    production: Side
    reader: Reader
    policy: Path = field(repr=False)

    def prepare(self, settings: Page) -> None:
        """What the page on setting up has one do."""
        self.reader.follow(settings.part("## 2. Keys"))

    def demand(self, proofs: str, *commands: str) -> None:
        """Have production's policy say so, from now on."""
        self.policy.write_text(requiring(proofs, commands))
        before = len(events(self.production.proxy, "reloaded"))
        self.production.proxy.reload()
        eventually(lambda: len(events(self.production.proxy, "reloaded")) > before, 30)

    def names(self, shown: str, migration: str) -> None:
        """The id of a page stands for that of this migration's newest proof."""
        listed = self.pgwarden("staging", "list")
        ids = re.findall(
            rf"^(\w{{12}}) .* {re.escape(migration)} ", listed, re.MULTILINE
        )
        assert ids, listed
        self.reader.instead[shown] = ids[-1]

    def prove(self, command: str) -> None:
        """Deploy to staging, approve all that waits, and bring it over."""
        done = self.reader.run(f"export DATABASE_URL=$STAGING; {command}")
        assert done.returncode == 0, done.stdout
        listed = json.loads(self.pgwarden("staging", "list", "--json"))
        found = [
            each["id"]
            for each in listed
            if each["state"] == "recorded" and each["proof"]["origin"] == "recorded"
        ]
        key = {"PGWARDEN_MIGRATIONS__SIGNING_KEY": str(self.folder / "approve.key")}
        for proof in found:
            self.pgwarden("staging", "approve", proof, "--by", "grace", "--yes", **key)
        file = self.folder / "more.json"
        file.unlink(missing_ok=True)
        self.pgwarden("staging", "export", str(file))
        self.pgwarden("production", "import", str(file))

    def pgwarden(self, side: str, *arguments: str, **environment: str) -> str:
        """`pgwarden migration ...` of nobody's page, in this process: quicker."""
        config = ("--config", str(self.folder / f"{side}.yaml"))
        done = CliRunner().invoke(
            app, ["migration", *arguments, *config], env=environment
        )
        assert done.exit_code == 0, f"{arguments}: {done.output}"
        return done.stdout


def desk(
    folder: Path,
    start: StartProxy,
    cluster: Cluster,
    *,
    proofs: str = "require",
    script: str = SHOP,
) -> Desk:
    """Both databases, and a pgwarden before each with the settings of the page."""
    policies = {"staging": recording(), "production": requiring(proofs)}
    sides = {}
    for (name, database), block in zip(NAMES.items(), SETTINGS, strict=True):
        create(cluster, database, script)
        policy = folder / f"policy-{name}.yaml"
        policy.write_text(policies[name])
        proxy = _start(folder, start, cluster, policy, yaml.safe_load(block))
        sides[name] = Side(cluster, database, proxy)
        _settings(folder / f"{name}.yaml", proxy)
    (folder / "backups").mkdir()
    (folder / "backups" / "shop.dump").write_text("of today")
    staging, production = sides["staging"], sides["production"]
    reader = Reader(
        folder,
        {
            "STAGING": staging.dsn,
            "PRODUCTION": production.dsn,
            "PRODUCTION_URL": cluster.dsn("shop"),
        },
    )
    return Desk(folder, staging, production, reader, folder / "policy-production.yaml")


def _start(
    folder: Path,
    start: StartProxy,
    cluster: Cluster,
    policy: Path,
    section: dict[str, Any],
) -> Proxy:
    mine = section["migrations"]
    for key in {"keys", "signing_key"} & mine.keys():
        mine[key] = str(folder / mine[key])
    for gate in mine.get("gates", {}).values():
        gate["file"] = str(folder / gate["file"])
    store = {"url": f"sqlite:///{folder / policy.stem}.db"}
    return start(cluster, policy=policy, settings={**section, "store": store})


def _settings(path: Path, proxy: Proxy) -> None:
    shutil.copy(proxy.settings_path, path)


def program(reader: Reader, name: str, *command: str | os.PathLike[str]) -> None:
    """Put another program on the reader's path."""
    line = shlex.join(map(str, command or (sys.executable,)))
    file = reader.folder / "programs" / name
    file.write_text(f'#!/bin/sh\nexec {line} "$@"\n')
    file.chmod(0o755)
