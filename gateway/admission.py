"""What of a request is refused before a provider is asked, because afterwards nobody could stop it.

While a policy enforces: what nobody here can judge, what the provider would do by itself without a grant, and what it would fetch from
hosts that the settings do not name. While only observing, the same is noted on the record and let through.
"""

from __future__ import annotations

import re
from urllib.parse import urlsplit

from gateway.errors import GatewayError
from gateway.judge import Court, judge_server_tool, session_facts
from gateway.metering import metered
from gateway.policy import Conversation
from gateway.prompt.pins import of_tools
from gateway.request import Media, Request, ServerTool
from gateway.visit import Visit


async def admit(visit: Visit, request: Request) -> None:
    """Raises GatewayError('refused') for the first thing that may not go on."""
    x, policies = visit.x, visit.gateway.policies
    visit.court = Court(
        policies=policies,
        caller=x.caller,
        request=request,
        session=session_facts(x.caller, request),
        conversation=Conversation(request.messages, visit.gateway.reading, whole=not request.continues, forged=visit.forged),
        holds_secret=visit.gateway.redactor.finds,
        address=visit.gateway.scribe.hands.address,
        meter=visit.reserved,
        exchange=x.id,
        pins=of_tools(pinned.tools, request) if (pinned := visit.gateway.prompts.pins.agents.get(x.caller.agent)) else {},
    )
    if policies.observing:
        x.unevaluated.append("no_policy")
    if request.operation == "pass_through":
        x.unevaluated.append("route:pass_through")
    tools = {tool.path: tool for tool in request.server_tools}
    for name in (*request.unjudged, *request.powerful):
        refusal = await _refusal(visit, request, name, tools.get(name))
        if refusal is not None and x.enforcing:
            raise refusal
        if refusal is not None or policies.observing:
            x.unevaluated.append(f"field:{name}")
    for media in (each for message in request.messages for each in message.media if each.url):
        refusal = _remote(media, visit.gateway.settings.remote_media)
        if refusal is not None and x.enforcing:
            raise refusal
        if refusal is not None:
            x.unevaluated.append(f"field:{media.path}")


async def _refusal(visit: Visit, request: Request, name: str, tool: ServerTool | None) -> GatewayError | None:
    """Why this part of a request cannot go on; None when a policy grants it. The verdict over a provider-run tool is on record."""
    if tool is None:
        return _unjudged(request, name)
    clock = visit.gateway.clock
    start = clock.mono_us()
    at = request.server_tools.index(tool)
    now = clock.now_us()
    call, verdict = await metered(visit, lambda court: judge_server_tool(court, tool, at, now))
    decision = visit.book.decided(call, verdict, clock.mono_us() - start)
    if verdict.released:
        return None
    message = (
        f"The provider would run '{tool.name}' by itself ({name}), and policy does not let it: {verdict.reason} "
        f"Leave the tool out, or grant '{tool.name}' in a policy. [decision {decision}]"
    )
    return GatewayError("refused", "server_tool_denied", message, param=_field(name))


def _unjudged(request: Request, name: str) -> GatewayError:
    why = "lets the provider act on its own" if name in request.powerful else "is not known to this gateway"
    message = (
        f"'{name}' {why}, and nothing here can judge it, so the request was refused. "
        f"Remove it, or admit it in tollhouse.yaml with: allow_fields: {{{request.dialect}: [{name}]}}"
    )
    return GatewayError("refused", "unjudged_field", message, param=_field(name))


def _remote(media: Media, allowed: list[str]) -> GatewayError | None:
    """Why the provider may not fetch this; None when the settings name its host."""
    place = host_of(media.url)
    if place and any(_matches(pattern, place) for pattern in allowed):
        return None
    shown = place or "a URL that readers understand differently"
    message = (
        f"The provider would fetch the {media.kind} at '{media.path}' from {shown}, which may carry data away or bring instructions in. "
        "Send the data itself, or name the host in tollhouse.yaml under remote_media."
    )
    return GatewayError("refused", "remote_media", message, param=_field(media.path))


def host_of(url: str) -> str:
    """`host` of an https URL, `scheme://host` of another one; empty when not every reader would find the same host in it."""
    if not url.isascii() or re.search(r"[\\\s\x00-\x20\x7f]", url):
        return ""
    try:
        parts = urlsplit(url)
        host = parts.hostname or ""
    except ValueError:
        return ""
    if not parts.scheme or "@" in parts.netloc or not re.fullmatch(r"[a-z0-9._-]+|[0-9a-f:.]+", host):
        return ""
    return host if parts.scheme == "https" else f"{parts.scheme}://{host}"


def _matches(pattern: str, place: str) -> bool:
    """`*.example.com` is any host below; `*` any https host; everything else is meant literally. In small letters, as the settings are."""
    if pattern == "*":
        return "://" not in place
    if pattern.startswith("*."):
        return place.endswith(pattern[1:]) and "://" not in place
    return place == pattern


def _field(name: str) -> str:
    """The request's top-level field that a name like `tools[1].type=x` is about."""
    return name.partition("[")[0].partition(".")[0]
