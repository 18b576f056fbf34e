"""Whether this installation can translate, and what the settings want translated.

litellm is left out of an image that is to be small. What then cannot work at all is refused at the start, and what no agent may ever ask
for is told. Nothing here loads litellm.
"""

from __future__ import annotations

from collections.abc import Iterator

from gateway import extras
from gateway.config import Settings
from gateway.errors import StartError
from gateway.route_settings import Route
from gateway.upstream.translatable import PAIRS, spoken

MISSING = "litellm is not installed"
HOW = "install what requirements.lock names, or take the image that has litellm (deploy/README.md, Image)"


def possible() -> bool:
    return extras.installed("litellm")


def look(settings: Settings) -> list[str]:
    """Warnings for a start, of requests that will be turned away. Raises StartError where an upstream could never be asked in a dialect
    that it is said to speak, or a target by clients that the route is for: those whose dialect another of its targets speaks."""
    if possible():
        return []
    for name, place in settings.upstreams.items():
        for dialect in place.dialects:
            if dialect not in place.spoken:
                raise StartError(
                    f"upstreams.{name} is asked in {place.spoken[0]} for what is asked for in {dialect}: that needs a translation, and "
                    f"{MISSING}. Take {dialect} out of its dialects, or {HOW}."
                )
    for number, route in enumerate(settings.routes):
        if (found := _unreachable(settings, route)) is not None:
            client, upstream = found
            raise StartError(
                f"routes[{number}] ({', '.join(route.models)}) leads clients that speak {client} to the upstream '{upstream}' too, which "
                f"does not: that needs a translation, and {MISSING}. Give the route targets that speak one dialect, or {HOW}."
            )
    untold = list(dict.fromkeys(_turned_away(settings)))
    return [f"{MISSING}, so nothing is translated: {'; '.join(untold)}. If agents ask so, {HOW}"] if untold else []


def _unreachable(settings: Settings, route: Route) -> tuple[str, str] | None:
    """A dialect that some target speaks, and a target (or mirror) that is asked in it and would need a translation."""
    spoken_here = {name: settings.upstreams[name].dialects for name, _ in route.named}
    clients = dict.fromkeys(dialect for target in route.asked for dialect in spoken_here[target.upstream])
    for client in clients:
        for upstream, dialects in spoken_here.items():
            if client not in dialects and spoken(client, dialects) is not None:
                return client, upstream
    return None


def _turned_away(settings: Settings) -> Iterator[str]:
    for route in settings.routes:
        dialects = [settings.upstreams[target.upstream].dialects for target in route.asked]
        for client in dict.fromkeys(client for client, _ in PAIRS):
            if any(client in each for each in dialects) or all(spoken(client, each) is None for each in dialects):
                continue
            yield f"{', '.join(route.models)} is not served in {client}"
