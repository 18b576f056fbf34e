"""The gateway's own secrets, cut over the events of a stream: they never leave, and streams without them are not touched."""

import itertools
import json

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.dialects import DIALECTS
from gateway.dialects.events import UNTOLD, Limits
from gateway.holdback import Judging, Observing, Send
from gateway.screening.keys import KeyWatch
from gateway.trace.redact import PROVIDER_KEY, VIRTUAL_KEY, Redactor

KEY = "sk-made-up-" + "Zz9Yy8Xx7Ww6Vv5"
OWN = "th_abcd1234_" + "A1b2C3d4E5f6G7h8I9j0K1l2M3n4O5p6Q7r8S9t0U1v"
REDACTOR = Redactor([KEY, KEY[:20] + "-another-one"])


def sse(tree, name=None):
    return (f"event: {name}\n" if name else "").encode() + b"data: " + json.dumps(tree, separators=(",", ":")).encode() + b"\n\n"


def chat(pieces, key="content"):
    def chunk(delta, finish=None):
        choice = {"index": 0, "delta": delta, "finish_reason": finish}
        return sse({"id": "c", "object": "x", "created": 1, "model": "m", "choices": [choice]})

    return [chunk({"role": "assistant", "content": ""}), *(chunk({key: p}) for p in pieces[:-1]), chunk({key: pieces[-1]}, "stop")]


def messages(pieces, kind="text"):
    message = {"id": "m", "type": "message", "role": "assistant", "model": "m", "content": [], "stop_reason": None, "usage": {}}
    events = [{"type": "message_start", "message": message}]
    events.append({"type": "content_block_start", "index": 0, "content_block": {"type": kind, kind: pieces[0]}})
    events += [{"type": "content_block_delta", "index": 0, "delta": {"type": f"{kind}_delta", kind: p}} for p in pieces[1:]]
    events.append({"type": "content_block_stop", "index": 0})
    events.append({"type": "message_delta", "delta": {"stop_reason": "end_turn", "stop_sequence": None}, "usage": {}})
    return [sse(event, event["type"]) for event in [*events, {"type": "message_stop"}]]


def responses(pieces, kind="message"):
    text, about = "".join(pieces), {"item_id": "i", "output_index": 0, "content_index": 0}
    stem = "output_text" if kind == "message" else "reasoning_text"
    part = {"type": stem, "text": text} | ({"annotations": [], "logprobs": []} if kind == "message" else {})
    item = {"type": kind, "id": "i", "content": [part]}
    item |= {"role": "assistant", "status": "completed"} if kind == "message" else {"summary": []}
    response = {"id": "r", "object": "response", "model": "m", "output": []}
    events = [
        {"type": "response.created", "response": response | {"status": "in_progress"}},
        {"type": "response.output_item.added", "output_index": 0, "item": item | {"content": []}},
        {"type": "response.content_part.added", **about, "part": part | {"text": ""}},
        *({"type": f"response.{stem}.delta", **about, "delta": p} for p in pieces),
        {"type": "response.output_item.done", "output_index": 0, "item": item},
        {"type": "response.completed", "response": response | {"status": "completed", "output": [item]}},
    ]
    return [sse({**event, "sequence_number": n}, event["type"]) for n, event in enumerate(events)]


def shell_output(pieces):
    """What a command in the provider's container wrote."""
    done = {"type": "shell_call_output", "id": "i", "call_id": "c", "output": [{"stdout": "".join(pieces), "stderr": ""}]}
    about = {"item_id": "i", "output_index": 0, "command_index": 0}
    response = {"id": "r", "object": "response", "model": "m", "output": []}
    events = [
        {"type": "response.created", "response": response | {"status": "in_progress"}},
        {"type": "response.output_item.added", "output_index": 0, "item": done | {"output": []}},
        *({"type": "response.shell_call_output_content.delta", **about, "delta": {"stdout": p}} for p in pieces),
        {"type": "response.shell_call_output_content.done", **about, "output": done["output"]},
        {"type": "response.output_item.done", "output_index": 0, "item": done},
        {"type": "response.completed", "response": response | {"status": "completed", "output": [done]}},
    ]
    return [sse({**event, "sequence_number": n}, event["type"]) for n, event in enumerate(events)]


def gemini(pieces, **part):
    def chunk(text, **more):
        content = {"parts": [{"text": text, **part}], "role": "model"}
        return sse({"candidates": [{"content": content, "index": 0, **more}], "responseId": "g"})

    return [*(chunk(p) for p in pieces[:-1]), chunk(pieces[-1], finishReason="STOP")]


WIRES = {
    "chat": ("openai.chat", "/v1/chat/completions", chat),
    "chat reasoning": ("openai.chat", "/v1/chat/completions", lambda pieces: chat(pieces, "reasoning")),
    "messages": ("anthropic.messages", "/v1/messages", messages),
    "messages thinking": ("anthropic.messages", "/v1/messages", lambda pieces: messages(pieces, "thinking")),
    "responses": ("openai.responses", "/v1/responses", responses),
    "responses reasoning": ("openai.responses", "/v1/responses", lambda pieces: responses(pieces, "reasoning")),
    "responses shell": ("openai.responses", "/v1/responses", shell_output),
    "gemini": ("google.gemini", "/v1beta/models/m:streamGenerateContent", gemini),
    "gemini thought": ("google.gemini", "/v1beta/models/m:streamGenerateContent", lambda pieces: gemini(pieces, thought=True)),
}
ASKED = {
    "openai.chat": {"model": "m", "stream": True, "messages": [{"role": "user", "content": "x"}]},
    "anthropic.messages": {"model": "m", "stream": True, "max_tokens": 9, "messages": [{"role": "user", "content": "x"}]},
    "openai.responses": {
        "model": "m", "stream": True, "input": "x", "tools": [{"type": "shell", "environment": {"type": "container_auto"}}],
    },
    "google.gemini": {"contents": [{"role": "user", "parts": [{"text": "x"}]}]},
}


def left_of(wire, pieces, hold=Judging, always=False):
    name, path, build = WIRES[wire]
    dialect = DIALECTS[name]
    endpoint = next(one for one in dialect.endpoints(path) if one.method == "POST")
    endpoint = msgspec.structs.replace(endpoint, query="alt=sse")
    request = dialect.decode_request(json.dumps(ASKED[name]).encode(), {}, frozenset(), endpoint)
    holding = hold(dialect.stream(request, Limits(), enforcing=hold is Judging))
    watch, flow = KeyWatch(REDACTOR, dialect.TEXTS.streamed, always=always), REDACTOR.flow()
    sent = build(pieces)
    steps = (step for piece in sent for step in holding.feed(piece))
    left = [flow.piece(watch.through(step.data, step.said)) for step in steps if isinstance(step, Send)]
    return b"".join([*left, flow.piece(watch.settle()), flow.last(b"")]), b"".join(sent)


def words(data):
    """Every string of the answer that is long, pieces of running texts joined by what stands before them on their lines."""
    found = {}
    for line in data.split(b"\n"):
        if line.startswith(b"data: {"):
            for path, value in strings(json.loads(line[6:]), ()):
                found[path] = found.get(path, "") + value
    return "".join(found.values())


def strings(node, path):
    if isinstance(node, str):
        yield path, node
    elif isinstance(node, dict | list):
        for key, value in node.items() if isinstance(node, dict) else enumerate(node):
            yield from strings(value, (*path, key))


def cut(text, places):
    bounds = [0, *sorted({place % (len(text) + 1) for place in places}), len(text)]
    return [text[a:b] for a, b in itertools.pairwise(bounds)]


@pytest.mark.parametrize("wire", WIRES)
@pytest.mark.parametrize("secret", [KEY, OWN])
@pytest.mark.parametrize("hold", [Judging, Observing])
def test_a_key_cut_at_every_point_never_leaves(wire, secret, hold):
    text = f"It is {secret}, with words behind it."
    at = text.index(secret)
    for first in range(at, at + len(secret) + 1, 1 if hold is Judging else 7):
        left, _ = left_of(wire, [text[:first], text[first : first + 3], text[first + 3 :]], hold)
        said = words(left)
        assert secret[4:] not in said
        assert (PROVIDER_KEY if secret == KEY else VIRTUAL_KEY) in said
        assert "words behind it." in said


@pytest.mark.unmeasured
@pytest.mark.parametrize("wire", WIRES)
@given(places=st.lists(st.integers(0, 200), max_size=40), always=st.booleans())
def test_whatever_the_deltas_no_more_than_three_characters_of_a_key_leave(wire, places, always):
    left, _ = left_of(wire, cut(f"One {KEY} two sk-made th_ {OWN} sk-made-up-Zz9 end", places) or [""], always=always)
    assert KEY[4:] not in words(left)
    assert OWN[4:] not in words(left)
    assert "end" in words(left)


@pytest.mark.parametrize("wire", WIRES)
@given(places=st.lists(st.integers(0, 200), max_size=40))
def test_a_stream_without_one_leaves_to_the_byte(wire, places):
    left, came = left_of(wire, cut("A path_to the 4th_ thing; sk-made is no key, nor is th_abcd1234_short. The end", places) or [""])
    assert left == came


def test_words_wait_only_while_a_key_may_have_begun():
    watch = KeyWatch(REDACTOR, DIALECTS["openai.chat"].TEXTS.streamed)
    pieces = ["a path_a", "bc ", "words"]
    first, second, third = chat([*pieces, ""])[1:4]
    assert watch.through(first, (0, {"content": pieces[0]})) == b""
    assert watch.through(second, (0, {"content": pieces[1]})) == first + second
    assert watch.through(third, (0, {"content": pieces[2]})) == third


def test_who_observes_passes_on_what_nobody_can_read():
    watch = KeyWatch(REDACTOR, DIALECTS["openai.chat"].TEXTS.streamed)
    assert watch.through(b"data: {]\n\n", UNTOLD) == b"data: {]\n\n"
    assert watch.settle() == b""
