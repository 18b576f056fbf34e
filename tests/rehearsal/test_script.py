"""The script file: what is refused, and which turn a request gets."""

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.errors import FileProblems
from gateway.rehearsal.script import Asked, Script, load, load_file


def scene(turn: str) -> bytes:
    return f"rehearsal: 1\nscenes:\n- turns:\n  - {turn}\n".encode()


def asked(**changes) -> Asked:
    plain = {
        "dialect": "openai.chat",
        "model": "m",
        "stream": False,
        "body": {},
        "user_texts": ("hello",),
        "assistant_messages": 0,
        "number": 1,
    }
    return Asked(**plain | changes)


@pytest.mark.parametrize(
    ("turn", "told"),
    [
        ("{txet: hello}", "text"),
        ("{text: a, text: b}", "text"),
        ("{}", "an empty turn does nothing"),
        ("{text: a, error: b, status: 500}", "different kinds of turn"),
        ("{text: a, raw: b}", "different kinds of turn"),
        ("{raw: a, raw_file: b}", "raw or raw_file"),
        ("{error: a}", "status of 400 or more"),
        ("{error: a, status: 200}", "status of 400 or more"),
        ("{text: a, status: 201}", "spoken turn is answered with 200"),
        ("{calls: [{name: f, args: {}, arguments: '{}'}]}", "one form of arguments"),
        ("{calls: [{args: {}}]}", "name"),
        ("{text: a, chunk: 0}", "chunk"),
        ("{text: a, delay_ms: -1}", "delay_ms"),
        ("{text: a, usage: {input: '5'}}", "input"),
        ("{status: 42}", "status"),
        ("{raw_file: x.sse}", "raw_file needs a script that is a file"),
    ],
)
def test_a_mistake_is_told_with_its_place(turn, told):
    with pytest.raises(FileProblems) as refused:
        load(scene(turn), "s.yaml")
    text = str(refused.value)
    assert told in text
    assert text.startswith("s.yaml:4:")


@pytest.mark.parametrize(
    "text", [b"", b"rehearsal: 2\nscenes: []\n", b"rehearsal: 1\nscenes: []\n", b"rehearsal: 1\n", b"\xff"]
)
def test_a_file_that_is_no_script_is_refused(text):
    with pytest.raises(FileProblems):
        load(text, "s.yaml")


def test_a_script_that_cannot_be_read_is_a_problem_of_that_file(tmp_path):
    with pytest.raises(FileProblems, match=r"absent\.yaml:1:1: error: cannot read the script"):
        load_file(tmp_path / "absent.yaml")


def test_raw_files_are_read_beside_the_script(tmp_path):
    (tmp_path / "x.sse").write_bytes(b"\x00\xff")
    (tmp_path / "s.yaml").write_bytes(scene("{raw_file: x.sse}"))
    assert load_file(tmp_path / "s.yaml").files == {"x.sse": b"\x00\xff"}


def test_a_missing_raw_file_is_told_at_the_line_that_names_it(tmp_path: Path):
    (tmp_path / "s.yaml").write_bytes(scene("{text: a}") + b"  - {raw_file: absent.sse}\n")
    with pytest.raises(FileProblems, match=r"s\.yaml:5:\d+: error: cannot read absent\.sse"):
        load_file(tmp_path / "s.yaml")


TWO = load(
    b"""rehearsal: 1
scenes:
- {model: bank-*, when: {user_contains: pay}, turns: [{text: paying}, {text: paid}]}
- {model: bank-*, when: {header: {X-Team: "red*"}}, turns: [{text: red}]}
- {model: bank-*, when: {dialect: anthropic.messages}, turns: [{text: messages}]}
- {model: plain, turns: [{text: plain}]}
"""
)


def text_for(script: Script, **changes) -> str | None:
    turn = script.turn_for(asked(**changes))
    return turn.text if turn else None


def test_the_first_scene_whose_conditions_all_hold_is_played():
    assert text_for(TWO, model="bank-1", user_texts=("please pay",)) == "paying"
    assert text_for(TWO, model="bank-1", headers={"x-team": "redder"}) == "red"
    assert text_for(TWO, model="bank-1", dialect="anthropic.messages") == "messages"
    assert text_for(TWO, model="plain") == "plain"
    assert text_for(TWO, model="bank-1") is None
    assert text_for(TWO, model="Bank-1", user_texts=("pay",)) is None


@given(st.integers(0, 50), st.integers(1, 8))
def test_the_turn_is_the_number_of_assistant_messages_and_the_last_repeats(said, turns):
    script = load(f"rehearsal: 1\nscenes:\n- turns: [{', '.join(f'{{text: t{n}}}' for n in range(turns))}]\n".encode())
    assert text_for(script, assistant_messages=said) == f"t{min(said, turns - 1)}"


def test_only_models_that_are_spelled_out_are_listed():
    assert TWO.models == ["plain"]
