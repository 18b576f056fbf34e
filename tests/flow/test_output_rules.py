"""`at: output` over sockets: what real SDKs read of an answer with words replaced, and of one that ends before them."""

import json

import anthropic
import openai
import pytest
from google import genai

from gateway.trace.record import Decided

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
PROVIDER_KEY_CUT = ["sk-canary-provid", "er-key-1234"]
ENDS_WELL = {"chat": "stop", "messages": "end_turn", "responses": "completed", "gemini": "STOP"}


@pytest.fixture(params=ENDS_WELL)
def name(request):
    return request.param


@pytest.fixture
def house(start, all_upstreams):
    return lambda policy=POLICY: start({"p.yaml": policy}, upstreams=all_upstreams)


@pytest.mark.parametrize("stream", [False, True], ids=["whole", "stream"])
def test_a_sdk_reads_the_masked_answer(name, stream, house, wires, answer):
    wire, at = wires[name], house()
    answer(wire, SAID, stream=stream)
    assert wire.ask(at.url, stream) == (MASKED, [], ENDS_WELL[name], 5)
    ended = at.ended()[0]
    (heard,) = ended.heard
    assert (heard.hook, heard.rule, heard.detector, heard.effect, heard.action) == ("output", "mask", "card", "redact", "redacted")
    assert len(heard.original) == 32
    assert CARD not in str(at.records())
    assert ended.exchange.state == "complete"
    assert ended.exchange.output_preview == MASKED


@pytest.mark.parametrize("gap", [0.0, 0.01], ids=["at once", "bit by bit"])
def test_a_call_on_record_as_released_leaves_though_the_words_behind_it_would_make_the_answer_an_error(house, wires, provider, gap):
    begun, *said, call, called, finish, end = wires["messages"].stream(["Mail ", "me@example.org ", "now"], call=True)
    call, called = (event.replace(b'"index": 1', b'"index": 0') for event in (call, called))
    events = [begun, call, called, *(event.replace(b'"index": 0', b'"index": 1') for event in said), finish, end]
    provider.answer = provider.sse(*(events if gap else [b"".join(events)]), gap=gap)
    at = house(POLICY.replace("explain", "error").replace("[secret]", "[email]"))
    text, calls, stop, _ = wires["messages"].ask(at.url, stream=True)
    assert ("withheld" in text, "example.org" in text, calls, stop) == (True, False, ["get"], "tool_use")
    (decided,) = [record.call for record in at.records() if isinstance(record, Decided)]
    assert (decided.name, decided.released) == ("get", True)
    assert at.ended()[0].exchange.state == "denied"


def ending_in_words(wire, name, pieces):
    """A stream whose last words come in the event that finishes it, where the dialect can say both in one."""
    events = wire.stream(pieces)
    if name != "chat":  # Gemini's ends so anyway, in the others an event of its own does
        return events
    *before, last, _, usage, done = events
    return [*before, last.replace(b'"finish_reason": null', b'"finish_reason": "stop"'), usage, done]


@pytest.mark.parametrize(
    ("rules", "pieces", "read"),
    [
        (POLICY, ["Your card is 4111 11", "11 1111 1111"], "Your card is [card]"),
        ("policy: 1\nid: p\nagents: ['*']\nallow: [get]\n", ["It is ", *PROVIDER_KEY_CUT], "It is [REDACTED:provider_key]"),
    ],
    ids=["a rule", "no rule"],
)  # fmt: skip
def test_what_is_cut_over_the_last_two_events_is_found(name, house, wires, provider, rules, pieces, read):
    at = house(rules)
    events = ending_in_words(wires[name], name, pieces)
    assert name not in ("chat", "gemini") or any(pieces[-1].encode() in event and b'"finish' in event for event in events)
    provider.answer = provider.sse(*events)
    assert wires[name].ask(at.url, True) == (read, [], ENDS_WELL[name], 5)


@pytest.mark.parametrize("stream", [False, True], ids=["whole", "stream"])
def test_a_sdk_reads_what_stood_before_an_answer_was_denied_and_why(name, stream, house, wires, answer):
    wire, at = wires[name], house()
    answer(wire, TOLD, stream=stream)
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
def test_a_call_behind_words_that_may_not_be_said_is_withheld_with_them(name, stream, house, wires, answer):
    wire, at = wires[name], house()
    answer(wire, TOLD, stream=stream, call=True)
    text, calls, reason, _ = wire.ask(at.url, stream)
    assert (calls, reason) == ([], ENDS_WELL[name])
    assert text.count("withheld") == 1
    (call,) = [call for record in at.records() for call in ([record.call] if hasattr(record, "call") else getattr(record, "calls", ()))]
    assert (call.name, call.released, call.code, call.rule) == ("get", False, "answer_withheld", "no-keys")


@pytest.mark.parametrize("stream", [False, True], ids=["whole", "stream"])
def test_a_call_beside_masked_words_is_the_clients_to_run(name, stream, house, wires, answer):
    wire, at = wires[name], house()
    answer(wire, SAID, stream=stream, call=True)
    text, calls, _, _ = wire.ask(at.url, stream)
    assert (text, calls) == (MASKED, ["get"])


TOKENS = [{"token": part, "logprob": -0.1, "top_logprobs": [{"token": "never", "logprob": -3}]} for part in ("All ", "well")]
USAGE = {"prompt_tokens": 1, "completion_tokens": 5, "total_tokens": 6}
ANSWERED = {"id": "a", "created": 1, "model": "gpt-4o-mini", "usage": USAGE}


@pytest.mark.parametrize("stream", [False, True], ids=["whole", "stream"])
def test_no_form_is_asked_of_tokens_and_of_thoughts(house, provider, wires, stream):
    at = house(POLICY + "- {id: well, at: output, require: \"text.contains('All well')\", stream: buffer}\n")
    probable = {"content": TOKENS, "refusal": None}
    said = {"role": "assistant", "content": "All well", "reasoning_content": "I think."}
    if stream:
        ends = {"index": 0, "delta": {}, "finish_reason": "stop"}
        choices = [{"index": 0, "delta": said, "logprobs": probable, "finish_reason": None}, ends]
        events = [ANSWERED | {"object": "chat.completion.chunk", "choices": [each]} for each in choices]
        provider.answer = provider.sse(*(b"data: " + json.dumps(event).encode() + b"\n\n" for event in events), b"data: [DONE]\n\n")
    else:
        choices = [{"index": 0, "message": said, "logprobs": probable, "finish_reason": "stop"}]
        provider.answer = provider.json(ANSWERED | {"object": "chat.completion", "choices": choices})
    assert wires["chat"].ask(at.url, stream)[:1] == ("All well",)
    assert at.ended()[0].exchange.state == "complete"


@pytest.mark.parametrize("where", ["tokens", "thoughts"])
def test_what_a_condition_looks_for_is_found_in_tokens_and_in_thoughts(house, provider, wires, where):
    at = house(POLICY + "- {id: never, at: output, when: \"text.contains('never')\", stream: buffer}\n")
    said = {"role": "assistant", "content": "All well"} | ({"reasoning_content": "never"} if where == "thoughts" else {})
    more = {"logprobs": {"content": TOKENS, "refusal": None}} if where == "tokens" else {}
    choices = [{"index": 0, "message": said, "finish_reason": "stop"} | more]
    provider.answer = provider.json(ANSWERED | {"object": "chat.completion", "choices": choices})
    assert "rule never" in wires["chat"].ask(at.url, False)[0]


def test_a_shadow_rule_is_heard_and_changes_nothing(name, house, wires, answer):
    wire, at = wires[name], house(SHADOW)
    for count, (stream, pieces) in enumerate([(False, SAID), (True, SAID), (True, TOLD)], 1):
        answer(wire, pieces, stream=stream)
        assert wire.ask(at.url, stream)[0] == "".join(pieces)
        (heard,) = at.ended(count)[-1].heard
        assert (heard.mode, heard.action) == ("shadow", "none")


def test_words_leave_while_the_provider_still_speaks(name, house, provider, wires):
    wire, at = wires[name], house(POLICY.replace("[secret]", "[ssn]"))
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


def test_an_error_in_place_of_the_answer_where_a_rule_wants_one(name, house, wires, answer):
    wire, at = wires[name], house(POLICY.replace("on_deny: explain", "on_deny: error"))
    answer(wire, TOLD, stream=False)
    with pytest.raises((openai.APIStatusError, anthropic.APIStatusError, genai.errors.ClientError), match=r"Keys are not given out\."):
        wire.ask(at.url, False)
    assert at.ended()[0].exchange.error_code == "policy_denied"


def test_agents_without_output_rules_get_the_providers_bytes(name, house, wires, answer):
    wire, at = wires[name], house("policy: 1\nid: p\nagents: ['*']\nallow: [get]\n")
    answer(wire, SAID, stream=True)
    assert CARD in wire.ask(at.url, True)[0]
    assert at.ended()[0].heard == ()


@pytest.mark.parametrize("stream", [False, True], ids=["whole", "stream"])
def test_words_of_a_round_that_the_client_never_saw_are_masked_on_record_when_it_comes_back(stream, house, provider, wires):
    wire, at = wires["gemini"], house(POLICY.replace("on_deny: explain", "on_deny: steer").replace("[get]", "[other]"))
    made = wire.stream([f"{CARD} "], True)[-1:] if stream else [wire.whole(f"{CARD} ", True)]
    first = provider.sse(*made) if stream else provider.json(made[0])
    broken = provider.raw(b"{", "200 OK")

    async def answer(reader, writer, body):
        await (first if len(provider.received) == 1 else broken)(reader, writer, body)

    provider.answer = answer
    assert "NOT executed" in wire.ask(at.url, stream)[0]
    assert CARD not in at.ended()[0].exchange.output_preview


@pytest.mark.parametrize("rule", ["explain", "error"])
def test_words_that_may_not_be_said_behind_a_steered_call_are_not_asked_about_again(rule, house, provider, wires):
    wire = wires["messages"]
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
    provider.answer = provider.sse(*(f"event: {e['type']}\ndata: {json.dumps(e)}\n\n".encode() for e in events))
    if rule == "error":
        with pytest.raises(anthropic.APIStatusError, match=r"Keys are not given out\."):
            wire.ask(at.url, True)
    else:
        text, calls, _, _ = wire.ask(at.url, True)
        assert ("Keys are not given out." in text, KEY in text, calls) == (True, False, [])
    assert len(provider.received) == 1
    assert at.ended()[0].exchange.state == "denied"


def test_words_that_stand_where_no_dialect_has_them_are_not_read(start, provider, all_upstreams, wires, caplog):
    """Such an answer is an error while a policy enforces, and passes as it came while nothing does."""
    chat, messages = wires["chat"].whole(f"It is {CARD}."), wires["messages"].whole("")
    chat["choices"][0]["index"] = [0]
    odd = {"chat": chat, "gemini": {"candidates": ["x"]}, "messages": {**messages, "content": "x"}}
    rules = "policy: 1\nid: p\nagents: ['*']\nallow: [get]\nrules:\n- {id: r, at: output, detect: [card], effect: redact}\n"
    judging = start({"p.yaml": rules}, upstreams=all_upstreams)
    watching = start({"p.yaml": rules.replace("allow:", "mode: shadow\nuntil: 2099-01-01\nallow:")}, upstreams=all_upstreams)
    for name, tree in odd.items():
        provider.answer = provider.json(tree)
        for at, status in ((judging, 502), (watching, 200)):
            with at.client() as client:
                path, asked = wires[name].asked(False)
                got = client.post(path, json=asked)
            assert got.status_code == status, (name, got.text)
            assert status == 502 or got.json() == tree
    assert caplog.text == ""
