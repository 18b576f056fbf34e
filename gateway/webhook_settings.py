"""Who is told of what happens, as people write it (`webhooks:` under `approvals` in the settings). Sending is `gateway/webhooks.py`."""

from __future__ import annotations

from typing import Annotated, Literal, Self

from pydantic import Field, field_validator, model_validator

from gateway.addresses import encrypted_url
from gateway.documents import Section, placed
from gateway.key_source import KeySource


class Webhook(Section):
    """Whom to tell of calls that wait for a person."""

    url: Annotated[str | KeySource, Field(description="where to POST; {env: NAME} or {file: path} where the URL is a secret")]
    secret: Annotated[
        KeySource | None, Field(description="signs what is sent: HMAC-SHA256 over time and body; format json needs one")
    ] = None
    format: Annotated[Literal["json", "slack"], Field(description="slack = what Slack's incoming webhooks take")] = "json"
    events: Annotated[
        list[Literal["pending", "approved", "denied", "expired", "used", "budget", "experiment", "prompt"]],
        Field(
            min_length=1,
            description="which states are told; budget = that a soft budget is used up, once per window; experiment = that an arm was "
            "halted, promoted or ended; prompt = that a prompt or tool is in use that nobody deployed",
        ),
    ] = Field(default_factory=lambda: ["pending"])  # type: ignore[arg-type]
    arguments: Annotated[bool, Field(description="whether the call's arguments are sent along")] = True

    @field_validator("url")
    @classmethod
    def encrypted(cls, value: str | KeySource) -> str | KeySource:
        return value if isinstance(value, KeySource) else encrypted_url(value)

    @model_validator(mode="after")
    def signed_unless_slack(self) -> Self:
        if self.format == "json" and self.secret is None:
            raise ValueError("format json needs a 'secret', so that the receiver can tell who sent it")
        if self.format == "slack" and self.secret is not None:
            raise placed("Slack is sent no signature; take 'secret' out, or write format: json", "secret")
        return self
