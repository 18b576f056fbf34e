"""What only an extra brings: loaded where it is there, named where it is not."""

from __future__ import annotations

import sys
import tomllib
from pathlib import Path

import pytest

from gateway import extras
from gateway.errors import StartError
from gateway.rollout import statistics
from gateway.rollout.drifting import _statistics
from gateway.rollout.statistics import Group

PROJECT = tomllib.loads((Path(__file__).parents[1] / "pyproject.toml").read_text())["project"]


def test_a_library_that_is_there_is_loaded():
    assert extras.installed("scipy")
    assert extras.load("scipy.stats", "experiments", "comparing").norm.sf(0.0) == 0.5


@pytest.mark.parametrize(
    "needs", [_statistics, statistics.numpy, lambda: statistics.compare(Group(99), Group(99), 0.05), lambda: statistics.evenness([1], [1])]
)
def test_who_needs_a_library_that_is_missing_is_told_which_extra_brings_it(monkeypatch, needs):
    for name in ("numpy", "scipy", "scipy.stats"):
        monkeypatch.setitem(sys.modules, name, None)
    with pytest.raises(StartError, match=r"needs (scipy|numpy).*pip install 'tollhouse\[experiments\]'"):
        needs()


def test_the_extra_that_is_named_exists_and_brings_it():
    assert any(each.startswith("scipy") for each in PROJECT["optional-dependencies"][statistics.EXTRA])
    assert not any(each.startswith(("scipy", "numpy")) for each in PROJECT["dependencies"])
