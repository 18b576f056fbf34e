"""The request again, with the model's turn and the refusals of its calls: what each dialect can say, and when it says nothing."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from gateway.answer import Answer, Usage
from gateway.dialects import DIALECTS
from gateway.dialects.events import Limits
from gateway.request import Request
from gateway.verdict import Call

BODIES: dict[str, dict[str, Any]] = {
    "openai.chat": {"model": "m", "messages": [{"role": "user", "content": "go"}]},
    "anthropic.messages": {"model": "m", "max_tokens": 9, "messages": [{"role": "user", "content": "go"}]},
    "openai.responses": {"model": "m", "input": "go", "store": False},
    "google.gemini": {"contents": {"role": "user", "parts": [{"text": "go"}]}},
}
GOLDEN = Path(__file__).parent.parent / "golden"
KINDS = {"openai.responses": "function_call"}


def steered(dialect: str, *calls: Call, text: str = "", body: dict[str, Any] | None = None, **more: Any) -> Any:
    asked = json.dumps(BODIES[dialect] | (body or {}) | more).encode()
    request = Request(dialect, "m", False, (), (), asked, stores="response" if (body or {}).get("store") else None)
    found = DIALECTS[dialect].steered(request, Answer(id="resp_1", text=text), [(each, "refused") for each in calls])
    return None if found is None else json.loads(found)


def call(dialect: str, **more: Any) -> Call:
    given = {"id": "c0", "name": "f", "arguments": "{}", "args": {}, "index": 0, "type": KINDS.get(dialect, "function")}
    return Call(**(given | more))


@pytest.mark.parametrize("dialect", DIALECTS)
def test_nothing_but_the_conversation_changes(dialect: str) -> None:
    again = steered(dialect, call(dialect), user="u")
    kept = {key: value for key, value in again.items() if key not in ("messages", "input", "contents")}
    assert kept == {key: value for key, value in (BODIES[dialect] | {"user": "u"}).items() if key in kept}
    assert kept["user"] == "u"


@pytest.mark.parametrize("dialect", DIALECTS)
def test_the_model_s_words_stand_before_its_calls(dialect: str) -> None:
    told = json.dumps(steered(dialect, call(dialect), text="I do it."))
    assert told.index("I do it.") < told.index('"refused"')


@pytest.mark.parametrize(
    ("dialect", "more"),
    [
        ("openai.chat", {"tool_choice": "required"}),
        ("openai.chat", {"tool_choice": {"type": "function", "function": {"name": "f"}}}),
        ("openai.chat", {"functions": [{"name": "f"}]}),
        ("openai.chat", {"n": 2}),
        ("anthropic.messages", {"tool_choice": {"type": "tool", "name": "f"}}),
        ("anthropic.messages", {"thinking": {"type": "enabled", "budget_tokens": 1024}}),
        ("openai.responses", {"tool_choice": {"type": "function", "name": "f"}}),
        ("google.gemini", {"tool_config": {"function_calling_config": {"mode": "ANY"}}}),
        ("google.gemini", {"generationConfig": {"candidateCount": 2}}),
    ],
)
def test_what_the_model_could_only_repeat_is_not_asked_again(dialect: str, more: dict[str, Any]) -> None:
    assert steered(dialect, call(dialect), **more) is None


@pytest.mark.parametrize(
    ("dialect", "more"),
    [
        ("openai.chat", {"tool_choice": "auto", "n": 1}),
        ("anthropic.messages", {"tool_choice": {"type": "auto"}}),
        ("openai.responses", {"tool_choice": "auto"}),
        ("google.gemini", {"toolConfig": {"functionCallingConfig": {"mode": "AUTO"}}}),
    ],
)
def test_a_free_choice_is_asked_again(dialect: str, more: dict[str, Any]) -> None:
    assert steered(dialect, call(dialect), **more) is not None


@pytest.mark.parametrize(
    ("dialect", "more"),
    [
        ("openai.chat", {"choice": 1}),
        ("openai.chat", {"id": ""}),
        ("openai.chat", {"type": "function_call"}),
        ("anthropic.messages", {"args": None}),
        ("anthropic.messages", {"type": "server"}),
        ("openai.responses", {"type": "shell_call"}),
        ("google.gemini", {"choice": 1}),
        ("google.gemini", {"args": None}),
    ],
)
def test_a_call_that_has_no_answer_of_this_form_is_not_answered(dialect: str, more: dict[str, Any]) -> None:
    assert steered(dialect, call(dialect, **more)) is None


def test_custom_calls_are_repeated_with_their_text() -> None:
    chat = steered("openai.chat", call("", type="custom", arguments="rm"))
    assert chat["messages"][1]["tool_calls"][0] == {"id": "c0", "type": "custom", "custom": {"name": "f", "input": "rm"}}
    responses = steered("openai.responses", call("", type="custom_tool_call", arguments="rm"), body={"input": []})
    assert [item["type"] for item in responses["input"]] == ["custom_tool_call", "custom_tool_call_output"]
    assert responses["input"][0]["input"] == "rm"


def test_a_name_in_a_namespace_is_taken_apart() -> None:
    again = steered("openai.responses", call("openai.responses", name="dice.roll"))
    assert (again["input"][1]["namespace"], again["input"][1]["name"]) == ("dice", "roll")


def test_what_the_provider_keeps_is_built_upon() -> None:
    kept = steered("openai.responses", call("openai.responses"), body={"store": True, "previous_response_id": "resp_0"})
    assert kept["previous_response_id"] == "resp_1"
    assert [item["type"] for item in kept["input"]] == ["function_call_output"]
    talk = steered("openai.responses", call("openai.responses"), body={"conversation": "conv_1"})
    assert [item["type"] for item in talk["input"]] == ["function_call_output"]
    assert "previous_response_id" not in talk


def test_calls_of_gemini_keep_their_ids_where_they_have_some() -> None:
    again = steered("google.gemini", call("google.gemini"), call("google.gemini", id=""), body={"contents": [{"parts": [{"text": "go"}]}]})
    assert [part["functionCall"].get("id") for part in again["contents"][1]["parts"]] == ["c0", None]
    assert [part["functionResponse"].get("id") for part in again["contents"][2]["parts"]] == ["c0", None]


FOLDERS = ["openai_chat", "openai_responses", "anthropic_messages", "gemini"]


@pytest.mark.parametrize(("dialect", "folder"), zip(DIALECTS, FOLDERS, strict=True))
def test_a_stream_has_spoken_with_its_first_words_and_not_before(dialect: str, folder: str) -> None:
    stream = DIALECTS[dialect].stream(Request(dialect, "m", True, (), (), b"{}"), Limits(), enforcing=True)
    events = (GOLDEN / folder / "text.sse").read_bytes().replace(b"\r\n", b"\n").split(b"\n\n")
    assert not stream.spoken
    for at, event in enumerate(events):
        list(stream.feed(event + b"\n\n"))
        assert at or folder == "gemini" or not stream.spoken
    assert stream.spoken


@pytest.mark.parametrize("dialect", ["anthropic.messages", "google.gemini"])
def test_a_model_that_thought_and_gave_nothing_of_it_is_not_asked_again(dialect: str) -> None:
    """It wants its thoughts back, signed; the count of tokens tells of them where the request does not."""
    more = {"contents": [{"parts": [{"text": "go"}]}]} if dialect == "google.gemini" else {"messages": [{"role": "user", "content": "go"}]}
    asked = Request(dialect, "m", stream=False, messages=(), tools=(), body=json.dumps(more).encode())
    refused = [(call(dialect), "refused")]
    assert DIALECTS[dialect].steered(asked, Answer(usage=Usage(output=5, reasoning=9)), refused) is None
    assert DIALECTS[dialect].steered(asked, Answer(usage=Usage(output=5, reasoning=0)), refused) is not None


THOUGHT = {"type": "thinking", "thinking": "I could destroy it.", "signature": "c2ln"}


def told_with(dialect: str, answer: Answer, refused: Call, **more: Any) -> Any:
    asked = Request(dialect, "m", stream=False, messages=(), tools=(), body=json.dumps(BODIES[dialect] | more).encode())
    found = DIALECTS[dialect].steered(asked, answer, [(refused, "refused")])
    return None if found is None else json.loads(found)


@pytest.mark.parametrize("kind", [None, "enabled", "adaptive"])
def test_thoughts_of_messages_stand_unaltered_before_words_and_calls(kind: str | None) -> None:
    hidden = {"type": "redacted_thinking", "data": "x"}
    answer = Answer(text="I do it.", usage=Usage(output=5, reasoning=9), thoughts=(THOUGHT, hidden))
    again = told_with(
        "anthropic.messages", answer, call("anthropic.messages"), **({"thinking": {"type": kind}} if kind else {})
    )
    assert again["messages"][1]["content"][:2] == [THOUGHT, hidden]
    assert [block["type"] for block in again["messages"][1]["content"][2:]] == ["text", "tool_use"]


def test_thoughts_between_words_have_no_place_that_could_be_told() -> None:
    assert told_with("anthropic.messages", Answer(thoughts=None), call("anthropic.messages")) is None


def test_a_model_that_may_choose_not_to_think_is_asked_again_where_it_did_not() -> None:
    assert steered("anthropic.messages", call("anthropic.messages"), thinking={"type": "disabled"}) is not None
    assert steered("anthropic.messages", call("anthropic.messages"), thinking={"type": "adaptive"}) is not None


def test_the_signature_beside_a_call_of_gemini_goes_back_with_it() -> None:
    answer = Answer(usage=Usage(output=5, reasoning=9))
    again = told_with("google.gemini", answer, call("google.gemini", signed="c2ln"))
    assert again["contents"][1]["parts"] == [
        {"functionCall": {"name": "f", "id": "c0", "args": {}}, "thoughtSignature": "c2ln"}
    ]


@pytest.mark.parametrize("kind", ["function", "custom"])
def test_what_a_chat_model_thought_and_signed_goes_back_with_its_calls(kind: str) -> None:
    signed = {"google": {"thought_signature": "c2ln"}}
    thoughts = {"reasoning_content": "Hm.", "reasoning_details": [{"type": "reasoning.encrypted", "data": "x"}]}
    again = told_with("openai.chat", Answer(thoughts=(thoughts,)), call("openai.chat", signed=signed, type=kind))
    turn = again["messages"][1]
    assert {key: turn[key] for key in thoughts} == thoughts
    assert turn["tool_calls"][0]["extra_content"] == signed


# -- an answer that must be written anew ------------------------------------------------------------------


def anew(dialect: str, text: str = "too long", stores: Any = None, background: bool = False, **more: Any) -> Any:
    asked = json.dumps(BODIES[dialect] | more).encode()
    request = Request(dialect, "m", False, (), (), asked, stores=stores, background=background)
    found = DIALECTS[dialect].repaired(request, Answer(id="resp_1", text=text), "Make it short.")
    return None if found is None else json.loads(found)


@pytest.mark.parametrize("dialect", DIALECTS)
def test_the_model_is_told_of_its_answer_and_what_it_does_not_meet(dialect: str) -> None:
    again = anew(dialect, user="u")
    told = json.dumps(again)
    assert told.index('"go"') < told.index('"too long"') < told.index('"Make it short."')
    assert again["user"] == "u"


@pytest.mark.parametrize("dialect", DIALECTS)
def test_an_answer_without_words_is_told_of_too(dialect: str) -> None:
    turns = next(value for key, value in anew(dialect, text="").items() if key in ("messages", "input", "contents"))
    assert "Make it short." in json.dumps(turns[-1])
    assert len(turns) == (3 if dialect == "openai.chat" else 2)


@pytest.mark.parametrize(("dialect", "more"), [("openai.chat", {"n": 2}), ("google.gemini", {"generationConfig": {"candidateCount": 2}})])
def test_of_several_answers_none_is_written_anew(dialect: str, more: dict[str, Any]) -> None:
    assert anew(dialect, **more) is None


def test_gemini_contents_may_be_one_or_a_list() -> None:
    many = anew("google.gemini", contents=[BODIES["google.gemini"]["contents"]])
    assert many["contents"] == anew("google.gemini")["contents"]


def test_a_response_that_the_provider_keeps_is_built_upon() -> None:
    asked = [{"role": "user", "content": "Make it short."}]
    kept = anew("openai.responses", stores="response", store=True)
    assert (kept["previous_response_id"], kept["input"]) == ("resp_1", asked)
    held = anew("openai.responses", conversation="conv_1")
    assert (held["input"], "previous_response_id" in held) == (asked, False)
    listed = anew("openai.responses", input=[{"role": "user", "content": "go"}])
    assert len(listed["input"]) == 3
    assert anew("openai.responses", background=True) is None
