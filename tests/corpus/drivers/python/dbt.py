"""dbt: `debug`, `show`, `compile`, `source freshness`, and the catalog for its docs."""

from __future__ import annotations

import importlib.metadata
import os
from pathlib import Path

from dbt.cli.main import dbtRunner

FILES = {
    "dbt_project.yml": "name: shop\nversion: '1.0'\nprofile: shop\n",
    "profiles.yml": f"""
shop:
  target: production
  outputs:
    production:
      type: postgres
      host: {os.environ["PGHOST"]}
      port: {os.environ["PGPORT"]}
      user: {os.environ["PGUSER"]}
      password: "{os.environ["PGPASSWORD"]}"
      dbname: {os.environ["PGDATABASE"]}
      schema: public
      threads: 1
""",
    "models/big.sql": "SELECT * FROM {{ source('shop', 'orders') }} WHERE id > 4000",
    "models/sources.yml": """
sources:
  - name: shop
    schema: public
    tables:
      - name: orders
        config:
          loaded_at_field: placed_at
          freshness: {warn_after: {count: 1, period: day}}
""",
}
print(
    "version",
    importlib.metadata.version("dbt-core"),
    "on",
    importlib.metadata.version("dbt-postgres"),
)
for name, text in FILES.items():
    path = Path(name)
    path.parent.mkdir(exist_ok=True)
    path.write_text(text)
for command in (
    ["debug"],
    ["compile"],
    ["show", "--inline", "SELECT status, count(*) FROM orders GROUP BY 1"],
    ["show", "--select", "big", "--limit", "3"],
    ["source", "freshness"],
    ["docs", "generate"],
):
    done = dbtRunner().invoke(["--quiet", "--no-send-anonymous-usage-stats", *command])
    if not done.success and command[-1] != "freshness":  # the orders are old indeed
        raise SystemExit(f"dbt {command}: {done.exception}")
