"""Logs for operations, on stderr: JSON lines for machines, or plain lines for people.

structlog for pgwarden's own events; what libraries say through `logging` takes the same
way. Secrets are taken out by key and by shape before anything is rendered, and control
characters can't reach a terminal. This is not the audit log: see `proxy.audit`.
"""

from __future__ import annotations

import logging
import re
import sys
from typing import TYPE_CHECKING, Final, Literal

import structlog

if TYPE_CHECKING:
    from structlog.typing import EventDict, Processor, WrappedLogger

Format = Literal["json", "console"]
Level = Literal["debug", "info", "warning", "error"]

REDACTED: Final = "[redacted]"

_SECRET_KEY: Final = re.compile(
    r"passw|secret|token|credential|authorization|private_key|scram|salt|nonce",
    re.IGNORECASE,
)
_URL_PASSWORD: Final = re.compile(r"(://[^/\s:@]*:)[^/\s]*(?=@)")
_DSN_PASSWORD: Final = re.compile(
    r"""((?:ssl)?passw(?:ord|d)\s*=\s*)('(?:[^'\\]|\\.)*'|[^\s'&]+)""", re.IGNORECASE
)
_SCRAM_SECRET: Final = re.compile(r"SCRAM-SHA-256\$[^\s\"']+")
_JWT: Final = re.compile(r"\beyJ[\w-]{8,}\.[\w-]{8,}(\.[\w-]*)?")
"""`eyJ` is how base64 spells the beginning of a JSON object: of a token's header."""


def redacted(text: str) -> str:
    """A text without connection strings' passwords, SCRAM secrets and tokens."""
    text = _URL_PASSWORD.sub(rf"\1{REDACTED}", text)
    text = _DSN_PASSWORD.sub(rf"\1{REDACTED}", text)
    text = _JWT.sub(REDACTED, text)
    return _SCRAM_SECRET.sub(REDACTED, text)


def configure(
    log_format: Format = "console", level: Level = "info", *, is_coloured: bool = False
) -> None:
    """Set up structlog and logging for this process; call it once, at the start."""
    render: Processor
    if log_format == "json":
        render = structlog.processors.JSONRenderer()
    else:
        render = structlog.dev.ConsoleRenderer(colors=is_coloured, pad_event_to=0)
    shared: list[Processor] = [
        structlog.contextvars.merge_contextvars,
        structlog.processors.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        structlog.processors.format_exc_info,
        redact,
    ]
    number = logging.getLevelNamesMapping()[level.upper()]
    structlog.configure(
        processors=[*shared, render],
        wrapper_class=structlog.make_filtering_bound_logger(number),
        logger_factory=structlog.WriteLoggerFactory(sys.stderr),
        cache_logger_on_first_use=False,
    )
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=shared,
            processors=[
                structlog.stdlib.ProcessorFormatter.remove_processors_meta,
                render,
            ],
        )
    )
    root = logging.getLogger()
    root.handlers = [handler]
    root.setLevel(number)
    # uvicorn tells its own start and stop, httpx each request; ours are told already.
    quiet = logging.WARNING if number > logging.DEBUG else logging.DEBUG
    for name in ("uvicorn", "httpx"):
        logging.getLogger(name).setLevel(quiet)


def redact(_logger: WrappedLogger, _method: str, event: EventDict) -> EventDict:
    """Processor: take secrets out of an event and make its strings printable."""
    for key, value in event.items():
        if key == "_record":
            continue
        event[key] = REDACTED if _SECRET_KEY.search(key) else _clean(value)
    return event


def _clean(value: object) -> object:
    if isinstance(value, str):
        return _printable(redacted(value))
    if isinstance(value, bytes):
        return _printable(redacted(value.decode("utf-8", "backslashreplace")))
    if isinstance(value, dict):
        return {
            str(key): REDACTED if _SECRET_KEY.search(str(key)) else _clean(each)
            for key, each in value.items()
        }
    if isinstance(value, list | tuple | set | frozenset):
        return [_clean(each) for each in value]
    if value is None or isinstance(value, bool | int | float):
        return value
    return _clean(str(value))


def _printable(text: str) -> str:
    if text.isprintable():
        return text
    return "".join(
        each
        if each.isprintable() or each == "\n"
        else each.encode("unicode_escape", "surrogatepass").decode("ascii")
        for each in text
    )
