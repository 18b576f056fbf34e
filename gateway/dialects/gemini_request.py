"""A generateContent request, read strictly: what it says, which functions it declares, which of Google's own tools it asks for.

The model stands in the path. Unknown fields are `unjudged`; stored contexts (`cachedContent`, Files API references) are `powerful`, because
nobody here can see what is in them; Google's own tools need a grant each.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping

import msgspec

from gateway import strict_json
from gateway.dialects import gemini_shape as shape
from gateway.dialects.gemini_beside import beside, beside_result
from gateway.dialects.gemini_shape import bad, spelled
from gateway.dialects.media import addressed
from gateway.dialects.proposals import clipped, name_problem
from gateway.dialects.request_texts import dicts, of_slots
from gateway.request import Endpoint, Media, Message, ProposedBefore, Request, ServerTool, Tool
from gateway.strict_json import Json

NAME = "google.gemini"
STREAM = ":streamGenerateContent"
MOST_CANDIDATES = 8
_MODES = frozenset({"MODE_UNSPECIFIED", "AUTO", "ANY", "NONE", "VALIDATED"})
_ROLES: Mapping[Json, str] = {"user": "user", "model": "assistant", "function": "tool", "system": "system", None: "user"}


class Reading:
    """One request as far as it has been read."""

    def __init__(self) -> None:
        self.unjudged: list[str] = []
        self.powerful: list[str] = []
        self.tools: dict[str, Tool] = {}
        self.server: list[ServerTool] = []
        self.messages: list[Message] = []

    def fields(self, tree: Mapping[str, Json], known: frozenset[str], path: str) -> None:
        self.unjudged += [f"{path}.{clipped(name)}" for name in tree if name not in known]


def decode_request(body: bytes, allow: frozenset[str], endpoint: Endpoint) -> Request:
    tree = spelled(_object(body), "request")
    table = {"count_tokens": shape.COUNT, "embeddings": shape.EMBED}.get(endpoint.operation, shape.GENERATE)
    reading = Reading()
    reading.unjudged += table.unjudged(tree, frozenset())
    reading.powerful += table.in_effect(tree, frozenset())
    _check_model(tree, endpoint)
    if endpoint.operation == "embeddings":
        _embedded(tree, reading)
    elif tree.get("generateContentRequest") is not None:
        inner = spelled(tree["generateContentRequest"], "generateContentRequest")
        reading.fields(inner, shape.GENERATE.judged | shape.GENERATE.inert, "generateContentRequest")
        _asked(inner, reading)
    else:
        _asked(tree, reading)
    config = _held(tree, "generationConfig", "generationConfig")
    return Request(
        dialect=NAME,
        model=endpoint.subject,
        stream=_streamed(endpoint),
        messages=tuple(reading.messages),
        tools=tuple(reading.tools.values()),
        body=body,
        unjudged=_named(reading.unjudged, allow),
        powerful=_named([*reading.powerful, *(tool.path for tool in reading.server)], allow),
        server_tools=tuple(tool for tool in reading.server if tool.path not in allow),
        temperature=_number(config.get("temperature")),
        max_tokens=config.get("maxOutputTokens") if type(config.get("maxOutputTokens")) is int else None,
        choices=config.get("candidateCount", 1),
        operation=endpoint.operation,
    )


def _object(body: bytes) -> Json:
    try:
        return strict_json.parse(body, depth=128, exact_numbers=False)
    except strict_json.Ambiguous as ambiguous:
        message = f"The body is not JSON with one meaning: {ambiguous.detail}. Send one UTF-8 JSON object, each key once."
        raise bad("invalid_json", message) from None


def _named(names: list[str], allow: frozenset[str]) -> tuple[str, ...]:
    return tuple(dict.fromkeys(name for name in names if name not in allow))


def _streamed(endpoint: Endpoint) -> bool:
    if not endpoint.upstream_path.endswith(STREAM):
        return False
    if "alt=sse" not in endpoint.query.split("&"):
        raise bad("stream_form", "Streams are served as server-sent events only. Add ?alt=sse to the URL, as Google's SDKs do.", "alt")
    return True


def _check_model(tree: Mapping[str, Json], endpoint: Endpoint) -> None:
    named = tree.get("model")
    if named is not None and named not in (endpoint.subject, f"models/{endpoint.subject}"):
        raise bad("invalid_model", "`model` names another model than the path. Leave it out of the body.", "model")


def _held(holder: Mapping[str, Json], name: str, path: str) -> dict[str, Json]:
    """The object of a field; an absent one is empty."""
    return {} if holder.get(name) is None else spelled(holder[name], path)


def _number(value: Json) -> float | None:
    return float(value) if type(value) in (int, float) else None


def _asked(tree: Mapping[str, Json], reading: Reading) -> None:
    config = _held(tree, "generationConfig", "generationConfig")
    reading.fields(config, shape.GENERATION_KEYS, "generationConfig")
    count = config.get("candidateCount", 1)
    if type(count) is not int or not 1 <= count <= MOST_CANDIDATES:
        raise bad("invalid_value", f"`candidateCount` must be a whole number from 1 to {MOST_CANDIDATES}.", "generationConfig")
    _read_tools(tree.get("tools"), reading)
    _read_choice(tree.get("toolConfig"), reading)
    if tree.get("systemInstruction") is not None:
        system = tree["systemInstruction"]
        content = {"parts": [{"text": system}]} if isinstance(system, str) else system
        reading.messages.append(_content(content, "systemInstruction", reading, role="system"))
    listed = tree.get("contents") if tree.get("contents") is not None else []
    if not isinstance(listed, list):
        raise bad("invalid_type", "`contents` must be a list.", "contents")
    reading.messages += [_content(content, f"contents[{at}]", reading) for at, content in enumerate(listed)]


def _embedded(tree: Mapping[str, Json], reading: Reading) -> None:
    for content, path in _embeddings(tree):
        reading.messages.append(_content(content, path, reading, role="user"))


def _embeddings(tree: Mapping[str, Json]) -> Iterator[tuple[Json, str]]:
    if tree.get("content") is not None:
        yield tree["content"], "content"
    requests = [] if tree.get("requests") is None else tree["requests"]
    if not isinstance(requests, list):
        raise bad("invalid_type", "`requests` must be a list.", "requests")
    for at, each in enumerate(requests):
        yield spelled(each, f"requests[{at}]").get("content"), f"requests[{at}].content"


# Contents


def _content(content: Json, path: str, reading: Reading, role: str = "") -> Message:
    found = spelled(content, path)
    reading.fields(found, shape.CONTENT_KEYS, path)
    said = found.get("role")
    if not role and (not isinstance(said, str | None) or said not in _ROLES):
        reading.unjudged.append(f"{path}.role={clipped(said)}")
    parts = found.get("parts") or []
    if isinstance(parts, dict):
        parts = [parts]
    if not isinstance(parts, list):
        raise bad("invalid_type", f"`{path}.parts` must be a list.", path)
    texts: list[str] = []
    calls: list[ProposedBefore] = []
    results: list[tuple[str, str]] = []
    media: list[Media] = []
    for at, part in enumerate(parts):
        _part(part, f"{path}.parts[{at}]", reading, texts, calls, results, media, thinks=said == "model" and not role)
    more = [] if said == "model" and not role else [each for part in dicts(parts) for each in of_slots(beside(part))]
    for part, (call_id, _) in zip(_answering(parts) if results else (), results, strict=True):
        more += of_slots(beside_result(part), call_id)
    spoken = role or ("tool" if results and not texts else _ROLES.get(said, "user") if isinstance(said, str | None) else "user")
    raw = msgspec.json.encode(content)
    return Message(spoken, raw, "\n".join(texts), tuple(calls), tuple(results), tuple(media), beside=tuple(more))


def _answering(parts: Json) -> list[dict[str, Json]]:
    return [part for part in dicts(parts) if "functionResponse" in shape.payload(spelled(part, ""))]


def _part(
    part: Json,
    path: str,
    reading: Reading,
    texts: list[str],
    calls: list[ProposedBefore],
    results: list[tuple[str, str]],
    media: list[Media],
    *,
    thinks: bool,
) -> None:
    """`thinks`: whose part it is has thoughts, which are not what it says. Whoever else marks words as a thought has said them."""
    found = spelled(part, path)
    reading.fields(found, shape.PART_KEYS, path)
    kinds = shape.payload(found)
    if len(kinds) > 1:
        raise bad("ambiguous_part", f"`{path}` holds {' and '.join(kinds)}. Send one part for each.", path)
    kind = kinds[0] if kinds else ""
    if kind == "text":
        if not isinstance(found["text"], str):
            raise bad("invalid_type", f"`{path}.text` must be a string.", path)
        if not (thinks and found.get("thought")):
            texts.append(found["text"])
        return
    holder = spelled(found[kind], f"{path}.{kind}") if shape.PAYLOADS.get(kind) else {}
    match kind:
        case "functionCall":
            calls.append(_proposed(holder, path))
        case "functionResponse":
            results.append(_result(holder, path))
            media += _inline_parts(holder.get("parts"), f"{path}.functionResponse.parts", reading)
        case "inlineData" | "fileData":
            media += _media(holder, kind, f"{path}.{kind}", reading)


def _proposed(holder: Mapping[str, Json], path: str) -> ProposedBefore:
    name, call_id, args = holder.get("name"), holder.get("id"), holder.get("args")
    if not isinstance(name, str) or not isinstance(call_id, str | None) or not isinstance(args, dict | None):
        raise bad("invalid_type", f"`{path}.functionCall` must have a name, and its arguments as an object.", path)
    return ProposedBefore(call_id or name, name, msgspec.json.encode(args or {}).decode())


def _result(holder: Mapping[str, Json], path: str) -> tuple[str, str]:
    name, call_id, response = holder.get("name"), holder.get("id"), holder.get("response")
    if not isinstance(name, str) or not isinstance(call_id, str | None):
        raise bad("invalid_type", f"`{path}.functionResponse` must have the name of the function.", path)
    alone = response.get("result", response.get("output")) if isinstance(response, dict) and len(response) == 1 else None
    text = alone if isinstance(alone, str) else msgspec.json.encode(response).decode()
    return call_id or name, text  # calls without ids are answered by name


def _inline_parts(parts: Json, path: str, reading: Reading) -> Iterator[Media]:
    for at, part in enumerate(parts if isinstance(parts, list) else ()):
        found = spelled(part, f"{path}[{at}]")
        for kind in ("inlineData", "fileData"):
            if found.get(kind) is not None:
                where = f"{path}[{at}].{kind}"
                yield from _media(spelled(found[kind], where), kind, where, reading)


def _media(holder: Mapping[str, Json], kind: str, path: str, reading: Reading) -> Iterator[Media]:
    media_type = holder.get("mimeType")
    shown = clipped(media_type).lower() if isinstance(media_type, str) else ""
    value = holder.get("data" if kind == "inlineData" else "fileUri")
    if not isinstance(value, str):
        raise bad("invalid_type", f"`{path}` must hold its data or its address as a string.", path)
    major = shown.partition("/")[0]
    sort = major if major in ("image", "audio", "video") else "file"
    if kind == "inlineData":
        yield Media(sort, path, shown, data=value)  # type: ignore[arg-type]
    elif "generativelanguage.googleapis.com" in value or not value.startswith(("http://", "https://", "gs://")):
        reading.powerful.append(f"{path}.fileUri")
    else:
        yield addressed(sort, path, value, shown)  # type: ignore[arg-type]


# Tools


def _read_tools(tools: Json, reading: Reading) -> None:
    if isinstance(tools, dict):
        tools = [tools]
    if not isinstance(tools, list | None):
        raise bad("invalid_type", "`tools` must be a list.", "tools")
    for at, tool in enumerate(tools or ()):
        for kind, value in spelled(tool, f"tools[{at}]").items():
            if value is not None:
                _read_tool(kind, value, f"tools[{at}].{kind}", reading)


def _read_tool(kind: str, value: Json, path: str, reading: Reading) -> None:
    if kind == "functionDeclarations":
        if not isinstance(value, list):
            raise bad("invalid_tool", f"`{path}` must be a list.", path)
        for at, declaration in enumerate(value):
            _declare(declaration, f"{path}[{at}]", reading)
    elif kind == "computerUse":
        for name in sorted(shape.COMPUTER):
            reading.tools.setdefault(name, Tool(name, kind, msgspec.json.encode({kind: value})))
    elif kind in shape.SERVER_TOOLS:
        name = shape.SERVER_TOOLS[kind]
        reading.server.append(ServerTool(name, path, value if isinstance(value, dict) else {"value": value}))
        reading.tools[f"{name}/{path}"] = Tool(name, kind, msgspec.json.encode({kind: value}))
    else:
        reading.unjudged.append(f"tools[].{clipped(kind)}" if len(kind) > 60 else path)


def _declare(declaration: Json, path: str, reading: Reading) -> None:
    found = spelled(declaration, path)
    name = found.get("name")
    if name_problem(name):
        raise bad("invalid_tool", f"`{path}` needs a `name` of 1 to 128 ASCII letters, digits or any of _ . : / -", path)
    raw = msgspec.json.encode(declaration)
    tool = Tool(str(name), "function", raw, _schema(found))
    known = reading.tools.get(tool.name)
    if known is not None and known.raw != raw:
        raise bad("duplicate_tool", f"`{path}` declares the tool `{clipped(name)}` again. Give each tool a name of its own.", path)
    reading.tools[tool.name] = tool


def _schema(declaration: Mapping[str, Json]) -> bytes | None:
    given = declaration.get("parametersJsonSchema")
    if given is not None:
        return msgspec.json.encode(given)
    parameters = declaration.get("parameters")
    return None if parameters is None else msgspec.json.encode(json_schema(parameters))


_NUMBERS = frozenset({"minItems", "maxItems", "minLength", "maxLength", "minProperties", "maxProperties"})
_SAME = frozenset({
    "minimum", "maximum", "pattern", "required", "enum", "format", "description", "title", "default", "additionalProperties",
})  # fmt: skip


def json_schema(schema: Json) -> Json:
    """Google's Schema (OpenAPI 3.0: `STRING`, `nullable`, counts as text) as the JSON Schema that means the same."""
    if not isinstance(schema, dict):
        return schema
    found = {_camel(key): value for key, value in schema.items()}
    made: dict[str, Json] = {key: value for key, value in found.items() if key in _SAME}
    kind = found.get("type")
    if isinstance(kind, str) and kind != "TYPE_UNSPECIFIED":
        made["type"] = [kind.lower(), "null"] if found.get("nullable") else kind.lower()
    for key in _NUMBERS & found.keys():
        value = found[key]
        made[key] = int(value) if isinstance(value, str) and value.isascii() and value.isdigit() else value
    if isinstance(found.get("properties"), dict):
        made["properties"] = {name: json_schema(inner) for name, inner in found["properties"].items()}
    if found.get("items") is not None:
        made["items"] = json_schema(found["items"])
    if isinstance(found.get("anyOf"), list):
        made["anyOf"] = [json_schema(inner) for inner in found["anyOf"]]
    if isinstance(found.get("enum"), list) and found.get("nullable"):
        made["enum"] = [*found["enum"], None]
    return made


def _camel(key: str) -> str:
    head, *rest = key.split("_")
    return head + "".join(word[:1].upper() + word[1:] for word in rest)


def _read_choice(config: Json, reading: Reading) -> None:
    if config is None:
        return
    found = spelled(config, "toolConfig")
    reading.fields(found, shape.TOOL_CONFIG_KEYS, "toolConfig")
    calling = _held(found, "functionCallingConfig", "toolConfig.functionCallingConfig")
    reading.fields(calling, shape.CALLING_KEYS, "toolConfig.functionCallingConfig")
    if calling.get("mode") is not None and str(calling["mode"]) not in _MODES:
        reading.unjudged.append("toolConfig.functionCallingConfig.mode")
    names = calling.get("allowedFunctionNames") or []
    for name in names if isinstance(names, list) else [names]:
        if not isinstance(name, str) or name not in reading.tools:
            message = f"`allowedFunctionNames` names the tool `{clipped(name)}`, which the request does not declare."
            raise bad("undeclared_tool", message, "toolConfig")
