"""Fenced blocks of Markdown."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.validators.fences import fenced


@pytest.mark.parametrize(
    ("text", "blocks"),
    [
        ("no code", []),
        ("```python\na = 1\n```", [("python", "a = 1\n", True)]),
        ("```\na\n```\n~~~SQL x=1\nb\n~~~", [("", "a\n", True), ("sql", "b\n", True)]),
        ("````md\n```\na\n```\n````", [("md", "```\na\n```\n", True)]),
        ("```py\na", [("py", "a", False)]),
        ("```py", [("py", "", False)]),
        ("```py\n    ```\n```", [("py", "    ```\n", True)]),
        ("text ``` more\n    ```\nx", []),
        ("``` a `b`\n", []),
        ("```a\nx\n~~~\n```", [("a", "x\n~~~\n", True)]),
    ],
)
def test_blocks_are_found_as_markdown_has_them(text, blocks):
    assert [(one.language, one.code, one.closed) for one in fenced(text)] == blocks


@given(st.text("`~ ab\n", max_size=60))
def test_a_block_stands_where_it_says(text):
    for one in fenced(text):
        assert text[one.start : one.end] == one.code


@pytest.mark.parametrize("piece", ["`", "```\n", "~", " ", "```a ", "\n"])
def test_time_grows_with_the_text(piece, cpu_at_most):
    with cpu_at_most(3):
        list(fenced(piece * (500_000 // len(piece))))
