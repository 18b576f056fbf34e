"""A figure holds or misses, exactly at its bound too, and is said beside what is wanted."""

from __future__ import annotations

import importlib.util
from pathlib import Path

import pytest

_SPEC = importlib.util.spec_from_file_location("verdicts", Path(__file__).with_name("verdicts.py"))
assert _SPEC is not None
assert _SPEC.loader is not None
verdicts = importlib.util.module_from_spec(_SPEC)
_SPEC.loader.exec_module(verdicts)


@pytest.mark.parametrize(("at_least", "measured", "holds"), [
    (False, 10, True), (False, 10.1, False), (False, float("inf"), False), (True, 10, True), (True, 9.9, False),
])  # fmt: skip
def test_a_figure_is_judged_by_its_bound(at_least: bool, measured: float, holds: bool) -> None:
    verdict = verdicts.Verdict(verdicts.Goal("speed", 10, "m/s", at_least), measured)
    assert verdict.holds == holds
    line = verdicts.table([verdict]).splitlines()[-1]
    assert ("holds" in line, "MISSES" in line) == (holds, not holds)
    assert (">= 10 m/s" if at_least else "<= 10 m/s") in line


def test_what_misses_is_named_and_nothing_else() -> None:
    good, bad = (verdicts.Verdict(verdicts.Goal(name, 1, "s"), measured) for name, measured in (("fine", 1.0), ("slow", 2.0)))
    assert verdicts.summary([good, bad]) == "misses: slow"
    assert verdicts.summary([good]) == "everything that is wanted holds"
