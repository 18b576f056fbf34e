"""What a request takes of a provider where no provider says it: at the most, before it is sent, and about, when nobody heard its answer to
the end.

1. At the most: each byte of the request a token, and what providers add around it; as many tokens of answer as asked for, or as the model
   writes. Where nothing bounds it, None.
2. About: what the provider told before the end stands (Anthropic tells at the beginning what was read, Gemini in each piece all so far).
   Where it told nothing of it, three bytes are a token: English has four to a token, code and Chinese about three, so the guess is rather
   too high; base64 has two.
3. What is written and not seen (thinking, calls whose arguments still came, an answer in one piece that was not waited for) is bounded by
   time: so many tokens a second as large models write. Of all that is known of it the most counts.
4. Never more than at the most.

Not exact, and never mistaken for it: a guess counts against budgets and stands apart in the book. Pure.
"""

from __future__ import annotations

from math import ceil

import msgspec
from msgspec import Struct

from gateway.answer import READ_TOKENS, Guess, Usage
from gateway.request import Request

PER_MESSAGE, PER_TOOLS = 32, 2048
"""Tokens that providers put around a message, and around tools, beyond the bytes of the request."""
BYTES_PER_TOKEN = 3
TOKENS_PER_S = 100


class Heard(Struct, frozen=True):
    """What is known of an answer that nobody heard to its end."""

    told: Usage | None
    """By the provider, so far."""
    said: int
    """Bytes of text and calls."""
    seconds: float
    """Since the provider was asked."""


def most_read(request: Request, reads: int | None) -> int | None:
    """Bytes are more than tokens, but for what the provider adds by itself. `reads`: as many as the model can."""
    fetched = request.continues or request.server_tools or any(message.media for message in request.messages)
    if fetched:
        return reads
    bound = len(request.body) + PER_MESSAGE * (len(request.messages) + 1) + (PER_TOOLS if request.tools else 0)
    return bound if reads is None else min(bound, reads)


def most_written(request: Request, writes: int | None) -> int | None:
    """`writes`: as many as the model can."""
    if request.operation == "embeddings":
        return 0
    asked = request.max_tokens if request.max_tokens is not None and request.max_tokens >= 0 else None
    each = asked if writes is None else writes if asked is None else min(asked, writes)
    return None if each is None else each * request.choices


def guess(request: Request, heard: Heard, reads: int | None, writes: int | None) -> Guess:
    """What it took, about."""
    usage, read_how = _read(request, heard.told, most_read(request, reads))
    written, written_how = _written(heard, most_written(request, writes))
    said = sum(getattr(usage, name) or 0 for name in READ_TOKENS)
    how = f"read {said}: {read_how}; written {written}: {written_how}"
    return Guess(msgspec.structs.replace(usage, output=written, reasoning=None, audio_output=None, image_output=None), how)


def _read(request: Request, told: Usage | None, most: int | None) -> tuple[Usage, str]:
    if told is not None and told.input is not None:
        return told, "told by the provider"
    if (request.continues or request.server_tools) and most is not None:
        return Usage(input=most), "all that the model reads"
    tokens = ceil(len(request.body) / BYTES_PER_TOKEN)
    if most is not None and tokens > most:
        return Usage(input=most), "all that the model reads"
    return Usage(input=tokens), f"{len(request.body)} bytes of request"


def _written(heard: Heard, most: int | None) -> tuple[int, str]:
    told = (heard.told.output or 0) + (heard.told.reasoning or 0) if heard.told is not None else 0
    ways = [
        (told, "told by the provider"),
        (ceil(heard.said / BYTES_PER_TOKEN), f"{heard.said} bytes of answer"),
        (ceil(heard.seconds * TOKENS_PER_S), f"{heard.seconds:.1f} s of writing"),
    ]
    tokens, how = max(ways, key=lambda way: way[0])
    return (tokens, how) if most is None or tokens <= most else (most, "all that it could write")
