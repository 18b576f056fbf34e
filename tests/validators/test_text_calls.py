"""Calls written as text are seen, whatever form they take; ordinary words are not."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.validators import text_calls

TOOLS = ("delete_file", "run_shell", "weather.get")


@pytest.mark.parametrize(
    ("text", "form"),
    [
        ('<tool_call>{"name": "delete_file", "arguments": {"path": "/x"}}</tool_call>', "json"),
        ('Sure.\n```json\n{"name":"delete_file","parameters":{}}\n```', "json"),
        ('{"tool": "delete_file", "input": "x"}', "json"),
        ('{"function": {"name": "delete_file", "arguments": "{}"}}', "json"),
        ("Thought: hm\nAction: delete_file\nAction Input: /x", "action"),
        ('{"action": "delete_file", "action_input": "/x"}', "json"),
        ("<function=delete_file>{}</function>", "tag"),
        ('<invoke name="delete_file"><parameter name="path">/x</parameter></invoke>', "tag"),
        ('[TOOL_CALLS]delete_file[ARGS]{"path": "/x"}', "call"),
        ("TOOL_CALL delete_file(path)", "call"),
    ],
)
def test_each_form_that_models_are_trained_on_is_seen(text: str, form: str) -> None:
    (found,) = text_calls.check(text, TOOLS)
    assert (found.code, found.severity, found.action) == (text_calls.SUSPECT, "warn", "none")
    assert found.detail == f"the text seems to call the tool delete_file ({form})"


@pytest.mark.parametrize(
    "text",
    [
        "I would use delete_file here, but I must not.",
        "Action: think\nAction: unknown_tool",
        '{"name": "Paris", "arguments": 1}',
        'The field "name" is "delete_file" in your schema.',
        "<b>delete_file</b>",
        "",
    ],
)
def test_words_about_tools_and_calls_to_unknown_ones_are_not(text: str) -> None:
    assert text_calls.check(text, TOOLS) == ()


def test_each_tool_is_named_once() -> None:
    text = "Action: run_shell\nAction: weather.get\nAction: run_shell\n"
    assert [found.detail.split()[7] for found in text_calls.check(text, TOOLS)] == ["run_shell", "weather.get"]


@given(st.text('<>"{}:=\'/ \nAction[]TOOL_CALLSnamedelete_file', max_size=300))
def test_no_text_is_too_odd_for_it(text: str) -> None:
    assert len(text_calls.check(text, TOOLS)) <= len(TOOLS)


@pytest.mark.parametrize("piece", ["\n", " ", "<", "<tool ", '"name":', '"name": {', "Action:", "Action :\n", "TOOL_CALL", "[", "a"])
def test_its_work_grows_with_the_text_and_not_with_its_square(piece: str) -> None:
    """A hundred kilobytes of what a pattern begins with are looked at in the time a test takes."""
    for text in (piece * (100_000 // len(piece)), "Action" + piece * (100_000 // len(piece)) + '"arguments"'):
        assert text_calls.check(text, TOOLS) == ()


def test_where_no_tool_is_declared_no_text_is_a_call_of_one() -> None:
    assert text_calls.check("Action: run_shell", ()) == ()
