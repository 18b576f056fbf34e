"""Clouds that rent out other makers' models under their own addresses, keys and framing: which one an upstream is, and where in it.

`gateway/upstream/platforms.py` says how they are asked.
"""

from __future__ import annotations

from typing import Annotated, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True, frozen=True, hide_input_in_errors=True)


class Bedrock(_Strict):
    """Amazon Bedrock, InvokeModel: Anthropic's models."""

    region: Annotated[str, Field(pattern=r"^[a-z]{2}(-[a-z]+)+-\d$", description="for which requests are signed: us-east-1")]


class Vertex(_Strict):
    """Google Vertex AI: Anthropic's and Google's models."""

    project: Annotated[str, Field(pattern=r"^[a-z0-9:.-]{1,100}$", description="id of the project that pays")]
    location: Annotated[str, Field(pattern=r"^[a-z0-9-]{1,40}$", description="us-east5, europe-west1, global, …")]


class Platform(_Strict):
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
        return ("anthropic.messages",) if self.bedrock else ("anthropic.messages", "google.gemini")

    @property
    def key_form(self) -> str:
        return "ACCESS_KEY_ID:SECRET, with :SESSION_TOKEN behind it, or a Bedrock API key" if self.bedrock else "a service account's JSON"
