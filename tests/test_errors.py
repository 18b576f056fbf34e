"""How mistakes are told."""

from __future__ import annotations

from gateway.errors import FileProblems, GatewayError, Problem


def test_a_problem_shows_its_place_and_points_at_it():
    problem = Problem("p.yaml", 2, 3, "unknown key 'acton'; did you mean 'action'?", "  acton: x")
    assert str(problem) == "p.yaml:2:3: error: unknown key 'acton'; did you mean 'action'?\n      acton: x\n      ^"


def test_a_problem_without_its_line_is_one_line():
    assert str(Problem("p.yaml", 1, 1, "cannot be read")) == "p.yaml:1:1: error: cannot be read"


def test_all_problems_of_a_file_are_told_not_only_the_first():
    error = FileProblems([Problem("a", 1, 1, "one"), Problem("b", 2, 2, "two")])
    assert str(error) == "a:1:1: error: one\nb:2:2: error: two"
    assert len(error.problems) == 2


def test_an_error_carries_what_a_dialect_needs_to_say_it():
    error = GatewayError("unavailable", "audit_unavailable", "disk full", param="x", retry_after=5)
    assert (error.kind, error.code, error.message, error.param, error.retry_after) == (
        "unavailable",
        "audit_unavailable",
        "disk full",
        "x",
        5,
    )
    assert str(error) == "disk full"
