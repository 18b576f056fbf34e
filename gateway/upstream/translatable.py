"""What of a request survives a translation: closed tables, one per dialect of the client.

What no table names does not reach the provider. Sampling hints and the like are left out and named (`dropped`): the exchange's record and a
response header list them. What changes who may do what, or what was said, is never left out: a tool, a tool choice, a message part or an
earlier call that cannot be said in the other dialect refuses the request. Pure: parsed JSON in, parsed JSON out; litellm only ever sees
what is left, so that it has nothing to lose silently.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import NoReturn, TypeAlias

from msgspec import Struct

from gateway import strict_json
from gateway.errors import GatewayError
from gateway.platform_settings import CONVERSE
from gateway.strict_json import Json

PAIRS: tuple[tuple[str, str], ...] = (
    ("openai.chat", "anthropic.messages"),
    ("openai.chat", "google.gemini"),
    ("anthropic.messages", "openai.chat"),
    ("anthropic.messages", "google.gemini"),
    ("openai.chat", CONVERSE),
    ("anthropic.messages", CONVERSE),
)
"""(dialect of the client, dialect of the provider)."""


class Tagged(Struct, frozen=True):
    """An object whose shape depends on one of its fields. A value of it that is not listed refuses the request."""

    field: str
    shapes: Mapping[str, Shape]
    default: str = ""
    """What stands for an absent field."""


class Each(Struct, frozen=True):
    """A list of such; anything else (a plain string) is taken as it is."""

    shape: Shape


class Refused(Struct, frozen=True):
    """May not be there: leaving it out would change what the request asks for. `harmless` are values that say nothing."""

    harmless: tuple[Json, ...] = ()


class Lost(Struct, frozen=True):
    """An element of a list that is left out whole, and named."""


Shape: TypeAlias = Mapping[str, "Shape"] | Tagged | Each | Refused | Lost | None
"""None: taken as it is, whatever it holds. A mapping: an object with exactly these keys, others left out and named."""

_GONE = object()


def _part(*keys: str) -> Shape:
    return dict.fromkeys(("type", *keys))


_CHAT_TEXT = {"text": _part("text")}
_CHAT_IMAGE = {"image_url": {"type": None, "image_url": {"url": None}}}
_CHAT_CALL = Tagged("type", {"function": {"id": None, "type": None, "function": {"name": None, "arguments": None}}}, "function")
_CHAT_SAID = {"role": None, "content": Each(Tagged("type", _CHAT_TEXT))}
_CHAT_MESSAGE = Tagged(
    "role",
    {
        "system": _CHAT_SAID,
        "developer": _CHAT_SAID,
        "user": {"role": None, "content": Each(Tagged("type", _CHAT_TEXT | _CHAT_IMAGE))},
        "assistant": _CHAT_SAID | {"tool_calls": Each(_CHAT_CALL), "function_call": Refused(), "audio": Refused()},
        "tool": _CHAT_SAID | {"tool_call_id": None},
    },
)
_CHAT_TOOL = Tagged("type", {"function": {"type": None, "function": dict.fromkeys(("name", "description", "parameters"))}})
_CHAT: Mapping[str, Shape] = {
    **dict.fromkeys(("model", "stream", "stream_options", "max_tokens", "max_completion_tokens", "temperature", "top_p", "stop")),
    "user": None,
    "parallel_tool_calls": None,
    "messages": Each(_CHAT_MESSAGE),
    "tools": Each(_CHAT_TOOL),
    "tool_choice": Tagged("type", {"function": {"type": None, "function": {"name": None}}}),
    "n": Refused(harmless=(1,)),
    "functions": Refused(),
    "function_call": Refused(harmless=("none",)),
    "web_search_options": Refused(),
}

_TEXT = {"text": _part("text")}
_IMAGE: Mapping[str, Shape] = {"image": {"type": None, "source": Tagged("type", {"base64": _part("media_type", "data")})}}
_RESULT: Mapping[str, Shape] = {
    "tool_result": {"type": None, "tool_use_id": None, "content": Each(Tagged("type", _TEXT))}
}
_SAID = Each(Tagged("type", _TEXT))
_ANSWERED: Mapping[str, Shape] = {
    **_TEXT, "tool_use": _part("id", "name", "input"), "thinking": Lost(), "redacted_thinking": Lost()
}  # fmt: skip
_CHOICE: Shape = _part("disable_parallel_tool_use")
_MESSAGES: Mapping[str, Shape] = {
    **dict.fromkeys(("model", "stream", "max_tokens", "temperature", "top_p", "stop_sequences")),
    "metadata": {"user_id": None},
    "system": _SAID,
    "messages": Each(
        Tagged(
            "role",
            {
                "user": {"role": None, "content": Each(Tagged("type", {**_TEXT, **_IMAGE, **_RESULT}))},
                "assistant": {"role": None, "content": Each(Tagged("type", _ANSWERED))},
                "system": {"role": None, "content": _SAID},
            },
        )
    ),
    "tools": Each(Tagged("type", {"custom": _part("name", "description", "input_schema")}, "custom")),
    "tool_choice": Tagged(
        "type", {"auto": _CHOICE, "any": _CHOICE, "none": _part(), "tool": _part("name", "disable_parallel_tool_use")}
    ),
    "mcp_servers": Refused(),
    "container": Refused(),
    "thread": Refused(),
}

SHAPES: Mapping[str, Mapping[str, Shape]] = {"openai.chat": _CHAT, "anthropic.messages": _MESSAGES}
"""By the client's dialect: what can be said in another one."""

_NOT_THERE: Mapping[tuple[str, str], frozenset[str]] = {
    ("openai.chat", "google.gemini"): frozenset({"user", "parallel_tool_calls"}),
    ("anthropic.messages", "google.gemini"): frozenset({"metadata", "tool_choice.disable_parallel_tool_use"}),
    ("openai.chat", CONVERSE): frozenset({"user", "parallel_tool_calls"}),
    ("anthropic.messages", CONVERSE): frozenset({"metadata", "tool_choice.disable_parallel_tool_use"}),
}
"""What a provider's dialect has no word for, beyond the table of the client's."""
_THERE_TOO: Mapping[tuple[str, str], Mapping[str, Shape]] = {
    ("openai.chat", CONVERSE): {"response_format": Tagged("type", {"text": _part(), "json_schema": _part("json_schema")})},
}
"""What it has a word for that others have not."""


def spoken(client: str, dialects: Iterable[str]) -> str | None:
    """The first of an upstream's dialects into which `client` can be translated."""
    return next((dialect for dialect in dialects if (client, dialect) in PAIRS), None)


class Translatable(Struct, frozen=True):
    """A request cut down to what survives."""

    tree: dict[str, Json]
    dropped: tuple[str, ...]
    """Names of what was left out, in the order found: `logit_bias`, `messages[].name`, `messages[].content[].cache_control`."""


def translatable(client: str, upstream: str, tree: Mapping[str, Json]) -> Translatable:
    """`tree` is the parsed request. Raises GatewayError('refused', 'untranslatable') for what may not be left out."""
    walk = _Walk(client, upstream)
    kept: dict[str, Json] = walk.kept(dict(tree), {**SHAPES[client], **_THERE_TOO.get((client, upstream), {})}, "")
    if client == "openai.chat":
        _check_arguments(walk, kept)
    return Translatable(kept, tuple(walk.dropped))


class _Walk:
    def __init__(self, client: str, upstream: str) -> None:
        self._upstream = upstream
        self._missing = _NOT_THERE.get((client, upstream), frozenset())
        self.dropped: dict[str, None] = {}

    def refuse(self, path: str) -> NoReturn:
        message = (
            f"This model is served by a provider of another dialect ({self._upstream}), and '{path}' cannot be said in it. "
            "Leave it out, or use a model whose provider speaks this dialect."
        )
        raise GatewayError("refused", "untranslatable", message, param=path)

    def kept(self, value: Json, shape: Shape, path: str) -> Json:
        match shape:
            case None:
                return value
            case Lost():
                self.dropped[path] = None
                return _GONE
            case Refused():
                self.refuse(path)
            case Each():
                return self._each(value, shape.shape, f"{path}[]") if isinstance(value, list) else value
            case Tagged():
                return self._tagged(value, shape, path)
        return self._object(value, shape, path) if isinstance(value, dict) else self.refuse(path)

    def _each(self, values: list[Json], shape: Shape, path: str) -> list[Json]:
        kept = (self.kept(value, shape, path) for value in values)
        return [value for value in kept if value is not _GONE]

    def _tagged(self, value: Json, shape: Tagged, path: str) -> Json:
        if isinstance(value, str) and not path.endswith("[]"):
            return value
        tag = value.get(shape.field, shape.default) if isinstance(value, dict) else ""
        found = shape.shapes.get(tag, _GONE) if isinstance(tag, str) else _GONE
        if found is _GONE:
            self.refuse(f"{path}.{shape.field}={tag}" if isinstance(tag, str) and tag else path)
        named = f"{path}.{tag}" if isinstance(found, Lost) else path
        return self.kept(value, found, named)  # type: ignore[arg-type]  # mypy cannot see that _GONE has left

    def _object(self, value: dict[str, Json], shape: Mapping[str, Shape], path: str) -> dict[str, Json]:
        kept = {}
        for key, inner in value.items():
            below = f"{path}.{key}" if path else key
            known = shape.get(key, _GONE)
            if inner is None or (isinstance(known, Refused) and inner in known.harmless):
                continue
            if known is _GONE or below in self._missing:
                self.dropped[below] = None
            else:
                kept[key] = self.kept(inner, known, below)  # type: ignore[arg-type]  # as above
        return kept


def _check_arguments(walk: _Walk, tree: Mapping[str, Json]) -> None:
    """Earlier calls travel as objects in other dialects: their argument texts must be one."""
    calls = (call for message in tree.get("messages", ()) for call in message.get("tool_calls", ()))
    for call in calls:
        text = call.get("function", {}).get("arguments") or "{}"
        try:
            whole = isinstance(strict_json.parse(text, exact_numbers=False), dict)
        except strict_json.Ambiguous:
            whole = False
        if not whole:
            walk.refuse("messages[].tool_calls[].function.arguments")
