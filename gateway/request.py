"""What is asked of a model, whatever the dialect: the request, its messages and tools, and what it names that the provider keeps."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal

from msgspec import Struct, field

from gateway.strict_json import Json

Pin = Literal["same", "changed", "added"]
"""How a tool that a request declares compares with what its agent was approved with: as it was read, another one, or a new one."""


class Tool(Struct, frozen=True):
    """A tool the request declares for the model."""

    name: str
    type: str
    """`function`/`custom` (OpenAI), `custom` (Anthropic) or a provider-run type such as `web_search_20260318`."""
    raw: bytes
    """The declaration as the client sent it."""
    schema: bytes | None = None
    """The JSON Schema of its arguments as sent, or None where the tool declares none."""


class ProposedBefore(Struct, frozen=True):
    """An earlier call in the history that the client sent."""

    id: str
    name: str
    arguments: str


class Media(Struct, frozen=True):
    """An image, sound, film or file in a message. It passes through; the record keeps its hash and size, never its bytes."""

    kind: Literal["image", "audio", "video", "file"]
    path: str
    """Where in the request: `messages[0].content[1].image_url`."""
    media_type: str = ""
    """As the request says, lower case: `image/png`; empty when it does not."""
    data: str = ""
    """Inline: the string of the request that holds it (base64 or a `data:` URI), exactly as it reads once parsed."""
    url: str = ""
    """Remote: what the provider would fetch. Exactly one of `data` and `url` is set."""


class Message(Struct, frozen=True):
    """One message of the conversation, normalised just far enough to be judged, hashed and stored."""

    role: str
    """system | developer | user | assistant | tool"""
    raw: bytes
    """The message exactly as the client sent it (one JSON value)."""
    text: str
    """All plain text of the message, parts joined by newlines."""
    calls: tuple[ProposedBefore, ...] = ()
    results: tuple[tuple[str, str], ...] = ()
    """(call id, result text) for each tool result this message carries."""
    media: tuple[Media, ...] = ()
    said: str | None = None
    """What the speaker said, where the message also hands over texts of others (documents, search results); None = all of `text`."""
    beside: tuple[tuple[str | None, str], ...] = ()
    """(id of the call whose result it stands in, or None; text) for each text that goes to the model beside these and is not the model's
    own: names of speakers and files, titles and contexts of documents."""


Operation = Literal[
    "chat", "compact", "retrieve", "create", "delete", "count_tokens", "embeddings", "models", "pass_through"
]
"""What a route does: answer, shorten a conversation (`compact`), fetch an answer that the provider stored (`retrieve`; also one that it
is told to stop working on), begin a stored conversation (`create`), forget something stored (`delete`), and what brings numbers and names.
`pass_through` is what the settings let pass unjudged.
`chat` and `embeddings` are OpenTelemetry's `gen_ai.operation.name`s."""

JUDGED: frozenset[Operation] = frozenset({"chat", "compact", "retrieve"})
"""Operations whose answers may bring calls; the answers of the others are proven to bring none."""


class Endpoint(Struct, frozen=True):
    """One route of a dialect: an entry of its closed table, matched against a path."""

    method: str
    operation: Operation
    upstream_path: str
    """Below an upstream's base URL."""
    subject: str = ""
    """What the path names: the model (Gemini), the id of something stored (Responses)."""
    query: str = ""
    """The client's query string; the table leaves it empty."""


class ServerTool(Struct, frozen=True):
    """A tool that the provider would run by itself. It is judged at the request: afterwards nothing can be stopped."""

    name: str
    """What policies grant: provider and kind, without a date: `openai.web_search`, `anthropic.code_execution`, `google.search`."""
    path: str
    """Where the request asks for it, as `Request.powerful` names it: `tools[1].type=web_search_20260318`, `web_search_options`."""
    args: Mapping[str, Json] = field(default_factory=dict)
    """Its configuration as the request gives it: what conditions see as `args`."""


StoredKind = Literal["response", "conversation", "item"]


class Stored(Struct, frozen=True):
    """Something the provider keeps under an id, which a request builds on, fetches or deletes. It must be the caller's own."""

    kind: StoredKind
    id: str
    path: str
    """Where the request names it: `previous_response_id`; empty for the URL's path."""


class Owed(Struct, frozen=True):
    """A withheld call for whose result a provider that keeps the conversation still waits."""

    call_id: str
    type: str
    """`Call.type`; `item` for a text of the gateway's own that stands in the conversation under the id."""
    text: str
    """What the model is told in place of a result."""


class Request(Struct, frozen=True):
    """A decoded request, whatever its dialect."""

    dialect: str
    model: str
    stream: bool
    messages: tuple[Message, ...]
    """In order; the system prompt first, also where the dialect keeps it apart."""
    tools: tuple[Tool, ...]
    body: bytes
    """The request's bytes as they came."""
    unjudged: tuple[str, ...] = ()
    """Names of things nobody can judge: unknown fields, tool types or message parts. Refused while a policy enforces."""
    powerful: tuple[str, ...] = ()
    """Fields or tools that make the provider act, fetch, store or delegate. Refused while a policy enforces, unless a policy grants the
    `ServerTool` of that path."""
    wants_usage: bool = True
    """False when the client did not ask for usage in the stream: the gateway asks for it and hides it."""
    temperature: float | None = None
    max_tokens: int | None = None
    choices: int = 1
    """Answers asked for side by side, each of which may have `max_tokens`."""
    user_hint: str | None = None
    """The end user as the client names it (`user`, `safety_identifier`, `metadata.user_id`): a label."""
    operation: Operation = "chat"
    server_tools: tuple[ServerTool, ...] = ()
    session_hint: str | None = None
    """A session the body names (`metadata.session_id`, Claude Code's `metadata.user_id`): a label."""
    continues: tuple[Stored, ...] = ()
    """What the provider has kept and this request needs."""
    stores: StoredKind | None = None
    """What the provider will keep under `Answer.id`, if anything."""
    background: bool = False
    """The provider goes on working when the answer has ended or the client has left."""
    beside: tuple[str, ...] = ()
    """Texts that go to the model beside the messages: what it is expected to answer (`prediction`)."""


class Instruction(Struct, frozen=True):
    """What a kept prompt puts into a request, for each dialect to write in its own form."""

    text: str
    """The system prompt."""
    model: str | None = None
    """Where the request names none."""
    parameters: Mapping[str, Json] = field(default_factory=dict)
    """Where the request says nothing: `temperature`, `top_p`, `max_tokens`, `stop`."""
    over: frozenset[str] = frozenset()
    """Which of these, and `model`, count more than what the request says."""
