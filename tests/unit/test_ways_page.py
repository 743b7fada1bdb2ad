"""The page's table of drivers says what the real clients were tried for, no more."""

from __future__ import annotations

import json
import re
from importlib.metadata import version
from pathlib import Path

import psycopg

from tests.clients.ways import TABLE, WAYS

ROOT = Path(__file__).parents[2]
PAGE = ROOT / "docs" / "reference" / "protocol.md"
COLUMNS = {
    "SCRAM-SHA-256": "scram",
    "-PLUS": "scram-plus",
    "certificate": "certificate",
    "certificate and password": "certificate+scram",
    "token": "token",
    "OAUTHBEARER": "oauth",
}


def table() -> list[list[str]]:
    """The cells, row by row, the head first."""
    _, _, after = PAGE.read_text("utf-8").partition("### Which driver can do what\n")
    found = re.search(r"(?:^\|.*\n)+", after, re.MULTILINE)
    assert found
    head, _, *rows = found[0].splitlines()
    return [[cell.strip() for cell in row[1:-1].split("|")] for row in (head, *rows)]


def tried_versions() -> dict[str, str]:
    """Each client's name as the page writes it: with the version that is driven."""
    clients = ROOT / "tests" / "clients"
    node = json.loads((clients / "node" / "package.json").read_text("utf-8"))
    pom = (clients / "java" / "pom.xml").read_text("utf-8")
    jdbc = re.search(r"<artifactId>postgresql</artifactId><version>(.*?)<", pom)
    assert jdbc
    numbers = {
        "asyncpg": version("asyncpg"),
        "node-postgres": node["dependencies"]["pg"],
        "Prisma": node["dependencies"]["prisma"],
    }
    short = {name: ".".join(of.split(".")[:2]) for name, of in numbers.items()}
    names = {name: f"{name} {number}" for name, number in short.items()}
    names["psycopg"] = f"psycopg (libpq {psycopg.pq.version() // 10_000})"
    names["pgjdbc"] = f"pgjdbc {jdbc[1]}"
    return {names.get(client, client): client for client in TABLE}


def test_the_table_of_the_page_is_the_table_of_the_tests() -> None:
    head, *rows = table()
    assert [COLUMNS[name] for name in head[1:]] == list(WAYS)
    names = tried_versions()
    told: dict[str, set[str]] = {}
    for label, *cells in rows:
        assert all(re.match(r"(yes|no)\b", cell) for cell in cells), label
        can = {way for way, cell in zip(WAYS, cells, strict=True) if cell[0] == "y"}
        shown = label.partition(", by its adapter")[0].split(", ")
        told |= {names[name]: can for name in shown}
    assert told == {client: set(ways) for client, ways in TABLE.items()}
