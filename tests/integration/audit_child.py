"""Runs in a process of its own for test_audit_disk_full.py and test_audit_sigkill.py.

`full-disk FOLDER` (inside a mount namespace), `file-limit FOLDER`, and
`append-forever FOLDER START`. The first two print one JSON object.
"""

from __future__ import annotations

import json
import resource
import subprocess
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING

from proxy.audit.folder import audit_files
from proxy.audit.verify import verify_folder
from proxy.audit.writer import ChainWriter
from proxy.errors import AuditUnavailable
from proxy.logs import configure

if TYPE_CHECKING:
    from collections.abc import Callable

CHILD_PATH = Path(__file__)
BATCH = 5


def record(number: int) -> bytes:
    return b'"kind":"statement","n":%d,"text":"%b"' % (number, b"x" * 300)


def written(folder: Path) -> list[int]:
    """The numbers in whole records; what a kill has torn off is none."""
    return [
        found["n"]
        for path in audit_files(folder)
        for line in path.read_bytes().rpartition(b"\n")[0].splitlines()
        if "n" in (found := json.loads(line))
    ]


def fill_and_recover(folder: Path, make_room: Callable[[], None]) -> None:
    """Append until the disk is full and beyond, make room, append on, verify."""
    writer = ChainWriter(folder, at=time.time())
    accepted: list[int] = []
    refused = 0
    number = 0

    def append() -> bool:
        nonlocal number, refused
        batch = [*range(number, number + BATCH)]
        number += BATCH
        try:
            writer.append([record(each) for each in batch], time.time())
        except AuditUnavailable:
            refused += 1
            return False
        accepted.extend(batch)
        return True

    while append():
        pass
    while_full = verify_folder(folder)
    for _ in range(20):
        append()
    writer.keep([record(1_000_000)])
    size_when_full = sum(path.stat().st_size for path in audit_files(folder))
    make_room()
    accepted.append(1_000_000)  # what has happened comes first when it is over
    outage_over = [append() for _ in range(3)]
    writer.close(time.time())
    report = verify_folder(folder)
    result = {
        "findings": [f.what for f in (*while_full.findings, *report.findings)],
        "notices": [notice.what for notice in report.notices],
        "accepted": accepted,
        "written": written(folder),
        "refused": refused,
        "recovered": outage_over,
        "write_errors": writer.counters.write_errors,
        "unavailable": writer.counters.unavailable,
        "size_when_full": size_when_full,
    }
    sys.stdout.write(json.dumps(result))


def full_disk(folder: Path) -> None:
    mount = ["mount", "-t", "tmpfs", "-o", "size=256k,mode=700", "tmpfs", str(folder)]
    subprocess.run(mount, check=True)
    ballast = folder / "ballast"
    ballast.write_bytes(b"\0" * 65_536)
    fill_and_recover(folder, ballast.unlink)


def file_limit(folder: Path) -> None:
    hard = resource.getrlimit(resource.RLIMIT_FSIZE)[1]
    resource.setrlimit(resource.RLIMIT_FSIZE, (100_001, hard))
    fill_and_recover(
        folder, lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (hard, hard))
    )


def append_forever(folder: Path, start: int) -> None:
    """Big batches, so that a SIGKILL lands inside a write; says what is written."""
    writer = ChainWriter(folder, at=time.time())
    number = start
    while True:
        batch = [record(each) for each in range(number, number + 500)]
        writer.append(batch, time.time())
        number += 500
        sys.stdout.write(f"{number}\n")
        sys.stdout.flush()


if __name__ == "__main__":
    configure("json")
    match sys.argv[1:]:
        case ["full-disk", folder]:
            full_disk(Path(folder))
        case ["file-limit", folder]:
            file_limit(Path(folder))
        case ["append-forever", folder, start]:
            append_forever(Path(folder), int(start))
        case _:
            sys.exit(2)
