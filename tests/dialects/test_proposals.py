"""The form a proposed call must have in every dialect."""

from __future__ import annotations

import json
import string

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.dialects.events import Limits
from gateway.dialects.proposals import (
    MAX_ID,
    clipped,
    failed,
    id_problem,
    name_problem,
    read_arguments,
    with_shared_ids_failed,
)
from gateway.verdict import Call

LIMITS = Limits(call_bytes=100, depth=4)
NAME_SIGNS = string.ascii_letters + string.digits + "_.:/-"


@given(st.text(NAME_SIGNS, min_size=1, max_size=128))
def test_names_of_real_tools_pass(name: str) -> None:
    assert name_problem(name) is None


@pytest.mark.parametrize(
    "name",
    [
        "",
        " delete_file",
        "delete_file ",
        "delete_file\n",
        "x" * 129,
        "dеlete_file",
        "ｄｅｌｅｔｅ",
        "delete_ﬁle",
        "a‐b",
    ],
)
def test_a_name_that_a_client_could_fold_into_another_is_bad(name: str) -> None:
    assert name_problem(name) == "bad_name"


@pytest.mark.parametrize("value", [None, 3, True, [], {}, ["a"]])
def test_a_name_or_id_that_is_no_string_is_bad(value: object) -> None:
    assert name_problem(value) == "bad_name"
    assert id_problem(value) == "bad_id"


@pytest.mark.parametrize("call_id", ["", "a b", "a\n", "é", "x" * (MAX_ID + 1), "a\x00"])
def test_an_id_outside_printable_ascii_is_bad(call_id: str) -> None:
    assert id_problem(call_id) == "bad_id"


def test_an_ordinary_id_passes() -> None:
    assert id_problem("toolu_01A09q90qw90lq917835lq9") is None


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("{", "malformed"),
        (" ", "malformed"),
        ("null", "type"),
        ("[]", "type"),
        ('"{}"', "type"),
        ('{"a":1,"a":2}', "dup_key"),
        ("{}{}", "trailing_data"),
        ('{"a":NaN}', "number"),
        ('{"a":1e999}', "number"),
        ('{"a":[[[[1]]]]}', "depth"),
        ('{"a":"' + "x" * 100 + '"}', "hold_limit"),
        ('{"a":"' + "ä" * 60 + '"}', "hold_limit"),
        ('{"a":"\ud800"}', "encoding"),
    ],
)
def test_arguments_without_a_single_meaning_have_none(text: str, problem: str) -> None:
    args, code, detail = read_arguments(text, LIMITS)
    assert (args, code) == (None, problem)
    assert detail


def test_no_arguments_are_the_empty_object() -> None:
    assert read_arguments("", LIMITS) == ({}, None, "")


@given(st.dictionaries(st.text(max_size=4), st.integers(-9, 9) | st.text(max_size=4), max_size=4))
def test_an_object_is_read_as_it_stands(args: dict[str, object]) -> None:
    assert read_arguments(json.dumps(args), Limits()) == (args, None, "")


@given(st.text() | st.integers() | st.none())
def test_a_quoted_foreign_word_is_short_printable_ascii(value: object) -> None:
    quoted = clipped(value, 10)
    assert len(quoted) <= 10 * 10 + 1
    assert quoted.removesuffix("…").isascii()
    assert quoted.removesuffix("…").isprintable()


def proposed(call_id: str, problem: str | None = None) -> Call:
    return Call(id=call_id, name="f", arguments="{}", args=None if problem else {}, index=0, problem=problem)


def test_calls_that_share_an_id_all_fail_and_others_do_not() -> None:
    calls = with_shared_ids_failed([proposed("a"), proposed("b"), proposed("a"), proposed(""), proposed("")])
    assert [call.problem for call in calls] == ["duplicate_id", None, "duplicate_id", None, None]
    assert [call.args for call in calls] == [None, {}, None, {}, {}]


def test_what_was_wrong_with_a_call_before_stays_its_reason() -> None:
    calls = with_shared_ids_failed([proposed("a", "dup_key"), proposed("a")])
    assert [call.problem for call in calls] == ["dup_key", "duplicate_id"]


def test_a_failed_call_has_no_arguments_to_judge() -> None:
    call = failed(proposed("a"), "hold_limit", "too long")
    assert (call.args, call.problem, call.detail) == (None, "hold_limit", "too long")
