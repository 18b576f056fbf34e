"""An SDK makes of a permitted answer behind the gateway what it makes of the provider's own bytes: whole objects are compared.

The answers are written as providers write them, also those that only speak another's dialect: one chunk for all, logprobs, sound, pictures,
citations, signed thoughts, what the provider ran by itself. And however the events of a stream are framed, what the standard reads alike
is seen alike.
"""

from __future__ import annotations

import json
import random
import re
from typing import Any

import anthropic
import openai
import pytest
from google import genai

GRANTED = 'policy: 1\nid: p\nagents: ["*"]\nallow: ["*", "openai.*", "anthropic.*", "google.*"]\n'
PARIS = '{"city": "Paris"}'
Tree = dict[str, Any]


def sse(tree: Tree) -> bytes:
    return (
        (f"event: {tree['type']}\n" if "type" in tree else "").encode()
        + b"data: "
        + json.dumps(tree).encode()
        + b"\n\n"
    )


# What is asked, and what an SDK makes of the answer


def chat(url: str, stream: bool) -> Any:
    names = ("get_weather", "get_time")
    tools: Any = [{"type": "function", "function": {"name": n, "parameters": {"type": "object"}}} for n in names]
    asked: Any = {"model": "m", "messages": [{"role": "user", "content": "go"}], "tools": tools}
    with openai.OpenAI(base_url=f"{url}/v1", api_key="x", max_retries=0) as client:
        if not stream:
            return client.chat.completions.create(**asked).model_dump(exclude_none=True)
        with client.chat.completions.stream(**asked, stream_options={"include_usage": True}) as events:
            return events.get_final_completion().model_dump(exclude_none=True)


def messages(url: str, stream: bool) -> Any:
    tools: Any = [
        {"name": "get_weather", "input_schema": {"type": "object"}},
        {"type": "web_search_20250305", "name": "web_search"},
    ]
    tools.append({"type": "code_execution_20250825", "name": "code_execution"})
    asked: Any = {"model": "m", "max_tokens": 9, "messages": [{"role": "user", "content": "go"}], "tools": tools}
    with anthropic.Anthropic(base_url=url, api_key="x", max_retries=0) as client:
        if not stream:
            return client.messages.create(**asked).to_dict()
        with client.messages.stream(**asked) as events:
            return events.get_final_message().to_dict()


def responses(url: str, stream: bool) -> Any:
    tools: Any = [{"type": "function", "name": "get_weather", "parameters": {"type": "object"}, "strict": False}]
    tools += [{"type": kind} for kind in ("web_search", "apply_patch", "local_shell")] + [
        {"type": "custom", "name": "note"}
    ]
    tools += [
        {"type": "mcp", "server_label": "dice", "server_url": "https://dice.example", "require_approval": "never"}
    ]
    asked: Any = {"model": "m", "input": "go", "tools": tools, "store": False}
    with openai.OpenAI(base_url=f"{url}/v1", api_key="x", max_retries=0) as client:
        if not stream:
            return client.responses.create(**asked).to_dict()
        return [event.to_dict() for event in client.responses.create(**asked, stream=True)]


def gemini(url: str, stream: bool) -> Any:
    client = genai.Client(api_key="x", http_options={"base_url": url})
    tools: Any = [{"function_declarations": [{"name": "get_weather"}]}, {"code_execution": {}}, {"google_search": {}}]
    asked: Any = {
        "model": "m",
        "contents": "go",
        "config": {"tools": tools, "automatic_function_calling": {"disable": True}},
    }
    if not stream:
        return client.models.generate_content(**asked).model_dump(exclude_none=True, exclude={"sdk_http_response"})
    return joined([c.model_dump(exclude_none=True) for c in client.models.generate_content_stream(**asked)])


def joined(chunks: list[Tree]) -> Any:
    """Parts in their order, and what is said beside them; how many chunks bring them is the gateway's to choose."""
    candidates = [each for chunk in chunks for each in chunk.get("candidates", ())]
    parts = [part for each in candidates for part in each.get("content", {}).get("parts", ())]
    beside = [{k: v for k, v in each.items() if k not in ("content", "index")} for each in candidates]
    last = {k: v for k, v in chunks[-1].items() if k not in ("candidates", "sdk_http_response")}
    return [part for part in parts if part != {"text": ""}], [each for each in beside if each], last


ASK = {"chat": chat, "messages": messages, "responses": responses, "gemini": gemini}


# Chat Completions

HEAD = {"id": "c", "object": "chat.completion.chunk", "created": 1, "model": "m"}
USED = {"prompt_tokens": 1, "completion_tokens": 2, "total_tokens": 3}
LOGPROBS = {"content": [{"token": "Hi", "logprob": -0.1, "bytes": [72, 105], "top_logprobs": []}], "refusal": None}
PICTURE = {"type": "image_url", "image_url": {"url": "data:image/png;base64,AAAA"}}
CITED = {
    "type": "url_citation",
    "url_citation": {"url": "https://a.example", "title": "t", "start_index": 0, "end_index": 1},
}
SIGNED = {"extra_content": {"google": {"thought_signature": "c2ln"}}}
SOUND = {"id": "a", "data": "AAAA", "transcript": "Hi", "expires_at": 5}
ODD_TEXT = '\u2028\u0085\u2029 \U0001f600 \\ " \n\r data: {}'


def call(arguments: str = PARIS, at: int = 0, **more: Any) -> Tree:
    return {
        "index": at,
        "id": f"call_{at}",
        "type": "function",
        "function": {"name": "get_weather", "arguments": arguments},
        **more,
    }


def listed(**more: Any) -> Tree:
    """As it stands in an answer in one piece."""
    return {key: value for key, value in call(**more).items() if key != "index"}


def more_of(arguments: str) -> Tree:
    return {"tool_calls": [{"index": 0, "function": {"arguments": arguments}}]}


def delta(said: Tree, finish: str | None = None, top: Tree | None = None, **choice: Any) -> Tree:
    return {**HEAD, "choices": [{"index": 0, "delta": said, "finish_reason": finish, **choice}], **(top or {})}


def assistant(**said: Any) -> Tree:
    return {"role": "assistant", "content": None} | said


CHATS: dict[str, list[Tree]] = {
    "words": [
        delta(assistant(content="")),
        delta({"content": ODD_TEXT}),
        delta({}, "stop"),
        {**HEAD, "choices": [], "usage": USED},
    ],
    "logprobs": [delta(assistant(content="")), delta({"content": "Hi"}, logprobs=LOGPROBS), delta({}, "stop")],
    "sound": [
        delta(assistant()),
        delta({"audio": {"id": "a", "transcript": "Hi"}}),
        delta({"audio": {"data": "AAAA"}}),
        delta({}, "stop"),
    ],
    "pictures": [
        delta(assistant(content="See")),
        delta({"content": "", "images": [PICTURE | {"index": 0}]}),
        delta({}, "stop"),
    ],
    "citations": [delta(assistant(content="x")), delta({"annotations": [CITED]}), delta({}, "stop")],
    "refusal": [delta(assistant(refusal="")), delta({"refusal": "No"}), delta({}, "stop")],
    "a call in pieces": [
        delta(assistant(tool_calls=[call("")])),
        delta(more_of(PARIS[:5])),
        delta(more_of(PARIS[5:])),
        delta({}, "tool_calls"),
    ],
    "odd arguments": [
        delta(assistant(tool_calls=[call(json.dumps({"city": ODD_TEXT, "n": 1.5, "l": [{}]}, indent=1))])),
        delta({}, "tool_calls"),
    ],
    "two calls in a chunk": [delta(assistant(tool_calls=[call(), call(at=1)])), delta({}, "tool_calls")],
    "all in one chunk": [delta(assistant(content="Hm", tool_calls=[call()]), "tool_calls", {"usage": USED})],
    "a role and a call in one chunk": [
        delta({"role": "assistant", "tool_calls": [call()]}, "tool_calls", {"usage": USED})
    ],
    "a signed call": [delta({"role": "assistant", "tool_calls": [call(**SIGNED)]}, "tool_calls")],
    "signed words": [delta(assistant(content="x", **SIGNED)), delta({"content": "y"}, "stop")],
    "thoughts": [
        delta(assistant(reasoning_content="")),
        delta({"reasoning_content": "hm"}),
        delta({"content": "Hi"}),
        delta({}, "stop"),
    ],
    "filters": [
        {**HEAD, "choices": [], "prompt_filter_results": []},
        delta(assistant(content="x"), content_filter_results={}),
        delta({}, "stop"),
    ],
    "a provider's own": [
        delta(assistant(content="x"), top={"x_groq": {"id": "r"}}),
        delta({}, "stop", {"citations": ["https://a.example"]}),
    ],
}
CHAT_MESSAGES: dict[str, Tree] = {
    "words": {"content": ODD_TEXT, "refusal": None},
    "sound": {"content": None, "audio": SOUND},
    "pictures": {"content": "", "images": [PICTURE]},
    "citations": {"content": "x", "annotations": [CITED]},
    "calls": {"content": None, "tool_calls": [listed(), listed(at=1)]},
    "a signed call": {"content": None, "tool_calls": [listed(**SIGNED)]},
    "no calls": {
        "content": "x",
        "tool_calls": None,
        "function_call": None,
        "reasoning_content": "hm",
        "reasoning_details": [],
    },
}


def whole_chat(message: Tree) -> Tree:
    choice = {
        "index": 0,
        "message": {"role": "assistant", **message},
        "finish_reason": "tool_calls" if message.get("tool_calls") else "stop",
    }
    return {**HEAD, "object": "chat.completion", "choices": [choice | {"logprobs": None}], "usage": USED}


# Messages

MESSAGE = {
    "id": "m",
    "type": "message",
    "role": "assistant",
    "model": "m",
    "content": [],
    "stop_reason": None,
    "stop_sequence": None,
}
SEARCHED = {"type": "server_tool_use", "id": "s1", "name": "web_search", "input": {}}
FOUND = {
    "type": "web_search_result",
    "encrypted_content": "e",
    "page_age": None,
    "title": "t",
    "url": "https://a.example",
}
SOURCE = {
    "type": "web_search_result_location",
    "cited_text": "x",
    "encrypted_index": "e",
    "title": "t",
    "url": "https://a.example",
}
RAN = {"type": "bash_code_execution_result", "stdout": "a", "stderr": "", "return_code": 0, "content": []}
USE = {"type": "tool_use", "id": "t1", "name": "get_weather", "input": {}}


def block(start: Tree, **deltas: Any) -> tuple[Tree, list[Tree]]:
    """`deltas`: what each kind of delta brings, in order."""
    keys = {"input_json_delta": "partial_json", "citations_delta": "citation"}
    told = [
        {"type": kind, keys.get(kind, kind.removesuffix("_delta")): piece}
        for kind, pieces in deltas.items()
        for piece in pieces
    ]
    return start, told


TEXT = block({"type": "text", "text": ""}, text_delta=["H", ODD_TEXT])
USED_TOOL = block(USE, input_json_delta=["", '{ "city" :\n', ' "Paris", "n": 1.50 }'])
THOUGHT = block({"type": "thinking", "thinking": "", "signature": ""}, thinking_delta=["hm"], signature_delta=["sig"])
MESSAGE_STREAMS: dict[str, tuple[str, list[tuple[Tree, list[Tree]]]]] = {
    "words": ("end_turn", [TEXT]),
    "nothing": ("end_turn", []),
    "thoughts and a call": ("tool_use", [THOUGHT, block({"type": "redacted_thinking", "data": "x"}), TEXT, USED_TOOL]),
    "two calls": ("tool_use", [USED_TOOL, block({**USE, "id": "t2"}, input_json_delta=["{}"]), TEXT]),
    "a call by code": ("tool_use", [block({**USE, "caller": {"type": "direct"}}, input_json_delta=[PARIS])]),
    "a search": (
        "tool_use",
        [
            block(SEARCHED, input_json_delta=['{"query": "x"}']),
            block({"type": "web_search_tool_result", "tool_use_id": "s1", "content": [FOUND]}),
            block({"type": "text", "text": "", "citations": []}, citations_delta=[SOURCE], text_delta=["So"]),
            USED_TOOL,
        ],
    ),
    "code": (
        "end_turn",
        [
            block({**SEARCHED, "name": "bash_code_execution"}, input_json_delta=['{"command": "ls"}']),
            block({"type": "bash_code_execution_tool_result", "tool_use_id": "s1", "content": RAN}),
            TEXT,
        ],
    ),
    "a pause": ("pause_turn", [block(SEARCHED, input_json_delta=["{}"])]),
    "a refusal": ("refusal", [TEXT]),
}


def message_stream(reason: str, blocks: list[tuple[Tree, list[Tree]]]) -> list[Tree]:
    events: list[Tree] = [
        {"type": "message_start", "message": MESSAGE | {"usage": {"input_tokens": 1, "output_tokens": 1}}}
    ]
    for index, (start, deltas) in enumerate(blocks):
        events.append({"type": "content_block_start", "index": index, "content_block": start})
        events += [{"type": "content_block_delta", "index": index, "delta": each} for each in deltas]
        events.append({"type": "content_block_stop", "index": index})
    ending = {"delta": {"stop_reason": reason, "stop_sequence": None}, "usage": {"output_tokens": 9}}
    return [*events, {"type": "ping"}, {"type": "message_delta", **ending}, {"type": "message_stop"}]


# Responses

SPOKEN = {"type": "output_text", "text": ODD_TEXT, "logprobs": [], "annotations": []}
SAID = {"id": "msg_1", "type": "message", "status": "completed", "role": "assistant", "content": [SPOKEN]}
CALLED = {
    "id": "fc_1",
    "type": "function_call",
    "status": "completed",
    "call_id": "call_1",
    "name": "get_weather",
    "arguments": PARIS,
}
THINKING = {"id": "rs_1", "type": "reasoning", "summary": [], "encrypted_content": "gAAA"}
ITEMS: dict[str, list[Tree]] = {
    "words": [SAID],
    "a refusal": [SAID | {"content": [{"type": "refusal", "refusal": "No"}]}],
    "thoughts, words and a call": [THINKING, SAID, THINKING | {"id": "rs_2"}, CALLED],
    "two calls": [
        CALLED,
        CALLED | {"id": "fc_2", "call_id": "call_2", "arguments": '{ "city" :\n"Rome", "n": 1.50 }'},
        SAID,
    ],
    "a search": [
        {"id": "ws_1", "type": "web_search_call", "status": "completed", "action": {"type": "search", "query": "x"}},
        SAID,
    ],
    "a server's tool": [
        {"id": "ml_1", "type": "mcp_list_tools", "server_label": "dice", "tools": [], "error": None},
        {
            "id": "mc_1",
            "type": "mcp_call",
            "status": "completed",
            "name": "r",
            "server_label": "dice",
            "arguments": "{}",
            "output": "4",
            "error": None,
        },
    ],
    "a shell": [
        {
            "id": "ls_1",
            "type": "local_shell_call",
            "status": "completed",
            "call_id": "c1",
            "action": {"type": "exec", "command": ["ls"], "env": {}},
        }
    ],
    "a patch": [
        {
            "id": "ap_1",
            "type": "apply_patch_call",
            "status": "completed",
            "call_id": "c1",
            "operation": {"type": "delete_file", "path": "a"},
        }
    ],
    "a custom tool": [
        {
            "id": "ct_1",
            "type": "custom_tool_call",
            "status": "completed",
            "call_id": "c1",
            "name": "note",
            "input": ODD_TEXT,
        }
    ],
}
STREAMED_TEXT = {
    "function_call": ("arguments", "function_call_arguments"),
    "custom_tool_call": ("input", "custom_tool_call_input"),
}


def response(items: list[Tree], status: str = "completed") -> Tree:
    head = {
        "id": "r",
        "object": "response",
        "created_at": 1,
        "model": "m",
        "error": None,
        "tools": [],
        "tool_choice": "auto",
    }
    return {**head, "parallel_tool_calls": True, "status": status, "output": items}


def response_stream(items: list[Tree]) -> list[Tree]:
    events: list[Tree] = [{"type": "response.created", "response": response([], "in_progress")}]
    for at, item in enumerate(items):
        place, begun = {"item_id": item["id"], "output_index": at}, dict(item)
        key, stem = STREAMED_TEXT.get(item["type"], ("", ""))
        begun |= ({"status": "in_progress"} if "status" in item else {}) | ({key: ""} if key else {})
        begun |= {"content": []} if item["type"] == "message" else {}
        events.append({"type": "response.output_item.added", "output_index": at, "item": begun})
        for part in item["content"] if item["type"] == "message" else ():
            kind, said = ("output_text", part["text"]) if "text" in part else ("refusal", part["refusal"])
            named, where = kind.removeprefix("output_"), {**place, "content_index": 0}
            events.append({"type": "response.content_part.added", **where, "part": part | {named: ""}})
            events.append(
                {"type": f"response.{kind}.delta", **where, "delta": said}
                | ({"logprobs": []} if named == "text" else {})
            )
            events.append(
                {"type": f"response.{kind}.done", **where, named: said} | ({"logprobs": []} if named == "text" else {})
            )
            events.append({"type": "response.content_part.done", **where, "part": part})
        if key:
            events.append({"type": f"response.{stem}.delta", **place, "delta": item[key]})
            name = {"name": item["name"]} if key == "arguments" else {}
            events.append({"type": f"response.{stem}.done", **place, key: item[key], **name})
        events.append({"type": "response.output_item.done", "output_index": at, "item": item})
    events.append({"type": "response.completed", "response": response(items)})
    return [event | {"sequence_number": number} for number, event in enumerate(events)]


# Gemini

FUNCTION = {
    "functionCall": {"name": "get_weather", "args": {"city": ODD_TEXT, "n": 1.5, "b": None, "l": [1, {}]}, "id": "f1"}
}
GROUNDED = {
    "groundingMetadata": {
        "groundingChunks": [{"web": {"uri": "https://a.example", "title": "t"}}],
        "webSearchQueries": ["q"],
    }
}


def answered(*parts: Tree, finish: str | None = None, **candidate: Any) -> Tree:
    one = (
        {"content": {"parts": list(parts), "role": "model"}, "index": 0}
        | ({"finishReason": finish} if finish else {})
        | candidate
    )
    return {
        "candidates": [one],
        "usageMetadata": {"promptTokenCount": 1, "totalTokenCount": 2},
        "modelVersion": "g",
        "responseId": "r",
    }


GEMINIS: dict[str, list[Tree]] = {
    "words": [answered({"text": "H"}), answered({"text": ODD_TEXT}, finish="STOP")],
    "a picture": [
        answered({"text": "See"}),
        answered({"inlineData": {"mimeType": "image/png", "data": "AAAA"}}, finish="STOP"),
    ],
    "code": [answered({"executableCode": {"language": "PYTHON", "code": "1"}}), answered({"text": "1"}, finish="STOP")],
    "sources": [answered({"text": "Hi"}), answered({"text": ""}, finish="STOP", **GROUNDED)],
    "signed thoughts": [
        answered({"text": "hm", "thought": True}),
        answered({**FUNCTION, "thoughtSignature": "c2ln"}, finish="STOP"),
    ],
    "two calls": [
        answered(FUNCTION, {"functionCall": {"name": "get_weather", "args": {}, "id": "f2"}}),
        answered(finish="STOP"),
    ],
    "words around a call": [answered({"text": "a"}, FUNCTION, {"text": "b"}, finish="STOP")],
    "unsafe": [answered({"text": "Hi"}), {"candidates": [{"finishReason": "SAFETY", "index": 0}], "modelVersion": "g"}],
    "refused": [{"promptFeedback": {"blockReason": "PROHIBITED_CONTENT"}, "modelVersion": "g"}],
    "a call that failed": [
        {"candidates": [{"content": {}, "finishReason": "MALFORMED_FUNCTION_CALL", "index": 0}], "modelVersion": "g"}
    ],
}

ROWS: list[tuple[str, str, list[Tree]]] = [
    *(("chat", name, chunks) for name, chunks in CHATS.items()),
    *(("messages", name, message_stream(*told)) for name, told in MESSAGE_STREAMS.items()),
    *(("responses", name, response_stream(items)) for name, items in ITEMS.items()),
    *(("gemini", name, chunks) for name, chunks in GEMINIS.items()),
]
WHOLE: list[tuple[str, str, Tree]] = [
    *(("chat", name, whole_chat(message)) for name, message in CHAT_MESSAGES.items()),
    *(("responses", name, response(items)) for name, items in ITEMS.items()),
    *(("gemini", name, chunks[-1]) for name, chunks in GEMINIS.items()),
]


def framed(dialect: str, trees: list[Tree]) -> bytes:
    return b"".join(map(sse, trees)) + (b"data: [DONE]\n\n" if dialect == "chat" else b"")


@pytest.fixture
def behind(start: Any, all_upstreams: Any) -> str:
    return str(start({"p.yaml": GRANTED}, upstreams=all_upstreams).url)


@pytest.mark.parametrize(("dialect", "name", "trees"), ROWS, ids=lambda value: value if isinstance(value, str) else "")
def test_a_streamed_answer_is_the_same_to_its_sdk(
    behind: str, provider: Any, dialect: str, name: str, trees: list[Tree]
) -> None:
    provider.answer = provider.sse(framed(dialect, trees))
    assert ASK[dialect](behind, True) == ASK[dialect](provider.base_url.removesuffix("/v1"), True)


@pytest.mark.parametrize(("dialect", "name", "tree"), WHOLE, ids=lambda value: value if isinstance(value, str) else "")
def test_an_answer_in_one_piece_is_the_same_to_its_sdk(
    behind: str, provider: Any, dialect: str, name: str, tree: Tree
) -> None:
    provider.answer = provider.json(tree)
    assert ASK[dialect](behind, False) == ASK[dialect](provider.base_url.removesuffix("/v1"), False)


def reframed(data: bytes, seed: int) -> bytes:
    """The same events by the standard: other line ends, fields and comments between, a byte order mark, `data` in several lines or without
    its space."""
    pick, out = random.Random(seed), []
    for event in data.removesuffix(b"\n\n").split(b"\n\n"):
        end = pick.choice([b"\n", b"\r\n", b"\r"])
        lines = [line for each in event.split(b"\n") for line in _relined(each, pick)]
        out.append(b"".join(line + end for line in lines) + end)
        out.append(pick.choice([b"", b"", b": keep-alive\n\n", b"\r\n", b"id: 9\n\n"]))
    return pick.choice([b"", b"\xef\xbb\xbf"]) + b"".join(out)


def _relined(line: bytes, pick: random.Random) -> list[bytes]:
    name, _, value = line.partition(b": ")
    cuts = [match.end() for match in re.finditer(rb'", (?=")', value)] if name == b"data" else []
    if cuts and pick.random() < 0.2:
        at = pick.choice(cuts)
        lines = [b"data: " + value[:at], b"data: " + value[at:]]
    else:
        lines = [name + pick.choice([b": ", b":"]) + value]
    return [*lines, *([pick.choice([b": note", b"id: 7", b"retry: 3000", b"foo: bar"])] if pick.random() < 0.2 else [])]


@pytest.mark.parametrize("dialect", list(ASK))
def test_however_a_stream_is_framed_its_sdk_sees_the_same_behind_the_gateway(
    behind: str, provider: Any, dialect: str
) -> None:
    for seed, (_, name, trees) in enumerate(row for row in ROWS if row[0] == dialect):
        data = framed(dialect, trees)
        provider.answer = provider.sse(data)
        plain = ASK[dialect](provider.base_url.removesuffix("/v1"), True)
        for round_ in range(3):
            odd = reframed(data, 100 * seed + round_)
            provider.answer = provider.sse(*(odd[at : at + 97] for at in range(0, len(odd), 97)))
            assert ASK[dialect](behind, True) == plain, (name, odd)
