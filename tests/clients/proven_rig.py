"""Staging and production for real migration tools: servers, pgwardens, and fresh pairs.

The pgwardens of a file's tests are started once, and serve a row of databases that are
made when a story asks for the next pair. Both ledgers grow with each story, so that
what one left behind is there for the next, as in life.
Next: `tests.integration.proving`.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from typer.testing import CliRunner

from proxy.cli.main import app
from tests.clients.snapshot import snapshot
from tests.fix_proxy import Proxies
from tests.integration.proving import START, Side, create, recording, requiring
from tests.transcripts.ground import Ground

if TYPE_CHECKING:
    from pathlib import Path

    from tests.clients.snapshot import Snapshot
    from tests.clients.tools import Outcome
    from tests.fix_postgres import Clusters
    from tests.fix_proxy import Proxy

MOST_PAIRS = 40
"""Of databases, named in production's settings when it starts."""


@dataclass(slots=True)
class Story:
    """One pair of databases.

    Attributes:
        staging: records.
        production: demands proofs.
        permitting: production's database once more, by a policy that lets commands run
            which only write history; None where the rig was given none.
    """

    staging: Side
    production: Side
    permitting: Side | None
    folder: Path = field(repr=False)

    def recorded(self) -> dict[str, str]:
        """Proofs of this story on staging, by the migration's name, oldest first."""
        listed = json.loads(pgwarden(self.staging, "list", "--json"))
        own = [p for p in listed if p["proof"]["database"] == self.staging.database]
        own.sort(key=lambda each: each["proof"]["recorded_at"])
        return {p["proof"]["name"]: p["id"] for p in own}

    def approve(self, *proofs: str, varying: str = "") -> None:
        """Approve these on staging and bring the ledger over."""
        more = ("--varying", varying) if varying else ()
        for each in proofs:
            pgwarden(self.staging, "approve", each, "--by", "ci", "--yes", *more)
        self.carry()

    def carry(self) -> None:
        """Bring staging's ledger over."""
        file = self.folder / "proofs.json"
        file.unlink(missing_ok=True)
        pgwarden(self.staging, "export", str(file))
        pgwarden(self.production, "import", str(file))

    def ends(self) -> dict[str, list[str]]:
        """Of each migration that began on production: how its runs ended, in order."""
        listed = json.loads(pgwarden(self.production, "list", "--json"))
        found: dict[str, list[str]] = {}
        for each in listed:
            for use in each["uses"]:
                if use["database"] == self.production.database:
                    steps = found.setdefault(each["proof"]["name"], [])
                    steps.append(use["step"])
        return {
            name: [step for step in steps if step not in {"begun", "committing"}]
            for name, steps in found.items()
        }

    def drifts(self) -> list[dict[str, Any]]:
        """What production's pgwarden noted of schemas that differ from staging's."""
        return [
            record
            for record in self.production.proxy.records()
            if record["kind"] == "internal"
            and record.get("purpose") == "migration.drift"
            and record.get("database") == self.production.database
        ]


def pgwarden(side: Side, *arguments: str) -> str:
    """Run `pgwarden migration ...` with a side's settings, in this process: quicker."""
    config = ("--config", str(side.proxy.settings_path))
    done = CliRunner().invoke(app, ["migration", *arguments, *config])
    assert done.exit_code == 0, f"{arguments}: {done.output}"
    return done.stdout


def content(side: Side, *but: str) -> Snapshot:
    """All that is in a database but these tables, which have times in them."""
    left_out = {f"public.{name}" for name in but}
    return {k: v for k, v in snapshot(side).items() if k not in left_out}


def told(done: Outcome) -> str:
    """All that a tool printed, in one line."""
    return " ".join((done.out + done.err).split())


class Rig:
    """The pgwardens of one file, and how to have a pair of databases."""

    def __init__(
        self,
        folder: Path,
        clusters: Clusters,
        *,
        name: str,
        majors: tuple[int, int],
        commands: tuple[str, ...] = (),
    ) -> None:
        """Start them.

        Args:
            folder: for keys, policies and ledgers.
            clusters: the servers.
            name: of the databases; another one in each file.
            majors: staging's and production's.
            commands: what the permitting pgwarden lets run, see `Story`.
        """
        self.proxies = Proxies(clusters)
        self._folder, self._name, self._count = folder, name, 0
        self._clusters = (clusters.get(majors[0]), clusters.get(majors[1]))
        staging = self._start(0, "staging", recording(), signs=True)
        production = self._start(1, "production", requiring("require"))
        self._proxies = [staging, production]
        if commands:
            text = requiring("require", commands)
            self._proxies.append(self._start(1, "production", text))
        pgwarden(self._side(staging, 0, "none"), "keys", "new")

    def story(self, script: str = START) -> Story:
        """The next pair of databases, of one content."""
        self._count += 1
        assert self._count < MOST_PAIRS
        names = [self._database(place, self._count) for place in ("staging", "live")]
        for cluster, name in zip(self._clusters, names, strict=True):
            create(cluster, name, script)
        staging, production, *more = self._proxies
        return Story(
            self._side(staging, 0, names[0]),
            self._side(production, 1, names[1]),
            self._side(more[0], 1, names[1]) if more else None,
            self._folder,
        )

    def stop(self) -> None:
        """Stop the pgwardens; the servers are shared and stay."""
        self.proxies.stop()

    def _database(self, place: str, number: int) -> str:
        return f"{self._name}_{place}_{number}"

    def _side(self, proxy: Proxy, cluster: int, database: str) -> Side:
        return Side(self._clusters[cluster], database, proxy)

    def _start(
        self, cluster: int, place: str, text: str, *, signs: bool = False
    ) -> Proxy:
        section: dict[str, Any] = {
            "environment": place,
            "keys": str(self._folder / "keys.yaml"),
            "approvals": 1,
        }
        if signs:
            section["signing_key"] = str(self._folder / "staging.key")
        else:
            section["accept"] = [
                {
                    "environment": "staging",
                    "database": self._database("staging", number),
                    "serves": self._database("live", number),
                }
                for number in range(1, MOST_PAIRS)
            ]
        policy = self._folder / f"policy-{len(text)}-{place}.yaml"
        policy.write_text(text, "utf-8")
        settings = {
            "migrations": section,
            "store": {"url": f"sqlite:///{self._folder / place}.db"},
        }
        return self.proxies.start(
            self._clusters[cluster], policy=policy, settings=settings
        )


def ground(side: Side, folder: Path) -> Ground:
    """A folder and an address, for a tool that runs as the migrator of this side."""
    return Ground(folder, side.dsn)
