"""How long `pgwarden replay` takes: `python -m tests.bench.replay`, by hand.

Makes a log of so many records with so many different texts, some much more frequent
than others, of developers and a deploy job under the production policy, and replays it
under that policy and under a stricter one. Next: `proxy.replay.run`.
"""

from __future__ import annotations

import argparse
import os
import random
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING

from proxy.cli.offline import load_policy
from proxy.session.judge import Judge
from proxy.shipped import policy_path
from tests.bench.statements import CTES, PRISMA, SMALL
from tests.made_log import MadeLog

if TYPE_CHECKING:
    from collections.abc import Sequence

TEMPLATES = (
    SMALL,
    PRISMA,
    CTES,
    "SELECT count(*) FROM orders WHERE status = 'new' AND total > {number}",
    "INSERT INTO orders (customer_id, total) VALUES ({number}, 10), ({number}, 20)",
    "UPDATE orders SET note = 'seen {number}' WHERE id = {number}",
    "SET statement_timeout = {number}",
    "BEGIN",
    "COMMIT",
)
WEIGHTS = (30, 30, 10, 10, 2, 2, 2, 7, 7)
A_SESSION = 50
"""Statements of one session."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Make the log, replay it, and say how long that took."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--records", type=int, default=1_000_000)
    parser.add_argument("--texts", type=int, default=20_000)
    parser.add_argument("--jobs", type=int, default=0)
    wish = parser.parse_args(arguments)
    with tempfile.TemporaryDirectory(prefix="pgwarden-replay-") as name:
        folder = Path(name) / "audit"
        make_log(folder, records=wish.records, texts=wish.texts)
        size = sum(file.stat().st_size for file in folder.iterdir())
        _say(
            f"{wish.records:,} records, {size / 1e6:,.0f} MB, "
            f"{wish.texts:,} different texts, {os.cpu_count()} cores"
        )
        stricter = Path(name) / "stricter.yaml"
        text = policy_path("production").read_text()
        stricter.write_text(text.replace("relations: [{access: [read]}]", "", 1))
        for policy in (policy_path("production"), stricter):
            _say(_timed(folder, policy, wish.jobs))
    return 0


def _timed(folder: Path, policy: Path, jobs: int) -> str:
    command = ["replay", "--log", str(folder), "--policy", str(policy)]
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    started = time.monotonic()
    done = subprocess.run(
        [sys.executable, "-m", "proxy.cli.main", *command, "--jobs", str(jobs)],
        stdout=subprocess.PIPE,
        text=True,
        check=False,
    )
    seconds = time.monotonic() - started
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    cpu_s = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    return (
        f"{policy.name}: {seconds:.1f} s, {cpu_s:.1f} s of CPU, at most "
        f"{after.ru_maxrss / 1024:.0f} MiB a process\n{done.stdout.splitlines()[-1]}"
    )


def _say(line: str) -> None:
    sys.stdout.write(f"{line}\n")
    sys.stdout.flush()


def make_log(folder: Path, *, records: int, texts: int) -> None:
    """A log of at least so many records."""
    chance = random.Random(1)
    judges = {role: _judge(role) for role in ("developer", "migrator")}
    some = [
        chance.choices(TEMPLATES, WEIGHTS)[0].replace("{number}", str(n))
        for n in range(texts)
    ]
    # Zipf's law: the n-th most frequent text is n times as rare as the first.
    cumulated = [0.0]
    for rank in range(1, texts + 1):
        cumulated.append(cumulated[-1] + 1 / rank)
    with MadeLog(folder) as log:
        made = 0
        while made < records:
            number = chance.randrange(40)
            role = "migrator" if number == 0 else "developer"
            session = log.session(
                judges[role],
                role,
                identity=f"person{number}",
                application_name=chance.choice(("psql", "prisma", "metabase")),
            )
            made += 2
            picked = chance.choices(some, cum_weights=cumulated[1:], k=A_SESSION)
            for text in picked:
                made += 1 + session.query(text)
            session.end()


def _judge(role: str) -> Judge:
    return Judge(load_policy(policy_path("production")), role, database="shop")


if __name__ == "__main__":
    sys.exit(main())
