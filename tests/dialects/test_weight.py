from __future__ import annotations

import itertools
import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.dialects.weight import Scale

text = st.text(st.sampled_from('ab"\\,:[]{}\n\u00e9'), max_size=8)
leaves = st.none() | st.booleans() | st.integers() | text
values = st.recursive(leaves, lambda v: st.lists(v, max_size=4) | st.dictionaries(text, v, max_size=4), max_leaves=20)


def weighed(*pieces: bytes) -> tuple[int, int]:
    scale = Scale()
    for piece in pieces:
        scale.add(piece)
    return scale.objects, scale.values


def counted(value: Any) -> tuple[int, int]:
    """(arrays, objects and members; commas) of the tree."""
    if not isinstance(value, list | dict):
        return 0, 0
    inner = list(map(counted, value.values() if isinstance(value, dict) else value))
    members = len(value) if isinstance(value, dict) else 0
    return 1 + members + sum(o for o, _ in inner), max(0, len(value) - 1) + sum(c for _, c in inner)


@given(values, st.booleans(), st.booleans(), st.lists(st.integers(0, 300), max_size=6))
def test_what_the_tree_holds_is_counted_however_the_text_is_spelt_and_cut(
    value: Any, ascii_only: bool, spaced: bool, cuts: list[int]
) -> None:
    written = json.dumps(value, ensure_ascii=ascii_only, indent=1 if spaced else None).encode()
    at = sorted({0, len(written), *(cut for cut in cuts if cut < len(written))})
    assert weighed(*(written[a:b] for a, b in itertools.pairwise(at))) == counted(value)


@given(values)
def test_a_text_in_pieces_of_one_byte_weighs_the_same(value: Any) -> None:
    written = json.dumps(value).encode()
    assert weighed(*(written[at : at + 1] for at in range(len(written)))) == counted(value)


@pytest.mark.parametrize("pieces", [(b"", b'["\\', b"", b'"],[', b'"]'), (b'["\\"],[', b'"]'), (b'["\\\\', b'\\"],["]')])
def test_marks_in_a_string_are_none_wherever_it_is_cut(pieces: tuple[bytes, ...]) -> None:
    assert weighed(*pieces) == counted(json.loads(b"".join(pieces)))
    assert weighed(*pieces) == (1, 0)


def test_an_empty_text_weighs_nothing() -> None:
    assert weighed() == weighed(b"", b"") == (0, 0)
