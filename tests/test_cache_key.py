"""The name of an answer: another one for everything that may change the answer, the same for what only writes it differently."""

from __future__ import annotations

import json
from typing import Any

import msgspec
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from gateway.cache_key import Asked, name_of

KEY = b"k" * 32
BODY = {"model": "m", "messages": [{"role": "user", "content": "go"}], "temperature": 0, "tools": [{"name": "get"}], "max_tokens": 9}
PLAIN = Asked(
    dialect="openai.chat",
    path="/chat/completions",
    query="",
    headers={"openai-organization": "o", "user-agent": "sdk/1"},
    body=json.dumps(BODY).encode(),
    stream=False,
    policy="hash",
    upstream=("openai", "https://api.openai.com/v1", "openai.chat"),
    whose=("key", "team:red", "bot", "k1"),
)
NAME = name_of(PLAIN, KEY)
JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**63), 2**63 - 1) | st.floats(allow_nan=False, allow_infinity=False) | st.text(max_size=6),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=4), inner, max_size=3),
    max_leaves=8,
)
TREES = st.dictionaries(st.text(max_size=4), JSON, max_size=4)


def named(tree: Any, **more: Any) -> str | None:
    return name_of(msgspec.structs.replace(PLAIN, body=msgspec.json.encode(tree), **more), KEY)


@pytest.mark.parametrize(
    ("field", "value"),
    [("dialect", "openai.responses"), ("path", "/embeddings"), ("query", "?beta=true"), ("stream", True), ("policy", "other"),
     ("headers", {"openai-organization": "p"}), ("headers", {}), ("headers", {"openai-organization": "o", "openai-beta": "x"}),
     ("upstream", ("openai", "https://api.openai.com/v2", "openai.chat")),
     ("upstream", ("other", "https://api.openai.com/v1", "openai.chat")),
     ("upstream", ("openai", "https://api.openai.com/v1", "anthropic.messages")), ("whose", ("key", "team:red", "bot", "k2")),
     ("whose", ("key", "team:blue", "bot", "k1")), ("whose", ("all",)), ("whose", ("key", "team:red", "botk1", ""))],
)  # fmt: skip
def test_whatever_an_answer_depends_on_changes_its_name(field: str, value: object) -> None:
    assert name_of(msgspec.structs.replace(PLAIN, **{field: value}), KEY) not in (NAME, None)


def test_the_fields_above_are_all_there_are() -> None:
    assert {*Asked.__struct_fields__} == {"dialect", "path", "query", "headers", "body", "stream", "policy", "upstream", "whose"}


@given(JSON, JSON)
def test_two_values_of_a_field_have_two_names(one: object, other: object) -> None:
    """Whatever the values are and wherever in the request they stand."""
    assume(msgspec.json.encode(one, order="deterministic") != msgspec.json.encode(other, order="deterministic"))
    for place in (lambda v: BODY | {"new": v}, lambda v: BODY | {"messages": [*BODY["messages"], v]}, lambda v: {"deep": {"er": [v]}}):  # type: ignore[misc]
        assert named(place(one)) != named(place(other))


@given(TREES, st.text(max_size=4), JSON)
def test_a_field_that_comes_or_goes_changes_the_name(tree: dict[str, Any], name: str, value: object) -> None:
    assume(name not in tree)
    assert named(tree) != named(tree | {name: value})


@given(TREES, st.randoms(use_true_random=False))
def test_the_order_of_members_and_white_space_change_nothing(tree: dict[str, Any], random: Any) -> None:
    def shuffled(value: Any) -> Any:
        if isinstance(value, list):
            return [shuffled(each) for each in value]
        if isinstance(value, dict):
            names = list(value)
            random.shuffle(names)
            return {name: shuffled(value[name]) for name in names}
        return value

    written = json.dumps(shuffled(tree), indent=random.choice([None, 1, 4]), ensure_ascii=random.random() < 0.5).encode()
    assert name_of(msgspec.structs.replace(PLAIN, body=written), KEY) == named(tree)


@given(st.lists(st.text(max_size=5), max_size=4), st.lists(st.text(max_size=5), max_size=4))
def test_no_two_callers_have_a_name_in_common(one: list[str], other: list[str]) -> None:
    same = one == other
    assert (named(BODY, whose=tuple(one)) == named(BODY, whose=tuple(other))) is same


LABELS = st.sampled_from(["user-agent", "idempotency-key", "accept", "x-stainless-retry-count", "x-title"])


@given(st.dictionaries(LABELS, st.text(max_size=9)))
def test_headers_that_say_which_program_asks_change_nothing(labels: dict[str, str]) -> None:
    assert name_of(msgspec.structs.replace(PLAIN, headers={"openai-organization": "o"} | labels), KEY) == NAME


@pytest.mark.parametrize(
    "body",
    [b'{"a": 1, "a": 2}', b'{"a": 1} x', b'{"a": 0.1000000000000000001}', b'{"a": 18446744073709551616}', b"\xff", b"", b'{"a": NaN}',
     b'{"a": "\\ud800"}', b"[" * 100 + b"]" * 100],
)  # fmt: skip
def test_what_has_no_single_meaning_has_no_name(body: bytes) -> None:
    assert name_of(msgspec.structs.replace(PLAIN, body=body), KEY) is None


def test_without_the_secret_nobody_knows_a_name() -> None:
    assert name_of(PLAIN, b"x" * 32) != NAME
    assert NAME is not None
    assert len(NAME) == 64
