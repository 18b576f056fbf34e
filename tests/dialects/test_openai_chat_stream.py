from __future__ import annotations

import json
from itertools import pairwise
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.answer import Usage
from gateway.dialects import openai_chat
from gateway.dialects.events import Broken, Ended, Forward, Held, Hidden, Limits, Proposed
from gateway.dialects.openai_chat_stream import ChatStream
from gateway.dialects.proposals import MAX_ID
from gateway.errors import GatewayError
from gateway.verdict import Call

HEAD = {"id": "c1", "object": "chat.completion.chunk", "created": 1, "model": "m"}
DONE = b"data: [DONE]\n\n"
RUNS_ON = "Blocked by policy.\n\ndata: f stays inside this string."
USAGE = {"prompt_tokens": 10, "completion_tokens": 5, "total_tokens": 15}


def stream(limits: Limits | None = None, *, enforcing: bool = True, usage: bool = True) -> ChatStream:
    body = {"model": "m", "stream": True, "stream_options": {"include_usage": usage}, "messages": [{"role": "user", "content": "Hi"}]}
    request = openai_chat.decode_request(json.dumps(body).encode(), {}, frozenset())
    return openai_chat.stream(request, limits or Limits(), enforcing=enforcing)


def event(chunk: Any) -> bytes:
    return b"data: " + (chunk if isinstance(chunk, bytes) else json.dumps(chunk).encode()) + b"\n\n"


def chunk(delta: Any, finish: Any = None, *, choice: Any = 0, top: dict[str, Any] | None = None, **more: Any) -> bytes:
    return event({**HEAD, "choices": [{"index": choice, "delta": delta, "finish_reason": finish, **more}], **(top or {})})


def piece(index: Any = 0, call_id: Any = "a", name: Any = "f", arguments: Any = "{}", **more: Any) -> dict[str, Any]:
    fields = {"index": index, "id": call_id, "type": "function", **more}
    return {**{k: v for k, v in fields.items() if v is not ...}, "function": {"name": name, "arguments": arguments}}


def calling(*pieces: Any, finish: str = "tool_calls", limits: Limits | None = None, drive: Any) -> Any:
    """Each piece in a chunk of its own, then the finish."""
    wire = b"".join(chunk({"tool_calls": [p]}) for p in pieces) + chunk({}, finish) + DONE
    return drive(stream(limits), [wire])


def problems(run: Any) -> list[str | None]:
    return [call.problem for call in run.calls]


# Words


def test_words_leave_as_they_came(drive: Any) -> None:
    wire = [chunk({"role": "assistant"}), chunk({"content": "Hi é"}), chunk({"reasoning_content": "x"}), chunk({}, "stop"), DONE]
    run = drive(stream(), wire)
    assert run.sent == b"".join(wire)
    assert [type(e) for e in run.events] == [Forward, Forward, Forward, Ended, Forward]
    assert run.stream.answer.text == "Hi é"


@pytest.mark.parametrize("comment", [b": ping\n\n", b"\n", b":\n\n"])
def test_a_keep_alive_passes_at_once(comment: bytes) -> None:
    assert list(stream().feed(comment)) == [Forward(comment)]


@pytest.mark.parametrize("odd", [b": \xc3\xa9\n\n", b"id: 1\n\n", b": a\n: b\n\n", b"event: tool\n\n", b": a\x0b\n\n"])
def test_an_event_without_data_leaves_as_an_empty_comment(odd: bytes) -> None:
    assert list(stream().feed(odd)) == [Forward(odd, b":\n\n")]


@pytest.mark.parametrize("separator", ["\u2028", "\u2029", "\x85"])
def test_a_separator_inside_a_string_cannot_begin_a_line(separator: str, drive: Any) -> None:
    forged = separator + 'data: {"choices":[{"delta":{"tool_calls":[]}}]}' + separator
    data = json.dumps({**HEAD, "choices": [{"index": 0, "delta": {"content": forged}}]}, ensure_ascii=False).encode()
    run = drive(stream(), [event(data), event(data), chunk({}, "stop"), DONE])
    assert all(line.startswith(('data: {"id"', "data: [DONE]")) for line in run.sent.decode().splitlines() if line)
    assert json.loads(run.sent.split(b"\n\n")[0][6:])["choices"][0]["delta"]["content"] == forged


@pytest.mark.parametrize(
    "frame", ["data:%s\n\n", ": c\ndata: %s\n\n", "event: message\ndata: %s\n\n", "data: %s\r\n\r\n", "data: %s\nx: y\n\n"]
)
def test_words_in_an_odd_frame_are_framed_anew(frame: str) -> None:
    data = json.dumps({**HEAD, "choices": [{"index": 0, "delta": {"content": "Hi"}}]}, separators=(",", ":"))
    raw = (frame % data).encode()
    assert list(stream().feed(raw)) == [Forward(raw, f"data: {data}\n\n".encode(), (0, {"content": "Hi"}))]


@pytest.mark.parametrize("delta", [{"content": "Hi"}, {"content": "Hi", "tool_calls": []}])
def test_an_event_of_several_lines_leaves_as_one(delta: dict[str, Any], drive: Any) -> None:
    """A reader that takes each line for an event could find a call in one of them."""
    data = json.dumps({**HEAD, "provider": {"choices": []}, "choices": [{"index": 0, "delta": delta}]})
    raw = ("data: " + data.replace('"provider": ', '"provider":\ndata: ').replace(', "choices"', '\ndata: , "choices"') + "\n\n").encode()
    run = drive(stream(), [chunk({"role": "assistant"}), raw, chunk({}, "stop"), DONE])
    lines = [line for line in run.sent.split(b"\n") if line]
    assert all(line == DONE.strip() or json.loads(line.removeprefix(b"data: "))["id"] == "c1" for line in lines)
    assert run.stream.answer.text == "Hi"


@pytest.mark.parametrize(
    "endless",
    [b"\n", b": wait\n\n", chunk({}), chunk({"content": ""}), chunk({"content": "a"}), chunk({"tool_calls": [piece()]})],
)
def test_an_answer_without_end_is_ended(endless: bytes, drive: Any) -> None:
    run = drive(stream(Limits(events=100)), [chunk({"role": "assistant"}), *[endless] * 200])
    broken = run.events[-1]
    assert isinstance(broken, Broken)
    assert (broken.code, "100 events" in broken.detail) == ("protocol", True)
    assert len(run.events) == 101


def test_all_words_of_an_unknown_kind_are_left_out_not_only_the_first(drive: Any) -> None:
    part = {"type": "tool_use", "name": "delete_file"}
    odd = {"content": [part], "refusal": part, "reasoning": True, "reasoning_content": [part]}
    run = drive(stream(), [chunk({"role": "assistant"}), chunk(odd), chunk({}, "stop"), DONE])
    assert problems(run) == ["unknown_type"]
    assert b"delete_file" not in run.sent
    assert b"true" not in run.sent


def test_text_is_kept_up_to_a_bound(drive: Any) -> None:
    run = drive(stream(), [chunk({"content": "x" * 100_000})] * 4 + [chunk({}, "stop")])
    assert len(run.stream.answer.text) == 256 * 1024


def test_a_done_in_an_odd_frame_is_framed_anew() -> None:
    assert list(stream().feed(b"data:[DONE]\n\n")) == [Forward(b"data:[DONE]\n\n", DONE)]


# Calls


def test_a_call_is_delivered_exactly_as_it_was_judged(drive: Any) -> None:
    rest = [piece(call_id=..., name=None, arguments='{"a":'), piece(call_id=None, name="", arguments=" 1}")]
    run = calling(piece(arguments=""), *rest, drive=drive)
    assert run.calls == [Call("a", "f", '{"a": 1}', {"a": 1}, 0)]
    delta = json.loads(run.sent.split(b"\n\n")[0][6:])["choices"][0]["delta"]
    assert delta["tool_calls"] == [{"index": 0, "id": "a", "type": "function", "function": {"name": "f", "arguments": '{"a": 1}'}}]
    assert delta["role"] == "assistant"


@pytest.mark.parametrize("empty", ["", None])
def test_no_arguments_are_an_empty_object_to_judge_and_client(empty: Any, drive: Any) -> None:
    run = calling(piece(arguments=empty), drive=drive)
    assert (run.calls[0].arguments, run.calls[0].args) == ("{}", {})
    assert b'"arguments":"{}"' in run.sent


@pytest.mark.parametrize(
    ("arguments", "problem"),
    [
        ('{"path":"/srv/a","path":"/etc/shadow"}', "dup_key"),
        ('{"path":"/srv/a"}{"path":"/etc/shadow"}', "trailing_data"),
        ("null", "type"),
        ("[]", "type"),
        ('"x"', "type"),
        ('"{}"', "type"),
        ("[" * 10_000, "depth"),
        ('{"a":' * 65 + "1" + "}" * 65, "depth"),
        ('{"a":NaN}', "number"),
        ('{"a":1e999}', "number"),
        ('{"a":9223372036854775808}', "number"),
        ('{"a":"\\ud800"}', "encoding"),
        ('{"a":1', "malformed"),
        (" ", "malformed"),
        ({"a": 1}, "type"),
        (["{}"], "type"),
        (7, "type"),
    ],
)
def test_arguments_without_one_meaning_are_a_problem(arguments: Any, problem: str, drive: Any) -> None:
    run = calling(piece(arguments=arguments), drive=drive)
    assert problems(run) == [problem]
    assert run.calls[0].args is None
    assert run.calls[0].detail
    assert b"tool_calls" not in run.sent


@pytest.mark.parametrize(
    "name",
    ["ｄｅｌｅｔｅ_file", "dеlete_file", "delete_ﬁle", "delete‐file", " delete_file", "delete_file ", "", None, "x" * 200, 7, "a\r\nb"],
)
def test_a_name_that_a_client_might_read_otherwise_is_a_problem(name: Any, drive: Any) -> None:
    run = calling(piece(name=name), drive=drive)
    assert problems(run) == ["bad_name"]
    assert run.calls[0].name.rstrip("…").isascii()
    assert len(run.calls[0].name) <= 6 * 128


@pytest.mark.parametrize("call_id", ["", None, 7, "a b", "é", "x" * (MAX_ID + 1)])
def test_an_id_that_cannot_be_answered_is_a_problem(call_id: Any, drive: Any) -> None:
    assert problems(calling(piece(call_id=call_id), drive=drive)) == ["bad_id"]


def test_two_calls_with_one_id_are_both_denied(drive: Any) -> None:
    assert problems(calling(piece(), piece(index=1, name="g"), drive=drive)) == ["duplicate_id", "duplicate_id"]


def test_calls_of_different_choices_may_share_an_id(drive: Any) -> None:
    wire = [chunk({"tool_calls": [piece()]}, "tool_calls", choice=n) for n in (0, 1)]
    assert problems(drive(stream(), wire)) == [None, None]


@pytest.mark.parametrize("second", [piece(name="_and_delete"), piece(name="f"), piece(call_id="a", name=None)])
def test_a_name_or_id_that_comes_twice_is_a_problem(second: Any, drive: Any) -> None:
    assert problems(calling(piece(), second, drive=drive)) == ["name_split"]


def test_two_ids_at_one_index_are_a_problem(drive: Any) -> None:
    assert problems(calling(piece(), piece(call_id="b", name="g"), drive=drive)) == ["ambiguous_index"]


@pytest.mark.parametrize("index", [-1, 7, "0", 0.0, True, False, 2**31, [], {}])
def test_an_index_that_does_not_count_up_from_0_denies_the_choice(index: Any, drive: Any) -> None:
    assert problems(calling(piece(index=index), drive=drive)) == ["bad_index"]
    assert problems(calling(piece(), piece(index=index, call_id="b"), drive=drive)) == ["bad_index"]


def test_interleaved_pieces_are_told_apart_by_index(drive: Any) -> None:
    texts = ('{"city":"Oslo"}', '{"path":"/etc"}')
    begin = [piece(n, f"id{n}", f"f{n}", "") for n in (0, 1)]
    run = calling(*begin, *(piece(n, ..., None, c) for pair in zip(*texts, strict=True) for n, c in enumerate(pair)), drive=drive)
    assert [c.arguments for c in run.calls] == list(texts)


def test_without_indexes_pieces_are_told_apart_by_id(drive: Any) -> None:
    first, second = piece(..., "a", "f", "{"), piece(..., "b", "g", "{")
    run = calling(first, second, piece(..., "a", None, "}"), piece(..., "b", None, " }"), drive=drive)
    assert [(c.id, c.arguments, c.problem) for c in run.calls] == [("a", "{}", None), ("b", "{ }", None)]


@pytest.mark.parametrize("call_id", [None, ...])
def test_a_piece_with_neither_index_nor_id_denies_the_choice(call_id: Any, drive: Any) -> None:
    assert problems(calling(piece(...), piece(..., "b"), piece(..., call_id, None, "{}"), drive=drive)) == ["ambiguous_index"] * 2
    assert problems(calling(piece(..., call_id), drive=drive)) == ["ambiguous_index"]


@pytest.mark.parametrize("entry", [None, "x", 7, []])
def test_an_item_that_is_no_object_denies_the_choice(entry: Any, drive: Any) -> None:
    run = calling(entry, drive=drive)
    assert [(c.name, c.problem) for c in run.calls] == [("unknown", "unknown_type")]


def test_tool_calls_that_are_no_list_deny_the_choice(drive: Any) -> None:
    assert problems(drive(stream(), [chunk({"tool_calls": {"0": piece()}}, "tool_calls")])) == ["unknown_type"]


@pytest.mark.parametrize(
    "entry",
    [
        piece(type="tool_use_v2"),
        piece(type="Function"),
        piece(type=7),
        piece(type="custom"),
        {"index": 0, "id": "a", "type": "function", "custom": {"name": "f", "input": ""}},
        {"index": 0, "id": "a", "type": "function", "function": "f"},
        {"index": 0, "id": "a", "custom": [], "type": "custom"},
        piece(custom={"name": "g", "input": "x"}),
    ],
)
def test_a_call_of_an_unknown_form_is_a_problem(entry: Any, drive: Any) -> None:
    assert problems(calling(entry, drive=drive)) == ["unknown_type"]


def test_a_call_cannot_change_its_type(drive: Any) -> None:
    late = {"index": 0, "type": "custom", "custom": {"input": "x"}}
    assert problems(calling(piece(), late, drive=drive)) == ["unknown_type"]


def test_a_custom_call_is_its_text(drive: Any) -> None:
    run = calling(
        {"index": 0, "id": "a", "type": "custom", "custom": {"name": "sql", "input": "drop"}},
        {"index": 0, "custom": {"input": " x"}},
        drive=drive,
    )
    assert run.calls == [Call("a", "sql", "drop x", {"input": "drop x"}, 0, type="custom")]
    assert b'"custom":{"name":"sql","input":"drop x"}' in run.sent


def test_a_custom_call_without_type_or_text_is_an_empty_text(drive: Any) -> None:
    run = calling({"index": 0, "id": "a", "custom": {"name": "sql"}}, drive=drive)
    assert run.calls == [Call("a", "sql", "", {"input": ""}, 0, type="custom")]


@pytest.mark.parametrize("payload", ["f", 7, [], {}, {"name": "a b"}, {"name": "f", "arguments": {}}])
def test_an_unreadable_legacy_call_is_a_problem(payload: Any, drive: Any) -> None:
    run = drive(stream(), [chunk({"function_call": payload}, "function_call")])
    assert len(run.calls) == 1
    assert run.calls[0].problem


def test_a_legacy_name_in_two_pieces_is_a_problem(drive: Any) -> None:
    run = drive(stream(), [chunk({"function_call": {"name": n}}) for n in ("a", "b")] + [chunk({}, "function_call")])
    assert problems(run) == ["name_split"]


def test_both_forms_in_one_choice_deny_all(drive: Any) -> None:
    run = drive(stream(), [chunk({"tool_calls": [piece()], "function_call": {"name": "g", "arguments": "{}"}}, "tool_calls")])
    assert problems(run) == ["mixed_forms", "mixed_forms"]


def test_a_call_whose_choice_lists_words_of_an_unknown_kind_is_denied(drive: Any) -> None:
    run = drive(stream(), [chunk({"content": [{"type": "tool_use", "name": "f"}]}), chunk({}, "stop")])
    assert problems(run) == ["unknown_type"]
    assert b"tool_use" not in run.sent


@pytest.mark.parametrize("key", ["refusal", "reasoning", "content", "reasoning_content"])
def test_words_that_are_no_text_are_not_forwarded(key: str, drive: Any) -> None:
    run = drive(stream(), [chunk({key: {"tool_calls": []}, "role": "assistant"}), chunk({}, "stop")])
    assert problems(run) == ["unknown_type"]
    assert b'"tool_calls"' not in run.sent


def test_lists_of_known_words_are_text(drive: Any) -> None:
    parts = [{"type": "thinking", "thinking": []}, {"type": "text", "text": "Hi"}]
    run = drive(stream(), [chunk({"content": parts}), chunk({}, "stop")])
    assert (run.stream.answer.text, run.calls) == ("Hi", [])


# What is left out


@pytest.mark.parametrize("key", ["Tool_Calls", "toolCalls", "tool_use_v2", "x", "tool_calls "])
def test_an_unknown_key_of_a_delta_is_stripped_and_noted(key: str, drive: Any) -> None:
    run = drive(stream(), [chunk({"content": "Hi", key: [piece()]}), chunk({}, "stop")])
    assert json.loads(run.sent.split(b"\n\n")[0][6:])["choices"][0]["delta"] == {"content": "Hi"}
    assert [(f.code, f.severity, f.path, f.action) for f in run.stream.findings] == [
        ("stripped_field", "warn", f"choices[0].delta.{key}", "stripped")
    ]


def test_an_observing_gateway_notes_but_does_not_claim_to_have_stripped(drive: Any) -> None:
    run = drive(stream(enforcing=False), [chunk({"Tool_Calls": 1}), chunk({}, "stop")])
    assert [f.action for f in run.stream.findings] == ["none"]


@pytest.mark.parametrize("key", ["message", "Delta", "text", "tool_calls"])
def test_an_unknown_key_of_a_choice_is_stripped(key: str, drive: Any) -> None:
    run = drive(stream(), [chunk({"content": "Hi"}, **{key: {"tool_calls": [piece()]}}), chunk({}, "stop")])
    assert list(json.loads(run.sent.split(b"\n\n")[0][6:])["choices"][0]) == ["index", "delta", "finish_reason"]
    assert [f.path for f in run.stream.findings] == [f"choices[0].{key}"]


KEYS_THAT_LOOK_JUDGED = ["Choices", "tool_calls", "toolcalls", "message", "ERROR", "function-call", "candidates", "content", "Item"]


@pytest.mark.parametrize("key", KEYS_THAT_LOOK_JUDGED)
def test_a_key_at_the_top_that_looks_judged_is_stripped(key: str, drive: Any) -> None:
    run = drive(stream(), [chunk({"content": "Hi"}, top={key: [1], "provider": "p"}), chunk({}, "stop")])
    first = json.loads(run.sent.split(b"\n\n")[0][6:])
    assert (key in first, first["provider"]) == (False, "p")


def test_keys_at_the_top_that_look_like_nothing_judged_pass_as_they_came(drive: Any) -> None:
    raw = chunk({"content": "Hi"}, top={"provider": "p", "x_groq": {"id": "1"}, "error": None})
    assert list(stream().feed(raw)) == [Forward(raw, None, (0, {"content": "Hi"}))]


def test_unknown_keys_of_a_call_are_noted_and_not_delivered(drive: Any) -> None:
    entry = {**piece(), "Function": {"name": "g"}}
    entry["function"]["Name"] = "g"
    run = calling(entry, drive=drive)
    place = "choices[0].delta.tool_calls[0]"
    assert [f.path for f in run.stream.findings] == [f"{place}.Function", f"{place}.function.Name"]
    assert run.calls[0].problem is None
    assert b'"g"' not in run.sent


def test_findings_are_bounded_and_said_once(drive: Any) -> None:
    run = drive(stream(), [chunk({f"x{n}": 1 for n in range(80)}), chunk({"x1": 1}), chunk({}, "stop")])
    assert len(run.stream.findings) == 50


# Finishing


@pytest.mark.parametrize("reason", ["tool_calls", "stop", "function_call"])
@pytest.mark.parametrize(("judge", "outgoing"), [("allowed", "tool_calls"), ("denied", "stop")])
def test_what_was_delivered_decides_the_reason(reason: str, judge: str, outgoing: str, drive: Any) -> None:
    run = drive(stream(), [chunk({"tool_calls": [piece()]}), chunk({}, reason, native_finish_reason="x"), DONE], judge)
    last = json.loads(run.sent.split(b"\n\n")[-3][6:])
    assert last["choices"][0]["finish_reason"] == outgoing
    assert ("native_finish_reason" in last["choices"][0]) == (outgoing == reason)
    assert run.stream.answer.finish == (reason,)


@pytest.mark.parametrize("reason", ["tool_calls", "function_call"])
def test_a_reason_that_promises_a_call_without_one_becomes_stop(reason: str, drive: Any) -> None:
    assert b'"finish_reason":"stop"' in drive(stream(), [chunk({}, reason)]).sent


@pytest.mark.parametrize("reason", ["stop", "length", "content_filter", "eos"])
def test_a_finish_without_calls_leaves_as_it_came(reason: str, drive: Any) -> None:
    wire = chunk({"content": "Hi"}, reason)
    assert drive(stream(), [wire]).sent == wire


@pytest.mark.parametrize("reason", ["length", "content_filter", "error", "Tool_Calls"])
def test_a_call_under_another_reason_is_truncated(reason: str, drive: Any) -> None:
    run = calling(piece(), finish=reason, drive=drive)
    assert (run.calls, run.described[-1]["code"]) == ([], "truncated")
    assert b"tool_calls" not in run.sent.replace(b"Tool_Calls", b"")


def test_an_observing_gateway_records_a_cut_call_and_goes_on(drive: Any) -> None:
    wire = [chunk({"tool_calls": [piece()]}), chunk({}, "length"), event({**HEAD, "choices": [], "usage": USAGE}), DONE]
    run = drive(stream(enforcing=False), wire)
    assert problems(run) == ["truncated"]
    assert run.stream.answer.usage == Usage(input=10, output=5)


@pytest.mark.parametrize("late", [{"tool_calls": [piece(1, "b")]}, {"function_call": {"name": "f"}}, {"content": [{"type": "x"}]}])
def test_a_piece_of_a_call_after_the_finish_breaks_the_stream(late: Any, drive: Any) -> None:
    run = drive(stream(), [chunk({"content": "Hi"}), chunk({}, "stop"), chunk(late), DONE])
    assert isinstance(run.events[-1], Broken)
    assert run.events[-1].code == "protocol"
    assert b"tool_calls" not in run.sent


def test_a_second_finish_cannot_change_the_first(drive: Any) -> None:
    wire = [chunk({"tool_calls": [piece()]}), chunk({}, "stop"), chunk({"content": ""}, "tool_calls"), DONE]
    run = drive(stream(), wire, "denied")
    reasons = [json.loads(f[6:])["choices"][0]["finish_reason"] for f in run.sent.split(b"\n\n")[:-2]]
    assert reasons == [None, "stop", None]


def test_words_after_the_finish_pass(drive: Any) -> None:
    run = drive(stream(), [chunk({}, "stop"), chunk({"content": ""}), DONE])
    assert [type(e) for e in run.events] == [Ended, Forward, Forward]


def test_words_beside_a_call_leave_and_the_call_is_held(drive: Any) -> None:
    both = chunk({"role": "assistant", "content": "Hm", "tool_calls": [piece()]})
    run = drive(stream(), [both, chunk({}, "tool_calls")])
    assert run.events[0].raw == both
    assert b"tool_calls" not in run.events[0].clean
    assert json.loads(run.sent.split(b"\n\n")[1][6:])["choices"][0]["delta"]["tool_calls"]


def test_an_explanation_after_words_begins_a_new_paragraph(drive: Any) -> None:
    wire = [chunk({"role": "assistant", "content": "Hm"}), chunk({"tool_calls": [piece(), piece(1, "b")]}), chunk({}, "tool_calls")]
    sent = drive(stream(), wire, "denied").sent
    texts = [json.loads(f[6:])["choices"][0]["delta"].get("content", "") for f in sent.split(b"\n\n")[:-1]]
    assert texts[1].startswith("\n\nBlocked")
    assert texts[2].startswith("\n\nBlocked")


@pytest.mark.parametrize("judged", ["allowed", "denied"])
@pytest.mark.parametrize(
    "last",
    [
        [chunk({"role": "assistant", "content": "Hm", "tool_calls": [piece()]}, "stop")],
        [chunk({"role": "assistant", "tool_calls": [piece()]}), chunk({"role": "assistant", "content": "Hm"}, "tool_calls")],
        [chunk({"role": "assistant", "tool_calls": [piece()]}, "stop", logprobs={"content": []}, top={"usage": USAGE})],
    ],
)
def test_words_of_the_finishing_chunk_stand_before_its_calls_and_the_role_comes_once(last: list[bytes], judged: str, drive: Any) -> None:
    """As they stand in a whole answer: a client that joins pieces would read `assistantassistant`, and our text glued to the model's."""
    run = drive(stream(), [*last, DONE], judged)
    chunks = [json.loads(f[6:]) for f in run.sent.split(b"\n\n")[:-2]]
    deltas = [c["choices"][0]["delta"] for c in chunks]
    assert [d["role"] for d in deltas if "role" in d] == ["assistant"]
    text = "".join(d.get("content") or "" for d in deltas)
    said = "Hm" if b"Hm" in last[-1] else ""
    assert text == (said if judged == "allowed" else f"{said}\n\n{RUNS_ON}" if said else RUNS_ON)
    assert deltas[-1] == {}
    assert [key for key in ("usage", "logprobs") for c in chunks if c.get(key) or c["choices"][0].get(key)] == [
        key for key in ("usage", "logprobs") if key.encode() in last[-1]
    ]


PICTURE = {"type": "image_url", "image_url": {"url": "data:image/png;base64,AAAA"}}


def test_pictures_that_a_model_drew_leave_as_they_came(drive: Any) -> None:
    drawn = chunk({"content": "", "images": [PICTURE | {"index": 0}]})
    wire = [chunk({"role": "assistant", "content": "Here"}), drawn, chunk({}, "stop"), DONE]
    assert drive(stream(), wire).sent == b"".join(wire)


@pytest.mark.parametrize(
    "odd",
    [
        [PICTURE, {"type": "function", "function": {"name": "f", "arguments": "{}"}}],
        [PICTURE | {"function": {"name": "f", "arguments": "{}"}}],
        [PICTURE | {"index": {"name": "f"}}],
        [PICTURE | {"image_url": {"url": "https://a.example/?q=secret"}}],
        [PICTURE | {"image_url": PICTURE["image_url"] | {"detail": {"name": "f"}}}],
        [PICTURE | {"image_url": PICTURE["image_url"] | {"arguments": "{}"}}],
        PICTURE,
        ["f"],
    ],
)
def test_images_that_are_no_pictures_reach_nobody(odd: Any, drive: Any) -> None:
    run = drive(stream(), [chunk({"role": "assistant", "content": "x", "images": odd}), chunk({}, "stop"), DONE])
    assert b"images" not in run.sent
    assert [f.path for f in run.stream.findings] == ["choices[0].delta.images"]


SIGNED = {"extra_content": {"google": {"thought_signature": "c2ln"}}}


def test_the_signature_that_google_wants_back_goes_and_stays_with_its_call(drive: Any) -> None:
    """Gemini 3 refuses a history whose calls have lost it."""
    calls = [chunk({"role": "assistant", "tool_calls": [piece() | SIGNED]}), chunk({"tool_calls": [piece(1, "b")]})]
    wire = [*calls, chunk({}, "tool_calls"), DONE]
    run = drive(stream(), wire)
    entries = [json.loads(f[6:])["choices"][0]["delta"]["tool_calls"][0] for f in run.sent.split(b"\n\n")[:2]]
    assert [entry.get("extra_content") for entry in entries] == [SIGNED["extra_content"], None]
    assert not run.stream.findings
    assert b"c2ln" not in drive(stream(), wire, "denied").sent


def test_words_keep_the_signature_that_google_wants_back(drive: Any) -> None:
    wire = [chunk({"role": "assistant", "content": "x", **SIGNED}), chunk({}, "stop"), DONE]
    assert drive(stream(), wire).sent == b"".join(wire)


@pytest.mark.parametrize(
    "odd",
    [
        {"google": {"tool_calls": [piece()]}},
        {"google": {"thought_signature": {"name": "f", "arguments": "{}"}}},
        {"google": {"thought": "f"}},
        {"google": {"thought_signature": "c2ln"}, "acme": {"name": "f"}},
        [piece()],
        "f",
    ],
)
def test_extra_content_that_is_no_signature_reaches_nobody(odd: Any, drive: Any) -> None:
    wire = [chunk({"role": "assistant", "content": "x", "extra_content": odd}), chunk({"tool_calls": [piece() | {"extra_content": odd}]})]
    run = drive(stream(), [*wire, chunk({}, "tool_calls"), DONE])
    assert b"extra_content" not in run.sent
    assert [f.path for f in run.stream.findings] == ["choices[0].delta.extra_content", "choices[0].delta.tool_calls[0].extra_content"]


def test_the_envelope_is_the_providers_own_where_it_has_one(drive: Any) -> None:
    nameless = event({"choices": [{"index": 0, "delta": {"tool_calls": [piece()]}, "finish_reason": "tool_calls"}]})
    first = json.loads(drive(stream(), [nameless]).sent.split(b"\n\n")[0][6:])
    assert {k: first[k] for k in HEAD} == {"id": "", "object": "chat.completion.chunk", "created": 0, "model": ""}


def test_the_envelope_is_that_of_the_first_chunk_that_names_it(drive: Any) -> None:
    full = {**HEAD, "system_fingerprint": "fp", "service_tier": "default"}
    later = {"id": "c2", "created": "1", "model": 7}
    wire = [event({**h, "choices": [{"index": 0, "delta": {"tool_calls": []}}]}) for h in ({"created": True}, full, later)]
    run = drive(stream(), [*wire, chunk({"tool_calls": [piece()]}, "tool_calls")])
    released = json.loads(run.sent.split(b"\n\n")[3][6:])
    assert {k: released[k] for k in full} == full


def test_a_legacy_call_is_given_back_in_its_own_form(drive: Any) -> None:
    wire = [chunk({"function_call": {"name": "f", "arguments": ""}}), chunk({"function_call": {"arguments": "{}"}}, "stop")]
    frames = [json.loads(f[6:])["choices"][0] for f in drive(stream(), wire).sent.split(b"\n\n")[:-1]]
    assert frames[0]["delta"] == {"role": "assistant", "content": None, "function_call": {"name": "f", "arguments": "{}"}}
    assert frames[1]["finish_reason"] == "function_call"


def test_words_of_several_choices_in_one_chunk_do_not_wait(drive: Any) -> None:
    raw = event({**HEAD, "choices": [{"index": n, "delta": {"content": "Hi"}} for n in (0, 1)]})
    first, second = stream().feed(raw)
    assert (first.raw, second.raw) == (raw, b"")
    assert {type(first), type(second)} == {Forward}


def test_each_choice_is_judged_explained_and_finished_on_its_own(drive: Any) -> None:
    both = event({**HEAD, "choices": [{"index": n, "delta": {"tool_calls": [piece(0, f"c{n}", f"f{n}")]}} for n in (0, 1)]})
    run = drive(stream(), [both, chunk({}, "tool_calls", choice=1), chunk({}, "tool_calls", choice=0), DONE])
    assert [(c.choice, c.index, c.name) for c in run.calls] == [(1, 0, "f1"), (0, 1, "f0")]
    assert [type(e) for e in run.events] == [Held, Held, Held, Proposed, Ended, Proposed, Ended, Forward]


# Streams that break


@pytest.mark.parametrize(
    "data",
    [
        b"{", b"[]", b"1", b'"x"', b"[DONE]x", b"hello",
        *(json.dumps({**HEAD, "choices": c}).encode() for c in ("x", {"0": 1}, [1], [None])),
        *(json.dumps({**HEAD, "choices": [c]}).encode() for c in (
            {"index": -1, "delta": {}}, {"index": "0", "delta": {}}, {"index": 0.0}, {"index": True}, {"index": 128}, {"index": None},
            {"index": 0, "delta": []}, {"index": 0, "delta": "x"}, {"index": 0, "delta": {}, "finish_reason": 1},
        )),
    ],
)  # fmt: skip
def test_an_event_that_is_no_chunk_breaks_the_stream_and_is_not_forwarded(data: bytes, drive: Any) -> None:
    run = drive(stream(), [chunk({"content": "Hi"}) + event(data) + chunk({"content": "later"})])
    assert run.described[-1]["code"] == "protocol"
    assert data not in run.sent.replace(b"[DONE]", b"") or data in b"[]1{"
    assert b"later" not in run.sent


def test_a_broken_choice_among_several_ends_the_others_too(drive: Any) -> None:
    run = drive(stream(), [event({**HEAD, "choices": [{"index": -1}, {"index": 0, "delta": {"content": "x"}}]})])
    assert [type(e) for e in run.events] == [Broken]


@pytest.mark.parametrize(
    "wire",
    [
        b"",
        chunk({"content": "Hi"}),
        chunk({"tool_calls": [piece()]}),
        chunk({"content": "Hi"}) + chunk({}, "stop")[:-1],
        chunk({}, "stop") + chunk({"content": "x"}, choice=1),
        event({**HEAD, "choices": [], "usage": USAGE}),
    ],
)
def test_an_end_before_the_finish_is_truncated(wire: bytes, drive: Any) -> None:
    run = drive(stream(), [wire])
    assert run.described[-1]["code"] == "truncated"
    assert b"tool_calls" not in run.sent


def test_a_stream_may_end_without_done_once_it_has_finished(drive: Any) -> None:
    run = drive(stream(), [chunk({}, "stop") + b"data: [DO"])
    assert run.events[-1] == Held(b"data: [DO")


def test_done_ends_words_that_never_finished(drive: Any) -> None:
    assert not any(isinstance(e, Broken) for e in drive(stream(), [chunk({"content": "Hi"}), DONE]).events)


def test_done_before_a_call_has_finished_is_truncated(drive: Any) -> None:
    run = drive(stream(), [chunk({"tool_calls": [piece()]}), DONE])
    assert (run.calls, run.described[-1]["code"]) == ([], "truncated")


def test_anything_after_done_breaks_the_stream(drive: Any) -> None:
    run = drive(stream(), [chunk({}, "stop") + DONE + b": bye\n\n" + chunk({"tool_calls": [piece()]})])
    assert run.described[-1]["code"] == "protocol"
    assert b"tool_calls" not in run.sent


def test_nothing_is_said_after_a_break() -> None:
    one = stream()
    assert len(list(one.feed(event(b"{")))) == 1
    assert list(one.feed(chunk({"content": "Hi"}))) == list(one.close()) == list(one.close()) == []


def test_an_oversized_event_breaks_the_stream(drive: Any) -> None:
    run = drive(stream(Limits(event_bytes=500)), [chunk({"content": "x" * 600})])
    assert run.described == [{"event": "Broken", "code": "protocol", "detail": "a server-sent event is longer than 500 bytes", "raw": ""}]


@pytest.mark.parametrize("error", [{"message": "m\n\ndata: x", "code": 500}, "text", {"code": 1}, ["x"], {"message": 7}])
def test_a_provider_error_is_passed_on_alone(error: Any, drive: Any) -> None:
    with_call = {**HEAD, "error": error, "choices": [{"delta": {"tool_calls": [piece()]}}]}
    run = drive(stream(), [chunk({"tool_calls": [piece()]}), event(with_call)])
    assert run.described[-1]["code"] == "provider_error"
    assert run.described[-1]["detail"]
    assert [json.loads(line[6:]) for line in run.sent.splitlines() if line] == [{"error": error}]


def test_an_event_named_error_is_an_error_whatever_it_holds(drive: Any) -> None:
    run = drive(stream(), [b'event: error\ndata: {"message": "overloaded"}\n\n'])
    assert json.loads(run.sent[6:]) == {"error": {"message": "overloaded"}}


def test_an_observing_gateway_passes_a_provider_error_as_it_came(drive: Any) -> None:
    raw = b'data:{"error": {"message": "m"}}\n\n'
    assert drive(stream(enforcing=False), [raw]).sent == raw


def test_our_error_in_the_middle_is_one_event_without_done() -> None:
    sent = stream().error(GatewayError("upstream", "truncated", "cut\n\ndata: \u2028x"))
    assert sent.count(b"\n\n") == 1
    assert len(sent.decode().splitlines()) == 2
    assert json.loads(sent[6:])["error"]["message"] == "cut\n\ndata: \u2028x"


# Events that readers disagree about


TWO_NAMES = (
    b'{"id":"c1","choices":[{"index":0,"delta":{"tool_calls":[{"index":0,"id":"a","type":"function",'
    b'"function":{"name":"get_weather","name":"delete_file","arguments":"{}"}}]}}]}'
)


@pytest.mark.parametrize(
    ("data", "problem"),
    [
        (TWO_NAMES, "dup_key"),
        (b'{"choices":[{"index":0,"delta":{"content":"Hi"}}],"choices":[{"index":0,"delta":{"tool_calls":[]}}]}', "dup_key"),
        (b'{"choices":[]}{"choices":[{"delta":{"tool_calls":[]}}]}', "trailing_data"),
        (b'{"x":NaN,"choices":[]}', "number"),
        (b'{"x":"\\ud800","choices":[]}', "encoding"),
        (b'{"x":"\xed\xa0\x80","choices":[]}', "encoding"),
        (b'{"x":' + b"[" * 100 + b"]" * 100 + b"}", "depth"),
    ],
)
def test_an_ambiguous_event_is_dropped_and_stands_as_one_denied_call(data: bytes, problem: str, drive: Any) -> None:
    run = drive(stream(), [event(data), event(data), chunk({}, "tool_calls"), DONE])
    assert [(c.name, c.problem, c.args) for c in run.calls] == [("unknown", problem, None)]
    assert b"tool_calls" not in run.sent
    assert run.sent.endswith(DONE)


def test_an_ambiguous_event_denies_every_call_not_yet_judged(drive: Any) -> None:
    run = drive(stream(), [chunk({"tool_calls": [piece()]}), event(TWO_NAMES), chunk({}, "tool_calls"), chunk({}, "stop", choice=1)])
    assert problems(run) == ["dup_key"]


def test_an_ambiguous_event_in_every_choice_denies_the_calls_of_each(drive: Any) -> None:
    pieces = [chunk({"tool_calls": [piece()]}, choice=n) for n in (0, 1)]
    ends = [chunk({}, "tool_calls", choice=n) for n in (0, 1)]
    assert problems(drive(stream(), [*pieces, event(TWO_NAMES), *ends])) == ["dup_key", "dup_key"]


def test_an_ambiguous_event_before_done_is_truncated(drive: Any) -> None:
    assert drive(stream(), [event(TWO_NAMES), DONE]).described[-1]["code"] == "truncated"


def test_an_ambiguous_event_under_a_cut_finish_is_truncated(drive: Any) -> None:
    assert drive(stream(), [event(TWO_NAMES), chunk({}, "length")]).described[-1]["code"] == "truncated"


def test_an_ambiguous_event_after_the_finish_breaks_the_stream(drive: Any) -> None:
    assert drive(stream(), [chunk({}, "stop"), event(TWO_NAMES)]).described[-1]["code"] == "protocol"


def test_numbers_of_the_envelope_may_be_of_any_precision(drive: Any) -> None:
    odd = b'{"id":"c","x":18446744073709551616,"choices":[{"index":0,"delta":{},"logprobs":{"v":-0.10000000000000001}}]}'
    raw = event(odd)
    assert list(stream().feed(raw)) == [Forward(raw, None, (0, {}))]


# Bounds


def test_a_call_longer_than_the_limit_is_denied_and_not_kept(drive: Any) -> None:
    run = calling(*[piece(0, ..., None if n else "f", "x" * 90) for n in range(3)], limits=Limits(call_bytes=100), drive=drive)
    assert problems(run) == ["hold_limit"]
    assert len(run.calls[0].arguments) < 100


def test_calls_beyond_the_limit_are_denied_as_one(drive: Any) -> None:
    run = calling(*[piece(n, f"c{n}") for n in range(20)], limits=Limits(calls=3), drive=drive)
    assert problems(run) == [None, None, None, "call_limit"]


def test_the_limit_of_calls_counts_all_choices(drive: Any) -> None:
    wire = [chunk({"tool_calls": [piece(n, f"c{n}") for n in range(2)]}, choice=c) for c in (0, 1)]
    run = drive(stream(Limits(calls=3)), [*wire, *(chunk({}, "tool_calls", choice=c) for c in (0, 1))])
    assert problems(run) == [None, None, None, "call_limit"]


def test_an_answer_that_holds_too_much_denies_its_calls_and_breaks(drive: Any) -> None:
    pieces = [piece(n, f"c{n}", "f", "x" * 400) for n in range(4)]
    run = calling(*pieces, limits=Limits(hold_bytes=1000), drive=drive)
    assert problems(run) == ["hold_limit"] * 3
    assert run.described[-1]["code"] == "hold_limit"
    assert b"tool_calls" not in run.sent


# Usage


def test_usage_the_client_did_not_ask_for_is_hidden_but_kept(drive: Any) -> None:
    frame = event({**HEAD, "choices": [], "usage": USAGE})
    run = drive(stream(usage=False), [chunk({"content": "Hi"}), chunk({}, "stop"), frame, DONE])
    assert Hidden(frame) in run.events
    assert run.stream.answer.usage == Usage(input=10, output=5)
    assert json.loads(run.stream.answer.usage_raw) == USAGE
    assert b"usage" not in run.sent


def test_usage_in_other_chunks_is_left_out_too_when_not_asked_for(drive: Any) -> None:
    run = drive(stream(usage=False), [chunk({"content": "Hi"}, top={"usage": USAGE}), chunk({}, "stop", top={"usage": USAGE})])
    assert run.stream.answer.usage == Usage(input=10, output=5)
    assert b"usage" not in run.sent
    assert b"Hi" in run.sent


def test_usage_asked_for_passes_as_it_came(drive: Any) -> None:
    frame = event({**HEAD, "choices": [], "usage": USAGE})
    assert frame in drive(stream(), [chunk({}, "stop"), frame, DONE]).sent


def test_a_chunk_without_choices_passes_cleaned(drive: Any) -> None:
    raw = event({**HEAD, "choices": None, "prompt_filter_results": [], "Tool_Calls": [1]})
    (forward,) = stream().feed(raw)
    assert isinstance(forward, Forward)
    assert forward.clean == event(json.dumps({**HEAD, "choices": None, "prompt_filter_results": []}, separators=(",", ":")).encode())


# Whatever comes, in whatever cut


def deltas() -> st.SearchStrategy[Any]:
    index = st.sampled_from([0, 0, 1, 1, 2, None, "0", 7])
    entry = st.builds(
        lambda i, c, n, a: piece(i, c, n, a),
        index,
        st.sampled_from(["a", "b", None]),
        st.sampled_from(["f", None, "dеlete"]),
        st.sampled_from(["", "{", "}", "{}", '{"a":1}', '{"a":1,"a":2}']),
    )
    return st.one_of(
        st.fixed_dictionaries({"content": st.sampled_from(["x", "", "\u2028", None])}),
        st.fixed_dictionaries({"tool_calls": st.lists(entry, max_size=2)}),
        st.fixed_dictionaries({"function_call": st.just({"name": "g", "arguments": "{}"})}),
        st.fixed_dictionaries({"Tool_Calls": st.lists(entry, max_size=1)}),
    )


finishes = st.sampled_from([None, None, None, "tool_calls", "stop", "length"])
chunks = st.builds(lambda d, f, c: chunk(d, f, choice=c), deltas(), finishes, st.sampled_from([0, 0, 1]))
wires = st.lists(chunks | st.sampled_from([DONE, b": c\n\n", event(TWO_NAMES)]), max_size=8).map(b"".join)


@settings(max_examples=300)
@given(wire=wires, cuts=st.lists(st.integers(0, 4000), max_size=5), ask=st.booleans())
def test_a_client_never_gets_a_call_that_was_not_released(wire: bytes, cuts: list[int], ask: bool) -> None:
    def run(pieces: list[bytes]) -> tuple[list[Any], bytes, list[tuple[str, str]]]:
        decoder, events, sent, released = stream(usage=ask), [], b"", []
        for said in [*(decoder.feed(p) for p in pieces), decoder.close()]:
            for e in said:
                events.append(e)
                if isinstance(e, Forward):
                    sent += e.raw if e.clean is None else e.clean
                elif isinstance(e, Proposed) and e.call.problem is None and e.call.id == "a":
                    sent += decoder.release(e.call)
                    released.append((e.call.name, e.call.arguments))
                elif isinstance(e, Proposed):
                    sent += decoder.explain(e.call, "no")
                elif isinstance(e, Ended):
                    sent += decoder.ended(e, len(released), 1)
        return events, sent, released

    edges = [0, *sorted(c % (len(wire) + 1) for c in cuts), len(wire)]
    whole = run([wire])
    assert run([wire[a:b] for a, b in pairwise(edges)]) == whole
    assert read_calls(whole[1]) == whole[2]


def read_calls(sent: bytes) -> list[tuple[str, str]]:
    """Every call a naive client would see in these bytes, by whatever key."""
    found: list[tuple[str, str]] = []
    for line in sent.decode().splitlines():
        data = line.partition("data:")[2].strip()
        for choice in json.loads(data).get("choices", []) if data.startswith("{") else []:
            for key, value in choice["delta"].items():
                if "call" in key.casefold() and value:
                    payloads = [v["function"] for v in value] if isinstance(value, list) else [value]
                    found += [(p["name"], p["arguments"]) for p in payloads]
    return found
