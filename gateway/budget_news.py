"""Tells people that a soft budget is used up: POST requests by the book, as of calls that wait (`gateway/webhooks.py`).

The worker that finds it out says so on the record, once per budget, subject and window; the book reads it there. What is older than an hour
is no news. What was told shortly before a restart may be told again, with the same `x-tollhouse-delivery`.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import httpx

from gateway.stores import Refused
from gateway.webhooks import LONGEST_PAUSE_S, MOST_TRIES, NEWS_US, Hook, Try, send

log = logging.getLogger("gateway.budget_news")

LOOK_EVERY_S = 2.0
_NEWS = """
SELECT f.exchange_id, f.path AS budget, f.detail, e.agent, e.team, e."user", epoch_us(f.started_at) AS at_us
FROM findings AS f JOIN exchanges AS e ON e.id = f.exchange_id
WHERE f.validator = 'budget' AND f.code = 'soft_limit_reached' AND f.started_at > make_timestamp($since)
  AND e.started_at > make_timestamp($since)
ORDER BY f.started_at LIMIT 1000
"""
Fetch = Callable[[str, Mapping[str, Any]], Sequence[Mapping[str, Any]]]


class BudgetNews:
    """Looks for budgets that were used up in the last hour, and tells each receiver once."""

    def __init__(self, fetch: Fetch, hooks: Sequence[Hook], client: httpx.AsyncClient, now_us: Callable[[], int]) -> None:
        self._fetch, self._client, self._now_us = fetch, client, now_us
        self._hooks = [(at, hook) for at, hook in enumerate(hooks) if "budget" in hook.wants.events]
        self._tries: dict[tuple[int, str], Try] = {}

    async def run(self) -> None:
        while True:
            try:
                await self.round()
            except Refused as error:
                log.error("cannot see which budgets are used up: %s", error)  # noqa: TRY400 - the cause is in the message
            await asyncio.sleep(LOOK_EVERY_S)

    async def round(self) -> None:
        news = await asyncio.to_thread(self._fetch, _NEWS, {"since": self._now_us() - NEWS_US})
        known = {(at, _delivery(each)) for each in news for at, _ in self._hooks}
        self._tries = {key: tried for key, tried in self._tries.items() if key in known}
        await asyncio.gather(*(self._tell(at, hook, each) for each in news for at, hook in self._hooks))

    async def _tell(self, at: int, hook: Hook, news: Mapping[str, Any]) -> None:
        delivery = _delivery(news)
        tried = self._tries.setdefault((at, delivery), Try())
        if tried.count < 0 or self._now_us() < tried.due_us:
            return
        problem, final = await send(self._client, hook, delivery, _told(news, hook), self._now_us())
        tried.count += 1
        if problem and not final and tried.count < MOST_TRIES:
            tried.due_us = self._now_us() + int(min(LONGEST_PAUSE_S, 2.0 ** (tried.count - 1)) * 1e6)
            return
        if problem:
            log.error("webhook %d was not told that budget %s is used up: %s", at, news["budget"], problem)
        tried.count = -1


def _delivery(news: Mapping[str, Any]) -> str:
    return f"budget:{news['budget']}:{news['exchange_id']}"


def _told(news: Mapping[str, Any], hook: Hook) -> dict[str, Any]:
    if hook.wants.format == "slack":
        text = f"Budget {news['budget']} is used up (agent {news['agent']}). {news['detail']}"
        return {"text": f"Budget {news['budget']} is used up", "blocks": [_plain_text(text)]}
    return {"event": "budget.used_up", "budget": dict(news)}


def _plain_text(text: str) -> dict[str, Any]:
    """Names that callers chose must not become a link or a mention."""
    return {"type": "section", "text": {"type": "plain_text", "emoji": False, "text": text[:3000]}}


async def tell(fetch: Fetch, hooks: Sequence[Hook], now_us: Callable[[], int]) -> None:
    """Until it is cancelled; nothing to do where nobody wants to know."""
    if any("budget" in hook.wants.events for hook in hooks):
        async with httpx.AsyncClient(trust_env=False) as client:
            await BudgetNews(fetch, hooks, client, now_us).run()
