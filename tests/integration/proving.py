"""Staging and production, each with a pgwarden of its own, and the ledger between them.

Two databases of one content, on servers of two majors if wished. Proofs go by
`export` and `import`, as between separated networks, or are there at once where both
share a store. Next: `tests.fix_proxy`.
"""

from __future__ import annotations

import json
import re
import sqlite3
import subprocess
import sys
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import psycopg
import yaml
from msgspec import structs
from typer.testing import CliRunner

from proxy.cli.main import app
from proxy.migrations.keys import read_private
from proxy.migrations.proof import read_proof, sign_proof
from proxy.migrations.signed import decoded, encoded
from tests.fix_postgres import run
from tests.fix_proxy import merged, ungated_text

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from proxy.demo.postgres import Cluster
    from tests.fix_proxy import Proxy

START = """
CREATE TABLE customer (id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    name text NOT NULL, balance integer NOT NULL DEFAULT 0);
INSERT INTO customer (name, balance) SELECT 'c' || n, n FROM generate_series(1, 100) n;
CREATE TABLE orders (id bigint PRIMARY KEY, customer bigint REFERENCES customer (id));
INSERT INTO orders SELECT n, n FROM generate_series(1, 50) n;
"""


@dataclass(slots=True)
class Side:
    """One environment: a database, and the pgwarden before it."""

    cluster: Cluster
    database: str
    proxy: Proxy

    @property
    def dsn(self) -> str:
        """Of the migrator, through pgwarden."""
        return self.proxy.dsn("migrator", self.database)

    def fetch(self, query: str) -> list[tuple[Any, ...]]:
        """Rows, asked past pgwarden."""
        with psycopg.connect(self.cluster.dsn(self.database)) as connection:
            return connection.execute(query).fetchall()

    def value(self, query: str) -> Any:
        """The one value of a query, asked past pgwarden."""
        return self.fetch(query)[0][0]

    def execute(self, script: str) -> None:
        """Run statements as superuser, past pgwarden."""
        run(self.cluster.dsn(self.database), script)

    def history(self) -> list[tuple[str, dict[str, str]]]:
        """What the store says was done, in order: action and detail."""
        with sqlite3.connect(self.store) as connection:
            rows = connection.execute(
                "SELECT action, detail FROM history ORDER BY rowid"
            )
            return [(action, json.loads(detail)) for action, detail in rows]

    @property
    def store(self) -> Path:
        """The file of its store."""
        settings = yaml.safe_load(self.proxy.settings_path.read_text("utf-8"))
        return Path(settings["store"]["url"].removeprefix("sqlite:///"))

    def key(self) -> str:
        """The id of the only key."""
        [key] = json.loads(self.pgwarden("migration", "keys", "list", "--json"))
        return str(key["id"])

    def pgwarden(self, *arguments: str, code: int = 0) -> str:
        """Run a command with this side's settings; what it prints.

        In this process, as that is quicker; what should fail, as a user would.
        """
        given = [*arguments, "--config", str(self.proxy.settings_path)]
        if code:
            done = subprocess.run(
                [sys.executable, "-P", "-m", "proxy.cli.main", *given],
                capture_output=True, text=True, timeout=120, check=False,
            )  # fmt: skip
            assert done.returncode == code, f"{arguments}: {done.stdout} {done.stderr}"
            return done.stdout
        ran = CliRunner().invoke(app, given)
        assert ran.exit_code == 0, f"{arguments}: {ran.output} {ran.exception}"
        return ran.stdout


@dataclass(slots=True)
class Pair:
    """Both of them.

    Attributes:
        staging: records.
        production: demands proofs.
    """

    staging: Side
    production: Side
    folder: Path = field(repr=False)

    def listed(self) -> list[dict[str, Any]]:
        """The proofs of this staging, as `migration list --json` shows them."""
        name = self.staging.database
        listed = self.staging.pgwarden(
            "migration", "list", "--database", name, "--json"
        )
        found: list[dict[str, Any]] = json.loads(listed)
        return found

    def approve(self, count: int | None = None) -> list[str]:
        """Approve what waits for it on staging and bring it over; the ids."""
        waiting = [p["id"] for p in self.listed() if p["state"] == "recorded"]
        assert count is None or len(waiting) == count, waiting
        for proof in waiting:
            self.staging.pgwarden("migration", "approve", proof, "--by", "ci", "--yes")
        self.carry()
        return waiting

    def carry(self) -> None:
        """Bring the ledger over."""
        file = self.folder / "proofs.json"
        file.unlink(missing_ok=True)
        self.staging.pgwarden("migration", "export", str(file))
        self.production.pgwarden("migration", "import", str(file))


class Guards:
    """The two pgwardens, for one pair of databases after the other."""

    MOST: Final = 60

    def __init__(
        self,
        folder: Path,
        staging: Cluster,
        production: Cluster,
        start: Callable[..., Proxy],
        *,
        proofs: str = "require",
        commands: tuple[str, ...] = (),
        gates: Mapping[str, Any] | None = None,
        approvals: int = 1,
        more: Mapping[str, Any] | None = None,
    ) -> None:
        """Start both, with empty ledgers and a fresh key."""
        self.folder = folder
        self._more = more or {}
        self._clusters = staging, production
        self._word = re.sub(r"\W", "_", folder.name)[:40]
        self._number = 0
        common = {"keys": str(folder / "keys.yaml"), "approvals": approvals}
        recorded = {
            "environment": "staging",
            "signing_key": str(folder / "staging.key"),
            **common,
        }
        held = {
            "environment": "production",
            "accept": [
                {
                    "environment": "staging",
                    "database": self._name("staging", number),
                    "serves": self._name("production", number),
                }
                for number in range(self.MOST)
            ],
            "gates": dict(gates or {}),
            **common,
        }
        self.staging = self._started("staging", staging, start, recorded, recording())
        Side(staging, "", self.staging).pgwarden("migration", "keys", "new")
        policy = requiring(proofs, commands)
        self.production = self._started("production", production, start, held, policy)

    def fresh(self, script: str = START) -> Pair:
        """Two new databases."""
        number, self._number = self._number, self._number + 1
        assert number < self.MOST
        sides = []
        for name, cluster, proxy in (
            ("staging", self._clusters[0], self.staging),
            ("production", self._clusters[1], self.production),
        ):
            database = self._name(name, number)
            create(cluster, database, script)
            sides.append(Side(cluster, database, proxy))
        return Pair(sides[0], sides[1], self.folder)

    def _name(self, environment: str, number: int) -> str:
        return f"{environment}_{self._word}_{number}"

    def _started(
        self,
        name: str,
        cluster: Cluster,
        start: Callable[..., Proxy],
        section: Mapping[str, Any],
        policy: str,
    ) -> Proxy:
        path = self.folder / f"{name}.yaml"
        path.write_text(policy)
        store = {"url": f"sqlite:///{self.folder / name}.db"}
        settings = merged(self._more, {"migrations": section, "store": store})
        return start(cluster, policy=path, settings=settings)


def pair(
    folder: Path,
    staging: Cluster,
    production: Cluster,
    start: Callable[..., Proxy],
    **options: Any,
) -> Pair:
    """Set both up for one pair of databases."""
    return Guards(folder, staging, production, start, **options).fresh()


def resigned(both: Pair, proof_id: str, *, days: int) -> None:
    """Put a proof in the place of another that was recorded so many days later.

    As if a clock had been wrong; signed and approved like any other.
    """
    key = read_private(both.folder / "staging.key")
    with sqlite3.connect(both.production.store) as ledger:
        rows = ledger.execute(
            "SELECT body FROM proofs WHERE id = ? AND kind = 'proof'", (proof_id,)
        )
        proof = read_proof(decoded(rows.fetchone()[0]))
        moved = timedelta(days=days)
        expires = proof.expires_at
        signed = sign_proof(
            structs.replace(
                proof,
                recorded_at=proof.recorded_at + moved,
                started_at=proof.started_at + moved,
                expires_at=None if expires is None else expires + moved,
            ),
            key,
        )
        ledger.execute(
            "INSERT INTO proofs (id, kind, about, added_at, body) "
            "SELECT ?, kind, ?, added_at, ? FROM proofs WHERE id = ?",
            (signed.id, signed.id, encoded(signed), proof_id),
        )


def create(cluster: Cluster, database: str, script: str) -> None:
    """A database that belongs to the migrator's login, as a team's does."""
    run(cluster.dsn(), f"DROP DATABASE IF EXISTS {database} WITH (FORCE)")
    run(cluster.dsn(), f"CREATE DATABASE {database} OWNER pgwarden_migrator")
    run(
        cluster.dsn(database),
        "ALTER SCHEMA public OWNER TO pgwarden_migrator; "
        f"SET ROLE pgwarden_migrator; {script}; RESET ROLE; "
        "GRANT SELECT ON ALL TABLES IN SCHEMA public TO pgwarden_reader",
    )


def recording() -> str:
    """Staging's policy, with a migrator who is recorded."""
    from proxy.shipped import policy_path  # noqa: PLC0415 - here alone

    document = yaml.safe_load(policy_path("staging").read_text("utf-8"))
    document["roles"]["migrator"]["migrations"] = {"proofs": "record"}
    return yaml.safe_dump(document, sort_keys=False)


def requiring(proofs: str, commands: tuple[str, ...] = ()) -> str:
    """Production's policy, with a migrator who needs proofs."""
    document = yaml.safe_load(ungated_text())
    document["roles"]["migrator"]["migrations"] = {
        "proofs": proofs,
        "commands": list(commands),
    }
    return yaml.safe_dump(document, sort_keys=False)
