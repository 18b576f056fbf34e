"""Who comes in: what a key proves, or nobody in particular where none is needed."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from gateway import identify
from gateway.addresses import host_name, is_loopback
from gateway.errors import GatewayError
from gateway.state.asking import at_once
from gateway.state.keys import KeyRecord
from gateway.visit import Gateway

if TYPE_CHECKING:
    from gateway.people.passes import Passes

_OURS = ("th_", "tha_", "thp_")
"""What tokens of this gateway begin with: those of the admin plane open nothing here, and go to no provider."""


async def admitted(gateway: Gateway, headers: Sequence[tuple[str, str]], query: str, provider: str) -> KeyRecord | None:
    """The key that is presented; None for a caller without one, where none is needed. Raises GatewayError."""
    token = identify.presented_key(headers, query, provider)
    signed = _signers(gateway, token)
    record = await (_signed_for(signed, token) if signed else _found(gateway, token)) if token else None
    required = gateway.keys_required
    if record is None and token and (required or token.startswith(_OURS) or signed):
        raise GatewayError(
            "authentication",
            "invalid_key",
            "This gateway does not know this API key, or it is no longer valid. Make one: tollhouse keys create",
        )
    if record is None and required:
        raise GatewayError(
            "authentication",
            "missing_key",
            "This gateway wants a key. Make one with 'tollhouse keys create' and set it as your SDK's API key.",
        )
    if record is None:
        _refuse_web_pages(dict(headers))
    return record


def _signers(gateway: Gateway, token: str | None) -> Passes | None:
    """Who can tell whom this token proves, where it is a signed one."""
    passes = gateway.passes
    return passes if token and passes is not None and passes.for_agents and passes.takes(token) else None


async def _signed_for(passes: Passes, token: str) -> KeyRecord | None:
    """What an issuer's token proves, as a key would. Its signature is checked in a thread: the keys may have to be fetched."""
    found = passes.agent(token) if passes.at_hand(token) else await asyncio.to_thread(passes.agent, token)
    if found is None:
        return None
    return KeyRecord(found.key_id, found.agent, "", 0, found.team, found.user, org=found.org)


async def _found(gateway: Gateway, token: str) -> KeyRecord | None:
    keys, now = gateway.keys, gateway.clock.now_us()
    ask = at_once if gateway.ask is at_once or keys.at_hand(token, now) else gateway.ask
    return await ask(keys.find, token, now)


def _refuse_web_pages(headers: Mapping[str, str]) -> None:
    """Without a key, whoever reaches the listener may ask; a web page in this machine's browser must not be among them, neither by a
    cross-site request (`Origin`; `Sec-Fetch-Site` for those that carry none) nor by a name that resolves to this machine (`Host`)."""
    if "origin" in headers or headers.get("sec-fetch-site", "none") != "none" or not is_loopback(host_name(headers.get("host", ""))):
        message = "A request without a key must come from a program on this machine, not from a web page or under another name. Use a key."
        raise GatewayError("refused", "foreign_origin", message)
