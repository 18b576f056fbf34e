"""Which upstream a model goes to, or which targets of a route can serve it. Settings in, choice out; what was seen of targets is kept with
their route (`gateway/routes/health.py`)."""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping

import msgspec
from msgspec import Struct

from gateway.config import Settings
from gateway.errors import GatewayError
from gateway.request import Endpoint
from gateway.route_settings import MirrorTarget, Route, RouteTarget, TargetTimeouts
from gateway.routes.health import Moment, RouteHealth
from gateway.upstream import translation
from gateway.upstream.platforms import Platform, made
from gateway.upstream.translatable import spoken

_GEMINI = "google.gemini"


class Target(Struct, frozen=True):
    """An upstream with its key at hand. Never printed: `repr` leaves the key out."""

    name: str
    base_url: str
    key: str | None
    dialects: tuple[str, ...] = ()
    """In which it is asked."""
    model: str | None = None
    """What the model is called there; None = as the request calls it."""
    region: str = ""
    timeouts: TargetTimeouts | None = None
    platform: Platform | None = None
    """The cloud whose model it is."""
    provider: str | None = None
    """Who it is, where that is not the provider of its dialect."""
    asked_for_counts: bool = True
    """Streams in OpenAI's dialect are asked for their token counts."""
    place: str = ""
    """At which of the provider's addresses it is, where that has a price (`price_entry.PLACES`)."""
    unsigned: bool = False
    """Gets no ids of calls with signatures of Gemini's thoughts: another upstream of this gateway made them."""

    def __repr__(self) -> str:
        return f"Target({self.name}, {self.base_url}, key {'set' if self.key else 'none'})"


class Mirror(Struct, frozen=True):
    """Who is asked the same as the target of a route, for a share of the requests."""

    target: Target
    share: float


class Managed:
    """A route with targets: who they are, and how they are."""

    def __init__(self, number: int, route: Route, targets: tuple[Target, ...], mirror: Mirror | None) -> None:
        self.number = number
        self.route = route
        self.targets = targets
        self.mirror = mirror
        self.health = RouteHealth(route)


class Way(Struct, frozen=True):
    """Targets of a managed route that can serve one request, by their place in it."""

    managed: Managed
    serving: tuple[int, ...]

    def kept_by(self, names: Collection[str]) -> Way:
        """Only those of these upstreams."""
        return Way(self.managed, tuple(at for at in self.serving if self.managed.targets[at].name in names))

    def only(self, target: Target) -> Way:
        return Way(self.managed, tuple(at for at in self.serving if self.managed.targets[at] is target))

    @property
    def targets(self) -> tuple[Target, ...]:
        return tuple(self.managed.targets[at] for at in self.serving)

    @property
    def names(self) -> frozenset[str]:
        return frozenset(self.managed.targets[at].name for at in self.serving)


class Routes:
    """The routes of the settings, compiled. `keys` holds the provider key of each upstream and of each target that has one (`key_name`)."""

    def __init__(self, settings: Settings, keys: Mapping[str, str]) -> None:
        self._settings = settings
        self._translating = translation.possible()
        signing = any(_GEMINI in up.spoken for up in settings.upstreams.values())
        self._targets = {
            name: Target(
                name, up.base_url, keys.get(name), up.spoken, platform=self._platform(name, keys.get(name)), provider=up.provider,
                place=up.place,
                asked_for_counts=up.asked_for_counts, unsigned=self._translating and _GEMINI not in up.spoken and signing,
            )
            for name, up in settings.upstreams.items()
        }
        self._passing = [
            (re.compile("|".join(map(_passed, each.routes))), each.upstream) for each in settings.pass_through
        ]
        self._rules: list[tuple[re.Pattern[str], str | Managed]] = []
        for number, route in enumerate(settings.routes):
            self._rules.append((re.compile("|".join(map(_pattern, route.models))), self._led(number, route, keys)))

    def find(self, dialect: str, model: str) -> Target | Way:
        """An upstream that speaks the dialect comes before one that would need translation, whatever the order of the routes. Raises
        GatewayError('not_found') naming what would be accepted."""
        found = self._routed(dialect, model) if self._rules else self._first(dialect)
        return found if isinstance(found, Way) else self._keyed(found)

    def report(self, now: Moment) -> list[dict[str, object]]:
        """How the targets of managed routes are, as this worker sees them."""
        managed = [led for _, led in self._rules if isinstance(led, Managed)]
        return [{"models": each.route.models, "targets": each.health.report(now)} for each in managed]

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

    def _routed(self, dialect: str, model: str) -> str | Way:
        routed = [led for pattern, led in self._rules if pattern.fullmatch(model)]
        for serves in (self._speaks, self._serves):
            for led in routed:
                if isinstance(led, str) and serves(dialect, led):
                    return led
                if isinstance(led, Managed) and any(serves(dialect, target.name) for target in led.targets):
                    return self._way(led, dialect)
        served = [g for r in self._settings.routes if any(self._serves(dialect, t.upstream) for t in r.asked) for g in r.models]
        listed = ", ".join(served) or "none"
        message = f"No route of this gateway serves the model '{model}'. Models served in this dialect: {listed}."
        if not self._translating:
            message += f" Nothing is translated here: {translation.MISSING} where the gateway runs."
        raise GatewayError("not_found", "model_not_found", message, param="model")

    def _way(self, managed: Managed, dialect: str) -> Way:
        """Its targets that can serve the dialect and have their keys. Raises GatewayError where none has."""
        able = tuple(at for at, target in enumerate(managed.targets) if self._serves(dialect, target.name))
        usable = tuple(at for at in able if managed.health.targets[at].usable)
        if not usable:
            wanted = ", ".join(dict.fromkeys(self._key_place(managed.route.asked[at]) for at in able))
            message = f"The gateway has no key for any target of this route. Set {wanted} where the gateway runs and restart it."
            raise GatewayError("unavailable", "no_provider_key", message)
        return Way(managed, usable)

    def _led(self, number: int, route: Route, keys: Mapping[str, str]) -> str | Managed:
        return route.upstream if route.plain and route.upstream is not None else self._managed(number, route, keys)

    def _managed(self, number: int, route: Route, keys: Mapping[str, str]) -> Managed:
        targets = tuple(self._target(each, keys.get(key_name(number, at))) for at, each in enumerate(route.asked))
        mirror = route.mirror
        mirrored = None if mirror is None else Mirror(self._target(mirror, keys.get(key_name(number, None))), mirror.share)
        managed = Managed(number, route, targets, mirrored)
        for target, health in zip(targets, managed.health.targets, strict=True):
            health.usable = target.key is not None or not self._wants_key(health.target)
        return managed

    def _target(self, said: RouteTarget | MirrorTarget, own_key: str | None) -> Target:
        plain = self._targets[said.upstream]
        key = own_key if said.key is not None else plain.key
        platform = plain.platform if said.key is None else self._platform(said.upstream, key)
        return msgspec.structs.replace(
            plain, key=key, model=said.model, region=said.region, timeouts=said.timeouts, platform=platform
        )

    def _platform(self, name: str, key: str | None) -> Platform | None:
        upstream = self._settings.upstreams[name]
        if upstream.platform is None or (key is None and not upstream.platform.of_machine):
            return None
        return made(upstream.platform, upstream.base_url, key)

    def _wants_key(self, said: RouteTarget) -> bool:
        return said.key is not None or self._settings.upstreams[said.upstream].key is not None

    def _key_place(self, said: RouteTarget) -> str:
        source = said.key or self._settings.upstreams[said.upstream].key
        return "a key" if source is None else source.env or f"the file {source.file}"

    def _speaks(self, dialect: str, name: str) -> bool:
        """As the settings say, whatever its platform's own dialect for it is."""
        asked = dialect in self._targets[name].dialects
        return asked or (dialect in self._settings.upstreams[name].dialects and self._translates(dialect, name))

    def _translates(self, dialect: str, name: str) -> bool:
        return self._translating and spoken(dialect, self._targets[name].dialects) is not None

    def _serves(self, dialect: str, name: str) -> bool:
        return self._speaks(dialect, name) or self._translates(dialect, name)

    def _first(self, dialect: str) -> str:
        for name in self._targets:
            if self._speaks(dialect, name):
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


def key_name(route: int, target: int | None) -> str:
    """Under which a target's own key is handed over; None = that of the route's mirror."""
    return f"routes[{route}].mirror" if target is None else f"routes[{route}].targets[{target}]"


def _pattern(glob: str) -> str:
    return re.escape(glob).replace(r"\*", ".*").replace(r"\?", ".")


def _passed(route: str) -> str:
    """A pattern for `METHOD /path`; `*` is one segment, never one that climbs."""
    return re.escape(route).replace(r"\*", r"(?!\.+(?:/|$))[A-Za-z0-9._~-]{1,256}")
