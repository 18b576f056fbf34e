"""Builders of records, and a journal folder to read them from."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest

from gateway.exchange import Finding, RuleHit
from gateway.stores import Batch
from gateway.trace import frames, record
from gateway.trace.record import Booted, CallRow, Decided, Ended, ExchangeRow, MessageRow, Opened, PromptRow, Record
from gateway.trace.segments import Segment

START_US = 1_790_000_000_000_000


class Make:
    """Records with as little said as possible; ids and boots are small numbers."""

    def segment(self, run: int = 1, slot: int = 0, boot: int = 1, seq: int = 0) -> Segment:
        return Segment(f"{run:032x}", slot, f"{boot:032x}", seq)

    def booted(self, segment: Segment) -> Booted:
        return Booted(segment.run, segment.slot, segment.boot, START_US, "0.1")

    def exchange(self, key: int, **more: Any) -> ExchangeRow:
        given: dict[str, Any] = {
            "id": f"{key:032x}", "started_us": START_US + key, "dialect": "openai.chat", "provider": "openai",
            "operation": "chat", "route": "/v1/chat/completions", "agent": "coder", **more,
        }  # fmt: skip
        return ExchangeRow(**given)

    def call(self, key: int, exchange: int, *, released: bool = True) -> CallRow:
        hits = (RuleHit("bank", "no-strangers", "deny", message="not a known payee", line=7),)
        return CallRow(
            f"{exchange:032x}", f"dec_{key}", START_US + key, 0, f"call_{key}", "send_money", "function", '{"amount": 1}', "ab",
            "allow" if released else "deny", released, "granted" if released else "rule", "because", "coder",
            hits=() if released else hits,
        )  # fmt: skip

    def opened(self, key: int, **more: Any) -> Opened:
        return Opened(self.exchange(key, **more), (self.message(key),))

    def decided(self, key: int, exchange: int, *, released: bool = True) -> Decided:
        return Decided(self.call(key, exchange, released=released))

    def ended(self, key: int, *, calls: Sequence[CallRow] = (), **more: Any) -> Ended:
        row = self.exchange(key, **{"state": "complete", "cost": "0.000012345", **more})
        return Ended(row, tuple(calls), (Finding("strict_json", "dup_key", "error", "$", "twice"),), (self.message(key),))

    def message(self, key: int) -> MessageRow:
        return MessageRow(f"{key:032x}", "user", f"body {key}", START_US + key)

    def prompt(self, name: str, agent: str, text: str) -> PromptRow:
        return PromptRow(name, START_US, agent, text, "[]")

    def batch(self, segment: Segment, records: Sequence[Record], start: int = 0) -> Batch:
        """As if each record took ten bytes."""
        placed = [(start + 10 * n, each) for n, each in enumerate(records)]
        return Batch(segment, placed, start + 10 * len(records), bytes(32))

    def write(self, folder: Path, segment: Segment, records: Sequence[Record], head: bytes = frames.GENESIS) -> bytes:
        """A segment file; its last hash."""
        data = b""
        for each in records:
            raw, head = frames.frame(head, record.encode(each))
            data += raw
        folder.mkdir(exist_ok=True)
        (folder / segment.name).write_bytes(data)
        return head


@pytest.fixture(scope="session")
def make() -> Make:
    return Make()


@pytest.fixture
def journal(tmp_path: Path) -> Path:
    folder = tmp_path / "journal"
    folder.mkdir()
    return folder


@pytest.fixture
def write(make: Make, journal: Path) -> Callable[..., bytes]:
    def written(segment: Segment, *records: Record, head: bytes = frames.GENESIS) -> bytes:
        return make.write(journal, segment, records, head)

    return written
