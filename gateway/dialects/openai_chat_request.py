"""A chat completion request, read strictly: what the gate judges is what the provider reads.

Names count exactly, types count exactly (`"n": 2.0` or `"stream": 1` mean different things to different servers), and nothing is mended.
What has one meaning but that nobody can judge (an unknown field, tool type, role or content part) is named in `Request.unjudged`; what
makes the provider act on its own is named in `Request.powerful`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple, cast

import msgspec
from msgspec import Struct

from gateway import strict_json
from gateway.dialects import plain
from gateway.dialects.fields import OPENAI_CHAT, OPENAI_EMBEDDINGS
from gateway.dialects.openai_chat_beside import beside, predicted
from gateway.dialects.openai_chat_media import media_of
from gateway.dialects.openai_reading import bad, json_object, model_name, number, session_of, typed
from gateway.dialects.proposals import clipped, name_problem
from gateway.dialects.request_texts import of_slots
from gateway.recent import Recent
from gateway.request import Media, Message, ProposedBefore, Request, ServerTool, Tool
from gateway.strict_json import Json

_MOST_CHOICES = 128
_ROLES = frozenset({"system", "developer", "user", "assistant", "tool", "function"})
_PARTS = frozenset({"text", "image_url", "input_audio", "file", "refusal"})
_CLIENT_RUN = ("function", "custom")
_PROVIDER_RUN = frozenset({
    "browser_search", "code_execution", "code_interpreter", "computer_use_preview", "file_search", "google_search", "image_generation",
    "mcp", "url_context", "web_fetch", "web_search", "web_search_preview",
})  # fmt: skip
_WITHIN = strict_json.DEPTH - 2
"""How deep a message may be: it lies in a list in an object."""
_CHOOSING = frozenset({"none", "auto", "required"})


class _Raw(Struct):
    """The same body again, cut at the borders of its items."""

    messages: list[msgspec.Raw]
    tools: msgspec.Raw = msgspec.Raw(b"null")
    functions: list[msgspec.Raw] | None = None


class _Body(NamedTuple):
    """A request's body, read strictly. What was read before, byte by byte, is not parsed again."""

    tree: dict[str, Json]
    raw: _Raw
    pieces: Sequence[bytes]
    """The messages as they came."""
    known: Sequence[Message | None]
    """Those of them that were read before; in the tree there is nothing in their place."""
    tools: tuple[Tool, ...] | None
    """Those that were read before."""


_RECENT: Recent[Message] = Recent(16 * 1024 * 1024)
_RECENT_TOOLS: Recent[tuple[Tool, ...]] = Recent(8 * 1024 * 1024)
_cut = msgspec.json.Decoder(_Raw).decode
_fields = msgspec.json.Decoder(dict[str, msgspec.Raw]).decode
_encode = msgspec.json.Encoder().encode
_items = msgspec.json.Decoder(list[msgspec.Raw]).decode


def decode_request(dialect: str, body: bytes, allow_fields: frozenset[str]) -> Request:
    opened = _by_pieces(body)
    tree = opened.tree if opened else json_object(body)
    model, stream = model_name(tree.get("model")), typed(tree, "stream", bool, False)
    _check_choices(tree)
    _check_lists(tree)
    opened = opened or _whole(body, tree)
    unjudged = list(OPENAI_CHAT.unjudged(tree, frozenset()))
    powerful = list(OPENAI_CHAT.in_effect(tree, frozenset()))
    tools = _tools(opened, unjudged, powerful)
    messages = _messages(opened, unjudged, powerful)
    _check_tool_choice(tree, tools, unjudged)
    return Request(
        dialect=dialect,
        model=model,
        stream=stream,
        messages=messages,
        tools=tools,
        body=body,
        unjudged=tuple(n for n in unjudged if n not in allow_fields),
        powerful=tuple(n for n in powerful if n not in allow_fields),
        server_tools=() if opened.tools else _server_tools(tree, allow_fields),
        wants_usage=not stream or _includes_usage(tree),
        temperature=number(tree.get("temperature")),
        max_tokens=_max_tokens(tree),
        choices=typed(tree, "n", int, 1),
        user_hint=typed(tree, "safety_identifier", str, None) or typed(tree, "user", str, None),
        session_hint=session_of(tree.get("metadata")),
        beside=tuple(text for _, text in of_slots(predicted(tree))) if "prediction" in tree else (),
    )


def _by_pieces(body: bytes) -> _Body | None:
    """The body, where it can be read piece by piece and every piece has one meaning: agents send the whole conversation and all tools with
    every turn, and what they sent before has been read as strictly as it would be now. None where only reading all of it can tell, or say
    what is wrong."""
    try:
        fields = _fields(body)
        if _encode(fields) != body:  # white space, or a name twice
            return None
        cut = _cut(body)
        tools = _RECENT_TOOLS.get(bytes(cut.tools)) if "tools" in fields else None
        pieces = [bytes(piece) for piece in cut.messages]
        known = _RECENT.several(pieces)
        del fields["messages"]
        if tools:
            del fields["tools"]
        tree = strict_json.parse(_encode(fields), exact_numbers=False)
        tree["messages"] = [
            None if message else strict_json.parse(piece, depth=_WITHIN, exact_numbers=False)
            for message, piece in zip(known, pieces, strict=True)
        ]
    except (msgspec.DecodeError, UnicodeDecodeError, KeyError, RecursionError, strict_json.Ambiguous):
        return None
    return _Body(tree, cut, pieces, known, tools)


def _whole(body: bytes, tree: dict[str, Json]) -> _Body:
    raw = _cut(body)
    pieces = [bytes(piece) for piece in raw.messages]
    return _Body(tree, raw, pieces, _RECENT.several(pieces), None)


def decode_embeddings(dialect: str, body: bytes, allow_fields: frozenset[str]) -> Request:
    tree = json_object(body)
    model = model_name(tree.get("model"))
    if not isinstance(tree.get("input"), str | list):
        bad("invalid_type", "`input` must be text, a list of texts or a list of token numbers.", "input")
    return Request(
        dialect=dialect,
        model=model,
        stream=False,
        messages=(plain.said(bytes(_fields(body)["input"]), tree["input"]),),
        tools=(),
        body=body,
        unjudged=OPENAI_EMBEDDINGS.unjudged(tree, allow_fields),
        operation="embeddings",
        user_hint=typed(tree, "user", str, None),
    )


def upstream_body(request: Request) -> bytes:
    """The client's bytes, with usage asked for where the client did not: spliced in before the last brace, the rest as it was."""
    if not request.stream or request.wants_usage:
        return request.body
    fields = _fields(request.body)
    options = fields.get("stream_options")
    if options is None:
        return request.body.rstrip()[:-1] + b',"stream_options":{"include_usage":true}}'
    asked = {**(msgspec.json.decode(options) or {}), "include_usage": True}
    return msgspec.json.encode({**fields, "stream_options": asked})


def _check_choices(tree: Mapping[str, Json]) -> None:
    if not 1 <= typed(tree, "n", int, 1) <= _MOST_CHOICES:
        bad("invalid_value", f"`n` must be between 1 and {_MOST_CHOICES}.", "n")
    typed(tree, "parallel_tool_calls", bool, None)


def _check_lists(tree: Mapping[str, Json]) -> None:
    if not typed(tree, "messages", list, None):
        bad("missing_messages", "`messages` must be a list with at least one message.", "messages")
    for name in ("tools", "functions"):
        typed(tree, name, list, None)
    if tree.get("tools") and tree.get("functions"):
        bad("tools_and_functions", "`functions` and `tools` cannot be used together. Declare every function in `tools`.", "functions")


def _includes_usage(tree: Mapping[str, Json]) -> bool:
    options: dict[str, Json] = typed(tree, "stream_options", dict, {})
    include: bool = typed(options, "include_usage", bool, False)
    return include


def _max_tokens(tree: Mapping[str, Json]) -> int | None:
    older: int | None = typed(tree, "max_tokens", int, None)
    newer: int | None = typed(tree, "max_completion_tokens", int, None)
    return older if newer is None else newer


# Tools


def _tools(body: _Body, unjudged: list[str], powerful: list[str]) -> tuple[Tool, ...]:
    """Declared with every turn anew, so that those of which nothing else is to be said are remembered."""
    if body.tools is not None:
        return body.tools
    said = len(unjudged) + len(powerful)
    found = _declared(body.tree, body.raw, unjudged, powerful)
    if body.tree.get("tools") and len(unjudged) + len(powerful) == said:
        _RECENT_TOOLS.keep(bytes(body.raw.tools), found)
    return found


def _declared(tree: Mapping[str, Json], raw: _Raw, unjudged: list[str], powerful: list[str]) -> tuple[Tool, ...]:
    listed = tree.get("tools") or ()
    pieces = _items(raw.tools) if listed else ()
    tools = [_tool(tool, bytes(piece), f"tools[{at}]") for at, (tool, piece) in enumerate(zip(listed, pieces, strict=True))]
    for at, (function, piece) in enumerate(zip(tree.get("functions") or (), raw.functions or (), strict=True)):
        tools.append(_function(function, bytes(piece), f"functions[{at}]"))
    for at, tool in enumerate(tools):
        if tool.type not in _CLIENT_RUN:
            (powerful if tool.type in _PROVIDER_RUN else unjudged).append(f"tools[{at}].type={clipped(tool.type)}")
    _check_names(tools)
    return tuple(tools)


def _server_tools(tree: Mapping[str, Json], allow: frozenset[str]) -> tuple[ServerTool, ...]:
    """What the provider would run by itself, under the names that policies grant."""
    found = [
        ServerTool(f"openai.{tool['type']}", f"tools[{at}].type={tool['type']}", tool)
        for at, tool in enumerate(tree.get("tools") or ())
        if tool["type"] in _PROVIDER_RUN
    ]
    searching = tree.get("web_search_options")
    if isinstance(searching, dict):
        found.append(ServerTool("openai.web_search", "web_search_options", searching))
    return tuple(tool for tool in found if tool.path not in allow)


def _tool(tool: Json, raw: bytes, path: str) -> Tool:
    kind = tool.get("type") if isinstance(tool, dict) else None
    if not isinstance(kind, str):
        bad("invalid_tool", f"`{path}` must be an object with a `type`.", path)
    if kind not in _CLIENT_RUN:
        return Tool(name=clipped(tool.get("name") or kind), type=kind, raw=raw)
    declaration = _declaration(tool.get(kind), f"{path}.{kind}")
    return Tool(declaration["name"], kind, raw, _schema(declaration, bytes(_fields(raw)[kind])) if kind == "function" else None)


def _function(function: Json, raw: bytes, path: str) -> Tool:
    """The older form, without a tool around it."""
    declaration = _declaration(function, path)
    return Tool(declaration["name"], "function", raw, _schema(declaration, raw))


def _declaration(declaration: Json, path: str) -> Mapping[str, Json]:
    if not isinstance(declaration, dict) or name_problem(declaration.get("name")):
        bad("invalid_tool", f"`{path}` needs a `name` of 1 to 128 ASCII letters, digits or any of _ . : / -", path)
    return declaration


def _schema(declaration: Mapping[str, Json], raw: bytes) -> bytes | None:
    return None if declaration.get("parameters") is None else bytes(_fields(raw)["parameters"])


def _check_names(tools: list[Tool]) -> None:
    seen: set[str] = set()
    for tool in tools:
        if tool.type in _CLIENT_RUN and tool.name in seen:
            bad("duplicate_tool", f"The tool `{clipped(tool.name)}` is declared twice. Give each tool a name of its own.", "tools")
        seen.add(tool.name)


def _check_tool_choice(tree: Mapping[str, Json], tools: Sequence[Tool], unjudged: list[str]) -> None:
    for field in ("tool_choice", "function_call"):
        choice = tree.get(field)
        if choice is None or (isinstance(choice, str) and choice in _CHOOSING):
            continue
        names = _forced(choice, legacy=field == "function_call")
        if names is None:
            unjudged.append(field)
            continue
        for name in names:
            if not isinstance(name, str) or name not in {tool.name for tool in tools}:
                bad("undeclared_tool", f"`{field}` names the tool `{clipped(name)}`, which the request does not declare.", field)


def _forced(choice: Json, *, legacy: bool) -> list[Json] | None:
    """The tools a choice names, or None when it is of an unknown form."""
    if not isinstance(choice, dict):
        return None
    if legacy:
        return [choice.get("name")]
    kind = choice.get("type")
    if kind in _CLIENT_RUN:
        return [_named(choice, kind)]
    if kind == "allowed_tools" and isinstance(choice.get(kind), dict):
        return [_named(t, t.get("type")) for t in choice[kind].get("tools") or () if isinstance(t, dict)]
    return None


def _named(choice: Mapping[str, Json], kind: Json) -> Json:
    named = choice.get(kind)
    return named.get("name") if isinstance(named, dict) else None


# Messages


def _messages(body: _Body, unjudged: list[str], powerful: list[str]) -> tuple[Message, ...]:
    found = list(body.known)
    for at, message in enumerate(found):
        if message is None:
            found[at] = _new(body.tree["messages"][at], body.pieces[at], at, unjudged, powerful)
    return tuple(cast("list[Message]", found))


def _new(message: Json, raw: bytes, at: int, unjudged: list[str], powerful: list[str]) -> Message:
    """Remembered where nothing in it depends on its place."""
    said = len(unjudged) + len(powerful)
    found = _message(message, raw, at, unjudged, powerful)
    if not found.media and len(unjudged) + len(powerful) == said:
        _RECENT.keep(raw, found)
    return found


def _message(message: Json, raw: bytes, at: int, unjudged: list[str], powerful: list[str]) -> Message:
    path = f"messages[{at}]"
    role = message.get("role") if isinstance(message, dict) else None
    if not isinstance(role, str):
        bad("invalid_message", f"`{path}` must be an object with a `role`.", path)
    if role not in _ROLES:
        unjudged.append(f"{path}.role={clipped(role)}")
    text, media = _text(message, path, unjudged, powerful)
    results = _results(message, role, text, path)
    return Message(
        role="tool" if role == "function" else clipped(role),
        raw=raw,
        text=text,
        calls=tuple(_proposed_before(message, path, unjudged)),
        results=results,
        media=media,
        beside=of_slots(beside(message), results[0][0] if results else None) if role != "assistant" else (),
    )


def _text(message: Mapping[str, Json], path: str, unjudged: list[str], powerful: list[str]) -> tuple[str, tuple[Media, ...]]:
    """All text of a message, and its media."""
    content = message.get("content")
    media: list[Media] = []
    if content is None or isinstance(content, str):
        texts = [content] if content else []
    elif isinstance(content, list):
        texts = [t for at, part in enumerate(content) if (t := _part(part, f"{path}.content[{at}]", unjudged)) is not None]
        media = [m for at, part in enumerate(content) if (m := media_of(part, f"{path}.content[{at}]", powerful)) is not None]
    else:
        bad("invalid_message", f"`{path}.content` must be a string, a list of parts or null.", path)
    refusal: str | None = typed(message, "refusal", str, None)
    return "\n".join([*texts, refusal] if refusal else texts), tuple(media)


def _part(part: Json, path: str, unjudged: list[str]) -> str | None:
    kind = part.get("type") if isinstance(part, dict) else None
    if not isinstance(kind, str):
        bad("invalid_message", f"`{path}` must be an object with a `type`.", path)
    if kind not in _PARTS:
        unjudged.append(f"{path}.type={clipped(kind)}")
        return None
    if kind not in ("text", "refusal"):
        return None
    text = part.get(kind)
    if not isinstance(text, str):
        bad("invalid_message", f"`{path}.{kind}` must be a string.", path)
    return text


def _proposed_before(message: Mapping[str, Json], path: str, unjudged: list[str]) -> list[ProposedBefore]:
    earlier: list[ProposedBefore] = []
    for at, call in enumerate(typed(message, "tool_calls", list, [])):
        kind = call.get("type", "function") if isinstance(call, dict) else None
        if kind in _CLIENT_RUN:
            text_key = "input" if kind == "custom" else "arguments"
            earlier.append(_earlier(call.get(kind), call.get("id"), text_key, f"{path}.tool_calls[{at}]"))
        else:
            unjudged.append(f"{path}.tool_calls[{at}].type={clipped(kind)}")
    legacy = message.get("function_call")
    if legacy is not None:
        earlier.append(_earlier(legacy, "", "arguments", f"{path}.function_call"))
    return earlier


def _earlier(payload: Json, call_id: Json, text_key: str, path: str) -> ProposedBefore:
    name, text = (payload.get("name"), payload.get(text_key)) if isinstance(payload, dict) else (None, None)
    if not isinstance(call_id, str) or not isinstance(name, str) or not isinstance(text, str | None):
        bad("invalid_message", f"`{path}` must be a call as the model proposed it: an id, a name and its arguments as a string.", path)
    return ProposedBefore(id=call_id, name=name, arguments=text or "")


def _results(message: Mapping[str, Json], role: str, text: str, path: str) -> tuple[tuple[str, str], ...]:
    if role not in ("tool", "function"):
        return ()
    key = "tool_call_id" if role == "tool" else "name"
    call_id = message.get(key)
    if not isinstance(call_id, str):
        bad("invalid_message", f"`{path}` is a tool result and needs a string `{key}`.", path)
    return ((call_id, text),)
