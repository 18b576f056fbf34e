"""A validator as rules use it: what it says counts only where it keeps to its form."""

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.answer import MOST_TEXT, Answer
from gateway.documents import Section
from gateway.validators.use import Said, Use, drawn
from gateway.validators.validator import MOST_SEEN, Seen, Subject, Unjudged, Validator


def use(check, argument=(), **more):
    return Use(Validator("own", "1", Section, lambda options: check, **more), check, argument)


def raising(error):
    def check(subject):
        raise error

    return use(check)


def test_what_a_validator_sees_is_what_it_said():
    seen = [Seen("a", "one", start=1, end=3), Seen("b", "two", severity="info", score=0.5), Seen("c", "three", score=0.25)]
    said = use(lambda subject: iter(seen)).look(Subject("text"))
    assert said == Said(tuple(seen))
    assert [one.code for one in said.hits] == ["a", "c"]
    assert said.score == 0.25
    assert use(lambda subject: []).look(Subject("text")) == Said()
    assert Said().score is None


@pytest.mark.parametrize("error", [ValueError("x"), RecursionError(), KeyError("secret value"), AssertionError()])
def test_a_validator_that_raises_has_not_judged(error):
    assert raising(error).look(Subject("text")) == Said(problem=f"own failed ({type(error).__name__})")


def test_a_validator_that_cannot_tell_says_why():
    assert raising(Unjudged("no schema was sent")).look(Subject("text")).problem == "no schema was sent"
    assert raising(Unjudged()).look(Subject("text")).problem == "own could not judge the text"


def test_a_validator_that_raises_on_its_way_has_not_judged():
    def check(subject):
        yield Seen("a", "seen")
        raise ValueError

    assert use(check).look(Subject("text")) == Said(problem="own failed (ValueError)")


WRONG = [
    None, True, 3, "text", b"text", [True], ["text"], [None], [("a", "b")], [{"code": "a"}],
    [Seen("", "no code")], [Seen(1, "a")], [Seen("a", None)], [Seen("a", "b", path=3)], [Seen("a", "b", severity="fatal")],
    [Seen("a", "b", severity=["error"])],
    [Seen("a", "b", start=-1)], [Seen("a", "b", start=3, end=2)], [Seen("a", "b", end=5)], [Seen("a", "b", start=0.0, end=1)],
    [Seen("a", "b", start=False, end=True)], [Seen("a", "b", score=2)], [Seen("a", "b", score=-0.1)], [Seen("a", "b", score="1")],
    [Seen("a", "b", score=float("nan"))], [Seen("a", "b", score=True)], [Seen("a", "fine"), "not fine"],
]  # fmt: skip


@pytest.mark.parametrize("said", WRONG, ids=repr)
def test_what_is_no_finding_is_no_judgement(said):
    came = use(lambda subject: said).look(Subject("text"))
    assert (came.seen, bool(came.problem)) == ((), True)


def test_who_sees_without_end_has_not_judged():
    def check(subject):
        while True:
            yield Seen("a", "again")

    assert str(MOST_SEEN) in use(check).look(Subject("text")).problem
    assert len(use(lambda subject: [Seen("a", "b")] * MOST_SEEN).look(Subject("text")).seen) == MOST_SEEN


def test_a_text_beyond_its_bound_is_kept_from_it():
    asked = []
    bounded = use(lambda subject: asked.append(subject.text) or [], most=4)
    assert bounded.look(Subject("text")) == Said()
    assert bounded.look(Subject("texts")).problem == "the text has 5 characters; own looks at 4 at most"
    assert asked == ["text"]


@pytest.mark.parametrize(
    ("argument", "text", "path"),
    [
        ((), '{"q": "a b", "n": {"deep": [1, 2]}}', "arguments"),
        (("q",), "a b", "arguments.q"),
        (("n",), '{"deep":[1,2]}', "arguments.n"),
        (("n", "deep"), "[1,2]", "arguments.n.deep"),
    ],
)
def test_a_call_is_looked_at_by_one_argument_or_all(argument, text, path):
    asked = []
    one = use(lambda subject: asked.append(subject) or [], argument)
    arguments = '{"q": "a b", "n": {"deep": [1, 2]}}'
    assert one.look_at_call(msgspec.json.decode(arguments), arguments, Subject(said=("hello",))) == Said()
    assert asked == [Subject(text, "tool_call", path, said=("hello",))]


@pytest.mark.parametrize("argument", [("x",), ("q", "deep"), ("n", "x")])
def test_an_argument_that_is_not_there_cannot_be_judged(argument):
    came = use(lambda subject: [], argument).look_at_call({"q": "a", "n": {}}, "{}", Subject())
    assert came.problem == f"the call has no argument '{'.'.join(argument)}'"


@given(st.text(max_size=40), st.text(max_size=20), st.floats(0, 1))
def test_an_exchange_is_drawn_the_same_way_each_time(exchange, rule, share):
    assert drawn(share, exchange, rule) is drawn(share, exchange, rule)
    assert drawn(1.0, exchange, rule)
    assert not drawn(0.0, exchange, rule)
    if drawn(share / 2, exchange, rule):
        assert drawn(share, exchange, rule)


def test_so_many_are_drawn_as_the_rule_says():
    for share in (0.01, 0.1, 0.5):
        count = sum(drawn(share, f"exchange-{n}", "rule") for n in range(20_000))
        assert abs(count / 20_000 - share) < 0.015
    assert 0 < sum(drawn(0.5, f"e{n}", "a") and drawn(0.5, f"e{n}", "b") for n in range(1000)) < 350


def test_who_looks_without_end_has_not_judged_and_is_ended(monkeypatch):
    monkeypatch.setattr("gateway.validators.use.MOST_S", 0.05)

    def endless(subject):
        while True:
            yield from ()

    assert use(endless).look(Subject("text")) == Said(problem="own took more than 0.05 s")


def test_a_text_of_which_there_may_be_more_is_kept_from_it():
    said = use(lambda subject: [], ()).look(Subject("text", cut=True))
    assert said.problem == "the answer has 4 characters or more, and no more of it was kept to look at"


def test_an_answer_of_as_many_characters_as_are_kept_may_have_had_more():
    assert Answer(text="x" * MOST_TEXT).cut
    assert not Answer(text="x" * (MOST_TEXT - 1)).cut
