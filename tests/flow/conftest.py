"""The wires of four dialects, and the SDKs that read them: answers of a provider with given words, whole and in pieces."""

import json

import anthropic
import openai
import pytest
from google import genai

from tests.amazon import proven


def sse(tree, name=None):
    return (f"event: {name}\n" if name else "").encode() + b"data: " + json.dumps(tree).encode() + b"\n\n"


class Said:
    """What an answer says, put together from its pieces. An error says nothing and ends nothing."""

    def __init__(self):
        self._text, self._calls, self._ended = "", [], False

    def trees(self, answer):
        """The JSON of an answer: of a stream, of each of its events."""
        if not answer.headers["content-type"].startswith("text/event-stream"):
            return [answer.json()] if answer.status_code == 200 else []
        return [json.loads(line[6:]) for line in answer.text.splitlines() if line.startswith("data: ") and line != "data: [DONE]"]

    def more(self, text, calls, *, ended):
        self._text += text or ""
        self._calls += calls
        self._ended = self._ended or ended

    @property
    def all(self):
        return self._text, self._calls, self._ended


class Chat:
    path = "/v1/chat/completions"

    def asked(self, stream):
        """(path, body) of a request, as an HTTP client sends it."""
        tools = [{"type": "function", "function": {"name": "get", "parameters": {"type": "object"}}}]
        body = {"model": "gpt-4o-mini", "messages": [{"role": "user", "content": "go"}], "tools": tools, "max_tokens": 99}
        return self.path, body | {"stream": stream, **({"stream_options": {"include_usage": True}} if stream else {})}

    def read(self, answer):
        """(text, names of calls, ended as it should), as a simple client reads them."""
        said = Said()
        for tree in said.trees(answer):
            for choice in tree.get("choices", ()):
                told = choice.get("delta") or choice.get("message") or {}
                calls = [call["function"]["name"] for call in told.get("tool_calls") or () if call["function"].get("name")]
                said.more(told.get("content"), calls, ended=choice["finish_reason"] is not None)
        return said.all

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

    def asked(self, stream):
        tools = [{"name": "get", "input_schema": {"type": "object"}}]
        body = {"model": "claude-sonnet-4-5", "max_tokens": 99, "messages": [{"role": "user", "content": "go"}], "tools": tools}
        return self.path, body | {"stream": stream}

    def read(self, answer):
        said = Said()
        for tree in said.trees(answer):
            blocks = [*tree.get("content", ()), *([tree["content_block"]] if "content_block" in tree else [])]
            calls = [block["name"] for block in blocks if block["type"] == "tool_use"]
            text = "".join(block["text"] for block in blocks if block["type"] == "text")
            said.more(text + tree.get("delta", {}).get("text", ""), calls, ended=tree["type"] in ("message", "message_stop"))
        return said.all

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

    def asked(self, stream):
        tools = [{"type": "function", "name": "get", "parameters": {"type": "object"}, "strict": False}]
        body = {"model": "gpt-4o-mini", "input": "go", "tools": tools, "store": False, "max_output_tokens": 99}
        return self.path, body | {"stream": stream}

    def read(self, answer):
        said = Said()
        for tree in said.trees(answer):
            items = [tree["item"]] if tree.get("type") == "response.output_item.done" else tree.get("output", ())
            calls = [item["name"] for item in items if item["type"] == "function_call"]
            whole = "".join(part["text"] for item in tree.get("output", ()) for part in item.get("content", ()))
            text = tree["delta"] if tree.get("type") == "response.output_text.delta" else whole
            said.more(text, calls, ended=tree.get("type") == "response.completed" or "output" in tree)
        return said.all

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

    def asked(self, stream):
        tools = [{"functionDeclarations": [{"name": "get", "parameters": {"type": "OBJECT"}}]}]
        body = {"contents": [{"role": "user", "parts": [{"text": "go"}]}], "tools": tools, "generationConfig": {"maxOutputTokens": 99}}
        return (self.path.replace(":generate", ":streamGenerate") + "?alt=sse" if stream else self.path), body

    def read(self, answer):
        said = Said()
        for tree in said.trees(answer):
            for candidate in tree.get("candidates", ()):
                parts = candidate.get("content", {}).get("parts", ())
                calls = [part["functionCall"]["name"] for part in parts if "functionCall" in part]
                said.more("".join(part.get("text", "") for part in parts), calls, ended="finishReason" in candidate)
        return said.all

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


@pytest.fixture(scope="session")
def wires():
    return {"chat": Chat(), "messages": Messages(), "responses": Responses(), "gemini": Gemini()}


@pytest.fixture
def all_upstreams(provider):
    """The provider of a test, in every dialect."""
    key = {"env": "CANARY_KEY"}
    return {
        "openai": {"dialect": ["openai.chat", "openai.responses"], "base_url": provider.base_url, "key": key},
        "anthropic": {"dialect": "anthropic.messages", "base_url": provider.base_url, "key": key},
        "google": {"dialect": "google.gemini", "base_url": provider.base_url.removesuffix("/v1"), "key": key},
    }


@pytest.fixture
def answer(provider):
    """`answer(wire, pieces, stream=…)`: what the provider says next."""

    def made(wire, pieces, *, stream, call=False, gap=0.0):
        events = wire.stream(pieces, call)
        provider.answer = provider.sse(*events, gap=gap) if stream else provider.json(wire.whole("".join(pieces), call))

    return made


@pytest.fixture
def amazon(provider):
    """`amazon(*frames or body)`: answers whoever proves who pays, and refuses everybody else as Amazon does."""

    def made(*pieces, status="200 OK", kind=None):
        async def answer(reader, writer, body):
            head = provider.received[-1][0]
            good, media, data = proven(head, body), kind or "application/vnd.amazon.eventstream", b"".join(pieces)
            if not good:
                media, data = "application/json", b'{"message":"The request signature we calculated does not match"}'
            first = f"HTTP/1.1 {status if good else '403 Forbidden'}\r\ncontent-type: {media}\r\ncontent-length: {len(data)}\r\n"
            writer.write(first.encode() + b"x-amzn-requestid: r-1\r\n\r\n" + data[:100])
            await writer.drain()
            writer.write(data[100:])
            await writer.drain()

        provider.answer = answer

    return made
