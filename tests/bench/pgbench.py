"""One run of pgbench, and what it tells: transactions, rate, each one's latency.

Always with `--log`, for the latencies: that costs every side the same. Next:
`throughput`, `connections`.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

from proxy.errors import UnavailableError
from tests.bench.figures import percentile
from tests.bench.processes import Cpu, cpu

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from tests.bench.rig import Peer, Rig

_TRANSACTIONS = re.compile(r"number of transactions actually processed: (\d+)")
_FAILED = re.compile(r"number of failed transactions: (\d+)")
_RATE = re.compile(r"^tps = ([\d.]+)", re.MULTILINE)


@dataclass(frozen=True, slots=True)
class Load:
    """What pgbench is asked to do.

    Attributes:
        application: Name of the sessions in the audit log.
        options: Further options, such as ("-S", "-M", "prepared").
        clients: Connections at once.
        threads: Of pgbench's own.
        seconds: How long.
        sslmode: libpq's.
    """

    application: str
    options: tuple[str, ...]
    clients: int
    seconds: float
    threads: int = 1
    sslmode: str = "disable"


@dataclass(frozen=True, slots=True)
class Run:
    """What one run showed.

    Attributes:
        transactions: As pgbench reports them.
        per_s: Its rate, without the time to connect unless each transaction connects.
        p50_us: Median latency.
        p99_us: The slow ones.
        cpu: What the proxy in between used.
    """

    transactions: int
    per_s: float
    p50_us: int
    p99_us: int
    cpu: Cpu

    @property
    def cpu_us(self) -> float:
        """CPU of the proxy for one transaction, in microseconds."""
        return self.cpu.total_s / self.transactions * 1e6


def run(rig: Rig, peer: Peer, load: Load) -> Run:
    """Put a load on one of the ways.

    Raises:
        UnavailableError: a client was turned away or a transaction failed.
    """
    prefix = rig.folder / "latencies"
    command: list[str | Path] = [
        rig.program("pgbench"),
        *("--no-vacuum", *load.options),
        *("-c", str(load.clients), "-j", str(load.threads)),
        *("-T", str(max(1, round(load.seconds)))),
        *("--log", f"--log-prefix={prefix}"),
    ]
    logs: list[Path] = []
    before = cpu(peer.pid)
    try:
        told = rig.client(command, peer.environment(load.application, load.sslmode))
        used = cpu(peer.pid).since(before)
        logs = sorted(rig.folder.glob(f"{prefix.name}.*"))
        latencies = [each for log in logs for each in latencies_us(log.read_bytes())]
    finally:
        for log in logs or rig.folder.glob(f"{prefix.name}.*"):
            log.unlink()
    transactions, per_s = read_report(told)
    p50_us, p99_us = (percentile(latencies, each) for each in (50, 99))
    return Run(transactions, per_s, p50_us, p99_us, used)


def read_report(told: str) -> tuple[int, float]:
    """Transactions and their rate from what pgbench prints.

    Raises:
        UnavailableError: some failed, or nothing was done.
    """
    transactions, rate = _TRANSACTIONS.search(told), _RATE.search(told)
    failed = _FAILED.search(told)
    if (failed is not None and failed[1] != "0") or "aborted" in told:
        raise UnavailableError(f"transactions failed:\n{told}")
    if transactions is None or rate is None or transactions[1] == "0":
        raise UnavailableError(f"pgbench tells no transactions:\n{told}")
    return int(transactions[1]), float(rate[1])


def latencies_us(log: bytes) -> Sequence[int]:
    """The third column of a per-transaction log, in microseconds."""
    return [int(line.split(b" ", 3)[2]) for line in log.splitlines()]
