"""What a Responses stream does with what should not be: kept back, bounded, or broken off; and what a stored conversation is owed."""

from __future__ import annotations

import json
from typing import Any

import msgspec
import pytest

from gateway.answer import MOST_TEXT, Answer
from gateway.dialects import openai_responses as dialect
from gateway.dialects import openai_responses_shape as shape
from gateway.dialects.events import Broken, Limits
from gateway.dialects.openai_responses_items import read_call
from gateway.dialects.openai_responses_owed import with_answers
from gateway.errors import GatewayError
from gateway.request import Owed, Request

TOOLS = [{"type": "function", "name": name} for name in ("f", "g")]
HEAD = {"id": "resp_1", "object": "response", "model": "m", "status": "in_progress", "output": []}


def asked(path: str = "/v1/responses", method: str = "POST", **more: Any) -> Request:
    endpoint = next(each for each in dialect.endpoints(path) if each.method == method)
    body = b"" if endpoint.subject else json.dumps({"model": "m", "input": "x", "tools": TOOLS, "stream": True} | more).encode()
    return dialect.decode_request(body, {}, frozenset(), endpoint)


def wire(*events: Any, numbers: bool = True) -> bytes:
    out = b""
    for number, (kind, more) in enumerate(events):
        tree = {"type": kind, **({"sequence_number": number} if numbers else {}), **more}
        out += b"event: " + kind.encode() + b"\ndata: " + json.dumps(tree).encode() + b"\n\n"
    return out


def begun() -> Any:
    return "response.created", {"response": HEAD}


def added(item: Any, at: int = 0) -> Any:
    return "response.output_item.added", {"output_index": at, "item": item}


def done(item: Any, at: int = 0) -> Any:
    return "response.output_item.done", {"output_index": at, "item": item}


def last(*output: Any, kind: str = "completed", **more: Any) -> Any:
    return f"response.{kind}", {"response": HEAD | {"status": kind, "output": list(output)} | more}


def call(name: str = "f", number: int = 1, **more: Any) -> dict[str, Any]:
    head = {"id": f"fc_{number}", "type": "function_call", "call_id": f"call_{number}", "name": name}
    return head | {"arguments": "{}", "status": "completed"} | more


WORDS = {"id": "m1", "type": "message", "role": "assistant", "status": "completed", "content": []}
DELTA = "response.function_call_arguments.delta"
PART = {"type": "output_text", "text": "Hello world", "annotations": []}
SPOKEN = WORDS | {"content": [PART]}
AT = {"output_index": 0, "content_index": 0, "item_id": "m1"}


def said(text: str) -> Any:
    return "response.output_text.delta", AT | {"delta": text}


COPIES = {
    "begun": [added(SPOKEN), done(WORDS)],
    "text done": [added(WORDS), ("response.output_text.done", AT | {"text": "Hello world"}), done(WORDS)],
    "part begun": [added(WORDS), ("response.content_part.added", AT | {"part": PART}), done(WORDS)],
    "part done": [added(WORDS), ("response.content_part.done", AT | {"part": PART}), done(WORDS)],
    "refused": [added(WORDS), ("response.refusal.done", AT | {"refusal": "Hello world"}), done(WORDS)],
    "item done": [added(WORDS), done(SPOKEN)],
    "all": [added(SPOKEN), said("Hello "), said("world"), ("response.output_text.done", AT | {"text": "Hello world"}), done(SPOKEN)],
    "from the middle on": [added(WORDS), said("lo wor"), said("ld"), done(SPOKEN)],
}


@pytest.mark.parametrize("enforcing", [True, False])
@pytest.mark.parametrize("how", COPIES)
def test_words_that_only_a_copy_says_are_what_the_answer_says(how: str, enforcing: bool) -> None:
    stream = dialect.stream(asked(), Limits(), enforcing=enforcing)
    list(stream.feed(wire(begun(), *COPIES[how], last(WORDS))))
    assert stream.answer.text == "Hello world"


@pytest.mark.parametrize(("enforcing", "text"), [(True, ""), (False, "Hello world")])
def test_words_of_the_last_copy_count_where_it_is_passed_on_as_it_came(enforcing: bool, text: str) -> None:
    stream = dialect.stream(asked(), Limits(), enforcing=enforcing)
    list(stream.feed(wire(begun(), added(WORDS), done(WORDS), last(SPOKEN))))
    assert stream.answer.text == text


def test_copies_that_say_other_words_are_heard_beside_what_was_said_and_none_beyond_what_is_kept() -> None:
    stream = dialect.stream(asked(), Limits(), enforcing=True)
    other = SPOKEN | {"content": [PART | {"text": "Other words"}, {"type": "refusal", "refusal": "No."}, "odd"]}
    list(stream.feed(wire(begun(), added(WORDS), said("Hello world"), done(other))))
    assert stream.answer.text == "Hello worldOther wordsNo."
    stream = dialect.stream(asked(), Limits(), enforcing=True)
    long = SPOKEN | {"content": [PART | {"text": "x" * MOST_TEXT + "y"}]}
    list(stream.feed(wire(begun(), added(WORDS), said("x" * 10), done(long), added(SPOKEN, 1), done(SPOKEN, 1))))
    assert stream.answer.text == "x" * MOST_TEXT


@pytest.fixture
def play(drive: Any) -> Any:
    def run(
        *events: Any, limits: Limits | None = None, enforcing: bool = True, request: Request | None = None, judge: str = "allowed"
    ) -> Any:
        stream = dialect.stream(request or asked(), limits or Limits(), enforcing=enforcing)
        return drive(stream, [wire(*events)], judge)

    return run


def broken(run: Any) -> tuple[str, str] | None:
    return next(((event.code, event.detail) for event in run.events if isinstance(event, Broken)), None)


@pytest.mark.parametrize(
    "events",
    [
        [("response.created", {"response": 7})],
        [("response.completed", {"response": 7})],
        [("response.completed", {"response": {"output": {}}})],
        [begun(), added(7)],
        [begun(), added(WORDS, 1)],
        [begun(), added(WORDS, True)],  # type: ignore[arg-type]
        [begun(), done(WORDS)],
        [begun(), added(WORDS), done(WORDS), done(WORDS)],
        [begun(), added(WORDS), done(call())],
        [begun(), added(WORDS), done(7)],
        [begun(), ("response.output_text.delta", {"output_index": 0, "content_index": 0, "delta": "x"})],
        [begun(), added(WORDS), ("response.output_text.delta", {"output_index": -1, "content_index": 0, "delta": "x"})],
        [begun(), added(WORDS), ("response.output_text.delta", {"output_index": 0, "content_index": "0", "delta": "x"})],
        [begun(), added(WORDS), (DELTA, {"output_index": 0, "delta": "x"})],
        [begun(), added(call()), done(call()), (DELTA, {"output_index": 0, "delta": "x"})],
    ],
)
def test_a_stream_that_breaks_its_own_rules_is_broken_off(events: Any, play: Any) -> None:
    found = broken(play(*events))
    assert found is not None
    assert found[0] == "protocol"


@pytest.mark.parametrize("data", [b"{", b"[1]", b'{"type":7}', b'"x"'])
def test_an_event_that_is_none_breaks_the_stream(data: bytes) -> None:
    stream = dialect.stream(asked(), Limits(), enforcing=True)
    (event,) = stream.feed(b"data: " + data + b"\n\n")
    assert event.code == "protocol"
    assert list(stream.feed(wire(begun()))) == list(stream.close()) == []


def test_events_are_bounded() -> None:
    stream = dialect.stream(asked(), Limits(event_bytes=50), enforcing=True)
    (event,) = stream.feed(b"data: " + b"x" * 100)
    assert event.code == "protocol"


def test_comments_and_what_is_unfinished_behind_the_end_are_no_part_of_the_answer(drive: Any) -> None:
    stream = dialect.stream(asked(), Limits(), enforcing=True)
    run = drive(stream, [b": odd\x00\n\n" + wire(begun(), last()) + b"data: [DONE]\n\ndata: {"])
    assert run.sent.startswith(b":\n\n")
    assert run.sent.endswith(b"[DONE]\n\n")
    assert broken(run) is None


@pytest.mark.parametrize(
    ("events", "problem"),
    [
        ([added(call()), (DELTA, {"output_index": 0, "delta": 7}), done(call())], "type"),
        ([added(call()), (DELTA, {"output_index": 0, "delta": "x" * 100}), done(call())], "hold_limit"),
        (
            [
                added(call()),
                ("response.function_call_arguments.done", {"output_index": 0, "name": "g", "arguments": "{}"}),
                done(call()),
            ],
            "copies_differ",
        ),
        ([added(call("g")), done(call())], "copies_differ"),
        ([added(call(arguments={})), done(call(arguments={}))], "type"),
        ([added(call(call_id=None)), done(call(call_id=None))], "bad_id"),
        ([added(call(status="incomplete")), done(call(status="incomplete"))], "truncated"),
        ([added(call(namespace=7)), done(call(namespace=7))], "bad_name"),
        (
            [
                added({"type": "custom_tool_call", "call_id": "c", "name": "f", "input": 7}),
                done({"type": "custom_tool_call", "call_id": "c", "name": "f", "input": 7}),
            ],
            "type",
        ),
        ([added({"type": "shell_call", "call_id": "c"}), done({"type": "shell_call", "call_id": "c"})], "type"),
        (
            [
                added({"type": "shell_call", "call_id": "c", "action": {"a": 1}}),
                done({"type": "shell_call", "call_id": "c", "action": {"a": 2}}),
            ],
            "copies_differ",
        ),
    ],
)
def test_a_call_that_is_told_in_two_ways_or_in_none_is_denied(events: Any, problem: str, play: Any) -> None:
    output = events[-1][1]["item"]
    run = play(begun(), *events, last(output), limits=Limits(call_bytes=50))
    assert [found.problem for found in run.calls] == [problem]
    assert broken(run) is None


def test_a_call_that_is_never_finished_is_no_call(play: Any) -> None:
    assert [found.problem for found in play(begun(), added(call()), last()).calls] == ["truncated"]
    assert [found.problem for found in play(begun(), added(call()), last(call())).calls] == [None]
    assert [
        found.problem for found in play(begun(), added(WORDS), done(WORDS), added(call(), 1), done(call(), 1), last(WORDS)).calls
    ] == ["copies_differ"]


def test_a_call_without_arguments_has_none() -> None:
    found = read_call(call(arguments=None), 0, Limits())
    assert (found.args, found.arguments, found.problem) == ({}, "{}", None)


def test_a_custom_call_may_be_long_only_within_bounds() -> None:
    item = {"type": "custom_tool_call", "call_id": "c", "name": "f", "input": "x" * 100}
    assert read_call(item, 0, Limits(call_bytes=50)).problem == "hold_limit"


def test_an_approval_is_judged_by_what_would_be_run() -> None:
    item = {"type": "mcp_approval_request", "id": "m1", "server_label": "dice", "name": "roll", "arguments": '{"n":2}'}
    found = read_call(item, 0, Limits())
    assert (found.id, found.name, found.args) == (
        "m1",
        "openai.mcp_approval",
        {"server_label": "dice", "name": "roll", "arguments": {"n": 2}},
    )
    assert read_call(item | {"arguments": '{"n":1,"n":2}'}, 0, Limits()).problem == "dup_key"


def test_more_calls_than_allowed_are_one_too_many(play: Any) -> None:
    events = [event for at in range(5) for event in (added(call(number=at), at), done(call(number=at), at))]
    run = play(begun(), *events, last(*(call(number=at) for at in range(5))), limits=Limits(calls=2))
    assert [found.problem for found in run.calls] == [None, None, "call_limit"]


def test_what_is_held_is_bounded_for_calls_and_more_generously_for_words(play: Any) -> None:
    run = play(begun(), added(call()), *[(DELTA, {"output_index": 0, "delta": "x" * 90})] * 9, limits=Limits(hold_bytes=1000))
    assert [found.problem for found in run.calls] == ["truncated"]
    assert broken(run) == ("hold_limit", "what is held of this answer is longer than 1000 bytes")
    thought = {"id": "rs", "type": "reasoning", "summary": []}
    delta = ("response.reasoning_summary_text.delta", {"output_index": 0, "summary_index": 0, "delta": "x" * 90})
    assert broken(play(begun(), added(thought), *[delta] * 20, last(thought), limits=Limits(hold_bytes=1000))) is None
    assert broken(play(begun(), added(thought), *[delta] * 90, limits=Limits(hold_bytes=1000))) is not None


def test_reasoning_at_the_end_leaves_with_the_end(play: Any) -> None:
    thought = {"id": "rs", "type": "reasoning", "summary": []}
    run = play(begun(), added(thought), done(thought), last(thought))
    assert run.sent == wire(begun(), added(thought), done(thought), last(thought)).replace(b"", b"") or b'"rs"' in run.sent
    assert json.loads(run.sent.split(b"data: ")[-1])["response"]["output"] == [thought]


def test_loose_events_pass_and_wait_behind_a_call(play: Any) -> None:
    loose = ("keepalive", {})
    assert play(begun(), loose, last()).sent == wire(begun(), loose, last())
    assert b"keepalive" not in play(begun(), added(call()), loose, done(call()), last(call())).sent


def test_parts_of_an_unknown_kind_leave_no_trace_and_those_behind_move_up(play: Any) -> None:
    def part(at: int, kind: str) -> Any:
        return "response.content_part.added", {"output_index": 0, "content_index": at, "part": {"type": kind, "text": ""}}

    def text(at: int) -> Any:
        return "response.output_text.delta", {"output_index": 0, "content_index": at, "delta": f"d{at}"}

    told = WORDS | {"content": [{"type": "x"}, {"type": "output_text", "text": "d1"}]}
    run = play(begun(), added(WORDS), part(0, "x"), text(0), part(1, "output_text"), text(1), done(told), last(told))
    assert b"d0" not in run.sent
    assert b'"content_index":0' in run.sent
    assert b'"content_index":1' not in run.sent.split(b"call")[0]
    assert [found.problem for found in run.calls] == ["unknown_type"]


def test_a_piece_of_text_without_a_text_is_no_event_of_the_dialect(play: Any) -> None:
    piece = ("response.output_text.delta", {"output_index": 0, "content_index": 0})
    code, _ = broken(play(begun(), added(WORDS), piece, done(WORDS), last(WORDS))) or ("", "")
    assert code == "protocol"


def test_an_item_whose_content_is_no_list_is_suspect(play: Any) -> None:
    run = play(begun(), added(WORDS | {"content": "x"}), last(WORDS))
    assert [found.problem for found in run.calls] == ["unknown_type"]


def test_a_shell_in_a_container_is_the_provider_s_when_it_was_granted(play: Any) -> None:
    item = {
        "type": "shell_call",
        "id": "s",
        "call_id": "c",
        "status": "completed",
        "action": {},
        "environment": {"type": "container_reference"},
    }
    request = asked(tools=[{"type": "shell", "environment": {"type": "container_auto"}}])
    assert play(begun(), added(item), done(item), last(item), request=request).calls == []
    assert [c.name for c in play(begun(), added(item), done(item), last(item)).calls] == ["openai.shell"]


SHELL = {"type": "shell_call", "id": "s", "call_id": "c", "environment": {"type": "local"}}
WHOLE_SHELL = SHELL | {"status": "completed", "action": {"commands": ["ls -l", "pwd"], "timeout_ms": 9}}
BEGUN_SHELL = SHELL | {"status": "in_progress", "action": {"commands": [], "timeout_ms": None}}


def command(end: str, place: Any, text: Any, at: int = 0) -> Any:
    key = "delta" if end == "delta" else "command"
    return f"response.shell_call_command.{end}", {"output_index": at, "command_index": place, key: text}


STREAMED = (
    command("added", 0, "ls"), command("delta", 0, " -"), command("delta", 0, "l"), command("done", 0, "ls -l"), command("done", 1, "pwd"),
)  # fmt: skip


def test_a_shell_call_whose_commands_are_streamed_is_judged_as_a_whole_and_written_from_what_was_judged(play: Any) -> None:
    run = play(begun(), added(BEGUN_SHELL), *STREAMED, done(WHOLE_SHELL), last(WHOLE_SHELL))
    (call,) = run.calls
    assert (call.name, call.problem) == ("openai.shell", None)
    assert json.loads(call.arguments)["action"]["commands"] == ["ls -l", "pwd"]
    assert b"shell_call_command" not in run.sent
    assert run.sent.count(b'"commands":["ls -l","pwd"]') == 3  # begun, done, and in the whole response
    denied = play(begun(), added(BEGUN_SHELL), *STREAMED, done(WHOLE_SHELL), last(WHOLE_SHELL), judge="denied")
    assert b"pwd" not in denied.sent


@pytest.mark.parametrize(
    ("events", "problem"),
    [
        ([command("added", 0, "ls -l"), command("done", 0, "rm")], "copies_differ"),
        ([command("delta", 0, "rm"), command("delta", 1, "pwd")], "copies_differ"),
        ([command("added", 0, "ls -l")], "copies_differ"),
        ([*STREAMED, command("done", 2, "rm")], "copies_differ"),
        ([command("added", "0", "ls -l")], "type"),
        ([command("added", 0, None)], "type"),
        ([command("delta", 0, {"a": "ls -l"})], "type"),
        ([command("delta", 0, "x" * 100)], "hold_limit"),
    ],
)
def test_a_shell_call_that_is_streamed_in_another_way_than_it_ends_is_none(events: Any, problem: str, play: Any) -> None:
    run = play(begun(), added(BEGUN_SHELL), *events, done(WHOLE_SHELL), last(WHOLE_SHELL), limits=Limits(call_bytes=90))
    assert [found.problem for found in run.calls] == [problem]


@pytest.mark.parametrize("action", [{"commands": ["pwd"]}, {"commands": [], "timeout_ms": 10}, "ls", None])
def test_a_shell_call_may_only_begin_with_what_it_ends_with(action: Any, play: Any) -> None:
    begins = BEGUN_SHELL | {"action": action}
    run = play(begun(), added(begins), *STREAMED, done(WHOLE_SHELL), last(WHOLE_SHELL))
    assert [found.problem for found in run.calls] == [None if action is None else "copies_differ"]


RAN = SHELL | {"environment": {"type": "container_reference"}, "status": "completed", "action": {"commands": ["ls"]}}
WROTE = {"type": "shell_call_output", "id": "o", "call_id": "c", "output": [{"stdout": "a.txt", "stderr": "", "outcome": {"type": "exit"}}]}


def wrote(end: str, **more: Any) -> Any:
    return f"response.shell_call_output_content.{end}", {"item_id": "o", "output_index": 1, "command_index": 0, **more}


def test_what_a_shell_at_the_provider_does_is_passed_on_as_it_is_streamed(play: Any) -> None:
    events = (
        begun(), added(RAN | {"action": {"commands": []}}),
        command("added", 0, ""), command("delta", 0, "ls"), command("done", 0, "ls"), done(RAN),
        added(WROTE | {"output": []}, 1), wrote("delta", delta={"stdout": "a.", "stderr": None}), wrote("delta", delta={"stdout": "txt"}),
        wrote("done", output=WROTE["output"]), done(WROTE, 1), last(RAN, WROTE),
    )  # fmt: skip
    request = asked(tools=[{"type": "shell", "environment": {"type": "container_auto"}}])
    run = play(*events, request=request)
    assert (run.calls, run.sent) == ([], wire(*events))


@pytest.mark.parametrize("delta", ["a.txt", {"stdout": {"type": "function_call"}}, {"call": "x"}, ["a"], None])
def test_what_a_command_wrote_is_text(delta: Any, play: Any) -> None:
    request = asked(tools=[{"type": "shell", "environment": {"type": "container_auto"}}])
    events = (begun(), added(RAN), done(RAN), added(WROTE | {"output": []}, 1), wrote("delta", delta=delta))
    found = broken(play(*events, request=request))
    assert found == ("protocol", "`response.shell_call_output_content.delta` with something else than text")


def test_a_conversation_that_is_being_compacted_says_so(play: Any) -> None:
    item = {"type": "compaction", "id": "k", "encrypted_content": "x"}
    events = (begun(), added(item), ("response.compaction.compacting", {"item_id": "k", "output_index": 0}), done(item), last(item))
    assert play(*events).sent == wire(*events)


def test_a_call_that_is_answered_later_says_so_when_it_is_released(play: Any) -> None:
    made = call(**{"async": True})
    run = play(begun(), added(made), done(made), last(made))
    assert run.sent.count(b'"async":true') == 3
    assert run.stream.findings == []


def test_a_search_for_tools_at_the_provider_is_its_own_when_it_was_granted(play: Any) -> None:
    item = {"type": "tool_search_call", "id": "t", "execution": "server", "status": "completed", "arguments": {"q": 1}}
    assert play(begun(), added(item), done(item), last(item), request=asked(tools=[{"type": "tool_search"}])).calls == []
    assert [c.name for c in play(begun(), added(item), done(item), last(item)).calls] == ["openai.tool_search"]


def test_a_cut_beside_a_call_is_seen_by_an_observer_as_a_denied_call(play: Any) -> None:
    events = (begun(), added(call()), done(call()), last(call(), kind="incomplete"))
    assert broken(play(*events)) == ("truncated", "the answer was cut while a call was being proposed")
    assert [c.problem for c in play(*events, enforcing=False).calls] == ["truncated"]


def test_a_fetched_stream_may_have_failed(play: Any) -> None:
    failed = last(kind="failed", error={"code": "x", "message": "No."})
    assert broken(play(begun(), failed, request=asked("/v1/responses/resp_1", "GET"))) is None
    assert broken(play(begun(), failed)) == ("provider_error", "No.")


def test_an_error_without_an_error_is_an_error(play: Any) -> None:
    run = play(begun(), ("error", {"message": "Slow.", "code": "rate"}))
    assert broken(run) == ("provider_error", "Slow.")
    assert json.loads(run.sent.split(b"data: ")[-1])["error"]["code"] == "rate"
    assert broken(play(begun(), ("error", {"error": "Oh."})))[1] == "Oh."


def test_a_stream_is_not_ended_before_its_end() -> None:
    with pytest.raises(RuntimeError):
        dialect.stream(asked(), Limits(), enforcing=True).ended(None, 0, 0)  # type: ignore[arg-type]


# What is owed


def owed(kind: str, call_id: str = "c1") -> Owed:
    return Owed(call_id, kind, "Denied.")


@pytest.mark.parametrize(
    ("kind", "item"),
    [
        ("function_call", {"type": "function_call_output", "call_id": "c1", "output": "Denied."}),
        ("unknown", {"type": "function_call_output", "call_id": "c1", "output": "Denied."}),
        ("custom_tool_call", {"type": "custom_tool_call_output", "call_id": "c1", "output": "Denied."}),
        ("local_shell_call", {"type": "local_shell_call_output", "id": "c1", "output": "Denied."}),
        ("apply_patch_call", {"type": "apply_patch_call_output", "call_id": "c1", "status": "failed", "output": "Denied."}),
        (
            "tool_search_call",
            {"type": "tool_search_output", "call_id": "c1", "execution": "client", "status": "completed", "tools": []},
        ),
        (
            "mcp_approval_request",
            {"type": "mcp_approval_response", "approval_request_id": "c1", "approve": False, "reason": "Denied."},
        ),
        (
            "shell_call",
            {
                "type": "shell_call_output",
                "call_id": "c1",
                "output": [{"stdout": "", "stderr": "Denied.", "outcome": {"type": "exit", "exit_code": 1}}],
            },
        ),
    ],
)
def test_each_kind_of_call_is_answered_in_its_own_form(kind: str, item: dict[str, Any]) -> None:
    body = json.loads(with_answers(asked(previous_response_id="r"), [owed(kind)]))
    assert body["input"] == [item, {"type": "message", "role": "user", "content": "x"}]
    assert body["model"] == "m"


def test_a_computer_call_cannot_be_answered_with_words() -> None:
    with pytest.raises(GatewayError, match="screenshot"):
        with_answers(asked(), [owed("computer_call")])


def test_what_the_client_answers_itself_is_not_answered_twice() -> None:
    own = [
        {"type": "function_call_output", "call_id": "c1", "output": "ok"},
        {"type": "mcp_approval_response", "approval_request_id": "m1", "approve": True},
    ]
    request = asked(input=own)
    body = json.loads(with_answers(request, [owed("function_call"), owed("mcp_approval_request", "m1")]))
    assert body["input"] == own
    assert with_answers(request, []) is request.body


def test_the_gateway_s_own_words_are_sent_where_they_are_named() -> None:
    request = asked(input=[{"type": "item_reference", "id": "msg_own"}, {"type": "item_reference", "id": "fc_1"}])
    body = json.loads(with_answers(request, [Owed("msg_own", "item", "Blocked.")]))
    assert body["input"][0]["content"][0]["text"] == "Blocked."
    assert body["input"][0]["role"] == "assistant"
    assert body["input"][1] == {"type": "item_reference", "id": "fc_1"}


def test_a_request_without_input_gets_one() -> None:
    bare = msgspec.structs.replace(asked(), body=b'{"model":"m","previous_response_id":"r"}')
    assert len(json.loads(with_answers(bare, [owed("function_call")]))["input"]) == 1


# Plain answers


@pytest.mark.parametrize(
    ("path", "method", "body", "answer"),
    [
        ("/v1/responses/input_tokens", "POST", {"object": "response.input_tokens", "input_tokens": 7}, Answer(model="m")),
        ("/v1/conversations/conv_1", "GET", {"id": "conv_1", "object": "conversation"}, Answer(id="conv_1")),
        ("/v1/responses/resp_1", "DELETE", {"id": "resp_1", "deleted": True}, Answer()),
    ],
)
def test_plain_answers_are_what_their_operation_answers(path: str, method: str, body: Any, answer: Answer) -> None:
    request = asked(path, method) if method != "POST" else asked(path, stream=None)
    assert dialect.decode_plain(json.dumps(body).encode(), request) == answer
    for wrong in ({}, {"id": 7}, {"id": "x", "output": []}, {"id": "x", "deleted": False, "content": []}):
        with pytest.raises(GatewayError):
            dialect.decode_plain(json.dumps(wrong).encode(), request)


def test_what_was_not_deleted_is_no_answer_to_delete() -> None:
    with pytest.raises(GatewayError, match="deleted"):
        dialect.decode_plain(b'{"id":"resp_1"}', asked("/v1/responses/resp_1", "DELETE"))


def test_errors_are_openai_s() -> None:
    wire_error = dialect.error_answer(GatewayError("refused", "why", "No."))
    assert (wire_error.status, json.loads(wire_error.body)["error"]["code"]) == (400, "why")


def test_words_whose_final_copy_is_a_call_bring_a_denied_call(play: Any) -> None:
    run = play(begun(), added(WORDS), done(WORDS), last(call()))
    assert [found.problem for found in run.calls] == ["copies_differ"]
    assert json.loads(run.sent.split(b"data: ")[-1])["response"]["output"][0] == WORDS


def test_a_copy_of_the_name_that_agrees_is_no_fault_and_items_without_ids_are_delivered(play: Any) -> None:
    told = {key: value for key, value in call().items() if key != "id"}
    run = play(
        begun(),
        added(told),
        ("response.function_call_arguments.done", {"output_index": 0, "name": "f", "arguments": "{}"}),
        done(told),
        last(told),
    )
    assert [found.problem for found in run.calls] == [None]
    assert json.loads(run.sent.split(b"data: ")[-1])["response"]["output"] == [told]


def test_an_item_without_a_kind_is_a_call_nobody_can_read(play: Any) -> None:
    run = play(begun(), added({"id": "x"}), done({"id": "x"}), last({"id": "x"}))
    assert [found.problem for found in run.calls] == ["unknown_type"]
    assert shape.item_keys(None) is None


def test_events_without_numbers_stay_without(drive: Any) -> None:
    events = wire(begun(), added(call()), done(call()), last(call()), numbers=False)
    assert b"sequence_number" not in drive(dialect.stream(asked(), Limits(), enforcing=True), [events]).sent


def test_the_request_s_own_bytes_leave_when_nothing_is_owed() -> None:
    assert dialect.upstream_body(asked()) == asked().body
    assert dialect.auth_headers("k", {}) == {"authorization": "Bearer k"}


@pytest.mark.parametrize("key", ["delta", "text", "refusal"])
def test_what_should_be_text_and_is_an_object_breaks_the_stream(key: str, play: Any) -> None:
    kind = {"delta": "output_text.delta", "text": "output_text.done", "refusal": "refusal.done"}[key]
    run = play(begun(), added(WORDS), (f"response.{kind}", {"output_index": 0, "content_index": 0, key: call()}))
    assert broken(run) is not None
    assert [c.problem for c in play(begun(), ("response.audio.delta", {"delta": call()}), last()).calls] == ["unknown_type"]
    part = {"type": "refusal" if key == "refusal" else "output_text", "refusal" if key == "refusal" else "text": call()}
    events = (
        begun(),
        added(WORDS),
        ("response.content_part.added", {"output_index": 0, "content_index": 0, "part": part}),
        last(WORDS),
    )
    assert [c.problem for c in play(*events).calls] == ["unknown_type"]
    body = json.dumps(HEAD | {"status": "completed", "output": [WORDS | {"content": [part]}]}).encode()
    assert [c.problem for c in dialect.decode_answer(body, asked(), Limits()).calls] == ["unknown_type"]


@pytest.mark.parametrize("status", ["in_progress", "incomplete", "dreaming", [], {}, 7])
def test_a_call_of_any_other_status_than_completed_is_not_whole(status: Any) -> None:
    assert read_call(call(status=status), 0, Limits()).problem == "truncated"
    body = json.dumps(HEAD | {"status": status, "output": [call()]}).encode()
    assert dialect.decode_answer(body, asked(), Limits()).broken is not None
