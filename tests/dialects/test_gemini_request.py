"""A generateContent request, read strictly; the routes, the plain answers and the errors beside it."""

from __future__ import annotations

import base64
import json
from typing import Any

import jsonschema_rs
import msgspec
import pytest
from google.genai import types

from gateway.answer import Usage
from gateway.dialects import gemini
from gateway.dialects import gemini_shape as shape
from gateway.dialects.events import Limits
from gateway.errors import GatewayError
from gateway.request import Media, ProposedBefore, Request

HI = [{"role": "user", "parts": [{"text": "Hi"}]}]
PATH = "/v1beta/models/gemini-3-pro:"


def decode(verb: str = "generateContent", allow: frozenset[str] = frozenset(), query: str = "alt=sse", **body: Any) -> Request:
    (endpoint,) = gemini.endpoints(PATH + verb)
    given = body if verb.endswith("Contents") or verb == "embedContent" else {"contents": HI} | body
    endpoint = msgspec.structs.replace(endpoint, query=query)
    return gemini.decode_request(json.dumps(given).encode(), {}, allow, endpoint)


def refused(code: str, verb: str = "generateContent", **body: Any) -> GatewayError:
    with pytest.raises(GatewayError) as caught:
        decode(verb, **body)
    assert (caught.value.kind, caught.value.code) == ("bad_request", code)
    return caught.value


# Routes


@pytest.mark.parametrize("prefix", ["", "/gemini", "/google"])
@pytest.mark.parametrize("version", ["/v1", "/v1beta", "/v1alpha", ""])
@pytest.mark.parametrize(
    ("verb", "operation"),
    [
        ("generateContent", "chat"),
        ("streamGenerateContent", "chat"),
        ("countTokens", "count_tokens"),
        ("embedContent", "embeddings"),
        ("batchEmbedContents", "embeddings"),
    ],
)
def test_every_verb_is_served_under_every_version(prefix: str, version: str, verb: str, operation: str) -> None:
    (found,) = gemini.endpoints(f"{prefix}{version}/models/gemini-2.5-pro:{verb}")
    upstream = f"{version or '/v1beta'}/models/gemini-2.5-pro:{verb}"
    assert (found.method, found.operation, found.upstream_path, found.subject) == ("POST", operation, upstream, "gemini-2.5-pro")


def test_models_are_listed_and_looked_up() -> None:
    (listed,), (one,) = gemini.endpoints("/v1/models"), gemini.endpoints("/models/gemini-2.5-pro")
    assert (listed.method, listed.operation, listed.upstream_path) == ("GET", "models", "/v1/models")
    assert (one.upstream_path, one.subject) == ("/v1beta/models/gemini-2.5-pro", "gemini-2.5-pro")
    assert gemini.decode_request(b"", {}, frozenset(), listed).operation == "models"


@pytest.mark.parametrize(
    "path",
    [
        "/v1beta/tunedModels/x:generateContent",
        "/v1beta/models/x:predict",
        "/v1beta/models/a/b:generateContent",
        "/v1beta/models/x%3AgenerateContent",
        "/v1beta/models/..:generateContent",
        "/v2/models/x:generateContent",
        "/v1beta/models/",
        "/v1beta/models/x:",
        "/v1beta/cachedContents",
        "/v1beta/files",
        "/v1beta/models/x:batchGenerateContent",
        "/v1beta/models/x:generateContent/",
        "/v1beta//models/x:generateContent",
    ],
)
def test_nothing_else_is_served(path: str) -> None:
    assert gemini.endpoints(path) == ()


def test_a_stream_is_asked_for_as_server_sent_events() -> None:
    assert decode("streamGenerateContent").stream
    assert not decode("generateContent").stream
    with pytest.raises(GatewayError, match=r"alt=sse"):
        decode("streamGenerateContent", query="")
    with pytest.raises(GatewayError, match=r"alt=sse"):
        decode("streamGenerateContent", query="alt=ssex&x=alt")


def test_the_key_travels_in_google_s_header() -> None:
    assert gemini.auth_headers("k", {}) == {"x-goog-api-key": "k"}
    assert not any(header in ("authorization", "x-goog-api-key", "x-goog-*") for header in gemini.FORWARD_HEADERS)


# Fields


def test_the_model_stands_in_the_path() -> None:
    assert decode(model="models/gemini-3-pro").model == decode().model == "gemini-3-pro"
    refused("invalid_model", model="gemini-9-ultra")


def test_both_spellings_are_read_and_never_both_at_once() -> None:
    one = decode(
        system_instruction={"parts": {"text": "Be kind."}}, generation_config={"max_output_tokens": 7, "temperature": 0.5}
    )
    two = decode(systemInstruction="Be kind.", generationConfig={"maxOutputTokens": 7, "temperature": 0.5})
    for request in (one, two):
        assert (request.messages[0].role, request.messages[0].text) == ("system", "Be kind.")
        assert (request.max_tokens, request.temperature, request.unjudged) == (7, 0.5, ())
    refused("ambiguous_field", systemInstruction="a", system_instruction="b")
    refused("ambiguous_field", contents=[{"parts": [{"inlineData": {}, "inline_data": {}}]}])


def test_unknown_fields_are_named_and_stored_contexts_are_powerful() -> None:
    request = decode(
        api_base="x",
        cachedContent="cachedContents/1",
        store=True,
        generationConfig={"warp": 9},
        toolConfig={"x": 1, "functionCallingConfig": {"y": 2}},
    )
    assert request.unjudged == ("apiBase", "generationConfig.warp", "toolConfig.x", "toolConfig.functionCallingConfig.y")
    assert request.powerful == ("cachedContent", "store")
    assert decode(allow=frozenset({"cachedContent"}), cachedContent="x").powerful == ()


@pytest.mark.parametrize(
    "body",
    [
        {"contents": "Hi"},
        {"contents": [7]},
        {"contents": [{"parts": 7}]},
        {"contents": [{"parts": [7]}]},
        {"contents": [{"parts": [{"text": 7}]}]},
        {"contents": [{"parts": [{"functionCall": {}}]}]},
        {"contents": [{"parts": [{"functionCall": {"name": "f", "args": []}}]}]},
        {"contents": [{"parts": [{"functionCall": 7}]}]},
        {"contents": [{"parts": [{"functionResponse": {"id": "x"}}]}]},
        {"contents": [{"parts": [{"inlineData": {"mimeType": "image/png"}}]}]},
        {"tools": "x"},
        {"tools": [7]},
        {"generationConfig": []},
    ],
)
def test_types_count_exactly(body: dict[str, Any]) -> None:
    refused("invalid_type", **body)


@pytest.mark.parametrize("count", [0, 9, "2", 2.0, True])
def test_the_number_of_candidates_is_a_small_whole_number(count: Any) -> None:
    refused("invalid_value", generationConfig={"candidateCount": count})
    assert decode(generationConfig={"candidateCount": 2}).unjudged == ()


def test_a_body_without_one_meaning_is_refused() -> None:
    (endpoint,) = gemini.endpoints(PATH + "generateContent")
    for body in (b'{"contents":[],"contents":[]}', b"[" * 300 + b"]" * 300, b"\xff", b""):
        with pytest.raises(GatewayError) as caught:
            gemini.decode_request(body, {}, frozenset(), endpoint)
        assert caught.value.code == "invalid_json"
    with pytest.raises(GatewayError):
        gemini.decode_request(b"[]", {}, frozenset(), endpoint)


def test_a_part_holds_one_thing() -> None:
    refused("ambiguous_part", contents=[{"parts": [{"text": "x", "functionCall": {"name": "f"}}]}])


# Contents


def test_words_calls_results_and_thoughts_are_told_apart() -> None:
    request = decode(
        contents=[
            {"parts": [{"text": "one"}, {"text": "two", "thoughtSignature": "c2ln"}, {"text": "marked", "thought": True}]},
            {
                "role": "model",
                "parts": [
                    {"text": "hm", "thought": True},
                    {"functionCall": {"name": "f", "args": {"a": 1}}, "thoughtSignature": "x"},
                ],
            },
            {"role": "user", "parts": [{"functionResponse": {"name": "f", "response": {"result": "sunny"}}}]},
            {"role": "function", "parts": [{"functionResponse": {"id": "c2", "name": "g", "response": {"a": 1, "b": 2}}}]},
            {"role": "model", "parts": [{"executableCode": {"code": "1"}}, {"codeExecutionResult": {"output": "1"}}, {}]},
        ]
    )
    assert [(m.role, m.text) for m in request.messages] == [
        ("user", "one\ntwo\nmarked"),
        ("assistant", ""),
        ("tool", ""),
        ("tool", ""),
        ("assistant", ""),
    ]
    assert request.messages[1].calls == (ProposedBefore("f", "f", '{"a":1}'),)
    assert request.messages[2].results == (("f", "sunny"),)
    assert request.messages[3].results == (("c2", '{"a":1,"b":2}'),)
    assert request.unjudged == ()


@pytest.mark.parametrize(
    ("content", "name"),
    [
        ({"role": "king", "parts": []}, "contents[0].role=king"),
        ({"role": 7, "parts": []}, "contents[0].role=int"),
        ({"parts": [{"hologram": {}}]}, "contents[0].parts[0].hologram"),
        ({"parts": [], "mood": 1}, "contents[0].mood"),
    ],
)
def test_what_nobody_can_judge_is_named(content: dict[str, Any], name: str) -> None:
    assert decode(contents=[content]).unjudged == (name,)


def test_media_are_found_and_uploaded_files_are_out_of_sight() -> None:
    data = base64.b64encode(b"picture").decode()
    parts = [
        {"inlineData": {"mimeType": "Image/PNG", "data": data}},
        {"inline_data": {"mime_type": "application/pdf", "data": data}},
        {"fileData": {"mimeType": "video/mp4", "fileUri": "https://www.youtube.com/watch?v=x"}},
        {"fileData": {"fileUri": "https://generativelanguage.googleapis.com/v1beta/files/abc"}},
        {"fileData": {"fileUri": "files/abc"}},
        {"functionResponse": {"name": "f", "response": {}, "parts": [{"inlineData": {"mimeType": "audio/wav", "data": data}}]}},
    ]
    request = decode(contents=[{"parts": parts}])
    at = "contents[0].parts"
    assert request.messages[0].media == (
        Media("image", f"{at}[0].inlineData", "image/png", data),
        Media("file", f"{at}[1].inlineData", "application/pdf", data),
        Media("video", f"{at}[2].fileData", "video/mp4", url="https://www.youtube.com/watch?v=x"),
        Media("audio", f"{at}[5].functionResponse.parts[0].inlineData", "audio/wav", data),
    )
    assert request.powerful == (f"{at}[3].fileData.fileUri", f"{at}[4].fileData.fileUri")


def test_counting_reads_the_request_within_the_request() -> None:
    inner = {"model": "models/gemini-3-pro", "contents": HI, "tools": [], "warp": 1}
    request = decode("countTokens", generateContentRequest=inner)
    assert (request.operation, request.messages[0].text) == ("count_tokens", "Hi")
    assert request.unjudged == ("generateContentRequest.warp",)
    assert decode("countTokens").messages[0].text == "Hi"


def test_what_is_embedded_is_on_record() -> None:
    one = decode("embedContent", content={"parts": [{"text": "a"}]}, taskType="X", warp=1)
    many = decode("batchEmbedContents", requests=[{"model": "models/x", "content": {"parts": [{"text": t}]}} for t in "bc"])
    assert [m.text for m in (*one.messages, *many.messages)] == ["a", "b", "c"]
    assert one.unjudged == ("warp",)
    refused("invalid_type", "batchEmbedContents", requests={})


# Tools

SCHEMA = {
    "type": "OBJECT",
    "properties": {
        "city": {"type": "STRING", "minLength": "1", "nullable": True, "enum": ["Paris", "Rome"]},
        "days": {"type": "ARRAY", "items": {"type": "INTEGER", "format": "int32"}, "maxItems": "2"},
        "either": {"any_of": [{"type": "NUMBER"}, {"type": "BOOLEAN"}]},
        "any": {"type": "TYPE_UNSPECIFIED", "example": 1},
    },
    "required": ["city"],
    "propertyOrdering": ["city"],
}


@pytest.mark.parametrize(
    ("value", "fits"),
    [
        ({"city": "Paris"}, True),
        ({"city": None}, True),
        ({"city": "Oslo"}, False),
        ({}, False),
        ({"city": "Rome", "days": [1, 2]}, True),
        ({"city": "Rome", "days": [1, 2, 3]}, False),
        ({"city": "Rome", "days": ["x"]}, False),
        ({"city": "Rome", "either": True, "any": []}, True),
        ({"city": "Rome", "either": "x"}, False),
    ],
)
def test_google_s_schema_means_the_same_to_the_judge(value: Any, fits: bool) -> None:
    (tool,) = decode(tools=[{"functionDeclarations": [{"name": "f", "parameters": SCHEMA}]}]).tools
    assert jsonschema_rs.validator_for(json.loads(tool.schema or b"")).is_valid(value) is fits


def test_functions_are_declared_in_every_form() -> None:
    request = decode(
        tools=[
            {"function_declarations": [{"name": "a", "parametersJsonSchema": {"type": "object"}}, {"name": "b"}]},
            {"functionDeclarations": [{"name": "c", "parameters": True}], "googleSearch": None},
        ]
    )
    assert [(tool.name, tool.schema) for tool in request.tools] == [("a", b'{"type":"object"}'), ("b", None), ("c", b"true")]
    assert decode(tools={"functionDeclarations": [{"name": "a"}, {"name": "a"}]}).tools[0].name == "a"
    refused("duplicate_tool", tools=[{"functionDeclarations": [{"name": "a"}, {"name": "a", "description": "other"}]}])
    refused("invalid_tool", tools=[{"functionDeclarations": [{"name": "a b"}]}])
    refused("invalid_tool", tools=[{"functionDeclarations": {"name": "a"}}])


@pytest.mark.parametrize(("kind", "name"), sorted(shape.SERVER_TOOLS.items()))
def test_google_s_own_tools_need_a_grant_each(kind: str, name: str) -> None:
    request = decode(tools=[{kind: {}}])
    (server,) = request.server_tools
    assert (server.name, server.path, server.args) == (name, f"tools[0].{kind}", {})
    assert request.powerful == (server.path,)
    assert decode(allow=frozenset({server.path}), tools=[{kind: [1]}]).server_tools == ()


def test_the_computer_is_the_client_s_and_its_calls_are_declared() -> None:
    names = {tool.name for tool in decode(tools=[{"computerUse": {"environment": "ENVIRONMENT_BROWSER"}}]).tools}
    assert names == shape.COMPUTER


def test_an_unknown_kind_of_tool_is_named() -> None:
    assert decode(tools=[{"warpDrive": {}}]).unjudged == ("tools[0].warpDrive",)
    assert decode(tools=[{"w" * 61: {}}]).unjudged == ("tools[]." + "w" * 60 + "…",)


def test_a_choice_names_declared_functions_only() -> None:
    tools = [{"functionDeclarations": [{"name": "a"}]}]

    def asked(**calling: Any) -> Request:
        return decode(tools=tools, toolConfig={"functionCallingConfig": calling})

    assert asked(mode="ANY", allowedFunctionNames=["a"]).unjudged == ()
    assert asked(mode="FORCE").unjudged == ("toolConfig.functionCallingConfig.mode",)
    assert asked(streamFunctionCallArguments=True).unjudged == ("toolConfig.functionCallingConfig.streamFunctionCallArguments",)
    with pytest.raises(GatewayError, match="does not declare"):
        asked(allowedFunctionNames=["delete_file"])


# Plain answers, limits, errors


@pytest.mark.parametrize(
    ("verb", "body"),
    [
        ("countTokens", {"totalTokens": 3}),
        ("embedContent", {"embedding": {"values": [0.1]}}),
        ("batchEmbedContents", {"embeddings": []}),
        ("models", {"models": [{"name": "models/x"}]}),
        ("models", {"name": "models/x"}),
        ("models", {}),
    ],
)
def test_plain_answers_are_what_their_operation_answers(verb: str, body: dict[str, Any]) -> None:
    request = decode(verb) if verb == "countTokens" else decode(verb, requests=[]) if verb != "models" else models()
    gemini.decode_plain(json.dumps(body).encode(), request)
    for wrong in ({"candidates": []}, {"totalTokens": "3"}, {"embedding": 7}, {"models": 7}, {"x": 1}):
        with pytest.raises(GatewayError) as caught:
            gemini.decode_plain(json.dumps(wrong).encode(), request)
        assert caught.value.kind == "upstream"


def models() -> Request:
    return gemini.decode_request(b"", {}, frozenset(), gemini.endpoints("/v1/models")[0])


def test_the_tokens_of_an_embedding_are_counted() -> None:
    body = b'{"embeddings":[],"usageMetadata":{"promptTokenCount":7}}'
    assert gemini.decode_plain(body, decode("embedContent", content={"parts": []})).usage == Usage(input=7, output=0)


@pytest.mark.parametrize(
    ("kind", "usage"),
    [
        ("TEXT", Usage(input=7, output=0)),
        ("IMAGE", Usage(input=3, image_input=4, output=0)),
        ("AUDIO", Usage(input=3, audio_input=4, output=0)),
        ("VIDEO", Usage(input=7, output=0, fees=("video_input",))),
    ],
)
def test_an_embedding_counts_what_is_no_text_too(kind: str, usage: Usage) -> None:
    counted = {"promptTokenCount": 7, "promptTokensDetails": [{"modality": kind, "tokenCount": 4}]}
    body = json.dumps({"embedding": {"values": [0.5]}, "usageMetadata": counted}).encode()
    assert gemini.decode_plain(body, decode("embedContent", content={"parts": []})).usage == usage


def test_an_embedding_without_counts_has_none() -> None:
    assert gemini.decode_plain(b'{"embedding":{"values":[1]}}', decode("embedContent", content={"parts": []})).usage is None


@pytest.mark.parametrize(
    ("raw", "usage"),
    [
        ({"promptTokenCount": 10, "toolUsePromptTokenCount": 5, "candidatesTokenCount": 2}, Usage(input=15, output=2)),
        ({"promptTokenCount": 10, "cachedContentTokenCount": 11}, Usage(cache_read=11, output=0)),
        ({"candidatesTokenCount": -1}, Usage()),
        ({}, Usage()),
        ("x", None),
    ],
)
def test_usage_is_read_into_classes_that_do_not_overlap(raw: Any, usage: Usage | None) -> None:
    assert shape.read_usage(raw) == usage


def whole(*parts: Any, limits: Limits | None = None) -> Any:
    tools = [{"functionDeclarations": [{"name": "get_weather"}]}]
    body = {"candidates": [{"content": {"parts": list(parts)}, "finishReason": "STOP"}]}
    return gemini.decode_answer(json.dumps(body).encode(), decode(tools=tools), limits or Limits())


def test_too_many_and_too_long_calls_are_denied() -> None:
    call = {"functionCall": {"name": "get_weather", "args": {"a": "x" * 50}}}
    assert [c.problem for c in whole(call, call, call, limits=Limits(calls=2)).calls] == [None, None, "call_limit"]
    assert [c.problem for c in whole(call, call, limits=Limits(hold_bytes=100)).calls] == [None, "hold_limit"]
    assert [c.problem for c in whole(call, limits=Limits(call_bytes=10)).calls] == ["hold_limit"]


@pytest.mark.parametrize("candidate", [{"index": "0"}, {"index": -1}, {"finishReason": 7}, {"content": []}, {"content": {"parts": {}}}])
def test_candidates_of_a_wrong_shape_are_no_answer(candidate: dict[str, Any]) -> None:
    answer = gemini.decode_answer(json.dumps({"candidates": [candidate]}).encode(), decode(), Limits())
    assert answer.broken is not None
    assert answer.broken.code == "protocol"


def test_what_must_be_left_out_of_words_is_left_out_of_the_stream() -> None:
    stream = gemini.stream(decode("streamGenerateContent"), Limits(), enforcing=True)
    said = {"candidates": [{"content": {"parts": [{"text": "Well"}]}, "toolCalls": [1]}]}
    (event,) = stream.feed(b"data: " + json.dumps(said).encode() + b"\n\n")
    assert event.clean == b'data: {"candidates":[{"content":{"parts":[{"text":"Well"}]}}]}\n\n'


def test_an_answer_s_stream_is_bounded_and_says_errors_in_its_form() -> None:
    stream = gemini.stream(decode("streamGenerateContent"), Limits(event_bytes=100), enforcing=True)
    (broken,) = stream.feed(b"data: " + b"x" * 200)
    assert broken.code == "protocol"
    assert list(stream.feed(b"data: {}\n\n")) == list(stream.close()) == []
    frame = stream.error(GatewayError("upstream", "x", "Oh."))
    assert json.loads(frame.removeprefix(b"data: "))["error"]["message"] == "Oh."


@pytest.mark.parametrize("data", [b"[]", b"{", b'"x"'])
def test_an_event_that_is_no_answer_breaks_the_stream(data: bytes) -> None:
    stream = gemini.stream(decode("streamGenerateContent"), Limits(), enforcing=True)
    (broken,) = stream.feed(b"data: " + data + b"\n\n")
    assert broken.code == "protocol"


def test_what_follows_the_end_without_an_end_of_its_own_is_held() -> None:
    stream = gemini.stream(decode("streamGenerateContent"), Limits(), enforcing=True)
    done = {"candidates": [{"content": {"parts": [{"text": "x" * 300_000}]}, "finishReason": "STOP"}]}
    list(stream.feed(b"data: " + json.dumps(done).encode() + b"\n\ndata: {"))
    assert [event.raw for event in stream.close()] == [b"data: {"]
    assert len(stream.answer.text) == 256 * 1024


@pytest.mark.parametrize(
    ("kind", "status", "word"),
    [
        ("refused", 400, "FAILED_PRECONDITION"),
        ("authentication", 401, "UNAUTHENTICATED"),
        ("unavailable", 503, "UNAVAILABLE"),
        ("too_large", 413, "INVALID_ARGUMENT"),
    ],
)
def test_errors_are_said_as_google_says_them(kind: Any, status: int, word: str) -> None:
    wire = gemini.error_answer(GatewayError(kind, "why", "No.", param="tools", retry_after=None if kind != "too_large" else 7))
    error = json.loads(wire.body)["error"]
    assert (wire.status, error["code"], error["status"], error["message"]) == (status, status, word, "No.")
    assert error["details"][0]["reason"] == "why"
    assert wire.headers.get("retry-after") == {"unavailable": "5", "too_large": "7"}.get(kind)


# The SDK's types: a new field fails here until it has a place in a table


def keys(model: Any) -> set[str]:
    return {field.alias or name for name, field in model.model_fields.items()}


OF_THE_SDK_ONLY = {"automaticFunctionCallingHistory", "parsed", "sdkHttpResponse"}


@pytest.mark.parametrize(
    ("model", "known"),
    [
        (types.Part, shape.PART_KEYS),
        (types.Content, shape.CONTENT_KEYS),
        (types.Candidate, shape.CANDIDATE_KEYS),
        (types.GenerateContentResponse, shape.ANSWER_KEYS | OF_THE_SDK_ONLY),
        (types.GenerationConfig, shape.GENERATION_KEYS),
        (types.FunctionCall, shape.PAYLOADS["functionCall"] | {"partialArgs", "willContinue"}),
        (types.ToolCall, shape.PAYLOADS["toolCall"]),
        (types.FunctionResponse, shape.PAYLOADS["functionResponse"]),
        (types.ToolResponse, shape.PAYLOADS["toolResponse"]),
        (types.ExecutableCode, shape.PAYLOADS["executableCode"]),
        (types.CodeExecutionResult, shape.PAYLOADS["codeExecutionResult"]),
        (types.Blob, shape.PAYLOADS["inlineData"]),
        (types.FileData, shape.PAYLOADS["fileData"]),
        (types.ToolConfig, shape.TOOL_CONFIG_KEYS),
        (types.FunctionCallingConfig, shape.CALLING_KEYS | {"streamFunctionCallArguments"}),
        (types.Tool, shape.SERVER_TOOLS.keys() | {"functionDeclarations", "computerUse"}),
    ],
    ids=lambda value: getattr(value, "__name__", ""),
)
def test_every_field_of_the_sdk_is_in_a_table(model: Any, known: Any) -> None:
    assert keys(model) <= set(known), keys(model) - set(known)


def test_every_finish_reason_beside_which_a_call_is_whole_exists() -> None:
    assert {reason.value for reason in types.FinishReason} >= shape.WHOLE_CALLS


def test_nothing_is_owed_in_a_dialect_that_keeps_nothing() -> None:
    request = decode()
    assert gemini.upstream_body(request) is request.body


def test_text_that_is_an_object_is_a_call_nobody_can_read() -> None:
    assert [c.problem for c in whole({"text": {"functionCall": {"name": "f"}}}).calls] == ["unknown_type"]


@pytest.mark.parametrize("names", [[["a"]], [{}], "delete_file", {"a": 1}])
def test_names_of_another_shape_name_nothing(names: Any) -> None:
    refused("undeclared_tool", toolConfig={"functionCallingConfig": {"mode": ["ANY"], "allowedFunctionNames": names}})
