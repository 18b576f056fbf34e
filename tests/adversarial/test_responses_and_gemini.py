"""Rows C and D in the dialects with forms of their own: the copies of a call in Responses, the parts and candidates of Gemini.

Rows are (id, what it is, `build(wire, kit, stream)` → (what the provider sends, what must happen) or None), as in the other files.
"""

from __future__ import annotations

import json
from typing import Any

import pytest

PARIS, SHADOW = '{"city": "Paris"}', '{"path": "/srv/a"}'


def good(k: Any, **more: Any) -> Any:
    return k.call("get_weather", PARIS, id="call_a", **more)


def bad(k: Any, **more: Any) -> Any:
    return k.call("delete_file", SHADOW, id="call_b", **more)


def streamed(pieces: Any, required: Any) -> Any:
    """A row that exists as a stream."""
    return lambda w, k, stream: (pieces(w, k), required(k)) if stream else None


def anyhow(pieces: Any, whole: Any, required: Any) -> Any:
    return lambda w, k, stream: (pieces(w, k) if stream else whole(w, k), required(k))


def beside_granted(k: Any) -> Any:
    return k.block("rule", released=(k.good,))


def none_passes(*codes: str) -> Any:
    return lambda k: k.block(*codes)


def broken(*codes: str) -> Any:
    return lambda k: k.closes(*codes)


# Responses: one call, told up to five times


def interleaved(w: Any, k: Any) -> list[bytes]:
    begun = [*w.opening(), w.begun(good(k)), w.begun(bad(k))]
    pieces = [w.piece(at, text[i]) for i in range(len(SHADOW)) for at, text in ((1, PARIS), (2, SHADOW)) if i < len(text)]
    return [*begun, *pieces, w.done(w.entry(bad(k)), 2), w.done(w.entry(good(k)), 1), *w.closing()]


def told(
    added: Any = None, deltas: str = PARIS, copy: Any = PARIS, done: Any = None, final: Any = ..., name: Any = None
) -> Any:
    """A granted call, one copy of which says something else. `None` is the granted call itself."""

    def pieces(w: Any, k: Any) -> list[bytes]:
        item = w.entry(good(k))
        begun = item | {"status": "in_progress", "arguments": ""}
        events = [*w.opening(), w.added(begun | (added or {})), w.piece(1, deltas)]
        if copy is not None:
            events.append(w.copy(1, copy, **({"name": name} if name else {})))
        if done is not False:
            events.append(w.done(item | (done or {})))
        said = w.items[0]
        listed = [said, item] if final is ... else final(said, item, w.entry(bad(k)))
        return [*events, *w.closing(output=listed)]

    return pieces


def placed(at: Any) -> Any:
    """An item that begins in a place that is none."""
    return lambda w, k: [*w.opening(), w.added(w.entry(bad(k)), at), w.piece(at, SHADOW), *w.closing()]


def piece_at(at: Any) -> Any:
    return lambda w, k: [*w.opening(), w.begun(good(k)), w.piece(at, PARIS), w.done(w.entry(good(k))), *w.closing()]


def early(*texts: str) -> Any:
    def pieces(w: Any, k: Any) -> list[bytes]:
        call = k.call("list_all", "".join(texts))
        return [*w.opening(), w.begun(call), *(w.piece(1, text) for text in texts), w.done(w.entry(call)), *w.closing()]

    return pieces


def items(*listed: Any) -> tuple[Any, Any]:
    """The same items, streamed and whole."""
    return lambda w, k: [*w.opening(), *w.other(*listed), *w.closing()], lambda w, k: w.whole(blocks=listed)


def of_client(kind: str, **fields: Any) -> dict[str, Any]:
    return {"type": kind, "id": "i1", "call_id": "call_x", "status": "completed"} | fields


SHELL = {"commands": ["rm -rf /"], "timeout_ms": None, "max_output_length": None}
LOCAL_SHELL = {"type": "exec", "command": ["rm", "-rf", "/"], "env": {}}
PATCH = {"type": "delete_file", "path": "/srv/a"}
CLICK = {"type": "click", "x": 1, "y": 1, "button": "left"}
RUN_BY_CLIENT = [
    of_client("shell_call", action=SHELL),
    of_client("local_shell_call", action=LOCAL_SHELL),
    of_client("apply_patch_call", operation=PATCH),
    of_client("computer_call", action=CLICK, pending_safety_checks=[]),
    of_client("tool_search_call", execution="client", arguments={"query": "x"}),
    {"type": "mcp_approval_request", "id": "mcpr_1", "server_label": "x", "name": "delete_file", "arguments": "{}"},
]
RUN_UPSTREAM = [
    {"type": "mcp_call", "id": "mcp_1", "server_label": "x", "name": "delete_file", "arguments": "{}", "output": "done"},
    {"type": "mcp_list_tools", "id": "mcpl_1", "server_label": "x", "tools": []},
    {"type": "web_search_call", "id": "ws_1", "status": "completed", "action": {"type": "search", "query": "secret"}},
    {"type": "file_search_call", "id": "fs_1", "status": "completed", "queries": ["secret"], "results": None},
    {"type": "code_interpreter_call", "id": "ci_1", "status": "completed", "code": "1", "container_id": "c", "outputs": []},
    {"type": "image_generation_call", "id": "ig_1", "status": "completed", "result": "aGk="},
]
CUSTOM = {"type": "custom_tool_call", "id": "ct_1", "call_id": "call_x", "status": "completed"}
REASONING = {"type": "reasoning", "id": "rs_1", "summary": [{"type": "summary_text", "text": "hm"}]}
REFUSAL = {"type": "message", "id": "msg_2", "status": "completed", "role": "assistant", "content": [{"type": "refusal", "refusal": "no"}]}


def odd_item(kind: Any) -> dict[str, Any]:
    return {"type": kind, "id": "x", "call_id": "call_x", "name": "delete_file", "arguments": SHADOW, "status": "completed"}


def with_item(found: Any, required: Any) -> Any:
    pieces, whole = items(found)
    return anyhow(pieces, whole, required)


def in_message(part: Any) -> dict[str, Any]:
    return {"type": "message", "id": "msg_2", "status": "completed", "role": "assistant", "content": [part]}


def cut(at: int) -> Any:
    return lambda w, k: w.frames(good(k))[:at]


def unfinished(status: str) -> Any:
    """The answer stops for some other reason while a call was being proposed."""

    def build(w: Any, k: Any, stream: bool) -> Any:
        reason = {"incomplete_details": {"reason": "max_output_tokens"}}
        if stream:
            return [*w.opening(), *w.middle(good(k)), *w.closing(status, **reason)], k.closes("truncated")
        return w.whole(good(k), finish=status, **reason), k.closes("truncated")

    return build


RESPONSES: list[tuple[str, str, Any]] = [
    ("C4", "interleaved byte by byte", streamed(interleaved, beside_granted)),
    *[("C6", f"an item at {at!r}", streamed(placed(at), broken("protocol"))) for at in (-1, 0, 7, 2**31, "1", 1.0, True, None, [])],
    *[("C6", f"a piece at {at!r}", streamed(piece_at(at), broken("protocol"))) for at in (-1, 0, 7, "1", 1.0, True, None, [])],
    ("C7", "another name in a copy", streamed(told(name="delete_file"), none_passes("copies_differ"))),
    ("C7", "another name at the end", streamed(told(done={"name": "delete_file"}), none_passes("copies_differ"))),
    ("C8", "arguments at the start", streamed(told(added={"arguments": PARIS}, deltas=""), lambda k: k.passes(k.good))),
    ("C8", "other arguments at the start", streamed(told(added={"arguments": '{"city": "1"}'}), none_passes("copies_differ"))),
    ("C9", "a call after the end", streamed(lambda w, k: [*w.frames(), *w.middle(bad(k))], broken("protocol"))),
    ("C9", "the end twice", streamed(lambda w, k: [*w.frames(), *w.closing()], broken("protocol"))),
    ("C9", "an item ends twice", streamed(lambda w, k: [*w.opening(), *w.middle(good(k)), w.done(w.entry(bad(k))), *w.closing()], broken("protocol"))),
    *[("C10", f"{-at} events before the end", streamed(cut(at), broken("upstream_reset"))) for at in (-1, -2, -3, -4, -5)],
    ("C10", "an incomplete response", unfinished("incomplete")),
    ("C10", "a cancelled response", lambda w, k, s: None if s else unfinished("cancelled")(w, k, s)),
    ("C10", "a call that never ended", streamed(told(done=False, final=lambda said, item, _: [said]), none_passes("truncated"))),
    ("C10", "a call that says it is not whole", with_item(of_client("function_call", name="get_weather", arguments=PARIS, status="incomplete"), none_passes("truncated"))),
    ("C11", "{} and then more", streamed(early("{}", '{"path": "/etc/shadow"}'), none_passes("trailing_data"))),
    ("C11", "{} and then a space", streamed(early("{}", " "), lambda k: k.passes(("list_all", {})))),
    ("C12", "other deltas", streamed(told(deltas=SHADOW), none_passes("copies_differ"))),
    ("C12", "other arguments done", streamed(told(copy=SHADOW), none_passes("copies_differ"))),
    ("C12", "another item done", streamed(told(done={"arguments": SHADOW}), none_passes("copies_differ"))),
    ("C12", "another call id done", streamed(told(done={"call_id": "call_z"}), none_passes("copies_differ"))),
    ("C12", "another name at the start", streamed(told(added={"name": "delete_file"}), none_passes("copies_differ"))),
    ("C12", "another call in the last event", streamed(told(final=lambda said, item, other: [said, other]), none_passes("copies_differ"))),
    ("C12", "one more call in the last event", streamed(told(final=lambda said, item, other: [said, item, other]), lambda k: k.block("copies_differ", released=(k.good,)))),
    ("C12", "no call in the last event", streamed(told(final=lambda said, item, _: [said]), none_passes("copies_differ"))),
    ("C12", "a call in the place of words", streamed(told(final=lambda said, item, other: [other, item]), lambda k: k.block("copies_differ", released=(k.good,)))),
    ("C12", "a call before anything began", streamed(lambda w, k: [w.event("response.created", response=w.head | {"status": "in_progress", "output": [w.entry(bad(k))]}), *w.frames()[1:]], none_passes("copies_differ"))),
    *[("C13", f"an item of type {kind!r}", with_item(odd_item(kind), none_passes("unknown_type"))) for kind in ("function_call_v2", "FUNCTION_CALL", "tool_use", "", 7, None)],
    ("C13", "a part of unknown type", with_item(in_message({"type": "tool_use", "name": "delete_file", "input": {}}), none_passes("unknown_type"))),
    ("C13", "text that is an object", with_item(in_message({"type": "output_text", "text": {"name": "delete_file", "arguments": "{}"}}), none_passes("unknown_type"))),
    ("C13", "an event of unknown type", streamed(lambda w, k: [*w.opening(), w.event("response.tool_call_v2.done", item=odd_item("function_call")), *w.closing()], none_passes("unknown_type"))),
    *[("D3", f"a custom call of {name}", with_item(CUSTOM | {"name": name, "input": "rm -rf /"}, none_passes("rule"))) for name in ("run_shell", "note")],
    ("D3", "a granted custom call", with_item(CUSTOM | {"name": "note", "input": "hello"}, lambda k: k.passes(("note", "hello")))),
    ("D3", "a custom call dressed as a function", with_item(CUSTOM | {"name": "note", "arguments": "{}", "input": {"x": 1}}, none_passes("type"))),
    *[("D4", f"a {found['type']}", with_item(found, none_passes("undeclared_tool"))) for found in RUN_BY_CLIENT],
    *[("D5", f"a {found['type']} that nobody asked for", with_item(found, none_passes("executed_upstream"))) for found in RUN_UPSTREAM],
    *[("D6", f"{found['type']} beside a call", lambda w, k, s, found=found: ([*w.opening(), *w.other(found), *w.middle(good(k)), *w.closing()] if s else w.whole(good(k), blocks=[found]), k.passes(k.good))) for found in (REASONING, REFUSAL)],
]  # fmt: skip


# Gemini: calls come whole, in parts of candidates


def parts(*listed: Any) -> tuple[Any, Any]:
    """The same parts, in one event and in a whole answer."""
    return lambda w, k: [*w.opening(), w.chunk(*listed), *w.closing()], lambda w, k: w.whole(blocks=listed)


def with_parts(required: Any, *listed: Any) -> Any:
    pieces, whole = parts(*listed)
    return anyhow(pieces, whole, required)


def in_candidate(index: Any) -> Any:
    """A denied call in another candidate than the first."""

    def build(w: Any, k: Any, stream: bool) -> Any:
        second = w.candidate([{"text": "x"}, w.entry(bad(k))], "STOP", index)
        if not stream:
            return w.whole(candidates=[w.candidate([w.entry(good(k))], "STOP"), second]), beside_granted(k)
        event = w.chunk({"text": ""}, candidates=[second])
        return [*w.opening(), *w.middle(good(k)), event, *w.closing()], beside_granted(k)

    return build


def odd_candidate(index: Any) -> Any:
    return lambda w, k: [*w.opening(), w.chunk(w.entry(bad(k)), index=index), *w.closing()]


def stopped_by(reason: str) -> Any:
    """A limit that ends the answer in the event of a call, or behind it."""

    def build(w: Any, k: Any, stream: bool) -> Any:
        if stream:
            return [*w.opening(), *w.middle(good(k)), *w.closing(reason)], k.closes("truncated")
        return w.whole(good(k), finish=reason), k.closes("truncated")

    return build


BAD_CALL = {"functionCall": {"name": "delete_file", "args": {"path": "/srv/a"}}}
GOOD_CALL = {"functionCall": {"name": "get_weather", "args": {"city": "Paris"}, "id": "call_a"}}
AS_LIST = "application/json"

GEMINI: list[tuple[str, str, Any]] = [
    ("C4", "both calls in one event", with_parts(beside_granted, GOOD_CALL, {"text": "and"}, BAD_CALL)),
    ("C5", "calls without ids", with_parts(beside_granted, {"functionCall": {"name": "get_weather", "args": {"city": "Paris"}}}, BAD_CALL)),
    *[("C6", f"a candidate at {at!r}", streamed(odd_candidate(at), broken("protocol"))) for at in (-1, 2**31, "0", 0.0, True, [])],
    ("C6", "two candidates at one place", streamed(lambda w, k: [*w.opening(), w.chunk({"text": ""}, candidates=[w.candidate([BAD_CALL]), w.candidate([GOOD_CALL])]), *w.closing()], broken("protocol"))),
    ("C9", "a call after the finish", streamed(lambda w, k: [*w.frames(), *w.middle(bad(k))], broken("protocol"))),
    ("C9", "a call after a finish behind another", streamed(lambda w, k: [*w.frames(good(k)), *w.middle(bad(k))], lambda k: k.needs("CLOSE", ("protocol",), (k.good,)))),
    *[("C10", f"{-at} events before the end", streamed(cut(at), broken("upstream_reset"))) for at in (-1, -2)],
    *[("C10", f"stopped by {reason}", stopped_by(reason)) for reason in ("MAX_TOKENS", "SAFETY", "RECITATION", "MALFORMED_FUNCTION_CALL", "OTHER", "SOMETHING_NEW")],
    *[("C11", f"arguments in pieces: {key}", with_parts(none_passes("unknown_type"), {"functionCall": {"name": "get_weather", "args": {"city": "Paris"}, key: value}})) for key, value in (("willContinue", True), ("partialArgs", [{"jsonPath": "$.city", "stringValue": "Rome"}]))],
    *[("C13", f"a part that holds {key}", with_parts(none_passes("unknown_type"), {key: {"name": "delete_file", "args": {}}})) for key in ("functionCallV2", "function_call", "FunctionCall", "toolUse")],
    ("C13", "a part that is text", with_parts(none_passes("unknown_type"), "delete_file")),
    ("C13", "a call that is text", with_parts(none_passes("unknown_type"), {"functionCall": "delete_file()"})),
    ("C13", "text that is an object", with_parts(none_passes("unknown_type"), {"text": BAD_CALL})),
    ("C15", "a second part", with_parts(none_passes("rule"), {"text": "x"}, BAD_CALL)),
    ("C15", "a thought beside it", with_parts(none_passes("rule"), {"text": "x", "thought": True}, BAD_CALL | {"thoughtSignature": "c2ln", "thought": True})),
    ("C15", "the second candidate", in_candidate(1)),
    ("C15", "a candidate far away", in_candidate(7)),
    ("D2", "words and a call in one part", with_parts(none_passes("mixed_forms"), GOOD_CALL | {"text": "x"})),
    ("D2", "a call and code in one part", with_parts(none_passes("mixed_forms"), GOOD_CALL | {"executableCode": {"code": "1"}})),
    *[("D5", f"{key} that nobody asked for", with_parts(none_passes("executed_upstream"), {key: value})) for key, value in (
        ("executableCode", {"language": "PYTHON", "code": "1"}),
        ("codeExecutionResult", {"outcome": "OUTCOME_OK", "output": "1"}),
        ("toolCall", {"toolType": "GOOGLE_SEARCH", "args": {}, "id": "t1"}),
        ("toolResponse", {"toolType": "GOOGLE_SEARCH", "response": {}, "id": "t1"}),
    )],
    ("D6", "thoughts and grounding beside a call", lambda w, k, s: ([*w.opening(), w.chunk({"text": "hm", "thought": True}), *w.middle(good(k)), *w.closing()] if s else w.whole(good(k), blocks=[{"text": "hm", "thought": True}]), k.passes(k.good))),
]  # fmt: skip
ROWS = {"responses": RESPONSES, "gemini": GEMINI}
PLAYS = [(wire, row) for wire, rows in ROWS.items() for row in dict.fromkeys(found for found, *_ in rows)]


@pytest.mark.parametrize(("wire", "row"), PLAYS, indirect=["wire"])
def test_a_form_of_its_own_delivers_no_call_that_was_not_judged(play: Any, wire: Any, row: str) -> None:
    play(ROWS[wire.name], row, wire)


def test_a_gemini_stream_as_one_json_list_is_an_error(house: Any, kit: Any) -> None:
    """What the API sends to whoever leaves `alt=sse` away; nobody asked for it here."""
    wire = kit.gemini()
    listed = [json.loads(frame[6:]) for frame in wire.frames(bad(kit))]
    house.provider.answer = house.provider.json(listed)
    house.judge(wire, False, house.ask(wire, True), kit.closes("protocol"))
    house.stays_well(wire)
