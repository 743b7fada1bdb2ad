"""The statements whose decision is timed, each with a number that makes it new.

Next: `decisions`, `micro`.
"""

from __future__ import annotations

SMALL = "SELECT abalance FROM pgbench_accounts WHERE aid = {number};"
PRISMA = (
    'SELECT "public"."User"."id", "public"."User"."email", "public"."User"."name" '
    'FROM "public"."User" WHERE ("public"."User"."email" = $1 AND '
    '"public"."User"."tenant" = {number}) LIMIT $2 OFFSET $3'
)
CTES = (
    "WITH recent AS (SELECT o.id, o.customer_id, o.total, o.created_at "
    "FROM orders o WHERE o.created_at > now() - interval '30 days' "
    "AND o.status <> 'cancelled'), top AS (SELECT r.customer_id, "
    "sum(r.total) AS spent, count(*) AS n FROM recent r GROUP BY r.customer_id "
    "HAVING sum(r.total) > {number}) SELECT c.id, c.name, c.email, t.spent, t.n, "
    "coalesce(p.name, 'none') AS favourite FROM top t JOIN customers c "
    "ON c.id = t.customer_id LEFT JOIN LATERAL (SELECT p.name FROM order_items i "
    "JOIN products p ON p.id = i.product_id WHERE i.order_id = t.customer_id "
    "LIMIT 1) p ON true ORDER BY t.spent DESC, c.name LIMIT 50"
)
STATEMENTS = {"small": SMALL, "prisma": PRISMA, "ctes": CTES}


def texts(template: str, first: int, count: int) -> list[bytes]:
    """So many different texts of the same length."""
    return [
        template.replace("{number}", str(number)).encode()
        for number in range(first, first + count)
    ]
