"""What facts cost, as a multiple of parsing: `python tests/bench/bench_analyse.py`.

For a small, a Prisma and a 600-byte statement: the time of `parse_sql_json`, of decoding
its JSON, and of the whole of `analyse`, with the ratio to the first. The floor for
analyse, decide and record together is 5.
"""

from __future__ import annotations

import sys
import time
import timeit
from typing import TYPE_CHECKING

from msgspec.json import Decoder
from pglast.parser import parse_sql_json

from proxy.sql.analyse import analyse

if TYPE_CHECKING:
    from collections.abc import Callable

TEXTS = {
    "small": "SELECT abalance FROM pgbench_accounts WHERE aid = 12345;",
    "prisma": (
        'SELECT "public"."User"."id", "public"."User"."email" FROM "public"."User" '
        'WHERE ("public"."User"."email" = $1 AND 1=1) LIMIT $2 OFFSET $3'
    ),
    "ctes": (
        "WITH recent AS (SELECT o.id, o.customer_id, o.total, o.created_at "
        "FROM orders o WHERE o.created_at > now() - interval '30 days' "
        "AND o.status <> 'cancelled'), top AS (SELECT r.customer_id, "
        "sum(r.total) AS spent, count(*) AS n FROM recent r GROUP BY r.customer_id "
        "HAVING sum(r.total) > 100) SELECT c.id, c.name, c.email, t.spent, t.n, "
        "coalesce(p.name, 'none') AS favourite FROM top t JOIN customers c "
        "ON c.id = t.customer_id LEFT JOIN LATERAL (SELECT p.name FROM order_items i "
        "JOIN products p ON p.id = i.product_id WHERE i.order_id = t.customer_id "
        "LIMIT 1) p ON true ORDER BY t.spent DESC, c.name LIMIT 50"
    ),
}


def best(run: Callable[[], object], number: int = 200, repeat: int = 60) -> float:
    """The shortest CPU time of one run in microseconds: others may share the machine."""
    timer = time.process_time
    return min(timeit.repeat(run, number=number, repeat=repeat, timer=timer)) / (
        number * 1e-6
    )


def main(number: int = 200) -> None:
    """Print one line a text."""
    decode = Decoder().decode
    print(f"{'':8}{'bytes':>6}{'parse':>8}{'decode':>8}{'analyse':>8}{'ratio':>7}")
    for name, text in TEXTS.items():
        raw = text.encode()
        json = parse_sql_json(text)
        parse = best(lambda text=text: parse_sql_json(text), number)
        decoding = best(lambda json=json: decode(json), number)
        whole = best(lambda raw=raw: analyse(raw), number)
        print(
            f"{name:8}{len(raw):6}{parse:8.2f}{decoding:8.2f}{whole:8.2f}"
            f"{whole / parse:7.2f}"
        )


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 200)
