"""Tells people of calls that wait for them: POST requests to where the settings say, sent by the book and never by a worker.

1. The store remembers of which changes people were told, so a restart forgets none; what was told just before one may be told again, with
   the same `x-tollhouse-delivery`. What is older than an hour is no news: nobody is told.
2. What fails is tried again, each time after twice as long; one receiver that is down keeps no other waiting. After `MOST_TRIES`, or when
   the receiver refuses, it is given up and logged: the approval itself is not touched by that.
3. Signed: `x-tollhouse-signature: v1=` HMAC-SHA256 over `<x-tollhouse-timestamp>.<body>`, hex. A receiver checks it, and refuses old times.
"""

from __future__ import annotations

import asyncio
import hashlib
import hmac
import logging
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import msgspec
from msgspec import Struct

from gateway.addresses import encrypted_url
from gateway.errors import GatewayError, StartError
from gateway.key_source import KeySource
from gateway.state.approvals import Approval, Approvals
from gateway.webhook_settings import Webhook

if TYPE_CHECKING:  # loaded where somebody is to be told
    import httpx

log = logging.getLogger("gateway.webhooks")

LOOK_EVERY_S = 1.0
TIMEOUT_S = 10.0
LOOKED_AT = 1000
AT_ONCE = 20
NEWS_US = 3600 * 1_000_000
MOST_TRIES = 10
LONGEST_PAUSE_S = 300.0
ARGUMENTS_SHOWN = 2000


class Hook(Struct, frozen=True):
    """A receiver, its secrets read."""

    url: str
    secret: bytes
    """Empty: not signed."""
    wants: Webhook


class Try(Struct):
    """How far telling one receiver of one change has come."""

    count: int = 0
    due_us: int = 0


def read_hooks(settings: Sequence[Webhook], environment: Mapping[str, str]) -> list[Hook]:
    """Raises StartError for a URL or secret that is not there."""
    hooks = []
    for at, wants in enumerate(settings):
        name = f"approvals.webhooks[{at}]"
        url = wants.url if isinstance(wants.url, str) else _checked(_read(wants.url, environment, f"{name}.url"), name)
        secret = _read(wants.secret, environment, f"{name}.secret") if wants.secret else ""
        hooks.append(Hook(url, secret.encode(), wants))
    return hooks


def _read(source: KeySource, environment: Mapping[str, str], name: str) -> str:
    found = source.read(environment)
    if not found:
        raise StartError(f"{name} is to be found in {source.env or source.file}, and nothing is there; set it, or take the webhook out")
    return found


def _checked(url: str, name: str) -> str:
    try:
        return encrypted_url(url)
    except ValueError as error:
        raise StartError(f"{name}.url {error}") from error


class Webhooks:
    """Looks for what people were not told yet, and tells them."""

    def __init__(self, approvals: Approvals, hooks: Sequence[Hook], client: httpx.AsyncClient, now_us: Callable[[], int]) -> None:
        self._approvals, self._hooks, self._client, self._now_us = approvals, hooks, client, now_us
        self._tries: dict[tuple[int, str, int], Try] = {}
        self._lines = asyncio.Semaphore(AT_ONCE)

    async def run(self) -> None:
        while True:
            try:
                await self.round()
            except GatewayError as error:
                log.error("cannot see what people were not told: %s", error)  # noqa: TRY400 - the cause is in the message
            except Exception:
                log.exception("people could not be told; trying again")
            await asyncio.sleep(LOOK_EVERY_S)

    async def round(self) -> None:
        """Tells each receiver what is due."""
        untold = await asyncio.to_thread(self._approvals.untold, LOOKED_AT)
        kept = {(at, each.id, each.change) for each in untold for at in range(len(self._hooks))}
        self._tries = {key: found for key, found in self._tries.items() if key in kept}
        done = await asyncio.gather(*(self._tell_all(each) for each in untold))
        told = [each for each, is_done in zip(untold, done, strict=True) if is_done]
        if told:
            await asyncio.to_thread(self._approvals.told, told)

    async def _tell_all(self, approval: Approval) -> bool:
        return all(await asyncio.gather(*(self._tell(at, hook, approval) for at, hook in enumerate(self._hooks))))

    async def _tell(self, at: int, hook: Hook, approval: Approval) -> bool:
        """Whether this receiver needs to be told no more."""
        if approval.state not in hook.wants.events or self._is_old(approval):
            return True
        tried = self._tries.setdefault((at, approval.id, approval.change), Try())
        if tried.count < 0:
            return True
        if self._now_us() < tried.due_us:
            return False
        async with self._lines:
            problem, final = await self._send(hook, approval)
        tried.count += 1
        if problem and not final and tried.count < MOST_TRIES:
            tried.due_us = self._now_us() + int(min(LONGEST_PAUSE_S, 2.0 ** (tried.count - 1)) * 1e6)
            return False
        if problem:
            log.error("webhook %d was not told that %s is %s: %s", at, approval.id, approval.state, problem)
        tried.count = -1
        return True

    def _is_old(self, approval: Approval) -> bool:
        changed = max(approval.created_us, approval.decided_us or 0, approval.used_us or 0)
        if approval.state == "expired":
            changed = approval.expires_us
        return changed < self._now_us() - NEWS_US

    async def _send(self, hook: Hook, approval: Approval) -> tuple[str, bool]:
        told = payload(approval, hook.wants)
        return await send(self._client, hook, f"{approval.id}:{approval.change}", told, self._now_us())


async def send(client: httpx.AsyncClient, hook: Hook, delivery: str, told: dict[str, Any], now_us: int) -> tuple[str, bool]:
    """(what went wrong or empty, whether trying again is of no use)."""
    import httpx

    body = msgspec.json.encode(told)
    headers = {"content-type": "application/json", "x-tollhouse-delivery": delivery}
    headers |= signature(hook.secret, now_us // 1_000_000, body)
    try:
        answer = await client.post(hook.url, content=body, headers=headers, timeout=TIMEOUT_S, follow_redirects=False)
    except httpx.HTTPError as error:
        return type(error).__name__, False
    except httpx.InvalidURL:
        return "its URL cannot be used", True
    if answer.is_success:
        return "", True
    return f"it answered {answer.status_code}", answer.status_code < 500 and answer.status_code not in (408, 425, 429)


async def tell(approvals: Approvals, hooks: Sequence[Hook], now_us: Callable[[], int]) -> None:
    """Tells people until it is cancelled; nothing to do without receivers."""
    if hooks:
        import httpx

        async with httpx.AsyncClient(trust_env=False) as client:
            await Webhooks(approvals, hooks, client, now_us).run()


def signature(secret: bytes, at_s: int, body: bytes) -> dict[str, str]:
    if not secret:
        return {}
    digest = hmac.new(secret, f"{at_s}.".encode() + body, hashlib.sha256).hexdigest()
    return {"x-tollhouse-timestamp": str(at_s), "x-tollhouse-signature": f"v1={digest}"}


def payload(approval: Approval, wants: Webhook) -> dict[str, Any]:
    return _for_slack(approval, wants) if wants.format == "slack" else _plain(approval, wants)


def _plain(approval: Approval, wants: Webhook) -> dict[str, Any]:
    fields = {name: getattr(approval, name) for name in approval.__struct_fields__ if name != "bindings"}
    if not wants.arguments:
        fields |= {"arguments": None, "edited": None}
    return {"event": f"approval.{approval.state}", "approval": fields}


def _for_slack(approval: Approval, wants: Webhook) -> dict[str, Any]:
    """Plain text only: what a model wrote must not become a link or a mention."""
    who = f"{approval.agent} (for {approval.user})" if approval.user else approval.agent
    lines = [f"{approval.tool}, asked by {who}: {approval.state}", approval.message]
    if wants.arguments:
        lines.append(approval.arguments[:ARGUMENTS_SHOWN])
    if approval.state == "pending":
        lines.append(f"tollhouse approvals approve {approval.id}   |   tollhouse approvals deny {approval.id} --reason …")
    elif approval.decided_by:
        lines.append(f"by {approval.decided_by} {approval.reason}".strip())
    shown = {"type": "plain_text", "emoji": False, "text": "\n".join(lines)[:3000]}
    return {"text": f"Approval {approval.id} is {approval.state}", "blocks": [{"type": "section", "text": shown}]}
