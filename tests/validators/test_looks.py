"""What every answer is looked through for: told, and cheap where there is nothing."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.documents import Section
from gateway.validators import VALIDATORS
from gateway.validators.detectors import DETECTORS, Detector
from gateway.validators.looks import NO_LOOKS, USUAL, looks
from gateway.validators.use import Said
from gateway.validators.validator import Seen, Subject, Validator

CARD = "4111 1111 1111 1111"
NOTHING = frozenset()


def told(made, text, but=NOTHING):
    return {one.name: (len(one.said.hits), one.said.problem) for one in made.at(Subject(text), but)}


def test_what_is_usual_is_found_where_it_stands():
    found = list(looks(USUAL).at(Subject(f"Pay {CARD} or DE89 3704 0044 0532 0130 00."), NOTHING))
    assert {one.name: len(one.said.seen) for one in found} == {"secret": 0, "card": 1, "iban": 1}
    (seen,) = next(one.said.seen for one in found if one.name == "card")
    assert (seen.start, seen.end, seen.code) == (4, 23, "found")
    assert CARD not in seen.detail


def test_what_a_rule_has_asked_is_not_asked_again():
    assert told(looks(["card", "iban"]), CARD, frozenset({"card"})) == {"iban": (0, "")}
    assert told(looks(["card"]), CARD, frozenset({"card"})) == {}


def test_an_empty_answer_is_looked_at_too():
    assert told(looks(["card"]), "") == {"card": (0, "")}
    assert told(NO_LOOKS, CARD) == {}


@given(st.text(max_size=300), st.sampled_from([CARD, "sk-proj-" + "Ab3dEf6hIj9kLm2nOp5qRs8t", "DE89 3704 0044 0532 0130 00", ""]))
def test_looking_for_hints_first_misses_nothing(text, word):
    said = f"{text} {word}"
    for name, (count, _) in told(looks(USUAL), said).items():
        assert count == min(len(DETECTORS[name].find(said)), 20)


def test_an_answer_that_is_too_long_is_not_passed():
    found = list(looks(["card"]).at(Subject("x" * 5, cut=True), NOTHING))
    assert [(one.said.seen, "5 characters or more" in one.said.problem) for one in found] == [((), True)]


def test_a_detector_that_fails_has_not_passed_the_answer(monkeypatch):
    def fails(text):
        raise RuntimeError

    monkeypatch.setitem(DETECTORS, "card", Detector("card", 26, fails, DETECTORS["card"].hint))
    made = looks(["card"])
    assert told(made, CARD) == {"card": (0, "card failed (RuntimeError)")}


def test_validators_without_options_can_be_looks(monkeypatch):
    one = Validator("own", "3", Section, lambda options: lambda subject: [Seen("seen", "it is there")] if "x" in subject.text else [])
    monkeypatch.setitem(VALIDATORS, "own", one)
    assert told(looks(["own", "own"]), "x") == {"own": (1, "")}
    assert [(each.version, each.said) for each in looks(["own"]).at(Subject("y"), NOTHING)] == [("3", Said())]
    assert told(looks(["own"]), "x", frozenset({"own"})) == {}


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("crad", "did you mean 'card'"),
        ("zzzzzz", "there are "),
        ("length", "needs options"),
        ("calls_only", "does not look at answers"),
    ],
)
def test_a_name_that_cannot_be_a_look_is_refused(name, said, monkeypatch):
    only = Validator("calls_only", "1", Section, lambda options: lambda subject: [], hooks=frozenset({"tool_call"}))
    monkeypatch.setitem(VALIDATORS, "calls_only", only)
    with pytest.raises(ValueError, match=said):
        looks([name])
