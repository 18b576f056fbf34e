"""How much clients and providers may send, and how long they may take (`limits:` and `timeouts:` in the settings)."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from gateway.documents import Section


class Limits(Section):
    """Bounds on what clients and providers may send."""

    body_bytes: Annotated[int, Field(gt=0, description="request body")] = 32 * 1024 * 1024
    objects: Annotated[int, Field(gt=0, description="arrays, objects and members in a request body over 128 KiB")] = 100_000
    values: Annotated[int, Field(gt=0, description="values in a request body over 128 KiB")] = 500_000
    answer_bytes: Annotated[int, Field(gt=0, description="whole (not streamed) answer")] = 32 * 1024 * 1024
    header_bytes: Annotated[int, Field(gt=0, description="all request headers together")] = 32 * 1024
    headers: Annotated[int, Field(gt=0, description="number of request headers")] = 100
    url_bytes: Annotated[int, Field(gt=0, description="request target")] = 8 * 1024
    call_bytes: Annotated[int, Field(gt=0, description="arguments of one tool call")] = 64 * 1024
    hold_bytes: Annotated[int, Field(gt=0, description="held bytes of one answer")] = 1024 * 1024
    calls: Annotated[int, Field(gt=0, description="tool calls in one answer")] = 64
    connections: Annotated[int, Field(gt=0, description="open client connections per worker")] = 12_000


class Timeouts(Section):
    """Seconds."""

    header: Annotated[float, Field(gt=0, description="from the first byte of a request to the end of its headers")] = 10
    body_idle: Annotated[float, Field(gt=0, description="between two pieces of a request body")] = 30
    body: Annotated[float, Field(gt=0, description="whole request body")] = 300
    keep_alive: Annotated[float, Field(gt=0, description="idle connection between two requests")] = 75
    write: Annotated[float, Field(gt=0, description="a client that takes no bytes of its answer")] = 120
    connect: Annotated[float, Field(gt=0, description="connection to the provider")] = 5
    first_byte: Annotated[float, Field(gt=0, description="provider's response headers")] = 60
    idle: Annotated[float, Field(gt=0, description="between two pieces of the provider's answer")] = 120
    drain: Annotated[float, Field(ge=0, description="for open streams at shutdown")] = 30
