"""The cache of answers as people write it (`cache:` in the settings). Pure: what is kept and given is in `gateway/caching.py`."""

from __future__ import annotations

from fnmatch import fnmatchcase
from typing import Annotated, Literal

from pydantic import Field, field_validator

from gateway.documents import Globs, Section
from gateway.retention import DAY_US, span_us

LONGEST_DAYS = 30
_GLOBS: Globs = Field(default_factory=list)


class Cache(Section):
    """Answers that are given again to the same request, word for word."""

    store: Annotated[
        Literal["memory", "redis"],
        Field(description="memory = of each worker, gone with it · redis = the server named under 'state', shared by all workers"),
    ] = "memory"
    ttl: Annotated[str, Field(description="how long an answer is given again: 10m, 12h, 7d; at most 30d")] = "1h"
    per: Annotated[
        Literal["key", "agent", "team", "all"],
        Field(
            description="who is given what was answered to whom: one key, one agent of a team, one team (an agent, where its keys name no "
            "team), or all = everybody, over all teams"
        ),
    ] = "key"
    agents: Annotated[Globs, Field(description="only these agents (globs); none = all")] = _GLOBS
    models: Annotated[Globs, Field(description="only requests for these models (globs)")] = _GLOBS
    routes: Annotated[Globs, Field(description="only these paths (globs): /v1/chat/completions")] = _GLOBS
    sampled: Annotated[bool, Field(description="also requests whose temperature is not 0, or not given")] = False
    tool_results: Annotated[bool, Field(description="also requests that tell what tools have answered")] = False
    held_calls: Annotated[bool, Field(description="also answers with a call that a person approved; people are asked again")] = False
    answer_bytes: Annotated[int, Field(gt=0, description="a longer answer is not kept")] = 1024 * 1024
    max_bytes: Annotated[
        int, Field(ge=64 * 1024, description="all answers together: of each worker in memory, of all on the server")
    ] = 64 * 1024 * 1024

    @field_validator("ttl")
    @classmethod
    def a_span(cls, value: str) -> str:
        try:
            found = span_us(value)
        except ValueError:
            found = 0
        if not 0 < found <= LONGEST_DAYS * DAY_US:
            raise ValueError(f"'{value}' is no time to keep an answer; write a span of at most {LONGEST_DAYS}d: 10m, 12h, 7d")
        return value

    @property
    def ttl_us(self) -> int:
        return span_us(self.ttl)

    def concerns(self, agent: str, model: str, route: str) -> bool:
        asked = ((self.agents, agent), (self.models, model), (self.routes, route))
        return all(not globs or any(fnmatchcase(value, glob) for glob in globs) for globs, value in asked)
