"""Logging of a process: one line per event on stderr, secrets and personal data taken out of every line, tracebacks included.

As text for people, or as one JSON object each (`log: json`): then with the ids of the exchange that the line is about and of its trace and
span, so that a log store finds the line from the trace and the exchange from the line. What is taken out is taken out of every value,
before it is written as JSON: afterwards a secret could hide behind the escapes.
"""

from __future__ import annotations

import datetime as dt
import logging
import secrets
import sys
from contextvars import ContextVar
from typing import Literal

import msgspec

from gateway.exchange import TraceParent
from gateway.trace import propagation
from gateway.trace.pens import Redacted, everything
from gateway.trace.redact import Redactor

FORM = "%(asctime)s %(levelname)s %(name)s: %(message)s"
about: ContextVar[tuple[str, TraceParent | None] | None] = ContextVar("about", default=None)
"""Id of the exchange that the running task is at, and where its client's `traceparent` names a trace. Not the exchange: connections and
timers that are made meanwhile keep what is here for as long as they last."""


class _Text(logging.Formatter):
    def __init__(self, pen: Redacted, form: str) -> None:
        super().__init__(form)
        self._pen = pen

    def format(self, record: logging.LogRecord) -> str:
        return self._pen.told(super().format(record))


class _Json(logging.Formatter):
    def __init__(self, pen: Redacted, process: str) -> None:
        super().__init__()
        self._pen, self._process = pen, process

    def format(self, record: logging.LogRecord) -> str:
        found = {
            "time": dt.datetime.fromtimestamp(record.created, dt.UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z"),
            "level": record.levelname.lower(),
            "process": self._process,
            "logger": record.name,
            "message": self._told(record.getMessage()),
            **_ids(about.get()),
        }
        if record.exc_info:
            found["exception"] = self._told(self.formatException(record.exc_info))
        if record.stack_info:
            found["stack"] = self._told(self.formatStack(record.stack_info))
        return msgspec.json.encode(found).decode()

    def _told(self, text: str) -> str:
        """Half a surrogate pair has no place in JSON."""
        return self._pen.told(text).encode("utf-8", "backslashreplace").decode()


def _ids(at: tuple[str, TraceParent | None] | None) -> dict[str, str]:
    """Of one without a `traceparent`, those that its span has when it is told."""
    if at is None:
        return {}
    exchange, client = at
    trace = propagation.trace_id(exchange, client.trace_id if client else None)
    return {"exchange_id": exchange, "trace_id": f"{trace:032x}", "span_id": f"{propagation.span_id(exchange):016x}"}


def configure(
    redactor: Redactor,
    level: int = logging.INFO,
    form: str = FORM,
    *,
    style: Literal["text", "json"] = "text",
    process: str = "worker",
) -> None:
    """Sends all logging of this process to stderr. Called at the start of a process, and again when it knows more secrets."""
    pen = Redacted(redactor, everything, secrets.token_bytes(32))
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(_Json(pen, process) if style == "json" else _Text(pen, form))
    logging.basicConfig(level=level, handlers=[handler], force=True)
    logging.getLogger("uvicorn").setLevel(logging.WARNING)
    logging.getLogger("httpx").setLevel(logging.WARNING)  # it tells each address whole, and that of a webhook is a secret
