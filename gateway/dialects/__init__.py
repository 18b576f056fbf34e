"""SHELF: provider wire formats. One plain module per dialect, listed in `DIALECTS`; to add one, add a file and a line.

A dialect turns bytes into values (`gateway.request`, `gateway.verdict`, `gateway.answer`) and back. It does no I/O, knows no policy and
never decides: what cannot be read in exactly one way becomes a `Call` with a `problem`, a `Broken` stream or a `GatewayError`.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from typing import Protocol

import gateway.dialects.anthropic_messages as anthropic_messages
import gateway.dialects.gemini as gemini
import gateway.dialects.openai_chat as openai_chat
import gateway.dialects.openai_responses as openai_responses
from gateway.answer import Answer
from gateway.dialects.events import Ended, Event, Limits, WholeAnswer, WireError
from gateway.dialects.request_texts import Change
from gateway.dialects.texts import Texts
from gateway.errors import GatewayError
from gateway.request import Endpoint, Instruction, Owed, Request
from gateway.strict_json import Json
from gateway.verdict import Call, Finding


class Stream(Protocol):
    """Decoder and re-encoder of one streamed answer. Pure: fed with bytes at any cut, it says the same events."""

    @property
    def answer(self) -> Answer: ...
    @property
    def findings(self) -> list[Finding]: ...
    @property
    def spoken(self) -> bool:
        """Whether words or thoughts were let go: before that, nothing that has left binds the answer."""

    def feed(self, chunk: bytes) -> Iterator[Event]:
        """The events completed by these bytes. After `Broken` nothing more is said."""

    def close(self) -> Iterator[Event]:
        """The provider ended the connection: nothing when the answer had ended properly, else `Broken('truncated')`."""

    def release(self, call: Call) -> bytes:
        """Frames that deliver exactly this call."""

    def explain(self, call: Call, text: str) -> bytes:
        """Frames that put `text` in the place of a withheld call."""

    def ended(self, event: Ended, released: int, withheld: int) -> bytes:
        """The finishing frame, with the reason that fits what was delivered in that choice."""

    def error(self, error: GatewayError) -> bytes:
        """The dialect's error frame, for the middle of a stream."""


class Dialect(Protocol):
    """What the pipeline needs of a wire format. A module satisfies it; mypy checks."""

    NAME: str
    """`openai.chat`, `anthropic.messages`: written in records and configuration."""
    PROVIDER: str
    """OpenTelemetry `gen_ai.provider.name`: `openai`, `anthropic`."""
    SERVES: tuple[str, ...]
    """The usual forms of its routes, for people: `POST /v1/chat/completions`."""
    KEEP_ALIVE: bytes
    """Says nothing to any client, between two frames of a stream, but that the answer is still coming."""
    TEXTS: Texts
    """Where the words of its answers stand."""
    FORWARD_HEADERS: frozenset[str]
    """Lower-case request headers forwarded unchanged; a trailing `*` is a prefix."""

    def endpoints(self, path: str) -> tuple[Endpoint, ...]:
        """What this dialect serves at exactly this raw path (no query), one per method; nothing for any other path."""
    def decode_request(
        self, body: bytes, headers: Mapping[str, str], allow_fields: frozenset[str], endpoint: Endpoint
    ) -> Request:
        """Strictly; raises GatewayError('bad_request') for what has no single meaning. What has one but cannot be judged is named
        in `Request.unjudged` / `.powerful`; names in `allow_fields` are not."""

    def upstream_body(self, request: Request, owed: Sequence[Owed] = ()) -> bytes:
        """The bytes for the provider: the client's own, changed only where usage must be asked for and where a provider that keeps the
        conversation waits for results: each `owed` call gets one that says it was withheld, before anything new."""

    def answer_schema(self, request: Request) -> Json:
        """The JSON Schema that the request asks its answer to have; None where it asks for none."""

    def repaired(self, request: Request, answer: Answer, said: str) -> bytes | None:
        """The body that asks for another answer: the one that was given, and `said` to the model about it. None where that cannot be
        asked."""

    def steered(self, request: Request, answer: Answer, refused: Sequence[tuple[Call, str]]) -> bytes | None:
        """The request again, with the model's turn and for each of its calls the answer that it was refused and why. None where this
        dialect cannot say that of this request or these calls."""

    def without_tools(self, request: Request, names: Collection[str]) -> bytes | None:
        """The request's bytes without the declarations of these tools. None where nothing is to be left out, or where the request
        chooses one of them."""

    def with_texts(self, body: bytes, change: Change) -> bytes:
        """A request's body with other words in its messages and in the results of tools: each text is asked about, all else stays."""

    def prompted(self, body: bytes, said: Instruction) -> bytes:
        """A request's body with a kept prompt in its system place, model and parameters where it has none, and without the field that named
        the prompt; all else as it came. Raises GatewayError where it has a system prompt of its own. Which prompt is not known here."""

    def renamed(self, request: Request, endpoint: Endpoint, model: str) -> tuple[Endpoint, bytes]:
        """Where a request goes, and its bytes, when the model has another name there; all else as it came."""

    def auth_headers(self, key: str, headers: Mapping[str, str]) -> dict[str, str]:
        """How a provider key travels, given the client's (lower-case) headers."""

    def stream(self, request: Request, limits: Limits, *, enforcing: bool) -> Stream: ...
    def decode_answer(self, body: bytes, request: Request, limits: Limits) -> WholeAnswer: ...
    def decode_plain(self, body: bytes, request: Request) -> Answer:
        """What an answer that brings no calls (`count_tokens`, `embeddings`, `models`, `create`, `delete`) says about itself. Raises
        GatewayError('upstream') when it is not what the operation answers: it must not carry a call past the gate."""
    def encode_answer(self, whole: WholeAnswer, withheld: Mapping[int, str], edited: Mapping[int, Call] = ...) -> bytes:
        """The answer for the client; `withheld` maps the `index` of each withheld call to the text in its place, `edited` that of a
        released one to what was judged in its place. Unknown fields that could carry a call are left out (`whole.findings` names them)."""

    def error_answer(self, error: GatewayError) -> WireError: ...


DIALECTS: dict[str, Dialect] = {d.NAME: d for d in (openai_chat, openai_responses, anthropic_messages, gemini)}
