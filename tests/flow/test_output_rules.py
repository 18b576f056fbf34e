"""`at: output` over sockets: what real SDKs read of an answer with words replaced, and of one that ends before them."""

import json

import anthropic
import openai
import pytest
from google import genai

CARD = "4111 1111 1111 1111"
KEY = "sk-proj-" + "Ab3dEf6hIj9kLm2nOp5qRs8t"
POLICY = """
policy: 1
id: support
agents: ['*']
allow: [get]
on_deny: explain
rules:
- {id: mask, at: output, detect: [card], effect: redact}
- {id: no-keys, at: output, detect: [secret], effect: deny, message: "Keys are not given out."}
"""
SHADOW = POLICY.replace("effect: redact", "effect: redact, mode: shadow, until: 2099-01-01").replace(
    "effect: deny", "effect: deny, mode: shadow, until: 2099-01-01"
)
SAID = ["Your car", "d is 4111", " 1111 11", "11 1111, ", "and there are many more words to come, so that ", "some leave early. ", "Bye."]
MASKED = "Your card is [card], and there are many more words to come, so that some leave early. Bye."
TOLD = ["Here is the key, with some words before it: ", KEY[:7], KEY[7:15], KEY[15:], " and now you have it."]


def sse(tree, name=None):
    return (f"event: {name}\n" if name else "").encode() + b"data: " + json.dumps(tree).encode() + b"\n\n"


class Chat:
    path = "/v1/chat/completions"

    def stream(self, pieces, call=False):
        head = {"id": "c", "object": "chat.completion.chunk", "created": 1, "model": "gpt-4o-mini"}
        tool = {"index": 0, "id": "t", "type": "function", "function": {"name": "get", "arguments": "{}"}}
        deltas = [{"role": "assistant", "content": ""}, *({"content": p} for p in pieces), *([{"tool_calls": [tool]}] if call else [])]
        chunks = [head | {"choices": [{"index": 0, "delta": d, "finish_reason": None}]} for d in deltas]
        chunks.append(head | {"choices": [{"index": 0, "delta": {}, "finish_reason": "tool_calls" if call else "stop"}]})
        chunks.append(head | {"choices": [], "usage": {"prompt_tokens": 10, "completion_tokens": 5, "total_tokens": 15}})
        return [*map(sse, chunks), b"data: [DONE]\n\n"]

    def whole(self, text, call=False):
        tool = {"id": "t", "type": "function", "function": {"name": "get", "arguments": "{}"}}
        message = {"role": "assistant", "content": text} | ({"tool_calls": [tool]} if call else {})
        head = {"id": "c", "object": "chat.completion", "created": 1, "model": "gpt-4o-mini"}
        usage = {"prompt_tokens": 10, "completion_tokens": 5, "total_tokens": 15}
        return head | {"choices": [{"index": 0, "message": message, "finish_reason": "tool_calls" if call else "stop"}], "usage": usage}

    def ask(self, url, stream):
        tools = [{"type": "function", "function": {"name": "get", "parameters": {"type": "object"}}}]
        with openai.OpenAI(base_url=f"{url}/v1", api_key="x", max_retries=0) as client:
            asked = {"model": "gpt-4o-mini", "messages": [{"role": "user", "content": "go"}], "tools": tools}
            if not stream:
                found = client.chat.completions.create(**asked)
            else:
                with client.chat.completions.stream(**asked, stream_options={"include_usage": True}) as events:
                    found = events.get_final_completion()
        (choice,) = found.choices
        calls = [call.function.name for call in choice.message.tool_calls or ()]
        return choice.message.content, calls, choice.finish_reason, found.usage.completion_tokens


class Messages:
    path = "/v1/messages"

    def stream(self, pieces, call=False):
        head = {"id": "m", "type": "message", "role": "assistant", "model": "claude-sonnet-4-5", "stop_sequence": None}
        usage = {"input_tokens": 10, "output_tokens": 5}
        events = [{"type": "message_start", "message": head | {"content": [], "stop_reason": None, "usage": usage}}]
        events.append({"type": "content_block_start", "index": 0, "content_block": {"type": "text", "text": ""}})
        events += [{"type": "content_block_delta", "index": 0, "delta": {"type": "text_delta", "text": p}} for p in pieces]
        events.append({"type": "content_block_stop", "index": 0})
        if call:
            block = {"type": "tool_use", "id": "t", "name": "get", "input": {}}
            events.append({"type": "content_block_start", "index": 1, "content_block": block})
            events.append({"type": "content_block_stop", "index": 1})
        reason = "tool_use" if call else "end_turn"
        events.append({"type": "message_delta", "delta": {"stop_reason": reason, "stop_sequence": None}, "usage": {"output_tokens": 5}})
        return [sse(e, e["type"]) for e in [*events, {"type": "message_stop"}]]

    def whole(self, text, call=False):
        blocks = [{"type": "text", "text": text}, *([{"type": "tool_use", "id": "t", "name": "get", "input": {}}] if call else [])]
        head = {"id": "m", "type": "message", "role": "assistant", "model": "claude-sonnet-4-5", "stop_sequence": None}
        usage = {"input_tokens": 10, "output_tokens": 5}
        return head | {"content": blocks, "stop_reason": "tool_use" if call else "end_turn", "usage": usage}

    def ask(self, url, stream):
        tools = [{"name": "get", "input_schema": {"type": "object"}}]
        asked = {"model": "claude-sonnet-4-5", "max_tokens": 99, "messages": [{"role": "user", "content": "go"}], "tools": tools}
        with anthropic.Anthropic(base_url=url, api_key="x", max_retries=0) as client:
            if not stream:
                found = client.messages.create(**asked)
            else:
                with client.messages.stream(**asked) as events:
                    found = events.get_final_message()
        text = "".join(block.text for block in found.content if block.type == "text")
        return text, [b.name for b in found.content if b.type == "tool_use"], found.stop_reason, found.usage.output_tokens


class Responses:
    path = "/v1/responses"

    def whole(self, text, call=False):
        part = {"type": "output_text", "text": text, "annotations": [], "logprobs": []}
        items = [{"type": "message", "id": "m1", "status": "completed", "role": "assistant", "content": [part]}]
        items += [{"type": "function_call", "id": "f", "call_id": "t", "name": "get", "arguments": "{}", "status": "completed"}] * call
        usage = {"input_tokens": 10, "output_tokens": 5, "total_tokens": 15}
        usage |= {"input_tokens_details": {"cached_tokens": 0}, "output_tokens_details": {"reasoning_tokens": 0}}
        head = {"id": "r", "object": "response", "created_at": 1, "model": "gpt-4o-mini", "error": None, "tools": [], "tool_choice": "auto"}
        return head | {"parallel_tool_calls": True, "status": "completed", "output": items, "usage": usage}

    def stream(self, pieces, call=False):
        done = self.whole("".join(pieces), call)
        about = {"item_id": "m1", "output_index": 0, "content_index": 0}
        message = done["output"][0]
        (part,) = message["content"]
        events = [("response.created", {"response": done | {"status": "in_progress", "output": [], "usage": None}})]
        events.append(("response.output_item.added", {"output_index": 0, "item": message | {"status": "in_progress", "content": []}}))
        events.append(("response.content_part.added", about | {"part": part | {"text": ""}}))
        events += [("response.output_text.delta", about | {"delta": p, "logprobs": []}) for p in pieces]
        events.append(("response.output_text.done", about | {"text": part["text"], "logprobs": []}))
        events.append(("response.content_part.done", about | {"part": part}))
        events.append(("response.output_item.done", {"output_index": 0, "item": message}))
        if call:
            item = done["output"][1]
            events.append(("response.output_item.added", {"output_index": 1, "item": item | {"status": "in_progress", "arguments": ""}}))
            events.append(("response.function_call_arguments.done", {"output_index": 1, "item_id": "f", "arguments": "{}", "name": "get"}))
            events.append(("response.output_item.done", {"output_index": 1, "item": item}))
        events.append(("response.completed", {"response": done}))
        return [sse({"type": kind, "sequence_number": n} | more, kind) for n, (kind, more) in enumerate(events)]

    def ask(self, url, stream):
        tools = [{"type": "function", "name": "get", "parameters": {"type": "object"}, "strict": False}]
        with openai.OpenAI(base_url=f"{url}/v1", api_key="x", max_retries=0) as client:
            asked = {"model": "gpt-4o-mini", "input": "go", "tools": tools, "store": False}
            if not stream:
                found = client.responses.create(**asked)
            else:
                with client.responses.stream(**asked) as events:
                    deltas = "".join(e.delta for e in events if e.type == "response.output_text.delta")
                    found = events.get_final_response()
                assert deltas == found.output_text
        return found.output_text, [i.name for i in found.output if i.type == "function_call"], found.status, found.usage.output_tokens


class Gemini:
    path = "/v1beta/models/gemini-2.5-flash:generateContent"

    def whole(self, text, call=False):
        parts = [{"text": text}, *([{"functionCall": {"name": "get", "args": {}}}] if call else [])]
        return {"candidates": [{"content": {"role": "model", "parts": parts}, "finishReason": "STOP", "index": 0}], **self._rest()}

    def _rest(self):
        return {"modelVersion": "g", "responseId": "r", "usageMetadata": {"promptTokenCount": 10, "candidatesTokenCount": 5}}

    def stream(self, pieces, call=False):
        parts = [*({"text": p} for p in pieces), *([{"functionCall": {"name": "get", "args": {}}}] if call else [])]
        chunks = [{"candidates": [{"content": {"role": "model", "parts": [p]}, "index": 0}], "responseId": "r"} for p in parts[:-1]]
        last = {"content": {"role": "model", "parts": parts[-1:]}, "finishReason": "STOP", "index": 0}
        return [sse(chunk) for chunk in [*chunks, {"candidates": [last], **self._rest()}]]

    def ask(self, url, stream):
        client = genai.Client(api_key="x", http_options={"base_url": url})
        tools = [{"function_declarations": [{"name": "get", "parameters": {"type": "OBJECT"}}]}]
        asked = {"model": "gemini-2.5-flash", "contents": "go", "config": {"tools": tools, "automatic_function_calling": {"disable": True}}}
        found = list(client.models.generate_content_stream(**asked)) if stream else [client.models.generate_content(**asked)]
        parts = [p for one in found for c in one.candidates or () for p in (c.content.parts if c.content and c.content.parts else ())]
        last = found[-1]
        text, calls = "".join(p.text or "" for p in parts), [p.function_call.name for p in parts if p.function_call]
        return text, calls, last.candidates[0].finish_reason.value, last.usage_metadata.candidates_token_count


WIRES = {"chat": Chat(), "messages": Messages(), "responses": Responses(), "gemini": Gemini()}
ENDS_WELL = {"chat": "stop", "messages": "end_turn", "responses": "completed", "gemini": "STOP"}


@pytest.fixture(params=WIRES)
def name(request):
    return request.param


@pytest.fixture
def house(start, provider):
    key = {"env": "CANARY_KEY"}
    upstreams = {
        "openai": {"dialect": ["openai.chat", "openai.responses"], "base_url": provider.base_url, "key": key},
        "anthropic": {"dialect": "anthropic.messages", "base_url": provider.base_url, "key": key},
        "google": {"dialect": "google.gemini", "base_url": provider.base_url.removesuffix("/v1"), "key": key},
    }
    return lambda policy=POLICY: start({"p.yaml": policy}, upstreams=upstreams)


def answers(provider, wire, pieces, *, stream, call=False, gap=0.0):
    made = wire.stream(pieces, call)
    provider.answer = provider.sse(*made, gap=gap) if stream else provider.json(wire.whole("".join(pieces), call))


@pytest.mark.parametrize("stream", [False, True], ids=["whole", "stream"])
def test_a_sdk_reads_the_masked_answer(name, stream, house, provider):
    wire, at = WIRES[name], house()
    answers(provider, wire, SAID, stream=stream)
    assert wire.ask(at.url, stream) == (MASKED, [], ENDS_WELL[name], 5)
    ended = at.ended()[0]
    (heard,) = ended.heard
    assert (heard.hook, heard.rule, heard.detector, heard.effect, heard.action) == ("output", "mask", "card", "redact", "redacted")
    assert len(heard.original) == 32
    assert CARD not in str(at.records())
    assert ended.exchange.state == "complete"
    assert ended.exchange.output_preview == MASKED


@pytest.mark.parametrize("stream", [False, True], ids=["whole", "stream"])
def test_a_sdk_reads_what_stood_before_an_answer_was_denied_and_why(name, stream, house, provider):
    wire, at = WIRES[name], house()
    answers(provider, wire, TOLD, stream=stream)
    text, calls, reason, tokens = wire.ask(at.url, stream)
    assert text.startswith("Here is the key" if stream else "[The answer was withheld")
    assert text.endswith("]")
    assert 'policy "support" (rule no-keys)' in text
    assert "Keys are not given out." in text
    assert "now you have it" not in text
    assert "sk-" not in text
    assert (calls, reason, tokens) == ([], ENDS_WELL[name], 5)
    ended = at.ended()[0]
    assert ended.exchange.state == "denied"
    assert [(h.rule, h.detector, h.action) for h in ended.heard] == [("no-keys", "secret", "denied")]
    assert [(f.code, f.action) for f in ended.findings] == [("withheld", "denied")]
    assert KEY not in str(at.records())
    assert text.rpartition("decision ")[2].rstrip("]") in ended.findings[0].detail


@pytest.mark.parametrize("stream", [False, True], ids=["whole", "stream"])
def test_a_call_behind_words_that_may_not_be_said_is_withheld_with_them(name, stream, house, provider):
    wire, at = WIRES[name], house()
    answers(provider, wire, TOLD, stream=stream, call=True)
    text, calls, reason, _ = wire.ask(at.url, stream)
    assert (calls, reason) == ([], ENDS_WELL[name])
    assert text.count("withheld") == 1
    (call,) = [call for record in at.records() for call in ([record.call] if hasattr(record, "call") else getattr(record, "calls", ()))]
    assert (call.name, call.released, call.code, call.rule) == ("get", False, "answer_withheld", "no-keys")


@pytest.mark.parametrize("stream", [False, True], ids=["whole", "stream"])
def test_a_call_beside_masked_words_is_the_clients_to_run(name, stream, house, provider):
    wire, at = WIRES[name], house()
    answers(provider, wire, SAID, stream=stream, call=True)
    text, calls, _, _ = wire.ask(at.url, stream)
    assert (text, calls) == (MASKED, ["get"])


def test_a_shadow_rule_is_heard_and_changes_nothing(name, house, provider):
    wire, at = WIRES[name], house(SHADOW)
    for count, (stream, pieces) in enumerate([(False, SAID), (True, SAID), (True, TOLD)], 1):
        answers(provider, wire, pieces, stream=stream)
        assert wire.ask(at.url, stream)[0] == "".join(pieces)
        (heard,) = at.ended(count)[-1].heard
        assert (heard.mode, heard.action) == ("shadow", "none")


def test_words_leave_while_the_provider_still_speaks(name, house, provider):
    wire, at = WIRES[name], house(POLICY.replace("[secret]", "[ssn]"))
    provider.answer = provider.sse(*wire.stream(["word "] * 60)[:40], hang=True)
    body = {"chat": {"messages": [{"role": "user", "content": "go"}], "model": "gpt-4o-mini", "stream": True}}
    body["messages"] = body["chat"] | {"model": "claude-sonnet-4-5", "max_tokens": 9}
    body["responses"] = {"model": "gpt-4o-mini", "input": "go", "stream": True, "store": False}
    body["gemini"] = {"contents": [{"role": "user", "parts": [{"text": "go"}]}]}
    path = wire.path.replace(":generateContent", ":streamGenerateContent?alt=sse")
    with at.client(headers={"anthropic-version": "2023-06-01"}) as client, client.stream("POST", path, json=body[name]) as got:
        seen = b""
        for piece in got.iter_raw():
            seen += piece
            if seen.count(b"word ") >= 25:
                break
    assert seen.count(b"word ") >= 25


def test_an_error_in_place_of_the_answer_where_a_rule_wants_one(name, house, provider):
    wire, at = WIRES[name], house(POLICY.replace("on_deny: explain", "on_deny: error"))
    answers(provider, wire, TOLD, stream=False)
    with pytest.raises((openai.APIStatusError, anthropic.APIStatusError, genai.errors.ClientError), match=r"Keys are not given out\."):
        wire.ask(at.url, False)
    assert at.ended()[0].exchange.error_code == "policy_denied"


def test_agents_without_output_rules_get_the_providers_bytes(name, house, provider):
    wire, at = WIRES[name], house("policy: 1\nid: p\nagents: ['*']\nallow: [get]\n")
    answers(provider, wire, SAID, stream=True)
    assert CARD in wire.ask(at.url, True)[0]
    assert at.ended()[0].heard == ()


@pytest.mark.parametrize("stream", [False, True], ids=["whole", "stream"])
def test_words_of_a_round_that_the_client_never_saw_are_masked_on_record_when_it_comes_back(stream, house, provider):
    wire, at = WIRES["gemini"], house(POLICY.replace("on_deny: explain", "on_deny: steer").replace("[get]", "[other]"))
    made = wire.stream([f"{CARD} "], True)[-1:] if stream else [wire.whole(f"{CARD} ", True)]
    first = provider.sse(*made) if stream else provider.json(made[0])
    broken = provider.raw(b"{", "200 OK")

    async def answer(reader, writer, body):
        await (first if len(provider.received) == 1 else broken)(reader, writer, body)

    provider.answer = answer
    assert "NOT executed" in wire.ask(at.url, stream)[0]
    assert CARD not in at.ended()[0].exchange.output_preview


@pytest.mark.parametrize("rule", ["explain", "error"])
def test_words_that_may_not_be_said_behind_a_steered_call_are_not_asked_about_again(rule, house, provider):
    wire = WIRES["messages"]
    only = POLICY.replace("[get]", "[other]").replace("on_deny: explain", "on_deny: steer")
    at = house(only.replace("effect: deny,", f"effect: deny, on_deny: {rule},"))
    usage = {"input_tokens": 10, "output_tokens": 5}
    head = {"id": "m", "type": "message", "role": "assistant", "model": "claude-sonnet-4-5", "stop_sequence": None}
    said = {"type": "content_block_delta", "index": 1, "delta": {"type": "text_delta", "text": "".join(TOLD)}}
    events = [
        {"type": "message_start", "message": head | {"content": [], "stop_reason": None, "usage": usage}},
        {"type": "content_block_start", "index": 0, "content_block": {"type": "tool_use", "id": "t", "name": "get", "input": {}}},
        {"type": "content_block_stop", "index": 0},
        {"type": "content_block_start", "index": 1, "content_block": {"type": "text", "text": ""}},
        said,
        {"type": "content_block_stop", "index": 1},
        {"type": "message_delta", "delta": {"stop_reason": "tool_use", "stop_sequence": None}, "usage": {"output_tokens": 5}},
        {"type": "message_stop"},
    ]
    provider.answer = provider.sse(*(sse(e, e["type"]) for e in events))
    if rule == "error":
        with pytest.raises(anthropic.APIStatusError, match=r"Keys are not given out\."):
            wire.ask(at.url, True)
    else:
        text, calls, _, _ = wire.ask(at.url, True)
        assert ("Keys are not given out." in text, KEY in text, calls) == (True, False, [])
    assert len(provider.received) == 1
    assert at.ended()[0].exchange.state == "denied"
