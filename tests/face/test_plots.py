"""A chart from any answer: of the columns that are named, or a reason why not; never a wrong one, and no answer makes it fail."""

from __future__ import annotations

import contextlib

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.face.plots import BINS, KINDS, MOST_POINTS, PlotProblem, plot, suits
from gateway.stores import Answer

ROWS = [["2026-11-20T00:00:00.000000Z", "coder", "1.500000000", 3], ["2026-11-21T00:00:00.000000Z", "bank", None, 4]]
COLUMNS = ["day", "agent", "cost", "calls"]
VALUES = st.one_of(st.none(), st.booleans(), st.integers(), st.floats(allow_nan=False), st.text(max_size=5), st.just("nan"), st.just("1.5"))


def answer(rows=ROWS, columns=COLUMNS):
    return Answer(columns, [], rows, truncated=False, elapsed_ms=1)


def test_columns_of_numbers_are_told_from_others() -> None:
    assert suits(answer()) == {"every": COLUMNS, "numbers": ["cost", "calls"]}
    assert suits(answer([[True, "1 ", "nan", 1]]))["numbers"] == ["calls"]
    assert suits(answer([[None, 1, 2, 3]]))["numbers"] == ["agent", "cost", "calls"]


@pytest.mark.parametrize(("wanted", "words"), [
    ({"chart": "line", "x": "day", "y": "cost"}, ["cost by day", "2026-11-20 00:00:00", "unknown"]),
    ({"chart": "line", "x": "day", "y": "cost", "z": "calls"}, ["cost and calls by day", 'class="line2"']),
    ({"chart": "bar", "x": "agent", "y": "calls"}, ["calls by agent", "coder"]),
    ({"chart": "heat", "x": "day", "y": "agent", "z": "calls"}, ["calls by agent and day", 'class="heat"']),
    ({"chart": "histogram", "y": "calls"}, ["calls", "from – to"]),
])  # fmt: skip
def test_each_kind_is_drawn_with_its_table(wanted, words) -> None:
    made = str(plot(answer(), wanted))
    assert all(word in made for word in [*words, "<table>", "<svg"]), made


@pytest.mark.parametrize(("wanted", "said"), [
    ({"chart": "pie"}, "line, bar, heat, histogram"),
    ({"chart": "bar", "x": "agent"}, "'y=' names no column"),
    ({"chart": "bar", "x": "agent", "y": "day"}, "does not hold numbers"),
    ({"chart": "bar", "x": "nothing", "y": "calls"}, "there are day, agent, cost, calls"),
    ({"chart": "line", "x": "day", "y": "calls", "z": "gone"}, "'gone' is not one column"),
])  # fmt: skip
def test_what_cannot_be_drawn_says_why(wanted, said) -> None:
    with pytest.raises(PlotProblem, match=said.replace("(", r"\(")):
        plot(answer(), wanted)


def test_names_that_stand_twice_and_places_that_have_two_values_are_refused() -> None:
    with pytest.raises(PlotProblem, match="more than one column"):
        plot(answer([["a", 1, 2]], ["x", "y", "y"]), {"chart": "bar", "x": "x", "y": "y"})
    with pytest.raises(PlotProblem, match="one value each"):
        plot(answer([["a", "b", 1], ["a", "b", 2]], ["x", "y", "z"]), {"chart": "heat", "x": "x", "y": "y", "z": "z"})
    with pytest.raises(PlotProblem, match=f"at most {MOST_POINTS} rows"):
        plot(answer([["a", 1]] * (MOST_POINTS + 1), ["x", "y"]), {"chart": "bar", "x": "x", "y": "y"})


@given(st.lists(st.floats(-1e6, 1e6).map(lambda value: round(value, 3)), min_size=1, max_size=200))
def test_a_histogram_counts_every_value_once(values) -> None:
    with contextlib.suppress(PlotProblem):  # values that are too near to each other to be told apart
        made = str(plot(answer([[value] for value in values], ["v"]), {"chart": "histogram", "y": "v"}))
        counted = [cell.partition("</td>")[0] for cell in made.split('<td class="number">')[1:]]
        assert sum(int(each.replace(",", "")) for each in counted) == len(values)
        assert len(counted) in (1, BINS)


@settings(max_examples=150)
@given(st.lists(st.lists(VALUES, min_size=3, max_size=3), max_size=12), st.sampled_from(KINDS), st.permutations(["a", "b", "c"]))
def test_no_answer_makes_drawing_fail(rows, kind, names) -> None:
    found = answer(rows, ["a", "b", "c"])
    assert set(suits(found)["numbers"]) <= {"a", "b", "c"}
    with contextlib.suppress(PlotProblem):
        assert (plot(found, {"chart": kind, **dict(zip("xyz", names, strict=True))}) is None) == (kind == "")
