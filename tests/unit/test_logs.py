"""Operational logs: readable by machine or person, never with a secret."""

from __future__ import annotations

import json
import logging
from typing import TYPE_CHECKING

import pytest
import structlog

from proxy.logs import REDACTED, configure, redacted

if TYPE_CHECKING:
    from collections.abc import Iterator


@pytest.fixture(autouse=True)
def as_before() -> Iterator[None]:
    root = logging.getLogger()
    handlers, level = root.handlers, root.level
    yield
    structlog.reset_defaults()
    root.handlers, root.level = handlers, level


def test_json_lines(capsys: pytest.CaptureFixture[str]) -> None:
    configure("json", "info")
    structlog.get_logger().debug("unseen")
    structlog.get_logger(component="audit").warning("audit_recovered", outage_s=1.5)
    logging.getLogger("uvicorn").error("it broke: %s", "x\ny")
    logging.getLogger("uvicorn").debug("unseen")
    first, second = map(json.loads, capsys.readouterr().err.splitlines())
    assert first["timestamp"].endswith("Z")
    del first["timestamp"]
    assert first == {
        "event": "audit_recovered",
        "component": "audit",
        "level": "warning",
        "outage_s": 1.5,
    }
    assert (second["event"], second["level"]) == ("it broke: x\ny", "error")


@pytest.mark.parametrize("log_format", ["json", "console"])
def test_secrets_and_escapes_stay_out(
    log_format: str, capsys: pytest.CaptureFixture[str]
) -> None:
    configure("json" if log_format == "json" else "console", "info")
    structlog.get_logger().info(
        "dial \x1b[2J postgresql://ana:hunter2@db/shop",
        password="hunter2",
        settings={"upstream_password": "hunter2", "host": "db"},
        dsns=["host=db password='hunter2 \\' hunter2' user=x"],
        raw=b"user=a password=hunter2",
        stored="SCRAM-SHA-256$4096:hunter2$x:y",
        error=ValueError("at postgres://a:hunter2@h"),
        count=3,
    )
    logging.getLogger("x").warning("postgres://a:%s@h", "hunter2")
    shown = capsys.readouterr().err
    assert "hunter2" not in shown
    assert "\x1b" not in shown
    assert shown.count(REDACTED) == 8
    assert "host" in shown


def test_tracebacks_are_redacted(capsys: pytest.CaptureFixture[str]) -> None:
    configure("json", "info")
    try:
        int("postgres://a:hunter2@h")
    except ValueError:
        structlog.get_logger().exception("failed")
    record = json.loads(capsys.readouterr().err)
    assert "Traceback" in record["exception"]
    assert "hunter2" not in record["exception"]


def test_colours_only_where_asked(capsys: pytest.CaptureFixture[str]) -> None:
    configure("console", "info", is_coloured=True)
    structlog.get_logger().info("hello")
    assert "\x1b[" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("postgres://h/d", "postgres://h/d"),
        ("postgres://a@h", "postgres://a@h"),
        ("postgres://a:p@x@h", f"postgres://a:{REDACTED}@h"),
        ("PASSWORD = x y", f"PASSWORD = {REDACTED} y"),
        ("sslpassword=x", f"sslpassword={REDACTED}"),
        ("port 1:2@3", "port 1:2@3"),
    ],
)
def test_redaction(text: str, expected: str) -> None:
    assert redacted(text) == expected


def test_a_token_is_taken_out_by_its_shape() -> None:
    token = "eyJhbGciOiJFUzI1NiJ9.eyJzdWIiOiJhbm4ifQ.c2lnbmF0dXJl"
    assert redacted(f"user {token} is unknown") == f"user {REDACTED} is unknown"
    # Its signature may have been cut off; its claims are nobody's business either.
    assert redacted(token.rpartition(".")[0]) == REDACTED
    assert redacted("eyJ.is.short") == "eyJ.is.short"
