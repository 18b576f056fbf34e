"""What a judge is asked, and how its answer is read."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.validators.judge import JUDGE, Judge
from gateway.validators.use import Said, Use
from gateway.validators.validator import Question, Subject, Unjudged

TWO = [{"id": "right", "ask": "Is it right?", "weight": 3}, {"id": "kind", "ask": "Is it kind?"}]


def options(**more: object) -> Judge:
    return Judge.model_validate({"rubric": "Is it helpful?", "model": "gpt-4o-mini", **more})


def question(**more: object) -> Question:
    assert JUDGE.asks is not None
    return JUDGE.asks(options(**more))


def heard(text: str, **more: object) -> Said:
    return Use(JUDGE, JUDGE.make(options(**more)), question=question(**more)).heard(text)


def asked(said: str, answer: str, mark: str = "ma" * 16, **more: object) -> dict[str, object]:
    return json.loads(question(**more).body(said, answer, mark))


def test_a_score_below_the_bar_is_a_hit_and_one_at_it_is_told() -> None:
    low, high = heard('{"why": "no", "score": 0.49}'), heard(' {"score": 0.5, "why": "yes"}\n')
    assert [(one.code, one.score, one.severity) for one in low.seen] == [("below", 0.49, "warn")]
    assert [(one.code, one.score, one.severity) for one in high.seen] == [("score", 0.5, "info")]
    assert (low.hits, high.hits, high.problem) == (low.seen, (), "")


def test_criteria_count_by_their_weight() -> None:
    assert heard('{"why": "", "right": 1, "kind": 0}', rubric=TWO).score == 0.75
    assert heard('{"why": "", "right": 0, "kind": 1}', rubric=TWO).hits[0].score == 0.25


def test_what_the_judge_says_of_its_reasons_is_in_no_finding() -> None:
    said = heard('{"why": "the card 4111 1111 1111 1111 stands in it", "score": 0.1}')
    assert "4111" not in str(said)


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ('{"score": 1}', "other fields"),
        ('{"why": 1, "score": 1}', "other fields"),
        ('{"why": "", "score": 1, "more": 1}', "other fields"),
        ('["why", "score"]', "other fields"),
        ('"score"', "other fields"),
        ('{"why": "", "score": 1.01}', "no number from 0 to 1"),
        ('{"why": "", "score": -0.01}', "no number from 0 to 1"),
        ('{"why": "", "score": true}', "no number from 0 to 1"),
        ('{"why": "", "score": "1"}', "no number from 0 to 1"),
        ('{"why": "", "score": null}', "no number from 0 to 1"),
        ('{"why": "", "score": 0, "score": 1}', "dup_key"),
        ('{"why": "", "score": NaN}', "(number)"),
        ('The score: {"why": "", "score": 1}', "malformed"),
        ('```json\n{"why": "", "score": 1}\n```', "malformed"),
        ('{"why": "", "score": 1} and more', "trailing_data"),
        ("", "malformed"),
    ],
)
def test_what_is_not_exactly_the_object_that_was_asked_for_is_unjudged(text: str, told: str) -> None:
    said = heard(text)
    assert told in said.problem
    assert (said.seen, said.score) == ((), None)


@given(st.text(), st.text())
def test_whatever_was_said_stands_as_data_between_two_marks(said: str, answer: str) -> None:
    messages = asked(said, answer)["messages"]
    first, quoted, last = messages[1]["content"].split("\n")  # type: ignore[index]
    assert first == last == "ma" * 16
    assert json.loads(quoted) == {"request": said, "answer": answer}
    assert messages[0] == asked("", "")["messages"][0]  # type: ignore[index]


def test_a_text_that_holds_the_mark_is_not_sent() -> None:
    with pytest.raises(Unjudged, match="mark"):
        asked("", "x ffff x", "ffff")


def test_half_a_character_does_not_keep_an_answer_from_being_judged() -> None:
    assert "?" in asked("", "\ud800")["messages"][1]["content"]  # type: ignore[index]


@pytest.mark.parametrize("rubric", ["Is it {helpful}?", TWO])
def test_the_schema_of_the_answer_asks_for_what_is_read(rubric: object) -> None:
    body = asked("", "", rubric=rubric)
    schema = body["response_format"]["json_schema"]["schema"]  # type: ignore[index]
    answer = {name: "" if kind["type"] == "string" else 1 for name, kind in schema["properties"].items()}
    assert set(schema["required"]) == set(answer)
    assert heard(json.dumps(answer), rubric=rubric).score == 1
    system = body["messages"][0]["content"]  # type: ignore[index]
    assert "Is it {helpful}?" in system or "- kind: Is it kind?" in system


def test_scores_of_another_rubric_or_model_are_of_another_version() -> None:
    versions = {question(**more).version for more in ({}, {"model": "m"}, {"rubric": "Is it short?"}, {"rubric": TWO})}
    assert len(versions) == 4
    assert question(below=0.9).version == question().version


@pytest.mark.parametrize(
    "wrong",
    [
        {"rubric": ""},
        {"rubric": []},
        {"rubric": [TWO[0], TWO[0]]},
        {"rubric": [{"id": "why", "ask": "?"}]},
        {"rubric": [{"id": "Is it", "ask": "?"}]},
        {"rubric": [{"id": "a", "ask": "?", "weight": 0}]},
        {"below": 0},
        {"below": 1.5},
        {"max_per_hour": 0},
        {"content": "all"},
        {"model": ""},
    ],
)
def test_options_that_mean_nothing_are_errors_of_the_rule(wrong: dict[str, object]) -> None:
    with pytest.raises(ValueError, match="validation error"):
        options(**wrong)


def test_nobody_is_asked_without_a_gateway() -> None:
    said = Use(JUDGE, JUDGE.make(options()), question=question()).look(Subject("an answer"))
    assert "nobody asks it here" in said.problem


def test_a_validator_that_asks_no_model_hears_none() -> None:
    assert Use(JUDGE, JUDGE.make(options())).heard('{"why": "", "score": 1}').problem == "judge asks no model"
