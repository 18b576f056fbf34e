"""An answer that was cut off."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.validators.truncated import TRUNCATED, Truncated
from gateway.validators.validator import Subject


def codes(text: str, finish: str = "", form: bool = True):
    return [one.code for one in TRUNCATED.make(Truncated(form=form))(Subject(text, finish=finish))]


@pytest.mark.parametrize("finish", ["length", "max_tokens", "MAX_TOKENS", "incomplete", "max_output_tokens"])
def test_what_the_provider_cut_off_is_seen(finish):
    assert codes("All good.", finish) == ["cut_off"]


@pytest.mark.parametrize("finish", ["", "stop", "end_turn", "STOP", "tool_calls", "completed"])
def test_an_end_of_its_own_is_none(finish):
    assert codes("A sentence without a full stop", finish) == []


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("```python\na = 1", ["open_fence"]),
        ("```python\na = 1\n```", []),
        ("~~~\n```", ["open_fence"]),
        ('{"a": [1, 2', ["open_json"]),
        ('{"a": "}', ["open_json"]),
        ('{"a": "b\\', ["open_json"]),
        ('{"a": "b\\"}', ["open_json"]),
        ('["a", {"b": "[{"}]', []),
        ('  [1, {"a": "\\\\"}]\n', []),
        ('He said "yes', []),
        ("[1] is a footnote", []),
        ("{}}", []),
        ("```json\n{\n```", []),
    ],
)
def test_a_form_that_does_not_end_is_seen(text, expected):
    assert codes(text) == expected
    assert codes(text, form=False) == []


values = st.recursive(st.text(), lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner), max_leaves=6)


@given(values.map(lambda one: [one]), st.data())
def test_json_is_cut_off_wherever_it_is_cut(value, data):
    written = json.dumps(value)
    assert codes(written) == []
    assert codes(written[: data.draw(st.integers(1, len(written) - 1))]) == ["open_json"]


@pytest.mark.parametrize("piece", ['{"', "\\", '"', "{", "```\n", '{"\\"'])
def test_time_grows_with_the_text(piece, cpu_at_most):
    with cpu_at_most(3):
        codes("{" + piece * (500_000 // len(piece)))
