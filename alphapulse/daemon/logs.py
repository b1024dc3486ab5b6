"""Logs: one JSON object per line, ours and the libraries' alike."""

from __future__ import annotations

import logging
import logging.handlers
import sys
from pathlib import Path
from typing import Any

import structlog

_LARGEST_FILE = 10_000_000
_OLDER_FILES = 3
#: Least severity of what libraries say. Procrastinate's errors come again from our queue, in one line each.
_LIBRARIES = {
    "alembic": logging.WARNING,
    "apscheduler": logging.WARNING,
    "asyncio": logging.WARNING,
    "procrastinate": logging.CRITICAL,
    "psycopg": logging.ERROR,
    "uvicorn": logging.WARNING,
}


def configure(level: str, form: str, *, file: Path | None = None, stderr: bool = True) -> None:
    """level: debug, info, warning or error. form: json or console; the file is always JSON."""
    shared: list[Any] = [
        structlog.contextvars.merge_contextvars,
        structlog.stdlib.add_logger_name,
        structlog.stdlib.add_log_level,
        structlog.stdlib.ExtraAdder(),
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        structlog.processors.format_exc_info,
    ]
    structlog.configure(
        processors=[structlog.stdlib.filter_by_level, *shared, structlog.stdlib.ProcessorFormatter.wrap_for_formatter],
        logger_factory=structlog.stdlib.LoggerFactory(),
        cache_logger_on_first_use=True,
    )
    root = logging.getLogger()
    for handler in list(root.handlers):
        root.removeHandler(handler)
    if stderr:
        root.addHandler(_with(logging.StreamHandler(sys.stderr), form, shared))
    if file is not None:
        rotating = logging.handlers.RotatingFileHandler(file, maxBytes=_LARGEST_FILE, backupCount=_OLDER_FILES)
        root.addHandler(_with(rotating, "json", shared))
    root.setLevel(level.upper())
    for name, least in _LIBRARIES.items():
        logging.getLogger(name).setLevel(least)
    logging.captureWarnings(capture=True)


def _with(handler: logging.Handler, form: str, shared: list[Any]) -> logging.Handler:
    last = (
        structlog.processors.JSONRenderer(sort_keys=False)
        if form == "json"
        else structlog.dev.ConsoleRenderer(colors=sys.stderr.isatty())
    )
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=shared,
            processors=[structlog.stdlib.ProcessorFormatter.remove_processors_meta, last],
        )
    )
    return handler
