"""The shape of one test in a policy file: what happened before, what is judged, and the verdict it must get.

Beside `model`, which has the shape of everything else. Not here: how a test is played (`cases`).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, ClassVar, Literal

from pydantic import Field, StringConstraints, model_validator

from gateway.documents import Maybe, Section
from gateway.policy.notation import Amount, Instant, Name
from gateway.strict_json import Json

CallOf = Annotated[dict[str, dict[str, Json] | None], Field(min_length=1, max_length=1)]
ResultOf = Annotated[dict[str, Json], Field(min_length=1, max_length=1)]


class EarlierCall(Section):
    """A call earlier in the session of a test."""

    call: CallOf = Field(description="`{tool: {argument: value}}`.")
    result: Json = Field(None, description="What the tool answered.")
    forged: bool = Field(False, description="The client made it up: it was never delivered.")


class CallerOfTest(Section):
    """Who asks, in a test."""

    user: str | None = None
    team: str | None = None
    org: str | None = None
    key: str | None = None
    client: str = ""
    labels: dict[str, str] = Field(default_factory=dict)


class Expectation(Section):
    """What a test expects."""

    other_words: ClassVar[Mapping[str, str]] = dict.fromkeys(("verdict", "decision", "outcome", "action", "result"), "effect")

    effect: Literal["allow", "warn", "redact", "repair", "ask", "deny"]
    rule: Maybe[str] = Field(
        None,
        description="A rule that must have hit; `default`: nothing granted the call, `allow`: granted.",
    )
    text: Maybe[str] = Field(None, description="The text as it is passed on.")
    args: Maybe[dict[str, Json]] = Field(None, description="The arguments of the call as they are delivered.")


class Before(Section):
    """What was known before a call."""

    user: str = Field("", description="What the user said.")
    history: list[EarlierCall] = Field(default_factory=list, description="Calls made before in the session.")
    model: str = Field("test-model", description="The model that proposes the call.")
    caller: CallerOfTest = CallerOfTest()
    session: dict[str, Json] = Field(default_factory=dict, description="Values of `session` to override.")
    spent: dict[Name, Amount] = Field(
        default_factory=dict, description="What limits have counted before the call, by their ids."
    )
    now: Instant = Field("2026-01-01T12:00:00Z", description="The time, in UTC.")


class AskedFor(Section):
    """A request to a provider, in a test: what is said, and what conditions see as `request`."""

    text: str = Field("", description="What the user says.")
    tools: list[str] = Field(default_factory=list, description="Names of the tools it offers.")
    messages: int = Field(1, description="How many; counted when left out, as `characters` are.")
    characters: int = 0
    media: list[str] = Field(default_factory=list, description="Kinds: `image`, `audio`, `video`, `file`.")
    stream: bool = False
    max_tokens: int = 0


class Ending(Section):
    """How an answer ended, in a test: what validators know beside its words."""

    finish: str = Field("stop", description="Why it ended, in the provider's word.")
    calls: int = Field(0, ge=0, description="Calls that it proposes.")
    asked_schema: Maybe[dict[str, Json]] = Field(None, description="The JSON Schema that the request asked the answer to have.")


class Case(Before):
    """One test of the file: a call or a text, and the verdict it must get."""

    name: Annotated[str, StringConstraints(min_length=1, max_length=200)]
    call: Maybe[CallOf] = Field(None, description="The call to judge: `{tool: {argument: value}}`.")
    output: Maybe[str] = Field(None, description="What the model says, for rules at `output`.")
    ending: Ending = Field(Ending.model_validate({}), description="Beside `output`: how the answer ended, for validators.")
    request: Maybe[AskedFor] = Field(None, description="What is asked of the provider, for rules at `request`: `{text: …}`.")
    result: Maybe[ResultOf] = Field(None, description="What a tool answered, for rules at `tool_result`: `{tool: result}`.")
    agent: Maybe[str] = Field(None, description="The agent; one that the file applies to when left out.")
    expect: Expectation

    @model_validator(mode="after")
    def _about_one_thing(self) -> Case:
        given = [key for key in ("call", "output", "request", "result") if getattr(self, key) is not None]
        if len(given) != 1:
            raise ValueError(f"a test has one of 'call', 'output', 'request' and 'result', not {' and '.join(given) or 'none'}")
        if self.output is None and "ending" in self.model_fields_set:
            raise ValueError("'ending' is about answers; it needs 'output'")
        if self.expect.text is not None and self.call is not None:
            raise ValueError("'expect.text' is about texts; of a call, say 'expect.args'")
        if self.expect.args is not None and self.call is None:
            raise ValueError("'expect.args' is about calls; of a text, say 'expect.text'")
        return self
