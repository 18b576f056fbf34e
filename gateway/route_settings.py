"""Routes as people write them (`routes:` in the settings). Pure: which target is asked is chosen in `gateway/routes`, asking is
`gateway/attempting.py`.

A route is either short (`models`, `upstream`: one provider, asked once) or has `targets` and says what happens when one of them fails.
"""

from __future__ import annotations

from typing import Annotated, Self

from pydantic import AfterValidator, Field, model_validator

from gateway.documents import Globs, Section
from gateway.key_source import KeySource

Seconds = Annotated[float, Field(gt=0, le=86_400)]


def _a_name(model: str) -> str:
    if "*" in model:
        raise ValueError("is what this provider calls the model, and is sent as it stands: globs are for 'models'")
    return model


ModelThere = Annotated[
    Annotated[str, Field(min_length=1), AfterValidator(_a_name)] | None,
    Field(description="what the model is called there; none = as the request calls it"),
]


class TargetTimeouts(Section):
    """Seconds. What is not given is as under `timeouts`."""

    connect: Annotated[Seconds | None, Field(description="connection to the provider")] = None
    first_byte: Annotated[Seconds | None, Field(description="provider's response headers")] = None
    idle: Annotated[Seconds | None, Field(description="between two pieces of the provider's answer")] = None
    total: Annotated[Seconds | None, Field(description="from the request to the answer's end; none = no such bound")] = None


class MirrorTarget(Section):
    """A provider that is asked the same, and whose answer nobody gets."""

    upstream: Annotated[str, Field(description="name of an entry of `upstreams`")]
    model: ModelThere = None
    region: Annotated[str, Field(max_length=60, description="a label for the book")] = ""
    key: Annotated[KeySource | None, Field(description="a key of its own; none = the upstream's")] = None
    timeouts: TargetTimeouts = Field(default_factory=TargetTimeouts)
    share: Annotated[float, Field(gt=0, le=1, description="how many of the requests: 1 = all of them, 0.05 = one in twenty")] = 1


class RouteTarget(Section):
    """One provider, or one deployment of it, that can serve a route."""

    upstream: Annotated[str, Field(description="name of an entry of `upstreams`")]
    model: ModelThere = None
    weight: Annotated[int, Field(ge=1, le=10_000, description="its share of the requests among targets of the same priority")] = 1
    priority: Annotated[int, Field(ge=0, le=100, description="0 first; a higher number is asked when all lower ones cannot be")] = 0
    region: Annotated[str, Field(max_length=60, description="a label for the book")] = ""
    key: Annotated[KeySource | None, Field(description="a key of its own; none = the upstream's")] = None
    timeouts: TargetTimeouts = Field(default_factory=TargetTimeouts)


class Retries(Section):
    """What happens when a target fails and nothing of an answer has reached the client."""

    count: Annotated[int, Field(ge=0, le=5, description="how often more than once a provider is asked for one request")] = 2
    wait: Annotated[Seconds, Field(description="before the same target is asked again; doubled each time")] = 0.5
    jitter: Annotated[float, Field(ge=0, le=1, description="how much of the wait is left to chance: 1 = all of it, 0 = none")] = 1
    longest: Annotated[Seconds, Field(description="the longest wait; a Retry-After beyond it is not waited for")] = 20
    sent: Annotated[
        bool,
        Field(
            description="ask again also when the provider may have carried out the request (no answer in time, a broken connection, 408, "
            "502, 504): it may then be paid twice"
        ),
    ] = False
    share: Annotated[float, Field(ge=0, le=1, description="same target again: at most this share of a route's requests in a window")] = 0.1
    least: Annotated[int, Field(ge=0, le=1000, description="… and so many in any case")] = 3
    window: Annotated[Seconds, Field(description="the window of share and least")] = 10


class BreakerSettings(Section):
    """When a target is left alone for a while. Each worker sees for itself."""

    failures: Annotated[int, Field(ge=1, le=1000, description="failures one after the other that open it")] = 5
    share: Annotated[float, Field(gt=0, le=1, description="… or this share of failures in a window")] = 0.5
    of: Annotated[int, Field(ge=1, le=100_000, description="how many requests a window must have before shares count")] = 20
    window: Annotated[Seconds, Field(description="the window of share and of")] = 30
    open: Annotated[Seconds, Field(description="how long nothing is sent; then one request tries whether it works again")] = 15


class Route(Section):
    """Which models go to which upstream, or to which targets. The first route whose dialect and glob match wins."""

    models: Annotated[Globs, Field(min_length=1, description="model names or globs (* and ?)")]
    upstream: Annotated[str | None, Field(description="name of an entry of `upstreams`; or else `targets`")] = None
    targets: Annotated[list[RouteTarget], Field(description="who can serve it")] = Field(default_factory=list)
    retries: Annotated[Retries | None, Field(description="{} = as they are when targets are given")] = None
    breaker: Annotated[BreakerSettings | None, Field(description="{} = as it is when targets are given")] = None
    sticky: Annotated[bool, Field(description="a session stays with one target while it works: providers' prompt caches hit")] = False
    mirror: Annotated[MirrorTarget | None, Field(description="who is asked the same, its answer thrown away")] = None

    @model_validator(mode="after")
    def leads_somewhere(self) -> Self:
        if (self.upstream is None) == (not self.targets):
            raise ValueError("give exactly one of 'upstream' and 'targets'")
        return self

    @model_validator(mode="after")
    def one_alone_has_no_sessions_to_keep(self) -> Self:
        if self.sticky and len(self.asked) < 2:
            raise ValueError("'sticky' keeps a session with one of several 'targets'; here is one alone")
        return self

    @model_validator(mode="after")
    def targets_differ(self) -> Self:
        told = [(each.upstream, each.model, each.region, each.key) for each in self.targets]
        if twice := [each for at, each in enumerate(told) if each in told[:at]]:
            raise ValueError(f"two targets are '{twice[0][0]}' with the same model, region and key; give one of them the weight of both")
        return self

    @property
    def plain(self) -> bool:
        """One provider, asked once, of which nothing is remembered."""
        return not self.targets and self.retries is None and self.breaker is None and self.mirror is None

    @property
    def asked(self) -> tuple[RouteTarget, ...]:
        return tuple(self.targets) if self.upstream is None else (RouteTarget(upstream=self.upstream),)

    @property
    def named(self) -> tuple[tuple[str, tuple[str | int, ...]], ...]:
        """The upstreams of all who may be asked: (name, the keys and numbers that lead to it)."""
        alone = ((self.upstream, ("upstream",)),) if self.upstream is not None else ()
        targets = ((target.upstream, ("targets", number, "upstream")) for number, target in enumerate(self.targets))
        mirror = ((self.mirror.upstream, ("mirror", "upstream")),) if self.mirror else ()
        return (*alone, *targets, *mirror)
