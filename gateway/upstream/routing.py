"""Which upstream a model goes to. Pure: settings in, choice out."""

from __future__ import annotations

import re
from collections.abc import Mapping

from msgspec import Struct

from gateway.config import Settings
from gateway.errors import GatewayError
from gateway.exchange import Endpoint
from gateway.upstream.translatable import spoken


class Target(Struct, frozen=True):
    """An upstream with its key at hand. Never printed: `repr` leaves the key out."""

    name: str
    base_url: str
    key: str | None
    dialects: tuple[str, ...] = ()
    """What it speaks."""

    def __repr__(self) -> str:
        return f"Target({self.name}, {self.base_url}, key {'set' if self.key else 'none'})"


class Routes:
    """The routes of the settings, compiled. `keys` holds the provider key of each upstream that has one."""

    def __init__(self, settings: Settings, keys: Mapping[str, str]) -> None:
        self._settings = settings
        self._targets = {name: Target(name, up.base_url, keys.get(name), up.dialects) for name, up in settings.upstreams.items()}
        self._passing = [
            (re.compile("|".join(map(_passed, each.routes))), each.upstream) for each in settings.pass_through
        ]
        self._rules = [(re.compile("|".join(map(_pattern, r.models))), r.upstream) for r in settings.routes]

    def find(self, dialect: str, model: str) -> Target:
        """An upstream that speaks the dialect comes before one that would need translation, whatever the order of the routes. Raises
        GatewayError('not_found') naming what would be accepted."""
        name = self._routed(dialect, model) if self._rules else self._first(dialect)
        return self._keyed(name)

    def passing(self, method: str, path: str) -> tuple[str, Endpoint] | None:
        """(dialect, endpoint) of a route that the settings let pass unjudged, with or without `/v1`. Its subject is the upstream."""
        below = path.removeprefix("/v1")
        for pattern, name in self._passing:
            if pattern.fullmatch(f"{method} {below}"):
                return self._settings.upstreams[name].dialects[0], Endpoint(method, "pass_through", below, name)
        return None

    def named(self, name: str) -> Target:
        """The upstream of this name, which some earlier answer came from. Raises GatewayError('not_found') when it is gone."""
        if name not in self._targets:
            message = f"What this request needs is kept by the upstream '{name}', which is not configured any more."
            raise GatewayError("not_found", "upstream_gone", message)
        return self._keyed(name)

    def first(self, dialect: str) -> Target:
        """Where a request goes that names no model (a list of models)."""
        return self._keyed(self._first(dialect))

    def _routed(self, dialect: str, model: str) -> str:
        routed = [name for pattern, name in self._rules if pattern.fullmatch(model)]
        for serves in (self._speaks, self._translates):
            for name in routed:
                if serves(dialect, name):
                    return name
        served = [g for r in self._settings.routes if self._serves(dialect, r.upstream) for g in r.models]
        listed = ", ".join(served) or "none"
        message = f"No route of this gateway serves the model '{model}'. Models served in this dialect: {listed}."
        raise GatewayError("not_found", "model_not_found", message, param="model")

    def _speaks(self, dialect: str, name: str) -> bool:
        return dialect in self._targets[name].dialects

    def _translates(self, dialect: str, name: str) -> bool:
        return spoken(dialect, self._targets[name].dialects) is not None

    def _serves(self, dialect: str, name: str) -> bool:
        return self._speaks(dialect, name) or self._translates(dialect, name)

    def _first(self, dialect: str) -> str:
        for name, target in self._targets.items():
            if dialect in target.dialects:
                return name
        known = ", ".join(f"{n} ({' '.join(u.dialects)})" for n, u in self._settings.upstreams.items()) or "none"
        message = f"No upstream of this gateway speaks {dialect}. Configured: {known}. Add one under 'upstreams' or set its key variable."
        raise GatewayError("not_found", "no_upstream", message)

    def _keyed(self, name: str) -> Target:
        target = self._targets[name]
        if target.key is None and self._settings.upstreams[name].key is not None:
            message = f"The gateway has no key for the upstream '{name}'. {self._where(name)}"
            raise GatewayError("unavailable", "no_provider_key", message)
        return target

    def _where(self, name: str) -> str:
        source = self._settings.upstreams[name].key
        if source is None or source.env is None:
            return "Its key file is empty."
        return f"Set {source.env} where the gateway runs and restart it."


def _pattern(glob: str) -> str:
    return re.escape(glob).replace(r"\*", ".*").replace(r"\?", ".")


def _passed(route: str) -> str:
    """A pattern for `METHOD /path`; `*` is one segment, never one that climbs."""
    return re.escape(route).replace(r"\*", r"(?!\.+(?:/|$))[A-Za-z0-9._~-]{1,256}")
