"""pgcli on a terminal: what it asks to complete names, its describe commands."""

from __future__ import annotations

import importlib.metadata
import os
import pty
import select
import subprocess
import sys
import time

LINES = r"""
SELECT count(*) FROM customers;
\d
\d customers
\d+ orders
\d open_orders
\d+ monthly_revenue
\d invoice_number
\d warehouse.shelves
\d orders_customer_id_idx
\dt
\dt+ public.*
\dv+
\dm+
\ds+
\di+
\df+
\df order_total
\dn+
\du+
\dT+
\dD
\dx+
\db+
\ddp
\dp
\dE
\l
\l+
\sf order_total
\n+
SELECT 1; SELECT 2;
EXPLAIN SELECT * FROM open_orders;
\refresh
"""
_QUIET_S, _LONGEST_S = 0.6, 20.0

print("version", importlib.metadata.version("pgcli"), flush=True)


def wait_until_quiet(screen: int) -> None:
    deadline = time.monotonic() + _LONGEST_S
    while time.monotonic() < deadline:
        if not select.select([screen], [], [], _QUIET_S)[0]:
            return
        os.read(screen, 65536)


screen, side = pty.openpty()
os.environ["TERM"] = "xterm"
with open("config", "w") as config:
    config.write("[main]\nenable_pager = False\ndestructive_warning = off\n")
program = subprocess.Popen(
    [*(sys.executable, "-P", "-m", "pgcli.main"), *("--pgclirc", "config")],
    stdin=side,
    stdout=side,
    stderr=side,
)
os.set_blocking(screen, True)
time.sleep(3)
for line in LINES.strip().split("\n"):
    wait_until_quiet(screen)
    os.write(screen, line.encode() + b"\r")
wait_until_quiet(screen)
time.sleep(2)
os.write(screen, b"\\q\r")
program.wait(20)
