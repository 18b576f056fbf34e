"""The rehearsal on real sockets, read by the providers' own SDKs and by a bare client."""

import json
import socket
import struct
import subprocess
import sys
import threading
import time
from pathlib import Path

import anthropic
import httpx
import openai
import pytest

from gateway.errors import StartError
from gateway.rehearsal import RunningRehearsal

SCRIPT = """
rehearsal: 1
scenes:
- model: agent
  turns:
  - text: "I will look."
    calls: [{name: read_file, args: {path: "Größe 📎.txt"}}, {name: get_balance}]
    usage: {input: 100, output: 20, cache_read: 30, cache_write: 7, cache_write_1h: 3, reasoning: 5}
    chunk: 3
  - {text: done}
- {model: mixed, turns: [{calls: [{name: a, args: {x: 1}}, {name: b, args: {y: 2}}], interleave: true, chunk: 1}]}
- {model: broken, turns: [{calls: [{name: a, arguments: '{"x":'}]}]}
- {model: custom, turns: [{calls: [{name: sh, input: ls -l}]}]}
- {model: thinks, turns: [{thinking: "hm, hm", text: "yes", chunk: 2}]}
- {model: silent-usage, turns: [{text: a, usage: null}]}
- {model: slow-down, turns: [{status: 429, headers: {Retry-After: "2"}, error: slow down}]}
- {model: cut, turns: [{text: "a text of some length", cut_after: 100}]}
- {model: refused, turns: [{cut_after: 0}]}
- {model: stalled, turns: [{text: "a text of some length", stall_after: 100}]}
- {model: raw, turns: [{raw: "data: no json\\n\\n"}]}
- {model: drip, turns: [{raw: "abcdef", chunk: 2, gap_ms: 1, headers: {content-type: text/x-drip}}]}
"""
USER = [{"role": "user", "content": "hello"}]


@pytest.fixture(scope="module")
def running():
    with RunningRehearsal(SCRIPT) as provider:
        yield provider


@pytest.fixture
def provider(running):
    running.reset()
    return running


@pytest.fixture
def chat(provider):
    return openai.OpenAI(base_url=provider.base_url, api_key="any", max_retries=0).chat.completions


@pytest.fixture
def messages(provider):
    return anthropic.Anthropic(base_url=provider.url, api_key="any", max_retries=0).messages


def post(provider, path="/v1/chat/completions", headers=None, **body):
    return httpx.post(provider.url + path, headers=headers or {"authorization": "Bearer any"}, json=body)


def test_openai_reads_the_same_calls_whole_and_streamed(chat):
    whole = chat.create(model="agent", messages=USER).choices[0]
    with chat.stream(model="agent", messages=USER) as stream:
        streamed = stream.get_final_completion().choices[0]
    for choice in (whole, streamed):
        assert choice.finish_reason == "tool_calls"
        assert choice.message.content == "I will look."
        assert [c.function.name for c in choice.message.tool_calls] == ["read_file", "get_balance"]
        assert json.loads(choice.message.tool_calls[0].function.arguments) == {"path": "Größe 📎.txt"}
        assert choice.message.tool_calls[1].function.arguments == "{}"


def test_anthropic_reads_the_same_calls_whole_and_streamed(messages):
    whole = messages.create(model="agent", max_tokens=9, messages=USER)
    with messages.stream(model="agent", max_tokens=9, messages=USER) as stream:
        streamed = stream.get_final_message()
    for message in (whole, streamed):
        assert message.stop_reason == "tool_use"
        assert [b.type for b in message.content] == ["text", "tool_use", "tool_use"]
        assert message.content[0].text == "I will look."
        assert message.content[1].input == {"path": "Größe 📎.txt"}
        assert message.content[2].input == {}


def test_openai_usage_counts_cache_and_reasoning_inside_the_totals(chat):
    usage = chat.create(model="agent", messages=USER).usage
    assert (usage.prompt_tokens, usage.prompt_tokens_details.cached_tokens) == (130, 30)
    assert (usage.completion_tokens, usage.completion_tokens_details.reasoning_tokens) == (25, 5)
    assert usage.total_tokens == 155


def test_anthropic_usage_counts_the_cache_beside_the_input(messages):
    with messages.stream(model="agent", max_tokens=9, messages=USER) as stream:
        streamed = stream.get_final_message().usage
    for usage in (messages.create(model="agent", max_tokens=9, messages=USER).usage, streamed):
        assert (usage.input_tokens, usage.cache_read_input_tokens, usage.cache_creation_input_tokens) == (100, 30, 10)
        assert (usage.cache_creation.ephemeral_5m_input_tokens, usage.cache_creation.ephemeral_1h_input_tokens) == (
            7,
            3,
        )
        assert usage.output_tokens == 25


def test_streamed_openai_usage_comes_only_when_asked_for(chat):
    plain = list(chat.create(model="agent", messages=USER, stream=True))
    asked = list(chat.create(model="agent", messages=USER, stream=True, stream_options={"include_usage": True}))
    assert all(chunk.usage is None for chunk in plain)
    assert asked[-1].choices == []
    assert asked[-1].usage.total_tokens == 155


def test_usage_that_is_null_in_the_script_is_never_sent(chat, messages):
    assert chat.create(model="silent-usage", messages=USER).usage is None
    streamed = list(
        chat.create(model="silent-usage", messages=USER, stream=True, stream_options={"include_usage": True})
    )
    assert all(chunk.usage is None for chunk in streamed)
    raw = messages.with_raw_response.create(model="silent-usage", max_tokens=9, messages=USER)
    assert "usage" not in json.loads(raw.text() if callable(raw.text) else raw.text)


def test_interleaved_calls_come_in_turns_and_add_up(chat):
    parts = [c.choices[0].delta.tool_calls for c in chat.create(model="mixed", messages=USER, stream=True)]
    order = [p[0].index for p in parts if p]
    assert order != sorted(order)
    whole = {n: "".join(p[0].function.arguments for p in parts if p and p[0].index == n) for n in (0, 1)}
    assert {n: json.loads(text) for n, text in whole.items()} == {0: {"x": 1}, 1: {"y": 2}}


def test_broken_arguments_are_sent_as_they_stand(chat, provider):
    assert chat.create(model="broken", messages=USER).choices[0].message.tool_calls[0].function.arguments == '{"x":'
    answer = post(
        provider,
        "/v1/messages",
        {"x-api-key": "k", "anthropic-version": "1"},
        model="broken",
        max_tokens=1,
        messages=USER,
    )
    assert answer.json()["content"][0]["input"] == '{"x":'


def test_a_custom_call_has_an_input_instead_of_arguments(chat, provider):
    call = post(provider, model="custom", messages=USER).json()["choices"][0]["message"]["tool_calls"][0]
    assert call["type"] == "custom"
    assert call["custom"] == {"name": "sh", "input": "ls -l"}
    parts = [c.choices[0].delta.tool_calls for c in chat.create(model="custom", messages=USER, stream=True)]
    assert "".join(p[0].model_extra["custom"]["input"] for p in parts if p) == "ls -l"


def test_thinking_comes_before_the_text_with_its_signature(messages):
    with messages.stream(model="thinks", max_tokens=9, messages=USER) as stream:
        streamed = stream.get_final_message().content
    for content in (streamed, messages.create(model="thinks", max_tokens=9, messages=USER).content):
        assert [b.type for b in content] == ["thinking", "text"]
        assert (content[0].thinking, content[1].text) == ("hm, hm", "yes")
        assert content[0].signature


def test_a_history_with_results_gets_the_next_turn(chat, messages):
    said = chat.create(model="agent", messages=USER).choices[0].message
    results = [{"role": "tool", "tool_call_id": c.id, "content": "ok"} for c in said.tool_calls]
    assert chat.create(model="agent", messages=[*USER, said, *results]).choices[0].message.content == "done"
    first = messages.create(model="agent", max_tokens=9, messages=USER).content
    blocks = [{"type": "tool_result", "tool_use_id": b.id, "content": "ok"} for b in first if b.type == "tool_use"]
    history = [*USER, {"role": "assistant", "content": first}, {"role": "user", "content": blocks}]
    assert messages.create(model="agent", max_tokens=9, messages=history).content[0].text == "done"


CALL = {"id": "c1", "type": "function", "function": {"name": "f", "arguments": "{}"}}
BROKEN_CHATS = [
    [*USER, {"role": "assistant", "tool_calls": [CALL]}],
    [*USER, {"role": "assistant", "tool_calls": [CALL]}, *USER],
    [*USER, {"role": "tool", "tool_call_id": "c1", "content": "x"}],
    [*USER, {"role": "assistant", "tool_calls": [CALL]}, {"role": "tool", "tool_call_id": "c2", "content": "x"}],
    [],
    "hello",
    [1],
]
USE = {"role": "assistant", "content": [{"type": "tool_use", "id": "t1", "name": "f", "input": {}}]}
BROKEN_MESSAGES = [
    [*USER, USE],
    [*USER, USE, *USER],
    [*USER, {"role": "user", "content": [{"type": "tool_result", "tool_use_id": "t1", "content": "x"}]}],
    [*USER, USE, {"role": "user", "content": [{"type": "tool_result", "tool_use_id": "t2", "content": "x"}]}],
    [],
    "hello",
]


@pytest.mark.parametrize("history", BROKEN_CHATS)
def test_openai_refuses_a_history_that_does_not_add_up(chat, history):
    with pytest.raises(openai.BadRequestError):
        chat.create(model="agent", messages=history)


@pytest.mark.parametrize("history", BROKEN_MESSAGES)
def test_anthropic_refuses_a_history_that_does_not_add_up(messages, history):
    with pytest.raises(anthropic.BadRequestError):
        messages.create(model="agent", max_tokens=9, messages=history)


def test_what_a_provider_requires_is_required(provider):
    version = {"anthropic-version": "2026-10-21"}
    assert post(provider, headers={"x": "y"}, model="agent", messages=USER).status_code == 401
    assert post(provider, messages=USER).status_code == 400
    assert post(provider, "/v1/messages", version, model="agent", max_tokens=1, messages=USER).status_code == 401
    assert (
        post(provider, "/v1/messages", {"x-api-key": "k"}, model="agent", max_tokens=1, messages=USER).status_code
        == 400
    )
    assert post(provider, "/v1/messages", version | {"x-api-key": "k"}, model="agent", messages=USER).status_code == 400
    assert post(provider, "/v1/messages", version | {"x-api-key": "k"}, messages=USER).status_code == 400
    assert (
        httpx.post(
            provider.base_url + "/chat/completions", content=b"{", headers={"authorization": "Bearer k"}
        ).status_code
        == 400
    )


def test_a_model_in_no_scene_is_not_found(chat, messages):
    with pytest.raises(openai.NotFoundError, match="no scene"):
        chat.create(model="nobody", messages=USER)
    with pytest.raises(anthropic.NotFoundError, match="no scene"):
        messages.create(model="nobody", max_tokens=9, messages=USER)


def test_a_scripted_error_has_the_providers_form_and_the_scripted_headers(chat, messages):
    with pytest.raises(openai.RateLimitError, match="slow down") as refused:
        chat.create(model="slow-down", messages=USER, stream=True)
    assert refused.value.response.headers["retry-after"] == "2"
    with pytest.raises(anthropic.RateLimitError, match="slow down"):
        messages.create(model="slow-down", max_tokens=9, messages=USER)


def received_before_the_break(provider, **body) -> tuple[bytes, Exception | None]:
    got = b""
    request = {"messages": USER, "stream": True, **body}
    try:
        with httpx.stream(
            "POST",
            provider.base_url + "/chat/completions",
            headers={"authorization": "Bearer k"},
            json=request,
            timeout=3,
        ) as answer:
            for piece in answer.iter_raw():
                got += piece
    except httpx.TransportError as error:
        return got, error
    return got, None


@pytest.mark.parametrize("stream", [True, False])
def test_a_cut_is_a_reset_after_exactly_so_many_bytes(provider, stream):
    got, error = received_before_the_break(provider, model="cut", stream=stream)
    assert len(got) == 100
    assert isinstance(error, httpx.ReadError)


def test_a_cut_after_nothing_comes_before_the_head(provider):
    got, error = received_before_the_break(provider, model="refused")
    assert (got, type(error)) == (b"", httpx.ReadError)


def test_a_stall_leaves_the_connection_open_and_silent(provider):
    got, error = received_before_the_break(provider, model="stalled")
    assert (len(got), type(error)) == (100, httpx.ReadTimeout)


QUIET = """
rehearsal: 1
scenes:
- {model: late-cut, turns: [{text: "a text of some length", cut_after: 100000}]}
- {model: cut, turns: [{text: "a text of some length", cut_after: 100}]}
- {model: late-stall, turns: [{text: "a text of some length", stall_after: 100000}]}
- {model: stalled, turns: [{text: "a text of some length", stall_after: 100}]}
- {model: long, turns: [{text: "%s", chunk: 1}]}
""" % ("a" * 5000)


def asked(model: str, **more: object) -> bytes:
    body = json.dumps({"model": model, "messages": USER} | more).encode()
    head = f"POST /v1/chat/completions HTTP/1.1\r\nhost: x\r\nauthorization: Bearer k\r\ncontent-length: {len(body)}\r\n\r\n"
    return head.encode() + body


@pytest.mark.parametrize("leaves", [True, False])
@pytest.mark.parametrize(("model", "times"), [("late-cut", 1), ("late-cut", 2), ("cut", 1), ("late-stall", 2), ("stalled", 1)])
def test_broken_off_answers_are_no_errors_of_the_rehearsal_whoever_leaves_first(capfd, model, times, leaves):
    with RunningRehearsal(QUIET) as own:
        address = own.url.removeprefix("http://").split(":")
        with socket.create_connection(address) as client:
            client.sendall(asked(model) * times)
            client.recv(100)
            if not leaves:
                time.sleep(0.2)
                own.__exit__(None, None, None)
        time.sleep(0.2)
    assert capfd.readouterr().err == ""


def test_a_client_that_leaves_while_it_asks_is_no_error_of_the_rehearsal(capfd):
    with RunningRehearsal(QUIET) as own:
        with socket.create_connection(own.url.removeprefix("http://").split(":")) as client:
            client.sendall(asked("stalled")[:-5])
            time.sleep(0.1)
        time.sleep(0.1)
    assert capfd.readouterr().err == ""


def test_a_client_that_leaves_a_long_stream_ends_it_without_words(capfd, caplog):
    with RunningRehearsal(QUIET) as own:
        with socket.create_connection(own.url.removeprefix("http://").split(":")) as client:
            client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            client.sendall(asked("long", stream=True))
            client.recv(100)
        time.sleep(0.3)
    assert (capfd.readouterr().err, caplog.messages) == ("", [])


def test_raw_bytes_are_sent_as_they_stand(provider):
    got, error = received_before_the_break(provider, model="raw")
    assert (got, error) == (b"data: no json\n\n", None)
    dripped = post(provider, model="drip", messages=USER, stream=True)
    assert (dripped.content, dripped.headers["content-type"]) == (b"abcdef", "text/x-drip")


def test_the_log_tells_what_arrived_and_forgets_on_reset(provider, chat):
    chat.create(model="agent", messages=USER, extra_headers={"X-Session-Id": "s1"}, extra_query={"q": "1"})
    [mine] = provider.requests()
    assert (mine.method, mine.path, mine.query) == ("POST", "/v1/chat/completions", "q=1")
    assert mine.headers["x-session-id"] == "s1"
    assert mine.body == {"model": "agent", "messages": USER}
    assert httpx.get(provider.url + "/_rehearsal/requests").json()[0]["body"] == mine.body
    assert httpx.post(provider.url + "/_rehearsal/reset").status_code == 200
    assert provider.requests() == []


def test_unknown_paths_are_noted_and_not_found(provider):
    assert httpx.get(provider.url + "/v1/embeddings").status_code == 404
    assert [r.path for r in provider.requests()] == ["/v1/embeddings"]


CALLED = {"functionCall": {"name": "read_file", "args": {"path": "Größe 📎.txt"}}}
ANSWERED = {"functionResponse": {"name": "read_file", "response": {"result": "ok"}}}


@pytest.mark.parametrize("pieces", [[["a"], [CALLED], [""]], [[CALLED, ""]], [[CALLED], [""], [""]]])
def test_a_gemini_turn_in_several_contents_is_one_turn(provider, pieces):
    given = [{"role": "model", "parts": [{"text": p} if isinstance(p, str) else p for p in piece]} for piece in pieces]
    user = {"role": "user", "parts": [{"text": "hello"}]}
    path, headers = "/v1beta/models/agent:generateContent", {"x-goog-api-key": "any"}
    done = post(provider, path, headers, contents=[user, *given, {"role": "user", "parts": [ANSWERED]}])
    assert done.json()["candidates"][0]["content"]["parts"] == [{"text": "done"}]
    for results in ([{"text": "no"}], [ANSWERED, ANSWERED]):
        refused = post(provider, path, headers, contents=[user, *given, {"role": "user", "parts": results}])
        assert (refused.status_code, refused.json()["error"]["status"]) == (400, "INVALID_ARGUMENT")


def test_anthropic_counts_tokens_of_what_it_would_answer(messages, provider):
    asked = {"model": "agent", "messages": USER}
    few = messages.count_tokens(**asked).input_tokens
    assert 0 < few < messages.count_tokens(**asked, system="Be kind. " * 100).input_tokens
    assert [one.path for one in provider.requests()] == ["/v1/messages/count_tokens"] * 2
    with pytest.raises(anthropic.BadRequestError, match="at least one message"):
        messages.count_tokens(**(asked | {"messages": []}))


def test_models_are_listed_in_the_form_of_who_asks(provider):
    plain = httpx.get(provider.base_url + "/models").json()
    named = httpx.get(provider.base_url + "/models", headers={"anthropic-version": "1"}).json()
    assert plain["object"] == "list"
    assert [m["id"] for m in plain["data"]] == [m["id"] for m in named["data"]]
    assert named["data"][0]["type"] == "model"


def test_a_script_can_be_replaced_while_it_runs():
    with RunningRehearsal(SCRIPT) as provider:
        new = "rehearsal: 1\nscenes:\n- turns: [{text: new}]\n"
        assert httpx.post(provider.url + "/_rehearsal/script", content=new).status_code == 200
        assert post(provider, model="any", messages=USER).json()["choices"][0]["message"]["content"] == "new"
        wrong = httpx.post(provider.url + "/_rehearsal/script", content="rehearsal: 1\nscenez: []\n")
        assert (wrong.status_code, "scenes" in wrong.text) == (400, True)
        assert post(provider, model="any", messages=USER).json()["choices"][0]["message"]["content"] == "new"
        provider.play(SCRIPT)
        assert post(provider, model="any", messages=USER).status_code == 404


def test_a_taken_port_is_told():
    with socket.create_server(("127.0.0.1", 0)) as taken, pytest.raises(StartError, match="cannot listen"):
        RunningRehearsal(SCRIPT, port=taken.getsockname()[1]).__enter__()


def test_answers_of_two_requests_under_way_do_not_wait_for_each_other():
    script = "rehearsal: 1\nscenes:\n- {model: slow, turns: [{stall_after: 1, text: a}]}\n- turns: [{text: quick}]\n"
    with RunningRehearsal(script) as provider:
        stalled = threading.Thread(target=received_before_the_break, args=(provider,), kwargs={"model": "slow"})
        stalled.start()
        assert post(provider, model="other", messages=USER).status_code == 200
        stalled.join()


@pytest.mark.parametrize(
    "command", [["-m", "gateway.rehearsal", "--script"], ["-m", "gateway.cli.main", "rehearse"]], ids=["module", "verb"]
)
def test_as_a_process_it_prints_its_address_and_stops_at_the_end_of_input(tmp_path: Path, command):
    (tmp_path / "s.yaml").write_text(SCRIPT)
    run = subprocess.Popen(
        [sys.executable, *command, str(tmp_path / "s.yaml"), "--port", "0", "--watch-stdin"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert run.stdout is not None
    url = run.stdout.readline().split()[1]
    answer = httpx.post(
        f"{url}/v1/chat/completions", headers={"authorization": "Bearer k"}, json={"model": "agent", "messages": USER}
    )
    assert answer.status_code == 200
    assert run.stdin is not None
    run.stdin.close()
    assert run.wait(timeout=20) == 0
    run.stdout.close()


def test_a_process_with_a_bad_script_says_where_and_exits_with_3(tmp_path: Path):
    (tmp_path / "s.yaml").write_text("rehearsal: 1\nscenes:\n- turns: []\n")
    done = subprocess.run(
        [sys.executable, "-m", "gateway.rehearsal", "--script", str(tmp_path / "s.yaml")],
        capture_output=True,
        text=True,
    )
    assert done.returncode == 3
    assert "s.yaml:3:" in done.stderr


def test_a_delay_comes_before_the_head():
    with RunningRehearsal("rehearsal: 1\nscenes:\n- turns: [{text: a, delay_ms: 300}]\n") as provider:
        began = time.monotonic()
        post(provider, model="m", messages=USER)
        assert time.monotonic() - began >= 0.3
