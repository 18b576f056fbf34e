"""What a dialect's stream decoder says, and the shapes of answers it reads and errors it writes.

A stream is a sequence of events. Each wire byte that the provider sent is in the `raw` of exactly one event (or in none, when the
stream is `Broken`), so that an observing gateway can forward bytes untouched, and a judging one knows what it holds back.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, TypeAlias

from msgspec import Struct

from gateway.answer import Answer
from gateway.verdict import Call, Finding

Said: TypeAlias = tuple[int, Mapping[Any, Any]]
"""Pieces of texts in one event: its lane (choice, block, item), and each piece under the name that its text has there, as in
`texts.Slot.channel`. Values that are no text are none."""
UNTOLD: Said = (-1, {})
"""Texts that were held, in events of any number."""


class Forward(Struct, frozen=True):
    """Leaves at once: text, thinking, pings, start and stop frames."""

    raw: bytes
    clean: bytes | None = None
    """What a judging gateway sends instead of `raw` (unknown fields stripped, a part of the frame held); None = `raw` itself."""
    said: Said | None = None
    """The pieces of running texts in it; None: it has none."""


class Held(Struct, frozen=True):
    """Belongs to a call that is not whole yet: nothing leaves."""

    raw: bytes


class Hidden(Struct, frozen=True):
    """Never leaves: the usage frame the gateway asked for and the client did not."""

    raw: bytes


class Proposed(Struct, frozen=True):
    """A call is whole (or known to be unreadable: `call.problem`) and wants a verdict."""

    call: Call
    more: bool = False
    """True when another `Proposed` of the same held bytes follows at once."""


class Ended(Struct, frozen=True):
    """The frame with the finish or stop reason of one choice: it must be right again when calls were withheld."""

    raw: bytes
    choice: int = 0
    last: bool = True
    """False while another choice of the answer is still being written."""


class Broken(Struct, frozen=True):
    """The stream cannot be trusted from here on: an error event, then the end. Held calls are never emitted."""

    code: str
    """`truncated` (it ended inside the answer), `protocol` (it broke its own rules), `provider_error` (it carried an error event)…"""
    detail: str
    raw: bytes = b""
    """The provider's own error frame, when `code` is `provider_error`: already in the dialect, forwarded after redaction."""


Event: TypeAlias = Forward | Held | Hidden | Proposed | Ended | Broken


class Limits(Struct, frozen=True):
    """Bounds on one answer; beyond them calls are denied or the stream is broken off. Bytes, counts."""

    call_bytes: int = 64 * 1024
    """Arguments of one call."""
    hold_bytes: int = 1024 * 1024
    """All held bytes of one answer."""
    calls: int = 64
    """Calls in one answer."""
    event_bytes: int = 4 * 1024 * 1024
    """One server-sent event."""
    events: int = 500_000
    """Server-sent events of one answer, empty ones counted: some four times what the longest answers of today have."""
    depth: int = 64
    """Nesting of arguments."""


AS_PROPOSED: Mapping[int, Call] = {}
"""No call was edited."""


class WholeAnswer(Struct, frozen=True):
    """A decoded non-streamed answer."""

    answer: Answer
    calls: tuple[Call, ...]
    body: bytes
    tree: Any
    """The dialect's own parsed form, for `encode_answer` of the same dialect only."""
    findings: tuple[Finding, ...] = ()
    broken: Broken | None = None


class WireError(Struct, frozen=True):
    """A gateway error in a dialect's own form."""

    status: int
    headers: Mapping[str, str]
    body: bytes
