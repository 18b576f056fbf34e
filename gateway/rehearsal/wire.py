"""What the two wire formats of a rehearsal share: compact JSON, cutting text, reading plain text, estimating usage."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import Any, Protocol

from gateway.rehearsal.script import Asked, ScriptedUsage, Turn


class Refused(Exception):  # noqa: N818 - an answer of the provider, not a fault of the rehearsal
    """The provider would refuse this request."""

    def __init__(self, status: int, kind: str, message: str) -> None:
        super().__init__(message)
        self.status = status
        self.kind = kind
        self.message = message


class Wire(Protocol):
    """A provider's wire format; a module satisfies it."""

    NAME: str

    def read(self, body: Any, headers: Mapping[str, str], number: int, size: int) -> Asked: ...
    def whole(self, turn: Turn, asked: Asked) -> bytes: ...
    def frames(self, turn: Turn, asked: Asked) -> Iterator[bytes]: ...
    def error(self, status: int, kind: str, message: str) -> bytes: ...
    def models(self, names: list[str]) -> bytes: ...


def compact(value: Any) -> bytes:
    return json.dumps(value, separators=(",", ":"), ensure_ascii=False).encode()


def pieces(text: str, size: int) -> Iterator[str]:
    for start in range(0, len(text), size):
        yield text[start : start + size]


def text_of(content: Any) -> str:
    """All plain text of a message's content, parts joined by newlines."""
    if isinstance(content, str):
        return content
    if not isinstance(content, list):
        return ""
    return "\n".join(part["text"] for part in content if isinstance(part, dict) and isinstance(part.get("text"), str))


def estimated(turn: Turn, asked: Asked) -> ScriptedUsage:
    """Four bytes to a token: near enough for a script that does not care."""
    said = (
        len(turn.text) + len(turn.thinking) + sum(len(str(c.args or c.arguments or c.input or "")) for c in turn.calls)
    )
    return ScriptedUsage(input=max(1, asked.size // 4), output=max(1, said // 4))
