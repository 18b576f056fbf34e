"""The few exceptions of the gateway, each with a kind that every dialect knows how to say.

A denial of a tool call is *not* here: it is a value (`exchange.Verdict`). What is here ends a request (or a start)
before an answer exists, or says that no answer can be trusted. A library's exceptions are translated where the library is called.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Literal

Kind = Literal[
    "bad_request",  # 400 the body or a field is not what the dialect defines
    "authentication",  # 401 no key, an unknown key, a revoked key
    "refused",  # policy or a closed table refuses the request: 400 for OpenAI, 451 for Anthropic
    "not_found",  # 404 no such path or model
    "method",  # 405
    "upgrade",  # 426 WebSocket where only HTTP is served
    "timeout",  # 408 the client took too long to send
    "too_large",  # 413
    "over_budget",  # 402 nothing is left, and waiting frees nothing
    "too_many",  # 429 nothing is left for a while; carries Retry-After
    "upstream",  # 502 the provider cannot be reached or answered nonsense
    "upstream_timeout",  # 504
    "unavailable",  # 503 the gateway cannot serve (journal, shutdown); carries Retry-After
]
"""What went wrong, in words every dialect can translate to its own status and body."""


class GatewayError(Exception):
    """Ends one request with an error in the caller's dialect.

    `code` is stable and machine readable (`invalid_json`, `unknown_field`, …); `message` says what happened *and what to do*;
    `param` names the offending field, when there is one; `retry_after` is in seconds.
    """

    def __init__(
        self, kind: Kind, code: str, message: str, *, param: str | None = None, retry_after: int | None = None
    ) -> None:
        super().__init__(message)
        self.kind: Kind = kind
        self.code = code
        self.message = message
        self.param = param
        self.retry_after = retry_after


Severity = Literal["error", "warning", "note"]
"""An error keeps a file from being used; a warning is probably a mistake; a note is worth knowing."""


@dataclass(frozen=True, slots=True)
class Problem:
    """One defect of a file people wrote: where it is (1-based line and column) and what to do about it."""

    file: str
    line: int
    column: int
    message: str
    source: str = ""
    """The text of that line, for the caret display; empty when the file could not be read."""
    code: str = ""
    """Stable name of the kind of defect (`TH103`); empty where the file has no such list."""
    severity: Severity = "error"

    def __str__(self) -> str:
        head = f"{self.file}:{self.line}:{self.column}: {self.severity}: {self.message}"
        if not self.source:
            return head
        return f"{head}\n    {self.source}\n    {' ' * (self.column - 1)}^"


def coded(code: str, problems: Iterable[Problem]) -> list[Problem]:
    """The problems with this code, where they have none yet."""
    return [one if one.code else replace(one, code=code) for one in problems]


class FileProblems(Exception):  # noqa: N818 - holds problems, is not one
    """A configuration or policy file cannot be used; holds *all* its problems, not only the first."""

    def __init__(self, problems: Sequence[Problem]) -> None:
        super().__init__("\n".join(str(p) for p in problems))
        self.problems = tuple(problems)


class StartError(Exception):
    """The gateway refuses to start; the message says what to change."""


class LedgerInUse(StartError):  # noqa: N818 - names a state, not a mistake
    """Another process has the ledger's file open. Waiting mends it."""


class ClientGone(Exception):  # noqa: N818 - names an event
    """The client left before its request was whole: there is nobody to answer."""


class JournalUnavailable(Exception):  # noqa: N818 - names a state, not a mistake
    """The journal cannot make records durable (disk full, read-only, failed fsync): nothing may be answered."""


class RecordTooLong(JournalUnavailable):
    """For one record alone, now and later: it is longer than the journal takes."""
