"""The filter of the traces page: what is read, what is refused and where, and that a value is only ever a value."""

from __future__ import annotations

import datetime as dt

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.face.filter_sql import where
from gateway.face.filters import FIELDS, FilterProblem, Term, parse, pattern, plain, quoted, with_term, written

NOW = dt.datetime.fromisoformat("2026-11-21T12:00:00")


def test_terms_of_every_kind_are_read() -> None:
    assert parse('agent:coder decision:deny,ask tool:Bash* -state:complete cost>0.1 text~"rm -rf" since:2h', NOW) == (
        Term("agent", ":", ("coder",)),
        Term("decision", ":", ("deny", "ask")),
        Term("tool", ":", ("Bash*",)),
        Term("state", ":", ("complete",), negated=True),
        Term("cost", ">", ("0.1",)),
        Term("text", "~", ("rm -rf",)),
        Term("since", ":", ("2026-11-21T10:00:00",)),
    )


@pytest.mark.parametrize("text", ["", "   ", "\t\n"])
def test_an_empty_filter_has_no_terms(text) -> None:
    assert parse(text, NOW) == ()


def test_a_word_alone_is_looked_for_in_the_text() -> None:
    assert parse('invoice -"two words"', NOW) == (Term("text", "~", ("invoice",)), Term("text", "~", ("two words",), negated=True))
    assert parse("-", NOW) == (Term("text", "~", ("-",)),)


def test_what_is_escaped_means_itself() -> None:
    assert parse(r'tool:a\*b text~"say \"no\" \\ "', NOW) == (Term("tool", ":", (r"a\*b",)), Term("text", "~", ('say "no" \\ ',)))
    assert (plain(r"a\*b"), pattern(r"a\*b"), pattern("a*_b?")) == ("a*b", None, r"a%\_b_")


WRONG = {
    "agnt:coder": (0, "did you mean 'agent'?"),
    "agent:coder  -colour:red": (14, "no field 'colour'"),
    "agent:": (6, "wants a value"),
    "agent:a,": (8, "wants a value"),
    'tool:"Bash': (5, "not closed"),
    'tool:Ba"sh"': (7, "double quote"),
    'tool:"Bash"x': (11, "space or a comma"),
    "cost~1": (4, "cannot be compared"),
    "agent>a": (5, "cannot be compared"),
    "cost>cheap": (5, "no number"),
    "cost>-1": (5, "no number"),
    "ms>1e9": (3, "no number"),
    "since:yesterday": (6, "no time"),
    "since:999999d": (6, "longer ago"),
    "since:1h,2h": (6, "no alternatives"),
    "agent:" + ",".join("abcdefghijklmnopqrstu"): (47, "at most 20"),
    "a " * 31: (60, "at most 30"),
    "x" * 1001: (1000, "at most 1000"),
}


@pytest.mark.parametrize("text", WRONG, ids=[text[:20] for text in WRONG])
def test_what_is_wrong_is_told_with_its_place(text) -> None:
    with pytest.raises(FilterProblem) as told:
        parse(text, NOW)
    position, words = WRONG[text]
    assert told.value.position == position
    assert words in told.value.message


@pytest.mark.parametrize(
    ("text", "moment"),
    [
        ("90m", "2026-11-21T10:30:00"),
        ("7d", "2026-11-14T12:00:00"),
        ("2026-11-01", "2026-11-01T00:00:00"),
        ("2026-11-01T12:00+02:00", "2026-11-01T10:00:00"),
    ],
)
def test_times_are_spans_or_moments_in_utc(text, moment) -> None:
    assert parse(f"since:{text}", NOW)[0].values == (moment,)


@given(st.text())
def test_any_text_is_read_or_refused_within_it(text) -> None:
    terms, refused_at = (), 0
    try:
        terms = parse(text, NOW)
    except FilterProblem as problem:
        refused_at = problem.position
    assert 0 <= refused_at <= len(text)
    assert parse(written(terms), NOW) == terms


@given(st.sampled_from([name for name, kind in FIELDS.items() if kind == "word"]), st.text(min_size=1, max_size=100))
def test_a_value_of_the_book_becomes_a_condition_that_means_just_it(field, value) -> None:
    (first, term) = parse(with_term("agent:x", field, value), NOW)
    assert first == Term("agent", ":", ("x",))
    assert [plain(each) for each in term.values] == [value]
    assert pattern(term.values[0]) is None
    assert quoted(value)


@given(st.text())
def test_no_value_ever_stands_in_the_sql(text) -> None:
    """Every SQL that comes out is one of those that innocent values give."""
    try:
        terms = parse(text, NOW)
    except FilterProblem:
        return
    harmless = [Term(t.field, t.sign, tuple(_like(value) for value in t.values), t.negated) for t in terms]
    assert where(terms, None).sql == where(harmless, None).sql


def _like(value: str) -> str:
    return "x*" if pattern(value) is not None else "x"


def test_every_field_has_its_sql() -> None:
    values = {"word": "a*", "number": "1", "text": "b", "time": "2026-11-01"}
    for field, kind in FIELDS.items():
        for negated in (False, True):
            made = where([Term(field, ":", (values[kind],), negated)], "2026-11-01")
            assert all(f"${name}" in made.sql + made.of_calls for name in made.params)


def test_terms_about_calls_speak_of_one_call() -> None:
    made = where(parse("decision:deny tool:Bash -rule:r agent:a", NOW), "2026-11-20")
    assert made.sql.count(" IN (SELECT c.exchange_id") == 2
    assert made.sql.count("NOT IN (SELECT") == 1
    assert not made.alone
    assert where([], None) == ("true", "true", {}, True)
