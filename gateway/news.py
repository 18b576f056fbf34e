"""Tells people what the book has come to know: POST requests by the book, as of calls that wait (`gateway/webhooks.py`).

What is news stands on record, and the book reads it there. What is older than an hour is no news. What was told shortly before a restart
may be told again, with the same `x-tollhouse-delivery`.

Not here: which news there is (`budget_news.py`, `experiment_news.py`, `prompt_news.py`).
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from gateway.stores import Refused
from gateway.webhooks import LONGEST_PAUSE_S, MOST_TRIES, NEWS_US, Hook, Try, send

if TYPE_CHECKING:  # loaded where somebody is to be told
    import httpx

log = logging.getLogger("gateway.news")

LOOK_EVERY_S = 2.0
Row = Mapping[str, Any]
Fetch = Callable[[str, Mapping[str, Any]], Sequence[Row]]


@dataclass(frozen=True)
class Kind:
    """One kind of news. `event` is what receivers ask for; the SQL has `$since`."""

    event: str
    query: str
    delivery: Callable[[Row], str]
    """Another one for each piece of news."""
    subject: Callable[[Row], str]
    """One line for people; holds no name that a caller chose."""
    text: Callable[[Row], str]
    """More of it."""
    told: Callable[[Row], dict[str, Any]]
    """For programs."""


class News:
    """Looks for news of the last hour, and tells each receiver once."""

    def __init__(self, kind: Kind, fetch: Fetch, hooks: Sequence[Hook], client: httpx.AsyncClient, now_us: Callable[[], int]) -> None:
        self._kind, self._fetch, self._client, self._now_us = kind, fetch, client, now_us
        self._hooks = [(at, hook) for at, hook in enumerate(hooks) if kind.event in hook.wants.events]
        self._tries: dict[tuple[int, str], Try] = {}

    async def run(self) -> None:
        while self._hooks:
            try:
                await self.round()
            except Refused as error:
                log.error("cannot see what is new (%s): %s", self._kind.event, error)  # noqa: TRY400 - the cause is in the message
            await asyncio.sleep(LOOK_EVERY_S)

    async def round(self) -> None:
        news = await asyncio.to_thread(self._fetch, self._kind.query, {"since": self._now_us() - NEWS_US})
        known = {(at, self._kind.delivery(each)) for each in news for at, _ in self._hooks}
        self._tries = {key: tried for key, tried in self._tries.items() if key in known}
        await asyncio.gather(*(self._tell(at, hook, each) for each in news for at, hook in self._hooks))

    async def _tell(self, at: int, hook: Hook, news: Row) -> None:
        delivery = self._kind.delivery(news)
        tried = self._tries.setdefault((at, delivery), Try())
        if tried.count < 0 or self._now_us() < tried.due_us:
            return
        problem, final = await send(self._client, hook, delivery, self._form(news, hook), self._now_us())
        tried.count += 1
        if problem and not final and tried.count < MOST_TRIES:
            tried.due_us = self._now_us() + int(min(LONGEST_PAUSE_S, 2.0 ** (tried.count - 1)) * 1e6)
            return
        if problem:
            log.error("webhook %d was not told: %s: %s", at, self._kind.subject(news), problem)
        tried.count = -1

    def _form(self, news: Row, hook: Hook) -> dict[str, Any]:
        if hook.wants.format != "slack":
            return self._kind.told(news)
        return {"text": self._kind.subject(news), "blocks": [_plain_text(self._kind.text(news))]}


def _plain_text(text: str) -> dict[str, Any]:
    """Names that callers chose must not become a link or a mention."""
    return {"type": "section", "text": {"type": "plain_text", "emoji": False, "text": text[:3000]}}


async def tell(kinds: Sequence[Kind], fetch: Fetch, hooks: Sequence[Hook], now_us: Callable[[], int]) -> None:
    """Until it is cancelled; nothing to do where nobody wants to know."""
    if not hooks:
        return
    import httpx

    async with httpx.AsyncClient(trust_env=False) as client:
        await asyncio.gather(*(News(kind, fetch, hooks, client, now_us).run() for kind in kinds))
