"""Numbers and names of an answer stand in what was read or said before."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.validators import grounded
from gateway.validators.grounded import GROUNDED, Grounded
from gateway.validators.validator import Subject, Unjudged

RESULT = (
    '{"total": 1234.5, "rate": 0.12, "date": "2024-03-05", "who": "Jane D\\u00f6e", "id": "INV-2024-7", "count": 1200000,'
    ' "file": "src/app.py", "version": "1.2.3", "note": "first\\nBerlin office"}'
)


def seen(text: str, *results: str, said=(), **options):
    found = GROUNDED.make(Grounded(**options))(Subject(text, results=results, said=said))
    return [(one.code, text[one.start : one.end]) for one in found]


@pytest.mark.parametrize(
    "text",
    [
        "The total is 1,234.50.",
        "Die Summe ist 1.234,50 Euro.",
        "The total is 1234.5 or 1’234.5, minus -1234.50",
        "The rate is 12%, or 0.12, or 12 percent.",
        "It was on March 5, 2024.",
        "It was on 5 March 2024, the 5th Mar 2024, Mar. 5th 2024.",
        "It was on 05.03.2024, 3/5/2024 and 2024/3/5, in 2024.",
        "There are 1,200,000 of them: 1.2 million, 1.2M, 1200k, 1200 thousand.",
        "Version 1.2.3 of src/app.py",
        "1. first\n2. second\n10) tenth\n",
        "INV-2024-7 is paid",
        "no number at all",
    ],
)
def test_numbers_that_stand_in_a_result_are_found_however_they_are_written(text):
    assert seen(text, "other", RESULT) == []


@pytest.mark.parametrize(
    ("text", "missing"),
    [
        ("The total is 1,234.51.", ["1,234.51"]),
        ("The rate is 13%.", ["13%"]),
        ("It was on 2024-03-06 in 2023.", ["2024-03-06", "2023"]),
        ("It was on 6 March 2024.", ["6 March 2024"]),
        ("1. first: 8\n2. second: 9", ["8", "9"]),
        ("Version 1.2.4", ["1.2.4"]),
        ("There are 1.3 million, 13 bn", ["1.3 million", "13"]),
        ("9" * 60, ["9" * 60]),
    ],
)
def test_a_number_without_a_source_is_found_where_it_stands(text, missing):
    assert seen(text, RESULT) == [("number", one) for one in missing]
    assert seen(text, RESULT, *missing) == []


@pytest.mark.parametrize(
    ("text", "missing"),
    [
        ("We asked Jane Döe in Berlin about INV-2024-7.", []),
        ("We asked Bob about INV-2024-8.", ["Bob", "INV-2024-8"]),
        ("Paris is nice. Rome too! Said jane's mother, I think, on Monday in March.", []),
        ("They met in Paris, at Jane's.", ["Paris"]),
        ("See src/app.py and src/other.py, userName, @jane and @bob", ["src/other.py", "userName", "@bob"]),
        ("The API of NASA", ["API", "NASA"]),
        ("- Berlin\n- Oslo\n**Rome**", []),
    ],
)
def test_a_name_without_a_source_is_found_inside_a_sentence(text, missing):
    assert seen(text, RESULT, "@Jane", names=True, numbers=False) == [("name", one) for one in missing]


def test_what_users_said_is_a_source_unless_a_rule_says_otherwise():
    assert seen("It is 42.", said=("is it 42?",)) == []
    assert seen("It is 42.") == [("number", "42")]
    made = GROUNDED.make(Grounded.model_validate({"said": False}))
    assert [one.code for one in made(Subject("It is 42.", said=("is it 42?",)))] == ["number"]


def test_numbers_and_names_that_a_rule_ignores():
    assert seen("It is 42 in Rome, 43 in Oslo", ignore=("42", "Rome"), names=True) == [("number", "43"), ("name", "Oslo")]
    assert seen("There are 3 of 12, 4.0 and 2.5", count_to=4) == [("number", "12"), ("number", "2.5")]


def test_no_detail_shows_what_it_is_about():
    for one in GROUNDED.make(Grounded(names=True))(Subject("We met Private on 77.")):
        assert "rivate" not in one.detail
        assert "77" not in one.detail


def test_a_rule_that_asks_for_nothing_is_an_error():
    with pytest.raises(ValueError, match="asks for nothing"):
        Grounded(numbers=False)


@given(st.decimals(min_value=0, max_value=10**9, places=2))
def test_a_number_is_the_same_in_every_usual_form(value):
    for form in (f"{value:,.2f}", f"{value:.2f}", f"{value:,.2f}".replace(",", "'"), f"{value:,.2f}".translate(str.maketrans(",.", ".,"))):
        assert seen(f"It is {form} now", f'{{"x": {value}}}') == []
        assert seen(f"It is {form} now", f'{{"x": {value + 1}}}') == [("number", form)]


@given(st.text("12.,-/ aB@k%\n'", max_size=60))
def test_an_answer_has_its_source_in_itself(text):
    assert seen(text, text, names=True) == []


@pytest.mark.parametrize("piece", ["1", "1.", "1,", "a", "aB ", "1-", "1 ", "@", "@a", "A", "a.", "1a", "2024-", "- ", "|", "\\u00"])
def test_time_grows_with_the_text(piece, cpu_at_most):
    text = piece * (15_000 // len(piece))
    with cpu_at_most(4):
        seen(text, text, names=True)


def test_texts_beyond_the_limits_are_unjudged(monkeypatch):
    with pytest.raises(Unjudged, match="200001 characters"):
        seen("a" * 200_001)
    monkeypatch.setattr(grounded, "MAX_SOURCES", 10)
    with pytest.raises(Unjudged, match="sources"):
        seen("a", "b" * 6, "c" * 6)
