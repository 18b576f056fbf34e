"""Logging of a process: one line per event on stderr, known secrets taken out of every line, tracebacks included."""

from __future__ import annotations

import logging
import sys

from gateway.trace.redact import Redactor


class _Redacting(logging.Formatter):
    def __init__(self, redactor: Redactor) -> None:
        super().__init__("%(asctime)s %(levelname)s %(name)s: %(message)s")
        self._redactor = redactor

    def format(self, record: logging.LogRecord) -> str:
        return self._redactor.text(super().format(record))


def configure(redactor: Redactor, level: int = logging.INFO) -> None:
    """Sends all logging of this process to stderr. Called once, at the start of a process."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(_Redacting(redactor))
    logging.basicConfig(level=level, handlers=[handler], force=True)
    logging.getLogger("uvicorn").setLevel(logging.WARNING)
