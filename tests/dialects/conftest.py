"""A driver that obeys the decoder's rules as the pipeline does, and the golden files."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from gateway.dialects.events import Broken, Ended, Event, Forward, Proposed
from gateway.errors import GatewayError
from gateway.verdict import Call
from tests.dialects.telling import told

GOLDEN = Path(__file__).parent.parent / "golden"


def allow(call: Call) -> str | None:
    return "This call cannot be read in one way." if call.problem else None


def deny(call: Call) -> str | None:
    return f"Blocked by policy.\n\ndata: {call.name} stays inside this string."


JUDGES: dict[str, Callable[[Call], str | None]] = {"allowed": allow, "denied": deny}


class Drive:
    """Feeds a stream in pieces; keeps its events and the bytes a client would get. `judge` says why a call is withheld, or None."""

    def __init__(self, stream: Any, judge: Callable[[Call], str | None]) -> None:
        self.stream = stream
        self.judge = judge
        self.events: list[Event] = []
        self.sent = b""
        self.counts: dict[int, list[int]] = {}

    def run(self, pieces: list[bytes]) -> Drive:
        for piece in pieces:
            self._take(self.stream.feed(piece))
        self._take(self.stream.close())
        return self

    def _take(self, events: Iterator[Event]) -> None:
        for event in events:
            self.events.append(event)
            self.sent += self._answer(event)

    def _answer(self, event: Event) -> bytes:
        match event:
            case Forward(raw=raw, clean=clean):
                return raw if clean is None else clean
            case Proposed(call=call):
                return self._judged(call)
            case Ended(choice=choice):
                released, withheld = self.counts.pop(choice, [0, 0])
                return self.stream.ended(event, released, withheld)
            case Broken(raw=raw) if raw:
                return raw
            case Broken(code=code, detail=detail):
                return self.stream.error(GatewayError("upstream", code, detail))
        return b""

    def _judged(self, call: Call) -> bytes:
        why = self.judge(call)
        self.counts.setdefault(call.choice, [0, 0])[why is not None] += 1
        return self.stream.release(call) if why is None else self.stream.explain(call, why)

    @property
    def calls(self) -> list[Call]:
        return [e.call for e in self.events if isinstance(e, Proposed)]

    @property
    def described(self) -> list[Any]:
        return [describe(event) for event in self.events]


def describe(event: Event) -> dict[str, Any]:
    fields = {name: getattr(event, name) for name in event.__struct_fields__}
    shown = {k: v.decode("utf-8", "backslashreplace") if isinstance(v, bytes) else v for k, v in fields.items()}
    return {"event": type(event).__name__, **told(shown)}


@pytest.fixture
def drive() -> Callable[..., Drive]:
    def run(stream: Any, pieces: list[bytes], judge: str = "allowed") -> Drive:
        return Drive(stream, JUDGES[judge]).run(pieces)

    return run


@pytest.fixture
def judges() -> dict[str, Callable[[Call], str | None]]:
    return JUDGES


@pytest.fixture
def expect() -> Callable[[Path, bytes], None]:
    """Compares with a golden file; `GOLDEN=write` in the environment writes it, to be read by a person before it is kept."""

    def compare(path: Path, actual: bytes) -> None:
        if os.environ.get("GOLDEN") == "write":
            path.write_bytes(actual)
        assert path.exists(), f"{path.name} is missing: run the tests once with GOLDEN=write, then read what it wrote"
        assert actual == path.read_bytes()

    return compare


@pytest.fixture
def golden() -> Path:
    return GOLDEN
