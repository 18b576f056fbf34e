"""Calls written as text are found as a detector's spans, whatever tool they name."""

import pytest

from gateway.validators.detectors import DETECTORS


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ('I do: <tool_call>{"name": "anything", "arguments": {"x": 1}}</tool_call>', '"name": "anything"'),
        ('```json\n{"name":"any.thing","parameters":{}}\n```', '"name":"any.thing"'),
        ("Thought: hm\nAction: any_thing\nAction Input: x", "Action: any_thing"),
        ("Grüße\nAction: any_thing\r\n", "Action: any_thing\r"),
        ('<invoke name="any">', '<invoke name="any">'),
        ("[TOOL_CALLS]any", "[TOOL_CALLS]any"),
    ],
)
def test_a_call_is_found_where_it_begins(text, found):
    (span,) = DETECTORS["text_call"].find(text)
    assert text[slice(*span)] == found


@pytest.mark.parametrize(
    "text",
    [
        "An Action: any_thing in the middle of a line",
        '{"name": "Paris"}',
        '{"name": "Paris"' + " " * 400 + '"arguments"',
        "a <b>word</b>",
        "plain words",
    ],
)
def test_words_that_only_speak_of_calls_are_none(text):
    assert DETECTORS["text_call"].find(text) == []
