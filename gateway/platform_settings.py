"""Clouds that rent out other makers' models under their own addresses, keys and framing: which one an upstream is, and where in it.

`gateway/upstream/platforms.py` says how they are asked.
"""

from __future__ import annotations

from typing import Annotated, Final, Literal, Self

from pydantic import Field, model_validator

from gateway.documents import Section

CONVERSE: Final = "aws.converse"
"""The dialect in which Bedrock is asked for what is asked for in Chat Completions. No client speaks it."""
_Machine = Annotated[
    Literal["machine"] | None, Field(description="machine: those that the vendor's library finds where the gateway runs; none = the 'key'")
]


class Bedrock(Section):
    """Amazon Bedrock: Anthropic's models through InvokeModel, in their own dialect, all others through Converse, in Chat Completions."""

    region: Annotated[str, Field(pattern=r"^[a-z]{2}(-[a-z]+)+-\d$", description="for which requests are signed: us-east-1")]
    credentials: _Machine = None


class Vertex(Section):
    """Google Vertex AI: Anthropic's and Google's models."""

    project: Annotated[str, Field(pattern=r"^[a-z0-9:.-]{1,100}$", description="id of the project that pays")]
    location: Annotated[str, Field(pattern=r"^[a-z0-9-]{1,40}$", description="us-east5, europe-west1, global, …")]
    credentials: _Machine = None


class Platform(Section):
    """Exactly one of them."""

    bedrock: Bedrock | None = None
    vertex: Vertex | None = None

    @model_validator(mode="after")
    def one_cloud(self) -> Self:
        if (self.bedrock is None) == (self.vertex is None):
            raise ValueError("give exactly one of 'bedrock' and 'vertex'")
        return self

    @property
    def dialects(self) -> tuple[str, ...]:
        """What can be asked for there."""
        return ("anthropic.messages", "openai.chat" if self.bedrock else "google.gemini")

    def spoken(self, dialects: tuple[str, ...]) -> tuple[str, ...]:
        """In which it is asked for these: what it does not speak by itself comes first, so that all that is translated becomes that."""
        if self.bedrock is None or "openai.chat" not in dialects:
            return dialects
        return (CONVERSE, *(name for name in dialects if name != "openai.chat"))

    @property
    def of_machine(self) -> bool:
        """Whether its credentials are looked for on the machine."""
        return any(each is not None and each.credentials is not None for each in (self.bedrock, self.vertex))

    @property
    def key_form(self) -> str:
        return "ACCESS_KEY_ID:SECRET, with :SESSION_TOKEN behind it, or a Bedrock API key" if self.bedrock else "a service account's JSON"
