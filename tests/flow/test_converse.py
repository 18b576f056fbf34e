"""Models on Amazon Bedrock that are asked in Chat Completions, through the data plane: a provider that speaks Converse, checks
signatures, and breaks in every way; requests looked at by Amazon's own description of them; and the SDKs that agents use."""

from __future__ import annotations

import asyncio
import contextlib
import json
from decimal import Decimal

import anthropic
import botocore.session
import botocore.validate
import openai
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from gateway.trace.record import Decided
from tests.amazon import ACCESS, SECRET, converse_frames, converse_whole, event, frame, read

POLICY = {"p.yaml": "policy: 1\nid: p\nagents: ['*']\nallow: [get]\non_deny: explain\n"}
NOVA = "amazon.nova-pro-v1:0"
GOOD, BAD = {"name": "get", "input": {"city": "Paris"}}, {"name": "wipe", "input": {"path": "/srv/secret-name"}}
SAID = [("hm ",), "Grüß dich. ", GOOD]
TOOLS = [{"type": "function", "function": {"name": name, "parameters": {"type": "object"}}} for name in ("get", "wipe")]
EVENTS = "application/vnd.amazon.eventstream"
SHAPE = botocore.session.Session().get_service_model("bedrock-runtime").operation_model("Converse").input_shape


@pytest.fixture
def bedrock(start, provider, monkeypatch):
    monkeypatch.setenv("BEDROCK_KEY", f"{ACCESS}:{SECRET}")

    def made(dialect="openai.chat", routes=({"models": ["*"], "targets": [{"upstream": "aws", "model": NOVA}]},), **more):
        place = {"base_url": provider.base_url.removesuffix("/v1"), "key": {"env": "BEDROCK_KEY"}, "dialect": dialect}
        upstreams = {"aws": place | {"platform": {"bedrock": {"region": "us-east-1"}}}}
        return start(POLICY, upstreams=upstreams, routes=list(routes), **more)

    yield made
    for _, body in provider.received:
        with contextlib.suppress(ValueError):
            asked = json.loads(body)
            if "messages" in asked and "anthropic_version" not in asked:
                assert asked.keys() <= SHAPE.members.keys()
                assert not botocore.validate.ParamValidator().validate(asked | {"modelId": NOVA}, SHAPE).generate_report()


def answers(amazon, blocks, stop="tool_use", *, stream, **more):
    if stream:
        amazon(*converse_frames(blocks, stop, **more))
    else:
        amazon(json.dumps(converse_whole(blocks, stop, **more)).encode(), kind="application/json")


def chat(gateway, *, stream, **more):
    """(text, calls, finish, usage, thoughts) as OpenAI's SDK reads them."""
    with openai.OpenAI(base_url=f"{gateway.url}/v1", api_key="x", max_retries=0) as client:
        asked = {"model": "nova", "messages": [{"role": "user", "content": "go"}], "tools": TOOLS, "max_tokens": 50} | more
        if stream:
            with client.chat.completions.stream(**asked, stream_options={"include_usage": True}) as running:
                found = running.get_final_completion()
        else:
            found = client.chat.completions.create(**asked)
    [choice] = found.choices
    calls = [(call.id, call.function.name, json.loads(call.function.arguments)) for call in choice.message.tool_calls or ()]
    return choice.message.content or "", calls, choice.finish_reason, found.usage, getattr(choice.message, "reasoning_content", None)


def messages(gateway, *, stream):
    with anthropic.Anthropic(base_url=gateway.url, api_key="x", max_retries=0) as client:
        tools = [{"name": name, "input_schema": {"type": "object"}} for name in ("get", "wipe")]
        asked = {"model": "nova", "messages": [{"role": "user", "content": "go"}], "tools": tools, "max_tokens": 50}
        if stream:
            with client.messages.stream(**asked) as running:
                found = running.get_final_message()
        else:
            found = client.messages.create(**asked)
    said = {kind: "".join(getattr(block, kind) for block in found.content if block.type == kind) for kind in ("text", "thinking")}
    calls = [(block.id, block.name, block.input) for block in found.content if block.type == "tool_use"]
    return said["text"], calls, found.stop_reason, found.usage, said["thinking"]


def decided(gateway):
    """The calls that were judged, of whole answers and of streams."""
    return [*(call for ended in gateway.ended() for call in ended.calls), *(each.call for each in gateway.of(Decided))]


FORMS = pytest.mark.parametrize("stream", [False, True], ids=["whole", "stream"])


@FORMS
def test_openais_sdk_reads_words_thoughts_calls_and_amazons_counts(bedrock, amazon, provider, stream):
    gateway = bedrock()
    answers(amazon, SAID, stream=stream)
    text, calls, finish, usage, thoughts = chat(gateway, stream=stream)
    assert (text, calls, finish, thoughts) == ("Grüß dich. ", [("tooluse_2", "get", {"city": "Paris"})], "tool_calls", "hm ")
    assert (usage.prompt_tokens, usage.prompt_tokens_details.cached_tokens, usage.completion_tokens) == (1050, 400, 100)
    ((head, body),) = provider.received
    assert read(head)[1] == f"/model/amazon.nova-pro-v1%3A0/{'converse-stream' if stream else 'converse'}"
    assert read(head)[3]["accept"] == (EVENTS if stream else "application/json")
    assert json.loads(body)["inferenceConfig"] == {"maxTokens": 50}
    row = gateway.ended()[0].exchange
    assert (row.state, row.provider, row.upstream_model, row.upstream_dialect) == ("complete", "aws.bedrock", NOVA, "aws.converse")
    assert (row.input_tokens, row.cache_read_tokens, row.cache_write_tokens, row.output_tokens) == (600, 400, 50, 100)


@FORMS
def test_anthropics_sdk_reads_the_same(bedrock, amazon, stream):
    gateway = bedrock()
    answers(amazon, SAID, stream=stream)
    text, calls, finish, usage, thoughts = messages(gateway, stream=stream)
    assert (text, calls, finish, thoughts) == ("Grüß dich. ", [("tooluse_2", "get", {"city": "Paris"})], "tool_use", "hm ")
    assert (usage.input_tokens, usage.cache_read_input_tokens, usage.cache_creation_input_tokens) == (600, 400, 50)
    assert usage.output_tokens == 100


COUNTS = {"inputTokens": 1000, "outputTokens": 100, "totalTokens": 1100}


@FORMS
def test_what_it_costs_is_the_clouds_price_under_the_targets_name_for_the_model_and_tier(bedrock, amazon, stream):
    gateway = bedrock()
    answers(amazon, ["Hi"], "end_turn", stream=stream, usage=COUNTS)
    chat(gateway, stream=stream)
    answers(amazon, ["Hi"], "end_turn", stream=stream, usage=COUNTS, serviceTier={"type": "flex"})
    chat(gateway, stream=stream)
    standard, flex = (Decimal(row.exchange.cost) for row in gateway.ended(2))
    assert (standard, flex) == (Decimal("0.00112"), Decimal("0.00056"))  # 0.80 and 3.20 USD per million; half of it


@pytest.mark.parametrize("ask", [chat, messages])
@FORMS
def test_a_granted_call_arrives_and_a_denied_one_does_not(bedrock, amazon, ask, stream):
    gateway = bedrock()
    answers(amazon, ["Look. ", BAD, GOOD], stream=stream)
    text, calls, *_ = ask(gateway, stream=stream)
    assert [call[1:] for call in calls] == [("get", {"city": "Paris"})]
    assert text.startswith("Look. ")
    assert "secret-name" not in text
    assert gateway.ended()[0].exchange.state == "denied"
    assert sorted((call.name, call.released) for call in decided(gateway)) == [("get", True), ("wipe", False)]


@FORMS
def test_a_request_with_history_images_and_choices_is_one_of_amazons(bedrock, amazon, provider, stream):
    gateway = bedrock()
    answers(amazon, ["Hi"], "end_turn", stream=stream)
    call = {"id": "c1", "type": "function", "function": {"name": "get", "arguments": '{"a": 1}'}}
    picture = {"type": "image_url", "image_url": {"url": "data:image/png;base64,aGk="}}
    asked = [
        {"role": "developer", "content": "be"}, {"role": "user", "content": [{"type": "text", "text": "look"}, picture]},
        {"role": "assistant", "content": "ok", "tool_calls": [call]}, {"role": "tool", "tool_call_id": "c1", "content": "20"},
    ]  # fmt: skip
    assert chat(gateway, stream=stream, messages=asked, tool_choice="required", stop=["x"], temperature=0.5)[0] == "Hi"
    told = json.loads(provider.received[0][1])
    assert [message["role"] for message in told["messages"]] == ["user", "assistant", "user"]
    assert (told["toolConfig"]["toolChoice"], told["inferenceConfig"]["stopSequences"]) == ({"any": {}}, ["x"])


def test_messages_go_to_anthropics_own_api_there_and_chat_completions_to_converse(bedrock, amazon, wires, provider):
    gateway = bedrock(["anthropic.messages", "openai.chat"])
    answers(amazon, ["Hi"], "end_turn", stream=False)
    assert chat(gateway, stream=False)[0] == "Hi"
    amazon(json.dumps(wires["messages"].whole("Ho", call=True)).encode(), kind="application/json")
    assert wires["messages"].ask(gateway.url, False)[0] == "Ho"
    assert [read(head)[1].rpartition("/")[2] for head, _ in provider.received] == ["converse", "invoke"]
    assert [row.exchange.upstream_dialect for row in gateway.ended(2)] == ["aws.converse", None]


def test_without_routes_it_is_found_by_its_dialect_under_the_clients_name_for_the_model(bedrock, amazon, provider):
    gateway = bedrock(routes=())
    answers(amazon, ["Hi"], "end_turn", stream=True)
    assert chat(gateway, stream=True, model="us.meta.llama3-3-70b-instruct-v1:0")[0] == "Hi"
    assert "us.meta.llama3-3-70b-instruct-v1" in read(provider.received[0][0])[1]


def test_what_converse_has_no_word_for_is_named_or_refused(bedrock, amazon, provider):
    gateway = bedrock()
    answers(amazon, ["Hi"], "end_turn", stream=False)
    asked = {"model": "nova", "messages": [{"role": "user", "content": "go"}], "tools": TOOLS}
    with gateway.client() as client:
        answer = client.post("/v1/chat/completions", json=asked | {"seed": 7})
        refused = client.post("/v1/chat/completions", json=asked | {"tool_choice": "none"})
        embedded = client.post("/v1/embeddings", json={"model": "nova", "input": "x"})
    assert (answer.status_code, answer.headers["x-gateway-dropped-fields"]) == (200, "seed")
    assert refused.json()["error"]["code"] == "untranslatable"
    assert "tool_choice 'none'" in refused.json()["error"]["message"]
    assert embedded.status_code == 404
    assert "Only conversations are translated" in embedded.json()["error"]["message"]
    assert len(provider.received) == 1


@FORMS
@pytest.mark.parametrize(
    ("status", "raised"), [("400 X", openai.BadRequestError), ("403 X", openai.PermissionDeniedError), ("429 X", openai.RateLimitError)]
)
def test_a_refusal_of_amazons_keeps_its_status_and_its_words(bedrock, amazon, stream, status, raised):
    gateway = bedrock()
    amazon(b'{"message":"so it is"}', status=status, kind="application/json")
    with pytest.raises(raised, match="so it is"):
        chat(gateway, stream=stream)


def exception(name, words):
    return frame(json.dumps({"message": words}).encode(), **{":message-type": "exception", ":exception-type": name})


def turned(data, at):
    return data[:at] + bytes([data[at] ^ 1]) + data[at + 1 :]


FRAMES = converse_frames(SAID)
FAULT = frame(b"", **{":message-type": "error", ":error-code": "InternalFailure", ":error-message": "so it is"})
DELTA = {":message-type": "event", ":event-type": "contentBlockDelta"}
BREAKS = {
    "throttled inside": ([*FRAMES[:4], exception("throttlingException", "slow down")], "provider_error", "slow down"),
    "failed inside": ([*FRAMES[:4], exception("modelStreamErrorException", "no more")], "provider_error", "no more"),
    "an error that is no exception": ([*FRAMES[:4], FAULT], "provider_error", "so it is"),
    "a bit is turned": ([*FRAMES[:4], turned(FRAMES[4], 100), *FRAMES[5:]], "protocol", "could not be read"),
    "a length is turned": ([*FRAMES[:4], turned(FRAMES[4], 2), *FRAMES[5:]], "protocol", "could not be read"),
    "cut between frames": (FRAMES[:6], "upstream_reset", ""),
    "cut before its end is said": (FRAMES[:-2], "upstream_reset", ""),
    "cut inside a frame": ([*FRAMES[:4], FRAMES[4][:50]], "upstream_reset", "broke off"),
    "cut inside the counts": ([*FRAMES[:-1], FRAMES[-1][:50]], "upstream_reset", "broke off"),
    "an unknown event": ([*FRAMES[:4], event("contentBlockDream"), *FRAMES[4:]], "protocol", "could not be translated"),
    "no JSON": ([*FRAMES[:4], frame(b"{", **DELTA)], "protocol", "translated"),
    "words twice in a frame": ([*FRAMES[:4], frame(b'{"delta":{"text":"a"},"delta":{"text":"b"}}', **DELTA)], "protocol", "translated"),
    "an end that is none": ([*FRAMES[:-2], event("messageStop", stopReason="malformed_tool_use"), FRAMES[-1]], "protocol", "translated"),
}  # fmt: skip


@pytest.mark.parametrize("what", BREAKS)
def test_a_stream_that_does_not_add_up_ends_in_an_error_and_releases_nothing_before_its_end_is_said(bedrock, amazon, what):
    gateway = bedrock()
    pieces, code, words = BREAKS[what]
    amazon(*pieces)
    with pytest.raises(openai.APIError, match=words):
        chat(gateway, stream=True)
    ended = gateway.ended()[0]
    assert (ended.exchange.error_code, ended.exchange.cost) == (code, None)
    assert any(call.released for call in decided(gateway)) == (what == "cut inside the counts")


PICTURE = b'{"output":{"message":{"role":"assistant","content":[{"image":{}}]}},"stopReason":"end_turn"}'


@pytest.mark.parametrize("tree", [b"[]", b"{}", PICTURE])
def test_a_whole_answer_that_is_none_is_an_error(bedrock, amazon, tree):
    gateway = bedrock()
    amazon(tree, kind="application/json")
    with pytest.raises(openai.InternalServerError, match="could not be translated"):
        chat(gateway, stream=False)


NUMBERS = [("0.1", "get"), ("1e2", "get"), ("12345678901234567890123", None), ("0.12345678901234567890", None)]


@pytest.mark.parametrize(("number", "told"), NUMBERS)
def test_a_number_that_readers_read_differently_is_never_passed_on_as_another(bedrock, amazon, number, told):
    gateway = bedrock()
    whole = json.dumps(converse_whole([{"name": "get", "input": {"n": "NUMBER"}}]))
    amazon(whole.replace('"NUMBER"', number).encode(), kind="application/json")
    if told:
        assert chat(gateway, stream=False)[1] == [("tooluse_0", told, {"n": float(number)})]
    else:
        with pytest.raises(openai.InternalServerError, match="could not be translated"):
            chat(gateway, stream=False)


def test_a_stream_cut_at_any_byte_in_any_pieces_never_looks_whole(bedrock, provider):
    gateway = bedrock(routes=[{"models": ["*"], "upstream": "aws"}], durability="interval")
    data = b"".join(FRAMES)
    whole = b"HTTP/1.1 200 OK\r\ncontent-type: %b\r\n\r\n" % EVENTS.encode()
    body = {"model": NOVA, "messages": [{"role": "user", "content": "go"}], "tools": TOOLS, "stream": True}
    stops = len(b"".join(FRAMES[:-1]))

    def sent(at, split):
        async def answer(reader, writer, body):
            for piece in (whole, data[: min(split, at)], data[min(split, at) : at]):
                writer.write(piece)
                await writer.drain()
                await asyncio.sleep(0)
            writer.close()

        return answer

    @settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
    @given(st.integers(0, len(data)), st.integers(0, len(data)))
    def cut(at, split):
        provider.answer = sent(at, split)
        with gateway.client() as client:
            answer = client.post("/v1/chat/completions", json=body)
        assert (b"[DONE]" in answer.content) == (at in (stops, len(data)))  # between its end and its counts it is whole, and has no counts
        assert (b"error" in answer.content) == (at not in (stops, len(data)))

    cut()
    for at in (stops, len(data), stops - 1, stops + 1):
        provider.answer = sent(at, at)
        with gateway.client() as client:
            answer = client.post("/v1/chat/completions", json=body)
        assert (b"[DONE]" in answer.content) == (at in (stops, len(data)))


def test_when_it_is_busy_a_routes_next_target_is_asked_in_its_own_dialect(bedrock, amazon, provider, wires, start):
    second = type(provider)()
    second.answer = second.json(wires["chat"].whole("from the next", call=True))
    try:
        aws = {"base_url": provider.base_url.removesuffix("/v1"), "key": {"env": "BEDROCK_KEY"}, "dialect": "openai.chat"}
        aws["platform"] = {"bedrock": {"region": "us-east-1"}}
        upstreams = {"aws": aws, "next": {"base_url": second.base_url, "dialect": "openai.chat"}}
        targets = [{"upstream": "aws", "model": NOVA}, {"upstream": "next", "priority": 1}]
        gateway = start(POLICY, upstreams=upstreams, routes=[{"models": ["*"], "targets": targets}])
        amazon(b'{"message":"slow down"}', status="429 Too Many Requests", kind="application/json")
        assert chat(gateway, stream=False)[0] == "from the next"
    finally:
        second.stop()
    ended = gateway.ended()[0]
    assert [(attempt.upstream, attempt.fault) for attempt in ended.attempts] == [("aws", "status_429"), ("next", None)]
    assert ended.exchange.upstream_dialect is None
