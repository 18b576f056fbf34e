"""A Responses request, read strictly: what it says, what it declares, and what it builds on that only the provider can see.

Hidden state is named, never guessed at: `previous_response_id`, `conversation` and references to stored items are `Request.continues` (the
gateway knows whose they are); stored prompts and uploaded files are `powerful`. Unknown fields, items and parts are `unjudged`.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import msgspec
from msgspec import Raw, Struct

from gateway.dialects import fields
from gateway.dialects import openai_responses_shape as shape
from gateway.dialects.media import addressed
from gateway.dialects.openai_reading import bad, json_object, model_name, number, session_of, typed
from gateway.dialects.openai_responses_beside import beside
from gateway.dialects.openai_responses_items import BUILT_IN
from gateway.dialects.openai_responses_tools import Declared, forced
from gateway.dialects.proposals import clipped
from gateway.dialects.request_texts import of_slots
from gateway.request import Media, Message, Operation, ProposedBefore, Request, Stored, StoredKind
from gateway.strict_json import Json

NAME = "openai.responses"
TABLES: Mapping[Operation, fields.FieldTable] = {
    "chat": fields.OPENAI_RESPONSES,
    "compact": fields.OPENAI_COMPACT,
    "count_tokens": fields.OPENAI_INPUT_TOKENS,
    "create": fields.OPENAI_CONVERSATIONS,
}
_ROLES = frozenset({"user", "assistant", "system", "developer"})
_TEXTS = frozenset({"input_text", "output_text", "refusal", "reasoning_text", "summary_text", "text"})
_ASKED = frozenset({"compaction", "compaction_trigger", "configuration_update", "reasoning", *shape.SERVICE_ITEMS})
"""Items of a history that hold neither words nor calls of the client's."""


class _Slices(Struct):
    """The same body again, cut at the borders of its items."""

    input: Raw = Raw(b"")
    items: Raw = Raw(b"")
    instructions: Raw = Raw(b"")
    tools: list[Raw] | None = None


_slices = msgspec.json.Decoder(_Slices).decode
_list = msgspec.json.Decoder(list[Raw]).decode


class Reading:
    """One request as far as it has been read."""

    def __init__(self) -> None:
        self.declared = Declared()
        self.unjudged: list[str] = []
        self.powerful: list[str] = []
        self.continues: list[Stored] = []
        self.messages: list[Message] = []


def decode_request(body: bytes, allow: frozenset[str], operation: Operation) -> Request:
    tree = json_object(body)
    table, raw, reading = TABLES[operation], _cut(body), Reading()
    reading.unjudged += table.unjudged(tree, frozenset())
    reading.powerful += table.in_effect(tree, frozenset())
    reading.declared.add_all(typed(tree, "tools", list, []), map(bytes, raw.tools or ()), "tools")
    _continue(tree, reading)
    if tree.get("instructions") is not None:
        reading.messages.append(Message("system", bytes(raw.instructions), typed(tree, "instructions", str, "")))
    _read_input(tree, raw, operation, reading)
    _check_choice(tree, reading)
    background = typed(tree, "background", bool, False)
    stored = background or typed(tree, "store", bool, True)
    kept: StoredKind | None = "conversation" if operation == "create" else "response" if operation == "chat" and stored else None
    return Request(
        dialect=NAME,
        model="" if operation == "create" else model_name(tree.get("model")),
        stream=typed(tree, "stream", bool, False),
        messages=tuple(reading.messages),
        tools=tuple(reading.declared.tools.values()),
        body=body,
        unjudged=_named([*reading.unjudged, *reading.declared.unknown], allow),
        powerful=_named([*reading.powerful, *(tool.path for tool in reading.declared.server)], allow),
        server_tools=tuple(tool for tool in reading.declared.server if tool.path not in allow),
        temperature=number(tree.get("temperature")),
        max_tokens=typed(tree, "max_output_tokens", int, None),
        user_hint=typed(tree, "safety_identifier", str, None) or typed(tree, "user", str, None),
        session_hint=session_of(tree.get("metadata")),
        operation=operation,
        continues=tuple(reading.continues),
        stores=kept,
        background=background,
    )


def _cut(body: bytes) -> _Slices:
    try:
        return _slices(body)
    except msgspec.ValidationError as error:
        bad("invalid_type", f"The body does not have the shape of a Responses request: {error}.")


def _named(names: list[str], allow: frozenset[str]) -> tuple[str, ...]:
    return tuple(dict.fromkeys(name for name in names if name not in allow))


def _continue(tree: Mapping[str, Json], reading: Reading) -> None:
    for name in ("parallel_tool_calls", "background", "store"):
        typed(tree, name, bool, None)
    typed(tree, "max_tool_calls", int, None)
    previous = typed(tree, "previous_response_id", str, None)
    if previous is not None:
        reading.continues.append(Stored("response", previous, "previous_response_id"))
    if typed(tree, "prompt_cache_options", dict, {}).get("comparison_response_id") is not None:  # whosever it is
        reading.powerful.append("prompt_cache_options.comparison_response_id")
    conversation = tree.get("conversation")
    if isinstance(conversation, dict):
        conversation = conversation.get("id")
    if isinstance(conversation, str):
        reading.continues.append(Stored("conversation", conversation, "conversation"))
    elif tree.get("conversation") is not None:
        bad("invalid_type", "`conversation` must be the id of a conversation, or an object with it.", "conversation")


def _check_choice(tree: Mapping[str, Json], reading: Reading) -> None:
    names, unknown = forced(tree.get("tool_choice"))
    if unknown:
        reading.unjudged.append(unknown)
    declared = {tool.name for tool in reading.declared.tools.values()}
    for name in names:
        if name not in declared:
            bad("undeclared_tool", f"`tool_choice` names the tool `{clipped(name)}`, which the request does not declare.", "tool_choice")


# Input


def _read_input(tree: Mapping[str, Json], raw: _Slices, operation: Operation, reading: Reading) -> None:
    name = "items" if operation == "create" else "input"
    given = tree.get(name)
    if isinstance(given, str):
        reading.messages.append(Message("user", bytes(raw.input), given))
    elif isinstance(given, list):
        for at, (item, piece) in enumerate(zip(given, _list(getattr(raw, name)), strict=True)):
            _read_item(item, bytes(piece), f"{name}[{at}]", reading)
    elif given is not None:
        bad("invalid_type", f"`{name}` must be text or a list of items.", name)


def _read_item(item: Json, raw: bytes, path: str, reading: Reading) -> None:
    kind = _kind(item)
    if not isinstance(kind, str):
        bad("invalid_item", f"`{path}` must be an object with a `type` or a `role`.", path)
    if kind == "message":
        reading.messages.append(_message(item, raw, path, reading))
    elif kind == "item_reference":
        reading.continues.append(Stored("item", _text(item, "id", path), f"{path}.id"))
    elif kind in shape.CALL_ITEMS:
        reading.messages.append(Message("assistant", raw, "", calls=(_proposed(item, kind, path),)))
    elif kind.endswith("_output") and kind in {**shape.PLAIN_ITEMS, **shape.SERVICE_ITEMS}:
        reading.messages.append(_result(item, raw, path, reading))
    elif kind == "mcp_approval_response":
        reading.messages.append(Message("user", raw, "", beside=of_slots(beside(item, None))))
    elif kind in _ASKED:
        reading.messages.append(Message("assistant", raw, ""))
    else:
        reading.unjudged.append(f"{path}.type={clipped(kind)}")
    if kind in ("additional_tools", "tool_search_output") and isinstance(item.get("tools"), list):
        pieces = msgspec.json.decode(raw, type=dict[str, Raw])["tools"]
        reading.declared.add_all(item["tools"], map(bytes, _list(pieces)), f"{path}.tools")


def _kind(item: Json) -> Json:
    """What an item is; messages and references may go without a `type`."""
    if not isinstance(item, dict) or item.get("type") is not None:
        return item.get("type") if isinstance(item, dict) else None
    return "message" if "role" in item else "item_reference" if item.keys() <= {"id", "type"} and item else None


def _message(item: dict[str, Json], raw: bytes, path: str, reading: Reading) -> Message:
    role = _text(item, "role", path)
    if role not in _ROLES:
        reading.unjudged.append(f"{path}.role={clipped(role)}")
    text, media = _content(item.get("content"), f"{path}.content", reading)
    more = of_slots(beside(item, item.get("content"))) if role != "assistant" else ()
    return Message(clipped(role), raw, text, media=media, beside=more)


def _proposed(item: Mapping[str, Json], kind: str, path: str) -> ProposedBefore:
    call_id = item.get("call_id") or item.get("id")
    if not isinstance(call_id, str):
        bad("invalid_item", f"`{path}` must have the id of the call.", path)
    if kind in ("function_call", "custom_tool_call"):
        name, arguments = _text(item, "name", path), item.get("input" if kind == "custom_tool_call" else "arguments")
        if isinstance(item.get("namespace"), str):
            name = f"{item['namespace']}.{name}"
        if not isinstance(arguments, str | None):
            bad("invalid_item", f"`{path}` must have its arguments as a string.", path)
        return ProposedBefore(call_id, name, arguments or "")
    name, keys = BUILT_IN[kind]
    return ProposedBefore(call_id, name, msgspec.json.encode({key: item[key] for key in keys if key in item}).decode())


def _result(item: dict[str, Json], raw: bytes, path: str, reading: Reading) -> Message:
    call_id = item.get("call_id") or item.get("id")
    output = item.get("output", item.get("result"))
    if isinstance(output, dict):
        output = [output]
    if isinstance(output, list) and not all(isinstance(part, dict) and isinstance(part.get("type"), str) for part in output):
        output = msgspec.json.encode(output).decode()  # a shell's lines: stdout, stderr and how it ended
    text, media = _content(output, f"{path}.output", reading)
    results = ((call_id, text),) if isinstance(call_id, str) else ()
    more = of_slots(beside(item, output), call_id if isinstance(call_id, str) else "")
    return Message("tool", raw, text, results=results, media=media, beside=more)


def _content(content: Json, path: str, reading: Reading) -> tuple[str, tuple[Media, ...]]:
    """All text of a message or result, and its media."""
    if content is None or isinstance(content, str):
        return content or "", ()
    if not isinstance(content, list):
        bad("invalid_item", f"`{path}` must be text or a list of parts.", path)
    texts: list[str] = []
    media: list[Media] = []
    for at, part in enumerate(content):
        _read_part(part, f"{path}[{at}]", reading, texts, media)
    return "\n".join(texts), tuple(media)


def _read_part(part: Json, path: str, reading: Reading, texts: list[str], media: list[Media]) -> None:
    kind = part.get("type") if isinstance(part, dict) else None
    if not isinstance(kind, str):
        bad("invalid_item", f"`{path}` must be an object with a `type`.", path)
    if kind in _TEXTS:
        texts.append(_text(part, "refusal" if kind == "refusal" else "text", path))
    elif kind in ("input_image", "computer_screenshot"):
        _addressed(part, "image", "image_url", path, media)
    elif kind == "input_file":
        _addressed(part, "file", "file_url", path, media)
        if part.get("file_data") is not None:
            media.append(Media("file", f"{path}.file_data", data=_text(part, "file_data", path)))
    elif kind == "input_audio":
        sound = part.get("input_audio")
        media.append(Media("audio", f"{path}.input_audio", data=_text(sound if isinstance(sound, dict) else {}, "data", path)))
    elif kind != "encrypted_content":
        reading.unjudged.append(f"{path}.type={clipped(kind)}")
    if part.get("file_id") is not None:
        reading.powerful.append(f"{path}.file_id")


def _addressed(part: Mapping[str, Json], kind: Any, key: str, path: str, media: list[Media]) -> None:
    if part.get(key) is not None:
        media.append(addressed(kind, f"{path}.{key}", _text(part, key, path)))


def _text(holder: Mapping[str, Json], name: str, path: str) -> str:
    value = holder.get(name)
    if not isinstance(value, str):
        bad("invalid_item", f"`{path}.{name}` must be a string.", path)
    return value
