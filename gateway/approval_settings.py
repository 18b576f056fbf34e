"""How calls wait for a person, as people write it (`approvals:` in the settings). Pure: the waiting is `gateway/approvals.py`."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from gateway.documents import Section
from gateway.webhook_settings import Webhook

LONGEST_S = 10 * 365 * 86_400


class Approvals(Section):
    """How long calls wait for a person (`effect: ask`). Seconds."""

    hold: Annotated[
        float, Field(ge=0, le=3600, description="how long a streamed answer is held open for a decision; 0 = not at all")
    ] = 240
    hold_whole: Annotated[
        float, Field(ge=0, le=3600, description="the same for an answer in one piece, whose client sees nothing meanwhile")
    ] = 60
    keep_alive: Annotated[float, Field(ge=0.05, le=60, description="between two signs of life in a stream that is held")] = 12
    held: Annotated[int, Field(ge=0, description="answers held at once per worker; more are told at once that approval is pending")] = 256
    pending: Annotated[int, Field(gt=0, description="undecided approvals per agent; more calls are denied")] = 1000
    expires: Annotated[
        float,
        Field(
            gt=0, le=LONGEST_S, description="how long an approval can be decided, one for a single call be used, and a denial is remembered"
        ),
    ] = 3600
    remember: Annotated[
        float, Field(gt=0, le=LONGEST_S, description="how long an approval for the session or the agent is good")
    ] = 30 * 24 * 3600
    webhooks: Annotated[list[Webhook], Field(description="whom to tell")] = Field(default_factory=list)
