"""Logging of a process: one line per event on stderr, secrets and personal data taken out of every line, tracebacks included."""

from __future__ import annotations

import logging
import secrets
import sys

from gateway.trace.pens import Redacted, everything
from gateway.trace.redact import Redactor

FORM = "%(asctime)s %(levelname)s %(name)s: %(message)s"


class _Redacting(logging.Formatter):
    def __init__(self, redactor: Redactor, form: str) -> None:
        super().__init__(form)
        self._pen = Redacted(redactor, everything, secrets.token_bytes(32))

    def format(self, record: logging.LogRecord) -> str:
        return self._pen.told(super().format(record))


def configure(redactor: Redactor, level: int = logging.INFO, form: str = FORM) -> None:
    """Sends all logging of this process to stderr. Called once, at the start of a process."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(_Redacting(redactor, form))
    logging.basicConfig(level=level, handlers=[handler], force=True)
    logging.getLogger("uvicorn").setLevel(logging.WARNING)
