"""People who are told what stands in a ledger: what they got, round for round."""

from __future__ import annotations

import asyncio
import uuid
from collections.abc import Sequence
from pathlib import Path

import httpx

from gateway.news import Kind, News
from gateway.stores import Batch
from gateway.stores.duckdb import Ledger
from gateway.trace.exchange_rows import ExchangeRow
from gateway.trace.record import Ended
from gateway.trace.segments import Segment
from gateway.verdict import Finding
from gateway.webhook_settings import Webhook
from gateway.webhooks import Hook

AT = 1_790_000_000_000_000
MINUTE = 60 * 1_000_000


class NewsScene:
    def __init__(self, folder: Path, kind: Kind, hooks: Sequence[Webhook]) -> None:
        self.ledger, self.now, self.answers = Ledger(folder / "ledger.duckdb"), AT, [200]
        self.got: list[httpx.Request] = []
        self.hooks = [Hook(str(each.url), b"secret" if each.secret else b"", each) for each in hooks]
        self._kind, self._count = kind, 0

    def exchange(self, *found: Finding, ago_us: int = MINUTE, agent: str = "bot") -> str:
        self._count += 1
        name = str(uuid.UUID(int=((AT - ago_us) // 1000) << 80 | 7 << 76 | 2 << 62 | self._count))
        row = ExchangeRow(name, AT - ago_us, "openai.chat", "openai", "chat", "/v1", agent, team="red", state="complete")
        batch = Batch(Segment("1" * 32, 0, "2" * 32, 0), [(self._count * 100, Ended(row, (), found))], self._count * 100 + 100, b"h" * 32)
        self.ledger.apply([batch])
        return name

    def receive(self, request: httpx.Request) -> httpx.Response:
        self.got.append(request)
        return httpx.Response(self.answers.pop(0) if len(self.answers) > 1 else self.answers[0])

    def rounds(self, count: int = 1, step_us: int = 1_000_000) -> list[httpx.Request]:
        async def go() -> None:
            async with httpx.AsyncClient(transport=httpx.MockTransport(self.receive)) as client:
                told = News(self._kind, self.ledger.fetch, self.hooks, client, lambda: self.now)
                for _ in range(count):
                    await told.round()
                    self.now += step_us

        asyncio.run(go())
        return self.got
